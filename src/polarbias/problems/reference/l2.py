r"""The minimal l2 solution, by a QR decomposition with pivoting."""

from __future__ import annotations

from typing import Any

import numpy as np

from polarbias.problems.linear import LinearProblem, require_dense, require_problem
from polarbias.problems.reference.extended import inverse, norm, ratio, residual, scaled, wide
from polarbias.problems.reference.minimum import TOLERANCE, Minimum, certified, each, infeasible


def minimal_l2(problem: LinearProblem) -> Minimum:
    r"""Return the minimal l2 solution :math:`A^+ b`, with y such that :math:`x = A^\top y`.

    Parameters
    ----------
    problem
        One problem, A of shape ``(M, N)``, or a batch, solved one by one.

    Returns
    -------
    Minimum
        ``value`` is :math:`\lVert x \rVert_2`. If b is not in the range of A, ``farkas`` proves it, x is NaN and the
        value inf. Rows within 1e-13 of the span of others, relative, count as dependent on them.

    Raises
    ------
    Inaccurate
        No solution could be certified to 1e-9.

    Notes
    -----
    The limit of depth 1 from small starts, for x of any sign (Section 1.1 of arXiv:2305.05448v1).

    Examples
    --------
    >>> import polarbias as pb
    >>> best = pb.minimal_l2(pb.LinearProblem([[3.0, 4.0]], [5.0]))
    >>> best.x, float(best.value)
    (array([0.6, 0.8]), 1.0)
    """
    require_problem(problem)
    require_dense(problem, "minimal_l2")
    return each(problem, lambda _, one: _minimal_l2(one))


def _minimal_l2(problem: LinearProblem) -> Minimum:
    B, c, row, size = scaled(problem.A.astype(np.float64), problem.b.astype(np.float64))
    distance = float(ratio(norm(residual(B, _solve(inverse(B), B, c), c)), norm(c)))
    if distance > TOLERANCE:
        return infeasible(problem, False, distance)
    # x and y each from its own formula: x from y alone would lose digits.
    G = inverse(B.T)
    x = _solve(G.T, B, c)
    y = _solve(G, B.T, x)
    x, y = x * size, y * (size / row)
    return certified(problem, x, y, norm(wide(x)), violations(problem, x, y))


def violations(problem: LinearProblem, x: np.ndarray, y: np.ndarray) -> list[Any]:
    r"""Return the relative violations of A x = b, x = A^T y, and \|\|x\|\|^2 = b^T y by a pair."""
    A, b, x, y = (wide(array) for array in (problem.A, problem.b, x, y))
    value = norm(x)
    gap = ratio(abs(value - b @ y / (value or 1)), value)
    return [ratio(norm(A @ x - b), norm(b)), ratio(norm(x - y @ A), value), gap]


def _solve(G: np.ndarray, B: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return G c with residuals c - B z in extended precision: the first pass solves, two more refine."""
    z = np.zeros(B.shape[1])
    for _ in range(3):
        z += G @ residual(B, z, c)
    return z
