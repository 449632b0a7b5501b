"""The flows of the paper by tight integration of log x, or of (log r, log u): an oracle without the library's roads."""

from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

# For each law of eta_r with parameter c: f as a function of r, and an antiderivative of r / f.
LAWS = {
    "constant": (lambda r, c: c, lambda r, c: r**2 / (2 * c)),
    "square": (lambda r, c: c * r**2, lambda r, c: np.log(r) / c),
    "harmonic": (lambda r, c: 1 / (1 / r**2 + 1 / c), lambda r, c: np.log(r) + r**2 / (2 * c)),
    "linear": (lambda r, c: c * r, lambda r, c: r / c),
}


class Flow(NamedTuple):
    """Times, radii, logarithms of the unit direction (one row per time), and norms of the residual."""

    t: np.ndarray
    r: np.ndarray
    log_u: np.ndarray
    missed: np.ndarray
    depth: int

    @property
    def log_x(self):
        return self.depth * (np.log(self.r)[:, None] + self.log_u)

    @property
    def x(self):
        return np.exp(self.log_x[-1])


def flow(A, b, depth, law, r0, u0, rtol=1e-11):
    """Integrate to a residual of 1e-11 ||b|| or r < 1e-4; ``law`` is a name and its parameter, None the plain flow."""
    u0 = np.asarray(u0) / np.linalg.norm(u0)

    def split(y):
        if law is not None:
            return y[0], y[1:]
        log_r = np.log(np.exp(2 * (y - y.max())).sum()) / 2 + y.max()
        return log_r, y - log_r

    def missed(y):
        log_r, log_u = split(y)
        return A @ np.exp(depth * (log_r + log_u)) - b

    def field(_, y):
        pull = A.T @ missed(y)
        if law is None:
            return -pull * np.exp((depth - 2) * y)
        log_r, log_u = split(y)
        r = np.exp(log_r)
        tangent = pull * np.exp((depth - 1) * (log_r + log_u) - log_u)  # grad / u
        radial = np.exp(2 * log_u) @ tangent
        return np.concatenate([[-LAWS[law[0]][0](r, law[1]) * radial / r], -r * (tangent - radial)])

    def solved(_, y):
        return np.linalg.norm(missed(y)) - 1e-11 * np.linalg.norm(b)

    def collapsed(_, y):
        return split(y)[0] - np.log(1e-4)

    solved.terminal = collapsed.terminal = True
    start = np.log(r0) + np.log(u0) if law is None else np.concatenate([[np.log(r0)], np.log(u0)])
    run = solve_ivp(field, (0, 1e9), start, method="LSODA", rtol=rtol, atol=1e-12, events=(solved, collapsed))
    assert run.success, run.message
    log_r, log_u = zip(*(split(y) for y in run.y.T), strict=True)
    sizes = np.array([np.linalg.norm(missed(y)) for y in run.y.T])
    return Flow(run.t, np.exp(np.array(log_r)), np.array(log_u), sizes, depth)
