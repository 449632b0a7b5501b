"""The solution of a flow at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.arrays import real_array
from polarbias.runtime.batch_axes import selector


class Point(NamedTuple):
    """A run at one time; None for what its equations do not have."""

    theta: Any
    r: float
    u: np.ndarray | None
    x: np.ndarray
    log_x: np.ndarray | None
    loss: float
    mirror_dual: np.ndarray | None


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """Dense output of one run: its accepted times, and the run at any time between the first and the last."""

    t: np.ndarray
    at: Callable[[float], Point]


@dataclass(frozen=True, eq=False)
class FlowTrajectory:
    """A flow as a function of time, to the accuracy of the integration.

    Every method takes one time or an array of them, between 0 and the end of the run; its result has the batch
    axes first, then the axes of the times. Times are those of the network's own equations. Indexing selects runs.

    Attributes
    ----------
    outputs
        Dense output of each run, an object array of batch shape.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0]], [1.0])
    >>> network = pb.HadamardPower(2)
    >>> path = pb.gradient_flow(problem, network, network.init(0.5, [1.0]), t_end=2.0, tol=0).trajectory
    >>> path.x([0.0, 1.0, 2.0]).ravel().round(4)
    array([0.25  , 0.7112, 0.9479])
    """

    outputs: np.ndarray

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes, ``()`` for one run."""
        return tuple(self.outputs.shape)

    @property
    def t(self) -> np.ndarray:
        """Accepted times and the start, shape ``(..., K)``; the rows of a batch are padded with NaN."""
        rows = [dense_output.t for dense_output in self.outputs.ravel()]
        longest = max(len(row) for row in rows)
        padded = [np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows]
        return np.array(padded).reshape((*self.batch_shape, longest))

    def __getitem__(self, index: Any) -> FlowTrajectory:
        """Select runs by indexing the batch axes."""
        return FlowTrajectory(selector(self.batch_shape, index)(self.outputs))

    def __repr__(self) -> str:
        """Sizes instead of data."""
        return f"FlowTrajectory(batch_shape={self.batch_shape}, steps={self.t.shape[-1] - 1})"

    def theta(self, t: ArrayLike) -> Any:
        """Return the network's parameters."""
        return self._stacked("theta", t)

    def r(self, t: ArrayLike) -> Any:
        """Return the norm of the factor."""
        return self._stacked("r", t)

    def u(self, t: ArrayLike) -> Any:
        """Return the direction: the parameter u under weight normalization, x / ||x|| without."""
        return self._stacked("u", t)

    def x(self, t: ArrayLike) -> Any:
        """Return the signal X."""
        return self._stacked("x", t)

    def log_x(self, t: ArrayLike) -> Any:
        """Return the logarithms of |X|, of both halves for a signed network."""
        return self._stacked("log_x", t)

    def loss(self, t: ArrayLike) -> Any:
        """Return ``||A X - b||^2 / (2 L)``."""
        return self._stacked("loss", t)

    def mirror_dual(self, t: ArrayLike) -> Any:
        """Return the mirror variable nu, as in `Solution`."""
        return self._stacked("mirror_dual", t)

    def _stacked(self, name: str, t: ArrayLike) -> Any:
        times = real_array(t, "t").astype(np.float64)
        last = min(dense_output.t[-1] for dense_output in self.outputs.ravel())
        if times.size == 0 or times.min() < 0 or times.max() > last:
            raise InvalidInput(f"t must lie between 0 and {last:.17g}, where the flow ends, got {t!r}.")
        values = [
            getattr(dense_output.at(float(one)), name) for dense_output in self.outputs.ravel() for one in times.ravel()
        ]
        if values[0] is None:
            raise InvalidInput(f"the full equations of this network have no {name}.")
        shape = self.batch_shape + times.shape
        if prod(shape) != len(values):
            raise InvalidInput("an empty batch has no values.")
        return jax.tree.map(lambda *leaves: np.array(leaves).reshape(shape + np.shape(leaves[0]))[()], *values)
