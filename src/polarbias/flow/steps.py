"""Steps of the stiff integrator, and the criteria that end an integration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from scipy.integrate import LSODA

from polarbias.solution import Status

Schedule = Callable[[float], tuple[float, float]]
"""Rates (eta_r, eta_u) of radius and direction as a function of time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Constants of both integrations, of the dual and of the primal equations."""

    seconds_per_call: float = 0.5
    """Time between two calls of the callback."""

    latest_time: float = 1e150
    """End of a flow without another one; its square is still a float."""

    finest_accuracy: float = 1e-13
    """Least tolerance: below it LSODA's own rounding exceeds the tolerance."""

    collapse_threshold: float = 1e-10
    """Share of the initial radius at or below which a run has collapsed."""


OPTIONS = Options()


@dataclass(frozen=True)
class FlowProgress:
    """Progress of the integration of one run.

    Attributes
    ----------
    index
        Batch index of the run; runs are integrated one after the other.
    steps, t, loss
        Accepted steps, time reached, and the loss there.
    """

    index: tuple[int, ...]
    steps: int
    t: float
    loss: float


@dataclass
class StoppingRule:
    """Criteria that end the integration of one run.

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

    def status(self, t: float, loss: float) -> Status | None:
        """Return the status of a run that ends at this time with this loss, or None if it goes on."""
        if loss < self.bound:
            return Status.CONVERGED
        if t >= self.t_end or self.steps >= self.max_steps:
            return Status.MAX_STEPS
        now = perf_counter()
        if self.callback is not None and now - self.called > OPTIONS.seconds_per_call:
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
        Reference point of the integrated vector.
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
    """SciPy's LSODA, which signals failures by a return value."""

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
        end = min(t_end, OPTIONS.latest_time)
        self._solver = LSODA(rhs, t, y, end, rtol=max(rtol, OPTIONS.finest_accuracy), atol=atol, jac=jacobian)

    def step(self) -> bool:
        """Take one step; return False if the integrator fails."""
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
