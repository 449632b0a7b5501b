r"""Exact solutions on an estimated support: least squares for x and for y.

The signs and the support S of a solution determine x by A_S x_S = b and, up to the complement of the columns of S, y by
A_S^T y = sign(x_S).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, optimize

from polarbias.linalg.columns import Columns, ExplicitColumns
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem

ZERO_TOL = 1e-10
"""Entries below this multiple of the largest are rounding errors; 1e-12 and 1e-8 give the same supports."""

_MOST_CANDIDATES = 1000  # a linear program of this size costs as much as a factorization with 1000 rows
_REFINEMENTS = 2  # rounds of iterative refinement: the second reaches rounding level


def polish(problem: ScaledProblem, x: np.ndarray, y: np.ndarray, support: np.ndarray) -> Iterate | None:
    """Return the pair that is exact on a support, or None if an entry of x changes its sign.

    x gives the signs, y the component of the dual vector outside the span of the support's columns; dependent columns
    leave the support.
    """
    if not support.size:
        return None
    for _ in range(2):
        try:
            return _least_squares(problem, x, y, support)
        except linalg.LinAlgError:
            support = independent_part(problem, x, support)
    return None


def polish_large_entries(problem: ScaledProblem, x: np.ndarray, y: np.ndarray) -> Iterate | None:
    """Return `polish` on the entries above rounding level."""
    size = np.abs(x)
    return polish(problem, x, y, np.flatnonzero(size > ZERO_TOL * size.max()))


def _least_squares(problem: ScaledProblem, x: np.ndarray, y: np.ndarray, support: np.ndarray) -> Iterate | None:
    signs = np.sign(x[support])
    signed_bound, columns, values = problem.bound[support] * signs, problem.columns.take(support), x[support]
    if problem.sigma:
        values, y = _on_sphere(problem, columns, signed_bound)
    elif support.size <= problem.m:
        solve = columns.gram_solver()
        for _ in range(_REFINEMENTS):
            values = values + solve(columns.adjoint(problem.b - columns.apply(values)))
            y = y + columns.apply(solve(signed_bound - columns.adjoint(y)))
    else:
        solve = columns.normal_solver(0.0)
        for _ in range(_REFINEMENTS):
            values = values + columns.adjoint(solve(problem.b - columns.apply(values)))
            y = y + solve(columns.apply(signed_bound - columns.adjoint(y)))
    if not (np.isfinite(values).all() and np.isfinite(y).all() and (values * signs >= 0).all()):
        return None
    whole = np.zeros(problem.n)
    whole[support] = values
    return problem.measure(whole, y, residual_norm=float(np.linalg.norm(problem.b - columns.apply(values))))


def _on_sphere(problem: ScaledProblem, columns: Columns, signed_bound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return x on the support and y with A_S^T y = c, y parallel to b - A x, and \|\|b - A x\|\| = sigma.

    .. math:: x = G^{-1} (A_S^\top b - \lambda\, c), \quad G = A_S^\top A_S, \quad
              \sigma^2 = \lVert b - A_S G^{-1} A_S^\top b \rVert^2
              + \lambda^2\, c^\top G^{-1} c,

    where c is ``signed_bound``.
    """
    solve = columns.gram_solver()
    nearest = np.zeros(signed_bound.size)
    for _ in range(_REFINEMENTS):
        nearest = nearest + solve(columns.adjoint(problem.b - columns.apply(nearest)))
    change = solve(signed_bound)
    change = change + solve(signed_bound - columns.adjoint(columns.apply(change)))
    residual = problem.b - columns.apply(nearest)
    remaining = problem.radius**2 - residual @ residual
    if not remaining > 0:
        raise linalg.LinAlgError("no signal on this support is within sigma of b")
    multiplier = float(np.sqrt(remaining / (signed_bound @ change)))
    return nearest - multiplier * change, residual / multiplier + columns.apply(change)


