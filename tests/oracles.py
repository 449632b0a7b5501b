"""Where the flow ends, by means that share nothing with the library: integration of the flow, and mpmath.

A start is a unit direction u0 and a radius r0; a law is f with E' = r / f. All clocks are chosen freely, because a
positive factor in front of the whole vector field changes no curve.
"""

import warnings
from dataclasses import dataclass, replace
from math import exp, expm1, inf, log, log1p, sqrt

import mpmath as mp
import numpy as np
from scipy.integrate import DOP853, LSODA
from scipy.optimize import brentq
from scipy.special import wrightomega

import polarbias as pb


@dataclass(frozen=True)
class Law:
    """f = c (constant), f = c r^k (power), 1/f = 1/r^2 + 1/c (harmonic); plain is the power law with c = 1, k = 2."""

    kind: str
    c: float
    k: float = 2.0

    def f(self, r):
        if self.kind == "constant":
            return self.c
        if self.kind == "power":
            return self.c * r**self.k
        return self.c * r * r / (self.c + r * r)

    def elasticity(self, r):
        """r f'(r) / f(r)."""
        if self.kind == "constant":
            return 0.0
        return self.k if self.kind == "power" else 2 * self.c / (self.c + r * r)

    def log_s(self, r0, rise):
        """The logarithm of s = r^2 where E(r) = E(r0) + rise; -inf where E has no such value below, inf above."""
        if self.kind == "constant":
            s = 2 * self.c * rise / r0**2
            return 2 * log(r0) + log1p(s) if s > -1 else -inf
        if self.kind == "harmonic":
            # log s + s / c = v has the solution c omega(v - log c).
            v = 2 * rise + 2 * log(r0) + r0 * r0 / self.c - log(self.c)
            return v if v < -700 else log(self.c) + log(wrightomega(v))
        if self.k == 2:
            return 2 * log(r0) + 2 * self.c * rise
        grown = self.c * (2 - self.k) * rise / r0 ** (2 - self.k)
        if grown <= -1:
            return -inf if self.k < 2 else inf
        return 2 * log(r0) + 2 / (2 - self.k) * log1p(grown)

    def exact_radial(self, r):
        r, c = mp.mpf(r), mp.mpf(self.c)
        if self.kind == "constant":
            return r * r / (2 * c)
        if self.kind == "harmonic":
            return mp.log(r) + r * r / (2 * c)
        k = mp.mpf(self.k)
        return mp.log(r) / c if self.k == 2 else r ** (2 - k) / (c * (2 - k))

    def library(self):
        if self.kind == "constant":
            return pb.ConstantRatio(self.c)
        return pb.HarmonicRatio(self.c) if self.kind == "harmonic" else pb.PowerRatio(self.c, self.k)

    @property
    def can_collapse(self):
        """Whether E(0) is finite: otherwise u e^E, which keeps a component, forbids r = 0."""
        return self.kind == "constant" or (self.kind == "power" and self.k < 2)


PLAIN = Law("power", 1.0, 2.0)


@dataclass(frozen=True)
class Case:
    A: np.ndarray
    b: np.ndarray
    depth: int
    law: Law
    r0: float
    u0: np.ndarray
    plain: bool = False

    def library(self):
        """The same as (problem, network, theta0) of the library."""
        network = pb.HadamardPower(self.depth)
        if not self.plain:
            network = pb.WeightNormalization(network, self.law.library())
        return pb.LinearProblem(self.A, self.b), network, network.init(self.r0, self.u0)

    @property
    def arguments(self):
        return self.A, self.b, self.depth, self.law, self.r0, self.u0


