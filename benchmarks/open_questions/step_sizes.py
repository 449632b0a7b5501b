"""Question 5: from the flow to descent with steps of finite length."""

import numpy as np
from answer import Answer

import polarbias as pb

TOL, MAX_STEPS = 1e-14, 200_000


def step_sizes(quick=False):
    """Measure the distance from the limit of the flow to those of mirror descent and explicit Euler."""
    m, n = (2, 6) if quick else (5, 20)
    problem = pb.gaussian_problem(0, m, n)
    inner = pb.HadamardPower(2)
    network, fixed = pb.WeightNormalization(inner, 1.0), pb.WeightNormalization(inner, 1.0, renormalize=True)
    theta0 = network.init(1.0, pb.folded_gaussian_direction(0, n))
    limit = pb.flow_limit(problem, network, theta0)
    minimum = pb.minimal_l1(problem, nonnegative=True).value
    longest = 64 * float(pb.ConstantStep.stable(problem, network, theta0).dt)
    rows = []

    def record(method, step, run, norm=1.0):
        distance = float(np.abs(run.x - limit.x).max() / limit.x.max())
        end = "converged" if run.converged else run.message.split(":")[0]
        excess = float(np.abs(run.x).sum() / minimum - 1)
        rows.append((method, step, f"{int(run.steps):,}", end, f"{norm:.6f}", f"{excess:.2e}", f"{distance:.1e}"))
        return distance

    def descend(method, name, step, network=network):
        run = pb.gradient_descent(problem, network, theta0, step=step, max_steps=MAX_STEPS, tol=TOL)
        return record(method, name, run, float((run.theta.u**2).sum()))

    mirror = []
    for step in (None, 0.01, 0.03):
        run = pb.mirror_descent(problem, network, theta0, step=step, tol=TOL, max_steps=MAX_STEPS)
        mirror.append(record("mirror", "rule" if step is None else f"{step:g}", run))
    steps = [longest / 4**k for k in range(4)]
    euler = [descend("Euler", f"{step:.3g}", pb.ConstantStep(step)) for step in steps]
    descend("Euler, ||u|| kept", f"{longest:.3g}", pb.ConstantStep(longest), fixed)
    descend("Euler, Armijo", "line search", pb.Armijo())
    order = float(np.log(euler[-2] / euler[-1]) / np.log(4))
    return Answer(
        5,
        f"Step sizes, {m} x {n}, Gaussian truth, r0 = 1, eta = 1",
        ("method", "step", "steps", "end", "||u||^2", "l1 excess", "distance"),
        tuple(rows),
        f"mirror descent ends at the flow's limit for all steps (largest distance {max(mirror):.0e});"
        f" the distance of explicit Euler is proportional to its step (order {order:.2f})",
        max(mirror) < 1e-4 and 0.8 < order < 1.2,
    )
