r"""Random problems and start directions of the experiments, determined by a seed.

.. math:: A = G / \sqrt{M}, \qquad b = A x^*, \qquad u_0 = |g| / \lVert g \rVert_2,

with G and g standard normal (Section 5 of arXiv:2305.05448v1). The ground truth x* is one of

* ``"gaussian"``: :math:`|z|` with z standard normal;
* ``"sparse"``: :math:`s |z_S| / \lVert z_S \rVert_1` on a random support S of s entries;
* ``"signed"``: :math:`s z_S / \lVert z_S \rVert_1`, the same with signs.

Matrix, truth, support and start come from separate random streams, the `numpy.random.SeedSequence` children with
``spawn_key = (purpose, experiment, trial)``. So A and the start are independent for
equal seeds, A does not depend on the kind of truth, and each trial can be drawn alone.

>>> import numpy as np
>>> import polarbias as pb
>>> gaussian, sparse = (pb.gaussian_problem(seed=0, m=5, n=20, truth=truth) for truth in ("gaussian", "sparse"))
>>> bool(np.array_equal(gaussian.A, sparse.A))
True
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.problems.linear import LinearProblem
from polarbias.runtime.arrays import real_array
from polarbias.runtime.options import choice, flag, whole_number

Truth = Literal["gaussian", "sparse", "signed"]
TRUTHS = ("gaussian", "sparse", "signed")


# First entry of the spawn key; other numbers would change the problems of all seeds.
_MATRIX, _TRUTH, _SUPPORT, _START = range(4)


def _stream(purpose: int, seed: int | SeedSequence, experiment: int, trial: int) -> Generator:
    """Return the generator of one purpose in one trial; the key of a `SeedSequence` is its prefix."""
    key = (purpose, whole_number("experiment", experiment, 0), whole_number("trial", trial, 0))
    if isinstance(seed, SeedSequence):
        child = SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key), pool_size=seed.pool_size)
    else:
        child = SeedSequence(whole_number("seed", seed, 0), spawn_key=key)
    return Generator(PCG64(child))


def _size(name: str, value: int) -> int:
    """Return a length of arrays; 64 bits count the bytes of a matrix with the largest ones."""
    return whole_number(name, value, 1, 10**9)


def gaussian_matrix(seed: int | SeedSequence, m: int, n: int, *, experiment: int = 0, trial: int = 0) -> np.ndarray:
    r"""Return :math:`A = G / \sqrt{M}` with G standard normal, shape ``(m, n)``.

    Arguments and errors are those of `gaussian_problem`.

    >>> import polarbias as pb
    >>> pb.gaussian_matrix(seed=0, m=2, n=3).shape
    (2, 3)
    """
    shape = _size("m", m), _size("n", n)
    return np.asarray(_stream(_MATRIX, seed, experiment, trial).standard_normal(shape) / np.sqrt(shape[0]))


def center_rows(A: ArrayLike) -> np.ndarray:
    """Return ``A``, shape ``(..., M, N)``, minus its row means: rows sum to zero up to rounding.

    Theorem 2.1 of arXiv:2305.05448v1 assumes such matrices; the paper's experiments do not use them. Anything but a
    finite real array with at least two axes and one column raises `InvalidInput`.

    >>> center_rows([[1.0, 3.0]])
    array([[-1.,  1.]])
    """
    matrix = real_array(A, "A")
    if matrix.ndim < 2 or matrix.shape[-1] == 0:
        raise InvalidInput(f"A must have shape (..., M, N) with N >= 1, got {matrix.shape}.")
    return _minus_row_means(matrix)


def _minus_row_means(A: np.ndarray) -> np.ndarray:
    centred = A - A.mean(axis=-1, keepdims=True)
    return np.asarray(centred - centred.mean(axis=-1, keepdims=True))  # removes the rounding error of the first pass


def gaussian_truth(seed: int | SeedSequence, n: int, *, experiment: int = 0, trial: int = 0) -> np.ndarray:
    """Return the dense nonnegative truth ``|z|``, z standard normal, shape ``(n,)``.

    Arguments and errors are those of `gaussian_problem`.

    >>> bool((gaussian_truth(seed=0, n=100) > 0).all())
    True
    """
    return np.asarray(np.abs(_stream(_TRUTH, seed, experiment, trial).standard_normal(_size("n", n))))


def sparse_truth(seed: int | SeedSequence, n: int, *, s: int = 10, experiment: int = 0, trial: int = 0) -> np.ndarray:
    """Return a nonnegative truth of ``s`` positive entries that sum to ``s``, shape ``(n,)``.

    Arguments and errors are those of `gaussian_problem`.

    >>> x = sparse_truth(seed=0, n=100, s=4)
    >>> int((x > 0).sum()), round(float(x.sum()), 12)
    (4, 4.0)
    """
    return np.asarray(np.abs(signed_truth(seed, n, s=s, experiment=experiment, trial=trial)))


def signed_truth(seed: int | SeedSequence, n: int, *, s: int = 10, experiment: int = 0, trial: int = 0) -> np.ndarray:
    """Return a truth of ``s`` nonzero entries of both signs with l1 norm ``s``, shape ``(n,)``.

    Its absolute values are the `sparse_truth` of the same seed; arguments and errors are those of `gaussian_problem`.

    >>> round(float(abs(signed_truth(seed=0, n=100, s=4)).sum()), 12)
    4.0
    """
    n, s = _size("n", n), _size("s", s)
    if s > n:
        raise InvalidInput(f"s must be at most n = {n}, the number of entries, got {s}.")
    support = _stream(_SUPPORT, seed, experiment, trial).choice(n, size=s, replace=False)
    z = _stream(_TRUTH, seed, experiment, trial).standard_normal(s)
    x = np.zeros(n)
    x[support] = s * z / np.abs(z).sum()
    return x


def gaussian_problem(
    seed: int | SeedSequence,
    m: int,
    n: int,
    truth: Truth = "gaussian",
    *,
    s: int = 10,
    center_rows: bool = False,
    experiment: int = 0,
    trial: int = 0,
) -> LinearProblem:
    r"""Return a random problem :math:`A = G / \sqrt{M}`, :math:`b = A x^*` of the paper's experiments.

    Parameters
    ----------
    seed
        Integer >= 0, or a `numpy.random.SeedSequence`, which is not changed.
    m, n
        Numbers of equations and of unknowns, from 1 to 1e9; 150 and 1000 in the paper.
    truth
        ``"gaussian"``, ``"sparse"`` or ``"signed"``: `gaussian_truth`, `sparse_truth`, `signed_truth`.
    s
        Number of nonzero entries of a sparse or signed truth, from 1 to n.
    center_rows
        True to subtract the row means of A before b is computed.
    experiment, trial
        Which of the independent streams of this seed to use, integers >= 0.

    Raises
    ------
    InvalidInput
        An unknown truth; a seed, a size, or a stream number that is not an integer in its range.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.gaussian_problem(seed=0, m=150, n=1000, truth="sparse", s=10)
    >>> problem, int((problem.x_true > 0).sum())
    (LinearProblem(m=150, n=1000, batch_shape=()), 10)
    """
    kind, s = choice("truth", truth, TRUTHS), _size("s", s)
    A = gaussian_matrix(seed, m, n, experiment=experiment, trial=trial)
    if flag("center_rows", center_rows):
        A = _minus_row_means(A)
    if kind == "gaussian":
        x_true = gaussian_truth(seed, n, experiment=experiment, trial=trial)
    else:
        sample = sparse_truth if kind == "sparse" else signed_truth
        x_true = sample(seed, n, s=s, experiment=experiment, trial=trial)
    return LinearProblem(A, A @ x_true, x_true)


def folded_gaussian_direction(seed: int | SeedSequence, n: int, *, experiment: int = 0, trial: int = 0) -> np.ndarray:
    r"""Return the start direction :math:`|g| / \lVert g \rVert_2`, g standard normal, shape ``(n,)``.

    For a difference network n is twice the number of unknowns. Other arguments and errors are those of
    `gaussian_problem`; the random stream is independent of those of matrix and truth.

    >>> import polarbias as pb
    >>> u0 = pb.folded_gaussian_direction(seed=0, n=100)
    >>> bool((u0 > 0).all()), round(float((u0**2).sum()), 12)
    (True, 1.0)
    """
    g = np.abs(_stream(_START, seed, experiment, trial).standard_normal(_size("n", n)))
    return np.asarray(g / np.linalg.norm(g))


def uniform_direction(n: int) -> np.ndarray:
    r"""Return the start direction with all entries :math:`1 / \sqrt{n}`, shape ``(n,)``, for n from 1 to 1e9.

    >>> import polarbias as pb
    >>> pb.uniform_direction(4)
    array([0.5, 0.5, 0.5, 0.5])
    """
    return np.full(n, 1 / np.sqrt(_size("n", n)))
