"""The loop of a pursuit: follow the stages, measure their iterates, and decide when to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.recovery.result import PursuitProgress, PursuitStatus
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem
from polarbias.recovery.stages import Iterates, stages

_INTERIOR_SOLUTIONS = 3  # interior points within tol after which no sparse solution is expected


@dataclass
class Search:
    """State of one pursuit; its parameters are those of `basis_pursuit`.

    Attributes
    ----------
    best
        The iterate with the least error, or the last solution.
    steps, history
        Number of factorizations, and progress at each iterate.
    status
        The limit that ended the search, or None.
    direction
        A direction along which the dual is unbounded, in the rows of the scaled problem, or None.
    """

    tol: float
    max_steps: int
    max_time: float
    callback: Callable[[PursuitProgress], object] | None
    best: Iterate | None = None
    steps: int = 0
    history: list[PursuitProgress] = field(default_factory=list)
    status: PursuitStatus | None = None
    direction: np.ndarray | None = None
    started: float = field(default_factory=monotonic)

    def run(self, problem: ScaledProblem, start: Iterate | None) -> None:
        """Follow the stages until an iterate is a solution, a limit is reached, or no stage is left."""
        callers = np.geterr()
        try:
            # For infeasible problems the dual vector grows without bound; iterates that are not finite are dropped.
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                for stage in stages(problem, start):
                    if self._follow(stage(self.best), callers):
                        return
        except InfeasibleSystem as reason:
            self.direction = reason.direction
        except KeyboardInterrupt:
            self.status = PursuitStatus.INTERRUPTED

    def _follow(self, iterates: Iterates, callers: Any) -> bool:
        """Return True if the search ends within a stage, with a solution or at a limit."""
        interior = 0
        for iterate in iterates:
            if iterate is None:
                self.status = self._limit()
                if self.status is not None:
                    return True
                self.steps += 1
            elif self._record(iterate):
                interior += 1
                if not iterate.interior or interior == _INTERIOR_SOLUTIONS:
                    return True
            elif self.callback is not None:
                with np.errstate(**callers):
                    stop = self.callback(self.history[-1])
                if stop:
                    self.status = PursuitStatus.INTERRUPTED
                    return True
        return interior > 0

    def _record(self, iterate: Iterate) -> bool:
        """Add an iterate to the history and return True if it is a solution."""
        seconds, active = monotonic() - self.started, int(np.count_nonzero(iterate.x))
        accuracy = iterate.gap, iterate.residual, iterate.dual_infeasibility
        self.history.append(PursuitProgress(self.steps, seconds, active, *accuracy))
        # Of several solutions the last one: it is the sparsest.
        if iterate.error < max(np.inf if self.best is None else self.best.error, self.tol):
            self.best = iterate
        return iterate.error <= self.tol

    def _limit(self) -> PursuitStatus | None:
        if self.steps >= self.max_steps:
            return PursuitStatus.STEP_LIMIT
        return PursuitStatus.TIME_LIMIT if monotonic() - self.started > self.max_time else None
