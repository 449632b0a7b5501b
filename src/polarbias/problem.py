r"""The linear problem :math:`A X = b`, alone or in a batch.

.. math:: R(X) = A X - b, \qquad \mathcal L(X) = \frac{1}{2L} \lVert R(X) \rVert_2^2.

>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
>>> float(problem.loss([2.0, 0.0], depth=2))
0.25
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.batch import over_chains, selector
from polarbias.errors import InvalidInput, InvalidProblem


def real_array(value: ArrayLike, name: str, error: type[InvalidInput] = InvalidInput) -> np.ndarray:
    """Return ``value`` as a finite, real floating-point array, or raise ``error`` naming the argument.

    Integers and booleans become float64; float32 stays float32; complex, object and text data are refused.

    >>> real_array([1, 2], "b").dtype
    dtype('float64')
    """
    if not isinstance(value, np.ndarray | np.generic | Sequence | int | float | complex) and not hasattr(
        value, "__array__"
    ):
        raise error(f"{name} must be a dense array of real numbers, got {type(value).__name__}.")
    if np.ma.is_masked(value):
        raise error(f"{name} has masked entries; fill or drop them first.")
    try:
        array = np.asarray(value)
    except ValueError as ragged:
        raise error(f"{name} must be a rectangular array of real numbers: {ragged}.") from ragged
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise error(f"{name} must hold real numbers, got dtype {array.dtype}; take the real part or convert it first.")
    if array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise error(f"{name} holds NaN or infinity; clean the data first.")
    return array


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class LinearProblem:
    r"""Data of :math:`A X = b`, with leading batch axes where there are several problems.

    Parameters
    ----------
    A
        Matrix, shape ``(..., M, N)``; dense.
    b
        Right-hand side, shape ``(..., M)``.
    x_true
        The signal that made ``b``, shape ``(..., N)``, where it is known.

    Raises
    ------
    InvalidProblem
        Shapes that do not fit, empty axes, complex data, NaN or infinity.

    Notes
    -----
    The arrays are copied and made read-only. They keep their precision; all roads compute in float64
    unless ``dtype=`` asks for float32.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.LinearProblem([[1.0, 0.0, 2.0]], [1.0])
    LinearProblem(m=1, n=3, batch_shape=())
    """

    A: np.ndarray
    b: np.ndarray
    x_true: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Validate and freeze the arrays."""
        if hasattr(self.A, "tocsr") or (hasattr(self.A, "matvec") and not isinstance(self.A, np.ndarray)):
            raise InvalidProblem("A is sparse or a linear operator; this version takes dense arrays: pass A.toarray().")
        A = real_array(self.A, "A", InvalidProblem)
        b = real_array(self.b, "b", InvalidProblem)
        if A.ndim < 2 or 0 in A.shape:
            raise InvalidProblem(f"A must have shape (..., M, N) with M, N >= 1, got {A.shape}.")
        if b.shape != A.shape[:-1]:
            raise InvalidProblem(f"b must have shape {A.shape[:-1]} to go with A of shape {A.shape}, got {b.shape}.")
        object.__setattr__(self, "A", _frozen(A))
        object.__setattr__(self, "b", _frozen(b))
        if self.x_true is not None:
            x_true = real_array(self.x_true, "x_true", InvalidProblem)
            expected = (*A.shape[:-2], A.shape[-1])
            if x_true.shape != expected:
                raise InvalidProblem(f"x_true must have shape {expected} to go with A, got {x_true.shape}.")
            object.__setattr__(self, "x_true", _frozen(x_true))

    def __reduce__(self) -> tuple[type[LinearProblem], tuple[np.ndarray | None, ...]]:
        """Pickle and copy through the constructor: NumPy's own copies are writeable."""
        return LinearProblem, (self.A, self.b, self.x_true)

    def __repr__(self) -> str:
        """Sizes instead of data."""
        return f"LinearProblem(m={self.m}, n={self.n}, batch_shape={self.batch_shape})"

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
        return self.A.shape[:-2]

    def __getitem__(self, index: Any) -> LinearProblem:
        """Select problems of a batch by indexing its leading axes."""
        take = selector(self.batch_shape, index)
        return LinearProblem(take(self.A), take(self.b), None if self.x_true is None else take(self.x_true))

    def residual(self, x: ArrayLike) -> np.ndarray:
        """Return ``A x - b``, shape ``(..., M)``, for signals of shape ``(..., N)``; signal axes may be in excess."""
        signal = real_array(x, "x")
        if signal.shape[-1:] != (self.n,):
            raise InvalidInput(f"x must have {self.n} entries on its last axis, got shape {signal.shape}.")
        extra = signal.ndim - 1 - len(self.batch_shape)
        try:
            np.broadcast_shapes(signal.shape[: signal.ndim - 1 - max(extra, 0)], self.batch_shape)
        except ValueError:
            raise InvalidInput(
                f"x must have leading axes that go with the problem's, {self.batch_shape}, got shape {signal.shape}."
            ) from None
        if extra <= 0:
            return np.asarray(np.einsum("...mn,...n->...m", self.A, signal) - self.b)
        b = over_chains(self.b, len(self.batch_shape), extra)
        A = over_chains(self.A, len(self.batch_shape), extra - 1)
        return np.asarray(signal @ np.swapaxes(A, -1, -2) - b)

    def loss(self, x: ArrayLike, depth: int) -> Any:
        r"""Return :math:`\lVert A x - b \rVert^2 / (2 L)` with L = ``depth`` (eq. 9)."""
        if depth < 1:
            raise InvalidInput(f"depth must be at least 1, got {depth!r}.")
        return (self.residual(x) ** 2).sum(-1) / (2 * depth)

    def signed(self) -> LinearProblem:
        r"""Return the nonnegative problem with matrix :math:`[A, -A]` that stands for signed signals (eq. 22).

        >>> import polarbias as pb
        >>> pb.LinearProblem([[1.0, 2.0]], [1.0], [-1.0, 1.0]).signed().x_true
        array([0., 1., 1., 0.])
        """
        x_true = self.x_true
        if x_true is not None:
            x_true = np.concatenate([np.maximum(x_true, 0), np.maximum(-x_true, 0)], axis=-1)
        return LinearProblem(np.concatenate([self.A, -self.A], axis=-1), self.b, x_true)


def require_problem(problem: object) -> None:
    """Raise `InvalidProblem` unless this is a `LinearProblem`."""
    if not isinstance(problem, LinearProblem):
        raise InvalidProblem(f"problem must be a LinearProblem, got {type(problem).__name__}; use LinearProblem(A, b).")


def stack(problems: Sequence[LinearProblem]) -> LinearProblem:
    """Stack problems of one shape along a new leading axis.

    >>> import polarbias as pb
    >>> one = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> pb.stack([one, one]).batch_shape
    (2,)

    Raises
    ------
    InvalidProblem
        No problem, different shapes, or a known ``x_true`` in some of them only.
    """
    problems = list(problems)
    if not problems:
        raise InvalidProblem("stack needs at least one problem.")
    for problem in problems:
        require_problem(problem)
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
