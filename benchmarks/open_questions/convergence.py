"""Question 2: convergence of the flow at depths above 2."""

from collections import Counter

import numpy as np
from answer import Answer

import polarbias as pb

SEED = 20
LAWS = {
    "constant": pb.ConstantRatio,
    "harmonic": pb.HarmonicRatio,
    "c r^3": lambda c: pb.PowerRatio(c, 3),
}
FINAL = (pb.Status.CONVERGED, pb.Status.COLLAPSED)


def convergence(quick=False):
    """Count the random problems that converge, collapse, or stay undecided, for several depths and laws."""
    checked = 1 if quick else 5
    cases = [("constant", depth, 8 if quick else 1000) for depth in (3, 4, 6)]
    cases += [(law, depth, 4 if quick else 200) for law, depth in (("harmonic", 4), ("c r^3", 2), ("c r^3", 4))]
    rows, differ, impossible = [], 0, 0
    for law, depth, count in cases:
        rng = np.random.default_rng([SEED, depth, len(rows)])
        ends, agreement = Counter(), Counter()
        for index in range(count):
            run = random_run(rng, law, depth)
            limit = pb.flow_limit(*run)
            ends[pb.Status(int(limit.status))] += 1
            if index < checked:
                agreement[compare(limit, *run)] += 1
        differ += agreement["differ"]
        impossible += ends[pb.Status.COLLAPSED] if law != "constant" else 0
        counts = (str(ends[status]) for status in (*FINAL, pb.Status.UNDECIDED, pb.Status.INACCURATE))
        compared = ", ".join(f"{agreement[name]} {name}" for name in ("agree", "differ", "unfinished"))
        rows.append((law, str(depth), str(count), *counts, compared))
    columns = ("law", "depth", "problems", "converge", "collapse", "undecided", "inaccurate")
    return Answer(
        2,
        "Convergence from random starts on random problems",
        (*columns, f"integrated flow, first {checked}"),
        tuple(rows),
        "the flow converges to the Bregman projection or collapses, and collapses for no law with E(0) = -infinity",
        differ == 0 and impossible == 0,
    )


def random_run(rng, law, depth):
    """Return a problem with A z = b for some z > 0, a network and a start, sizes and parameters at random."""
    m = int(rng.integers(1, 9))
    n = int(rng.integers(m + 1, 25))
    A = rng.standard_normal((m, n))
    problem = pb.LinearProblem(A, A @ np.abs(rng.standard_normal(n)))
    network = pb.WeightNormalization(pb.HadamardPower(depth), LAWS[law](float(10 ** rng.uniform(-2, 1))))
    return problem, network, network.init(10 ** rng.uniform(-2, 1), np.abs(rng.standard_normal(n)))


def compare(limit, problem, network, theta0):
    """Compare the end of the integrated flow with its limit; "unfinished" if the integration stops early."""
    # If E is bounded, trial steps of the integrator leave the domain and overflow; it then shortens them.
    with np.errstate(over="ignore", invalid="ignore"):
        flow = pb.gradient_flow(problem, network, theta0, rtol=1e-8, tol=0.0, keep=False)
    if flow.status not in FINAL:
        return "unfinished"
    same_status = limit.status not in FINAL or flow.status == limit.status
    near = flow.status == pb.Status.COLLAPSED or np.abs(limit.x - flow.x).max() < 1e-5 * np.abs(flow.x).max()
    return "agree" if same_status and near else "differ"
