"""Question 2: convergence of the flow at depths above 2."""

from __future__ import annotations

from collections import Counter

import numpy as np

from polarbias.experiments.questions.answer import Answer
from polarbias.flow.gradient_flow import gradient_flow
from polarbias.limit.flow_limit import flow_limit
from polarbias.networks import HadamardPower, WeightNormalization
from polarbias.networks.ratio_law import ConstantRatio, HarmonicRatio, PowerRatio, RatioLaw
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Solution, Status

SEED = 20

_Case = tuple[LinearProblem, WeightNormalization, object]


def convergence(quick: bool = False) -> Answer:
    """Return how many of random problems converge, collapse, or stay undecided, for several depths and laws.

    Parameters
    ----------
    quick
        8 problems per depth rather than 1,000.
    """
    checked = 1 if quick else 5
    laws = [("constant", depth, 8 if quick else 1000) for depth in (3, 4, 6)]
    laws += [(law, depth, 4 if quick else 200) for law, depth in (("harmonic", 4), ("c r^3", 2), ("c r^3", 4))]
    rows: list[tuple[str, ...]] = []
    wrong = impossible = 0
    for law, depth, count in laws:
        rng = np.random.default_rng([SEED, depth, len(rows)])
        ends: Counter[Status] = Counter()
        agreement: Counter[str] = Counter()
        for index in range(count):
            problem, network, theta0 = _random(rng, law, depth)
            limit = flow_limit(problem, network, theta0)
            ends[Status(int(limit.status))] += 1
            if index < checked:
                agreement[_compared(problem, limit, network, theta0)] += 1
        wrong += agreement["differ"]
        impossible += ends[Status.COLLAPSED] if law != "constant" else 0
        rows.append(
            (
                law,
                str(depth),
                str(count),
                *(
                    str(ends[status])
                    for status in (Status.CONVERGED, Status.COLLAPSED, Status.UNDECIDED, Status.INACCURATE)
                ),
                f"{agreement['agree']} agree, {agreement['differ']} differ, {agreement['unfinished']} unfinished",
            )
        )
    columns = (
        "law",
        "depth",
        "problems",
        "converge",
        "collapse",
        "undecided",
        "inaccurate",
        f"integrated flow, first {checked}",
    )
    return Answer(
        2,
        "Convergence from random starts on random problems",
        columns,
        tuple(rows),
        "the flow converges to the Bregman projection or collapses, and collapses for no law with E(0) = -infinity",
        wrong == 0 and impossible == 0,
    )


def _random(rng: np.random.Generator, law: str, depth: int) -> _Case:
    """Return a problem with A z = b for some z > 0, a network and a start, sizes and parameters at random."""
    m = int(rng.integers(1, 9))
    n = int(rng.integers(m + 1, 25))
    A = rng.standard_normal((m, n))
    problem = LinearProblem(A, A @ np.abs(rng.standard_normal(n)))
    coefficient = float(10 ** rng.uniform(-2, 1))
    laws: dict[str, RatioLaw] = {
        "constant": ConstantRatio(coefficient),
        "harmonic": HarmonicRatio(coefficient),
        "c r^3": PowerRatio(coefficient, 3),
    }
    network = WeightNormalization(HadamardPower(depth), laws[law])
    return problem, network, network.init(10 ** rng.uniform(-2, 1), np.abs(rng.standard_normal(n)))


def _compared(problem: LinearProblem, limit: Solution, network: WeightNormalization, theta0: object) -> str:
    """Tell whether the integrated flow ends where the limit says, if the integration comes to an end."""
    # Where E is bounded, trial steps of the integrator leave the domain and overflow; it then takes shorter ones.
    with np.errstate(over="ignore", invalid="ignore"):
        flow = gradient_flow(problem, network, theta0, rtol=1e-8, tol=0.0, keep=False)
    if flow.status not in (Status.CONVERGED, Status.COLLAPSED):
        return "unfinished"
    if limit.status not in (Status.CONVERGED, Status.COLLAPSED):
        return "agree" if flow.status == Status.COLLAPSED or _near(limit, flow) else "differ"
    return (
        "agree" if flow.status == limit.status and (flow.status == Status.COLLAPSED or _near(limit, flow)) else "differ"
    )


def _near(limit: Solution, flow: Solution) -> bool:
    return bool(np.abs(limit.x - flow.x).max() < 1e-5 * np.abs(flow.x).max())
