r"""The matrix of a problem as the solvers see it: products, and normal equations :math:`A D A^\top y = v`.

Signed networks work with the matrix [A, -A], which is never formed: its products are A (x+ - x-) and the two signs of
one A^T y, and its normal matrix is A (D+ + D-) A^T.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

from polarbias.errors import NotReachable
from polarbias.linalg.columns import Solve, qr_solver
from polarbias.problems.linear import LinearProblem

FLOOR = 1e-15
"""Weights below this fraction of the largest are not resolved by floating-point sums; they count as this much."""

GRADED = 1e-8
"""Share of the largest weight below which the M-th largest asks for an orthogonal factorization."""

MOST_ENTRIES = 20_000_000
"""Entries up to which a sparse matrix is worked on as a dense one."""

REACHED = 1e-9
"""Relative distance from A {z >= 0}, or from the range of A, above which b counts as out of reach."""


class DenseOperator:
    """A dense or sparse matrix with rows of full rank, scaled to similar norms, and the data that goes with it.

    Attributes
    ----------
    b
        Right-hand side in the rows of this operator, shape ``(rank,)``.
    n
        Number of entries that the forward product takes, 2 N for signed signals.
    """

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Scale the rows, and drop what is dependent."""
        A = np.asarray(problem.A if isinstance(problem.A, np.ndarray) else problem.A.toarray(), np.float64)
        b = np.asarray(problem.b, np.float64)
        self.signed = signed
        self.n = A.shape[1] * (1 + signed)
        self._back = np.eye(0)
        size = np.abs(A).max(1)
        lost = (size == 0) & (b != 0)
        if lost.any():
            raise NotReachable(f"row {int(lost.argmax())} of A is zero and its b is not.", np.where(lost, b, 0.0))
        with np.errstate(divide="ignore"):
            self._row = np.where(size > 0, np.exp2(-np.round(np.log2(size))), 1.0)  # powers of two: no rounding
        if (self._row != self._row[0]).any() or self._row[0] not in (0.25, 0.5, 1.0, 2.0, 4.0):
            A = A * self._row[:, None]
        else:
            self._row = np.ones_like(self._row)
        b = b * self._row
        self._A, self.b = A, b
        self._set(A)
        if not _well_conditioned(self._gram):
            self._reduce(A, b)

    def _set(self, A: np.ndarray) -> None:
        self._A = A
        self._columns = np.ascontiguousarray(A.T)
        self._gram = A @ self._columns

    def _reduce(self, A: np.ndarray, b: np.ndarray) -> None:
        """Replace dependent rows by an orthonormal combination of them."""
        left, values, _ = linalg.svd(A, full_matrices=False, lapack_driver="gesdd")
        rank = int((values > values[0] * max(A.shape) * 4 * np.finfo(float).eps).sum()) if values[0] > 0 else 0
        left = left[:, :rank]
        missed = b - left @ (left.T @ b)
        missed -= left @ (left.T @ missed)
        if np.linalg.norm(missed) > REACHED * np.linalg.norm(b):
            raise NotReachable(
                "b is not in the range of A: drop contradictory rows, or project b onto the range.", missed * self._row
            )
        self._back = left
        self.b = left.T @ b
        self._set(left.T @ A)

    @property
    def m(self) -> int:
        """Number of independent rows."""
        return int(self._A.shape[0])

    @property
    def columns(self) -> np.ndarray:
        """The columns of A in the rows of this operator, shape ``(N, rank)``."""
        return self._columns

    def rows(self, y: np.ndarray) -> np.ndarray:
        """Return a dual vector of this operator as one of the rows of the problem, shape ``(M,)``."""
        return np.asarray((self._back @ y if self._back.size or not self.m else y) * self._row)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(rank,)``, for x of shape ``(n,)``."""
        return np.asarray(self._A @ _folded(x, -1.0, self.signed))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(n,)``."""
        z = y @ self._A
        return np.concatenate([z, -z]) if self.signed else np.asarray(z)

    def column_norms(self) -> np.ndarray:
        """Return the Euclidean norms of the columns, shape ``(n,)``."""
        norms = np.sqrt(np.einsum("nm,nm->n", self._columns, self._columns))
        return np.tile(norms, 2) if self.signed else norms

    def normal(
        self, weights: np.ndarray, negligible: float = 0.0, *, graded: bool = False, ridge: float = 0.0
    ) -> Solve:
        r"""Return the map :math:`v \mapsto (A\,\mathrm{diag}(d) A^\top)^{-1} v` for weights d >= 0, shape ``(n,)``.

        Weights at or below ``negligible`` times the largest are left out. Where fewer than M weights carry the sum,
        the others are rounded away and count as `FLOOR`, unless ``graded`` asks for their digits: then an orthogonal
        factorization replaces the sum, and no direction counts for less than the weight ``ridge`` on all columns.
        """
        d = _folded(weights, 1.0, self.signed)
        top = d.max()
        if not top > 0:
            d, top = np.ones_like(d), 1.0
        if graded:
            carrying = np.partition(d, d.size - self.m)[d.size - self.m] if d.size > self.m else d.min()
            if carrying < GRADED * top:
                return self._orthogonal(d / top, top, max(ridge / top, FLOOR**2))
        kept = np.flatnonzero(d > max(negligible, 1e-18) * top)
        B = self._columns[kept] * np.sqrt(d[kept])[:, None]
        H = linalg.blas.dsyrk(1.0, B.T, lower=1)
        factor = _factored(H, self._gram, top, max(FLOOR, 0.1 * negligible))

        def solve(v: np.ndarray) -> np.ndarray:
            return np.asarray(linalg.cho_solve(factor, v, check_finite=False))

        return solve

    def _orthogonal(self, d: np.ndarray, top: float, ridge: float) -> Solve:
        """Solve by a QR factorization of diag(d)^(1/2) A^T, rows in falling order: accurate for weights that differ."""
        order = np.argsort(-d)
        order = order[d[order] > 1e-3 * ridge]
        B = np.vstack([self._columns[order] * np.sqrt(d[order])[:, None], np.sqrt(ridge) * self._root])
        solve = qr_solver(B)
        return lambda v: solve(v / top)

    @cached_property
    def _root(self) -> np.ndarray:
        return np.asarray(linalg.cholesky(self._gram, check_finite=False))


