r"""Products with A or [A, -A], and the normal equations :math:`A D A^\top y = v` of convex solvers.

Signed networks work with the matrix [A, -A], which is never formed: its products are A (x+ - x-) and the two signs of
one A^T y, and its normal matrix is A (D+ + D-) A^T.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

from polarbias.linalg.columns import (
    Columns,
    DenseColumns,
    ExplicitColumns,
    OperatorColumns,
    Solve,
    SparseColumns,
    qr_solver,
)
from polarbias.problems.linear import LinearProblem


@dataclass(frozen=True)
class Options:
    """Constants of the solvers of normal equations."""

    floor: float = 1e-15
    """Least weight, relative to the largest: sums of floats do not resolve smaller ones. A factor of 30 changes the
    factorizations of the 162 limits of `polarbias.limit.limit_curve` by 0.7%, and 30 times as much their residuals."""

    graded_threshold: float = 1e-8
    """Ratio of the M-th largest weight to the largest below which ``graded`` needs a QR factorization: half of the
    digits are left there."""

    max_entries: int = 20_000_000
    """Entries of a sparse matrix that is made dense, 160 MB."""

    range_tol: float = 1e-9
    """Relative distance of b from the range of A above which the rows contradict each other."""

    cg_tol: float = 1e-11
    """Relative residual of conjugate gradients; limits reach a residual of 1e-10 with it."""

    rough_cg_tol: float = 1e-4
    """The same for directions of Newton's method far from the solution."""


OPTIONS = Options()


class InfeasibleSystem(Exception):
    """A X = b has no solution: ``direction``, shape ``(M,)``, is a Farkas certificate up to rounding."""

    def __init__(self, direction: np.ndarray) -> None:
        """Store the direction, in the rows of the problem."""
        super().__init__("A X = b has no solution.")
        self.direction = direction


class SignedMatrix:
    """The matrix A, or [A, -A] if ``signed``, and the right-hand side.

    Attributes
    ----------
    columns
        Columns of A.
    b
        Right-hand side, shape ``(m,)``.
    """

    def __init__(self, columns: Columns, b: np.ndarray, signed: bool) -> None:
        self.columns, self.b, self.signed = columns, b, signed

    @classmethod
    def of(cls, problem: LinearProblem, signed: bool) -> SignedMatrix:
        """Return the matrix of one problem in the form that A has."""
        return SignedMatrix(_columns(problem.A), np.asarray(problem.b, np.float64), signed)

    @property
    def m(self) -> int:
        """Number of rows."""
        return self.columns.shape[1]

    @property
    def n(self) -> int:
        """Number of columns, 2 N for signed signals."""
        return self.columns.shape[0] * (1 + self.signed)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(m,)``, for x of shape ``(n,)``."""
        return self.columns.apply(self.folded(x, -1.0))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(n,)``."""
        z = self.columns.adjoint(y)
        return np.concatenate([z, -z]) if self.signed else z

    def folded(self, values: np.ndarray, sign: float) -> np.ndarray:
        """Return values of the unknowns: the values given or, if ``signed``, first half + sign second half."""
        if not self.signed:
            return values
        half = values.size // 2
        return np.asarray(values[:half] + sign * values[half:])

    @property
    def is_array(self) -> bool:
        """True if A is a dense array."""
        return isinstance(self.columns, DenseColumns)

    def dense(self) -> SignedMatrix:
        """Return the matrix with the columns of a linear operator in memory."""
        if not isinstance(self.columns, OperatorColumns):
            return self
        units = np.eye(self.m)
        return SignedMatrix(
            DenseColumns(np.stack([self.columns.adjoint(unit) for unit in units], axis=1)), self.b, self.signed
        )

    def take(self, chosen: np.ndarray) -> SignedMatrix:
        """Return the matrix of some columns, which are copied."""
        count = self.columns.shape[0]
        taken = self.columns.take(chosen % count)
        if self.signed:
            assert isinstance(taken, DenseColumns)
            taken = DenseColumns(taken.dense() * np.where(chosen < count, 1.0, -1.0)[:, None])
        return SignedMatrix(taken, self.b, signed=False)

    def gram(self, weights: np.ndarray, negligible: float) -> np.ndarray:
        """Return A diag(weights) A^T, shape ``(m, m)``; leave out weights below ``negligible`` times the largest."""
        weights = self.folded(weights, 1.0)
        if isinstance(self.columns, SparseColumns):
            array = self.columns.packed()
            return np.asarray((array.T @ array.multiply(weights[:, None])).todense())
        assert isinstance(self.columns, DenseColumns)
        array, kept = self.columns.packed(), weights > negligible * weights.max()
        if not kept.all():
            array, weights = array[kept], weights[kept]
        half = array * np.sqrt(weights)[:, None]
        return np.asarray(half.T @ half)  # NumPy computes one triangle of such a product

    def column_norms(self) -> np.ndarray:
        """Return the Euclidean norms of the columns, shape ``(n,)``."""
        assert isinstance(self.columns, ExplicitColumns)
        array = self.columns.packed()
        norms = np.sqrt((array * array).sum(1) if self.is_array else array.multiply(array).sum(1))
        return np.tile(np.asarray(norms).ravel(), 1 + self.signed)


