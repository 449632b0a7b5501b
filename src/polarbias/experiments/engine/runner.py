"""Computes tasks and stores them; whatever is stored already is not computed again."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from time import perf_counter
from typing import Any, Protocol

import jax
import numpy as np
import pandas as pd

from polarbias import __version__
from polarbias.descent.device import CORES, default_device, processor
from polarbias.descent.gradient_descent import DescentProgress, gradient_descent
from polarbias.descent.step_size import Armijo, ConstantStep, StepSize
from polarbias.errors import InvalidInput
from polarbias.experiments.engine.spec import Profile, Task
from polarbias.experiments.engine.store import Store
from polarbias.limit.flow_limit import flow_limit
from polarbias.mirror.mirror_descent import mirror_descent
from polarbias.networks import FactorNetwork
from polarbias.problems.ensembles import Truth, gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.runtime.interrupts import noticing_interrupts
from polarbias.solution import Solution, Status

_limited_threads = Lock()
"""Held by solvers that limit the threads of BLAS: that is a setting of the whole process."""


class TaskObserver(Protocol):
    """Who is told how a task goes."""

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Note the state of a task's runs, about twice a second; an exception ends the task."""


class Observer(TaskObserver, Protocol):
    """Who is told how a run goes."""

    def started(self, task: Task) -> None:
        """Note that a task begins, or begins anew; several can be in progress at a time."""

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Note that a task is done and stored."""


ObserverFactory = Callable[[Sequence[Task]], AbstractContextManager[Observer]]
"""Makes the observer of a run, given the tasks that are to be computed."""


@dataclass(frozen=True)
class Totals:
    """What a call of `run_tasks` did."""

    computed: int
    found: int
    run_steps: int
    seconds: float


class Interrupted(KeyboardInterrupt):
    """Ctrl-C arrived; everything but the task in progress is stored."""


@dataclass(frozen=True)
class TaskResult:
    """A task's result and how it was made.

    Attributes
    ----------
    table
        Runs, or exact limits, a row for each run.
    trajectories
        Their trajectories; None for limits.
    seconds
        Wall time.
    made_by
        The `environment` of the process that computed it.
    """

    task: Task
    table: pd.DataFrame
    trajectories: pd.DataFrame | None
    seconds: float
    made_by: dict[str, Any]


class Backend(Protocol):
    """Where tasks are computed, and in which order."""

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute tasks and yield each as soon as it is done; what runs ends when the iterator is closed."""


class LocalBackend:
    """As many tasks at a time as there are cores, each in a thread of this process, on the caller's JAX device.

    Parameters
    ----------
    checkpoint
        Names the folder for a task's intermediate states; without it tasks that are interrupted begin anew.
    """

    def __init__(self, checkpoint: Callable[[str], Path] | None = None) -> None:
        """Remember the folders."""
        self._checkpoint = checkpoint

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute the tasks; after Ctrl-C those in progress leave their checkpoints."""
        news: SimpleQueue[Future[TaskResult] | Callable[[], None]] = SimpleQueue()
        told, device = _Relay(observer, news), default_device()

        def one(task: Task) -> TaskResult:
            told.started(task)
            with jax.default_device(device):
                return compute_task(task, profile, told, self._checkpoint and self._checkpoint(task.key))

        with ThreadPoolExecutor(CORES, thread_name_prefix="task") as pool, noticing_interrupts() as interrupted:
            try:
                for task in tasks:
                    pool.submit(one, task).add_done_callback(news.put)
                left = len(tasks)
                while left:
                    if interrupted():
                        raise KeyboardInterrupt
                    try:
                        event = news.get(timeout=0.5)
                    except Empty:
                        continue
                    if isinstance(event, Future):
                        left -= 1
                        yield event.result()
                    else:
                        event()
            except KeyboardInterrupt:
                raise Interrupted from None
            finally:
                told.stopped = True
                pool.shutdown(cancel_futures=True)


class _Relay:
    """An observer for the threads of several tasks, which passes on what it is told to the one that asked for them."""

    def __init__(self, observer: Observer, news: SimpleQueue[Any]) -> None:
        self._watcher, self._news = observer, news
        self.stopped = False

    def started(self, task: Task) -> None:
        self._news.put(lambda: self._watcher.started(task))

    def progress(self, task: Task, state: DescentProgress) -> None:
        if self.stopped:
            raise Interrupted
        self._news.put(lambda: self._watcher.progress(task, state))


def run_tasks(
    tasks: Sequence[Task], profile: Profile, store: Store, observe: ObserverFactory, backend: Backend | None = None
) -> Totals:
    """Compute and store the tasks that are missing in the store, in this process unless there is a ``backend``.

    Only this process writes the store.

    Raises
    ------
    Interrupted
        After Ctrl-C; a later call goes on with the task that was in progress.
    ClusterError
        The backend's workers or scheduler were lost; what was done before is stored.
    """
    began = perf_counter()
    missing = [task for task in tasks if not store.finished(task.key)]
    run_steps = 0
    with (
        observe(missing) as observer,
        closing((backend or LocalBackend(store.checkpoint)).results(missing, profile, observer)) as results,
    ):
        for result in results:
            metadata = {"wall_seconds": result.seconds, **result.made_by}
            if result.trajectories is None:
                store.write_limits(result.task.key, result.table, metadata)
            else:
                store.write(result.task.key, result.table, result.trajectories, metadata)
                run_steps += int(result.table["steps"].sum())
            observer.finished(result.task, result.table, result.seconds)
    return Totals(len(missing), len(tasks) - len(missing), run_steps, perf_counter() - began)


def compute_task(
    task: Task, profile: Profile, observer: TaskObserver | None = None, checkpoint: Path | None = None
) -> TaskResult:
    """Compute a task of runs or of exact limits, and time it."""
    began = perf_counter()
    if task.is_limit:
        table, trajectories = compute_limits(task, profile), None
    else:
        table, trajectories = compute_runs(task, profile, observer, checkpoint)
    return TaskResult(task, table, trajectories, perf_counter() - began, environment())


def compute_runs(
    task: Task, profile: Profile, observer: TaskObserver | None = None, checkpoint: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run one task and return its table of runs and its table of trajectories."""
    problem, minimum = problem_of(task, profile)
    network, theta0 = _network_and_start(task, profile)
    if task.step == "mirror":
        with _limited_threads:
            solution = mirror_descent(problem, network, theta0, max_steps=profile.max_steps, tol=profile.tol)
    else:
        solution = gradient_descent(
            problem,
            network,
            theta0,
            step=_step(task, problem, network, theta0),
            max_steps=profile.max_steps,
            tol=profile.tol,
            callback=None if observer is None else lambda state: observer.progress(task, state),
            checkpoint=checkpoint,
        )
    if (solution.status == Status.INTERRUPTED).any():
        raise Interrupted
    return _tables(task, profile, problem, minimum, solution)


