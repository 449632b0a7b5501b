r"""Certificates computed from the data: bounds on the minimal l1 norm, and Farkas vectors of infeasible problems.

For any y with :math:`A^\top y \le w`, :math:`b^\top y \le \min \{ \langle w, z \rangle : A z = b, z \ge 0 \}`; for any
y with :math:`A^\top y \le 0` and :math:`b^\top y > 0` there is no such z.

>>> import numpy as np
>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
>>> y = best_dual(problem, [np.array([0.6])], np.ones(2))
>>> y, float(problem.b @ y)
(array([0.5]), 0.5)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from polarbias.errors import InvalidInput
from polarbias.problems.linear import LinearProblem, is_operator, squared_column_norms
from polarbias.runtime.arrays import real_array
from polarbias.runtime.options import flag, number
from polarbias.solution import Status

INFEASIBLE_THRESHOLD = 1e-9
"""Relative distance of b from every A x above which a problem counts as infeasible."""

FARKAS_TOL = 1e-12
"""Excess of A^T y over 0, relative to the norms of y and the columns, that is rounding in up to 10^4 rows."""

MOST_ENTRIES = 100_000_000
"""Entries up to which `farkas_certificate` works on a sparse matrix as a dense one: 0.8 GB."""


class Certificate(NamedTuple):
    r"""Properties of a pair (x, y) for min <w, \|x\|> subject to A x = b.

    Attributes
    ----------
    value
        <w, \|x\|>; infinite if an entry of infinite weight is nonzero or an entry has a forbidden sign.
    bound
        Lower bound on the value of every solution, from y shrunk into its bounds.
    gap
        (value - bound) / value; 0 if the value is 0.
    residual
        Excess of \|\|A x - b\|\| over sigma, relative to sigma, or to \|\|b\|\| if that is 0.
    dual_infeasibility
        max over n of \|a_n^T y\| / w_n - 1 (of a_n^T y / w_n - 1 for nonnegative signals), at least 0; for w_n = 0
        \|a_n^T y\| / (\|\|a_n\|\| \|\|y\|\|).
    """

    value: float
    bound: float
    gap: float
    residual: float
    dual_infeasibility: float

    def within(self, tol: float) -> bool:
        """Return True if gap, residual and dual infeasibility are at most ``tol``."""
        return abs(self.gap) <= tol and self.residual <= tol and self.dual_infeasibility <= tol


def certify(
    A: object,
    b: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    nonnegative: bool = False,
    sigma: float = 0.0,
) -> Certificate:
    r"""Return the value, the lower bound and the violations of a pair (x, y), computed from the data.

    .. math:: \min_x \langle w, |x| \rangle \ \text{s.t.}\ \lVert A x - b \rVert_2 \le \sigma
              \;\ge\; \max_y b^\top y - \sigma \lVert y \rVert_2 \ \text{s.t.}\ |A^\top y| \le w .

    Parameters
    ----------
    A, b
        One problem: A dense, sparse or a linear operator, of shape ``(M, N)``; b of shape ``(M,)``.
    x, y
        A signal and a dual vector, shapes ``(N,)`` and ``(M,)``.
    weights, nonnegative, sigma
        As in `basis_pursuit`.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, negative weights or sigma.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.certify([[1.0, 2.0]], [2.0], [0.0, 1.0], [0.5])
    Certificate(value=1.0, bound=1.0, gap=0.0, residual=0.0, dual_infeasibility=0.0)
    """
    nonnegative, sigma = flag("nonnegative", nonnegative), number("sigma", sigma, least=0)
    problem = LinearProblem(A, b)  # type: ignore[arg-type]
    x, y = real_array(x, "x").astype(np.float64), real_array(y, "y").astype(np.float64)
    if x.shape != (problem.n,) or y.shape != (problem.m,):
        raise InvalidInput(f"x and y must have shapes ({problem.n},) and ({problem.m},), got {x.shape} and {y.shape}.")
    return certificate_of(problem, x, y, checked_weights(weights, problem.n), nonnegative, sigma)


def certificate_of(
    problem: LinearProblem, x: np.ndarray, y: np.ndarray, w: np.ndarray, nonnegative: bool, sigma: float
) -> Certificate:
    """Return `certify` of checked arguments."""
    support = np.flatnonzero(x)
    value = float(w[support] @ np.abs(x[support]))
    if nonnegative and x.min() < 0:
        value = np.inf
    correlations = problem.adjoint(y) if nonnegative else np.abs(problem.adjoint(y))
    bounded = w > 0  # infinite bounds hold
    excess = max(0.0, float((correlations[bounded] / w[bounded]).max(initial=0.0)) - 1)
    bound = float(problem.b @ y - sigma * np.linalg.norm(y)) / (1 + excess)
    if not bounded.all() and y.any():
        free = np.flatnonzero(~bounded)
        if is_operator(problem.A):
            norms = np.linalg.norm(problem.apply(np.eye(problem.n)[free]), axis=1)
        else:
            norms = np.sqrt(squared_column_norms(problem.A))[free]
        size = norms * np.linalg.norm(y)
        excess = max(excess, float(np.divide(correlations[free], size, out=np.zeros_like(size), where=size > 0).max()))
    residual = max(float(np.linalg.norm(problem.residual(x))) - sigma, 0.0)
    gap = (value - bound) / value if value else 0.0
    return Certificate(value, bound, gap, residual / (sigma or float(np.linalg.norm(problem.b)) or 1.0), excess)


def checked_weights(weights: ArrayLike | None, n: int) -> np.ndarray:
    """Return weights as an array, or raise `InvalidInput` unless they are n numbers from 0 to infinity."""
    if weights is None:
        return np.ones(n)
    if np.ma.is_masked(weights):
        raise InvalidInput("weights has masked entries; fill or drop them first.")
    try:
        w = np.asarray(weights)
    except ValueError:  # ragged
        w = np.empty(0)
    if w.dtype.kind not in "fiub" or w.shape != (n,) or not (w >= 0).all():
        raise InvalidInput(f"weights must be {n} numbers from 0 to infinity, shape ({n},).")
    return w.astype(np.float64)


def best_dual(problem: LinearProblem, candidates: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return the candidate, shrunk until ``A^T y <= weights``, with the largest b^T y, shape ``(M,)``, or zeros.

    For signed signals the positive weights have shape ``(2 N,)``: the bounds of A^T y and of -A^T y.
    """
    # A relative margin of rounding size keeps the bound valid in spite of its own rounding.
    margin, feasible = 1 + 4 * np.finfo(float).eps * np.sqrt(problem.m), [np.zeros(problem.m)]
    for y in candidates:
        if np.isfinite(y).all():
            correlations = problem.adjoint(y)
            if weights.size > problem.n:
                correlations = np.concatenate([correlations, -correlations])
            feasible.append(y / max(1.0, float((correlations / weights).max()) * margin))
    return max(feasible, key=lambda y: float(problem.b @ y))


