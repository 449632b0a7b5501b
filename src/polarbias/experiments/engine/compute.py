"""Computation of one task: runs of descent or exact limits, as tables."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from polarbias import __version__
from polarbias.descent.device import device_shape
from polarbias.descent.gradient_descent import DescentProgress, gradient_descent
from polarbias.descent.step_size import Armijo, ConstantStep, StepSize
from polarbias.errors import InvalidInput
from polarbias.experiments.engine.spec import Profile, Task
from polarbias.limit.flow_limit import flow_limit
from polarbias.mirror.mirror_descent import mirror_descent
from polarbias.networks import FactorNetwork
from polarbias.problems.ensembles import Truth, gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.solution import Solution, Status

_blas_lock = Lock()
"""Held by solvers that limit the threads of BLAS, a setting of the whole process."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; all tasks but those in progress are stored."""


TaskProgress = Callable[[Task, DescentProgress], None]
"""Function that takes the state of a task's runs about twice a second; an exception ends the task."""


@dataclass(frozen=True)
class TaskResult:
    """Tables of a task, as `Store.write` takes them, wall time, and the `environment` that computed it."""

    task: Task
    tables: dict[str, pd.DataFrame]
    seconds: float
    made_by: dict[str, Any]

    @property
    def ends(self) -> pd.DataFrame:
        """The table with one row per run or limit."""
        return self.tables["limits" if self.task.is_limit else "runs"]


def compute_task(
    task: Task, profile: Profile, progress: TaskProgress | None = None, checkpoint: Path | None = None
) -> TaskResult:
    """Compute a task of runs or of exact limits, and time it."""
    began = perf_counter()
    if task.is_limit:
        tables = {"limits": compute_limits(task, profile)}
    else:
        runs, trajectories = compute_runs(task, profile, progress, checkpoint)
        tables = {"trajectories": trajectories, "runs": runs}
    return TaskResult(task, tables, perf_counter() - began, environment())


def compute_runs(
    task: Task, profile: Profile, progress: TaskProgress | None = None, checkpoint: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run descent for one task; return its table of runs and its table of records.

    Ctrl-C raises `Interrupted`, after a checkpoint.
    """
    problem, minimum = problem_of(task, profile)
    network, theta0 = _network_and_start(task, profile)
    limits: dict[str, Any] = {"max_steps": profile.max_steps, "tol": profile.tol}
    if task.step == "mirror":
        with _blas_lock:
            solution = mirror_descent(problem, network, theta0, **limits)
    else:
        limits |= {"callback": progress and partial(progress, task), "checkpoint": checkpoint}
        solution = gradient_descent(problem, network, theta0, step=_step(task, problem, network, theta0), **limits)
    if (solution.status == Status.INTERRUPTED).any():
        raise Interrupted
    trajectory = solution.trajectory
    assert trajectory is not None
    of_task, of_runs = _task_columns(task, profile), _run_columns(task)
    started = {"steps": solution.steps, "trials": solution.stats["trials"], "loss_start": trajectory.loss[:, 0]}
    runs = pd.DataFrame({**of_task, **of_runs, **started, **_end_columns(problem, minimum, solution)})
    records = []
    for index in range(len(task.runs)):
        record = trajectory[index]
        run = {name: values[index] for name, values in of_runs.items()}
        columns = {name: getattr(record, name) for name in ("step", "loss", "r", "l1")}
        records.append(pd.DataFrame({**of_task, **run, **columns}))
    return runs, pd.concat(records, ignore_index=True)


def compute_limits(task: Task, profile: Profile) -> pd.DataFrame:
    """Return the table of one task's exact limits, one row per run."""
    problem, minimum = problem_of(task, profile)
    with _blas_lock:
        limit = flow_limit(problem, *_network_and_start(task, profile))
    before = {**_task_columns(task, profile), **_run_columns(task), "factorizations": limit.steps}
    ends = _end_columns(problem, minimum, limit)
    return pd.DataFrame({**before, **ends, "r": limit.r, "log_rho": limit.log_rho})


def problem_of(task: Task, profile: Profile) -> tuple[LinearProblem, Minimum]:
    """Return the task's problem and its minimal l1 solution."""
    if task.instance is not None:
        return task.instance.problem, minimal_l1(task.instance.problem, nonnegative=not task.signed)
    assert task.truth != "file"
    return _problem(profile.seed, task.dimensions(profile), task.truth, task.centred, task.figure, task.trial)


@lru_cache(maxsize=16)
def _problem(
    seed: int, size: tuple[int, int, int], truth: Truth, centred: bool, figure: int, trial: int
) -> tuple[LinearProblem, Minimum]:
    m, n, s = size
    problem = gaussian_problem(seed, m, n, truth, s=s, center_rows=centred, experiment=figure, trial=trial)
    return problem, minimal_l1(problem, nonnegative=truth != "signed")


def _network_and_start(task: Task, profile: Profile) -> tuple[FactorNetwork, Any]:
    configuration = task.configuration(profile)
    return configuration.network(), configuration.theta0(task.dimensions(profile)[1])


def _step(task: Task, problem: LinearProblem, network: FactorNetwork, theta0: Any) -> StepSize:
    if task.step == "armijo":
        return Armijo()
    if task.step == "stable":
        unit = ConstantStep.stable(problem, network, theta0, c=1.0)
        return ConstantStep(unit.dt * np.array([run.c for run in task.runs]))
    try:
        return ConstantStep(float(task.step))
    except ValueError as reason:
        raise InvalidInput(f"step must be armijo, stable or a positive number, got {task.step!r}.") from reason


def _task_columns(task: Task, profile: Profile) -> dict[str, Any]:
    names = ("figure", "trial", "algorithm", "truth", "depth", "law", "direction")
    columns: dict[str, Any] = {name: getattr(task, name) for name in names}
    columns |= {"step_rule": task.step, "centred": task.centred, "part": task.part, "seed": profile.seed}
    if task.size is not None:
        m, n, s = task.size
        # s is a float in all tables, because a dense truth has none.
        columns |= {"m": m, "n": n, "s": np.nan if task.truth == "gaussian" else float(s)}
    return columns


def _run_columns(task: Task) -> dict[str, list[float]]:
    return {
        "start": [run.start for run in task.runs],
        "ratio": [np.nan if task.algorithm == "plain" else run.ratio for run in task.runs],
        "r0": [run.r0 for run in task.runs],
        "c": [run.c if task.step == "stable" else np.nan for run in task.runs],
    }


def _end_columns(problem: LinearProblem, minimum: Minimum, solution: Solution) -> dict[str, Any]:
    x = solution.x
    return {
        "loss": solution.loss,
        "minimal_l1": float(minimum.value),
        "eps1": np.abs(x).sum(-1) - minimum.value,
        # <1 - A^T y, X> term by term: eps1 minus <y, R>, without the cancellation.
        "eps1_cert": (np.abs(x) - (problem.A.T @ minimum.dual) * x).sum(-1),
        "eps2": np.nan if problem.x_true is None else np.abs(x - problem.x_true).sum(-1),
        "status": [Status(int(status)).name.lower() for status in solution.status],
    }


def environment() -> dict[str, Any]:
    """Return the machine and the versions of this process, as a table's file records them."""
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "device": device_shape().kind,
        "python": platform.python_version(),
        "versions": _versions(),
    }


@cache
def _versions() -> dict[str, str]:
    # A lookup takes milliseconds, as long as a small task.
    packages = ("numpy", "scipy", "jax", "jaxlib", "pandas", "pyarrow")
    return {"polarbias": __version__, **{name: version(name) for name in packages}}
