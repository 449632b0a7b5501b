r"""From a problem with weights to a `Task`, and back.

Entries of infinite weight and columns of zeros are left out. A signed entry of weight 0 is free: what its column spans
costs nothing, so the problem is solved on the orthogonal complement of the free columns, and y with it. All other
columns are divided by their weights, and all of them and b by one number each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg, optimize
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

from polarbias.errors import InvalidInput
from polarbias.linalg.columns import DenseColumns, OperatorColumns, SparseColumns
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.task import Point, Task

ROUNDING = 1e-13
"""Share of b that counts as rounding where it is projected."""

DENSE = 100_000_000
"""Entries up to which a sparse matrix is worked on as a dense one: 0.8 GB."""

THIN = 0.1
"""Share of entries that are not 0 up to which a sparse matrix is worked on as such."""

SMALL = 500_000
"""Entries up to which a dense matrix is quicker all the same."""

PROBES = 8
"""Random vectors from whose images the size of an operator's columns is estimated."""


class Prepared:
    """A problem and its task.

    Attributes
    ----------
    task
        None where the answer costs nothing: `free` finds it.
    """

    def __init__(self, problem: LinearProblem, weights: np.ndarray, nonnegative: bool, sigma: float) -> None:
        """Choose the columns and scale them."""
        self._problem, self._nonnegative, self._b = problem, nonnegative, np.asarray(problem.b, np.float64)
        self._unpaid = np.zeros(0, int)
        self._basis: np.ndarray | None = None
        self.task: Task | None = None
        if problem.is_dense or (hasattr(problem.A, "toarray") and problem.m * problem.n <= DENSE):
            self._prepare_matrix(weights, sigma)
        else:
            self._prepare_operator(weights, sigma)

    def _prepare_operator(self, weights: np.ndarray, sigma: float) -> None:
        if not (weights > 0).all():
            raise InvalidInput("weights of 0 need a dense A, or a sparse one of moderate size; this is an operator.")
        operator, self._taken = aslinearoperator(self._problem.A), np.flatnonzero(np.isfinite(weights))
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, self._problem.m))
        squares = np.mean([operator.rmatvec(sign)[self._taken] ** 2 for sign in signs], axis=0)
        unit = float(np.sqrt(np.mean(squares / weights[self._taken] ** 2))) if self._taken.size else 0.0
        self._unit = unit or 1.0
        self._scale = weights[self._taken] * self._unit
        self._length = float(np.linalg.norm(self._b))
        if self._length > sigma and self._taken.size:
            sizes = np.ones(self._problem.n)
            sizes[self._taken] = self._scale
            columns = OperatorColumns(operator, sizes, self._taken)
            bound = np.ones(self._taken.size)
            self.task = Task(columns, self._b / self._length, bound, self._nonnegative, sigma / self._length)

    def _prepare_matrix(self, weights: np.ndarray, sigma: float) -> None:
        problem, nonnegative, b = self._problem, self._nonnegative, self._b
        size = problem.m * problem.n
        thin = not problem.is_dense and size > SMALL and problem.A.nnz <= THIN * size and bool((weights > 0).all())
        columns: Any
        if thin:
            columns = csr_array(problem.A.T)
            norms = np.sqrt(columns.multiply(columns).sum(axis=1))
        else:
            A = np.asarray(problem.A if problem.is_dense else problem.A.toarray(), np.float64)
            columns, norms = A.T, np.sqrt(np.einsum("mn,mn->n", A, A))
        used = np.isfinite(weights) & (norms > 0)
        self._unpaid = np.flatnonzero(used & (weights == 0))
        self._unpaid_columns = np.zeros((problem.m, 0)) if thin else A[:, self._unpaid]
        eliminated = bool(self._unpaid.size) and not nonnegative
        if eliminated:
            used &= weights > 0
            self._basis = _complement(self._unpaid_columns)
        self._taken = np.flatnonzero(used)
        w = weights[self._taken]
        if self._taken.size < problem.n:
            columns, norms = columns[self._taken], norms[self._taken]
        if self._basis is not None:
            projected, b = columns @ self._basis, self._basis.T @ b
            left = np.linalg.norm(projected, axis=1)
            columns, norms = (
                projected * (left > ROUNDING * norms)[:, None],
                np.where(left > ROUNDING * norms, left, 0.0),
            )
        paid = w > 0
        unit = float(np.sqrt(np.mean((norms[paid] / w[paid]) ** 2))) if paid.any() else 0.0
        self._unit = unit or 1.0
        self._scale = np.where(paid, w * self._unit, np.where(norms > 0, norms, 1.0))
        self._length = float(np.linalg.norm(b))
        if self._length > max(ROUNDING * float(np.linalg.norm(self._b)), sigma) and not self._free_is_enough(sigma):
            scaled = (
                SparseColumns(columns.multiply(1 / self._scale[:, None]).tocsr())
                if thin
                else DenseColumns(columns, self._scale)
            )
            bound = np.where(paid, 1.0, 0.0)
            self.task = Task(scaled, b / self._length, bound, nonnegative, sigma / self._length)

    @property
    def n(self) -> int:
        """Number of unknowns of the problem."""
        return self._problem.n

    def _free_is_enough(self, sigma: float) -> bool:
        """Tell whether nonnegative entries of weight 0 come near enough to b."""
        if not (self._nonnegative and self._unpaid.size):
            return False
        _, missed = optimize.nnls(self._unpaid_columns, self._b)
        return bool(missed <= max(sigma, ROUNDING * float(np.linalg.norm(self._b))))

    def point(self, x: np.ndarray, y: np.ndarray) -> Point:
        """Return a pair of the problem as one of the task."""
        assert self.task is not None
        y = (y if self._basis is None else self._basis.T @ y) * self._unit
        return Point(x[self._taken] * self._scale / self._length, y, self.task.columns.adjoint(y))

    def restored(self, point: Point | None) -> tuple[np.ndarray, np.ndarray]:
        """Return a point of the task as a pair of the problem; None stands for zeros."""
        x, y = np.zeros(self._problem.n), np.zeros(self._problem.m)
        if point is not None:
            x[self._taken] = point.x * self._length / self._scale
            y = self.dual(point.y / self._unit)
        if self._unpaid.size and self.task is None and self._nonnegative:
            x[self._unpaid] = optimize.nnls(self._unpaid_columns, self._b)[0]
        elif self._unpaid.size and not self._nonnegative:
            x[self._unpaid] = np.linalg.lstsq(
                self._unpaid_columns, self._problem.b - self._problem.apply(x), rcond=None
            )[0]
        return x, y

    def dual(self, y: np.ndarray) -> np.ndarray:
        """Return a vector of the task's rows in those of the problem."""
        return y if self._basis is None else np.asarray(self._basis @ y)


def _complement(columns: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the orthogonal complement of some columns, shape ``(M, k)``."""
    q, r, _ = linalg.qr(columns, mode="full", pivoting=True)
    pivots = np.abs(np.diagonal(r))
    rank = int((pivots > pivots[0] * max(columns.shape) * np.finfo(float).eps).sum())
    return np.asarray(q[:, rank:])
