r"""Entries that are 0 in every solution of :math:`A X = b`, :math:`X \ge 0`."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from polarbias.problems.linear import LinearProblem


def forced_zeros(problem: LinearProblem) -> np.ndarray:
    r"""Return a mask of the entries that are 0 in every nonnegative solution, shape ``(N,)``.

    One linear program: the maximum of :math:`\sum_n t_n` over :math:`A (t + s) = \lambda b`, :math:`0 \le t \le 1`,
    :math:`s \ge 0`, :math:`\lambda \ge 1` has t = 1 at the entries that can be positive and 0 at the others. False
    everywhere if the program has no solution, or A is not an array.

    >>> forced_zeros(LinearProblem([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], [0.0, 1.0]))
    array([ True,  True, False])
    """
    none = np.zeros(problem.n, dtype=bool)
    if not isinstance(problem.A, np.ndarray):
        return none
    size = np.abs(problem.A).max(1, keepdims=True)
    size[size == 0] = 1.0
    A, b = problem.A / size, problem.b / size[:, 0]
    scale = float(np.abs(b).max()) or 1.0
    n = problem.n
    found = linprog(
        np.r_[-np.ones(n), np.zeros(n + 1)],
        A_eq=np.hstack([A, A, -b[:, None] / scale]),
        b_eq=np.zeros(problem.m),
        bounds=[(0, 1)] * n + [(0, None)] * n + [(1, None)],
    )
    return none if found.x is None else np.asarray(found.x[:n] < 0.5)
