"""The stages of a pursuit, in the order in which they are tried.

A stage is a function of the best iterate so far (None at first). It returns an iterator that yields None before each
factorization, so that the caller can count and stop, and an iterate for each pair that may solve the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from polarbias.linalg.columns import ExplicitColumns
from polarbias.linalg.normal_equations import DenseNormalEquations, InfeasibleSystem
from polarbias.problems.certificate import farkas_certificate
from polarbias.problems.linear import borrowed
from polarbias.recovery.greedy import greedy
from polarbias.recovery.interior_point import InteriorPoint, cholesky_factorization, interior_points, qr_factorization
from polarbias.recovery.options import OPTIONS
from polarbias.recovery.proximal import proximal_step
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem
from polarbias.recovery.support import complete, polish, polish_large_entries, restore_feasibility, vertex

Iterates = Iterator[Iterate | None]
Stage = Callable[[Iterate | None], Iterates]


def stages(problem: ScaledProblem, start: Iterate | None) -> Iterator[Stage]:
    """Yield the stages for a problem and a warm start; this iterator or a stage may raise `InfeasibleSystem`."""
    if not problem.n:
        raise InfeasibleSystem(problem.b)
    warm = start if start is not None and start.y.any() else None
    if warm is not None:
        yield partial(_warm_start, problem, warm)
    elif not problem.sigma:
        yield lambda best: greedy(problem)
    if isinstance(problem.columns, ExplicitColumns):
        yield partial(_interior_point, problem, problem.b if warm is None else warm.y)
        data = borrowed(problem.columns.dense().T, problem.b)
        farkas = farkas_certificate(data, problem.nonnegative, sigma=problem.sigma)
        if farkas is not None:
            raise InfeasibleSystem(farkas)
        if not problem.sigma:
            yield partial(_fallback, problem)
    yield partial(_proximal_steps, problem)


def _warm_start(problem: ScaledProblem, start: Iterate, best: Iterate | None) -> Iterates:
    del best
    exact = polish_large_entries(problem, start.x, start.y)
    if exact is not None:
        yield exact
    yield start


def _interior_point(problem: ScaledProblem, y: np.ndarray, best: Iterate | None) -> Iterates:
    known = best if best is not None and not problem.sigma else None
    for point in interior_points(problem, y, cholesky_factorization, OPTIONS.newton_columns * problem.m):
        if point is None:
            yield None
        else:
            yield from _candidates(problem, point, known)
            yield problem.measure(point.x, point.y, point.correlations, point.residual_norm, interior=True)


def _candidates(problem: ScaledProblem, point: InteriorPoint, known: Iterate | None) -> Iterator[Iterate]:
    """Yield exact pairs on supports that an interior point suggests.

    ``known`` is an iterate whose x may be right.
    """
    value = float(problem.bound @ np.abs(point.x))
    if known is not None and known.value - float(problem.b @ point.y) <= 2 * point.gap * value:
        exact = polish(problem, known.x, point.y, np.flatnonzero(known.x))
        if exact is not None:
            yield exact
    support, exact = np.flatnonzero(np.abs(point.x) > point.slack), None
    large = 2 * support.size > problem.m
    if support.size <= problem.m and point.gap < (OPTIONS.expensive_gap if large else OPTIONS.cheap_gap):
        exact = polish(problem, point.x, point.y, support)
        if exact is not None:
            yield exact
    if point.gap < OPTIONS.expensive_gap and support.size > OPTIONS.vertex_share * problem.m:
        basic = vertex(problem, point.x, point.slack)
        if basic is not None:
            yield basic
    if (
        exact is not None
        and max(abs(exact.gap), exact.dual_infeasibility) < exact.residual < OPTIONS.completion_residual
    ):
        completed = complete(problem, exact)
        if completed is not None:
            yield completed


def _fallback(problem: ScaledProblem, best: Iterate | None) -> Iterates:
    """For ill-conditioned problems: drop dependent rows, use all columns and QR factorizations."""
    del best
    assert isinstance(problem.columns, ExplicitColumns)
    rows = DenseNormalEquations(borrowed(problem.columns.dense().T, problem.b), signed=False)
    reduced = replace(problem, columns=rows.columns, b=rows.b)
    for point in interior_points(reduced, None, qr_factorization, problem.n):
        if point is None:
            yield None
        else:
            y = rows.rows(point.y)
            correlations = problem.columns.adjoint(y)
            yield from _candidates(problem, point._replace(y=y, correlations=correlations), None)
            yield problem.measure(point.x, y, correlations, interior=True)


def _proximal_steps(problem: ScaledProblem, best: Iterate | None) -> Iterates:
    explicit = isinstance(problem.columns, ExplicitColumns)
    length = OPTIONS.first_length / problem.m**0.5
    if best is None or (explicit and problem.sigma and best.error > OPTIONS.expensive_gap):
        best = _small_start(problem)
    elif explicit and not problem.sigma:
        length = 1e3 * float(np.abs(best.x).max())  # one step suffices near the solution
    left = OPTIONS.newton_steps
    for _ in range(8):  # at 1e8 times the first length, rounding exceeds what a longer step could gain
        best, made, solved = yield from proximal_step(problem, best, length, left)
        left -= made
        if solved:
            exact = polish_large_entries(problem, best.x, best.y)
            if exact is not None:
                yield exact
        yield best
        if not solved:
            return
        if problem.sigma:
            yield restore_feasibility(problem, best.x, best.y)
        length *= OPTIONS.length_factor


def _small_start(problem: ScaledProblem) -> Iterate:
    """Return x = 0 and the largest multiple of b within the dual constraints, or b itself."""
    correlations = problem.columns.adjoint(problem.b)
    size = problem.sizes(correlations)
    rising = size > 0
    most = float((problem.bound[rising] / size[rising]).min(initial=np.inf))
    factor = most if 0 < most < np.inf else 1.0
    return problem.measure(np.zeros(problem.n), factor * problem.b, factor * correlations)
