r"""Question 3: the rate of convergence, and what would improve it.

Along every flow in polar form :math:`R' = -K R` with :math:`K = L (r^2 G - (1 - f / r^2) (A X)(A X)^\top)`,
:math:`G = A\, \mathrm{diag}(X^{2 - 2/L}) A^\top`. The bound (31) replaces everything in it by its least value;
:math:`2 L \min(r^2, f)\, \lambda_{\min}(G)`, integrated, is a bound as well, and a sharper one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import simpson

from polarbias.experiments.questions.answer import Answer
from polarbias.flow.gradient_flow import gradient_flow
from polarbias.limit.flow_limit import flow_limit
from polarbias.networks import FactorNetwork, HadamardPower, WeightNormalization
from polarbias.networks.ratio_law import HarmonicRatio
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Solution
from polarbias.theory.rates import local_rate, loss_rate

LATE = (1e-5, 1e-7)
"""Relative residuals between which the final rate is measured."""


def rates(quick: bool = False) -> Answer:
    """Return bounds and measured rates of the loss for several ratios, on one problem.

    Parameters
    ----------
    quick
        Fewer ratios.
    """
    m, n = 5, 20
    problem = gaussian_problem(0, m, n)
    inner = HadamardPower(2)
    cases: list[tuple[str, FactorNetwork]] = [("plain", inner)]
    ratios = (1.0, 0.1) if quick else (10.0, 1.0, 0.3, 0.1, 0.03)
    cases += [(f"eta = {eta:g}", WeightNormalization(inner, eta)) for eta in ratios]
    cases.append(("harmonic 0.1", WeightNormalization(inner, HarmonicRatio(0.1))))
    rows, held = [], True
    for name, network in cases:
        theta0 = network.init(1.0, folded_gaussian_direction(0, n))
        tol = (LATE[1] * float(np.linalg.norm(problem.b))) ** 2 / (2 * network.degree)
        flow = gradient_flow(problem, network, theta0, tol=tol, accuracy=1e-11)
        t = _times(flow)
        printed = loss_rate(problem, network, flow.trajectory.evaluate(t).theta).value
        integrated = _integrated(problem, network, flow, t)
        loss = flow.trajectory.evaluate(t).loss
        mean = float(np.log(loss[0] / loss[-1]) / t[-1])
        late = np.searchsorted(-loss, -((LATE[0] * np.linalg.norm(problem.b)) ** 2) / (2 * network.degree))
        final = float(np.log(loss[late] / loss[-1]) / (t[-1] - t[late]))
        local = local_rate(problem, network, theta0, flow_limit(problem, network, theta0))
        held = held and printed <= integrated <= mean and abs(final / (2 * local.rate) - 1) < 0.01
        numbers = (printed, integrated, mean, final, 2 * local.rate)
        rows.append((name, *(f"{number:.3g}" for number in numbers), f"{local.fastest / local.rate:.3g}"))
    return Answer(
        3,
        f"Rates of the loss, {m} x {n}, Gaussian truth, r0 = 1",
        ("flow", "(31)", "integrated", "mean", "final", "2 min eig K", "cond K"),
        tuple(rows),
        "(31) is a valid rate and orders of magnitude too small; the local rate predicts the final one, and falls in"
        " proportion to a small eta",
        held,
    )


def _times(flow: Solution) -> np.ndarray:
    """Return times that resolve the trajectory: its own, each interval cut in four."""
    own = flow.trajectory.time
    parts = [own[:-1] + share * np.diff(own) for share in (0.0, 0.25, 0.5, 0.75)]
    return np.append(np.stack(parts, 1).ravel(), own[-1])


def _integrated(problem: LinearProblem, network: Any, flow: Solution, t: np.ndarray) -> float:
    """Return the time average of 2 L min(r^2, f) lambda_min(A diag(X^(2 - 2/L)) A^T)."""
    A, depth = np.asarray(problem.A), network.degree
    states = flow.trajectory.evaluate(t)
    x, r = states.x, states.r
    least = np.array([np.linalg.eigvalsh((A * one ** (2 - 2 / depth)) @ A.T)[0] for one in x])
    pace = np.minimum(r**2, network.ratio.f(r)) if isinstance(network, WeightNormalization) else 1.0
    return float(simpson(2 * depth * pace * least, x=t) / t[-1])
