"""Columns of a matrix, dense, sparse or of an operator: products, selections, and solvers of normal equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

Solve = Callable[[np.ndarray], np.ndarray]


class ExplicitColumns:
    """k columns of M entries in memory: an array of any memory order or a SciPy ``csr_array``, of shape ``(k, M)``.

    An array's columns are divided by ``sizes``, shape ``(k,)``.
    """

    def __init__(self, array: Any, sizes: np.ndarray | None = None) -> None:
        self._array, self._sizes = array, sizes

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, M)``."""
        k, m = self._array.shape
        return k, m

    @property
    def is_array(self) -> bool:
        """True if the columns are not sparse."""
        return isinstance(self._array, np.ndarray)

    def take(self, chosen: np.ndarray) -> ExplicitColumns:
        """Return a selection of the columns, as a copy."""
        taken = self._array[chosen]
        return ExplicitColumns(taken if self._sizes is None else taken / self._sizes[chosen, None])

    def packed(self) -> Any:
        """Return an array, C-contiguous if there are sizes, or a CSR array, of shape ``(k, M)``."""
        if self._sizes is not None:
            array = np.empty(self._array.shape)
            # 64 at a time: one of the two may be the other's transpose in memory, and a block fits the cache.
            for first in range(0, len(array), 64):
                block = slice(first, first + 64)
                np.divide(self._array[block], self._sizes[block, None], out=array[block])
            self._array, self._sizes = array, None
        return self._array

    def dense(self) -> np.ndarray:
        """Return an array of shape ``(k, M)``."""
        return _as_array(self.packed())

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""
        return np.asarray(self._array.T @ (x if self._sizes is None else x / self._sizes))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""
        products = np.asarray(self._array @ y)
        return products if self._sizes is None else products / self._sizes

    def gram_solver(self, accuracy: float = 1e-13) -> Solve:
        """Return the map v -> (A^T A)^-1 v, shapes ``(k,)``, to a relative residual of at most ``accuracy``.

        Raises
        ------
        LinAlgError
            The columns are dependent.
        """
        array = self.packed()
        return _cholesky_solver(_as_array(array @ array.T))

    def normal_solver(self, damping: float) -> Solve:
        """Return the map v -> (A A^T + damping I)^-1 v, shapes ``(M,)`` or ``(M, r)``."""
        array = self.packed()
        k, m = array.shape
        if not k:
            return lambda v: np.asarray(v / damping)
        if k > m:
            return _cholesky_solver(_as_array(array.T @ array), damping)
        inner = _cholesky_solver(_as_array(array @ array.T), damping)
        return lambda v: np.asarray((v - array.T @ inner(array @ v)) / damping)


class OperatorColumns:
    """Some columns of a linear operator, divided by ``sizes`` of shape ``(k,)``, with the methods of `ExplicitColumns`.

    Conjugate gradients solve the systems.
    """

    def __init__(self, operator: LinearOperator, sizes: np.ndarray, chosen: np.ndarray) -> None:
        self._operator, self._sizes, self._chosen = operator, sizes, chosen

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, M)``."""
        return self._chosen.size, int(self._operator.shape[0])

    def take(self, chosen: np.ndarray) -> OperatorColumns:
        """Return a selection of the columns."""
        return OperatorColumns(self._operator, self._sizes[chosen], self._chosen[chosen])

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``."""
        whole = np.zeros(self._operator.shape[1])
        whole[self._chosen] = x / self._sizes
        return np.asarray(self._operator.matvec(whole))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(k,)``."""
        return np.asarray(self._operator.rmatvec(y)[self._chosen] / self._sizes)

    def gram_solver(self, accuracy: float = 1e-13) -> Solve:
        """Return a solver that reaches ``accuracy`` or ends after 500 iterations."""
        return _cg_solver(lambda x: self.adjoint(self.apply(x)), self.shape[0], accuracy)

    def normal_solver(self, damping: float) -> Solve:
        """Return a solver to a residual of 1e-4, enough for Newton directions."""
        return _cg_solver(lambda y: self.apply(self.adjoint(y)) + damping * y, self.shape[1], 1e-4)


Columns = ExplicitColumns | OperatorColumns


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
    """Return the map v -> (matrix + damping I)^-1 v; the symmetric matrix is overwritten."""
    if not matrix.size:
        return np.copy  # SciPy before 1.14 rejects empty factors
    matrix.flat[:: len(matrix) + 1] += damping
    # LAPACK itself: the checks of cho_factor and cho_solve take longer than small factorizations.
    factor, info = linalg.lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if info:
        raise linalg.LinAlgError("the columns are dependent")
    return lambda v: np.asarray(linalg.lapack.dpotrs(factor, v, lower=1)[0])


def _cg_solver(product: Solve, size: int, accuracy: float) -> Solve:
    matrix = LinearOperator((size, size), matvec=product, dtype=np.float64)

    def solve(v: np.ndarray) -> np.ndarray:
        if v.ndim == 1:
            return np.asarray(cg(matrix, v, rtol=accuracy, maxiter=500)[0])
        return np.stack([solve(column) for column in v.T], axis=-1)

    return solve
