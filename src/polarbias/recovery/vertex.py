r"""From a guess of the support to the solution itself: least squares on the support, for both sides.

With the signs and the support S of a solution, A_S x_S = b and A_S^T y = sign(x_S) determine x_S and, up to what is
orthogonal to the columns of S, y.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, optimize

from polarbias.linalg.columns import Columns, ExplicitColumns
from polarbias.recovery.task import Point, Task

ROUNDS = 2
"""Rounds of iterative refinement."""

NEARLY = 1e-10
"""Shift of a normal matrix that may be singular."""

_FINE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}

SPARE = 4
"""Columns among which `completed` looks, for each one that a full support lacks."""

MOST_OPEN = 1000
"""Columns for which its linear program stays small beside the factorizations."""

CLOSELY = 1e-12
"""Excess of a dual vector over its bounds that is rounding."""

DEPENDENT = 1e-12
"""Pivot of a QR factorization, relative to the first, at which a column depends on those before it."""


def polished(task: Task, point: Point, support: np.ndarray) -> Point | None:
    """Return the point that is exact on a support, or None where signs change.

    Parameters
    ----------
    task
        The problem.
    point
        Its x gives the signs, its y what is not determined.
    support
        Indices, shape ``(k,)``; of dependent columns some are left out.
    """
    if not support.size:
        return None
    try:
        return _solved(task, point, support)
    except linalg.LinAlgError:
        pass
    try:
        return _solved(task, point, independent(task, point.x, support))
    except linalg.LinAlgError:
        return None


def _solved(task: Task, point: Point, support: np.ndarray) -> Point | None:
    """Return the point that solves both systems on a support, or None if signs change."""
    signs = np.sign(point.x[support])
    slopes = task.bound[support] * signs
    columns = task.columns.take(support)
    x, y = point.x[support], point.y
    if task.sigma:
        x, y = _on_the_sphere(task, columns, slopes)
    elif support.size <= task.m:
        solve = columns.gram_solver()
        for _ in range(ROUNDS):
            x = x + solve(columns.adjoint(task.b - columns.apply(x)))
            y = y + columns.apply(solve(slopes - columns.adjoint(y)))
    else:
        solve = columns.normal_solver(0.0)
        for _ in range(ROUNDS):
            x = x + columns.adjoint(solve(task.b - columns.apply(x)))
            y = y + solve(columns.apply(slopes - columns.adjoint(y)))
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x * signs >= 0).all()):
        return None
    whole = np.zeros(task.n)
    whole[support] = x
    return Point(whole, y, task.columns.adjoint(y), float(np.linalg.norm(task.b - columns.apply(x))))


def completed(task: Task, point: Point) -> Point | None:
    """Return the point with what its support leaves of b made up by columns near their bounds, or None.

    Entries far below the largest are lost in the rounding of an interior point. The dual vector knows which columns
    they may belong to, and their signs; few are needed, for their contributions off the span of the support. Its own
    smallest entries may give way.
    """
    support = np.flatnonzero(point.x)
    count = SPARE * (task.m - support.size + 1)
    if not isinstance(task.columns, ExplicitColumns) or not 0 < count <= MOST_OPEN or task.sigma:
        return None
    room = np.maximum(task.bound - (point.slopes if task.nonnegative else np.abs(point.slopes)), 0.0)
    support = support[np.argsort(np.abs(point.x[support]))]
    others = np.setdiff1d(np.arange(task.n), support)
    near = others[np.argsort(room[others])[:count]]
    sure, open_ = support[count:], np.concatenate([support[:count], near])
    signs = np.ones(open_.size) if task.nonnegative else np.sign(point.slopes[open_])
    unit = max(float(room[open_].max()), 1e-300)
    columns, added = task.columns.take(sure), task.columns.take(open_).dense() * signs[:, None]
    try:
        solve = columns.gram_solver() if sure.size else _nothing
        # In coordinates of the complement no more columns than its dimension can be needed.
        beside = np.array([one - columns.apply(solve(columns.adjoint(one))) for one in added])
        axes, sizes, parts = linalg.svd(beside.T, full_matrices=False)
        axes, parts = axes[:, : task.m - sure.size], (sizes[:, None] * parts)[: task.m - sure.size]
        missed = axes.T @ (task.b - columns.apply(point.x[sure]))
        size = float(np.linalg.norm(missed))
        found = optimize.linprog(room[open_] / unit, A_eq=parts, b_eq=missed / size, method="highs-ds", options=_FINE)
        if found.x is None:
            return None
        basis, values = np.flatnonzero(found.x > 0), np.zeros(open_.size)
        values[basis] = np.linalg.lstsq(parts[:, basis], missed, rcond=None)[0]
    except linalg.LinAlgError:
        return None
    whole, goal = np.zeros(task.n), task.b - values @ added
    x = point.x[sure]
    for _ in range(ROUNDS):
        x = x + solve(columns.adjoint(goal - columns.apply(x)))
    if values.min() < 0 or (x * np.sign(point.x[sure]) < 0).any():
        return None
    whole[sure], whole[open_] = x, signs * values
    # The program's own dual vector says how y may move off the span of the support.
    y = point.y + unit * (axes @ found.eqlin.marginals)
    slopes = task.columns.adjoint(y)
    if task.excess(slopes) <= max(task.excess(point.slopes), CLOSELY):
        return Point(whole, y, slopes)
    return Point(whole, point.y, point.slopes)


def _nothing(v: np.ndarray) -> np.ndarray:
    return np.zeros(0)


def in_the_ball(task: Task, point: Point) -> Point:
    """Return the point with x moved as little as brings A x to within sigma of b, on its support."""
    support = np.flatnonzero(point.x)
    columns, whole = task.columns.take(support), point.x.copy()
    missed = task.b - columns.apply(whole[support])
    beyond = 1 - task.radius / float(np.linalg.norm(missed))
    if beyond > 0:
        whole[support] += columns.adjoint(columns.normal_solver(NEARLY)(beyond * missed))
    return Point(whole, point.y, point.slopes)


def vertex(task: Task, x: np.ndarray, slack: np.ndarray) -> Point | None:
    """Return the basic solution of the M columns whose entries are largest in units of their bound's slack, or None.

    Every basis of signed signals is feasible: its signs follow from b.
    """
    if not isinstance(task.columns, ExplicitColumns) or task.n < task.m:
        return None
    weight = np.abs(x) / np.maximum(slack, 1e-300)
    basis = np.argpartition(-weight, task.m - 1)[: task.m]
    factor, info = _lu(task.columns.take(basis).dense())
    if info:
        return None
    whole = np.zeros(task.n)
    whole[basis] = values = linalg.lu_solve(factor, task.b, trans=1, check_finite=False)
    if not np.isfinite(values).all() or (task.nonnegative and values.min() < 0):
        return None
    y = linalg.lu_solve(factor, task.bound[basis] * np.sign(values), check_finite=False)
    return Point(whole, y, task.columns.adjoint(y))


def _lu(matrix: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Return the LU factors of a matrix, and a positive number if it is singular."""
    factor, pivots, info = linalg.lapack.dgetrf(matrix)
    return (factor, pivots), int(info)


