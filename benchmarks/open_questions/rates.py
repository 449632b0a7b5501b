r"""Question 3: the rate of convergence, and what would improve it.

Along every flow in polar form :math:`R' = -K R` with :math:`K = L (r^2 G - (1 - f / r^2) (A X)(A X)^\top)`,
:math:`G = A\, \mathrm{diag}(X^{2 - 2/L}) A^\top`. The bound (31) replaces each factor by its least value; the integral
of :math:`2 L \min(r^2, f)\, \lambda_{\min}(G)` is a sharper bound.
"""

import numpy as np
from answer import Answer
from scipy.integrate import simpson

import polarbias as pb
from polarbias import theory

LATE = (1e-5, 1e-7)
"""Relative residuals between which the final rate is measured."""


def rates(quick=False):
    """Measure bounds and rates of the loss for several ratios on one problem."""
    m, n = 5, 20
    problem = pb.gaussian_problem(0, m, n)
    inner = pb.HadamardPower(2)
    ratios = (1.0, 0.1) if quick else (10.0, 1.0, 0.3, 0.1, 0.03)
    networks = {"plain": inner, **{f"eta = {eta:g}": pb.WeightNormalization(inner, eta) for eta in ratios}}
    networks["harmonic 0.1"] = pb.WeightNormalization(inner, pb.HarmonicRatio(0.1))
    first, last = ((residual * float(np.linalg.norm(problem.b))) ** 2 / 4 for residual in LATE)
    rows, as_proved = [], True
    for name, network in networks.items():
        theta0 = network.init(1.0, pb.folded_gaussian_direction(0, n))
        flow = pb.gradient_flow(problem, network, theta0, tol=last, accuracy=1e-11)
        t = fine_times(flow)
        printed = theory.loss_rate(problem, network, flow.trajectory.evaluate(t).theta).value
        integrated = integrated_rate(problem, network, flow, t)
        loss = flow.trajectory.evaluate(t).loss
        late = np.searchsorted(-loss, -first)
        mean, final = (float(np.log(loss[k] / loss[-1]) / (t[-1] - t[k])) for k in (0, late))
        local = theory.local_rate(problem, network, theta0, pb.flow_limit(problem, network, theta0))
        as_proved = as_proved and printed <= integrated <= mean and abs(final / (2 * local.rate) - 1) < 0.01
        numbers = (printed, integrated, mean, final, 2 * local.rate, local.fastest / local.rate)
        rows.append((name, *(f"{number:.3g}" for number in numbers)))
    return Answer(
        3,
        f"Rates of the loss, {m} x {n}, Gaussian truth, r0 = 1",
        ("flow", "(31)", "integrated", "mean", "final", "2 min eig K", "cond K"),
        tuple(rows),
        "(31) is a valid rate and orders of magnitude too small; the local rate predicts the final one, and is"
        " proportional to eta for small eta",
        as_proved,
    )


def fine_times(flow):
    """Return the steps of the integrator, each divided into four."""
    own = flow.trajectory.time
    parts = [own[:-1] + share * np.diff(own) for share in (0.0, 0.25, 0.5, 0.75)]
    return np.append(np.stack(parts, 1).ravel(), own[-1])


def integrated_rate(problem, network, flow, t):
    """Return the time average of 2 L min(r^2, f) lambda_min(A diag(X^(2 - 2/L)) A^T)."""
    A, depth = problem.A, network.degree
    states = flow.trajectory.evaluate(t)
    x, r = states.x, states.r
    least = np.array([np.linalg.eigvalsh((A * one ** (2 - 2 / depth)) @ A.T)[0] for one in x])
    radial = np.minimum(r**2, network.ratio.f(r)) if isinstance(network, pb.WeightNormalization) else 1.0
    return float(simpson(2 * depth * radial * least, x=t) / t[-1])
