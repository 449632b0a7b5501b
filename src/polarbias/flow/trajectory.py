"""Gradient flow as a function of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.arrays import real_array
from polarbias.runtime.batch_axes import selector
from polarbias.runtime.pytree import tree_map
from polarbias.solution import Status


class FlowState(NamedTuple):
    """A gradient flow at one time or several; undefined quantities are None.

    ``u`` is the parameter u under weight normalization and x / ||x|| without; ``log_x`` holds the logarithms of the
    absolute values of X, of both halves for a signed network. The other quantities are those of `Solution`.
    """

    theta: Any
    r: Any
    u: np.ndarray | None
    x: np.ndarray
    log_x: np.ndarray | None
    loss: Any
    mirror_dual: np.ndarray | None


@dataclass(frozen=True, eq=False)
class DenseOutput:
    """Start and accepted times of one run, ascending, and the map from a time in their range to the state."""

    time: np.ndarray
    evaluate: Callable[[float], FlowState]


class FlowEnd(NamedTuple):
    """Result of the integration of one run; ``output`` is None if it was not kept."""

    state: FlowState
    status: Status
    steps: int
    output: DenseOutput | None


@dataclass(frozen=True, eq=False)
class FlowTrajectory:
    """Gradient flow at its accepted times, and at any time between them to the accuracy of the integration.

    Times are those of the network's own equations. Runs of a batch take different steps, so their records are padded
    with NaN; indexing down to one run removes the padding. ``outputs`` holds the `DenseOutput` of each run.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0]], [1.0])
    >>> network = pb.HadamardPower(2)
    >>> path = pb.gradient_flow(problem, network, network.init(0.5, [1.0]), t_end=2.0, tol=0).trajectory
    >>> path.evaluate([0.0, 1.0, 2.0]).x.ravel().round(4)
    array([0.25  , 0.7112, 0.9479])
    >>> float(path.time[-1]), path.r[[0, -1]].round(4)
    (2.0, array([0.5   , 0.9736]))
    """

    outputs: np.ndarray

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes, ``()`` for one run."""
        return tuple(self.outputs.shape)

    @property
    def time(self) -> np.ndarray:
        """Start and accepted times, shape ``(..., K)``."""
        return self._padded([output.time for output in self.outputs.ravel()])

    @property
    def loss(self) -> np.ndarray:
        """Loss at the times `time`, shape ``(..., K)``."""
        return self._padded([records.loss for records in self._records])

    @property
    def r(self) -> np.ndarray:
        """Norm of the factor at the times `time`, shape ``(..., K)``."""
        return self._padded([records.r for records in self._records])

    @property
    def l1(self) -> np.ndarray:
        """``||X||_1`` at the times `time`, shape ``(..., K)``."""
        return np.asarray(np.abs(self.x).sum(-1))

    @property
    def x(self) -> np.ndarray:
        """Signal at the times `time`, shape ``(..., K, N)``."""
        return self._padded([records.x for records in self._records])

    def __len__(self) -> int:
        """Return the number of records on the last axis, padding included."""
        return max(len(output.time) for output in self.outputs.ravel())

    def __getitem__(self, index: Any) -> FlowTrajectory:
        """Select runs by indexing the batch axes."""
        return FlowTrajectory(selector(self.batch_shape, index)(self.outputs))

    def __repr__(self) -> str:
        """Return sizes instead of data."""
        return f"FlowTrajectory(batch_shape={self.batch_shape}, steps={len(self) - 1})"

    def evaluate(self, t: ArrayLike) -> FlowState:
        """Return the state at times ``t`` of any shape, from 0 to the end of the shortest run.

        Arrays of the state have the batch axes first, then the axes of ``t``. Other times raise `InvalidInput`.
        """
        times = real_array(t, "t").astype(np.float64)
        last = min(output.time[-1] for output in self.outputs.ravel())
        if times.size == 0 or times.min() < 0 or times.max() > last:
            raise InvalidInput(f"t must lie between 0 and {last:.17g}, where the flow ends, got {t!r}.")
        states = [output.evaluate(float(time)) for output in self.outputs.ravel() for time in times.ravel()]
        return _stacked(states, self.batch_shape + times.shape)

    @cached_property
    def _records(self) -> list[FlowState]:
        """States at the accepted times of each run."""
        outputs = self.outputs.ravel()
        return [_stacked([output.evaluate(t) for t in output.time], output.time.shape) for output in outputs]

    def _padded(self, rows: list[np.ndarray]) -> np.ndarray:
        padded = np.full((len(rows), len(self), *rows[0].shape[1:]), np.nan)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded.reshape(self.batch_shape + padded.shape[1:])


def _stacked(states: list[FlowState], shape: tuple[int, ...]) -> FlowState:
    """Return states as one, with leading axes of this shape."""
    stacked: FlowState = tree_map(lambda *leaves: np.array(leaves).reshape(shape + np.shape(leaves[0]))[()], *states)
    return stacked
