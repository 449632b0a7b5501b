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
    signs = np.sign(point.x[support])
    columns = task.columns[support]
    if not support.size:
        return None
    x, y = point.x[support], point.y
    try:
        if support.size <= task.m:
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
