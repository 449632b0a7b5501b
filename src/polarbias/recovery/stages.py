"""The stages of a pursuit: a greedy guess, an interior point method, and proximal steps for noise and operators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import optimize

from polarbias.errors import NotReachable
from polarbias.linalg.columns import ExplicitColumns
from polarbias.linalg.normal_equations import REACHED, DenseOperator
from polarbias.problems.certificate import separating_vector
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.greedy import greedy
from polarbias.recovery.interior_point import Factor, Iterate, Program, barrier_steps, cholesky, orthogonal
from polarbias.recovery.monitor import Monitor
from polarbias.recovery.proximal import Unbounded, proximal_step
from polarbias.recovery.task import Point, Task
from polarbias.recovery.vertex import completed, in_the_ball, polished, vertex

FIRST_LENGTH = 30.0
"""Length of the first proximal step, in units of the size of an entry if all M rows had one of their own."""

LONGER = 10.0
"""Factor from one proximal step to the next."""

PROXIMAL_STEPS = 8

MOST_NEWTON_STEPS = 500

BARRIER_STEPS = 60

NEAR = 3
"""Columns that Newton's matrix of the interior point method is built from, in units of M."""

SETTLED = 0.1
"""Gap of an interior point from which on a guess of the support is worth a try."""

CLOSE = 1e-4
"""The same for a guess with more than M / 2 entries, whose cost is no trifle."""

FULL = 0.9
"""Entries above their slack, as a share of M, from which on a vertex is expected."""

SHORT = 1e-6
"""Residual of a support below which it lacks small entries only."""

ENOUGH = 3
"""Interior points within tol, full of tiny entries, after which a sparse solution is not waited for any longer."""

NEGLIGIBLE = 1e-10
"""Share of the largest entry at which an entry counts as rounding when the support is guessed."""


def solve(task: Task, start: Point | None, monitor: Monitor) -> None:
    """Show the monitor better and better points until one is a solution, or nothing helps.

    Raises
    ------
    Unbounded
        No signal solves A x = b.
    Enough
        See `Monitor.solves`.
    """
    if not task.n:
        raise Unbounded(task.b)
    if start is not None and not start.y.any():
        start = None
    if start is not None and _solved(task, _on_support(task, start), monitor):
        return
    known = greedy(task, monitor) if start is None and not task.sigma else None
    if _solved(task, known, monitor):
        return
    y = task.b if start is None else start.y
    if isinstance(task.columns, ExplicitColumns):
        program = Program(task.columns.packed(), task.b, task.bound, task.nonnegative, task.sigma)
        if _interior(task, program, y, cholesky, NEAR * task.m, known, monitor):
            return
        _check_reach(task)
    if task.sigma or not isinstance(task.columns, ExplicitColumns):
        near = monitor.best if monitor.merit < CLOSE else known
        _proximal(task, near or start or _first(task), FIRST_LENGTH / task.m**0.5, monitor)
        return
    # The careful way: rows made independent, all columns, and factors that keep the digits of small weights.
    try:
        rows = DenseOperator(LinearProblem(task.columns.dense().T, task.b), signed=False)
    except NotReachable as reason:
        raise Unbounded(np.asarray(reason.separating)) from reason
    program = Program(rows.columns, rows.b, task.bound, task.nonnegative)
    if _interior(task, program, None, orthogonal, task.n, None, monitor, rows) or monitor.best is None:
        return
    _proximal(task, monitor.best, 1e3 * float(np.abs(monitor.best.x).max()), monitor)


def _solved(task: Task, point: Point | None, monitor: Monitor) -> bool:
    return point is not None and monitor.solves(task, point)


def _on_support(task: Task, point: Point) -> Point | None:
    """Return what least squares makes of a point, on the entries that are not rounding."""
    size = np.abs(point.x)
    return polished(task, point, np.flatnonzero(size > NEGLIGIBLE * size.max()))


def _first(task: Task) -> Point:
    """Return x = 0 and the largest multiple of b within the bounds, or b itself."""
    slopes = task.columns.adjoint(task.b)
    size = slopes if task.nonnegative else np.abs(slopes)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = task.bound / size
    most = float(ratios[size > 0].min(initial=np.inf))
    factor = most if 0 < most < np.inf else 1.0
    return Point(np.zeros(task.n), factor * task.b, factor * slopes)


def _proximal(task: Task, point: Point, length: float, monitor: Monitor) -> None:
    left = MOST_NEWTON_STEPS
    for _ in range(PROXIMAL_STEPS):
        point, made, solved = proximal_step(task, point, length, left, monitor.stop)
        left -= made
        monitor.steps += made
        if (solved and _solved(task, _on_support(task, point), monitor)) or monitor.solves(task, point):
            return
        if solved and task.sigma and monitor.solves(task, in_the_ball(task, point)):
            return
        if not solved:
            return
        length *= LONGER


def _interior(
    task: Task,
    program: Program,
    y: np.ndarray | None,
    factor: Factor,
    most_columns: int,
    known: Point | None,
    monitor: Monitor,
    rows: DenseOperator | None = None,
) -> bool:
    """Tell whether a solution was found, by the method or from one of its iterates.

    ``known`` is a point whose x may be right, ``rows`` leads from the program's rows to the task's.
    """
    within = 0

    def look(iterate: Iterate) -> bool:
        nonlocal within
        monitor.steps += 1
        if rows is None:
            point = Point(iterate.x, iterate.y, iterate.slopes, iterate.missed)
        else:
            y = rows.rows(iterate.y)
            point = Point(iterate.x, y, task.columns.adjoint(y))
        if any(_solved(task, candidate, monitor) for candidate in _candidates(task, point, iterate, known)):
            within = ENOUGH
        else:
            within += monitor.solves(task, point)
        return within >= ENOUGH

    barrier_steps(program, y, factor, most_columns, BARRIER_STEPS, look)
    return within > 0


def _candidates(task: Task, point: Point, iterate: Iterate, known: Point | None) -> Iterator[Point | None]:
    """Yield exact points that an interior point suggests."""
    if known is not None and _value(task, known) - float(task.b @ point.y) <= 2 * iterate.gap * _value(task, point):
        yield polished(task, Point(known.x, point.y, point.slopes), np.flatnonzero(known.x))
    support, exact = np.flatnonzero(np.abs(point.x) > iterate.slack), None
    if support.size <= task.m and iterate.gap < (CLOSE if 2 * support.size > task.m else SETTLED):
        exact = polished(task, point, support)
        yield exact
    if iterate.gap < CLOSE and support.size > FULL * task.m:
        yield vertex(task, point.x, iterate.slack)
    if exact is not None:
        gap, residual, excess = exact.measure(task)
        if max(abs(gap), excess) < residual < SHORT:
            yield completed(task, exact)


def _value(task: Task, point: Point) -> float:
    return float(task.bound @ np.abs(point.x))


def _check_reach(task: Task) -> None:
    """Raise `Unbounded` if no signal comes to within sigma of b."""
    assert isinstance(task.columns, ExplicitColumns)
    A = task.columns.dense().T
    if not task.sigma:
        y, distance = separating_vector(A, task.b, signed=not task.nonnegative)
        if distance > REACHED:
            raise Unbounded(y)
        return
    x = optimize.nnls(A, task.b)[0] if task.nonnegative else np.linalg.lstsq(A, task.b, rcond=None)[0]
    missed = task.b - A @ x
    if np.linalg.norm(missed) > task.sigma * (1 + REACHED):
        raise Unbounded(missed)
