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

from polarbias.linalg.columns import Columns, ExplicitColumns, OperatorColumns, Solve, qr_solver
from polarbias.problems.certificate import power_of_two
from polarbias.problems.linear import LinearProblem, squared_column_norms


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
        super().__init__("A X = b has no solution.")
        self.direction = direction


class SignedMatrix:
    """The matrix A, or [A, -A] if ``signed``, as ``columns`` of A, and the right-hand side ``b``, shape ``(m,)``."""

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

    @property
    def is_array(self) -> bool:
        """True if A is a dense array."""
        return isinstance(self.columns, ExplicitColumns) and self.columns.is_array

    @property
    def array(self) -> Any:
        """The columns of A, an array or a CSR array of shape ``(N, m)``."""
        assert isinstance(self.columns, ExplicitColumns)
        return self.columns.packed()

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

    def dense(self) -> SignedMatrix:
        """Return the matrix with the columns of a linear operator in memory."""
        if isinstance(self.columns, ExplicitColumns):
            return self
        rows = [self.columns.adjoint(unit) for unit in np.eye(self.m)]
        return SignedMatrix(ExplicitColumns(np.stack(rows, axis=1)), self.b, self.signed)

    def take(self, chosen: np.ndarray) -> SignedMatrix:
        """Return the matrix of some columns of a dense array, which are copied."""
        count = self.columns.shape[0]
        columns = self.array[chosen % count]
        if self.signed:
            columns *= np.where(chosen < count, 1.0, -1.0)[:, None]
        return SignedMatrix(ExplicitColumns(columns), self.b, signed=False)

    def gram(self, weights: np.ndarray, negligible: float) -> np.ndarray:
        """Return A diag(weights) A^T, shape ``(m, m)``; leave out weights below ``negligible`` times the largest."""
        array, weights = self.array, self.folded(weights, 1.0)
        if not self.is_array:
            return np.asarray((array.T @ array.multiply(weights[:, None])).todense())
        kept = weights > negligible * weights.max()
        if not kept.all():
            array, weights = array[kept], weights[kept]
        half = array * np.sqrt(weights)[:, None]
        return np.asarray(half.T @ half)  # NumPy computes one triangle of such a product

    def column_norms(self) -> np.ndarray:
        """Return the Euclidean norms of the columns, shape ``(n,)``."""
        return np.tile(np.sqrt(squared_column_norms(self.array.T)), 1 + self.signed)


class DenseNormalEquations(SignedMatrix):
    """A dense or sparse matrix, with rows scaled to similar norms and dependent rows removed."""

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Scale the rows and remove dependent ones, or raise `InfeasibleSystem` if b is not in the range of A."""
        A = np.asarray(problem.A if problem.is_dense else problem.A.toarray(), np.float64)
        b = np.asarray(problem.b, np.float64)
        size = np.abs(A).max(1)
        contradictory = (size == 0) & (b != 0)
        if contradictory.any():
            raise InfeasibleSystem(np.where(contradictory, b, 0.0))
        self._row = 1 / power_of_two(size)  # no rounding
        self._back: np.ndarray | None = None
        super().__init__(ExplicitColumns(np.ascontiguousarray((A * self._row[:, None]).T)), b * self._row, signed)
        self._gram = self.array.T @ self.array
        if not _well_conditioned(self._gram):
            self._reduce()

    def _reduce(self) -> None:
        """Remove dependent rows; replace those of an ill-conditioned matrix by an orthonormal combination.

        Rows are selected, not combined, where that is enough: ties between columns remain ties.
        """
        left, values, _ = linalg.svd(self.array.T, full_matrices=False, lapack_driver="gesdd")
        rank = int((values > values[0] * max(self.array.shape) * 4 * np.finfo(float).eps).sum())
        left = left[:, :rank]
        outside = self.b - left @ (left.T @ self.b)
        outside -= left @ (left.T @ outside)
        if np.linalg.norm(outside) > OPTIONS.range_tol * np.linalg.norm(self.b):
            raise InfeasibleSystem(outside * self._row)
        if rank < self.m:
            chosen = np.sort(linalg.qr(self.array, mode="r", pivoting=True)[1][:rank])
            self._replace_rows(np.eye(self.m)[:, chosen])
            if not rank or _well_conditioned(self._gram):
                return
            left = linalg.svd(self.array.T, full_matrices=False, lapack_driver="gesdd")[0]
        self._replace_rows(left)

    def _replace_rows(self, combinations: np.ndarray) -> None:
        """Replace the rows by combinations of them, the columns of a matrix of shape ``(m, rank)``."""
        self._back = combinations if self._back is None else self._back @ combinations
        self.b, self.columns = combinations.T @ self.b, ExplicitColumns(self.array @ combinations)
        self._gram = self.array.T @ self.array

    def rows(self, y: np.ndarray) -> np.ndarray:
        """Return a dual vector of shape ``(m,)`` in the rows of the problem, shape ``(M,)``."""
        return np.asarray((y if self._back is None else self._back @ y) * self._row)

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
        A = aslinearoperator(problem.A)
        super().__init__(_columns(A), np.asarray(problem.b, np.float64), signed)
        self._column = float(np.sqrt(squared_column_norms(A).mean()))

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
    if problem.is_dense or (hasattr(problem.A, "toarray") and problem.m * problem.n <= OPTIONS.max_entries):
        return DenseNormalEquations(problem, signed)
    return OperatorNormalEquations(problem, signed)


def _columns(A: Any) -> Columns:
    if isinstance(A, LinearOperator):
        return OperatorColumns(A, np.ones(A.shape[1]), np.arange(A.shape[1]))
    return ExplicitColumns(np.asarray(A, np.float64).T if isinstance(A, np.ndarray) else A.T.tocsr())


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
