"""The loop around the stiff integrator that both roads of the flow share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from scipy.integrate import LSODA

from polarbias.solution import Status

logger = logging.getLogger(__name__)

SECONDS_PER_CALL = 0.5
"""Time between two calls of the callback."""

FOREVER = 1e150
"""End of a flow that has no other; its square is still a number."""

FINEST = 1e-13
"""Tolerance below which the integrator's own rounding exceeds what it is asked for."""


@dataclass(frozen=True)
class FlowProgress:
    """What a callback sees while a flow is integrated.

    Attributes
    ----------
    index
        Batch index of the run; runs are integrated one after the other.
    steps, t, loss
        Accepted steps of this run, the time it has reached, its loss there.
    """

    index: tuple[int, ...]
    steps: int
    t: float
    loss: float


@dataclass
class Watch:
    """What ends the integration of one run, and who is told on the way.

    Attributes
    ----------
    index
        Batch index of the run.
    t_end, bound
        Time and loss at which the run ends.
    max_steps
        Steps after which it ends.
    callback
        Called about twice a second; a true return value ends the run.
    steps
        Accepted steps so far.
    """

    index: tuple[int, ...]
    t_end: float
    bound: float
    max_steps: int
    callback: Callable[[FlowProgress], object] | None
    steps: int = 0
    called: float = 0.0

    def ended(self, t: float, loss: float) -> Status | None:
        """Return the status of a run that ends at this time with this loss, None if it goes on."""
        if loss < self.bound:
            return Status.CONVERGED
        if t >= self.t_end or self.steps >= self.max_steps:
            return Status.MAX_STEPS
        now = perf_counter()
        if self.callback is not None and now - self.called > SECONDS_PER_CALL:
            self.called = now
            if self.callback(FlowProgress(self.index, self.steps, t, loss)):
                return Status.INTERRUPTED
        return None


@dataclass(frozen=True, eq=False)
class DenseOutputSegment:
    """Dense output between two starts of the integrator.

    Attributes
    ----------
    anchor
        What the integrated vector is relative to; the owner knows how.
    t
        Start and accepted times, ascending.
    pieces
        One interpolant per step, SciPy's.
    """

    anchor: Any
    t: np.ndarray
    pieces: tuple[Any, ...]

    def __call__(self, t: float) -> np.ndarray:
        """Return the integrated vector at one time inside."""
        at = min(max(int(np.searchsorted(self.t, t)) - 1, 0), len(self.pieces) - 1)
        return np.asarray(self.pieces[at](t))


class Integrator:
    """SciPy's LSODA with one way to step that ends in an interpolant or in a failure."""

    def __init__(
        self,
        rhs: Callable[[float, np.ndarray], np.ndarray],
        jacobian: Callable[[float, np.ndarray], np.ndarray],
        start: tuple[float, np.ndarray],
        t_end: float,
        tolerances: tuple[float, Any],
    ) -> None:
        t, y = start
        rtol, atol = tolerances
        self._solver = LSODA(rhs, t, y, min(t_end, FOREVER), rtol=max(rtol, FINEST), atol=atol, jac=jacobian)
        self.t_end = t_end

    def step(self) -> bool:
        """Take one step; False if the integrator cannot."""
        message = self._solver.step()
        if self._solver.status == "failed":
            logger.debug("the integrator stops at t = %.3g: %s", self._solver.t, message)
            return False
        return bool(np.isfinite(self._solver.y).all())

    @property
    def t(self) -> float:
        """Time reached."""
        return float(self._solver.t)

    @property
    def y(self) -> np.ndarray:
        """Vector there."""
        return np.array(self._solver.y)

    def piece(self) -> Any:
        """Return the interpolant of the last step."""
        return self._solver.dense_output()