def farkas_certificate(
    problem: LinearProblem,
    nonnegative: bool = False,
    *,
    sigma: float = 0.0,
    allowed: np.ndarray | None = None,
    direction: np.ndarray | None = None,
) -> np.ndarray | None:
    r"""Return a verified proof that A x = b has no solution, shape ``(M,)`` and of norm 1, or None if none is found.

    By Farkas' lemma there is either x with :math:`A x = b` (and :math:`x \ge 0`) or y with :math:`b^\top y > 0` and
    :math:`A^\top y = 0` (:math:`A^\top y \le 0`). The residual of the nearest point A x is such a y.

    Parameters
    ----------
    problem, nonnegative
        One problem, without batch axes, and True if x >= 0 is required.
    sigma
        Largest distance of A x from b; the proof then has b^T y > sigma ||y||.
    allowed
        Mask of the entries of x that may be nonzero, shape ``(N,)``; all by default.
    direction
        A candidate of shape ``(M,)``. For a linear operator only this candidate and b are tried.

    Examples
    --------
    >>> import polarbias as pb
    >>> farkas_certificate(pb.LinearProblem([[1.0, 2.0]], [-1.0]), nonnegative=True)
    array([-1.])
    >>> farkas_certificate(pb.LinearProblem([[1.0, 2.0]], [-1.0])) is None
    True
    """
    b = np.asarray(problem.b, np.float64)
    for y in (direction, b):
        if y is not None and verify_farkas(problem, y, nonnegative, sigma=sigma, allowed=allowed):
            return np.asarray(y / np.linalg.norm(y))
    if is_operator(problem.A) or problem.m * problem.n > MOST_ENTRIES or not np.linalg.norm(b) > sigma:
        return None
    A = np.asarray(problem.A if problem.is_dense else problem.A.toarray(), np.float64)
    row = np.ones(problem.m) if sigma else _row_scale(problem)  # a ball around b fixes the scale of the rows
    A = (A if allowed is None else A[:, allowed]) / row[:, None]
    A /= power_of_two(np.abs(A).max(axis=0))
    y = b / row / float(np.linalg.norm(b / row))
    try:
        x = nnls(A, y, maxiter=30 * problem.n)[0] if nonnegative else np.linalg.lstsq(A, y, rcond=None)[0]
    except RuntimeError:  # the iteration limit of nnls
        return None
    y = y - A @ x
    # Projections restore the digits of A^T y that are lost where y is short.
    for _ in range(3):
        size = float(np.linalg.norm(y))
        if not size > INFEASIBLE_THRESHOLD:
            return None
        y = y / size
        if verify_farkas(problem, y / row, nonnegative, sigma=sigma, allowed=allowed):
            return np.asarray((y / row) / np.linalg.norm(y / row))
        near = A[:, A.T @ y > -1e-6] if nonnegative else A
        y = y - near @ np.linalg.lstsq(near, y, rcond=None)[0]
    return None


