"""Execution of tasks: compute those that a store lacks, in this process or on a backend, and store them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from time import perf_counter
from typing import Protocol

import jax
import pandas as pd

from polarbias.descent.device import default_device
from polarbias.descent.gradient_descent import DescentProgress
from polarbias.descent.options import CORES
from polarbias.experiments.engine.compute import Interrupted, TaskResult, compute_task
from polarbias.experiments.engine.spec import Profile, Task
from polarbias.experiments.engine.store import Store
from polarbias.runtime.interrupts import interrupt_flag


class Observer(Protocol):
    """Receiver of the progress of all tasks."""

    def started(self, task: Task) -> None:
        """Handle the start of a task, or its restart; several tasks can be in progress."""

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Handle the state of a task's runs, about twice a second."""

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Handle a task that is finished and stored."""


ObserverFactory = Callable[[Sequence[Task]], AbstractContextManager[Observer]]
"""Function from the tasks that are to be computed to a context with their observer."""


@dataclass(frozen=True)
class Totals:
    """Numbers of tasks that a call of `run_tasks` computed and found, steps of all runs, and seconds."""

    computed: int
    found: int
    run_steps: int
    seconds: float


class Backend(Protocol):
    """Executor of tasks."""

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute tasks and yield each when it is done; closing the generator ends those in progress."""


class LocalBackend:
    """Threads of this process, one per core, on the caller's JAX device.

    Parameters
    ----------
    checkpoint
        Function from a task's key to the folder of its intermediate states.
    """

    def __init__(self, checkpoint: Callable[[str], Path]) -> None:
        """Set the folders."""
        self._checkpoint = checkpoint

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute the tasks; after Ctrl-C those in progress leave their checkpoints."""
        events: SimpleQueue[Future[TaskResult] | Callable[[], None]] = SimpleQueue()
        stopped, device = Event(), default_device()

        # The observer is called in this thread only.
        def progress(task: Task, state: DescentProgress) -> None:
            if stopped.is_set():
                raise Interrupted
            events.put(partial(observer.progress, task, state))

        def compute(task: Task) -> TaskResult:
            events.put(partial(observer.started, task))
            with jax.default_device(device):
                return compute_task(task, profile, progress, self._checkpoint(task.key))

        with ThreadPoolExecutor(CORES, thread_name_prefix="task") as pool, interrupt_flag() as interrupted:
            try:
                for task in tasks:
                    pool.submit(compute, task).add_done_callback(events.put)
                left = len(tasks)
                while left:
                    if interrupted():
                        raise KeyboardInterrupt
                    try:
                        event = events.get(timeout=0.5)
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
                stopped.set()
                pool.shutdown(cancel_futures=True)


def run_tasks(
    tasks: Sequence[Task], profile: Profile, store: Store, observe: ObserverFactory, backend: Backend | None = None
) -> Totals:
    """Compute and store the tasks that are missing in the store, by default on a `LocalBackend`.

    Only this process writes the store.

    Raises
    ------
    Interrupted
        Ctrl-C; a later call resumes the tasks that were in progress.
    ClusterError
        The backend's workers or scheduler were lost; finished tasks are stored.
    """
    began = perf_counter()
    missing = [task for task in tasks if not store.finished(task.key)]
    run_steps = 0
    with (
        observe(missing) as observer,
        closing((backend or LocalBackend(store.checkpoint)).results(missing, profile, observer)) as results,
    ):
        for result in results:
            store.write(result.task.key, result.tables, {"wall_seconds": result.seconds, **result.made_by})
            run_steps += 0 if result.task.is_limit else int(result.ends["steps"].sum())
            observer.finished(result.task, result.ends, result.seconds)
    return Totals(len(missing), len(tasks) - len(missing), run_steps, perf_counter() - began)
