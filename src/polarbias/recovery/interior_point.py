r"""An interior point method whose Newton matrices are built from few columns.

Mehrotra's predictor and corrector for

.. math:: \min_p \langle c, p_+ + p_- \rangle \ \text{s.t.}\ A (p_+ - p_-) = b,\ p \ge 0, \qquad
          \max_y b^\top y \ \text{s.t.}\ s_\pm = c \mp A^\top y \ge 0,

without p_- and s_- for nonnegative signals. If sigma is not 0, sigma y / ||y|| is added to A x, and its derivative to
the Newton matrix. y stays feasible, and few of the N constraints are nearly active: the Newton matrix is built from the
columns with the least slack, a multiple of M of them, while step lengths respect all constraints. A step costs M^3
operations, up to a factor.

References
----------
Mehrotra, On the implementation of a primal-dual interior point method (1992). Gondzio, Multiple centrality corrections
in a primal-dual method for linear programming (1996). Winternitz, Nicholls, Tits, O'Leary, A constraint-reduced variant
of Mehrotra's predictor-corrector algorithm (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from polarbias.linalg.columns import ExplicitColumns, Solve, qr_solver
from polarbias.recovery.options import OPTIONS
from polarbias.recovery.scaled_problem import ScaledProblem


class Ball(NamedTuple):
    r"""Derivative of :math:`\sigma y / \lVert y \rVert`: curvature (I - u u^T) with u = y / \|\|y\|\|."""

    curvature: float
    unit: np.ndarray

    def apply(self, v: np.ndarray) -> np.ndarray:
        """Return the derivative times v."""
        return np.asarray(self.curvature * (v - (self.unit @ v) * self.unit))


Factorize = Callable[[Any, np.ndarray, Ball | None], Solve]


class InteriorPoint(NamedTuple):
    """x with ||A x - b||, y with A^T y, the slack of the nearer bound, and the relative gap."""

    x: np.ndarray
    residual_norm: float
    y: np.ndarray
    correlations: np.ndarray
    slack: np.ndarray
    gap: float


def interior_points(
    problem: ScaledProblem, y: np.ndarray | None, factorize: Factorize, used: int
) -> Iterator[InteriorPoint | None]:
    """Yield None before each factorization and an interior point after it, until the error stops decreasing.

    y is the direction of the first dual vector; None starts from y = 0 and a large p: slower, and robust for columns of
    very different norms. The first Newton matrices have ``used`` columns, and ``factorize`` is `cholesky_factorization`
    or, for weights over many decades, `qr_factorization`.
    """
    assert isinstance(problem.columns, ExplicitColumns)
    columns, b, cost = problem.columns.packed(), problem.b, problem.bound
    signs = np.array([1.0]) if problem.nonnegative else np.array([1.0, -1.0])
    n, p = columns.shape[0], None
    if y is None:
        nearest = columns @ factorize(columns, np.ones(n), None)(b)
        y, correlations = np.zeros(problem.m), np.zeros(n)
        p = np.maximum(signs[:, None] * nearest, 0.0) + 0.1 * max(float(np.abs(nearest).max()), 1e-300)
    else:
        correlations = columns @ y
        largest = float(problem.sizes(correlations)[cost > 0].max(initial=0.0))
        factor = 0.9 / largest if largest > 0 else 1.0
        y, correlations = factor * y, factor * correlations
    bounds = cost - signs[:, None] * correlations
    slack = np.maximum(bounds, 0.1)
    infeasibility = bounds - slack  # positive only for bounds of 0; decreases with the steps
    if p is None:
        direction = (signs @ (1 / slack)) @ columns
        p = max(float(b @ direction) / max(float(direction @ direction), 1e-300), 1e-3 / slack.size) / slack
    best, patience, used = np.inf, OPTIONS.patience, min(used, n)
    for _ in range(60):  # more than twice what any problem has needed
        near = np.arange(n) if used == n else np.argpartition(slack.min(0), used - 1)[:used]
        yield None
        newton = _Newton(problem, columns, signs, near, p[:, near], slack, infeasibility, y)
        step = newton.best_step(factorize, refine=best < OPTIONS.refined_gap)
        p_near = newton.p + step.primal_length * step.dp
        y = y + step.dual_length * step.dy
        correlations = correlations + step.dual_length * step.change
        slack = slack + step.dual_length * step.ds
        infeasibility = (1 - step.dual_length) * infeasibility
        p = float((p_near * slack[:, near]).mean()) / slack
        p[:, near] = p_near
        x = np.zeros(n)
        x[near] = signs @ p_near
        value, residual_norm = float(cost @ np.abs(x)), float(np.linalg.norm(b - x[near] @ newton.columns))
        gap = abs(value - float(b @ y - problem.sigma * np.linalg.norm(y))) / max(value, 1e-300)
        error = max(gap, (residual_norm - problem.sigma) / float(np.linalg.norm(b)))
        yield InteriorPoint(x, residual_norm, y, correlations, slack.min(0), gap)
        if not np.isfinite(error):
            return
        patience = OPTIONS.patience if error < 0.9 * best else patience - 1
        best = min(best, error)
        if not patience and used < n:
            used, patience = min(4 * used, n), OPTIONS.patience
        if patience < -OPTIONS.last_patience or (patience <= 0 and best < OPTIONS.refined_gap**2):
            return


def _longest(values: np.ndarray, change: np.ndarray) -> float:
    """Return the largest step along ``change`` that keeps positive values nonnegative."""
    fastest = float((change / values).min())
    return np.inf if fastest >= 0 else -1 / fastest


@dataclass
class _Step:
    """A direction of p on some columns, of s and A^T y on all; its step lengths, and its target of p s."""

    dp: np.ndarray
    ds: np.ndarray
    dy: np.ndarray
    change: np.ndarray
    primal_length: float
    dual_length: float
    target: np.ndarray


class _Newton:
    """Newton's system on some columns: s dp + p ds = target - p s, ds = infeasibility -+ A^T dy, A (p + dp) = b."""

    def __init__(
        self,
        problem: ScaledProblem,
        columns: Any,
        signs: np.ndarray,
        near: np.ndarray,
        p: np.ndarray,
        slack: np.ndarray,
        infeasibility: np.ndarray,
        y: np.ndarray,
    ) -> None:
        self._all_columns, self._signs, self._near, self._slack = columns, signs, near, slack
        self._all_infeasibility = infeasibility
        self.columns = columns if near.size == columns.shape[0] else columns[near]
        self.p, self._s, self._infeasibility = p, slack[:, near], infeasibility[:, near]
        self._ratio = self.p / self._s
        self._b, self._ball = problem.b, None
        if problem.sigma:
            size = float(np.linalg.norm(y))
            self._ball = Ball(problem.sigma / size, y / size)
            self._b = problem.b - problem.sigma * self._ball.unit

    def best_step(self, factorize: Factorize, *, refine: bool) -> _Step:
        """Factorize, and return Mehrotra's step, improved by Gondzio's corrections while these lengthen it."""
        weights = self._ratio.sum(0)
        self._solve = factorize(self.columns, weights, self._ball)
        if refine:
            self._solve = _refined(self._solve, self.columns, weights, self._ball)
        step = self._step(self._mehrotra_target())
        for _ in range(OPTIONS.corrections):
            if min(step.primal_length, step.dual_length) > 0.9:
                break
            corrected = self._step(self._gondzio_target(step))
            gain = corrected.primal_length + corrected.dual_length - step.primal_length - step.dual_length
            if gain < OPTIONS.correction_gain:
                break
            step = corrected
        return step

    def _dual(self, target: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Return dy, and p + dp without its dependence on dy."""
        free = target / self._s - self._ratio * self._infeasibility
        return self._solve(self._b - (self._signs @ free) @ self.columns), free

    def _primal(self, free: np.ndarray, change: np.ndarray) -> np.ndarray:
        return np.asarray(free - self.p + self._ratio * (self._signs[:, None] * change))

    def _mehrotra_target(self) -> np.ndarray:
        """Return the value of p s that the step towards 0 leaves, corrected by the product of its directions."""
        dy, free = self._dual(0.0)
        change = self.columns @ dy
        dp, ds = self._primal(free, change), self._infeasibility - self._signs[:, None] * change
        primal_length, dual_length = min(1.0, _longest(self.p, dp)), min(1.0, _longest(self._s, ds))
        mu = float((self.p * self._s).mean())
        ahead = float(((self.p + primal_length * dp) * (self._s + dual_length * ds)).mean())
        self._goal = (ahead / mu) ** 3 * mu
        return np.asarray(self._goal - dp * ds)

    def _gondzio_target(self, step: _Step) -> np.ndarray:
        """Return the target of a step, corrected for entries of p s far from their mean on a longer step."""
        primal_length = min(1.0, step.primal_length + OPTIONS.correction_reach)
        dual_length = min(1.0, step.dual_length + OPTIONS.correction_reach)
        product = (self.p + primal_length * step.dp) * (self._s + dual_length * step.ds[:, self._near])
        wanted = np.clip(product, self._goal / 10, 10 * self._goal)
        return np.asarray(step.target + np.maximum(wanted - product, -10 * self._goal))

    def _step(self, target: np.ndarray) -> _Step:
        dy, free = self._dual(target)
        change = self._all_columns @ dy
        dp = self._primal(free, change[self._near])
        ds = self._all_infeasibility - self._signs[:, None] * change
        primal_length = min(1.0, OPTIONS.boundary_share * _longest(self.p, dp))
        dual_length = min(1.0, OPTIONS.boundary_share * _longest(self._slack, ds))
        return _Step(dp, ds, dy, change, primal_length, dual_length, target)


def cholesky_factorization(columns: Any, weights: np.ndarray, ball: Ball | None) -> Solve:
    """Return the map v -> (sum of weights a a^T + ball)^-1 v."""
    k, m = columns.shape
    level = OPTIONS.negligible_weight * np.partition(weights, k - m)[k - m] if k > m else 0.0
    kept = np.flatnonzero(weights >= level)
    shift = 1e-17
    while shift < 1:
        matrix = _weighted_gram(columns[kept], weights[kept])
        matrix[np.diag_indices_from(matrix)] += shift * float(np.trace(matrix)) + (ball.curvature if ball else 0.0)
        if ball:
            matrix -= np.outer(ball.curvature * ball.unit, ball.unit)
        try:
            factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            shift *= 10
        else:
            solve = partial(linalg.cho_solve, factor, check_finite=False)
            return solve if kept.size == k else _refined(solve, columns, weights, ball)
    return lambda v: np.full_like(v, np.nan)


def qr_factorization(columns: np.ndarray, weights: np.ndarray, ball: Ball | None) -> Solve:
    """Return the map of `cholesky_factorization` without a ball, accurate for weights over many decades."""
    assert ball is None
    order = np.argsort(-weights)
    return qr_solver(columns[order] * np.sqrt(weights[order])[:, None])


def _weighted_gram(columns: Any, weights: np.ndarray) -> np.ndarray:
    """Return the sum of weights a a^T, the lower half at least; an array of columns is overwritten."""
    if isinstance(columns, np.ndarray):
        columns *= np.sqrt(weights)[:, None]
        return np.asarray(linalg.blas.dsyrk(1.0, columns.T, lower=1))
    return np.asarray((columns.T @ columns.multiply(weights[:, None]).tocsr()).toarray(order="F"))


def _refined(solve: Solve, columns: Any, weights: np.ndarray, ball: Ball | None) -> Solve:
    def refined(v: np.ndarray) -> np.ndarray:
        y = solve(v)
        left = v - (weights * (columns @ y)) @ columns
        return y + solve(left - ball.apply(y) if ball else left)

    return refined
