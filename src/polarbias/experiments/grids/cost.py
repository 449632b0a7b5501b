"""What a sweep costs at most, before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from polarbias.experiments.engine.runner import compute_limits, compute_runs, problem_of
from polarbias.experiments.engine.spec import LIMIT, Profile, Task
from polarbias.linalg.blas_threads import limit_blas_threads

PRODUCTS = 4.0
"""Time of a run's step over that of its products A X and A^T R, at most: 1.1 to 3.6 where it was measured."""

TURN_SECONDS = 5e-6
"""What a step of a batch costs beside its runs."""

TASK_SECONDS = 0.1
"""Reference solution and tables of a task."""

PROGRAM_SECONDS = 3.0
"""Compilation, once for each network, step rule and shape of a batch."""

CALIBRATION_SECONDS = 0.05
MIRROR_STEPS = 3


@dataclass(frozen=True)
class CostEstimate:
    """Numbers of tasks and runs, steps of all runs and seconds in one process, both at most."""

    tasks: int
    limit_tasks: int
    runs: int
    run_steps: int
    seconds: float


def estimate_cost(tasks: Sequence[Task], profile: Profile) -> CostEstimate:
    r"""Return the cost of tasks as if every run of descent used up its steps.

    .. math::
        \sum_{\text{tasks}} \left(t_{\text{task}} + \text{max\_steps}\,(C\,k\,p(M, N, C) + t_{\text{turn}})\right)
        + \sum_{\text{programs}} t_{\text{program}},

    with C runs in a task, p the time of A X and A^T R for one of them, measured here for each shape, and k, the t's
    the constants of this module. A run of exact limits or of mirror descent costs what one of its shape was measured
    to cost. Most runs end long before they have used up their steps, so that this is an upper bound, and often a
    high one.
    """
    measured: dict[tuple[object, ...], float] = {}
    programs = {_program(task) for task in tasks if task.step not in (LIMIT, "mirror")}
    seconds = PROGRAM_SECONDS * len(programs) + TASK_SECONDS * len(tasks)
    for task in tasks:
        shape = (
            task.size,
            task.truth == "signed",
            len(task.runs),
            task.step if task.step in (LIMIT, "mirror") else "",
        )
        if shape not in measured:
            measured[shape] = _measured(task, profile)
        seconds += measured[shape]
    runs = [task for task in tasks if not task.is_limit]
    return CostEstimate(
        tasks=len(tasks),
        limit_tasks=len(tasks) - len(runs),
        runs=sum(len(task.runs) for task in tasks),
        run_steps=profile.max_steps * sum(len(task.runs) for task in runs),
        seconds=seconds,
    )


def _program(task: Task) -> tuple[object, ...]:
    rule = task.step if task.step == "armijo" else "constant"
    law = task.law.partition(":")[0]
    return task.algorithm, task.truth == "signed", task.depth, law, rule, task.size, len(task.runs)


def _measured(task: Task, profile: Profile) -> float:
    """Return the seconds that a task takes with all its steps."""
    count = len(task.runs)
    one = replace(task, runs=task.runs[:1])
    if task.is_limit:
        problem_of(task, profile)  # kept for the task itself
        began = perf_counter()
        compute_limits(one, profile)
        return count * (perf_counter() - began)
    if task.step == "mirror":
        few = replace(profile, max_steps=MIRROR_STEPS)
        problem_of(task, profile)
        began = perf_counter()
        compute_runs(one, few)
        return count * profile.max_steps * (perf_counter() - began) / MIRROR_STEPS
    m, n, _ = task.dimensions(profile)
    turn = PRODUCTS * _products(m, n * (1 + (task.truth == "signed")), count) + TURN_SECONDS
    return profile.max_steps * turn


def _products(m: int, n: int, count: int) -> float:
    """Return the seconds that X -> A X -> A^T (A X) takes for ``count`` signals."""
    A, x = np.ones((m, n)), np.ones((count, n))
    done, began = 0, perf_counter()
    with limit_blas_threads(m):
        while not done or perf_counter() - began < CALIBRATION_SECONDS:
            (x @ A.T) @ A
            done += 1
    return (perf_counter() - began) / done
