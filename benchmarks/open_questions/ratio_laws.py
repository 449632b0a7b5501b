r"""Question 4: other ratios, constant, depending on r or on time.

The limits of all of them from one direction u0 lie on one curve, the plain limits from the starts alpha u0; a law
selects the point :math:`\log \alpha = \log r_\infty - \int (\eta_u / \eta_r)\, r\, dr`.
"""

from itertools import pairwise
from math import exp, log

import numpy as np
from answer import Answer

import polarbias as pb
from polarbias import theory

ETA = 0.1
INNER = pb.HadamardPower(2)


def ratio_laws(quick=False):
    """Compare limits, magnification and cost of several ratio laws, one of which depends on time, at r0 = 1."""
    m, n = (5, 15) if quick else (20, 60)
    problem = pb.gaussian_problem(0, m, n)
    minimum = pb.minimal_l1(problem, nonnegative=True).value
    direction = pb.folded_gaussian_direction(0, n)
    network = pb.WeightNormalization(INNER, ETA)
    constant = pb.flow_limit(problem, network, network.init(1.0, direction))
    r, log_rho = float(constant.r), float(constant.log_rho)
    # Coefficients with the magnification of the constant law, hence with its limit.
    same_harmonic, same_power = (r**2 - 1) / (2 * log_rho), 1 / (1 + log_rho / log(r))
    laws = {
        f"constant {ETA:g}": pb.ConstantRatio(ETA),
        f"harmonic {ETA:g}": pb.HarmonicRatio(ETA),
        "r^2 (Theorem 2.3)": pb.PowerRatio(1.0, 2),
        f"harmonic {same_harmonic:.3g}": pb.HarmonicRatio(same_harmonic),
        f"{same_power:.3g} r^2": pb.PowerRatio(same_power, 2),
    }
    rows, distances = [], []

    def record(name, x, log_rho, condition="", steps=""):
        distances.append(distance_from_curve(problem, x, exp(-log_rho), direction))
        excess = float(np.abs(x).sum() / minimum - 1)
        numbers = f"{np.sqrt(x.sum()):.4f}", f"{log_rho / log(10):.3f}", f"{excess:.2e}", f"{distances[-1]:.0e}"
        rows.append((name, *numbers, condition, steps))

    for name, law in laws.items():
        network = pb.WeightNormalization(INNER, law)
        theta0 = network.init(1.0, direction)
        limit = pb.flow_limit(problem, network, theta0)
        local = theory.local_rate(problem, network, theta0, limit)
        steps = "" if quick else descent_steps(problem, network, theta0)
        record(name, limit.x, float(limit.log_rho), f"{local.fastest / local.rate:.3g}", steps)
        if isinstance(law, pb.HarmonicRatio):
            assert (limit.log_rho >= 0) == (limit.r >= 1)
    record("eta_r(t)", *scheduled_limit(problem, direction))
    ends = [smallest_collapse(law) for law in (pb.ConstantRatio(1.0), pb.HarmonicRatio(1.0))]
    return Answer(
        4,
        f"Ratio laws, {m} x {n}, Gaussian truth, r0 = 1; last row eta_r(t) = {ETA:g} (1 + sin(5 t)^2), integrated",
        ("law", "r_inf", "log10 rho", "l1 excess", "off the curve", "cond K", "Armijo steps"),
        tuple(rows),
        "the limits of all laws, also of one that depends on time, lie on one curve, so no law has better limits than"
        f" another; A = [1, -1], b = 1, r0 = 0.5, u0^2 = (0.1, 0.9): constant law {ends[0]}, harmonic law {ends[1]}",
        max(distances) < 1e-5 and ends == ["collapsed", "converged"],
    )


def descent_steps(problem, network, theta0):
    """Return the number of Armijo steps to convergence, as text."""
    run = pb.gradient_descent(problem, network, theta0, max_steps=1_000_000)
    return f"{int(run.steps):,}" if run.converged else f"more than {int(run.steps):,}"


def distance_from_curve(problem, x, alpha, direction):
    """Return the distance of x from the plain limit from alpha u0, relative to the largest entry."""
    other = pb.flow_limit(problem, INNER, INNER.init(alpha, direction)).x
    return float(np.abs(x - other).max() / x.max())


def scheduled_limit(problem, direction):
    """Return the end of a flow with a radial rate that depends on time, and log rho from its trajectory."""

    def rate(t):
        return ETA * (1 + np.sin(5 * t) ** 2)

    network = pb.WeightNormalization(INNER, ETA)
    flow = pb.gradient_flow(
        problem, network, network.init(1.0, direction),
        tol=0.0, rtol=1e-8, accuracy=1e-11, schedule=lambda t: (float(rate(t)), 1.0),
    )  # fmt: skip
    own = flow.trajectory.time
    nodes, weights = np.polynomial.legendre.leggauss(6)
    # Integrate r r' / eta_r = (r^2)' / (2 eta_r) by parts, which needs no r'.
    r = flow.trajectory.r[[0, -1]]
    total = float(r[1] ** 2 / rate(own[-1]) - r[0] ** 2 / rate(own[0])) / 2
    for left, right in pairwise(own):
        t = (left + right) / 2 + (right - left) / 2 * nodes
        slope = -ETA * 5 * np.sin(10 * t) / rate(t) ** 2
        total -= float(weights @ (flow.trajectory.evaluate(t).r ** 2 * slope)) * (right - left) / 4
    return flow.x, float(log(r[0] / r[1]) + total)


def smallest_collapse(law):
    """Return the status of the smallest problem on which the constant law collapses."""
    network = pb.WeightNormalization(INNER, law)
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    limit = pb.flow_limit(pb.LinearProblem([[1.0, -1.0]], [1.0]), network, theta0)
    return pb.Status(int(limit.status)).name.lower()
