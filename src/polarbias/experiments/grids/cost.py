"""Upper bound of the cost of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from polarbias.experiments.engine.compute import compute_limits, compute_runs, problem_of
from polarbias.experiments.engine.spec import LIMIT, Profile, Task
from polarbias.linalg.blas_threads import limit_blas_threads

# Bounds of CPU times that were measured on a virtual machine with 2 cores.
PRODUCTS_PER_STEP = 4.0
"""Time of a run's step over that of A X and A^T R: 0.7 (150 x 1000, 5 runs) to 3.6 (20 x 60, 60 runs, signed)."""
STEP_SECONDS = 5e-6
"""Time of a step beside its products: 3e-6 s at 3 x 6 with one run."""
TASK_SECONDS = 0.3
"""Time of a task without steps: 0.2 s for the reference solution and 0.1 s for tables at 150 x 1000 with 5 runs."""
COMPILE_SECONDS = 3.0
"""Time to compile a program, that is one network, step rule and shape of a batch: 2.5 to 3.2 s."""

MIRROR_STEPS = 3
"""Steps of mirror descent that are timed."""


@dataclass(frozen=True)
class CostEstimate:
    """Numbers of tasks and runs, and upper bounds of the steps of all runs and of the seconds in one process."""

    tasks: int
    limit_tasks: int
    runs: int
    run_steps: int
    seconds: float


def estimate_cost(tasks: Sequence[Task], profile: Profile) -> CostEstimate:
    r"""Return an upper bound of the cost of tasks: no run converges before its last step.

    .. math::
        \sum_{\text{tasks}} \left(t_{\text{task}} + \text{max\_steps}\,(k\,p(M, N, C) + t_{\text{step}})\right)
        + \sum_{\text{programs}} t_{\text{compile}},

    with p the time of A X and A^T R for the C runs of a task, measured once per shape, and the constants above. The
    time of exact limits and of mirror descent is extrapolated from one run per shape.
    """
    measured: dict[tuple[object, ...], float] = {}
    programs = {_program(task) for task in tasks if task.step not in (LIMIT, "mirror")}
    seconds = COMPILE_SECONDS * len(programs) + TASK_SECONDS * len(tasks)
    for task in tasks:
        shape = (task.size, task.truth == "signed", len(task.runs), task.step if task.step in (LIMIT, "mirror") else "")
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
    """Return the seconds of a task in which no run converges."""
    count = len(task.runs)
    if task.is_limit or task.step == "mirror":
        one, few = replace(task, runs=task.runs[:1]), replace(profile, max_steps=MIRROR_STEPS)
        problem_of(task, profile)  # outside the timing; the task itself reuses it
        began = perf_counter()
        if task.is_limit:
            compute_limits(one, profile)
            return count * (perf_counter() - began)
        compute_runs(one, few)
        return count * profile.max_steps * (perf_counter() - began) / MIRROR_STEPS
    m, n, _ = task.dimensions(profile)
    n *= 1 + (task.truth == "signed")
    return profile.max_steps * (PRODUCTS_PER_STEP * _products(m, n, count) + STEP_SECONDS)


def _products(m: int, n: int, count: int) -> float:
    """Return the seconds of X -> A^T (A X) for ``count`` signals: a mean over 0.05 s, or one product that is longer."""
    A, x = np.ones((m, n)), np.ones((count, n))
    done, began = 0, perf_counter()
    with limit_blas_threads(m):
        while not done or perf_counter() - began < 0.05:
            (x @ A.T) @ A
            done += 1
    return (perf_counter() - began) / done
