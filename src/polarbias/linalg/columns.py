"""Columns of a matrix, dense, sparse or of an operator: products, selections, and solvers of normal equations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

Solve = Callable[[np.ndarray], np.ndarray]


class Columns(ABC):
    """k columns of M entries each."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """``(k, M)``."""

    @abstractmethod
    def take(self, chosen: np.ndarray) -> Self:
        """Return a selection of the columns."""

    @abstractmethod
    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""

    @abstractmethod
    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""

    @abstractmethod
    def gram_solver(self, accuracy: float = 1e-13) -> Solve:
        """Return the map v -> (A^T A)^-1 v, shapes ``(k,)``, to a relative residual of at most ``accuracy``.

        Raises
        ------
        LinAlgError
            The columns are dependent.
        """

    @abstractmethod
    def normal_solver(self, damping: float) -> Solve:
        """Return the map v -> (A A^T + damping I)^-1 v, shapes ``(M,)`` or ``(M, r)``."""


class ExplicitColumns(Columns):
    """Columns in memory: the rows of an array or of a SciPy ``csr_array`` of shape ``(k, M)``."""

    def __init__(self, array: Any) -> None:
        """Store the array without a copy."""
        self._array = array

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, M)``."""
        k, m = self._array.shape
        return k, m

    def take(self, chosen: np.ndarray) -> Self:
        """Return a selection of the columns."""
        return type(self)(self._array[chosen])

    def packed(self) -> Any:
        """Return a C-contiguous array or a CSR array of shape ``(k, M)``."""
        return self._array

    def dense(self) -> np.ndarray:
        """Return an array of shape ``(k, M)``."""
        return _as_array(self.packed())

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""
        return np.asarray(self._array.T @ x)

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""
        return np.asarray(self._array @ y)

    def gram_solver(self, accuracy: float = 1e-13) -> Solve:
        """Factorize A^T A as a dense matrix."""
        array = self.packed()
        return _cholesky_solver(_as_array(array @ array.T))

    def normal_solver(self, damping: float) -> Solve:
        """Factorize the smaller of A A^T and A^T A as a dense matrix."""
        array = self.packed()
        k, m = array.shape
        if not k:
            return lambda v: np.asarray(v / damping)
        if k > m:
            return _cholesky_solver(_as_array(array.T @ array), damping)
        inner = _cholesky_solver(_as_array(array @ array.T), damping)
        return lambda v: np.asarray((v - array.T @ inner(array @ v)) / damping)


class DenseColumns(ExplicitColumns):
    """Columns in an array of any memory order, divided by ``sizes`` of shape ``(k,)``."""

    def __init__(self, array: np.ndarray, sizes: np.ndarray | None = None) -> None:
        """Store the array without a copy."""
        super().__init__(array)
        self._sizes = sizes

    def take(self, chosen: np.ndarray) -> Self:
        """Return a selection of the columns."""
        taken = self._array[chosen]
        return type(self)(taken if self._sizes is None else taken / self._sizes[chosen, None])

    def packed(self) -> np.ndarray:
        """Return a C-contiguous array, which replaces the array given."""
        if self._sizes is not None:
            array = np.empty(self._array.shape)
            # 64 at a time: one of the two may be the other's transpose in memory, and a block fits the cache.
            for first in range(0, len(array), 64):
                block = slice(first, first + 64)
                np.divide(self._array[block], self._sizes[block, None], out=array[block])
            self._array, self._sizes = array, None
        return np.asarray(self._array)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""
        return super().apply(x if self._sizes is None else x / self._sizes)

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""
        products = super().adjoint(y)
        return products if self._sizes is None else products / self._sizes


class SparseColumns(ExplicitColumns):
    """Columns with few nonzero entries, in a ``csr_array``."""


class OperatorColumns(Columns):
    """Columns of a linear operator, divided by sizes; systems are solved by conjugate gradients."""

    def __init__(self, operator: LinearOperator, sizes: np.ndarray, chosen: np.ndarray) -> None:
        """Store the operator, the sizes of all its columns, shape ``(N,)``, and the selected indices."""
        self._operator, self._sizes, self._chosen = operator, sizes, chosen

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, M)``."""
        return self._chosen.size, int(self._operator.shape[0])

    def take(self, chosen: np.ndarray) -> Self:
        """Return a selection of the columns."""
        return type(self)(self._operator, self._sizes, self._chosen[chosen])

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""
        whole = np.zeros(self._operator.shape[1])
        whole[self._chosen] = x / self._sizes[self._chosen]
        return np.asarray(self._operator.matvec(whole))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""
        return np.asarray(self._operator.rmatvec(y)[self._chosen] / self._sizes[self._chosen])

    def gram_solver(self, accuracy: float = 1e-13) -> Solve:
        """Return a solver that reaches ``accuracy`` or ends after 500 iterations."""
        return _cg_solver(lambda x: self.adjoint(self.apply(x)), self.shape[0], accuracy)

    def normal_solver(self, damping: float) -> Solve:
        """Return a solver to a residual of 1e-4, enough for Newton directions."""
        return _cg_solver(lambda y: self.apply(self.adjoint(y)) + damping * y, self.shape[1], 1e-4)


def qr_solver(rows: np.ndarray, rank_tol: float | None = None) -> Solve:
    """Return the map v -> (R^T R)^-1 v for a matrix R of shape ``(k, M)``.

    A pivoted QR factorization: with the rows in falling order of size it is accurate for sizes over many decades, of
    which R^T R keeps 16 digits. If the rank of R is below M, the map returns NaN or, with ``rank_tol``, a solution in
    the unknowns whose diagonal entries are above that share of the largest.
    """
    factor, pivots = linalg.qr(rows, mode="r", pivoting=True, check_finite=False)
    size = np.abs(np.diagonal(factor))
    rank = int((size > (rank_tol or 0.0) * size[0]).sum())
    if rank_tol is None and rank < rows.shape[1]:
        return lambda v: np.full_like(v, np.nan)
    factor, kept = factor[:rank, :rank], pivots[:rank]

    def solve(v: np.ndarray) -> np.ndarray:
        y = np.zeros_like(v)
        half = linalg.solve_triangular(factor, v[kept], trans="T", check_finite=False)
        y[kept] = linalg.solve_triangular(factor, half, check_finite=False)
        return y

    return solve


def _as_array(matrix: Any) -> np.ndarray:
    return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray())


def _cholesky_solver(matrix: np.ndarray, damping: float = 0.0) -> Solve:
    if not matrix.size:
        return np.copy  # SciPy before 1.14 rejects empty factors
    matrix[np.diag_indices_from(matrix)] += damping
    factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return lambda v: np.asarray(linalg.cho_solve(factor, v, check_finite=False))


def _cg_solver(product: Solve, size: int, accuracy: float) -> Solve:
    matrix = LinearOperator((size, size), matvec=product, dtype=np.float64)

    def solve(v: np.ndarray) -> np.ndarray:
        if v.ndim == 1:
            return np.asarray(cg(matrix, v, rtol=accuracy, maxiter=500)[0])
        return np.stack([solve(column) for column in v.T], axis=-1)

    return solve
