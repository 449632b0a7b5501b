r"""Limits next to the optimal face of the weighted l1 problem, at depth L > 2.

A point of the curve of limits (`polarbias.limit.limit_curve`) has

.. math:: A X = b, \qquad X = (\varepsilon / q)^{p}, \qquad q = w - A^\top \nu > 0, \qquad p = \tfrac{L}{L - 2} .

As :math:`\varepsilon \to 0` it tends to a point of the optimal face; where that has more than one point, to the one
with the largest :math:`\sum_n X_n^{2/L}`. On the support B of the face q is of the order of :math:`\varepsilon`, so
rounding of :math:`w - A^\top \nu` would decide the limit. Hence nu is split,

.. math:: \nu = \theta + \varepsilon Q \alpha + Z \beta, \qquad A_B^\top \theta = w_B, \qquad
          \delta = w - A^\top \theta,

with orthonormal bases Q of the range of A_B and Z of its complement. The slack delta is computed without rounding.
Entries of B that belong to no common face have a small delta, which may be negative. What is left are two convex
problems without cancellation, which depend on each other through small terms only: alpha for the rows Q,
beta for the rows Z, to which B does not contribute.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from polarbias.linalg.columns import ExplicitColumns, qr_solver
from polarbias.linalg.exact import powers, residual, summed
from polarbias.mirror.map import exp


@dataclass(frozen=True)
class Options:
    """Constants of the steps towards the face."""

    stride: float = 8.0
    """Fall of log epsilon between two choices of B: delta, known to 1e-16 of q, keeps 12 digits."""

    least_stride: float = 0.05
    """Fall below which the steps end."""

    tie_tol: float = 2.0**-90
    """Slack relative to w below which a bound is active in exact arithmetic: that of w is known to 2^-150."""

    least_share: float = 1e-4
    """Ratio of the least q to q below which an entry is no part of B: bounds that are nearly active leave in time."""

    rank_tol: float = 1e-11
    """Singular values of A_B below this share of the largest are those of dependent columns."""

    log_negligible: float = -36.0
    """Logarithm of the share of an entry in the sum of X^(2/L) below which it changes no other entry."""

    log_fixed: float = -46.0
    """Logarithm of the share of an entry outside B in the largest one below which alpha does not change it: e^-36 is
    rounding, and there may be e^10 of them."""

    cancelled: float = 1e-3
    """Ratio q / w below which w - A^T theta is computed without rounding."""

    benign: float = 1e8
    """Ratio of weights up to which normal equations are solved by a Cholesky factorization, a quarter of the time of
    QR: a direction keeps 8 digits, and Newton's method loses no step."""

    last_step: float = 1e-9
    """Largest relative change of q in a Newton step after which the error, its square, is below rounding."""

    newton_steps: int = 100
    """Newton steps of one convex problem; 10 are typical, 40 from far away."""

    sweeps: int = 50
    """Alternations between the two problems; the coupling is small, and 2 to 5 suffice."""


OPTIONS = Options()


