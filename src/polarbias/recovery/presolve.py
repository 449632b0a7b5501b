r"""Presolve: from a problem with weights to a `ScaledProblem`, and back.

The columns are divided by their weights, and A and b by one number each, so that all weights are 1. Entries of infinite
weight and zero columns are left out. A signed entry of weight 0 is free: the problem is solved on the orthogonal
complement of the free columns. A nonnegative entry of weight 0 has the bound 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, optimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

from polarbias.errors import InvalidInput
from polarbias.linalg.columns import Columns, ExplicitColumns, OperatorColumns
from polarbias.problems.certificate import MOST_ENTRIES
from polarbias.problems.linear import LinearProblem, squared_column_norms
from polarbias.recovery.options import OPTIONS
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem

_PROJECTION_TOL = 1e-13  # rounding of a projection, relative to the norm of what is projected


@dataclass(frozen=True, eq=False)
class Presolve:
    """A problem, its scaled form, and the way back.

    Attributes
    ----------
    scaled
        The scaled problem, or None if free entries alone solve the problem or b is within sigma of 0.
    taken, size, unit
        Indices of its entries of x, divisors of their columns, and the common factor of these divisors.
    length
        Divisor of b.
    free, free_columns, complement
        Indices of the entries of weight 0, their columns, and an orthonormal basis of the complement, or None.
    """

    problem: LinearProblem
    scaled: ScaledProblem | None
    taken: np.ndarray
    size: np.ndarray
    unit: float
    length: float
    free: np.ndarray
    free_columns: np.ndarray
    complement: np.ndarray | None = None

    def scale(self, x: np.ndarray, y: np.ndarray) -> Iterate:
        """Return a pair of the problem as an iterate of the scaled problem."""
        assert self.scaled is not None
        y = (y if self.complement is None else self.complement.T @ y) * self.unit
        return self.scaled.measure(x[self.taken] * self.size / self.length, y)

    def unscale(self, iterate: Iterate | None) -> tuple[np.ndarray, np.ndarray]:
        """Return an iterate of the scaled problem as a pair of the problem; None stands for zeros."""
        x, y = np.zeros(self.problem.n), np.zeros(self.problem.m)
        if iterate is not None:
            x[self.taken] = iterate.x * self.length / self.size
            y = self.unscale_dual(iterate.y / self.unit)
        if self.complement is not None:
            rest = self.problem.b - self.problem.apply(x)
            x[self.free] = np.linalg.lstsq(self.free_columns, rest, rcond=None)[0]
        elif self.free.size and self.scaled is None:
            x[self.free] = optimize.nnls(self.free_columns, self.problem.b)[0]
        return x, y

    def unscale_dual(self, y: np.ndarray) -> np.ndarray:
        """Return a dual direction of the scaled problem in the rows of the problem, shape ``(M,)``."""
        return y if self.complement is None else np.asarray(self.complement @ y)


def presolve(problem: LinearProblem, weights: np.ndarray, nonnegative: bool, sigma: float) -> Presolve:
    """Scale a problem, or raise `InvalidInput` for weights of 0 with an operator or a large sparse matrix."""
    matrix = _transposed(problem, weights)
    b, norms = np.asarray(problem.b, np.float64), np.sqrt(squared_column_norms(problem.A))
    rounding = _PROJECTION_TOL * float(np.linalg.norm(b))
    used = np.isfinite(weights)
    if matrix is not None:  # the norms of an operator's columns are estimates
        used &= norms > 0
    free = np.flatnonzero(used & (weights == 0))
    free_columns = matrix[free].T if free.size else np.zeros((problem.m, 0))
    complement = None
    if free.size and not nonnegative:
        used &= weights > 0
        complement = _complement(free_columns)
        b = complement.T @ b
    taken = np.flatnonzero(used)
    norms, w = norms[taken], weights[taken]
    if matrix is not None and taken.size < problem.n:
        matrix = matrix[taken]
    if complement is not None:
        matrix = matrix @ complement
        left = np.linalg.norm(matrix, axis=1)
        kept = left > _PROJECTION_TOL * norms
        matrix, norms = matrix * kept[:, None], np.where(kept, left, 0.0)
    penalized = w > 0
    unit = float(np.linalg.norm(norms[penalized] / w[penalized])) / (np.count_nonzero(penalized) or 1) ** 0.5 or 1.0
    size = np.where(penalized, w * unit, np.where(norms > 0, norms, 1.0))
    length, scaled = float(np.linalg.norm(b)), None
    nearest = optimize.nnls(free_columns, b)[1] if free.size and nonnegative else length
    if nearest > max(rounding, sigma):
        columns: Columns
        if matrix is None:
            columns = OperatorColumns(aslinearoperator(problem.A), size, taken)
        elif isinstance(matrix, csr_array):
            columns = ExplicitColumns(matrix.multiply(1 / size[:, None]).tocsr())
        else:
            columns = ExplicitColumns(matrix, size)
        scaled = ScaledProblem(columns, b / length, np.where(penalized, 1.0, 0.0), nonnegative, sigma / length)
    return Presolve(problem, scaled, taken, size, unit, length, free, free_columns, complement)


def _transposed(problem: LinearProblem, weights: np.ndarray) -> Any:
    """Return A^T as a float64 array or, if its products are faster, a ``csr_array``; None for an operator."""
    if problem.is_dense:
        return np.asarray(problem.A, np.float64).T
    entries, positive = problem.m * problem.n, (weights > 0).all()
    if not hasattr(problem.A, "toarray") or entries > MOST_ENTRIES:
        if not positive:
            raise InvalidInput("weights of 0 need a dense A, or a sparse one of moderate size; this is an operator.")
        return None
    if entries > OPTIONS.sparse_entries and problem.A.nnz <= OPTIONS.sparse_share * entries and positive:
        return csr_array(problem.A.T)
    return problem.A.toarray().T


def _complement(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the orthogonal complement of some columns, shape ``(M, k)``."""
    q, r, _ = linalg.qr(columns, mode="full", pivoting=True)
    pivots = np.abs(np.diagonal(r))
    rank = int((pivots > pivots[0] * max(columns.shape) * np.finfo(float).eps).sum())
    return np.asarray(q[:, rank:])
