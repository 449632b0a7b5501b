r"""Question 4: other ratios, constant, depending on r or on time.

The limits of all of them from one direction u0 lie on one curve, the plain limits from the starts alpha u0; a law picks
the point :math:`\log \alpha = \log r_\infty - \int (\eta_u / \eta_r)\, r\, dr`.
"""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from typing import Any

import numpy as np

from polarbias.descent.gradient_descent import gradient_descent
from polarbias.experiments.questions.answer import Answer
from polarbias.flow.gradient_flow import gradient_flow
from polarbias.limit.flow_limit import flow_limit
from polarbias.networks import HadamardPower, WeightNormalization
from polarbias.networks.ratio_law import ConstantRatio, HarmonicRatio, PowerRatio, RatioLaw
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import minimal_l1
from polarbias.solution import Status
from polarbias.theory.rates import local_rate

ETA, SCALE = 0.1, 1.0

_COLUMNS = ("law", "r_inf", "log10 rho", "l1 excess", "off the curve", "cond K", "Armijo steps")


def ratio_laws(quick: bool = False) -> Answer:
    """Return limits, magnification and cost of several ratio laws, and of one that depends on time.

    Parameters
    ----------
    quick
        A smaller problem, and no descent.
    """
    m, n = (5, 15) if quick else (20, 60)
    problem = gaussian_problem(0, m, n)
    inner = HadamardPower(2)
    direction = folded_gaussian_direction(0, n)
    network = WeightNormalization(inner, ETA)
    first = flow_limit(problem, network, network.init(SCALE, direction))
    grown = float(np.asarray(first.r)) ** 2 - SCALE**2
    # Coefficients with the magnification of the constant law, hence with its limit.
    same_harmonic = grown / (2 * float(np.asarray(first.log_rho)))
    same_power = 1 / (1 + float(np.asarray(first.log_rho)) / log(float(np.asarray(first.r)) / SCALE))
    cases: list[tuple[str, RatioLaw]] = [
        (f"constant {ETA:g}", ConstantRatio(ETA)),
        (f"harmonic {ETA:g}", HarmonicRatio(ETA)),
        ("r^2 (Theorem 2.3)", PowerRatio(1.0, 2)),
        (f"harmonic {same_harmonic:.3g}", HarmonicRatio(same_harmonic)),
        (f"{same_power:.3g} r^2", PowerRatio(same_power, 2)),
    ]
    rows, off, rhos = [], [], {}
    for name, law in cases:
        network = WeightNormalization(inner, law)
        theta0 = network.init(SCALE, direction)
        limit = flow_limit(problem, network, theta0)
        rhos[name] = float(np.asarray(limit.log_rho))
        off.append(_off_curve(problem, limit.x, exp(-rhos[name]) * SCALE, direction))
        local = local_rate(problem, network, theta0, limit)
        steps = "" if quick else _descent_steps(problem, network, theta0)
        rows.append(_row(problem, name, limit.x, rhos[name], off[-1], (f"{local.fastest / local.rate:.3g}", steps)))
    x, log_rho = _scheduled(problem, direction)
    off.append(_off_curve(problem, x, exp(-log_rho) * SCALE, direction))
    rows.append(_row(problem, "eta_r(t)", x, log_rho, off[-1], ("", "")))
    collapse = [_collapses(law) for law in (ConstantRatio(1.0), HarmonicRatio(1.0))]
    held = max(off) < 1e-5 and collapse == ["collapsed", "converged"]
    held = held and (rhos[f"harmonic {ETA:g}"] >= 0) == (rows[1][1] >= f"{SCALE:g}")
    return Answer(
        4,
        f"Ratio laws, {m} x {n}, Gaussian truth, r0 = 1; last row eta_r(t) = {ETA:g} (1 + sin(5 t)^2), integrated",
        _COLUMNS,
        tuple(rows),
        "every law, also one that depends on time, picks a point of one curve, so no law is better in kind;"
        f" A = [1, -1], b = 1, r0 = 0.5, u0^2 = (0.1, 0.9): constant law {collapse[0]}, harmonic law {collapse[1]}",
        held,
    )


def _descent_steps(problem: LinearProblem, network: WeightNormalization, theta0: Any) -> str:
    run = gradient_descent(problem, network, theta0, max_steps=1_000_000)
    return f"{int(run.steps):,}" if run.converged else f"more than {int(run.steps):,}"


def _row(
    problem: LinearProblem, name: str, x: np.ndarray, log_rho: float, off: float, cost: tuple[str, str]
) -> tuple[str, ...]:
    excess = float(np.abs(x).sum() / minimal_l1(problem).value - 1)
    return name, f"{np.sqrt(x.sum()):.4f}", f"{log_rho / log(10):.3f}", f"{excess:.2e}", f"{off:.0e}", *cost


def _off_curve(problem: LinearProblem, x: np.ndarray, alpha: float, direction: np.ndarray) -> float:
    """Return the distance from the plain limit from alpha u0, relative to the largest entry."""
    plain = HadamardPower(2)
    other = flow_limit(problem, plain, plain.init(alpha, direction)).x
    return float(np.abs(x - other).max() / x.max())


def _scheduled(problem: LinearProblem, direction: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the end of a flow with a radial rate that depends on time, and log rho from its trajectory."""

    def rate(t: Any) -> Any:
        return ETA * (1 + np.sin(5 * t) ** 2)

    network = WeightNormalization(HadamardPower(2), ETA)
    theta0 = network.init(SCALE, direction)
    flow = gradient_flow(
        problem, network, theta0, tol=0.0, rtol=1e-8, accuracy=1e-11, schedule=lambda t: (float(rate(t)), 1.0)
    )
    own = flow.trajectory.time
    nodes, weights = np.polynomial.legendre.leggauss(6)
    total = 0.0
    # The integral of r r' / eta_r by parts, so that r' is not needed: it is half that of (r^2)' / eta_r.
    for left, right in pairwise(own):
        t = (left + right) / 2 + (right - left) / 2 * nodes
        slope = -ETA * 5 * np.sin(10 * t) / rate(t) ** 2
        total -= float(weights @ (flow.trajectory.evaluate(t).r ** 2 * slope)) * (right - left) / 4
    r = flow.trajectory.r[[0, -1]]
    total += float(r[1] ** 2 / rate(own[-1]) - r[0] ** 2 / rate(own[0])) / 2
    return flow.x, float(log(r[0] / r[1]) + total)


def _collapses(law: RatioLaw) -> str:
    """Return how the flow of the smallest problem with a collapse ends under this law."""
    network = WeightNormalization(HadamardPower(2), law)
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    found = flow_limit(LinearProblem(np.array([[1.0, -1.0]]), np.ones(1)), network, theta0)
    return Status(int(found.status)).name.lower()
