"""Flows in mpmath: optimality of a claimed limit, Newton's method for small problems, the potential."""

from dataclasses import dataclass

import mpmath as mp
import numpy as np

import polarbias as pb


@dataclass(frozen=True)
class Optimality:
    """Relative residual of A X = b, and how far the mirror map is from having moved by A^T nu."""

    residual: float
    stationarity: float
    nu: np.ndarray

    @property
    def worst(self):
        return max(self.residual, self.stationarity)


def kkt_mpmath(case, log_x, sign=1.0):
    """Evaluate A X = b and Phi(X) - Phi(X0) = A^T nu at X = sign exp(log_x), with nu by least squares.

    Depth 2: log u^2 + 2 E - log u0^2 - 2 E0, relative to its largest entry if above 1. Depth > 2: q - q0 with
    q = (u e^(E - E0))^(2-L), each entry relative to max(q, q0), over 2 - L. Depth 1: u e^(E - E0) - u0, relative to
    its largest entry, with the sign of r that fits better: X = r u does not tell it.
    """
    depth, law, n = case.depth, case.law, len(log_x)
    with mp.workdps(50):
        lx, u0 = ([mp.mpf(float(v)) for v in values] for values in (log_x, case.u0))
        log_r = mp.log(mp.fsum(mp.exp(2 * v / depth) for v in lx)) / 2
        rise = law.exact_radial(mp.exp(log_r)) - law.exact_radial(case.r0)
        log_v = [v / depth - log_r + rise for v in lx]  # log u + E - E0
        signs = np.broadcast_to(sign, n).tolist()
        X = mp.matrix([g * mp.exp(v) for g, v in zip(signs, lx, strict=True)])
        A, b = mp.matrix(case.A.tolist()), mp.matrix(case.b.tolist())
        residual = float(mp.norm(A * X - b) / mp.norm(b))
        if depth == 2:
            moves = [[2 * (v - mp.log(w)) for v, w in zip(log_v, u0, strict=True)]]
            scale = [max(1, *map(abs, moves[0]))] * n
        elif depth > 2:
            pairs = [(mp.exp((2 - depth) * v), w ** (2 - depth)) for v, w in zip(log_v, u0, strict=True)]
            moves, scale = [[(q - q0) / (2 - depth) for q, q0 in pairs]], [max(pair) for pair in pairs]
        else:
            v = [g * mp.exp(a) for g, a in zip(signs, log_v, strict=True)]
            moves = [[turn * a - c for a, c in zip(v, u0, strict=True)] for turn in (1, -1)]
            scale = [max(1, *map(abs, v))] * n
        return min(
            (Optimality(residual, *_stationary(case.A, moved, scale)) for moved in moves), key=lambda one: one.worst
        )


def _stationary(A, moved, scale):
    """Return the largest entry of (moved - A^T nu) / scale, and nu by least squares."""
    # nu is counted in the smallest scale, because scales may leave the range of floats.
    unit = min(scale)
    target = mp.matrix([m / v for m, v in zip(moved, scale, strict=True)])
    rows = mp.matrix([[mp.mpf(a) * (unit / v) for a in column] for column, v in zip(A.T.tolist(), scale, strict=True)])
    with mp.workdps(150):  # where nu is large, A^T nu cancels
        nu = mp.lu_solve(rows, target)
    size = min(unit, mp.mpf(10) ** 300)
    return float(max(map(abs, target - rows * nu))), np.array([float(v * size) for v in nu])


def solve_mpmath(case, log_x, digits=30, extra=30):
    """Newton's method from log_x for (nu, log r), depth >= 2, to ``digits`` digits; returns log X as mpmath numbers.

    The limit is the only zero, because the potential is strictly convex; so the start matters for success alone.
    """
    m, depth, law = len(case.b), case.depth, case.law
    start = kkt_mpmath(case, log_x)
    with mp.workdps(digits + extra):
        rows, rhs, u0 = mp.matrix(case.A.tolist()), mp.matrix(case.b.tolist()), [mp.mpf(float(w)) for w in case.u0]
        origin = law.exact_radial(case.r0)

        def log_polar(*y):
            move, rise = rows.T * mp.matrix(y[:m]), law.exact_radial(mp.exp(y[m])) - origin
            if depth == 2:
                return [mp.log(w) + d - rise for w, d in zip(u0, move, strict=True)]
            q = [w ** (2 - depth) - (depth - 2) * d for w, d in zip(u0, move, strict=True)]
            return [mp.log(v) / (2 - depth) - rise for v in q] if min(q) > 0 else None

        def equations(*y):
            log_u = log_polar(*y)
            if log_u is None:
                return [mp.inf] * (m + 1)
            miss = rows * mp.matrix([mp.exp(depth * (y[m] + v)) for v in log_u]) - rhs
            return [*miss, mp.fsum(mp.exp(2 * v) for v in log_u) - 1]

        nu = [(mp.mpf(1) if depth > 2 else mp.mpf(1) / 2) * mp.mpf(float(v)) for v in start.nu]
        log_r = mp.log(mp.fsum(mp.exp(2 * mp.mpf(float(v)) / depth) for v in log_x)) / 2
        tol = mp.mpf(10) ** (-digits - 5) * max(mp.norm(rhs), 1)
        y = _newton(equations, [*nu, log_r], tol)
        return [depth * (y[m] + v) for v in log_polar(*y)]


