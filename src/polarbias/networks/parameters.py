"""Checks and conversion of the parameters theta that callers give."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from polarbias.errors import InvalidInput
from polarbias.networks.base import Network
from polarbias.problems.linear import LinearProblem, require_problem
from polarbias.runtime.arrays import real_array
from polarbias.runtime.pytree import is_jax_array, tree_map

RATE_REMEDY = "give theta0 the batch axes of the ratio, for example init(scale=np.ones(len(ratios)), ...)."
RATE_MISFIT = f"a ratio or rate of the network does not broadcast to the batch of runs {{}}; {RATE_REMEDY}"

Evaluate = Callable[[Callable[[Any], Any], Any], Any]


def working_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype, or raise `InvalidInput` unless it is float64 or float32."""
    try:
        # NumPy takes the dtype of a number as well.
        chosen = np.dtype(object if isinstance(dtype, np.generic) or is_jax_array(dtype) else dtype)
        if chosen in (np.dtype(np.float64), np.dtype(np.float32)):
            return chosen
    except TypeError:
        pass
    raise InvalidInput(f"dtype must be float64 or float32, got {dtype!r}.")


def _as_parameters(theta: Any, dtype: np.dtype[Any]) -> Any:
    """Return theta with NumPy leaves of ``dtype``; lists and tuples of numbers become arrays."""

    def is_leaf(node: Any) -> bool:
        numbers = type(node) is tuple and all(isinstance(entry, Real) for entry in node)
        return node is None or isinstance(node, list) or numbers

    return tree_map(lambda leaf: real_array(leaf, "theta0").astype(dtype), theta, is_leaf=is_leaf)


def cast(network: Network, dtype: np.dtype[Any]) -> Network:
    """Return the network with its floating-point array leaves in ``dtype``."""

    def convert(leaf: Any) -> Any:
        if (isinstance(leaf, np.ndarray) or is_jax_array(leaf)) and np.asarray(leaf).dtype.kind == "f":
            return np.asarray(leaf, dtype)
        return leaf

    converted: Network = tree_map(convert, network)
    return converted


def _call(function: Callable[[Any], Any], theta: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(function(theta))


def check_parameters(
    problem: LinearProblem, network: Network, theta: Any, dtype: np.dtype[Any], evaluate: Evaluate = _call
) -> tuple[Any, tuple[int, ...]]:
    """Return theta with NumPy leaves of ``dtype`` and the batch shape of its runs.

    ``evaluate(network.signal, theta)`` has the shape and dtype of the signal: a call by default, `jax.eval_shape` for
    engines that trace the network. If problem, network and theta do not fit together, `InvalidInput` is raised.
    """
    require_problem(problem)
    if not isinstance(network, Network):
        raise InvalidInput(f"network must be an instance of a Network such as HadamardPower(2), got {network!r}.")
    theta = _as_parameters(theta, dtype)
    network.validate(theta)
    try:
        signal = evaluate(network.signal, theta)
    except (TypeError, ValueError, IndexError, AttributeError) as reason:
        raise InvalidInput(f"the network cannot map theta0 to a signal: {reason}") from reason
    shape = tuple(signal.shape)
    if not np.issubdtype(signal.dtype, np.floating):
        raise InvalidInput(f"the network's signal must hold real floating-point numbers, got dtype {signal.dtype}.")
    if 0 in shape:
        raise InvalidInput(f"theta0 gives signals of shape {shape}: an empty batch; give at least one run.")
    if shape[-1:] != (problem.n,):
        raise InvalidInput(
            f"theta0 gives signals of shape {shape}, but the problem has {problem.n} unknowns: the last axis must match"
            " (a difference network takes directions of twice that length)."
        )
    if shape[: len(problem.batch_shape)] != problem.batch_shape:
        raise InvalidInput(
            f"theta0 has batch shape {shape[:-1]}; it must begin with the problems' batch shape {problem.batch_shape}."
        )
    return theta, shape[:-1]
