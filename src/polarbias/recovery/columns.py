"""The columns of A as the solvers of basis pursuit use them: all for products, a few for normal equations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

BLOCK = 64
"""Columns that are copied at a time."""

Solve = Callable[[np.ndarray], np.ndarray]


class Columns(ABC):
    """Some columns of a matrix, k of them with M entries each."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of columns and of their entries."""

    @abstractmethod
    def part(self, chosen: np.ndarray) -> Self:
        """Return some of the columns."""

    @abstractmethod
    def slopes(self, y: np.ndarray) -> np.ndarray:
        """Return the columns' inner products with y, shape ``(k,)``."""

    @abstractmethod
    def image(self, x: np.ndarray) -> np.ndarray:
        """Return the combination of all columns with coefficients x, shape ``(M,)``."""

    @abstractmethod
    def gram(self, accuracy: float = 1e-13) -> Solve:
        """Return the map v -> (A^T A)^-1 v, shapes ``(k,)``, to a relative residual of ``accuracy`` at least.

        Raises
        ------
        LinAlgError
            The columns are dependent.
        """

    @abstractmethod
    def normal(self, diagonal: float) -> Solve:
        """Return the map v -> (A A^T + diagonal I)^-1 v, shapes ``(M,)`` or ``(M, r)``."""


class ExplicitColumns(Columns):
    """Columns whose entries are known."""

    @abstractmethod
    def packed(self) -> Any:
        """Return all columns as an array or a sparse array of shape ``(k, M)`` that is quick to multiply with."""

    @abstractmethod
    def dense(self) -> np.ndarray:
        """Return them as an array."""


class DenseColumns(ExplicitColumns):
    """Columns in an array of shape ``(k, M)``, in any order in memory, divided by sizes if these are given."""

    def __init__(self, array: np.ndarray, sizes: np.ndarray | None = None) -> None:
        """Keep the array, which may be the caller's own."""
        self._array, self._sizes = array, sizes

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array."""
        k, m = self._array.shape
        return k, m

    def part(self, chosen: np.ndarray) -> Self:
        """Copy some of the columns."""
        taken = self._array[chosen]
        return type(self)(taken if self._sizes is None else taken / self._sizes[chosen, None])

    def packed(self) -> np.ndarray:
        """Return all columns as one contiguous array; they stay so, because what needs all at once needs it often."""
        if self._sizes is not None:
            array = np.empty(self._array.shape)
            # By blocks, because one of the two may be the other's transpose in memory.
            for first in range(0, len(array), BLOCK):
                block = slice(first, first + BLOCK)
                np.divide(self._array[block], self._sizes[block, None], out=array[block])
            self._array, self._sizes = array, None
        return self._array

    def dense(self) -> np.ndarray:
        """Return the array."""
        return self.packed()

    def slopes(self, y: np.ndarray) -> np.ndarray:
        """Multiply."""
        products = self._array @ y
        return np.asarray(products if self._sizes is None else products / self._sizes)

    def image(self, x: np.ndarray) -> np.ndarray:
        """Multiply."""
        return np.asarray((x if self._sizes is None else x / self._sizes) @ self._array)

    def gram(self, accuracy: float = 1e-13) -> Solve:
        """Factor by Cholesky's method."""
        if not self.shape[0]:
            return np.copy  # SciPy before 1.14 rejects empty factors
        factor = linalg.cho_factor(self._array @ self._array.T, lower=True, check_finite=False)
        return lambda v: np.asarray(linalg.cho_solve(factor, v, check_finite=False))

    def normal(self, diagonal: float) -> Solve:
        """Factor the smaller of the two Gram matrices."""
        k, m = self.shape
        if not k:
            return lambda v: np.asarray(v / diagonal)
        if k <= m:
            inner = _damped(self._array @ self._array.T, diagonal)
            return lambda v: np.asarray(
                (v - self._array.T @ linalg.cho_solve(inner, self._array @ v, check_finite=False)) / diagonal
            )
        outer = _damped(self._array.T @ self._array, diagonal)
        return lambda v: np.asarray(linalg.cho_solve(outer, v, check_finite=False))