def _newton(equations, start, tol):
    """Return the zero by damped Newton steps; equations are infinite outside their domain."""
    if not all(mp.isfinite(v) for v in equations(*start)):
        raise ArithmeticError("the start lies outside the domain")
    zero = mp.findroot(equations, start, solver="mdnewton", tol=tol, maxsteps=300, norm=mp.norm, verify=False)
    if mp.norm(equations(*zero)) > tol * max(1, mp.norm(zero)):
        raise ArithmeticError("Newton's method found no zero")
    return zero


class SaturatedRatio(pb.RatioLaw):
    """f = eta (1 + r^2): neither a power nor harmonic, only the three functions that a user writes."""

    eta: float

    def f(self, r):
        _, law, r = self.cast(r)
        return law.eta * (1 + r**2)

    def E(self, r):
        xp, law, r = self.cast(r)
        return xp.log1p(r**2) / (2 * law.eta)

    def E_inverse(self, E):
        xp, law, E = self.cast(E)
        return xp.sqrt(xp.expm1(2 * law.eta * E))


def power(c, k):
    return lambda r: mp.log(r) / c if k == 2 else r ** mp.mpf(2 - k) / (mp.mpf(c) * (2 - k))


# Each law with E for mpmath, written again.
LAWS = {
    "plain": (None, mp.log),
    "constant": (pb.ConstantRatio(0.3), lambda r: r * r / (2 * mp.mpf(0.3))),
    "linear": (pb.PowerRatio(0.5, 1), power(0.5, 1)),
    "quadratic": (pb.PowerRatio(0.7, 2), power(0.7, 2)),
    "bounded": (pb.PowerRatio(2.0, 2.5), power(2.0, 2.5)),
    "quintic": (pb.PowerRatio(1.5, 5), power(1.5, 5)),
    "harmonic": (pb.HarmonicRatio(0.4), lambda r: mp.log(r) + r * r / (2 * mp.mpf(0.4))),
    "user": (SaturatedRatio(0.6), lambda r: mp.log(1 + r * r) / (2 * mp.mpf(0.6))),
}


class ExactPotential:
    """The potential of a law E in mpmath, from its definition; lists of mpf instead of logarithms."""

    def __init__(self, depth, own, time_scale=1.0, r0=1.0):
        self.depth, self.base = depth, mp.mpf(r0)
        self.rise = lambda s: mp.mpf(time_scale) * (own(mp.sqrt(s)) - own(self.base))

    def square(self, x):
        return mp.fsum(mp.mpf(entry) ** (mp.mpf(2) / self.depth) for entry in x)

    def integral(self, function, top):
        # In log s and in short pieces: the integrand is a smooth, steep function there.
        low, high = 2 * mp.log(self.base), mp.log(top)
        edges = mp.linspace(low, high, 2 + int(abs(high - low)))
        return mp.quad(lambda t: function(mp.exp(t)) * mp.exp(t), edges) if low != high else mp.mpf(0)

    def F(self, x):
        depth, S = self.depth, self.square(x)
        if depth == 2:
            return mp.fsum(n * mp.log(n / S) for n in x if n) / 2 + self.integral(self.rise, S)
        h = self.integral(lambda s: s ** (mp.mpf(depth - 2) / 2) * mp.exp(-(depth - 2) * self.rise(s)), S)
        return -mp.mpf(depth) / (2 * (depth - 2)) * h

    def gradient(self, x):
        depth, S = self.depth, self.square(x)
        v = [mp.mpf(n) ** (mp.mpf(1) / depth) / mp.sqrt(S) * mp.exp(self.rise(S)) for n in x]
        return [mp.log(n) if depth == 2 else n ** (2 - depth) / (2 - depth) for n in v]

    def bregman(self, z, x):
        slope = mp.fsum(g * (a - b) for g, a, b in zip(self.gradient(x), z, x, strict=True))
        return self.F(z) - self.F(x) - slope


def plain_limit_mpmath(problem, depth, x0, signed=False):
    """Return the limit of the plain flow from the factor x0 at depth L > 2, by path following in the scale of x0.

    Solves A X = b, X = (epsilon / q)^p, q = w - A^T nu > 0 with w = (x0 / max x0)^(2-L), epsilon = (max x0)^(L-2) and
    p = L / (L - 2); digits grow with log epsilon, so that nothing cancels.
    """
    A = np.hstack([problem.A, -problem.A]) if signed else problem.A
    with mp.workdps(60 + 3 * max(0, int((2 - depth) * np.log10(np.max(x0))))):
        start = [mp.mpf(float(v)) for v in x0]
        top, power = max(start), mp.mpf(depth) / (depth - 2)
        w = mp.matrix([(v / top) ** (2 - depth) for v in start])
        rows, b = mp.matrix(A.tolist()), mp.matrix(problem.b.tolist())
        goal, epsilon, nu = top ** (depth - 2), 1000 * max(1, mp.norm(b)), mp.matrix(len(b), 1)

        def signal(*nu):
            q = w - rows.T * mp.matrix(nu)
            return mp.matrix([(epsilon / v) ** power for v in q]) if min(q) > 0 else None

        def equations(*nu):
            X = signal(*nu)
            return [mp.inf] * len(b) if X is None else list(rows * X - b)

        while True:
            tol = mp.mpf(10) ** (-40 if epsilon == goal else -3) * mp.norm(b)
            nu = _newton(equations, list(nu), tol)
            if epsilon == goal:
                break
            epsilon = epsilon / 10 if epsilon > 10.001 * goal else goal
        found = np.array([float(v) for v in signal(*nu)])
    return found[: problem.n] - found[problem.n :] if signed else found
