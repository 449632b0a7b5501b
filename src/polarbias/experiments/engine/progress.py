"""Progress of tasks: one bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from polarbias.descent.gradient_descent import DescentProgress
from polarbias.experiments.engine.results import counted
from polarbias.experiments.engine.runner import Observer
from polarbias.experiments.engine.spec import Task

SECONDS_BETWEEN_LINES = 15.0


def weight(task: Task) -> float:
    """Return the relative work of a task."""
    work = len(task.runs) * (2 if task.truth == "signed" else 1)
    # Plain descent and exact limits took about a hundredth of the time of weight-normalized descent.
    return work * (0.02 if task.is_limit or (task.algorithm == "plain" and task.step == "armijo") else 1.0)


def share(state: DescentProgress) -> float:
    """Return the finished share of a task, from 0 to 1."""
    running = state.status < 0
    return float(np.where(running, state.steps / state.max_steps, 1.0).mean())


def losses(state: DescentProgress) -> str:
    """Return the range of the losses of the active runs, or of all runs if none is active, as text."""
    running = (state.status < 0) & ~np.isnan(state.loss)  # a queued run has no loss yet
    chosen = state.loss[running] if running.any() else state.loss
    return f"loss {chosen.min():.1e} .. {chosen.max():.1e}"


class LineObserver:
    """Observer that prints a line per finished task, numbered in their order, and at intervals in between."""

    def __init__(self, console: Console, tasks: Sequence[Task]) -> None:
        """Set the number of tasks."""
        self._console = console
        self._total, self._done = len(tasks), 0
        self._running: list[str] = []
        self._last_line = monotonic()

    def started(self, task: Task) -> None:
        """Add the task to those in progress."""
        if task.key not in self._running:  # a task starts again if its worker dies
            self._running.append(task.key)
        self._last_line = monotonic()

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Print a line if the last one is older than `SECONDS_BETWEEN_LINES`."""
        if monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = monotonic()
            number = self._done + 1 + self._running.index(task.key)
            self._print(number, task, f"{share(state):.0%}, {losses(state)}")

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Print the statuses of the task's runs."""
        self._running.remove(task.key)
        self._done += 1
        column, unit = ("factorizations", "factorizations") if task.is_limit else ("steps", "run-steps")
        ends = ", ".join(counted(runs["status"]))
        self._print(self._done, task, f"{ends}; {runs[column].sum():,} {unit} in {seconds:.1f} s")

    def _print(self, number: int, task: Task, text: str) -> None:
        line = f"[{number}/{self._total}] {task.label}: {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class BarObserver:
    """Observer that updates one progress bar over all tasks."""

    def __init__(self, bar: Progress, tasks: Sequence[Task]) -> None:
        """Add the bar."""
        self._bar = bar
        self._task = bar.add_task("starting", total=sum(weight(task) for task in tasks), losses="")
        self._done = 0.0
        self._running: dict[Task, float] = {}
        """Tasks in progress, in the order of their starts, with their finished shares."""

    def started(self, task: Task) -> None:
        """Add the task to those in progress."""
        self._running[task] = 0.0
        self._update()

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Update the task's share and losses."""
        self._running[task] = share(state)
        self._update(losses(state))

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Add the task's work to the finished work."""
        self._running.pop(task, None)
        self._done += weight(task)
        self._update()

    def _update(self, shown: str | None = None) -> None:
        """Update the bar; it names the task that started first, and keeps the losses if none are given."""
        changes: dict[str, Any] = {} if shown is None else {"losses": shown}
        if self._running:
            others = len(self._running) - 1
            changes["description"] = next(iter(self._running)).label + (f" and {others} more" if others else "")
        completed = self._done + sum(weight(task) * part for task, part in self._running.items())
        self._bar.update(self._task, completed=completed, **changes)


@contextmanager
def terminal_observer(console: Console, tasks: Sequence[Task]) -> Iterator[Observer]:
    """Return the observer for a console, a bar on a terminal and lines elsewhere."""
    if not (console.is_terminal and tasks):
        yield LineObserver(console, tasks)
        return
    times = (TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), *times, TextColumn("{task.fields[losses]}"))
    with Progress(*columns, console=console, expand=True, speed_estimate_period=120) as bar:
        yield BarObserver(bar, tasks)
