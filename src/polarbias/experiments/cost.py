"""What a sweep costs at most, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from polarbias.experiments.runner import compute, compute_limits, problem_of, size_of
from polarbias.experiments.spec import LIMIT, Cell, Profile
from polarbias.threads import suited

PRODUCTS = 4.0
"""Time of a chain's step over that of its products A X and A^T R, at most: 1.1 to 3.6 where it was measured."""

TURN_SECONDS = 5e-6
"""What a step of a batch costs beside its chains."""

CELL_SECONDS = 0.1
"""Reference solution and tables of a cell."""

PROGRAM_SECONDS = 3.0
"""Compilation, once for each network, step rule and shape of a batch."""

CALIBRATION_SECONDS = 0.05
MIRROR_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """Numbers of cells and chains, steps of all chains and seconds in one process, both at most."""

    cells: int
    limit_cells: int
    chains: int
    chain_steps: int
    seconds: float


def plan(cells: Sequence[Cell], profile: Profile) -> Plan:
    r"""Return the cost of cells as if every chain of descent used up its steps.

    .. math::
        \sum_{\text{cells}} \left(t_{\text{cell}} + \text{max\_steps}\,(C\,k\,p(M, N, C) + t_{\text{turn}})\right)
        + \sum_{\text{programs}} t_{\text{program}},

    with C chains in a cell, p the time of A X and A^T R for one of them, measured here for each shape, and k, the t's
    the constants of this module. A chain of exact limits or of mirror descent costs what one of its shape was measured
    to cost. Most chains end long before they have used up their steps, so that this is an upper bound, and often a
    high one.
    """
    measured: dict[tuple[object, ...], float] = {}
    programs = {_program(cell) for cell in cells if cell.step not in (LIMIT, "mirror")}
    seconds = PROGRAM_SECONDS * len(programs) + CELL_SECONDS * len(cells)
    for cell in cells:
        shape = (
            cell.size,
            cell.truth == "signed",
            len(cell.chains),
            cell.step if cell.step in (LIMIT, "mirror") else "",
        )
        if shape not in measured:
            measured[shape] = _measured(cell, profile)
        seconds += measured[shape]
    runs = [cell for cell in cells if not cell.is_limit]
    return Plan(
        cells=len(cells),
        limit_cells=len(cells) - len(runs),
        chains=sum(len(cell.chains) for cell in cells),
        chain_steps=profile.max_steps * sum(len(cell.chains) for cell in runs),
        seconds=seconds,
    )


def _program(cell: Cell) -> tuple[object, ...]:
    rule = cell.step if cell.step == "armijo" else "constant"
    law = cell.law.partition(":")[0]
    return cell.algorithm, cell.truth == "signed", cell.depth, law, rule, cell.size, len(cell.chains)


def _measured(cell: Cell, profile: Profile) -> float:
    """Return the seconds that a cell takes with all its steps."""
    count = len(cell.chains)
    one = replace(cell, chains=cell.chains[:1])
    if cell.is_limit:
        problem_of(cell, profile)  # kept for the cell itself
        began = perf_counter()
        compute_limits(one, profile)
        return count * (perf_counter() - began)
    if cell.step == "mirror":
        few = replace(profile, max_steps=MIRROR_STEPS)
        problem_of(cell, profile)
        began = perf_counter()
        compute(one, few)
        return count * profile.max_steps * (perf_counter() - began) / MIRROR_STEPS
    m, n, _ = size_of(cell, profile)
    turn = PRODUCTS * _products(m, n * (1 + (cell.truth == "signed")), count) + TURN_SECONDS
    return profile.max_steps * turn


def _products(m: int, n: int, count: int) -> float:
    """Return the seconds that X -> A X -> A^T (A X) takes for ``count`` signals."""
    A, x = np.ones((m, n)), np.ones((count, n))
    done, began = 0, perf_counter()
    with suited(m):
        while not done or perf_counter() - began < CALIBRATION_SECONDS:
            (x @ A.T) @ A
            done += 1
    return (perf_counter() - began) / done