def random_problem(rng, depths=(1, 2, 3, 4, 6), laws=("constant", "harmonic", "square", "power", "plain"), sizes=20):
    """b = A z with z > 0, M in 1..sizes, N in M..3 sizes; r0 from 1e-3 to 1e2, ratios from 1e-3 to 1e2."""
    m = int(rng.integers(1, sizes + 1))
    n = int(rng.integers(m, 3 * sizes + 1))
    depth = int(rng.choice(depths))
    A = rng.standard_normal((m, n)) / sqrt(m)
    b = A @ np.abs(rng.standard_normal(n))
    u0 = rng.standard_normal(n)
    u0 = u0 if depth == 1 else np.abs(u0)
    u0 = u0 / np.linalg.norm(u0)
    r0, c = 10 ** rng.uniform(-3, 2, 2)
    k = float(rng.choice([0.5, 1.0, 3.0]))
    kind = str(rng.choice(laws))
    law = {"square": Law("power", c), "power": Law("power", c, k), "plain": PLAIN}.get(kind) or Law(kind, c)
    return Case(A, b, depth, law, float(r0), u0, kind == "plain")


@dataclass(frozen=True)
class End:
    """Where an integration ended; ``status`` is converged, collapsed, diverged, or stalled (steps or precision)."""

    status: str
    log_x: np.ndarray
    log_r: float
    residual: float
    steps: int
    safe: bool
    x: np.ndarray


class _Direct:
    """(log r, log u) of (12)-(13) for depth >= 2: no conserved quantity is used."""

    def __init__(self, A, b, depth, law, r0, u0):
        self.A, self.b, self.depth, self.law = A, b, depth, law
        self.gram = A.T @ A if A.shape[1] <= 200 else None
        self.start = np.concatenate([[log(r0)], np.log(u0)])

    def log_x(self, y):
        return self.depth * (y[0] + y[1:]), y[0]

    def parts(self, y):
        r, u = exp(min(y[0], 100.0)), np.exp(y[1:])
        h = self.A.T @ (self.A @ np.exp(self.depth * (y[0] + y[1:])) - self.b)
        f = self.law.f(r)
        return r, u, h, u**self.depth @ h, f, 1 / ((f + r * r) * max(np.abs(h).max(), 1e-300))

    def field(self, _, y):
        r, u, h, mean, f, pace = self.parts(y)
        return pace * np.concatenate([[-f * mean], -r * r * (h * u ** (self.depth - 2) - mean)])

    def jacobian(self, _, y):
        """Without the derivative of the pace, which is a factor and close to harmless in a Newton matrix."""
        L = self.depth
        r, u, h, mean, f, pace = self.parts(y)
        X = np.exp(L * (y[0] + y[1:]))
        by_u = self.gram * (L * X)
        by_r = by_u.sum(1)
        a, v = u ** (L - 2), u**L
        mean_r, mean_u = v @ by_r, L * v * h + v @ by_u
        J = np.empty((y.size, y.size))
        J[0, 0], J[0, 1:] = -f * (self.law.elasticity(r) * mean + mean_r), -f * mean_u
        J[1:, 0] = -r * r * (2 * (h * a - mean) + by_r * a - mean_r)
        J[1:, 1:] = -r * r * (by_u * a[:, None] + np.diag(h * (L - 2) * a) - mean_u)
        return pace * J