def prove_infeasibility(
    problem: LinearProblem, nonnegative: bool, status: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the status of runs, infeasible for failed runs with a `farkas_certificate`, and the certificates.

    The batch axes of ``status``, shape ``(...)``, begin with those of the problems. The certificates have shape
    ``(..., M)`` and NaN in other runs; they are None if no run has one. Each problem is checked once.
    """
    failed = ~np.isin(status, (Status.CONVERGED, Status.INTERRUPTED))
    farkas = np.full((*failed.shape, problem.m), np.nan)
    for index in np.ndindex(problem.batch_shape):
        if failed[index].any():
            y = farkas_certificate(problem[index] if index else problem, nonnegative)
            if y is not None:
                farkas[index][failed[index]] = y
    proved = np.isfinite(farkas[..., 0])
    return np.where(proved, int(Status.INFEASIBLE), status), farkas if proved.any() else None


def verify_farkas(
    problem: LinearProblem,
    y: np.ndarray,
    nonnegative: bool = False,
    *,
    sigma: float = 0.0,
    allowed: np.ndarray | None = None,
) -> bool:
    r"""Check on the data that y proves A x = b (with x >= 0 if ``nonnegative``) to have no solution.

    Any x within sigma of b has :math:`\sum_n e_n |x_n| \ge d` with :math:`d = b^\top y - \sigma \lVert y \rVert` and
    :math:`e_n = \max(a_n^\top y, 0)`, or :math:`|a_n^\top y|` without signs. The check asks for d above
    `INFEASIBLE_THRESHOLD` and for all e_n below 1e-12 or 1e-6 d, relative to the norms of b, y and a_n in rows that
    are scaled to one size; the norms of an operator's columns are estimated. The arguments are those of
    `farkas_certificate`.
    """
    y = np.asarray(y, np.float64)
    if not y.any() or not np.isfinite(y).all():
        return False
    b = np.asarray(problem.b, np.float64)
    row = _row_scale(problem)
    size = float(np.linalg.norm(y * row))
    distance = float(b @ y - sigma * np.linalg.norm(y)) / (float(np.linalg.norm(b / row)) * size or 1.0)
    if not distance > INFEASIBLE_THRESHOLD:
        return False
    correlations = problem.adjoint(y) if nonnegative else np.abs(problem.adjoint(y))
    norms = np.sqrt(squared_column_norms(problem.A, row))
    if is_operator(problem.A):
        norms[:] = np.sqrt(np.mean(norms**2))
    beyond = correlations > max(FARKAS_TOL, 1e-6 * distance) * size * norms
    return not (beyond if allowed is None else beyond & allowed).any()


def _row_scale(problem: LinearProblem) -> np.ndarray:
    """Return the powers of two next to the largest entries of the rows, shape ``(M,)``; 1 for an operator."""
    if is_operator(problem.A):
        return np.ones(problem.m)
    largest = abs(problem.A).max(axis=1)
    largest = largest if problem.is_dense else largest.toarray().reshape(-1)
    return power_of_two(np.where(largest > 0, largest, np.abs(problem.b)))


def power_of_two(sizes: ArrayLike) -> np.ndarray:
    """Return the powers of two next to ``sizes``, and 1 for 0: scaling by them is exact.

    >>> power_of_two([0.0, 3.0, 0.2])
    array([1.  , 4.  , 0.25])
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    exponents = np.round(np.log2(np.where(sizes > 0, sizes, 1.0))).astype(int)
    return np.asarray(np.ldexp(1.0, exponents))
