r"""Orthogonal matching pursuit, and the one dual vector that can prove its answer at no cost.

Where few entries are not 0 the greedy choice of columns is often right. The dual vector of least norm with
A_S^T y = sign(x_S) then is often within its bounds everywhere, and so proves it.

References
----------
Pati, Rezaiifar, Krishnaprasad, Orthogonal matching pursuit (1993). Fuchs, On sparse representations in arbitrary
redundant bases (2004).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from polarbias.pursuit.task import Point, Task

SHARE = 0.125
"""Entries that are chosen at most, as a share of M."""

REACHED = 1e-11
"""Residual, relative to b, at which no more entries are chosen."""


def greedy(task: Task) -> Point | None:
    """Return x and the least dual vector on a greedily chosen support, or None if it does not reach b."""
    most = int(SHARE * task.m)
    factor, chosen = np.zeros((most, most)), np.zeros(most, int)
    columns = np.zeros((most, task.m))
    inner, residual = np.zeros(most), task.b
    for k in range(most):
        slopes = task.columns.slopes(residual)
        chosen[k] = int(np.argmax(slopes if task.nonnegative else np.abs(slopes)))
        columns[k] = task.columns.part(chosen[k : k + 1]).array[0]  # type: ignore[attr-defined]
        gram = columns[: k + 1] @ columns[k]
        row = linalg.solve_triangular(factor[:k, :k], gram[:k], lower=True, check_finite=False) if k else gram[:0]
        pivot = gram[k] - row @ row
        if not pivot > 1e-12 * gram[k]:
            return None
        factor[k, :k], factor[k, k] = row, pivot**0.5
        inner[k] = columns[k] @ task.b
        x = linalg.cho_solve((factor[: k + 1, : k + 1], True), inner[: k + 1], check_finite=False)
        residual = task.b - x @ columns[: k + 1]
        if np.linalg.norm(residual) <= REACHED:
            support = chosen[: k + 1]
            signs = task.bound[support] * np.sign(x)
            y = linalg.cho_solve((factor[: k + 1, : k + 1], True), signs, check_finite=False) @ columns[: k + 1]
            whole = np.zeros(task.n)
            whole[support] = x
            return Point(whole, y, task.columns.slopes(y))
    return None