def independent_part(problem: ScaledProblem, x: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return a part of a support with independent columns: x moves along dependencies until entries vanish.

    A x and the signs do not change, nor does the norm where |A_S^T y| attains its bounds for some y.
    """
    if not isinstance(problem.columns, ExplicitColumns):
        return support
    support, values = support.copy(), x[support]
    while support.size > 1:
        columns = problem.columns.take(support).dense().T
        r, pivots = linalg.qr(columns, mode="r", pivoting=True, check_finite=False)
        size = np.abs(np.diagonal(r))
        rank = int((size > 1e-12 * size[0]).sum())
        if rank == support.size or not rank:
            break
        dependency = np.zeros(support.size)
        dependency[pivots[:rank]] = -linalg.solve_triangular(r[:rank, :rank], r[:rank, rank], check_finite=False)
        dependency[pivots[rank]] = 1.0
        steps = np.divide(-values, dependency, out=np.full_like(values, np.inf), where=dependency != 0)
        first = int(np.argmin(np.abs(steps)))
        values = values + steps[first] * dependency
        support, values = np.delete(support, first), np.delete(values, first)
    return support


def complete(problem: ScaledProblem, iterate: Iterate) -> Iterate | None:
    """Return an iterate whose residual is removed by columns with nearly active dual constraints, or None.

    The rounding error of an interior point exceeds entries far below the largest. The dual vector indicates their
    columns and signs; a small linear program chooses among those, in the complement of the other columns of the
    support. The smallest entries of the support may leave it.
    """
    support = np.flatnonzero(iterate.x)
    count = 4 * (problem.m - support.size + 1)
    if not (isinstance(problem.columns, ExplicitColumns) and 0 < count <= _MOST_CANDIDATES) or problem.sigma:
        return None
    slack = np.maximum(problem.bound - problem.sizes(iterate.correlations), 0.0)
    support = support[np.argsort(np.abs(iterate.x[support]))]
    others = np.setdiff1d(np.arange(problem.n), support)
    near = others[np.argsort(slack[others])[:count]]
    fixed, free = support[count:], np.concatenate([support[:count], near])
    signs = np.ones(free.size) if problem.nonnegative else np.sign(iterate.correlations[free])
    unit = max(float(slack[free].max()), 1e-300)
    columns, candidates = problem.columns.take(fixed), problem.columns.take(free).dense() * signs[:, None]
    try:
        solve = columns.gram_solver()
        # In coordinates of the complement no more columns than its dimension are needed.
        outside = np.array([one - columns.apply(solve(columns.adjoint(one))) for one in candidates])
        axes, sizes, parts = linalg.svd(outside.T, full_matrices=False)
        axes, parts = axes[:, : problem.m - fixed.size], (sizes[:, None] * parts)[: problem.m - fixed.size]
        residual = axes.T @ (problem.b - columns.apply(iterate.x[fixed]))
        highs_options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        target = residual / float(np.linalg.norm(residual))
        found = optimize.linprog(slack[free] / unit, A_eq=parts, b_eq=target, method="highs-ds", options=highs_options)
        if found.x is None:
            return None
        basis, values = np.flatnonzero(found.x > 0), np.zeros(free.size)
        values[basis] = np.linalg.lstsq(parts[:, basis], residual, rcond=None)[0]
    except linalg.LinAlgError:
        return None
    whole, rest = np.zeros(problem.n), problem.b - values @ candidates
    x = iterate.x[fixed]
    for _ in range(_REFINEMENTS):
        x = x + solve(columns.adjoint(rest - columns.apply(x)))
    if values.min() < 0 or (x * np.sign(iterate.x[fixed]) < 0).any():
        return None
    whole[fixed], whole[free] = x, signs * values
    # The program's own dual vector corrects y outside the span of the support.
    y = iterate.y + unit * (axes @ found.eqlin.marginals)
    correlations = problem.columns.adjoint(y)
    if problem.excess(correlations) <= max(problem.excess(iterate.correlations), 1e-12):
        return problem.measure(whole, y, correlations)
    return problem.measure(whole, iterate.y, iterate.correlations)


def restore_feasibility(problem: ScaledProblem, x: np.ndarray, y: np.ndarray) -> Iterate:
    """Return the pair with x moved on its support by the least norm that brings A x within sigma of b."""
    support = np.flatnonzero(x)
    columns, x = problem.columns.take(support), x.copy()
    residual = problem.b - columns.apply(x[support])
    beyond = 1 - problem.radius / float(np.linalg.norm(residual))
    if beyond > 0:
        x[support] += columns.adjoint(columns.normal_solver(1e-10)(beyond * residual))  # damped: it may be singular
    return problem.measure(x, y)


def vertex(problem: ScaledProblem, x: np.ndarray, slack: np.ndarray) -> Iterate | None:
    """Return the basic solution of the M columns with the largest ratios of entry to slack, or None.

    Every basis is feasible for signed signals: b determines the signs.
    """
    if not isinstance(problem.columns, ExplicitColumns) or problem.n < problem.m:
        return None
    ratio = np.abs(x) / np.maximum(slack, 1e-300)
    basis = np.argpartition(-ratio, problem.m - 1)[: problem.m]
    lu, pivots, info = linalg.lapack.dgetrf(problem.columns.take(basis).dense())
    if info:
        return None
    x = np.zeros(problem.n)
    x[basis] = values = linalg.lu_solve((lu, pivots), problem.b, trans=1, check_finite=False)
    if not np.isfinite(values).all() or (problem.nonnegative and values.min() < 0):
        return None
    return problem.measure(x, linalg.lu_solve((lu, pivots), problem.bound[basis] * np.sign(values), check_finite=False))
