"""Keeps the best pair of a pursuit, counts its steps, and says when it is enough."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np

from polarbias.recovery.result import PursuitProgress, PursuitStatus
from polarbias.recovery.task import Point, Task


class Enough(Exception):
    """A limit is reached or the caller has seen enough."""


class Monitor:
    """What the stages of a pursuit report to.

    Parameters
    ----------
    tol
        Gap, residual and excess at which a pair counts as a solution.
    max_steps, max_time
        Limits; None: no limit of time.
    callback
        See `basis_pursuit`.
    """

    def __init__(
        self,
        tol: float,
        max_steps: int,
        max_time: float | None,
        callback: Callable[[PursuitProgress], object] | None,
    ) -> None:
        """Start the clock."""
        self.tol, self.steps = tol, 0
        self.best: Point | None = None
        self.merit = np.inf  # the largest of gap, residual and excess of the best point
        self.history: list[PursuitProgress] = []
        self.ended: PursuitStatus | None = None
        self._max_steps, self._max_time, self._callback = max_steps, max_time, callback
        self._began = monotonic()
        self._errors: Any = np.geterr()  # the caller's own, for the callback

    def stop(self) -> bool:
        """Tell whether a limit of steps or time is reached."""
        if self.ended is None:
            if self.steps >= self._max_steps:
                self.ended = PursuitStatus.STEP_LIMIT
            elif self._max_time is not None and monotonic() - self._began > self._max_time:
                self.ended = PursuitStatus.TIME_LIMIT
        return self.ended is not None

    def solves(self, task: Task, point: Point) -> bool:
        """Note a point, keep it if it is the best so far, and tell whether it is a solution.

        Raises
        ------
        Enough
            A limit is reached, or the callback returned a true value.
        """
        gap, residual, excess = point.measure(task)
        active = int(np.count_nonzero(point.x))
        self.history.append(PursuitProgress(self.steps, monotonic() - self._began, active, gap, residual, excess))
        merit = max(abs(gap), residual, excess)
        if merit < max(self.merit, self.tol):  # among solutions the last one: what is tried last is sparse
            self.best, self.merit = point, merit
        if merit <= self.tol:
            return True
        if self._callback is not None:
            with np.errstate(**self._errors):
                if self._callback(self.history[-1]):
                    self.ended = PursuitStatus.INTERRUPTED
        if self.stop():
            raise Enough
        return False
