r"""The curve of limits, followed by Newton's method on its M-dimensional dual.

With the direction u0 fixed, the limits of all scales, ratios and ratio laws lie on one curve, the limits of the plain
flow from the starts alpha u0. At depth 2, with tau = log alpha^2, and at depth L > 2, with tau = (L - 2) log alpha,

.. math:: A X = b, \qquad \log X = 2 \log u_0 + \tau + A^\top \nu, \qquad\text{or}\qquad
          \log X = \tfrac{L}{L - 2} (\tau - \log q), \quad q = u_0^{2 - L} - (L - 2) A^\top \nu > 0 .

A law and an initial radius r0 pick the point with :math:`\log \alpha = \log r + E(r_0) - E(r)`,
:math:`r^2 = \sum_n X_n^{2/L}`. It is unique, because tau minus the value that the law demands increases along the
curve. Towards tau = -inf the curve ends in a minimal (weighted) l1 solution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polarbias.limit.central_path import central_point
from polarbias.limit.curve_options import OPTIONS
from polarbias.limit.optimal_face import OptimalFace
from polarbias.linalg.columns import Solve
from polarbias.linalg.normal_equations import DenseNormalEquations, InfeasibleSystem, NormalEquations
from polarbias.mirror.map import exp, normalized
from polarbias.mirror.reduced_form import ReducedForm


@dataclass(frozen=True)
class CurvePoint:
    """A point of the curve.

    Attributes
    ----------
    tau, nu
        Its coordinates; nu has shape ``(rank,)``.
    log_x
        Logarithm of X, shape ``(n,)``.
    s
        Square of the factor's norm, sum of X^(2/L).
    slope
        Minus the derivative of nu in tau, shape ``(rank,)``.
    steps
        Factorizations spent.
    converged
        True if residual and tau are accurate to rounding.
    """

    tau: float
    nu: np.ndarray
    log_x: np.ndarray
    s: float
    slope: np.ndarray
    steps: int
    converged: bool


@dataclass(frozen=True)
class _Iterate:
    tau: float
    nu: np.ndarray
    q: np.ndarray | None  # above depth 2
    z: np.ndarray  # log X
    x: np.ndarray
    residual: np.ndarray


class LimitCurve:
    """The curve of one matrix, right-hand side, start direction and depth; its points serve as starts for others."""

    def __init__(self, op: NormalEquations, log_u0: np.ndarray, direction: np.ndarray, depth: int) -> None:
        """Set up the data: u0 up to a factor, and log u0; above depth 2, nu and q are in units of the median weight."""
        self.op = op
        self.depth = depth
        self.p = 1.0 if depth == 2 else depth / (depth - 2)
        self._half = 1.0 if depth == 2 else (depth - 2) / 2
        self._size = float(np.linalg.norm(op.b))
        log_w = (2 - depth) * log_u0
        # A power of two, and the direction as it was given: ties between weights remain ties.
        unit = 2.0 ** np.round(np.median(np.log2(direction)))
        self._direction = direction / unit
        self.log_unit = float((2 - depth) * (log_u0[0] - np.log(direction[0] / unit)))
        self.weights = np.exp(np.clip(log_w - self.log_unit, -600, 600))
        self._c = 2 * log_u0
        self._points: list[_Iterate] = []
        self._s: list[float] = []  # of the points
        # Norm of X for entries in proportion to u0^L whose images add up like random vectors.
        shape = np.exp(depth * (log_u0 - log_u0.max()))
        self._guess = shape * (self._size / float(np.linalg.norm(shape * op.column_norms())))
        self._highest = float(np.log(self._guess.max())) + 250  # far beyond any limit, far from overflow
        size = float(np.log(self._guess @ self._guess / self._guess.sum())) / self.p
        # Below it the entries that vanish are negligible, above it the weights are. At depth 2 log X is a sum, not the
        # logarithm of a difference, and loses no digits outside.
        self._window = -np.inf, np.inf
        if depth > 2:
            low = size + OPTIONS.log_negligible * depth / 2 / self.p - 9
            if isinstance(op, DenseNormalEquations):
                low = size + OPTIONS.face_log_epsilon
            self._window = low, size + float(np.log(self.weights.max())) - OPTIONS.log_negligible

    def demanded(self, form: ReducedForm, x: np.ndarray) -> tuple[float, float, float]:
        """Return the tau that the law demands of a limit X, its derivative in s, and s."""
        s = np.float64((x ** (2 / self.depth)).sum())  # 0 where b is next to underflow: the division gives inf
        return float(self._demanded_at(form, s)), float(self._half * (1 / s - 1 / np.float64(form.f(s)))), float(s)

    def _demanded_at(self, form: ReducedForm, s: Any) -> Any:
        return self._half * (np.log(s) + 2 * form.E(form.r0**2) - 2 * form.E(s)) - self.log_unit

    def solve(self, form: ReducedForm) -> CurvePoint:
        """Return the point that the law and the initial radius of ``form`` pick.

        Raises
        ------
        InfeasibleSystem
            A direction of the dual proves that no X >= 0 solves A X = b.
        """
        begin, spent = self._begin(form)
        point, at = self._follow(begin, form, spent)
        while self._is_deep(at):
            assert at.q is not None
            high = float(np.log(at.q / self.weights)[at.x > 1e-3 * at.x.max()].max())
            if high < OPTIONS.face_log_epsilon / 2:
                return self._next_to_face(point, at, form)
            # Weights on the support are far below the median.
            self._window = self._window[0] + OPTIONS.face_log_epsilon - high, self._window[1]
            point, at = self._follow(at, form, point.steps)
        return point

    def _is_deep(self, at: _Iterate) -> bool:
        """Return True at the lower end of the window, near the curve: `OptimalFace` needs no more."""
        near = float(np.linalg.norm(at.residual)) < 1e-4 * self._size
        return near and at.tau <= self._window[0] + 1e-9 and isinstance(self.op, DenseNormalEquations)

    def _next_to_face(self, point: CurvePoint, at: _Iterate, form: ReducedForm) -> CurvePoint:
        """Return the point of ``form`` below the window, where `OptimalFace` is accurate."""
        op, s = self.op, point.s
        assert isinstance(op, DenseNormalEquations)
        assert at.q is not None
        columns = np.vstack([op.array, -op.array]) if op.signed else op.array
        face, reached = OptimalFace(columns, op.b, self._direction, self.depth), False
        if not face.start(at.tau, at.nu, at.q):
            return replace(point, converged=False)
        slope, before = 0.0, (np.inf, 0.0)
        for _ in range(OPTIONS.max_updates):
            s = float(np.exp(2 / self.depth * face.log_x).sum())
            tau = float(self._demanded_at(form, s))
            reached = abs(tau - face.tau) <= 1e-12 * max(1.0, abs(tau))
            if face.tau != before[0]:
                slope = min((tau - before[1]) / (face.tau - before[0]), 0.5)  # below 1 along the curve
            before = face.tau, tau
            if reached or not face.follow(face.tau + (tau - face.tau) / (1 - slope)):
                break
        residual = float(np.linalg.norm(op.apply(exp(face.log_x)) - op.b)) / self._size
        accurate = reached and residual < 1e-11
        return CurvePoint(face.tau, face.nu, face.log_x, s, point.slope, point.steps + face.steps, accurate)

    def _at(self, tau: float, nu: np.ndarray, q: np.ndarray | None, z: np.ndarray) -> _Iterate:
        x = exp(z)
        return _Iterate(tau, nu, q, z, x, self.op.apply(x) - self.op.b)

    def _moved(self, at: _Iterate, dtau: float, dnu: np.ndarray, along: np.ndarray) -> _Iterate | None:
        """Return the iterate after a step, ``along`` = A^T dnu; None outside the domain."""
        # By increments: the entries that count are of moderate size, whatever the size of tau and nu.
        if at.q is None:
            q, z = None, at.z + (along + dtau)
        else:
            q = at.q - along
            if not q.min() > 0:
                return None
            z = self.p * (at.tau + dtau - np.log(q))
        return self._at(at.tau + dtau, at.nu + dnu, q, z) if z.max() < self._highest else None

    def _rate(self, at: _Iterate) -> Any:
        """Return the derivative of log X in A^T nu, shape ``(n,)`` or a number."""
        return 1.0 if at.q is None else self.p / at.q

    def _normal(self, at: _Iterate, *, rough: bool) -> Solve:
        """Return the inverse of the dual's Hessian."""
        if self.depth == 2:
            return self.op.normal(at.x, OPTIONS.rough if rough else 0.0)
        # Sums lose the weights X / q of small entries that still affect A X = b; QR keeps them. The ridge keeps entries
        # that do not affect it in floating point out of the direction of nu.
        rate = self._rate(at)
        ridge = OPTIONS.ridge * float(at.x.max()) * float(np.median(rate))
        return self.op.normal(at.x * rate, graded=True, ridge=ridge)

    def _begin(self, form: ReducedForm) -> tuple[_Iterate, int]:
        """Return a point near the curve to start from, and the factorizations spent on it."""
        if self._points:
            return self._nearest(form), 0
        spent = 0
        if self.depth > 2 or self._expected(form) < -30:  # the linear program is the shorter way
            found = self._from_program(form)
            if found is not None:
                at, spent = found
                if self.depth == 2:
                    return at, spent
                at, spent, near = self._centred(at, spent)
                if near:
                    return at, spent
        if self.depth == 2:
            kappa = float(self._guess.sum())
            at = self._at(float(np.log(kappa)), np.zeros(self.op.m), None, self._c + np.log(kappa))
        else:
            tau = float(np.max(np.log(np.maximum(self._guess, 1e-300)) / self.p + np.log(self.weights)))
            at = self._at(tau, np.zeros(self.op.m), self.weights, self.p * (tau - np.log(self.weights)))
        at, spent, _ = self._centred(at, spent)
        return at, spent

    def _nearest(self, form: ReducedForm) -> _Iterate:
        """Return the known point with the smallest difference between its tau and the one that the law demands."""
        taus = np.array([at.tau for at in self._points])
        demanded = np.clip(self._demanded_at(form, np.array(self._s)), *self._window)
        return self._points[int(np.abs(taus - demanded).argmin())]

    def _expected(self, form: ReducedForm) -> float:
        """Return the tau that the law would demand of a limit a third as large as the guess."""
        return self.demanded(form, self._guess / 3)[0]

    def _centred(self, at: _Iterate, spent: int) -> tuple[_Iterate, int, bool]:
        r"""Minimise a dual that is convex in nu until the point is near the curve; return False if it never is.

        Above depth 2 the dual of the plain flow at fixed tau; at depth 2, whose exponentials are too steep far
        from the curve, :math:`\max(s, 0)^2 / (2 \kappa) - b^\top \nu` with s = kappa (1 + log<u0^2, e^{A^T nu}>), the
        dual of the flow with r0^2 = eta = kappa.
        """
        op, kappa = self.op, float(self._guess.sum())
        for step in range(spent, spent + 100):
            solve = self._normal(at, rough=False)
            dnu = -solve(at.residual)
            if self.depth == 2:
                # With X = s pi, s moves by kappa <pi, A^T dnu> rather than s <pi, A^T dnu>: a change of rank one.
                s = float(at.x.sum())
                mean = op.apply(at.x) / s
                a = solve(mean)
                dnu = dnu - a * ((kappa - s) * (mean @ dnu) / (1 + (kappa - s) * (mean @ a)))
            along = op.adjoint(dnu)
            if along.max() <= 0 and op.b @ dnu > 0:
                raise InfeasibleSystem(op.rows(dnu))
            slope = abs(float(at.residual @ dnu))
            if float(at.x @ (self._rate(at) * along) ** 2) < 0.05 * float(at.x.sum()):
                return at, step, True
            t = 1.0 if at.q is None else min(1.0, 0.95 / max(float((along / at.q).max()), 1e-300))
            moved = None
            while t > 1e-12:
                moved = self._centre_step(at, kappa, t * dnu, t * along)
                if moved is not None and moved.residual @ dnu <= 0.5 * slope:
                    break
                t *= 0.5
            if moved is None:
                break
            at = moved
        return at, step, False

    def _centre_step(self, at: _Iterate, kappa: float, dnu: np.ndarray, along: np.ndarray) -> _Iterate | None:
        if self.depth > 2:
            return self._moved(at, 0.0, dnu, along)
        z = at.z - at.tau + along
        total = normalized(z)[1]
        s = kappa * (1 + total)
        if s <= 1e-3 * kappa:
            return None
        tau = float(np.log(s)) - total
        return self._at(tau, at.nu + dnu, None, z + tau)

    def _from_program(self, form: ReducedForm) -> tuple[_Iterate, int] | None:
        """Return the point that matches one on the central path of the linear program, or None if that stalls."""
        op, p = self.op, self.p

        def log_slack(x: np.ndarray) -> float:
            """Return the logarithm of the slack that entries of average size should have."""
            tau = self.demanded(form, x)[0]
            if self.depth == 2:
                return -float(np.log(max(-tau, 20.0)))
            return float(np.clip(tau - np.log(float(x @ x) / float(x.sum())) / p, -12.0 / p, 0.0))

        def log_mu(x: np.ndarray) -> float:
            return float(np.log(OPTIONS.overshoot * float(x @ x) / float(x.sum()))) + log_slack(x)

        w = self.weights if self.depth > 2 else 1 + self._c / min(self._expected(form), -20.0)
        found = central_point(op, w, log_mu, graded=self.depth > 2)
        if found is None:
            return None
        # The large entries determine the part of nu that X q = mu leaves open.
        large = found.x > 1e-8 * found.x.max()
        if self.depth > 2:
            share = found.x / found.x.sum()
            tau = float(share @ (np.log(found.x) / p + np.log(found.q)))
            off = np.where(large, found.q - np.exp(tau - np.log(found.x) / p), 0.0)
            dnu = op.normal(found.x / found.q, graded=True)(op.apply(found.x / found.q * off))
            along = op.adjoint(dnu)
            t = min(1.0, 0.9 / max(float((along / found.q).max()), 1e-300))
            q = found.q - t * along
            return self._at(tau, found.eta + t * dnu, q, p * (tau - np.log(q))), found.steps + 1
        tau = min(self.demanded(form, found.x)[0], -20.0)
        nu = -tau * found.eta
        at = self._at(tau, nu, None, self._c + tau + op.adjoint(nu))
        off = np.where(large, np.clip(np.log(found.x) - at.z, -30, 30), 0.0)
        dnu = op.normal(found.x)(op.apply(found.x * off))
        return self._moved(at, 0.0, dnu, op.adjoint(dnu)) or at, found.steps + 1

    def _follow(self, at: _Iterate, form: ReducedForm, spent: int) -> tuple[CurvePoint, _Iterate]:
        """Return the point of ``form`` and the last iterate: predictor and corrector, one factorization a step."""
        op = self.op
        stride, best, stalled, fine = 2.0, np.inf, 0, False
        norms = op.column_norms()
        for step in range(spent, spent + OPTIONS.max_steps):  # noqa: B007 -- its last value is the count
            rate = self._rate(at)
            solve = self._normal(at, rough=not fine)
            correction, slope = -solve(at.residual), solve(self.p * op.apply(at.x))
            along, along_slope = op.adjoint(correction), op.adjoint(slope)
            aim, sensitivity, s = self.demanded(form, at.x)
            gradient = 2 / self.depth * at.x ** (2 / self.depth) * sensitivity
            newton = (aim - at.tau + gradient @ (rate * along)) / (1 - gradient @ (self.p - rate * along_slope))
            dtau = float(np.clip(at.tau + newton, *self._window)) - at.tau
            relative = float(np.linalg.norm(at.residual)) / self._size
            # Where X is large and cancels in A X, its own rounding is the limit.
            rounding = 4 * np.finfo(float).eps * float(at.x @ norms) / self._size
            if relative < max(OPTIONS.residual_tol, rounding) and abs(dtau) < 1e-12 + 1e-14 * abs(at.tau):
                break
            fine = relative < 1e-3 and abs(dtau) < 1e-2 * max(1.0, abs(at.tau))
            settled = relative < 1e-9 and abs(dtau) < 1e-6 * max(1.0, abs(at.tau))
            stalled = stalled + 1 if settled and relative + abs(dtau) > 0.5 * best else 0
            best = min(best, relative + abs(dtau))
            if stalled > 12:
                break
            moved = None
            error = float(np.sqrt(at.x @ (rate * along) ** 2 / at.x.sum()))
            if error < 1e-3:
                stride = max(stride, 0.1)
            if error <= 0.3:
                moved, stride = self._predicted(at, solve, (correction, along), (slope, along_slope), dtau, stride)
            at = moved or self._corrected(at, correction, along)
        accurate = relative < max(100 * OPTIONS.residual_tol, 10 * rounding)
        converged = bool(accurate and abs(dtau) < 1e-9 + 1e-12 * abs(at.tau))
        if converged:
            self._points.append(at)
            self._s.append(s)
        if at.tau > self._window[0]:
            return CurvePoint(at.tau, at.nu, at.z, s, slope, step + 1, converged), at
        # Below the window the support stays and the other entries are explicit functions of tau.
        vanishing = at.z < np.log(float(at.x @ at.x) / float(at.x.sum())) + OPTIONS.log_negligible * self.depth / 4
        s = float((at.x[~vanishing] ** (2 / self.depth)).sum())
        aim = float(self._demanded_at(form, s))
        z = np.where(vanishing, at.z + self.p * (aim - at.tau), at.z)
        return CurvePoint(aim, at.nu, z, s, slope, step + 1, converged), at

    def _predicted(
        self,
        at: _Iterate,
        solve: Solve,
        correction: tuple[np.ndarray, np.ndarray],
        slope: tuple[np.ndarray, np.ndarray],
        dtau: float,
        stride: float,
    ) -> tuple[_Iterate | None, float]:
        """Return the farthest point within ``stride`` that is near the curve, and the next stride."""
        for attempt in range(4):
            go = float(np.clip(dtau, -stride, stride))
            # Above depth 2 the slack of large entries is proportional to e^tau.
            share = go if at.q is None else float(np.expm1(go))
            dnu, along = (c - share * d for c, d in zip(correction, slope, strict=True))
            trial = self._moved(at, go, dnu, along)
            previous = np.inf
            for _ in range(3):
                if trial is None or not trial.x.sum() < 20 * at.x.sum():
                    break
                back = solve(trial.residual)
                along = self.op.adjoint(back)
                error = float(np.sqrt(trial.x @ (self._rate(trial) * along) ** 2 / trial.x.sum()))
                if error <= 0.3:
                    return trial, max(stride, 3 * abs(go)) if attempt == 0 else abs(go)
                if error > min(1.0, 0.5 * previous):
                    break
                previous = error
                trial = self._moved(trial, 0.0, -back, -along)
            stride = 0.35 * abs(go)
        return None, stride

    def _corrected(self, at: _Iterate, correction: np.ndarray, along: np.ndarray) -> _Iterate:
        """Return the step along Newton's direction at fixed tau after which the convex dual rises again."""
        start = abs(float(at.residual @ correction))

        def trial(t: float) -> tuple[_Iterate | None, float]:
            moved = self._moved(at, 0.0, t * correction, t * along)
            return moved, np.inf if moved is None else float(moved.residual @ correction) / start

        # Where an entry must vanish, Newton's step only divides it by e: try longer ones.
        t, (moved, slope) = 1.0, trial(1.0)
        while slope < -0.1 and t < 100:
            longer, next_slope = trial(2 * t)
            if not next_slope < 0.3:
                break
            t, moved, slope = 2 * t, longer, next_slope
        while not slope <= 0.5 and t > 1e-12:
            t *= 0.5
            moved, slope = trial(t)
        return moved or at