class _Mirror:
    """w = log u + E(r) - E(r0), depth >= 2, whose rate -r^2 h u^(L-2) has no radial term.

    Entries that are e^(-100) grow at rates that a radial term known to 16 digits would drown.
    """

    def __init__(self, A, b, depth, law, r0, u0):
        self.A, self.b, self.depth, self.law, self.r0 = A, b, depth, law, r0
        self.gram = A.T @ A if A.shape[1] <= 200 else None
        self.start = np.log(u0)

    def log_polar(self, w):
        top = w.max()
        rise = top + log(np.exp(2 * (w - top)).sum()) / 2
        # Trial points may lie where E has no value; the bound keeps exponentials finite there.
        return min(self.law.log_s(self.r0, rise) / 2, 100 / self.depth), w - rise

    def log_x(self, w):
        log_r, log_u = self.log_polar(w)
        return self.depth * (log_r + log_u), log_r

    def parts(self, w):
        log_r, log_u = self.log_polar(w)
        X = np.exp(self.depth * (log_r + log_u))
        h = self.A.T @ (self.A @ X - self.b)
        # The clock runs as for depth 2, times r^2 / (f + r^2) and by the size of h.
        r = exp(log_r)
        weight = np.exp((self.depth - 2) * log_u) * (r * r / ((self.law.f(r) + r * r) * max(np.abs(h).max(), 1e-300)))
        return log_r, log_u, X, h, weight

    def field(self, _, w):
        *_, h, weight = self.parts(w)
        return -weight * h

    def jacobian(self, _, w):
        """Without the derivative of the clock, which is a factor and close to harmless in a Newton matrix."""
        L = self.depth
        log_r, log_u, X, h, weight = self.parts(w)
        if log_r == -inf:
            return np.zeros((w.size, w.size))
        u2 = np.exp(2 * log_u)
        by_log_x = L * self.gram * X
        by_w = by_log_x + np.outer(by_log_x.sum(1) * (self.law.f(exp(log_r)) * exp(-2 * log_r) - 1), u2)
        return -weight[:, None] * (by_w + (L - 2) * (np.diag(h) - np.outer(h, u2)))


class _Linear:
    """(r, u) of (12)-(13) for depth 1, where signs may change."""

    depth = 1

    def __init__(self, A, b, depth, law, r0, u0):
        self.A, self.b, self.law = A, b, law
        self.start = np.concatenate([[r0], u0])

    def log_x(self, y):
        return np.log(np.abs(y[0] * y[1:])), float(np.log(abs(y[0])))

    def parts(self, y):
        r, u = y[0], y[1:]
        g = self.A.T @ (self.A @ (r * u) - self.b)
        f = self.law.f(abs(r))
        return r, u, g, u @ g, f, 1 / (1 + f + r * r)

    def field(self, _, y):
        r, u, g, mean, f, pace = self.parts(y)
        return pace * np.concatenate([[-f * mean], -r * (g - u * mean)])


@np.errstate(all="ignore")
def integrate_flow(case, *, form="mirror", rtol=1e-12, max_steps=40_000, decide=False):
    """Integrate the flow until ||A X - b|| <= 1e-12 ||b||, or it collapses, or floats or steps are exhausted.

    ``form``: "direct" is (12)-(13) in (log r, log u), at depth 1 in (r, u); "mirror" in log u + E(r). What ends with a
    relative residual up to 1e-10 counts as converged. With ``decide`` the integration ends once it cannot collapse.
    """
    A, b, depth, law, r0, u0 = case.arguments
    model = {"direct": _Direct, "mirror": _Mirror}[form] if depth > 1 else _Linear
    model = model(A, b, depth, law, r0, u0)
    size, safe, sign = np.linalg.norm(b), not law.can_collapse, 1.0

    def restarted(y, first_step=None):
        if A.shape[1] > 200:  # large problems are integrated for their beginning only, which is not stiff
            return DOP853(model.field, 0.0, y, inf, rtol=rtol, atol=rtol, first_step=first_step)
        jacobian = getattr(model, "jacobian", None)
        return LSODA(model.field, 0.0, y, inf, rtol=rtol, atol=rtol, jac=jacobian, first_step=first_step)

    stepper, before, failures, restart = restarted(model.start), 0.0, 0, 0
    best, mark, idle = None, inf, 0
    for steps in range(max_steps + 1):
        log_x, log_r = model.log_x(stepper.y)
        if depth == 1:
            sign = np.sign(stepper.y[0] * stepper.y[1:])
        x = sign * np.exp(log_x)
        residual = np.linalg.norm(A @ x - b) / size
        if not np.isfinite(residual):
            break
        safe = safe or residual < 1 - 1e-9
        end = ("stalled", log_x, float(log_r), float(residual), steps, bool(safe), x)
        if best is None or residual < best[3]:
            best = end
        if not safe and _collapsed(A, b, depth, law, x, log_r):
            return End("collapsed", *end[1:])
        if log_r > 30:
            return End("diverged", *end[1:])
        # A saddle that the flow leaves too slowly for floats, and the rounding level, end the attempt.
        mark, idle = (mark, idle + 1) if abs(residual - mark) <= 1e-3 * mark < inf else (residual, 0)
        if residual <= 1e-12 or (decide and safe) or failures > 20 or idle > (5000 if residual > 1e-10 else 200):
            break
        failed = stepper.status != "running"
        if failed or 0 < stepper.t - before < 1e-9 * stepper.t:
            # After a long rest time itself has too few digits left: begin again at time 0, as fast as before.
            failures, restart = failures + 1 if failed and steps - restart < 50 else 0, steps
            stepper = restarted(stepper.y, None if failed else stepper.t - before)
        before = stepper.t
        with warnings.catch_warnings(action="ignore"):  # integrators warn where they give up, and the status says so
            stepper.step()
    return End("converged" if best[3] <= 1e-10 else "safe" if decide and best[5] else "stalled", *best[1:])