class DenseNormalEquations(SignedMatrix):
    """A dense or sparse matrix, with rows scaled to similar norms and dependent rows removed."""

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Scale the rows and remove dependent ones.

        Raises
        ------
        InfeasibleSystem
            b is not in the range of A.
        """
        A = np.asarray(problem.A if isinstance(problem.A, np.ndarray) else problem.A.toarray(), np.float64)
        b = np.asarray(problem.b, np.float64)
        self._back: np.ndarray | None = None
        size = np.abs(A).max(1)
        contradictory = (size == 0) & (b != 0)
        if contradictory.any():
            raise InfeasibleSystem(np.where(contradictory, b, 0.0))
        with np.errstate(divide="ignore"):
            self._row = np.where(size > 0, np.exp2(-np.round(np.log2(size))), 1.0)  # powers of two: no rounding
        if (self._row != self._row[0]).any() or self._row[0] not in (0.25, 0.5, 1.0, 2.0, 4.0):
            A = A * self._row[:, None]
        else:
            self._row = np.ones_like(self._row)
        super().__init__(DenseColumns(np.ascontiguousarray(A.T)), b * self._row, signed)
        self._A, self._gram = A, A @ self.array
        if not _well_conditioned(self._gram):
            self._reduce()

    def _reduce(self) -> None:
        """Remove dependent rows; replace those of an ill-conditioned matrix by an orthonormal combination.

        Rows are selected, not combined, where that is enough: ties between columns remain ties.
        """
        left, values, _ = linalg.svd(self._A, full_matrices=False, lapack_driver="gesdd")
        rank = int((values > values[0] * max(self._A.shape) * 4 * np.finfo(float).eps).sum()) if values[0] > 0 else 0
        left = left[:, :rank]
        outside = self.b - left @ (left.T @ self.b)
        outside -= left @ (left.T @ outside)
        if np.linalg.norm(outside) > OPTIONS.range_tol * np.linalg.norm(self.b):
            raise InfeasibleSystem(outside * self._row)
        if rank < self.m:
            chosen = np.sort(linalg.qr(self._A.T, mode="r", pivoting=True)[1][:rank])
            self._replace_rows(np.eye(self.m)[:, chosen])
            if not rank or _well_conditioned(self._gram):
                return
            left = linalg.svd(self._A, full_matrices=False, lapack_driver="gesdd")[0]
        self._replace_rows(left)

    def _replace_rows(self, combinations: np.ndarray) -> None:
        """Replace the rows by combinations of them, the columns of a matrix of shape ``(m, rank)``."""
        self._back = combinations if self._back is None else self._back @ combinations
        self.b, self._A = combinations.T @ self.b, combinations.T @ self._A
        self.columns = DenseColumns(np.ascontiguousarray(self._A.T))
        self._gram = self._A @ self.array

    @property
    def array(self) -> np.ndarray:
        """The columns of A in the rows of this matrix, shape ``(N, m)``."""
        assert isinstance(self.columns, DenseColumns)
        return self.columns.packed()

    def rows(self, y: np.ndarray) -> np.ndarray:
        """Return a dual vector of shape ``(m,)`` in the rows of the problem, shape ``(M,)``."""
        return np.asarray((y if self._back is None else self._back @ y) * self._row)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(m,)``, for x of shape ``(n,)``."""
        return np.asarray(self._A @ self.folded(x, -1.0))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(n,)``."""
        z = y @ self._A
        return np.concatenate([z, -z]) if self.signed else np.asarray(z)

    def normal(
        self, weights: np.ndarray, negligible: float = 0.0, *, graded: bool = False, ridge: float = 0.0
    ) -> Solve:
        r"""Return the map :math:`v \mapsto (A\,\mathrm{diag}(d) A^\top)^{-1} v` for weights d >= 0, shape ``(n,)``.

        Weights at or below ``negligible`` times the largest are left out. Where fewer than M weights carry the sum,
        the others are lost to rounding and count as ``Options.floor``, unless ``graded`` asks for their digits: then
        an orthogonal factorization replaces the sum, and no direction has less than the weight ``ridge`` on all
        columns.
        """
        d = self.folded(weights, 1.0)
        top = d.max()
        if not top > 0:
            d, top = np.ones_like(d), 1.0
        if graded:
            carrying = np.partition(d, d.size - self.m)[d.size - self.m] if d.size > self.m else d.min()
            if carrying < OPTIONS.graded_threshold * top:
                return self._orthogonal(d / top, top, max(ridge / top, OPTIONS.floor**2))
        kept = np.flatnonzero(d > max(negligible, 1e-18) * top)
        B = self.array[kept] * np.sqrt(d[kept])[:, None]
        H = linalg.blas.dsyrk(1.0, B.T, lower=1)
        factor = _shifted_cholesky(H, self._gram, top, max(OPTIONS.floor, 0.1 * negligible))
        return lambda v: np.asarray(linalg.cho_solve(factor, v, check_finite=False))

    def _orthogonal(self, d: np.ndarray, top: float, ridge: float) -> Solve:
        """Solve by a QR factorization of diag(d)^(1/2) A^T, rows in falling order: accurate for weights that differ."""
        order = np.argsort(-d)
        order = order[d[order] > 1e-3 * ridge]
        solve = qr_solver(np.vstack([self.array[order] * np.sqrt(d[order])[:, None], np.sqrt(ridge) * self._root]))
        return lambda v: solve(v / top)

    @cached_property
    def _root(self) -> np.ndarray:
        return np.asarray(linalg.cholesky(self._gram, check_finite=False))


class OperatorNormalEquations(SignedMatrix):
    """A matrix given by its products; conjugate gradients solve the normal equations in memory O(M + N).

    Rows are assumed to be independent and of similar norms.
    """

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Estimate the size of the columns from the images of a few random vectors."""
        super().__init__(_columns(aslinearoperator(problem.A)), np.asarray(problem.b, np.float64), signed)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, problem.m))
        self._column = float(np.sqrt(np.mean([np.mean(self.columns.adjoint(sign) ** 2) for sign in signs])))

    def rows(self, y: np.ndarray) -> np.ndarray:
        """Return y."""
        return y

    def column_norms(self) -> np.ndarray:
        """Return an estimate of the norm of an average column, for every column."""
        return np.full(self.n, self._column)

    def normal(
        self, weights: np.ndarray, negligible: float = 0.0, *, graded: bool = False, ridge: float = 0.0
    ) -> Solve:
        """Return the map v -> (A diag(d) A^T)^-1 v, to a lower accuracy if ``negligible``."""
        del graded, ridge
        d = self.folded(weights, 1.0)
        level = max(OPTIONS.floor, negligible) * float(d.max()) * self._column**2 * self.n / self.m

        def product(y: np.ndarray) -> np.ndarray:
            return self.columns.apply(d * self.columns.adjoint(y)) + level * y

        H = LinearOperator((self.m, self.m), matvec=product, dtype=np.float64)
        tol = OPTIONS.rough_cg_tol if negligible else OPTIONS.cg_tol
        return lambda v: np.asarray(cg(H, v, rtol=tol, maxiter=2000)[0])


