"""Large problems by some of their columns: those whose dual constraints are, or were, violated."""

from __future__ import annotations

import numpy as np

from polarbias.pursuit.columns import DenseColumns
from polarbias.pursuit.monitor import Monitor
from polarbias.pursuit.proximal import Unbounded
from polarbias.pursuit.stages import Keep, solve
from polarbias.pursuit.task import Point, Task

WHOLE = 2_000_000
"""Entries of A up to which all columns are taken at once."""

FIRST = 2
"""Columns that are taken first, in units of M."""


def solve_by_columns(task: Task, start: Point | None, monitor: Monitor, keep: Keep) -> Point | None:
    """Do what `solve` does, on a growing set of columns.

    A dual vector of some columns that keeps the bounds of all others is one of the whole problem.
    """
    if not isinstance(task.columns, DenseColumns) or task.n * task.m <= WHOLE:
        return solve(task, start, monitor, keep)
    slopes = task.columns.slopes(task.b) if start is None else start.slopes
    chosen = _steepest(task, slopes, FIRST * task.m)
    if start is not None:
        chosen = np.union1d(chosen, np.flatnonzero(start.x))
    while True:
        part = task.part(chosen)
        begin = None if start is None else Point(start.x[chosen], start.y, start.slopes[chosen])
        try:
            found = solve(part, begin, monitor, lambda point: None)
        except Unbounded as reason:
            # The direction proves that these columns do not reach b; those on b's side of it could help.
            slopes = task.columns.slopes(reason.direction)
            size = slopes if task.nonnegative else np.abs(slopes)
            size[chosen] = 0
            new = _largest(size, task.m, 1e-12 * float(np.linalg.norm(reason.direction)))
            if not new.size:
                raise
            chosen = np.union1d(chosen, new)
            continue
        if found is None:
            return None
        x = np.zeros(task.n)
        x[chosen] = found.x
        start = Point(x, found.y, task.columns.slopes(found.y))
        keep(start)
        if monitor.solves(task, start):
            return start
        size = (start.slopes if task.nonnegative else np.abs(start.slopes)) - task.bound
        size[chosen] = 0
        new = _largest(size, max(task.m, chosen.size // 2), monitor.tol)
        if not new.size:
            return None
        chosen = np.union1d(chosen, new)


def _steepest(task: Task, slopes: np.ndarray, count: int) -> np.ndarray:
    """Return the columns with the largest slopes, and all whose entries cost nothing."""
    size = slopes if task.nonnegative else np.abs(slopes)
    size = np.where(task.bound > 0, size, np.inf)
    return np.sort(np.argsort(-size, kind="stable")[: max(count, int(np.isinf(size).sum()))])


def _largest(size: np.ndarray, count: int, above: float) -> np.ndarray:
    """Return the indices of the ``count`` largest entries above a number."""
    found = np.flatnonzero(size > above)
    return found[np.argsort(-size[found], kind="stable")[:count]]