def independent(task: Task, x: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return the part of a support that is left when x moves along dependences of its columns until entries vanish.

    A x does not change, nor, where a dual vector has its bounds as slopes on the support, does the norm.
    """
    if not isinstance(task.columns, ExplicitColumns):
        return support
    support, values = support.copy(), x[support]
    while support.size > 1:
        r, pivots = linalg.qr(task.columns.take(support).dense().T, mode="r", pivoting=True, check_finite=False)
        size = np.abs(np.diagonal(r))
        rank = int((size > DEPENDENT * size[0]).sum())
        if rank == support.size or not rank:
            break
        dependence = np.zeros(support.size)
        dependence[pivots[:rank]] = -linalg.solve_triangular(r[:rank, :rank], r[:rank, rank], check_finite=False)
        dependence[pivots[rank]] = 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(values * dependence < 0, -values / dependence, np.inf)
        if not np.isfinite(steps).any():
            dependence, steps = -dependence, np.where(values * dependence > 0, values / dependence, np.inf)
        first = int(np.argmin(steps))
        if not np.isfinite(steps[first]):
            break
        values = values + steps[first] * dependence
        support, values = np.delete(support, first), np.delete(values, first)
    return support


def _on_the_sphere(task: Task, columns: Columns, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return x on the support and y with A_S^T y = slopes, y parallel to b - A x, and that of length sigma.

    .. math:: x = G^{-1} (A_S^\top b - \lambda\, \mathrm{slopes}), \quad G = A_S^\top A_S, \quad
              \sigma^2 = \lVert b - A_S G^{-1} A_S^\top b \rVert^2
              + \lambda^2\, \mathrm{slopes}^\top G^{-1}\, \mathrm{slopes}.
    """
    solve = columns.gram_solver()
    nearest = np.zeros(slopes.size)
    for _ in range(ROUNDS):
        nearest = nearest + solve(columns.adjoint(task.b - columns.apply(nearest)))
    change = solve(slopes)
    change = change + solve(slopes - columns.adjoint(columns.apply(change)))
    missed = task.b - columns.apply(nearest)
    left = task.radius**2 - missed @ missed
    if not left > 0:
        raise linalg.LinAlgError("sigma is out of reach on this support")
    by = float(np.sqrt(left / (slopes @ change)))
    return nearest - by * change, missed / by + columns.apply(change)
