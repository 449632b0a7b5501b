r"""An interior point method: Newton's method on the logarithmic barrier, which is the potential of infinite depth.

Mehrotra's predictor and corrector for

.. math:: \min_p \langle c, p_+ + p_- \rangle \ \text{s.t.}\ A (p_+ - p_-) = b,\ p \ge 0, \qquad
          \max_y b^\top y \ \text{s.t.}\ s_\pm = c \mp A^\top y \ge 0,

without p_- and s_- for nonnegative signals. Where ||A x - b|| <= sigma is asked for, sigma y / ||y|| is added to A x,
and its derivative to Newton's matrix. y begins, and so remains, within its bounds, and few of N bounds are ever
near: Newton's matrix is built from the columns whose bounds are nearest, a few times M of them, while step lengths
respect all. So a step costs M^2 times some M, not times N.

References
----------
Mehrotra, On the implementation of a primal-dual interior point method (1992). Winternitz, Nicholls, Tits, O'Leary,
A constraint-reduced variant of Mehrotra's predictor-corrector algorithm (2012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from polarbias.linalg.columns import Solve, qr_solver

BACK = 0.995
"""Share of the way to the boundary that a step goes."""

INSIDE = 0.9
"""Largest slope of the first y, relative to its bound."""

LIFT = 0.1
"""Least slack at first; where the bound leaves less, y reaches it in the course of the steps."""

NEGLIGIBLE = 1e-3
"""Weights below this share of the M-th largest are left out of the factorization; refinement makes up for them."""

SHIFT = 1e-17
"""Multiple of the identity, relative to the trace, that Newton's matrix is shifted by; more where that fails."""

REFINED = 1e-4
"""Gap below which Newton's systems are refined once."""

CORRECTIONS = 2
"""Most corrections of a direction after Mehrotra's: they cost solutions with a matrix that is factored."""

LONG, LONGER, WORTH = 0.9, 0.3, 0.05
"""Step that needs no correction; by how much a correction aims beyond a step; what both steps must gain by it."""

SPREAD = 10.0
"""Factor from the mean of p s within which a correction keeps all of them."""

PATIENCE = 4
"""Steps without progress after which more columns are taken."""

LAST_PATIENCE = 15
"""More such steps after which the method gives up; none where the gap is small, and what is left is rounding."""


class Ball(NamedTuple):
    r"""Derivative of :math:`\sigma y / \lVert y \rVert`: curvature (I - u u^T), u = y / \|\|y\|\|."""

    curvature: float
    unit: np.ndarray

    def image(self, v: np.ndarray) -> np.ndarray:
        """Multiply."""
        return np.asarray(self.curvature * (v - (self.unit @ v) * self.unit))


Factor = Callable[[Any, np.ndarray, Ball | None], Solve]


@dataclass
class Iterate:
    """Where the method is: x, its image's distance from b, and y with its slopes and slack (of the nearer bound)."""

    x: np.ndarray
    missed: float
    y: np.ndarray
    slopes: np.ndarray
    slack: np.ndarray
    gap: float


@dataclass
class Program:
    """What is to be solved: columns of A, shape ``(n, M)``, b, the costs c >= 0, whether x >= 0, and sigma."""

    columns: Any  # an array, or a sparse one
    b: np.ndarray
    cost: np.ndarray
    nonnegative: bool
    sigma: float = 0.0

    @property
    def signs(self) -> np.ndarray:
        """Signs that the entries of p and s stand for."""
        return np.array([1.0]) if self.nonnegative else np.array([1.0, -1.0])


