r"""Certificates that are recomputed from the data: lower bounds for the minimal l1 norm, and proofs of infeasibility.

For any y with :math:`A^\top y \le w`, :math:`b^\top y \le \min \{ \langle w, z \rangle : A z = b, z \ge 0 \}`; for any
y with :math:`A^\top y \le 0` and :math:`b^\top y > 0` there is no such z.

>>> import numpy as np
>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
>>> y = feasible_dual(problem, np.array([0.6]), np.ones(2))
>>> y, float(problem.b @ y)
(array([0.5]), 0.5)
"""

from __future__ import annotations

import numpy as np

from polarbias.problem import LinearProblem


def feasible_dual(problem: LinearProblem, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return y, shrunk until ``A^T y <= weights``, shape ``(M,)``.

    Parameters
    ----------
    problem
        One problem, without batch axes.
    y
        Any vector, shape ``(M,)``.
    weights
        Positive weights, shape ``(N,)``; for signed signals shape ``(2 N,)``, the bounds of A^T y and of -A^T y.
    """
    slopes = problem.adjoint(y)
    if weights.size > problem.n:
        slopes = np.concatenate([slopes, -slopes])
    # A relative margin of rounding size keeps the bound on the safe side of its own rounding.
    return np.asarray(
        y / max(1.0, float((slopes / weights).max()) * (1 + 4 * np.finfo(float).eps * np.sqrt(problem.m)))
    )


def best_dual(problem: LinearProblem, candidates: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return the feasible multiple of a candidate with the largest b^T y, shape ``(M,)``; zero is always one."""
    feasible = [np.zeros(problem.m)]
    feasible += [feasible_dual(problem, y, weights) for y in candidates if np.isfinite(y).all()]
    return max(feasible, key=lambda y: float(problem.b @ y))


def separating_vector(A: np.ndarray, b: np.ndarray, *, signed: bool = False) -> tuple[np.ndarray, float]:
    """Return y with ``b^T y > 0`` and ``A^T y <= 0`` (``= 0`` if ``signed``), and how far b is from reach.

    The distance, relative to ``||b||``, is that from A {z >= 0} (from the range of A); y is the vector from the nearest
    point to b and proves nothing where the distance is of rounding size.
    """
    from scipy.optimize import nnls

    norms = np.linalg.norm(A, axis=1)
    rows = np.where(norms > 0, norms, 1.0)
    scaled, target = A / rows[:, None], b / rows
    if signed:
        missed = target - scaled @ np.linalg.lstsq(scaled, target)[0]
    else:
        missed = target - scaled @ nnls(scaled, target, maxiter=30 * A.shape[1])[0]
    return missed / rows, float(np.linalg.norm(missed) / np.linalg.norm(target))
