"""The flows (10) and (12)-(13) of arXiv:2305.05448v1, integrated tightly in log r and log u: an oracle for tests.

Nothing of polarbias is used. Starts are x0 = r0 u0 with a unit u0 > 0.
"""

import numpy as np
from scipy.integrate import LSODA, solve_ivp

# For each law of the ratio eta_r = f(r) a pair (f, E) with E' = r / f; the plain flow follows the curve of SQUARE.
SQUARE = (lambda r: r**2, np.log)


def constant(eta):
    return (lambda r: eta + 0 * r, lambda r: r**2 / (2 * eta))


def square(c):
    return (lambda r: c * r**2, lambda r: np.log(r) / c)


def linear(c):
    return (lambda r: c * r, lambda r: r / c)


def harmonic(eta):
    return (lambda r: 1 / (1 / r**2 + 1 / eta), lambda r: np.log(r) + r**2 / (2 * eta))


class Run:
    """States at the integrator's own steps: time, log r, log u, signals, and the residual A X - b."""

    def __init__(self, A, b, depth, time, log_r, log_u):
        self.A, self.b, self.depth, self.time, self.log_r, self.log_u = A, b, depth, time, log_r, log_u
        self.r, self.u = np.exp(log_r), np.exp(log_u)
        self.log_x = depth * (log_r[:, None] + log_u)
        self.X = np.exp(self.log_x)
        self.x = self.X[-1]
        self.residual = self.X @ A.T - b
        self.residual_norm = np.linalg.norm(self.residual, axis=1)
        self.loss = (self.residual**2).sum(axis=1) / (2 * depth)
        self.collapsed = bool(log_r[-1] - log_r[0] < -15 and self.loss[-1] > 0)
        self.solved = bool(np.abs(self.residual[-1]).max() <= 1e-10 * max(np.abs(b).max(), 1e-300))


def integrate(  # noqa: PLR0913
    A, b, depth, f, r0, u0, *, paper_time=False, rate=1.0, times=None, end=1e12, goal=1e-13, smallest=-20.0,
    max_steps=50_000,
):  # fmt: skip
    """Integrate until the residual is goal max|b|, log(r / r0) is ``smallest`` or the time is ``end``, or at ``times``.

    f None is the plain flow. The direction moves at ``rate``. Unless in the paper's time, the clock runs r^(L - 2)
    times as fast, which bends no curve and turns the slow collapse of depths above 2 into an exponential one.
    """
    A, b, u0 = np.atleast_2d(np.asarray(A, float)), np.atleast_1d(np.asarray(b, float)), np.asarray(u0, float)
    ratio = SQUARE[0] if f is None else f
    # The plain flow is that of f = r^2 in a time that runs r^2 times as fast.
    power = depth - 2 - (2 if f is None else 0) if paper_time else 0

    def residual(y):
        return A @ np.exp(depth * (y[0] + y[1:])) - b

    def slope(_, y):
        r, v = np.exp(y[0]), y[1:]
        force = A.T @ residual(y)
        along = np.exp(depth * v) @ force
        direction = rate * r**2 * (along - np.exp((depth - 2) * v) * force)
        return r**power * np.concatenate([[-ratio(r) * along], direction])

    start = np.concatenate([[np.log(r0)], np.log(u0 / np.linalg.norm(u0))])
    if times is not None:
        run = solve_ivp(slope, (0, times[-1]), start, method="LSODA", rtol=1e-13, atol=1e-13, t_eval=times)
        assert run.success
        return Run(A, b, depth, run.t, run.y[0], run.y[1:].T)
    solver = LSODA(slope, 0.0, start, end, rtol=1e-12, atol=1e-12)
    states, clock = [start], [0.0]
    with np.errstate(over="ignore", invalid="ignore"):  # of trial steps, which the integrator takes back
        while solver.status == "running" and len(states) < max_steps:
            if np.abs(residual(states[-1])).max() <= goal * np.abs(b).max() or states[-1][0] - start[0] < smallest:
                break
            solver.step()
            if solver.status != "failed":
                states.append(solver.y.copy())
                clock.append(solver.t)
    y = np.array(states)
    return Run(A, b, depth, np.array(clock), y[:, 0], y[:, 1:])
