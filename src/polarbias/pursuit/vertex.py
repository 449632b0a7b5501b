r"""From a guess of the support to the solution itself: least squares on the support, for both sides.

With the signs and the support S of a solution, A_S x_S = b and A_S^T y = sign(x_S) determine x_S and, up to what is
orthogonal to the columns of S, y.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from polarbias.pursuit.task import Point, Task

ROUNDS = 2
"""Rounds of iterative refinement."""

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
        Indices, shape ``(k,)``.
    """
    if not support.size:
        return None
    found = _solved(task, point, support)
    if found is None:
        fewer = independent(task, point.x, support)
        found = _solved(task, point, fewer) if fewer.size < support.size else None
    return found


def _solved(task: Task, point: Point, support: np.ndarray) -> Point | None:
    """Return the point that solves both systems on a support, or None if they are singular or signs change."""
    signs = np.sign(point.x[support])
    columns = task.columns[support]
    x, y = point.x[support], point.y
    try:
        if task.sigma:
            x, y = _on_the_sphere(task, columns, task.bound[support] * signs)
        elif support.size <= task.m:
            factor = linalg.cho_factor(columns @ columns.T, lower=True, check_finite=False)
            for _ in range(ROUNDS):
                x = x + linalg.cho_solve(factor, columns @ (task.b - x @ columns), check_finite=False)
                y = (
                    y
                    + linalg.cho_solve(factor, task.bound[support] * signs - columns @ y, check_finite=False) @ columns
                )
        else:
            factor = linalg.cho_factor(columns.T @ columns, lower=True, check_finite=False)
            for _ in range(ROUNDS):
                x = x + columns @ linalg.cho_solve(factor, task.b - x @ columns, check_finite=False)
                y = y + linalg.cho_solve(
                    factor, (task.bound[support] * signs - columns @ y) @ columns, check_finite=False
                )
    except linalg.LinAlgError:
        return None
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x * signs >= 0).all()):
        return None
    whole = np.zeros(task.n)
    whole[support] = x
    return Point(whole, y, task.columns @ y)


def independent(task: Task, x: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Return the part of a support that is left when x moves along dependences of its columns until entries vanish.

    A x does not change, nor, where a dual vector has its bounds as slopes on the support, does the norm.
    """
    support, values = support.copy(), x[support]
    while support.size > 1:
        r, pivots = linalg.qr(task.columns[support].T, mode="r", pivoting=True, check_finite=False)
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


def _on_the_sphere(task: Task, columns: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Return x on the support and y with A_S^T y = slopes, y parallel to b - A x, and that of length sigma.

    .. math:: x = G^{-1} (A_S^\top b - \lambda\, \mathrm{slopes}), \quad G = A_S^\top A_S, \quad
              \sigma^2 = \lVert b - A_S G^{-1} A_S^\top b \rVert^2
              + \lambda^2\, \mathrm{slopes}^\top G^{-1}\, \mathrm{slopes}.
    """
    factor = linalg.cho_factor(columns @ columns.T, lower=True, check_finite=False)
    nearest = np.zeros(slopes.size)
    for _ in range(ROUNDS):
        nearest = nearest + linalg.cho_solve(factor, columns @ (task.b - nearest @ columns), check_finite=False)
    change = linalg.cho_solve(factor, slopes, check_finite=False)
    change = change + linalg.cho_solve(factor, slopes - columns @ (change @ columns), check_finite=False)
    missed = task.b - nearest @ columns
    left = task.sigma**2 - missed @ missed
    if not left > 0:
        raise linalg.LinAlgError("sigma is out of reach on this support")
    by = float(np.sqrt(left / (slopes @ change)))
    return nearest - by * change, missed / by + change @ columns
