r"""The minimal l2 solution, by a QR decomposition with pivoting."""

from __future__ import annotations

import numpy as np

from polarbias.problems.linear import LinearProblem, require_dense, require_problem
from polarbias.problems.reference.extended import inverse, miss, norm, ratio, scaled, wide
from polarbias.problems.reference.minimum import TOLERANCE, Minimum, certified, each, infeasible, violations_l2


def minimal_l2(problem: LinearProblem) -> Minimum:
    r"""Return the minimal l2 solution :math:`A^+ b`, with y such that :math:`x = A^\top y`.

    Parameters
    ----------
    problem
        One problem, A of shape ``(M, N)``, or a batch, solved one by one.

    Returns
    -------
    Minimum
        ``value`` is :math:`\lVert x \rVert_2`.

    Raises
    ------
    Infeasible
        b is not in the range of A: the nearest point misses it by more than 1e-9, relative, with rows of A
        scaled to one size. Rows within 1e-13 of the span of others, relative, count as dependent on them.
    Inaccurate
        No solution could be certified to 1e-9.

    Notes
    -----
    The limit of depth 1 from small starts; no sign is required of x (Section 1.1 of arXiv:2305.05448v1).

    Examples
    --------
    >>> import polarbias as pb
    >>> best = pb.minimal_l2(pb.LinearProblem([[3.0, 4.0]], [5.0]))
    >>> best.x, float(best.value)
    (array([0.6, 0.8]), 1.0)
    """
    require_problem(problem)
    require_dense(problem, "minimal_l2")

    def solve(_: tuple[int, ...], one: LinearProblem) -> Minimum:
        x, y = _row_space_solution(one.A.astype(np.float64), one.b.astype(np.float64))
        return certified(one, x, y, norm(wide(x)), violations_l2(one, x, y))

    return each(problem, solve)


def _row_space_solution(A: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y with A x = b, x = A^T y, each from its own formula: x from y alone would lose digits."""
    B, c, row, size = scaled(A, b)
    missed = float(ratio(norm(miss(B, _solve(inverse(B), B, c), c)), norm(c)))
    if missed > TOLERANCE:
        raise infeasible(missed, "b is not in the range of A", "drop contradictory rows, or project b onto the range.")
    G = inverse(B.T)
    x = _solve(G.T, B, c)
    y = _solve(G, B.T, x)
    return x * size, y * (size / row)


def _solve(G: np.ndarray, B: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return G c with residuals c - B z in extended precision: the first pass solves, two more refine."""
    z = np.zeros(B.shape[1])
    for _ in range(3):
        z += G @ miss(B, z, c)
    return z
