"""Basis pursuit and basis pursuit denoising: minimal weighted l1 norms with certificates."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.problems.certificate import certificate_of, checked_weights, farkas_certificate
from polarbias.problems.linear import LinearProblem, borrowed
from polarbias.recovery.presolve import presolve
from polarbias.recovery.result import Pursuit, PursuitProgress, PursuitStatus, stacked
from polarbias.recovery.search import Search
from polarbias.runtime.arrays import real_array
from polarbias.runtime.options import flag, number, optional_callback, step_limit

_SCALED_TOL = 0.1  # accuracy of the scaled problem's solution in units of tol: a margin for the way back


def basis_pursuit(  # noqa: PLR0913 -- independent options of one solver
    A: Any,
    b: ArrayLike,
    sigma: float = 0.0,
    *,
    nonnegative: bool = False,
    weights: ArrayLike | None = None,
    tol: float = 1e-9,
    warm_start: Pursuit | None = None,
    callback: Callable[[PursuitProgress], object] | None = None,
    max_steps: int = 1000,
    max_time: float | None = None,
) -> Pursuit:
    r"""Return x of minimal weighted l1 norm subject to A x = b or \|\|A x - b\|\| <= sigma, and a dual certificate.

    .. math:: \min_x \sum_n w_n |x_n| \ \text{s.t.}\ \lVert A x - b \rVert_2 \le \sigma
              \;=\; \max_y b^\top y - \sigma \lVert y \rVert_2 \ \text{s.t.}\ |A^\top y| \le w .

    Parameters
    ----------
    A
        Matrix, shape ``(M, N)``: an array, a SciPy sparse matrix, or a linear operator with ``matvec`` and
        ``rmatvec`` (of SciPy, PyLops, ...), whose columns should be of similar norm.
    b
        Right-hand side, shape ``(M,)``, or K of them, shape ``(K, M)``, solved one by one.
    sigma
        Largest distance, at least 0; 0 asks for A x = b. At ||b|| and above the solution is 0.
    nonnegative
        If True, x >= 0 is required, and the dual's constraint is A^T y <= w.
    weights
        w, shape ``(N,)``; 1 by default. Entries of weight 0 are free, those of infinite weight are 0.
    tol
        Gap, residual and dual infeasibility, as computed by `certify`, of an optimal pair; at most 1.
    warm_start
        A solution for similar data.
    callback
        Called with a `PursuitProgress` for each iterate; a true return value stops the solver.
    max_steps
        Largest number of factorizations for each right-hand side.
    max_time
        Largest number of seconds for each right-hand side.

    Returns
    -------
    Pursuit
        For K right-hand sides with a leading axis. The status is computed by `certify` from the data as given. Unless
        it is optimal or infeasible, x and dual are the best pair found.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, complex data, NaN or infinity, negative weights or sigma, invalid options.

    References
    ----------
    Problem (3) of arXiv:2305.05448v1. Methods: `polarbias.recovery.greedy`, `polarbias.recovery.interior_point` and
    `polarbias.recovery.proximal`.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.basis_pursuit([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], [2.0, 1.0]).x
    array([0., 1., 0.])
    >>> pb.basis_pursuit([[1.0, 2.0]], [2.0], sigma=1.0).x
    array([0. , 0.5])
    """
    sigma, nonnegative = number("sigma", sigma, least=0), flag("nonnegative", nonnegative)
    tol = number("tol", tol, above=0, most=1)
    callback, max_steps = optional_callback("callback", callback), step_limit("max_steps", max_steps)
    max_time = np.inf if max_time is None else number("max_time", max_time, least=0)
    rows = real_array(b, "b")
    batch = rows.shape[:-1]
    rows = rows if batch else rows[None]
    if not len(rows):
        raise InvalidInput("b has no right-hand side; give an array of shape (M,) or (K, M).")
    problem = borrowed(A, rows[0])
    if problem.batch_shape:
        raise InvalidInput(f"A must be one matrix of shape (M, N), got shape {problem.A.shape}.")
    w = checked_weights(weights, problem.n)
    starts = _starts(warm_start, problem, batch)
    found = []
    with limit_blas_threads(problem.m):
        for k, start in enumerate(starts):
            one = problem if k == 0 else borrowed(problem.A, rows[k])
            search = Search(_SCALED_TOL * tol, max_steps, max_time, callback)
            found.append(_solve(one, w, nonnegative, sigma, tol, start, search))
    return stacked(found) if batch else found[0]


def _starts(warm_start: Any, problem: LinearProblem, batch: tuple[int, ...]) -> list[Pursuit | None]:
    """Return a warm start, or None, for each right-hand side."""
    if warm_start is None:
        return [None] * prod(batch)
    if not isinstance(warm_start, Pursuit):
        raise InvalidInput(f"warm_start must be a Pursuit or None, got {type(warm_start).__name__}.")
    shapes, needed = (warm_start.x.shape, warm_start.dual.shape), ((*batch, problem.n), (*batch, problem.m))
    if shapes != needed:
        raise InvalidInput(f"warm_start must have x and dual of shapes {needed} to go with b and A, got {shapes}.")
    starts = list(warm_start) if batch else [warm_start]
    return [start if np.isfinite(start.x).all() else None for start in starts]


def _solve(
    problem: LinearProblem,
    weights: np.ndarray,
    nonnegative: bool,
    sigma: float,
    tol: float,
    start: Pursuit | None,
    search: Search,
) -> Pursuit:
    steps = presolve(problem, weights, nonnegative, sigma)
    if steps.scaled is not None:
        search.run(steps.scaled, None if start is None else steps.scale(start.x, start.dual))
    if search.direction is not None:
        allowed, direction = np.isfinite(weights), steps.unscale_dual(search.direction)
        farkas = farkas_certificate(problem, nonnegative, sigma=sigma, allowed=allowed, direction=direction)
        if farkas is not None:
            nothing = np.full(problem.n, np.nan), np.full(problem.m, np.nan), np.inf, np.nan, np.nan, np.nan
            return Pursuit(*nothing, PursuitStatus.INFEASIBLE, search.steps, tuple(search.history), farkas)
    x, y = steps.unscale(search.best)
    proof = certificate_of(problem, x, y, weights, nonnegative, sigma)
    status = PursuitStatus.OPTIMAL if proof.within(tol) else search.status or PursuitStatus.INACCURATE
    accuracy = proof.value, proof.gap, proof.residual, proof.dual_infeasibility
    return Pursuit(x, y, *accuracy, status, search.steps, tuple(search.history))
