r"""Linear problems :math:`A X = b`, single or in a batch.

.. math:: R(X) = A X - b, \qquad \mathcal L(X) = \frac{1}{2L} \lVert R(X) \rVert_2^2.

>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
>>> float(problem.loss([2.0, 0.0], depth=2))
0.25
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput, InvalidProblem
from polarbias.runtime.arrays import real_array
from polarbias.runtime.batch_axes import over_runs, selector
from polarbias.runtime.options import depth_number


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array


def _is_sparse(A: Any) -> bool:
    return hasattr(A, "tocsr")


def check_indices(A: Any) -> None:
    """Raise `InvalidProblem` for a sparse matrix with indices out of range, which crash SciPy's compiled loops."""

    def within(indices: np.ndarray, length: int) -> bool:
        return not indices.size or bool(0 <= indices.min() <= indices.max() < length)

    valid = True
    if A.format == "coo":
        valid = all(len(axis) == A.nnz and within(axis, length) for axis, length in zip(A.coords, A.shape, strict=True))
    elif A.format in ("csr", "csc", "bsr"):
        rows, columns = A.blocksize if A.format == "bsr" else (1, 1)
        major, minor = A.shape[0] // rows, A.shape[1] // columns
        if A.format == "csc":
            major, minor = minor, major
        ends, stored = A.indptr, min(len(A.indices), len(A.data))
        valid = len(ends) == major + 1 and ends[0] == 0 and within(np.diff(ends), stored + 1) and ends[-1] <= stored
        valid = valid and within(A.indices[: ends[-1]], minor)
    if not valid:
        raise InvalidProblem(f"the sparse matrix A of shape {A.shape} has indices that are out of range.")


def _frozen_csr(A: Any) -> Any:
    """Return a float64 copy of a sparse matrix in compressed rows, with read-only arrays."""
    from scipy.sparse import csr_array

    if A.dtype.kind not in "fiub":
        raise InvalidProblem(f"A must hold real numbers, got dtype {A.dtype}; take the real part or convert it first.")
    check_indices(A)
    A = csr_array(A, dtype=np.float64, copy=True)
    A.sum_duplicates()  # now: SciPy would do it later, in place
    if not np.isfinite(A.data).all():
        raise InvalidProblem("A holds NaN or infinity; clean the data first.")
    for array in (A.data, A.indices, A.indptr):
        array.flags.writeable = False
    return A


def _checked_operator(A: Any) -> Any:
    """Return a linear operator after a check that it and its adjoint map zeros to finite float64."""
    from scipy.sparse.linalg import LinearOperator

    if not isinstance(A, LinearOperator):
        raise InvalidProblem(
            f"A must be a dense array, a SciPy sparse matrix or a scipy.sparse.linalg.LinearOperator, got"
            f" {type(A).__name__}; wrap it with scipy.sparse.linalg.aslinearoperator."
        )
    if A.dtype is not None and A.dtype.kind not in "fiub":
        raise InvalidProblem(f"the linear operator A must be real, got dtype {A.dtype}.")
    m, n = A.shape
    for name, size, expected in (("matvec", n, m), ("rmatvec", m, n)):
        try:
            image = getattr(A, name)(np.zeros(size))
        except (NotImplementedError, TypeError, ValueError) as reason:
            raise InvalidProblem(
                f"the linear operator A cannot apply {name} to {size} zeros; both matvec and rmatvec are needed:"
                f" {type(reason).__name__}: {reason}"
            ) from reason
        if image.shape != (expected,) or image.dtype != np.float64 or not np.isfinite(image).all():
            raise InvalidProblem(
                f"{name} of the linear operator A must map {size} float64 zeros to {expected} finite float64 numbers,"
                f" got {image!r}."
            )
    return A