class OptimalFace:
    """Points of one curve of limits next to its optimal face.

    Attributes
    ----------
    tau
        Logarithm of epsilon.
    log_x
        Logarithm of X, shape ``(n,)``.
    steps
        Newton steps taken.
    """

    def __init__(self, columns: np.ndarray, b: np.ndarray, direction: np.ndarray, depth: float) -> None:
        """Set up the data: columns of A, shape ``(n, m)``, b, and the direction u with w = u^(2 - L)."""
        self._columns, self._b, self._direction, self._power = columns, b, direction, 2 - depth
        self.p = depth / (depth - 2)
        self._half = max(1.0, depth / 2)
        self._w = direction**self._power
        self._alpha = self._beta = np.zeros(0)
        self._feasible = False
        self.tau, self.steps = 0.0, 0
        self.log_x = np.zeros(direction.size)

    def start(self, tau: float, nu: np.ndarray, q: np.ndarray) -> bool:
        """Take over a point of the curve; return False if that fails."""
        self.tau, self._theta, self.log_x = tau, [nu], self.p * (tau - np.log(q))
        self._split(q)
        return self._feasible and self._solved(tau)

    def follow(self, tau: float) -> bool:
        """Go to another epsilon; return False if the iterations stall before."""
        stride = OPTIONS.stride
        while abs(self.tau - tau) > 1e-14 * abs(tau):
            if self.limiting:
                return self._solved(tau)
            if self.tau != self._split_tau:
                self._theta = summed([*self._theta, self._Z @ self._beta])
                self._split(self._q())
            start, alpha, beta = self.tau, self._alpha, self._beta
            while self._feasible and stride >= OPTIONS.least_stride:
                if self._solved(start + float(np.clip(tau - start, -stride, stride))):
                    break
                self.tau, self._alpha, self._beta = start, alpha, beta
                stride /= 2
            else:
                return False
        return True

    @property
    def limiting(self) -> bool:
        """True if X on B does not change any more as epsilon falls."""
        if self._delta[self._B].any():
            return False
        others = self.log_x[self._N]
        return bool(others.max(initial=-np.inf) < self.log_x.max() + OPTIONS.log_negligible * self._half)

    @property
    def nu(self) -> np.ndarray:
        """Dual variable, shape ``(m,)``."""
        parts = [*self._theta, np.exp(self.tau) * (self._Q @ self._alpha), self._Z @ self._beta]
        return np.asarray(np.sum(parts, axis=0))

    def _q(self) -> np.ndarray:
        q = np.empty(self._w.size)
        q[self._B], q[self._N] = np.exp(self.tau) * self._q_B, self._q_N
        return q

    def _split(self, q: np.ndarray) -> None:
        """Choose B and the parts of nu, with q and X on B next to the present ones."""
        log_x, self._split_tau = self.log_x, self.tau
        share = np.exp((log_x - log_x.max()) / self.p)  # the least q over q
        support = share > np.maximum(q / self._w, OPTIONS.least_share)
        B, N = np.flatnonzero(support), np.flatnonzero(~support)
        A_B = self._columns[B]
        weights = powers(self._direction[B], self._power)
        left, sizes, _ = linalg.svd(A_B.T)
        rank = int((sizes > OPTIONS.rank_tol * sizes[0]).sum())
        inverse = np.linalg.pinv(share[B, None] * A_B, rcond=OPTIONS.rank_tol)
        for _ in range(6):  # each solution adds the digits of a float to theta
            step = inverse @ (share[B] * residual(weights, A_B, self._theta))
            self._theta = summed([*self._theta, step])
            if (np.abs(A_B @ step) < OPTIONS.tie_tol * self._w[B]).all():
                break
        delta = self._w - self._columns @ np.sum(self._theta, axis=0)
        near = np.union1d(B, np.flatnonzero(q < OPTIONS.cancelled * self._w))
        delta[near] = residual(powers(self._direction[near], self._power), self._columns[near], self._theta)
        delta[np.abs(delta) < OPTIONS.tie_tol * self._w] = 0.0
        self._B, self._N, self._delta = B, N, delta
        self._Q, self._Z = left[:, :rank], left[:, rank:]
        self._B_Q, self._N_Q, self._N_Z = A_B @ self._Q, self._columns[N] @ self._Q, self._columns[N] @ self._Z
        self._b_Q, self._b_Z = self._Q.T @ self._b, self._Z.T @ self._b
        # Where b is in the range of A_B, what is left of it is rounding.
        self._b_Z[np.abs(self._b_Z) < 1e-14 * np.linalg.norm(self._b)] = 0.0
        epsilon = np.exp(self.tau)
        scaled_q, kappa = q[B] / epsilon, delta[B] / epsilon
        root = np.exp((log_x[B] - np.log(scaled_q)) / 2)
        self._alpha = np.linalg.lstsq(root[:, None] * self._B_Q, root * (kappa - scaled_q), rcond=None)[0]
        self._beta = np.zeros(self._Z.shape[1])
        self._feasible = bool((kappa - self._B_Q @ self._alpha).min() > 0)

    def _solved(self, tau: float) -> bool:
        """Solve at another epsilon with the same B; return False if that fails."""
        B, N, p = self._B, self._N, self.p
        epsilon, before = np.exp(tau), self.tau
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            kappa = np.where(self._delta[B] == 0, 0.0, self._delta[B] / epsilon)
        if not (kappa - self._B_Q @ self._alpha).min() > 0:
            self._alpha = self._alpha * np.exp(before - tau)  # q as it was is positive
        self.tau = tau
        for _ in range(OPTIONS.sweeps):
            if self._beta.size and N.size:
                slack = self._delta[N] - epsilon * (self._N_Q @ self._alpha)
                unit = float(np.median(np.abs(slack)))
                with np.errstate(over="ignore"):
                    goal = np.where(self._b_Z == 0, 0.0, self._b_Z * np.exp(p * (np.log(unit) - tau)))
                self._beta = unit * self._newton(self._N_Z, slack / unit, goal, self._beta / unit)[0]
            at_beta = self._delta[N] - self._N_Z @ self._beta
            q = at_beta - epsilon * (self._N_Q @ self._alpha)
            if not q.min(initial=np.inf) > 0:
                return False
            log_others = p * (tau - np.log(q))
            moving = log_others > self.log_x.max() + OPTIONS.log_fixed
            alpha, converged = self._newton(
                np.vstack([self._B_Q, self._N_Q[moving]]),
                np.concatenate([kappa, at_beta[moving] / epsilon]),
                self._b_Q - exp(log_others[~moving]) @ self._N_Q[~moving],
                self._alpha,
            )
            if not converged:
                return False
            self._q_B = kappa - self._B_Q @ alpha
            change = float(np.abs(self._B_Q @ (alpha - self._alpha) / self._q_B).max())
            self._alpha = alpha
            if change < 1e-14 or not (moving.any() and self._beta.size):
                break
        self._q_N = at_beta - epsilon * (self._N_Q @ self._alpha)
        if not self._q_N.min(initial=np.inf) > 0:
            return False
        self.log_x = np.empty(self._w.size)
        self.log_x[B], self.log_x[N] = -p * np.log(self._q_B), p * (tau - np.log(self._q_N))
        return True

    def _newton(self, C: np.ndarray, kappa: np.ndarray, goal: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, bool]:
        r"""Return the minimiser of :math:`\sum (\kappa - C \theta)^{1-p} / (p-1) - c^\top \theta`, and True if reached.

        There is no minimiser where the equations force entries to 0; the iterate returned is then far out.
        """
        q = kappa - C @ theta
        if not q.min() > 0:
            return theta, False
        for _ in range(OPTIONS.newton_steps):
            self.steps += 1
            x = q**-self.p
            gradient = goal - x @ C
            step = _weighted_solution(C, self.p * x / q, gradient)
            along = C @ step
            change = float(np.abs(along / q).max())
            if change < OPTIONS.last_step:
                return theta + step, True
            t = min(1.0, 0.9 / max(float((along / q).max()), 1e-300))
            slope = abs(float(gradient @ step))
            while t > 1e-14:
                moved = kappa - C @ (theta + t * step)
                if moved.min() > 0 and (goal - moved**-self.p @ C) @ step >= -0.5 * slope:
                    break
                t *= 0.5
            theta = theta + t * step
            q = kappa - C @ theta
            if not np.isfinite(theta).all() or not q.min() > 0:
                break
        return theta, False


def _weighted_solution(C: np.ndarray, weights: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return (C^T diag(weights) C)^-1 v, rows in falling order where the weights span many decades."""
    rows = np.sqrt(weights)[:, None] * C
    if weights.max() < OPTIONS.benign * weights.min():
        with suppress(linalg.LinAlgError):
            return ExplicitColumns(rows.T).gram_solver()(v)
    return qr_solver(rows[np.argsort(-weights)], rank_tol=1e-15)(v)