def _damped(gram: np.ndarray, diagonal: float) -> Any:
    gram[np.diag_indices_from(gram)] += diagonal
    return linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)


class SparseColumns(ExplicitColumns):
    """Columns with few entries that are not 0, the rows of a SciPy ``csr_array`` of shape ``(k, M)``."""

    def __init__(self, array: Any) -> None:
        """Keep the array."""
        self._array = array

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the array."""
        k, m = self._array.shape
        return k, m

    def part(self, chosen: np.ndarray) -> Self:
        """Copy some of the columns."""
        return type(self)(self._array[chosen])

    def packed(self) -> Any:
        """Return the sparse array."""
        return self._array

    def dense(self) -> np.ndarray:
        """Return the columns with their zeros."""
        return np.asarray(self._array.toarray())

    def slopes(self, y: np.ndarray) -> np.ndarray:
        """Multiply."""
        return np.asarray(self._array @ y)

    def image(self, x: np.ndarray) -> np.ndarray:
        """Multiply."""
        return np.asarray(self._array.T @ x)

    def gram(self, accuracy: float = 1e-13) -> Solve:
        """Factor by Cholesky's method, with zeros: few columns have a small matrix."""
        if not self.shape[0]:
            return np.copy  # SciPy before 1.14 rejects empty factors
        factor = linalg.cho_factor((self._array @ self._array.T).toarray(), lower=True, check_finite=False)
        return lambda v: np.asarray(linalg.cho_solve(factor, v, check_finite=False))

    def normal(self, diagonal: float) -> Solve:
        """Factor the matrix of size M."""
        outer = _damped((self._array.T @ self._array).toarray(), diagonal)
        return lambda v: np.asarray(linalg.cho_solve(outer, v, check_finite=False))


class FreeColumns(Columns):
    """Columns of an operator, divided by sizes, known by their products; systems by conjugate gradients."""

    def __init__(self, operator: LinearOperator, sizes: np.ndarray, chosen: np.ndarray) -> None:
        """Keep the operator, the sizes of all its columns and the indices of these."""
        self._operator, self._sizes, self._chosen = operator, sizes, chosen

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of indices and of the operator's rows."""
        return self._chosen.size, int(self._operator.shape[0])

    def part(self, chosen: np.ndarray) -> Self:
        """Choose among the indices."""
        return type(self)(self._operator, self._sizes, self._chosen[chosen])

    def slopes(self, y: np.ndarray) -> np.ndarray:
        """Apply the adjoint."""
        return np.asarray(self._operator.rmatvec(y)[self._chosen] / self._sizes[self._chosen])

    def image(self, x: np.ndarray) -> np.ndarray:
        """Apply the operator."""
        whole = np.zeros(self._operator.shape[1])
        whole[self._chosen] = x / self._sizes[self._chosen]
        return np.asarray(self._operator.matvec(whole))

    def gram(self, accuracy: float = 1e-13) -> Solve:
        """Solve by conjugate gradients, as far as that goes."""
        return self._solver(lambda x: self.slopes(self.image(x)), self.shape[0], accuracy)

    def normal(self, diagonal: float) -> Solve:
        """Solve to 1e-4: directions need not be better."""
        return self._solver(lambda y: self.image(self.slopes(y)) + diagonal * y, self.shape[1], 1e-4)

    def _solver(self, product: Solve, size: int, accuracy: float) -> Solve:
        matrix = LinearOperator((size, size), matvec=product, dtype=np.float64)

        def solve(v: np.ndarray) -> np.ndarray:
            if v.ndim == 1:
                return np.asarray(cg(matrix, v, rtol=accuracy, maxiter=500)[0])
            return np.stack([solve(column) for column in v.T], axis=-1)

        return solve