def _factored(H: np.ndarray, shift: np.ndarray, size: float, floor: float) -> Any:
    """Return the Cholesky factor of H + floor size shift, with a larger floor where rounding makes that indefinite."""
    while True:
        try:
            return linalg.cho_factor(H + (floor * size) * shift, lower=True, check_finite=False)
        except linalg.LinAlgError:
            floor = max(100 * floor, FLOOR)
            if floor > 1:
                raise


def _well_conditioned(gram: np.ndarray) -> bool:
    """Tell whether Gram's matrix is safely positive definite."""
    try:
        pivots = np.diagonal(linalg.cholesky(gram, lower=True, check_finite=False))
    except linalg.LinAlgError:
        return False
    return bool(pivots.min() ** 2 > 1e-10 * pivots.max() ** 2)


class FreeOperator:
    """A matrix known by its products only; normal equations by conjugate gradients, memory O(M + N).

    Rows are taken to be independent and of similar norms.
    """

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Estimate the size of the columns from the images of a few random vectors."""
        self._matrix = problem.A
        self.b = np.asarray(problem.b, np.float64)
        self.signed = signed
        self.n = problem.n * (1 + signed)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, problem.m))
        self._column = float(np.sqrt(np.mean([np.mean(self._matrix.rmatvec(sign) ** 2) for sign in signs])))

    @property
    def m(self) -> int:
        """Number of rows."""
        return int(self._matrix.shape[0])

    def rows(self, y: np.ndarray) -> np.ndarray:
        """Return y."""
        return y

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``, for x of shape ``(n,)``."""
        return np.asarray(self._matrix.matvec(_folded(x, -1.0, self.signed)))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(n,)``."""
        z = np.asarray(self._matrix.rmatvec(y))
        return np.concatenate([z, -z]) if self.signed else z

    def column_norms(self) -> np.ndarray:
        """Return an estimate of the norm of an average column, for every column."""
        return np.full(self.n, self._column)

    def normal(
        self, weights: np.ndarray, negligible: float = 0.0, *, graded: bool = False, ridge: float = 0.0
    ) -> Solve:
        """Return the map v -> (A diag(d) A^T)^-1 v, to a relative residual of 1e-11 (1e-4 where ``negligible``)."""
        del graded, ridge
        d = _folded(weights, 1.0, self.signed)
        level = max(FLOOR, negligible) * float(d.max()) * self._column**2 * self.n / self.m

        def product(y: np.ndarray) -> np.ndarray:
            return np.asarray(self._matrix.matvec(d * self._matrix.rmatvec(y)) + level * y)

        H = LinearOperator((self.m, self.m), matvec=product, dtype=np.float64)

        def solve(v: np.ndarray) -> np.ndarray:
            y, _ = cg(H, v, rtol=1e-4 if negligible else 1e-11, maxiter=2000)
            return np.asarray(y)

        return solve


def _folded(x: np.ndarray, sign: float, signed: bool) -> np.ndarray:
    """Return x, or for both halves of a signed signal plus + sign minus."""
    if not signed:
        return x
    half = x.size // 2
    return np.asarray(x[:half] + sign * x[half:])


def operator_of(problem: LinearProblem, signed: bool) -> Any:
    """Return the operator of one problem (no batch): dense where A is an array or a sparse matrix of moderate size."""
    if isinstance(problem.A, np.ndarray):
        return DenseOperator(problem, signed)
    if hasattr(problem.A, "toarray") and problem.m * problem.n <= MOST_ENTRIES:
        return DenseOperator(problem, signed)
    from scipy.sparse.linalg import aslinearoperator

    return FreeOperator(LinearProblem(aslinearoperator(problem.A), problem.b), signed)
