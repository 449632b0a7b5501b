"""The stages of a pursuit: proximal steps where few entries are active, an interior point method where many are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize

from polarbias.certificate import separating_vector
from polarbias.errors import NotReachable
from polarbias.operator import REACHED, DenseOperator
from polarbias.problem import LinearProblem
from polarbias.pursuit.barrier import Iterate, barrier_steps
from polarbias.pursuit.columns import DenseColumns
from polarbias.pursuit.greedy import greedy
from polarbias.pursuit.monitor import Monitor
from polarbias.pursuit.proximal import Unbounded, proximal_step
from polarbias.pursuit.task import Point, Task
from polarbias.pursuit.vertex import polished

FIRST_LENGTH = 30.0
"""Length of the first proximal step, in units of the size of an entry if all M rows had one of their own."""

LONGER = 10.0
"""Factor from one proximal step to the next."""

PROXIMAL_STEPS = 8

BARRIER_STEPS = 15
"""Steps that the interior point method usually needs."""

BANDWIDTH = 10.0
"""Time of an operation of a product of matrix and vector over that of one of a factorization."""

STAKE = 0.5
"""Share of the interior point method's cost that may be spent on proximal steps before it gets its turn."""

MOST_NEWTON_STEPS = 500

CROWDED = 0.4
"""Active entries, as a share of M, from which on it is."""

CLOSE = 1e-3
"""Gap and residual of an interior point from which on its support is worth a try."""

NEGLIGIBLE = 1e-10
"""Share of the largest entry at which an entry counts as rounding when the support is guessed."""

Keep = Callable[[Point], object]


def solve(task: Task, start: Point | None, monitor: Monitor, keep: Keep) -> Point | None:
    """Return a solution, or None if no stage finds one.

    ``keep`` sees every point that is measured.

    Raises
    ------
    Unbounded
        No signal solves A x = b.
    Enough
        See `Monitor.solves`.
    """
    begin = _first(task) if start is None or not start.y.any() else start
    if start is None and isinstance(task.columns, DenseColumns) and not task.sigma:
        chosen = greedy(task)
        if chosen is not None:
            monitor.steps += 1
            keep(chosen)
            if monitor.solves(task, chosen):
                return chosen
            begin = chosen
    if not isinstance(task.columns, DenseColumns):
        return _proximal(task, begin, FIRST_LENGTH / task.m**0.5, (MOST_NEWTON_STEPS, np.inf), monitor, keep)
    found = _proximal(task, begin, FIRST_LENGTH / task.m**0.5, (_affordable(task), CROWDED), monitor, keep)
    if task.sigma and found is None:
        _check_reach(task)
        # The ball's curvature keeps Newton's matrices regular, so that proximal steps need no other start.
        return _proximal(task, begin, FIRST_LENGTH / task.m**0.5, (MOST_NEWTON_STEPS, np.inf), monitor, keep)
    last = None
    for graded in (False, True):
        if found is None:
            found, last = _interior(task, graded, monitor, keep)
    if found is None and last is not None:
        length = 1e3 * float(np.abs(last.x).max())
        found = _proximal(task, last, length, (MOST_NEWTON_STEPS, np.inf), monitor, keep)
    if found is None:
        _check_reach(task)
    return found


def _affordable(task: Task) -> int:
    """Return the Newton steps of the proximal method that cost as much as its stake."""
    products = BANDWIDTH * 4 * task.m * task.n
    factorization = (CROWDED * task.m / 2) ** 2 * task.m
    barrier = BARRIER_STEPS * (task.m**2 * task.n + products)
    return max(10, min(MOST_NEWTON_STEPS, int(STAKE * barrier / (products + factorization))))


def _first(task: Task) -> Point:
    """Return x = 0 and the largest multiple of b within the bounds, or b itself."""
    slopes = task.columns.slopes(task.b)
    size = slopes if task.nonnegative else np.abs(slopes)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = task.bound / size
    most = float(ratios[size > 0].min(initial=np.inf))
    factor = most if 0 < most < np.inf else 1.0
    return Point(np.zeros(task.n), factor * task.b, factor * slopes)


def _proximal(
    task: Task, point: Point, length: float, limits: tuple[float, float], monitor: Monitor, keep: Keep
) -> Point | None:
    left, crowded = limits
    for _ in range(PROXIMAL_STEPS):
        most = int(min(crowded * task.m, task.n))
        point, made, solved = proximal_step(task, point, length, int(left), most, monitor.stop)
        left -= made
        monitor.steps += made
        size = np.abs(point.x)
        better = polished(task, point, np.flatnonzero(size > NEGLIGIBLE * size.max())) if solved else None
        for candidate in (better, point):
            if candidate is not None:
                keep(candidate)
                if monitor.solves(task, candidate):
                    return candidate
        if not solved:
            return None
        length *= LONGER
    return None


def _interior(task: Task, graded: bool, monitor: Monitor, keep: Keep) -> tuple[Point | None, Point | None]:
    """Return a solution if one is found, and the last interior point."""
    assert isinstance(task.columns, DenseColumns)
    try:
        operator = DenseOperator(LinearProblem(task.columns.array.T, task.b), not task.nonnegative)
    except NotReachable as reason:
        raise Unbounded(np.asarray(reason.separating)) from reason
    found: list[Point] = []
    seen: list[Point] = []

    def look(iterate: Iterate) -> bool:
        p, s = iterate.p, iterate.s
        if not task.nonnegative:
            plus, minus = np.split(p, 2)
            p, s = plus - minus, np.minimum(*np.split(s, 2))
        y = operator.rows(iterate.y)
        point = Point(p, y, task.columns.slopes(y))
        seen.append(point)
        keep(point)
        monitor.steps += 1
        if monitor.solves(task, point):
            found.append(point)
        elif max(iterate.gap, iterate.residual) < CLOSE:
            better = polished(task, point, np.flatnonzero(np.abs(p) > s))
            if better is not None:
                keep(better)
                if monitor.solves(task, better):
                    found.append(better)
        return bool(found)

    bound = task.bound if task.nonnegative else np.tile(task.bound, 2)
    barrier_steps(operator, bound, 60, look, graded)
    return (found[0] if found else None), (seen[-1] if seen else None)


def _check_reach(task: Task) -> None:
    """Raise `Unbounded` if no signal comes to within sigma of b."""
    assert isinstance(task.columns, DenseColumns)
    A = task.columns.array.T
    if not task.sigma:
        y, distance = separating_vector(A, task.b, signed=not task.nonnegative)
        if distance > REACHED:
            raise Unbounded(y)
        return
    x = optimize.nnls(A, task.b)[0] if task.nonnegative else np.linalg.lstsq(A, task.b)[0]
    missed = task.b - A @ x
    if np.linalg.norm(missed) > task.sigma * (1 + REACHED):
        raise Unbounded(missed)
