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

    @property
    def power(self):
        return 0.0 if self.kind == "constant" else self.k

    def f(self, r):
        return self.c * r * r / (self.c + r * r) if self.kind == "harmonic" else self.c * r**self.power

    def log_s(self, r0, rise):
        """The logarithm of s = r^2 where E(r) = E(r0) + rise; -inf where E has no such value below, inf above."""
        if self.kind == "harmonic":
            # log s + s / c = v has the solution c omega(v - log c).
            v = 2 * rise + 2 * log(r0) + r0 * r0 / self.c - log(self.c)
            return v if v < -700 else log(self.c) + log(wrightomega(v))
        gap = 2 - self.power
        if gap == 0:
            return 2 * log(r0) + 2 * self.c * rise
        grown = self.c * gap * rise / r0**gap
        if grown <= -1:
            return -inf if gap > 0 else inf
        return 2 * log(r0) + 2 / gap * log1p(grown)

    def exact_radial(self, r):
        """E(r) by mpmath."""
        r, c, gap = mp.mpf(r), mp.mpf(self.c), 2 - mp.mpf(self.power)
        if self.kind == "harmonic":
            return mp.log(r) + r * r / (2 * c)
        return r**gap / (c * gap) if gap else mp.log(r) / c

    def library(self):
        if self.kind == "power":
            return pb.PowerRatio(self.c, self.k)
        return {"constant": pb.ConstantRatio, "harmonic": pb.HarmonicRatio}[self.kind](self.c)

    @property
    def can_collapse(self):
        """Whether E(0) is finite: otherwise u e^E, which keeps a component, forbids r = 0."""
        return self.kind != "harmonic" and self.power < 2


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
    safe: bool
    x: np.ndarray


class _Mirror:
    """w = log u + E(r) - E(r0), depth >= 2, whose rate -r^2 h u^(L-2) has no radial term.

    Entries that are e^(-100) grow at rates that a radial term known to 16 digits would drown.
    """

    def __init__(self, case):
        self.case, self.start = case, np.log(case.u0)

    def log_polar(self, w):
        top = w.max()
        rise = top + log(np.exp(2 * (w - top)).sum()) / 2
        # Trial points may lie where E has no value; the bound keeps exponentials finite there.
        return min(self.case.law.log_s(self.case.r0, rise) / 2, 100 / self.case.depth), w - rise

    def signal(self, w):
        """Return log |X|, log r and the signs of X."""
        log_r, log_u = self.log_polar(w)
        return self.case.depth * (log_r + log_u), log_r, 1.0

    def parts(self, w):
        log_r, log_u = self.log_polar(w)
        A, depth = self.case.A, self.case.depth
        X = np.exp(depth * (log_r + log_u))
        h = A.T @ (A @ X - self.case.b)
        # The clock runs as for depth 2, times r^2 / (f + r^2) and by the size of h.
        r = exp(log_r)
        weight = np.exp((depth - 2) * log_u) * (r * r / ((self.case.law.f(r) + r * r) * max(np.abs(h).max(), 1e-300)))
        return log_r, log_u, X, h, weight

    def field(self, _, w):
        *_, h, weight = self.parts(w)
        return -weight * h

    def jacobian(self, _, w):
        """Without the derivative of the clock, which is a factor and close to harmless in a Newton matrix."""
        L, A = self.case.depth, self.case.A
        log_r, log_u, X, h, weight = self.parts(w)
        if log_r == -inf:
            return np.zeros((w.size, w.size))
        u2 = np.exp(2 * log_u)
        by_log_x = L * (A.T @ A) * X
        by_w = by_log_x + np.outer(by_log_x.sum(1) * (self.case.law.f(exp(log_r)) * exp(-2 * log_r) - 1), u2)
        return -weight[:, None] * (by_w + (L - 2) * (np.diag(h) - np.outer(h, u2)))


