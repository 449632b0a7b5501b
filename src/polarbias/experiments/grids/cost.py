"""Upper bound of the cost of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from polarbias.experiments.engine.compute import compute_limits, compute_runs, problem_of
from polarbias.experiments.engine.spec import LIMIT, Profile, Task
from polarbias.linalg.blas_threads import limit_blas_threads


@dataclass(frozen=True)
class CostModel:
    """Constants of the bound, measured on a virtual machine with 2 cores."""

    products_per_step: float = 4.0
    """Time of a run's step over that of A X and A^T R: 1.1 (150 x 1000, 5 runs) to 3.6 (20 x 60, 60 runs)."""
    step_seconds: float = 5e-6
    """Overhead of a step of a batch: the dispatch of the compiled loop."""
    task_seconds: float = 0.1
    """Reference solution and tables of a task of 150 x 1000 with 17 runs."""
    compile_seconds: float = 3.0
    """Compilation of one program: network, step rule and shape of a batch."""
    calibration_seconds: float = 0.05
    """Time spent on the measurement of the products, about 100 of them at 150 x 1000."""
    mirror_steps: int = 3
    """Steps of mirror descent that are timed."""


MODEL = CostModel()


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

    with p the time of A X and A^T R for the C runs of a task, measured once per shape, and the other constants from
    `CostModel`. The time of exact limits and of mirror descent is extrapolated from one run per shape.
    """
    measured: dict[tuple[object, ...], float] = {}
    programs = {_program(task) for task in tasks if task.step not in (LIMIT, "mirror")}
    seconds = MODEL.compile_seconds * len(programs) + MODEL.task_seconds * len(tasks)
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
    one = replace(task, runs=task.runs[:1])
    if task.is_limit:
        problem_of(task, profile)  # outside the timing; the task itself reuses it
        began = perf_counter()
        compute_limits(one, profile)
        return count * (perf_counter() - began)
    if task.step == "mirror":
        few = replace(profile, max_steps=MODEL.mirror_steps)
        problem_of(task, profile)
        began = perf_counter()
        compute_runs(one, few)
        return count * profile.max_steps * (perf_counter() - began) / MODEL.mirror_steps
    m, n, _ = task.dimensions(profile)
    step = MODEL.products_per_step * _products(m, n * (1 + (task.truth == "signed")), count) + MODEL.step_seconds
    return profile.max_steps * step


def _products(m: int, n: int, count: int) -> float:
    """Return the seconds of X -> A^T (A X) for ``count`` signals."""
    A, x = np.ones((m, n)), np.ones((count, n))
    done, began = 0, perf_counter()
    with limit_blas_threads(m):
        while not done or perf_counter() - began < MODEL.calibration_seconds:
            (x @ A.T) @ A
            done += 1
    return (perf_counter() - began) / done
