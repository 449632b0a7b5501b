"""Extended precision, exact scaling and the inverse of independent columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import qr, solve_triangular

from polarbias.problems.certificate import power_of_two

_DEPENDENCE_TOL = 1e-13  # relative distance to the span of other columns below which a column counts as dependent


def wide(array: Any) -> np.ndarray:
    """Return ``array`` in the widest floating-point type of the machine: 80 bits on x86, 64 on some others."""
    return np.asarray(array, dtype=np.longdouble)


def norm(vector: np.ndarray) -> Any:
    """Return the Euclidean norm in the precision of ``vector``, without overflow or underflow."""
    size = np.abs(vector).max()
    return size if size == 0 else size * np.sqrt(((vector / size) ** 2).sum())


def ratio(part: Any, whole: Any) -> np.float64:
    """Return part / whole, with 0 / 0 = 0."""
    if whole == 0:
        return np.float64(0 if part == 0 else np.inf)
    return np.float64(part / whole)


def residual(A: np.ndarray, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``b - A x``, computed in extended precision and rounded to double."""
    return np.asarray(wide(b) - wide(A) @ wide(x), dtype=np.float64)


def scaled(A: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return ``(B, c, row, size)`` with B = A / row and c = b / row / size, whose rows and entries are of size 1."""
    height = np.abs(A).max(axis=1)
    row = power_of_two(np.where(height > 0, height, height.max()))
    c = b / row
    size = float(power_of_two(np.abs(c).max()))
    return A / row[:, None], c / size, row, size


def inverse(B: np.ndarray) -> np.ndarray:
    """Return G with G B = 1 on a largest set of independent columns of B, and 0 elsewhere.

    ``B @ G @ c`` is the point of the range of B nearest to c, and ``G.T @ cost`` the least-norm solution of
    B^T y = cost, if there is one.
    """
    column = power_of_two(np.abs(B).max(axis=0))
    # Not the pseudoinverse: a singular value decomposition of this size slows down a hundredfold when BLAS runs
    # more threads than there are idle cores.
    Q, R, order = qr(B / column, mode="economic", pivoting=True)
    sizes = np.abs(np.diagonal(R))
    rank = int((sizes > _DEPENDENCE_TOL * sizes[0]).sum())
    G = np.zeros(B.T.shape)
    if rank:  # SciPy before 1.14 rejects empty factors
        G[order[:rank]] = solve_triangular(R[:rank, :rank], Q[:, :rank].T)
    return np.asarray(G / column[:, None])
