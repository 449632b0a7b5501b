"""Steps of the stiff integrator, and the criteria that end an integration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from math import log
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
    """Constants of `gradient_flow`.

    Counts of evaluations are those of flows of 20 x 80 at ratio 0.1: 1,424 at depth 2, 14,765 at depth 3.
    """

    max_steps: int = 1_000_000
    """Steps after which a run ends; one of 150 x 1000 at ratio 0.1 takes 1,566."""

    seconds_per_call: float = 0.5
    """Time between two calls of the callback."""

    latest_time: float = 1e150
    """End of a flow without another one; its square is still a float."""

    finest_accuracy: float = 1e-13
    """Least tolerance: below it LSODA's own rounding exceeds the tolerance."""

    collapse_threshold: float = 1e-10
    """Share of the initial radius at or below which a run has collapsed ..."""

    collapse_loss_tol: float = 1e-9
    """... if its loss is that of X = 0 within this: after a large start such a radius may still fit b."""

    log_radius_range: float = log(30.0)
    """Change of log r^2 after which the dual integration restarts: its absolute tolerance depends on the radius."""

    log_q_range: float = 5.0
    """Decrease of log q above depth 2 after which it restarts, so that q stays accurate relative to itself; 2.5 and 10
    give 19,037 and 11,231 evaluations."""

    negligible: float = 1e-17
    """Weights of the dual Jacobian below this fraction of the largest, less than rounding, are dropped to save time."""

    log_inactive: float = -60.0
    """Logarithm of the share in u^2, relative to the largest, below which an entry is left out of the dual equations;
    at -30 the flow of depth 3 ends inaccurate."""

    check_interval: int = 5
    """Dual steps between evaluations of the whole state at depth 2; at 1 the flow takes twice as long."""

    max_idle_steps: int = 400
    """Dual steps without a decrease of the loss after which tolerances are reduced."""

    stationary_tol: float = 1e-9
    """Relative violation of the optimality conditions of least squares at which the dual flow has stopped."""

    primal_absolute: float = 1e-4
    """Absolute tolerance of an entry of theta, relative to the accuracy and its largest entry: all parameters of the
    flow of depth 2 take 2,016 evaluations, and X is accurate to 2e-8; at 1e-2 and 1e-6, 1,578 and 1,623 evaluations
    give 2e-7 and 3e-7."""

    primal_stationary_tol: float = 1e-14
    """Relative move of theta, at the present speed over the time so far, below which the primal flow has stopped. On
    the inconsistent problem of its test it stops after 191 evaluations; without this bound rounding moves it along the
    kernel of A for 3,208."""

    primal_check_interval: int = 50
    """Primal steps between evaluations of this move, each of which costs one of the field."""


OPTIONS = Options()


@dataclass(frozen=True)
class FlowProgress:
    """Progress of the run of batch index ``index``: accepted steps, time reached and loss there."""

    index: tuple[int, ...]
    steps: int
    t: float
    loss: float


@dataclass
class StoppingRule:
    """Criteria that end the run of batch index ``index``: a time, a loss, a number of steps, and the callback."""

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


class Integrator(LSODA):  # type: ignore[misc]
    """SciPy's LSODA from a time and vector to ``t_end``, which signals failures by a return value."""

    def __init__(self, equations: Any, t: float, y: np.ndarray, t_end: float, rtol: float, atol: float) -> None:
        rtol, t_end = max(rtol, OPTIONS.finest_accuracy), min(t_end, OPTIONS.latest_time)
        super().__init__(equations.rhs, t, y, t_end, rtol=rtol, atol=atol, jac=equations.jacobian)

    def advance(self) -> bool:
        """Take one step; return False if the integrator fails or its time stands still."""
        message = self.step()
        if self.status == "failed":
            logger.debug("the integrator stops at t = %.3g: %s", self.t, message)
            return False
        return bool(self.t > self.t_old and np.isfinite(self.y).all())