def compute_limits(task: Task, profile: Profile) -> pd.DataFrame:
    """Return the table of one task's exact limits, a row for each run."""
    problem, minimum = problem_of(task, profile)
    with _limited_threads:
        limit = flow_limit(problem, *_network_and_start(task, profile))
    return pd.DataFrame(
        {
            **_named(task, profile),
            **_run_columns(task),
            "factorizations": limit.steps,
            **_end(problem, minimum, limit),
            "r": limit.r,
            "log_rho": limit.log_rho,
        }
    )


def _network_and_start(task: Task, profile: Profile) -> tuple[FactorNetwork, Any]:
    configuration = task.configuration(profile)
    return configuration.network(), configuration.theta0(task.dimensions(profile)[1])


def problem_of(task: Task, profile: Profile) -> tuple[LinearProblem, Minimum]:
    """Return the task's problem and its minimal l1 solution."""
    return _problem(profile.seed, task.dimensions(profile), task.truth, task.centred, task.figure, task.trial)


@lru_cache(maxsize=16)
def _problem(
    seed: int, size: tuple[int, int, int], truth: Truth, centred: bool, figure: int, trial: int
) -> tuple[LinearProblem, Minimum]:
    m, n, s = size
    problem = gaussian_problem(seed, m, n, truth, s=s, center_rows=centred, experiment=figure, trial=trial)
    return problem, minimal_l1(problem, nonnegative=truth != "signed")


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


def _tables(
    task: Task, profile: Profile, problem: LinearProblem, minimum: Minimum, solution: Solution
) -> tuple[pd.DataFrame, pd.DataFrame]:
    trajectory = solution.trajectory
    assert trajectory is not None
    named, run_columns = _named(task, profile), _run_columns(task)
    runs = pd.DataFrame(
        {
            **named,
            **run_columns,
            "steps": solution.steps,
            "trials": solution.stats["trials"],
            "loss_start": trajectory.loss[:, 0],
            **_end(problem, minimum, solution),
        }
    )
    records = []
    for index in range(len(task.runs)):
        record = trajectory[index]
        run = {name: values[index] for name, values in run_columns.items()}
        columns = {name: getattr(record, name) for name in ("step", "loss", "r", "l1")}
        records.append(pd.DataFrame({**named, **run, **columns}))
    return runs, pd.concat(records, ignore_index=True)


def _named(task: Task, profile: Profile) -> dict[str, Any]:
    """Return the columns that have one value for all runs of a task."""
    size: dict[str, Any] = {}
    if task.size is not None:
        # One type for all tasks, though a dense truth has no s.
        size = {"m": task.size[0], "n": task.size[1], "s": np.nan if task.truth == "gaussian" else float(task.size[2])}
    return {
        "figure": task.figure,
        "trial": task.trial,
        "algorithm": task.algorithm,
        "truth": task.truth,
        "depth": task.depth,
        "law": task.law,
        "direction": task.direction,
        "step_rule": task.step,
        "centred": task.centred,
        "part": task.part,
        "seed": profile.seed,
        **size,
    }


def _run_columns(task: Task) -> dict[str, list[float]]:
    return {
        "start": [run.start for run in task.runs],
        "ratio": [np.nan if task.algorithm == "plain" else run.ratio for run in task.runs],
        "r0": [run.r0 for run in task.runs],
        "c": [run.c if task.step == "stable" else np.nan for run in task.runs],
    }


def _end(problem: LinearProblem, minimum: Minimum, solution: Solution) -> dict[str, Any]:
    """Return the columns that say where runs end."""
    x = solution.x
    return {
        "loss": solution.loss,
        "minimal_l1": float(minimum.value),
        "eps1": np.abs(x).sum(-1) - minimum.value,
        # <1 - A^T y, X> term by term: eps1 minus <y, R>, without the cancellation.
        "eps1_cert": (np.abs(x) - (problem.A.T @ minimum.dual) * x).sum(-1),
        "eps2": np.abs(x - problem.x_true).sum(-1),
        "status": [Status(int(status)).name.lower() for status in solution.status],
    }


def environment() -> dict[str, Any]:
    """Return what a table's file says of the machine and the software that made it."""
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "device": processor().kind,
        "python": platform.python_version(),
        "versions": {**_versions()},
    }


@cache
def _versions() -> dict[str, str]:
    # Looking them up takes milliseconds, as much as a small task.
    packages = ("numpy", "scipy", "jax", "jaxlib", "equinox", "pandas", "pyarrow")
    return {"polarbias": __version__, **{name: version(name) for name in packages}}
