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
from polarbias.linalg.columns import DenseColumns, OperatorColumns, SparseColumns
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
    problem
        The problem as given.
    scaled
        The scaled problem, or None if free entries alone solve the problem or b is within sigma of 0.
    taken
        Indices of the entries of x that the scaled problem has.
    size
        Divisors of their columns, shape ``(k,)``.
    unit
        The common factor of these divisors.
    length
        Divisor of b.
    free
        Indices of the entries of weight 0.
    free_columns
        Their columns, shape ``(M, f)``.
    complement
        Orthonormal basis of the complement of the free columns, shape ``(M, M')``, or None.
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
    """Scale a problem.

    Raises
    ------
    InvalidInput
        Weights of 0 for an operator or a sparse matrix of more than `MOST_ENTRIES` entries.
    """
    if problem.is_dense or (hasattr(problem.A, "toarray") and problem.m * problem.n <= MOST_ENTRIES):
        return _presolve_matrix(problem, weights, nonnegative, sigma)
    return _presolve_operator(problem, weights, nonnegative, sigma)


def _presolve_operator(problem: LinearProblem, weights: np.ndarray, nonnegative: bool, sigma: float) -> Presolve:
    if not (weights > 0).all():
        raise InvalidInput("weights of 0 need a dense A, or a sparse one of moderate size; this is an operator.")
    b, taken = np.asarray(problem.b, np.float64), np.flatnonzero(np.isfinite(weights))
    unit = _root_mean_square(np.sqrt(squared_column_norms(problem.A))[taken] / weights[taken])
    sizes = np.ones(problem.n)
    sizes[taken] = weights[taken] * unit
    length, scaled = float(np.linalg.norm(b)), None
    if length > sigma:
        columns = OperatorColumns(aslinearoperator(problem.A), sizes, taken)
        scaled = ScaledProblem(columns, b / length, np.ones(taken.size), nonnegative, sigma / length)
    none = np.zeros(0, int)
    return Presolve(problem, scaled, taken, sizes[taken], unit, length, none, np.zeros((problem.m, 0)))


def _presolve_matrix(problem: LinearProblem, weights: np.ndarray, nonnegative: bool, sigma: float) -> Presolve:
    b, columns = np.asarray(problem.b, np.float64), _transposed(problem, weights)
    rounding = _PROJECTION_TOL * float(np.linalg.norm(b))
    norms = np.sqrt(squared_column_norms(problem.A))
    used = np.isfinite(weights) & (norms > 0)
    free = np.flatnonzero(used & (weights == 0))
    free_columns = np.zeros((problem.m, 0)) if isinstance(columns, csr_array) else columns[free].T
    complement = None
    if free.size and not nonnegative:
        used &= weights > 0
        complement = _complement(free_columns)
        b = complement.T @ b
    taken = np.flatnonzero(used)
    if taken.size < problem.n:
        columns, norms = columns[taken], norms[taken]
    if complement is not None:
        columns = columns @ complement
        left = np.linalg.norm(columns, axis=1)
        kept = left > _PROJECTION_TOL * norms
        columns, norms = columns * kept[:, None], np.where(kept, left, 0.0)
    w = weights[taken]
    unit = _root_mean_square(norms[w > 0] / w[w > 0])
    size = np.where(w > 0, w * unit, np.where(norms > 0, norms, 1.0))
    length, scaled = float(np.linalg.norm(b)), None
    if length > max(rounding, sigma) and not (
        nonnegative and free.size and optimize.nnls(free_columns, b)[1] <= max(rounding, sigma)
    ):
        sparse = isinstance(columns, csr_array)
        divided = SparseColumns(columns.multiply(1 / size[:, None]).tocsr()) if sparse else DenseColumns(columns, size)
        scaled = ScaledProblem(divided, b / length, np.where(w > 0, 1.0, 0.0), nonnegative, sigma / length)
    return Presolve(problem, scaled, taken, size, unit, length, free, free_columns, complement)


def _transposed(problem: LinearProblem, weights: np.ndarray) -> Any:
    """Return A^T as a float64 array or, if products with its nonzero entries are faster, as a ``csr_array``."""
    if problem.is_dense:
        return np.asarray(problem.A, np.float64).T
    entries = problem.m * problem.n
    if entries > OPTIONS.sparse_entries and problem.A.nnz <= OPTIONS.sparse_share * entries and (weights > 0).all():
        return csr_array(problem.A.T)
    return problem.A.toarray().T


def _root_mean_square(values: np.ndarray) -> float:
    return (float(np.sqrt(np.mean(values**2))) if values.size else 0.0) or 1.0


def _complement(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the orthogonal complement of some columns, shape ``(M, k)``."""
    q, r, _ = linalg.qr(columns, mode="full", pivoting=True)
    pivots = np.abs(np.diagonal(r))
    rank = int((pivots > pivots[0] * max(columns.shape) * np.finfo(float).eps).sum())
    return np.asarray(q[:, rank:])
