"""Question 5: from the flow to descent with steps of finite length."""

from __future__ import annotations

import numpy as np

from polarbias.descent.gradient_descent import gradient_descent
from polarbias.descent.step_size import Armijo, ConstantStep, StepSize
from polarbias.experiments.questions.answer import Answer
from polarbias.limit.flow_limit import flow_limit
from polarbias.mirror.mirror_descent import mirror_descent
from polarbias.networks import HadamardPower, WeightNormalization
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem
from polarbias.problems.reference import minimal_l1
from polarbias.solution import Solution

SCALE, RATIO = 1.0, 1.0
TOL = 1e-14
MOST = 200_000


def step_sizes(quick: bool = False) -> Answer:
    """Return how far mirror descent and explicit Euler end from the flow's limit, for several step sizes.

    Parameters
    ----------
    quick
        A smaller problem and fewer steps.
    """
    m, n = (2, 6) if quick else (5, 20)
    problem = gaussian_problem(0, m, n)
    network = WeightNormalization(HadamardPower(2), RATIO)
    theta0 = network.init(SCALE, folded_gaussian_direction(0, n))
    limit = flow_limit(problem, network, theta0)
    size = minimal_l1(problem).value
    longest = 64 * float(ConstantStep.stable(problem, network, theta0).dt)
    rows, distances = [], {}

    def record(method: str, step: str, run: Solution, norm: float) -> float:
        distance = float(np.abs(run.x - limit.x).max() / limit.x.max())
        excess = float(np.abs(run.x).sum() / size - 1)
        name = run.message.split(":")[0] if not run.converged else "converged"
        rows.append((method, step, f"{int(run.steps):,}", name, f"{norm:.6f}", f"{excess:.2e}", f"{distance:.1e}"))
        return distance

    def descend(network: WeightNormalization, step: StepSize) -> tuple[Solution, float]:
        run = gradient_descent(problem, network, theta0, step=step, max_steps=MOST, tol=TOL)
        return run, float((run.theta.u**2).sum())

    run = mirror_descent(problem, network, theta0, tol=TOL, max_steps=MOST)
    mirror = [record("mirror", "rule", run, 1.0)]
    for h in (0.01, 0.03):
        run = mirror_descent(problem, network, theta0, step=h, tol=TOL, max_steps=MOST)
        mirror.append(record("mirror", f"{h:g}", run, 1.0))
    for factor in (1.0, 0.25, 0.0625, 0.015625):
        run, norm = descend(network, ConstantStep(factor * longest))
        distances[factor] = record("Euler", f"{factor * longest:.3g}", run, norm)
    fixed = WeightNormalization(HadamardPower(2), RATIO, renormalize=True)
    run, norm = descend(fixed, ConstantStep(longest))
    record("Euler, ||u|| kept", f"{longest:.3g}", run, norm)
    run, norm = descend(network, Armijo())
    record("Euler, Armijo", "line search", run, norm)
    order = float(np.log(distances[0.0625] / distances[0.015625]) / np.log(4))
    return Answer(
        5,
        f"Step sizes, {m} x {n}, Gaussian truth, r0 = 1, eta = 1",
        ("method", "step", "steps", "end", "||u||^2", "l1 excess", "distance"),
        tuple(rows),
        f"mirror descent ends at the flow's limit whatever its steps (largest distance {max(mirror):.0e});"
        f" explicit Euler misses it in proportion to its step (order {order:.2f})",
        max(mirror) < 1e-4 and 0.8 < order < 1.2,
    )
