r"""Invariants (32) and (33) of the flow for every depth and ratio law, the norm of u, and signs.

With :math:`P_A = A^\dagger A`, :math:`E'(r) = r / f(r)` and a unit direction u, the plain flow keeps

.. math:: (I - P_A) \log x \quad (L = 2), \qquad (I - P_A)\, x^{2-L} \quad (L \ne 2),

and the flow with weight normalization the same function of :math:`u\, e^{E(r)}` instead of x.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.flow.trajectory import FlowTrajectory
from polarbias.mirror.map import mirror_powers
from polarbias.networks import HadamardDifference, WeightNormalization
from polarbias.networks.base import norm, scaled_norm
from polarbias.networks.parameters import check_parameters
from polarbias.networks.weight_normalization import power_inside
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.arrays import real_array
from polarbias.runtime.pytree import tree_leaves, tree_map


class Invariant(NamedTuple):
    """A conserved vector as ``value * exp(log_scale)``.

    ``value`` has shape ``(..., n)``, n = 2 N for a signed network, ``log_scale`` shape ``(...)``: 0 at depth 2, and at
    other depths the logarithm of the largest entry before the projection, so that value does not overflow.
    """

    value: np.ndarray
    log_scale: np.ndarray


def invariant(problem: LinearProblem, network: Any, theta: Any) -> Invariant:
    r"""Return the invariant (32) or (33) of the flow at theta (Lemmas 3.6 and 3.7 of arXiv:2305.05448v1).

    For a signed network it is that of the joint vector of both halves and the matrix [A, -A]. Another network,
    parameters that the network refuses or do not match the problem, and A not dense raise `InvalidInput`.

    Parameters
    ----------
    problem
        One problem, or a batch of shape ``(T,)``.
    network
        `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of these, any ratio law.
    theta
        Parameters, with leading batch axes that begin with those of the problem.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> invariant(problem, network, network.init(1.0, [1.0, 2.0])).value
    array([-0.34657359,  0.34657359])
    """
    theta, _ = check_parameters(problem, network, theta, np.dtype(np.float64))
    vector, log_scale = _vector(network, theta)
    return Invariant(_off_rows(problem, network, vector), log_scale)


def drift(problem: LinearProblem, network: Any, thetas: Any) -> np.ndarray:
    r"""Return the change of the invariant since the first point of a trajectory, relative to its size.

    The result, shape ``(K, ...)``, is the norm of the change of the invariant over the larger of its norm at the first
    point and the norm of the change before the projection on the complement of the rows of A: 0 for an exact flow.

    Parameters
    ----------
    problem, network
        As for `invariant`, also in the errors.
    thetas
        The trajectory: a sequence of K parameters, or parameters with one more leading axis, of length K > 0.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.HadamardPower(2)
    >>> path = pb.Factor([[1.0, 2.0], [0.5, 1.0], [0.5, 0.9]])  # a common factor is a move along the row of A
    >>> drift(problem, network, path).round(6)
    array([0.      , 0.      , 0.070458])
    """
    return relative_drift(problem, network, *_vector(network, along(problem, network, thetas)))


def flow_drift(problem: LinearProblem, network: Any, trajectory: FlowTrajectory, t: ArrayLike) -> np.ndarray:
    r"""Return the `drift` of one flow at times t from the logarithms of X, accurate if parameters underflow.

    Parameters
    ----------
    problem, network
        As for `invariant`, depth 2 and above.
    trajectory
        Of one run of `gradient_flow`; a batch raises `InvalidInput`.
    t
        Times of the flow, shape ``(K,)``, as that of the result.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> flow = pb.gradient_flow(problem, network, network.init(0.5, [1.0, 1.0]))
    >>> bool(flow_drift(problem, network, flow.trajectory, [0.0, 1.0, 10.0]).max() < 1e-9)
    True
    """
    inner = _inner(network)
    if trajectory.batch_shape or inner.degree < 2:
        raise InvalidInput("flow_drift takes one run of depth 2 or more; index the trajectory of a batch.")
    states = trajectory.evaluate(t)
    log_v = states.log_x / inner.degree
    if inner is not network:
        log_v = log_v + (_rise(network, states.theta.u[0], states.r) - np.log(states.r))[:, None]
    return relative_drift(problem, network, *signed_powers(inner.degree, log_v, np.ones_like(log_v)))


def relative_drift(problem: LinearProblem, network: Any, vector: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """Return the `drift` of the vectors ``vector * exp(log_scale)``, whose first axis is time."""
    # The axes of a batch of problems must come first for the projection, so time goes last.
    vector, log_scale = np.moveaxis(vector, 0, -2), np.moveaxis(log_scale, 0, -1)
    # Both points of each comparison get the larger scale, so that neither overflows.
    scale = np.maximum(log_scale, log_scale[..., :1])
    before = vector[..., :1, :] * np.exp(log_scale[..., :1] - scale)[..., None]
    change = vector * np.exp(log_scale - scale)[..., None] - before
    moved = norm(_off_rows(problem, network, change))
    size = np.maximum(norm(_off_rows(problem, network, before)), norm(change))
    return np.moveaxis(np.divide(moved, size, out=np.zeros_like(moved), where=size > 0), -1, 0)


def direction_norm(problem: LinearProblem, network: Any, theta: Any) -> np.ndarray:
    r"""Return :math:`\lVert u \rVert_2`, which the flow keeps (Lemma 3.2 of arXiv:2305.05448v1), shape ``(...)``.

    Parameters and errors are those of `invariant`, for `WeightNormalization`.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> float(direction_norm(problem, network, pb.Polar(1.0, [3.0, 4.0])))
    5.0
    """
    _require_direction(network)
    return np.asarray(scaled_norm(check_parameters(problem, network, theta, np.dtype(np.float64))[0].u))


def norm_drift(problem: LinearProblem, network: Any, thetas: Any) -> np.ndarray:
    r"""Return :math:`\lVert u \rVert_2` along a trajectory, relative to its first value, minus 1, shape ``(K, ...)``.

    Parameters and errors are those of `drift`, for `WeightNormalization`.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> norm_drift(problem, network, pb.Polar([1.0, 1.0], [[3.0, 4.0], [6.0, 8.0]]))
    array([0., 1.])
    """
    _require_direction(network)
    lengths = scaled_norm(along(problem, network, thetas).u)
    return np.asarray(lengths / lengths[0] - 1)


def signs_kept(thetas: Any) -> np.ndarray:
    """Return True for the points of a trajectory with the signs of the first point, shape ``(K,)``.

    The flow keeps signs at depth 2 and above (Lemma 3.3 of arXiv:2305.05448v1); at depth 1, r and entries of x can
    cross 0. ``thetas`` is that of `drift`, for any network; an entry of 0 has no sign.

    >>> import polarbias as pb
    >>> signs_kept(pb.Factor([[1.0, 2.0], [0.5, 1.0], [0.1, -0.1]]))
    array([ True,  True, False])
    """
    signs = [np.sign(leaf).reshape(len(leaf), -1) for leaf in tree_leaves(_stacked(thetas))]
    return np.asarray(np.all([(sign * sign[:1] > 0).all(-1) for sign in signs], axis=0))


def along(problem: LinearProblem, network: Any, thetas: Any) -> Any:
    """Return a trajectory as parameters with a leading axis of time, checked against problem and network."""
    stacked = _stacked(thetas)
    check_parameters(problem, network, tree_map(operator.itemgetter(0), stacked), np.dtype(np.float64))
    network.validate(stacked)
    return stacked


def _stacked(thetas: Any) -> Any:
    if isinstance(thetas, Sequence) and not hasattr(thetas, "_fields"):
        if not thetas:
            raise InvalidInput("thetas holds no point.")
        points = [_arrays(theta) for theta in thetas]
        if len({repr(tree_map(np.shape, point)) for point in points}) > 1:
            raise InvalidInput("thetas must hold parameters of one kind and shape.")
        return tree_map(lambda *leaves: np.stack(leaves), *points)
    stacked = _arrays(thetas)
    lengths = {leaf.shape[:1] for leaf in tree_leaves(stacked)}
    if len(lengths) != 1 or () in lengths or (0,) in lengths:
        raise InvalidInput("thetas must be a sequence of parameters, or parameters with one leading axis for time.")
    return stacked


def _arrays(theta: Any) -> Any:
    """Return theta with NumPy leaves; lists count as arrays."""
    return tree_map(
        lambda leaf: real_array(leaf, "thetas").astype(np.float64), theta, is_leaf=lambda node: isinstance(node, list)
    )


def _require_direction(network: Any) -> None:
    if not isinstance(network, WeightNormalization):
        raise InvalidInput(f"network must be WeightNormalization, which alone has a direction u, got {network!r}.")


def _inner(network: Any) -> Any:
    return power_inside(network, "invariants are known for")


def _rise(network: WeightNormalization, u: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return E of the radius, with the factor for a direction of another norm or rate than 1 (Lemma 3.1)."""
    return np.asarray(network.direction_rate / scaled_norm(u) ** 2 * network.ratio.E(np.abs(r)))


def signed_powers(depth: int, log_v: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `mirror_powers`, with the signs of v except at depth 2."""
    values, log_scale = mirror_powers(depth, log_v)
    return values if depth == 2 else sign * values, log_scale


def _vector(network: Any, theta: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the vector before the projection as values and log_scale."""
    inner = _inner(network)
    x = np.asarray(network.factor(theta) if inner is network else theta.u)
    log_v = np.log(np.abs(x))
    if inner is not network:
        log_v = log_v + (_rise(network, x, theta.r) - np.log(scaled_norm(x)))[..., None]
    return signed_powers(inner.degree, log_v, np.sign(x))


def _off_rows(problem: LinearProblem, network: Any, vectors: np.ndarray) -> np.ndarray:
    """Return (I - P) v, P the projection on the rows of A, or of [A, -A] for a signed network."""
    if isinstance(_inner(network), HadamardDifference):
        plus, minus = np.split(vectors, 2, axis=-1)
        half = (plus - minus) / 2
        along_rows = half - _project_out(problem, half)
        return np.concatenate([plus - along_rows, minus + along_rows], axis=-1)
    return _project_out(problem, vectors)


def _project_out(problem: LinearProblem, vectors: np.ndarray) -> np.ndarray:
    require_dense(problem, "the projection on the rows of A")
    out = np.empty_like(vectors)
    for index in np.ndindex(problem.batch_shape):
        A = np.asarray(problem.A[index], np.float64)
        _, sizes, rows = np.linalg.svd(A, full_matrices=False)
        rows = rows[sizes > max(A.shape) * np.finfo(np.float64).eps * sizes[0]]
        rest = vectors[index]
        for _ in range(2):  # the second projection removes the rounding errors of the first
            rest = rest - (rest @ rows.T) @ rows
        out[index] = rest
    return out