def attainable(case, x):
    """The relative residual to ask for: 1e-10, or what rounding X makes of it where X is far larger than b."""
    rounding = 50 * np.finfo(float).eps * np.linalg.norm(np.abs(case.A) @ np.abs(x))
    return max(1e-10, rounding / np.linalg.norm(case.b))


def linear_limit(case, orientation):
    """Depth 1: X = A^+ b + c (I - P) u0, |c| = r e^(E0 - E), r the root of r^2 = ||A^+ b||^2 + c^2 ||(I - P) u0||^2.

    The sign of c is that of ``orientation``, which no equation at the limit tells.
    """
    law = case.law
    inverse = np.linalg.pinv(case.A)
    least = inverse @ case.b
    rest = case.u0 - inverse @ (case.A @ case.u0)
    size, weight = np.linalg.norm(least), np.linalg.norm(rest)

    def log_c(log_r):
        with mp.workdps(40):
            return float(mp.mpf(log_r) - law.exact_radial(mp.exp(log_r)) + law.exact_radial(case.r0))

    def excess(log_r):
        # r^2 (1 - e^(2 (E0 - E)) weight^2) - ||A^+ b||^2 by logarithms: E is e^7 and more.
        rising = 2 * (log_c(log_r) - log_r + log(weight))
        return 2 * log_r + log(-expm1(rising)) - 2 * log(size) if rising < 0 else -1e3

    low, high = log(size), log(size + case.r0) + 5
    while excess(high) < 0:
        high += 1
    root = brentq(excess, low, high, xtol=1e-15, rtol=1e-15, maxiter=500) if excess(low) < 0 else low
    return least + np.sign(orientation) * exp(log_c(root)) * rest


def reference(case):
    """Where the flow ends, as well as can be integrated; at depth 1 the integrated end only decides the sign."""
    end = integrate_flow(case)
    if end.status == "stalled" and case.depth > 1:
        end = integrate_flow(case, form="direct")
    if case.depth == 1 and end.status == "converged":
        rest = case.u0 - np.linalg.pinv(case.A) @ (case.A @ case.u0)
        if np.linalg.norm(rest) > 1e-12:
            x = linear_limit(case, rest @ end.x)
            return replace(end, x=x, log_x=np.log(np.abs(x)), log_r=log(np.linalg.norm(x)))
    return end


def _collapsed(A, b, depth, law, x, log_r):
    """Close to X = 0, r falls at the rate -f <v, A^T b>, v = u^depth, while log u moves at r^2 (A^T b) only.

    At depth 1 the radius then crosses zero, unless f(0) = 0.
    """
    if log_r == -inf:
        return True
    if depth == 1 and law.f(0.0) > 0:
        return False
    r = exp(log_r)
    v = x * exp(-depth * log_r)
    pull, h = v @ (A.T @ b), np.abs(A.T @ b).max()
    return bool(
        pull < 0
        and r**depth * np.linalg.norm(A @ v) < 1e-8 * np.linalg.norm(b)
        and depth * r * r * h / (law.f(r) * -pull) * h < -1e-6 * pull
    )