NormalEquations = DenseNormalEquations | OperatorNormalEquations


def normal_equations(problem: LinearProblem, signed: bool) -> NormalEquations:
    """Return the normal equations of one problem: dense if A is an array or a sparse matrix of moderate size."""
    if isinstance(problem.A, np.ndarray) or (
        hasattr(problem.A, "toarray") and problem.m * problem.n <= OPTIONS.max_entries
    ):
        return DenseNormalEquations(problem, signed)
    return OperatorNormalEquations(problem, signed)


def _columns(A: Any) -> Columns:
    if isinstance(A, np.ndarray):
        return DenseColumns(np.asarray(A, np.float64).T)
    if hasattr(A, "tocsr"):
        return SparseColumns(A.T.tocsr())
    return OperatorColumns(A, np.ones(A.shape[1]), np.arange(A.shape[1]))


def _shifted_cholesky(H: np.ndarray, shift: np.ndarray, size: float, floor: float) -> Any:
    """Return the Cholesky factor of H + floor size shift, with a larger floor if rounding makes that indefinite."""
    while True:
        try:
            return linalg.cho_factor(H + (floor * size) * shift, lower=True, check_finite=False)
        except linalg.LinAlgError:
            floor = max(100 * floor, OPTIONS.floor)
            if floor > 1:
                raise


def _well_conditioned(gram: np.ndarray) -> bool:
    """Return True if a Gram matrix is safely positive definite."""
    try:
        pivots = np.diagonal(linalg.cholesky(gram, lower=True, check_finite=False))
    except linalg.LinAlgError:
        return False
    return bool(pivots.min() ** 2 > 1e-10 * pivots.max() ** 2)