def barrier_steps(
    program: Program,
    y: np.ndarray | None,
    factor: Factor,
    most_columns: int,
    most: int,
    look: Callable[[Iterate], bool],
) -> None:
    """Iterate until ``look`` says that it is enough, or nothing improves.

    Parameters
    ----------
    program
        The problem.
    y
        Dual vector to begin from, shape ``(M,)``; only its direction counts. None begins from 0 and from a large p,
        which is slower, and safe where columns differ much in size.
    factor
        Solves Newton's systems: `cholesky`, or `orthogonal` where digits are short.
    most_columns
        Columns that Newton's matrix is built from, at first.
    most
        Most steps.
    look
        Shown every iterate.
    """
    columns, b, cost, signs = program.columns, program.b, program.cost, program.signs
    y, slopes, primal = _safe_start(program, factor) if y is None else _start(program, y)
    bounds = cost - signs[:, None] * slopes
    slack = np.maximum(bounds, LIFT)
    missing = bounds - slack
    if primal is None:
        guess = (signs @ (1 / slack)) @ columns
        primal = max(float(b @ guess) / max(float(guess @ guess), 1e-300), 1e-3 / slack.size) / slack
    n = columns.shape[0]
    best, patience, taken = np.inf, PATIENCE, min(most_columns, n)
    for _ in range(most):
        near = _nearest(slack, taken)
        system = _Newton(program, near, primal[:, near], slack, missing, y)
        system.set(factor, refine=best < REFINED)
        step = system.step(system.predicted())
        for _ in range(CORRECTIONS):
            if min(step.to_p, step.to_s) > LONG:
                break
            corrected = system.step(system.corrected(step))
            if corrected.to_p + corrected.to_s < step.to_p + step.to_s + WORTH:
                break
            step = corrected
        p = system.p + step.to_p * step.dp
        y, slopes, slack = y + step.to_s * step.dy, slopes + step.to_s * step.change, slack + step.to_s * step.ds
        missing = (1 - step.to_s) * missing
        primal = float((p * slack[:, near]).mean()) / slack
        primal[:, near] = p
        x = np.zeros(n)
        x[near] = system.signs @ p
        value, missed = float(cost @ np.abs(x)), float(np.linalg.norm(b - x[near] @ system.columns))
        gap = abs(value - float(b @ y - program.sigma * np.linalg.norm(y))) / max(value, 1e-300)
        merit = max(gap, (missed - program.sigma) / float(np.linalg.norm(b)))
        if look(Iterate(x, missed, y, slopes, slack.min(0), gap)) or not np.isfinite(merit):
            return
        patience = PATIENCE if merit < 0.9 * best else patience - 1
        best = min(best, merit)
        if not patience and taken < n:
            taken, patience = min(4 * taken, n), PATIENCE
        if patience < -LAST_PATIENCE or (patience <= 0 and best < REFINED**2):
            return