@dataclass(frozen=True, eq=False)
class LinearProblem:
    r"""Data of :math:`A X = b`; leading axes are a batch of problems.

    Parameters
    ----------
    A
        Matrix, shape ``(..., M, N)``; dense. One problem without batch axes may also have a SciPy sparse matrix or
        array, converted to a float64 ``csr_array``, or a real `scipy.sparse.linalg.LinearOperator` with ``matvec``
        and ``rmatvec``.
    b
        Right-hand side, shape ``(..., M)``.
    x_true
        True signal, shape ``(..., N)``, if known.

    Raises
    ------
    InvalidProblem
        Shapes that do not fit, empty axes, complex data, NaN or infinity; an operator that does not map zeros to
        finite float64 numbers.

    Notes
    -----
    The arrays are copied and read-only, in their own precision; solvers compute in float64 unless ``dtype=`` says
    otherwise. A problem with an operator can be copied and pickled if the operator can.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.LinearProblem([[1.0, 0.0, 2.0]], [1.0])
    LinearProblem(m=1, n=3, batch_shape=())
    >>> from scipy.sparse import csr_array
    >>> pb.LinearProblem(csr_array([[1.0, 0.0, 2.0]]), [1.0]).apply([1.0, 1.0, 1.0])
    array([3.])
    """

    A: Any
    b: np.ndarray
    x_true: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._set(_frozen)

    def _set(self, kept: Callable[[np.ndarray], np.ndarray]) -> None:
        A = self.A
        sparse = _is_sparse(A)
        if sparse or (hasattr(A, "matvec") and not isinstance(A, np.ndarray)):
            shape = getattr(A, "shape", (1, 1))
            if len(shape) != 2 or 0 in shape:
                raise InvalidProblem(
                    f"a sparse matrix or linear operator A must have shape (M, N) with M, N >= 1, got {shape};"
                    " batches of problems take dense arrays."
                )
            A = _frozen_csr(A) if sparse else _checked_operator(A)
        else:
            A = real_array(A, "A", InvalidProblem)
            if A.ndim < 2 or 0 in A.shape:
                raise InvalidProblem(f"A must have shape (..., M, N) with M, N >= 1, got {A.shape}.")
        b = real_array(self.b, "b", InvalidProblem)
        if b.shape != A.shape[:-1]:
            raise InvalidProblem(f"b must have shape {A.shape[:-1]} to go with A of shape {A.shape}, got {b.shape}.")
        object.__setattr__(self, "A", kept(A) if isinstance(A, np.ndarray) else A)
        object.__setattr__(self, "b", kept(b))
        if self.x_true is not None:
            x_true = real_array(self.x_true, "x_true", InvalidProblem)
            expected = (*A.shape[:-2], A.shape[-1])
            if x_true.shape != expected:
                raise InvalidProblem(f"x_true must have shape {expected} to go with A, got {x_true.shape}.")
            object.__setattr__(self, "x_true", kept(x_true))

    def __reduce__(self) -> tuple[type[LinearProblem], tuple[Any, ...]]:
        # Copies and pickles go through the constructor, which makes arrays read-only.
        return LinearProblem, (self.A, self.b, self.x_true)

    def __repr__(self) -> str:
        kind = "" if self.is_dense else ", sparse" if _is_sparse(self.A) else ", operator"
        return f"LinearProblem(m={self.m}, n={self.n}, batch_shape={self.batch_shape}{kind})"

    @property
    def is_dense(self) -> bool:
        """True if A is an array, not a sparse matrix or a linear operator."""
        return isinstance(self.A, np.ndarray)

    @property
    def m(self) -> int:
        """Number of equations M."""
        return int(self.A.shape[-2])

    @property
    def n(self) -> int:
        """Number of unknowns N."""
        return int(self.A.shape[-1])

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes, ``()`` for one problem."""
        return tuple(self.A.shape[:-2])

    def __getitem__(self, index: Any) -> LinearProblem:
        """Return the problems selected by an index into the batch axes."""
        take = selector(self.batch_shape, index)
        return LinearProblem(take(self.A), take(self.b), None if self.x_true is None else take(self.x_true))

    def apply(self, x: ArrayLike) -> np.ndarray:
        """Return ``A x``, shape ``(..., M)``, for signals of shape ``(..., N)``; extra axes before N are allowed.

        `InvalidInput` rejects shapes that do not fit, complex data, NaN and infinity.

        >>> import polarbias as pb
        >>> pb.LinearProblem([[1.0, 2.0]], [1.0]).apply([[1.0, 0.0], [0.0, 1.0]])
        array([[1.],
               [2.]])
        """
        return self._product(x, "x", adjoint=False)

    def adjoint(self, y: ArrayLike) -> np.ndarray:
        """Return ``A^T y``, shape ``(..., N)``, for ``y`` of shape ``(..., M)``, under the rules of `apply`.

        >>> import polarbias as pb
        >>> pb.LinearProblem([[1.0, 2.0]], [1.0]).adjoint([3.0])
        array([3., 6.])
        """
        return self._product(y, "y", adjoint=True)

    def _product(self, values: ArrayLike, name: str, *, adjoint: bool) -> np.ndarray:
        array = real_array(values, name)
        size = self.m if adjoint else self.n
        if array.shape[-1:] != (size,):
            raise InvalidInput(f"{name} must have {size} entries on its last axis, got shape {array.shape}.")
        if not self.is_dense:
            return self._indirect_product(array.astype(np.float64), adjoint=adjoint)
        A = np.swapaxes(self.A, -1, -2) if adjoint else self.A
        extra = array.ndim - 1 - len(self.batch_shape)
        if not (self.batch_shape or extra):
            return np.asarray(A @ array)
        try:
            np.broadcast_shapes(array.shape[: array.ndim - 1 - max(extra, 0)], self.batch_shape)
        except ValueError:
            raise InvalidInput(
                f"{name} must have leading axes that go with the problem's, {self.batch_shape}, got shape"
                f" {array.shape}."
            ) from None
        if extra <= 0:
            return np.asarray(np.einsum("...mn,...n->...m", A, array))
        A = over_runs(A, len(self.batch_shape), extra - 1)
        return np.asarray(array @ np.swapaxes(A, -1, -2))

    def _indirect_product(self, array: np.ndarray, *, adjoint: bool) -> np.ndarray:
        """Return the product of a sparse matrix or an operator with all vectors of ``array``, as one block."""
        columns = array.reshape((-1, array.shape[-1])).T
        images = np.empty((self.n if adjoint else self.m, columns.shape[1]))
        if _is_sparse(self.A):
            images[:] = (self.A.T if adjoint else self.A) @ columns
        elif columns.shape[1] == 1:  # an operator's block product may copy or loop
            images[:, 0] = (self.A.rmatvec if adjoint else self.A.matvec)(columns[:, 0])
        elif columns.shape[1]:
            images[:] = (self.A.rmatmat if adjoint else self.A.matmat)(columns)
        return np.ascontiguousarray(images.T).reshape((*array.shape[:-1], len(images)))

    def residual(self, x: ArrayLike) -> np.ndarray:
        """Return ``A x - b``, shape ``(..., M)``, for signals of shape ``(..., N)``, as in `apply`."""
        product = self.apply(x)
        extra = max(np.ndim(x) - 1 - len(self.batch_shape), 0)
        return np.asarray(product - over_runs(self.b, len(self.batch_shape), extra))

    def loss(self, x: ArrayLike, depth: int) -> Any:
        r"""Return :math:`\lVert A x - b \rVert^2 / (2 L)` with L = ``depth`` (eq. 9)."""
        return (self.residual(x) ** 2).sum(-1) / (2 * depth_number(depth))

    def signed(self) -> LinearProblem:
        r"""Return the nonnegative problem with matrix :math:`[A, -A]` equivalent to signed signals (eq. 22).

        >>> import polarbias as pb
        >>> pb.LinearProblem([[1.0, 2.0]], [1.0], [-1.0, 1.0]).signed().x_true
        array([0., 1., 1., 0.])
        """
        x_true = self.x_true
        if x_true is not None:
            x_true = np.concatenate([np.maximum(x_true, 0), np.maximum(-x_true, 0)], axis=-1)
        if self.is_dense:
            return LinearProblem(np.concatenate([self.A, -self.A], axis=-1), self.b, x_true)
        from scipy.sparse import eye_array, hstack
        from scipy.sparse.linalg import aslinearoperator

        A = self.A if _is_sparse(self.A) else eye_array(self.n, format="csr")
        both = hstack([A, -A], format="csr")
        return LinearProblem(both if A is self.A else self.A @ aslinearoperator(both), self.b, x_true)


def is_operator(A: Any) -> bool:
    """Return True if A, of a `LinearProblem`, is a linear operator."""
    return not (isinstance(A, np.ndarray) or _is_sparse(A))


def squared_column_norms(A: Any, row: np.ndarray | None = None) -> np.ndarray:
    """Return the squared norms of the columns of A / row, shape ``(N,)``.

    Those of a linear operator are estimated without bias, each to about 50%, from the images of eight random vectors.
    """
    if is_operator(A):
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, A.shape[0]))
        return np.asarray(np.mean([A.rmatvec(sign if row is None else sign / row) ** 2 for sign in signs], axis=0))
    if not isinstance(A, np.ndarray):
        return np.asarray(A.multiply(A).T @ (np.ones(A.shape[0]) if row is None else row**-2.0))
    A = np.asarray(A, np.float64) if row is None else A / row[:, None]
    return np.asarray(np.einsum("mn,mn->n", A, A))


def borrowed(A: Any, b: ArrayLike) -> LinearProblem:
    """Return a problem that shares its dense arrays with the caller, for the duration of one call."""
    problem = object.__new__(LinearProblem)
    problem.__dict__.update(A=A, b=b, x_true=None)
    problem._set(lambda array: array)
    return problem


def require_problem(problem: object) -> None:
    """Raise `InvalidProblem` unless the argument is a `LinearProblem`."""
    if not isinstance(problem, LinearProblem):
        raise InvalidProblem(f"problem must be a LinearProblem, got {type(problem).__name__}; use LinearProblem(A, b).")


def require_dense(problem: LinearProblem, what: str) -> None:
    """Raise `InvalidProblem`, in the name of a function, if A is sparse or a linear operator."""
    if not problem.is_dense:
        kind = "sparse" if _is_sparse(problem.A) else "a linear operator"
        raise InvalidProblem(
            f"{what} needs a dense matrix, but A is {kind}: pass A.toarray() (of a linear operator, A @ numpy.eye(N))."
        )


def stack(problems: Sequence[LinearProblem]) -> LinearProblem:
    """Return problems of one shape, stacked along a new leading axis.

    >>> import polarbias as pb
    >>> one = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> pb.stack([one, one]).batch_shape
    (2,)

    `InvalidProblem` rejects no problem, different shapes, a known ``x_true`` in some of them only, and a matrix that is
    not dense.
    """
    try:
        problems = list(problems)
    except TypeError:
        raise InvalidProblem(f"problems must be a sequence of LinearProblem, got {problems!r}.") from None
    if not problems:
        raise InvalidProblem("stack needs at least one problem.")
    for problem in problems:
        require_problem(problem)
        require_dense(problem, "stack")
    shapes = sorted({problem.A.shape for problem in problems})
    if len(shapes) > 1:
        raise InvalidProblem(f"stack needs problems of one shape, got A of shapes {shapes}.")
    truths = [problem.x_true for problem in problems if problem.x_true is not None]
    if truths and len(truths) < len(problems):
        raise InvalidProblem("stack needs x_true in all problems or in none.")
    return LinearProblem(
        np.stack([problem.A for problem in problems]),
        np.stack([problem.b for problem in problems]),
        np.stack(truths) if truths else None,
    )
