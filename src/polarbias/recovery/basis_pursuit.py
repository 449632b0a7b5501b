"""Basis pursuit: the minimal weighted l1 norm among all solutions of A x = b, with a certificate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.problems.certificate import checked_weights, proof
from polarbias.problems.linear import LinearProblem, borrowed
from polarbias.recovery.monitor import Enough, Monitor
from polarbias.recovery.presolve import Prepared
from polarbias.recovery.proximal import Unbounded
from polarbias.recovery.result import Pursuit, PursuitProgress, PursuitStatus, stacked
from polarbias.recovery.stages import solve

INNER = 0.1
"""Share of tol to which the scaled problem is solved."""


def basis_pursuit(  # noqa: PLR0913 -- the options of one solver; each is independent of the others
    A: Any,
    b: ArrayLike,
    *,
    nonnegative: bool = False,
    weights: ArrayLike | None = None,
    tol: float = 1e-9,
    warm_start: Pursuit | None = None,
    callback: Callable[[PursuitProgress], object] | None = None,
    max_steps: int = 1000,
    max_time: float | None = None,
) -> Pursuit:
    r"""Return a signal of minimal weighted l1 norm among all solutions of A x = b, and a dual vector that proves it.

    .. math:: \min_x \sum_n w_n |x_n| \quad \text{subject to} \quad A x = b \quad (\text{and } x \ge 0).

    Parameters
    ----------
    A
        Matrix, shape ``(M, N)``: an array, a SciPy sparse matrix, or a linear operator with ``matvec`` and
        ``rmatvec`` (of SciPy, PyLops, ...), whose columns should be of similar size.
    b
        Right-hand side, shape ``(M,)``, or K of them, shape ``(K, M)``, solved one by one.
    nonnegative
        Whether x >= 0 is asked for.
    weights
        w, shape ``(N,)``; 1 by default. Entries of weight 0 cost nothing, those of infinite weight are 0.
    tol
        Gap, residual and excess that `certify` may find in an optimal pair.
    warm_start
        An answer for similar data.
    callback
        Called after each stage's steps with a `PursuitProgress`; a true return value ends the pursuit.
    max_steps
        Factorizations, for each right-hand side, after which it ends.
    max_time
        Seconds, for each, after which it ends.

    Returns
    -------
    Pursuit
        Of K right-hand sides with a leading axis. Every ``status`` but optimal comes with the best pair so far, and
        there is never a wrong "optimal": the status is what `certify` says of the answer, with the data as given.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, complex data, NaN or infinity, weights below 0.

    References
    ----------
    The problem (3) of arXiv:2305.05448v1. The method: `polarbias.recovery.proximal` and
    `polarbias.recovery.interior_point`.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.basis_pursuit([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], [2.0, 1.0]).x
    array([0., 1., 0.])
    """
    return basis_pursuit_denoise(
        A,
        b,
        0.0,
        nonnegative=nonnegative,
        weights=weights,
        tol=tol,
        warm_start=warm_start,
        callback=callback,
        max_steps=max_steps,
        max_time=max_time,
    )


def basis_pursuit_denoise(  # noqa: PLR0913 -- as above
    A: Any,
    b: ArrayLike,
    sigma: float,
    *,
    nonnegative: bool = False,
    weights: ArrayLike | None = None,
    tol: float = 1e-9,
    warm_start: Pursuit | None = None,
    callback: Callable[[PursuitProgress], object] | None = None,
    max_steps: int = 1000,
    max_time: float | None = None,
) -> Pursuit:
    r"""Return a signal of minimal weighted l1 norm among all with \|\|A x - b\|\| <= sigma, and a proof.

    .. math:: \min_x \sum_n w_n |x_n| \ \text{s.t.}\ \lVert A x - b \rVert_2 \le \sigma
              \;=\; \max_y b^\top y - \sigma \lVert y \rVert_2 \ \text{s.t.}\ |A^\top y| \le w .

    Parameters
    ----------
    A, b
        As for `basis_pursuit`, which this is for sigma = 0.
    sigma
        Largest distance, at least 0. At ||b|| and above the answer is 0.
    nonnegative, weights, tol, warm_start, callback, max_steps, max_time
        As for `basis_pursuit`; \|\|A x - b\|\| may be sigma (1 + tol).

    Raises
    ------
    InvalidInput
        As for `basis_pursuit`; sigma below 0 or not finite.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.basis_pursuit_denoise([[1.0, 2.0]], [2.0], 1.0).x
    array([0. , 0.5])
    """
    if isinstance(sigma, bool) or not (isinstance(sigma, Real) and 0 <= sigma < np.inf):
        raise InvalidInput(f"sigma must be a finite number of at least 0, got {sigma!r}.")
    if isinstance(b, Sequence | np.ndarray) and np.ndim(b) == 2:
        rows = list(np.asarray(b))
        if not rows:
            raise InvalidInput("b has no right-hand side; give an array of shape (M,) or (K, M).")
        if warm_start is not None and warm_start.batch_shape != (len(rows),):
            raise InvalidInput(f"warm_start must hold {len(rows)} answers, one for each right-hand side.")
        starts = [None] * len(rows) if warm_start is None else list(warm_start)
    else:
        rows, starts = [np.asarray(b)], [warm_start]
    answers = [
        _pursuit(
            borrowed(A, row),
            float(sigma),
            nonnegative,
            weights,
            tol,
            start,
            callback,
            max_steps,
            max_time,
        )
        for row, start in zip(rows, starts, strict=True)
    ]
    return answers[0] if np.ndim(b) < 2 else stacked(answers)


def _pursuit(  # noqa: PLR0913 -- as above
    problem: LinearProblem,
    sigma: float,
    nonnegative: bool,
    weights: ArrayLike | None,
    tol: float,
    warm_start: Pursuit | None,
    callback: Callable[[PursuitProgress], object] | None,
    max_steps: int,
    max_time: float | None,
) -> Pursuit:
    if problem.batch_shape:
        raise InvalidInput(f"A must be one matrix of shape (M, N), got shape {problem.A.shape}.")
    w = checked_weights(weights, problem.n)
    if not (isinstance(tol, Real) and 0 < tol < 1):
        raise InvalidInput(f"tol must be a number between 0 and 1, got {tol!r}.")
    if warm_start is not None and (warm_start.x.shape, warm_start.dual.shape) != ((problem.n,), (problem.m,)):
        raise InvalidInput(
            f"warm_start has {warm_start.x.size} entries and {warm_start.dual.size} dual ones, and the problem"
            f" {problem.n} and {problem.m}."
        )
    monitor = Monitor(INNER * float(tol), int(max_steps), max_time, callback)
    with limit_blas_threads(problem.m):
        x, y, infeasible = _pursue(Prepared(problem, w, nonnegative, sigma), monitor, warm_start)
    found = proof(problem, x, y, w, nonnegative, sigma)
    if infeasible:
        status = PursuitStatus.INFEASIBLE
    elif found.within(float(tol)):
        status = PursuitStatus.OPTIMAL
    else:
        status = monitor.ended or PursuitStatus.INACCURATE
    return Pursuit(
        x, y, found.value, found.gap, found.residual, found.excess, status, monitor.steps, tuple(monitor.history)
    )


def _pursue(prepared: Prepared, monitor: Monitor, warm: Pursuit | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the best pair, or zeros and a separating vector, and whether it is the latter."""
    task = prepared.task
    if task is None:
        return *prepared.restored(None), False
    try:
        # Where b is out of reach the dual vector grows without bound; what is not finite is no solution and is dropped.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            solve(task, None if warm is None else prepared.point(warm.x, warm.dual), monitor)
    except Unbounded as reason:
        y = prepared.dual(reason.direction)
        return np.zeros(prepared.n), y / np.linalg.norm(y), True
    except Enough:
        pass
    except KeyboardInterrupt:
        monitor.ended = PursuitStatus.INTERRUPTED
    return *prepared.restored(monitor.best), False