class _Linear:
    """(r, u) of (12)-(13) for depth 1, where signs may change."""

    jacobian = None

    def __init__(self, case):
        self.case, self.start = case, np.concatenate([[case.r0], case.u0])

    def signal(self, y):
        x = y[0] * y[1:]
        return np.log(np.abs(x)), float(np.log(abs(y[0]))), np.sign(x)

    def field(self, _, y):
        A, r, u = self.case.A, y[0], y[1:]
        g, f = A.T @ (A @ (r * u) - self.case.b), self.case.law.f(abs(r))
        return np.concatenate([[-f * (u @ g)], -r * (g - u * (u @ g))]) / (1 + f + r * r)


@np.errstate(all="ignore")
def integrate_flow(case, *, rtol=1e-12, max_steps=40_000, decide=False):
    """Integrate the flow until ||A X - b|| <= 1e-12 ||b||, or it collapses, or floats or steps are exhausted.

    What ends with a relative residual up to 1e-10 counts as converged. With ``decide`` the integration ends once it
    cannot collapse.
    """
    A, b = case.A, case.b
    model = _Mirror(case) if case.depth > 1 else _Linear(case)
    size, safe = np.linalg.norm(b), not case.law.can_collapse

    def restarted(y, first_step=None):
        if y.size > 200:  # large problems are integrated for their beginning only, which is not stiff
            return DOP853(model.field, 0.0, y, inf, rtol=rtol, atol=rtol, first_step=first_step)
        return LSODA(model.field, 0.0, y, inf, rtol=rtol, atol=rtol, jac=model.jacobian, first_step=first_step)

    stepper, before, failures, restart = restarted(model.start), 0.0, 0, 0
    best, mark, idle = None, inf, 0
    for steps in range(max_steps + 1):
        log_x, log_r, sign = model.signal(stepper.y)
        x = sign * np.exp(log_x)
        residual = np.linalg.norm(A @ x - b) / size
        if not np.isfinite(residual):
            break
        safe = safe or residual < 1 - 1e-9
        end = End("stalled", log_x, float(log_r), float(residual), bool(safe), x)
        if best is None or residual < best.residual:
            best = end
        if not safe and _collapsed(case, x, log_r):
            return replace(end, status="collapsed")
        # A saddle that the flow leaves too slowly for floats, and the rounding level, end the attempt.
        mark, idle = (mark, idle + 1) if abs(residual - mark) <= 1e-3 * mark < inf else (residual, 0)
        exhausted = log_r > 30 or failures > 20 or idle > (5000 if residual > 1e-10 else 200)
        if residual <= 1e-12 or (decide and safe) or exhausted:
            break
        failed = stepper.status != "running"
        if failed or 0 < stepper.t - before < 1e-9 * stepper.t:
            # After a long rest time itself has too few digits left: begin again at time 0, as fast as before.
            failures, restart = failures + 1 if failed and steps - restart < 50 else 0, steps
            stepper = restarted(stepper.y, None if failed else stepper.t - before)
        before = stepper.t
        with warnings.catch_warnings(action="ignore"):  # integrators warn where they give up, and the status says so
            stepper.step()
    return replace(
        best, status="converged" if best.residual <= 1e-10 else "safe" if decide and best.safe else "stalled"
    )


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
    if case.depth == 1 and end.status == "converged":
        rest = case.u0 - np.linalg.pinv(case.A) @ (case.A @ case.u0)
        if np.linalg.norm(rest) > 1e-12:
            x = linear_limit(case, rest @ end.x)
            return replace(end, x=x, log_x=np.log(np.abs(x)), log_r=log(np.linalg.norm(x)))
    return end


def _collapsed(case, x, log_r):
    """Close to X = 0, r falls at the rate -f <v, A^T b>, v = u^depth, while log u moves at r^2 (A^T b) only.

    At depth 1 the radius then crosses zero, unless f(0) = 0.
    """
    if log_r == -inf:
        return True
    A, b, depth, f = case.A, case.b, case.depth, case.law.f
    if depth == 1 and f(0.0) > 0:
        return False
    r = exp(log_r)
    v = x * exp(-depth * log_r)
    pull, h = v @ (A.T @ b), np.abs(A.T @ b).max()
    return bool(
        pull < 0
        and r**depth * np.linalg.norm(A @ v) < 1e-8 * np.linalg.norm(b)
        and depth * r * r * h / (f(r) * -pull) * h < -1e-6 * pull
    )
