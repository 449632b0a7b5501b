r"""A greedy guess of the support, many columns at a time, and a dual vector that proves it.

Where few entries are not 0, the columns whose slopes stand out of what is left of b soon contain all columns of the
truth, and least squares on them gives it exactly, zeros included. The dual vector of least norm with
A_S^T y = sign(x_S) often is within its bounds, but for a few entries; these are held, too, until none is left.

References
----------
Donoho, Tsaig, Drori, Starck, Sparse solution of underdetermined systems of linear equations by stagewise orthogonal
matching pursuit (2012). Fuchs, On sparse representations in arbitrary redundant bases (2004).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from polarbias.linalg.columns import Columns, Solve
from polarbias.recovery.monitor import Monitor
from polarbias.recovery.task import Point, Task

STANDOUT = 3.0
"""Columns join whose slope is this many times what a random column's would be."""

SHARE = 0.75
"""Columns that are chosen at most, as a share of M."""

ROUNDS = 10
"""Times that columns join at most."""

ROUGH, EXACT = 1e-2, 1e-13
"""Relative residuals to which conjugate gradients solve; factorizations are exact anyway."""

REACHED = 1e-11
"""Residual, relative to b, at which no more columns are chosen."""

NOTHING = 1e-10
"""Share of the largest entry at which an entry counts as 0."""

HELD = 0.95
"""Share of its bound at which a slope is held that would exceed it."""

MOST_HELD = 0.95
"""Slopes that are given, as a share of M, at most."""


def greedy(task: Task, monitor: Monitor) -> Point | None:
    """Return a signal that reaches b, with a dual vector, or None."""
    chosen, x, residual = np.zeros(0, int), np.zeros(0), task.b
    most = int(SHARE * task.m)
    left = ROUNDS
    while left and not monitor.stop():
        slopes = task.columns.adjoint(residual)
        size = slopes if task.nonnegative else np.abs(slopes)
        unsolved = float(np.abs(slopes[chosen]).max(initial=0.0))  # what a rough solution has left
        size[chosen] = 0.0
        level = min(STANDOUT * float(np.linalg.norm(residual)) / task.m**0.5, max(unsolved, float(size.max())))
        new = np.flatnonzero(size >= level)
        left -= bool(new.size)
        chosen = np.concatenate([chosen, new[np.argsort(-size[new])][: most - chosen.size]])
        columns = task.columns.take(chosen)
        solve = _gram(columns, monitor, ROUGH)
        if solve is None:
            return None
        x = np.pad(x, (0, chosen.size - x.size)) + solve(columns.adjoint(residual))
        before, residual = float(np.linalg.norm(residual)), task.b - columns.apply(x)
        missed = float(np.linalg.norm(residual))
        if missed <= REACHED:
            kept = np.abs(x) > NOTHING * np.abs(x).max()
            if task.nonnegative and (x[kept] < 0).any():
                return None
            return _proved(task, chosen[kept], np.sign(x[kept]), monitor)
        if chosen.size == most or (not new.size and missed > before / 2):
            return None
    return None


def _gram(columns: Columns, monitor: Monitor, accuracy: float = EXACT) -> Solve | None:
    monitor.steps += 1
    try:
        return columns.gram_solver(accuracy)
    except linalg.LinAlgError:
        return None


def _proved(task: Task, support: np.ndarray, signs: np.ndarray, monitor: Monitor) -> Point | None:
    """Return the signal on a support with a dual vector: the least one, with more and more slopes held."""
    columns, given = task.columns.take(support), task.bound[support] * signs
    solve = _gram(columns, monitor)
    if solve is None:
        return None
    whole = np.zeros(task.n)
    whole[support] = x = solve(columns.adjoint(task.b))
    missed = float(np.linalg.norm(task.b - columns.apply(x)))
    held, point = support, None
    while solve is not None:
        y = columns.apply(solve(given))
        point = Point(whole, y, task.columns.adjoint(y), missed)
        size = point.slopes if task.nonnegative else np.abs(point.slopes)
        beyond = size > task.bound * (1 + monitor.tol)
        beyond[held] = False
        new = np.flatnonzero(beyond)
        if not new.size or held.size + new.size > MOST_HELD * task.m or monitor.stop():
            break
        held = np.concatenate([held, new])
        given = np.concatenate([given, HELD * task.bound[new] * np.sign(point.slopes[new])])
        columns = task.columns.take(held)
        solve = _gram(columns, monitor)
    return point
