r"""Question 1: the bias for other losses.

The flow is that of :math:`h(A X)` for a function h of the predictions, differentiated automatically in the network's
own parameters (r, u) or x, so it uses no closed form of the squared loss.
"""

import jax
import jax.numpy as jnp
import numpy as np
from answer import Answer
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

import polarbias as pb

RESIDUAL_TOL = 1e-8
"""Relative residual at which the integration stops."""

LOSSES = {
    "squared": lambda R: (R**2).sum() / 2,
    "Huber 0.1": lambda R: jnp.where(jnp.abs(R) < 0.1, R**2 / 2, 0.1 * jnp.abs(R) - 0.005).sum(),
    "log cosh": lambda R: (jnp.logaddexp(R, -R) - jnp.log(2.0)).sum(),
    "Cauchy": lambda R: jnp.log1p(R**2).sum() / 2,
}
"""Functions of A X - b; the last one is not convex."""

INNER = pb.HadamardPower(2)
NETWORKS = {"plain": INNER, "wn": pb.WeightNormalization(INNER, 0.1)}


def integrate(h, A, network, theta0, times, stop=None):
    """Return the signals X of the flow of ``h(A X)`` at the times.

    The last of the increasing times ends the flow. With ``stop``, a function of X, the flow ends at its first negative
    value, and the signal at the end is the only one returned.
    """
    with jax.enable_x64(True):
        start, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), theta0))
        matrix = jnp.asarray(A, jnp.float64)

        def velocity(flat):
            theta = unravel(flat)
            gradient = jax.grad(lambda parameters: h(matrix @ network.signal(parameters)))(theta)
            rates = jax.tree.broadcast(network.rates(theta), theta)
            return ravel_pytree(jax.tree.map(lambda rate, slope: -rate * slope, rates, gradient))[0]

        compiled, jacobian = jax.jit(velocity), jax.jit(jax.jacfwd(velocity))
        signal = jax.jit(lambda flat: network.signal(unravel(flat)))
        event = None
        if stop is not None:

            def event(_, flat):
                return stop(np.asarray(signal(flat)))

            event.terminal, event.direction = True, -1
        run = solve_ivp(
            lambda _, flat: np.asarray(compiled(flat)), (0.0, times[-1]), np.asarray(start), method="LSODA",
            jac=lambda _, flat: np.asarray(jacobian(flat)), t_eval=times if stop is None else None, events=event,
            rtol=1e-9, atol=1e-13,
        )  # fmt: skip
        return [np.asarray(signal(state)) for state in (run.y.T if stop is None else run.y.T[-1:])]


def other_losses(quick=False):
    """Compare the ends of flows of several losses with the exact limit for the squared loss."""
    m, n, s = (6, 15, 2) if quick else (20, 60, 3)
    problem = pb.gaussian_problem(0, m, n, "sparse", s=s)
    A, b = problem.A, problem.b
    minimum = pb.minimal_l1(problem, nonnegative=True).value
    rows, errors, better = [], [], True

    def residual(x):
        return float(np.linalg.norm(A @ x - b) / np.linalg.norm(b))

    for name in ("Huber 0.1", "Cauchy") if quick else LOSSES:
        excess = {}
        for algorithm, network in NETWORKS.items():
            theta0 = network.init(1.0, pb.folded_gaussian_direction(0, n))
            [x] = integrate(
                lambda p, h=LOSSES[name]: h(p - b), A, network, theta0, (1e6,), lambda x: residual(x) - RESIDUAL_TOL
            )
            limit = pb.flow_limit(problem, network, theta0).x
            errors.append(float(np.abs(x - limit).max() / np.abs(limit).max()))
            excess[algorithm] = float(np.abs(x).sum() / minimum - 1)
            rows.append((name, algorithm, f"{residual(x):.0e}", f"{excess[algorithm]:.1e}", f"{errors[-1]:.0e}"))
        better = better and excess["wn"] < 0.1 * excess["plain"]
    margins, nearer = logistic(A, b, quick)
    return Answer(
        1,
        "Other losses h(A X) from r0 = 1, eta = 0.1: the ends of their flows",
        ("loss", "flow", "||AX-b||/||b||", "l1 excess", "distance to the squared loss's limit"),
        tuple(rows + margins),
        f"every loss ends at the limit of the squared loss (largest distance {max(errors):.0e}); the logistic loss"
        " has no limit, and its direction approaches maximal l1 margin, sooner with weight normalization",
        max(errors) < 1e-5 and better and nearer,
    )


def logistic(A, b, quick):
    """Return rows of margins over ||X||_1 and the largest possible one, and whether that of wn is the larger."""
    labels = np.sign(b)
    signed = labels[:, None] * A
    best = 1 / linprog(np.ones(A.shape[1]), A_ub=-signed, b_ub=-np.ones(labels.size)).fun
    times = (1e1, 1e3) if quick else (1e1, 1e3, 1e5)
    rows, last = [], {}
    for algorithm, network in NETWORKS.items():
        theta0 = network.init(1.0, pb.folded_gaussian_direction(0, A.shape[1]))
        signals = integrate(lambda p: jnp.logaddexp(0.0, -labels * p).sum(), A, network, theta0, times)
        for t, x in zip(times, signals, strict=True):
            last[algorithm] = float((signed @ x).min() / (x.sum() * best))
            margin = f"margin {last[algorithm]:.3f} of the largest"
            rows.append(("logistic", algorithm, f"t = {t:.0e}", f"||X||_1 = {x.sum():.3g}", margin))
    return rows, last["wn"] > max(last["plain"], 0.0 if quick else 0.9)