def _start(program: Program, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
    """Return a multiple of y within the bounds that are not 0, and its slopes; p s is to be the same for all."""
    slopes = program.columns @ y
    size = slopes if program.nonnegative else np.abs(slopes)
    largest = float(size[program.cost > 0].max(initial=0.0))
    factor = INSIDE / largest if largest > 0 else 1.0
    return factor * y, factor * slopes, None


def _safe_start(program: Program, factor: Factor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y = 0, its slopes, and the parts of the least squares solution, lifted."""
    n, m = program.columns.shape
    nearest = program.columns @ factor(program.columns, np.ones(n), None)(program.b)
    size = max(float(np.abs(nearest).max()), 1e-300)
    return np.zeros(m), np.zeros(n), np.maximum(program.signs[:, None] * nearest, 0.0) + LIFT * size


def _nearest(slack: np.ndarray, count: int) -> np.ndarray:
    """Return the columns whose slack is least."""
    if count == slack.shape[1]:
        return np.arange(count)
    return np.argpartition(slack.min(0), count - 1)[:count]


def _room(values: np.ndarray, change: np.ndarray) -> float:
    """Return how far along ``change`` positive values stay nonnegative."""
    fastest = float((change / values).min())
    return np.inf if fastest >= 0 else -1 / fastest


@dataclass
class _Step:
    """A direction: of p on some columns, of s and the slopes on all; how far it goes, and the p s that it aims at."""

    dp: np.ndarray
    ds: np.ndarray
    dy: np.ndarray
    change: np.ndarray
    to_p: float
    to_s: float
    aim: np.ndarray


class _Newton:
    """Newton's system on some columns: s dp + p ds = aim - p s, ds = missing -+ A^T dy, A (p + dp) = b."""

    def __init__(
        self,
        program: Program,
        near: np.ndarray,
        p: np.ndarray,
        slack: np.ndarray,
        missing: np.ndarray,
        y: np.ndarray,
    ) -> None:
        self._program, self._near, self._slack, self._all_missing = program, near, slack, missing
        self.signs = program.signs
        self.columns = program.columns if near.size == program.columns.shape[0] else program.columns[near]
        self.p, self._s, self._missing = p, slack[:, near], missing[:, near]
        self._ratio = self.p / self._s
        self._target, self._ball = program.b, None
        if program.sigma:
            size = float(np.linalg.norm(y))
            self._ball = Ball(program.sigma / size, y / size)
            self._target = program.b - program.sigma * self._ball.unit

    def set(self, factor: Factor, *, refine: bool) -> None:
        """Factor Newton's matrix."""
        weights = self._ratio.sum(0)
        self._solve = factor(self.columns, weights, self._ball)
        if refine:
            self._solve = _refined(self._solve, self.columns, weights, self._ball)

    def _dual(self, aim: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Return dy, and p + dp without dy's part in it."""
        free = aim / self._s - self._ratio * self._missing
        return self._solve(self._target - (self.signs @ free) @ self.columns), free

    def _primal(self, free: np.ndarray, change: np.ndarray) -> np.ndarray:
        return np.asarray(free - self.p + self._ratio * (self.signs[:, None] * change))

    def predicted(self) -> np.ndarray:
        """Return Mehrotra's aim: what a step towards 0 leaves, corrected by the product of its directions."""
        dy, free = self._dual(0.0)
        change = self.columns @ dy
        dp, ds = self._primal(free, change), self._missing - self.signs[:, None] * change
        to_p, to_s = min(1.0, _room(self.p, dp)), min(1.0, _room(self._s, ds))
        mu = float((self.p * self._s).mean())
        ahead = float(((self.p + to_p * dp) * (self._s + to_s * ds)).mean())
        self._goal = (ahead / mu) ** 3 * mu
        return np.asarray(self._goal - dp * ds)

    def corrected(self, step: _Step) -> np.ndarray:
        """Return Gondzio's aim: that of a step, changed where p s would leave the neighbourhood of its mean."""
        to_p, to_s = min(1.0, step.to_p + LONGER), min(1.0, step.to_s + LONGER)
        product = (self.p + to_p * step.dp) * (self._s + to_s * step.ds[:, self._near])
        wanted = np.clip(product, self._goal / SPREAD, SPREAD * self._goal)
        return np.asarray(step.aim + np.maximum(wanted - product, -SPREAD * self._goal))

    def step(self, aim: np.ndarray) -> _Step:
        """Return the direction for an aim."""
        dy, free = self._dual(aim)
        change = self._program.columns @ dy
        dp, ds = self._primal(free, change[self._near]), self._all_missing - self.signs[:, None] * change
        to_p, to_s = min(1.0, BACK * _room(self.p, dp)), min(1.0, BACK * _room(self._slack, ds))
        return _Step(dp, ds, dy, change, to_p, to_s, aim)


def cholesky(columns: Any, weights: np.ndarray, ball: Ball | None) -> Solve:
    """Return the map v -> (sum of weights a a^T + ball)^-1 v."""
    k, m = columns.shape
    level = NEGLIGIBLE * np.partition(weights, k - m)[k - m] if k > m else 0.0
    kept = np.flatnonzero(weights >= level)
    shift = SHIFT
    while shift < 1:
        matrix = _weighted(columns[kept], weights[kept])
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
    return _unsolved


def _weighted(columns: Any, weights: np.ndarray) -> np.ndarray:
    """Return the sum of weights a a^T, the lower half at least; an array of columns is overwritten."""
    if isinstance(columns, np.ndarray):
        columns *= np.sqrt(weights)[:, None]
        return np.asarray(linalg.blas.dsyrk(1.0, columns.T, lower=1))
    return np.asarray((columns.T @ columns.multiply(weights[:, None]).tocsr()).toarray(order="F"))


def _unsolved(v: np.ndarray) -> np.ndarray:
    return np.full_like(v, np.nan)


def orthogonal(columns: np.ndarray, weights: np.ndarray, ball: Ball | None) -> Solve:
    """Do what `cholesky` does by a QR factorization, rows in falling order: accurate for weights that differ much.

    There must be no ball.
    """
    assert ball is None
    order = np.argsort(-weights)
    scaled = columns[order] * np.sqrt(weights[order])[:, None]
    return qr_solver(scaled)


def _refined(solve: Solve, columns: Any, weights: np.ndarray, ball: Ball | None) -> Solve:
    def twice(v: np.ndarray) -> np.ndarray:
        y = solve(v)
        left = v - (weights * (columns @ y)) @ columns
        return y + solve(left - ball.image(y) if ball else left)

    return twice
