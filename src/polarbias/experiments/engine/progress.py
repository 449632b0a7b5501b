"""Progress of a run for people: one bar on a terminal, plain lines elsewhere."""

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
from polarbias.experiments.engine.runner import Observer
from polarbias.experiments.engine.spec import Task

SECONDS_BETWEEN_LINES = 15.0


def weight(task: Task) -> float:
    """Guess the work of a task: plain descent and exact limits cost about a hundredth of what descent with WN does."""
    work = len(task.runs) * (2 if task.truth == "signed" else 1)
    return work * (0.02 if task.is_limit or (task.algorithm == "plain" and task.step == "armijo") else 1.0)


def share(state: DescentProgress) -> float:
    """Return the finished share of a task, from 0 to 1: some of its runs wait while others run."""
    running = state.status < 0
    return float(np.where(running, state.steps / state.max_steps, 1.0).mean())


def losses(state: DescentProgress) -> str:
    """Describe the losses of the runs under way, or of all when none is; those that wait have none yet."""
    running = (state.status < 0) & ~np.isnan(state.loss)
    chosen = state.loss[running] if running.any() else state.loss
    return f"loss {chosen.min():.1e} .. {chosen.max():.1e}"


class LineObserver:
    """Writes a line when a task ends, and now and then while one runs; lines are numbered in the order of the ends."""

    def __init__(self, console: Console, tasks: Sequence[Task]) -> None:
        """Count the tasks."""
        self._console = console
        self._total, self._done = len(tasks), 0
        self._running: list[str] = []
        self._spoke = monotonic()

    def started(self, task: Task) -> None:
        """Start the clock of the task."""
        if task.key not in self._running:  # one whose worker died begins twice
            self._running.append(task.key)
        self._spoke = monotonic()

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Write a line if the last one is old."""
        if monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = monotonic()
            number = self._done + 1 + self._running.index(task.key)
            self._say(number, task, f"{share(state):.0%}, {losses(state)}")

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Write how the runs of the task ended."""
        self._running.remove(task.key)
        self._done += 1
        counts = runs["status"].map(lambda name: name.replace("_", " ")).value_counts()
        ends = ", ".join(f"{count} {name}" for name, count in counts.items())
        work = (
            f"{runs['factorizations'].sum():,} factorizations"
            if task.is_limit
            else f"{runs['steps'].sum():,} run-steps"
        )
        self._say(self._done, task, f"{ends}; {work} in {seconds:.1f} s")

    def _say(self, number: int, task: Task, text: str) -> None:
        self._console.print(
            f"[{number}/{self._total}] {task.label}: {text}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class BarObserver:
    """Moves one bar over all tasks, with the time left and the losses of the runs under way."""

    def __init__(self, bar: Progress, tasks: Sequence[Task]) -> None:
        """Add the bar's task."""
        self._bar = bar
        self._task = bar.add_task("starting", total=sum(weight(task) for task in tasks), losses="")
        self._done = 0.0
        self._running: dict[Task, float] = {}
        """Tasks in progress, in the order in which they began, with their finished shares."""

    def started(self, task: Task) -> None:
        """Name the task."""
        self._running[task] = 0.0
        self._show()

    def progress(self, task: Task, state: DescentProgress) -> None:
        """Move the bar."""
        self._running[task] = share(state)
        self._show(losses(state))

    def finished(self, task: Task, runs: pd.DataFrame, seconds: float) -> None:
        """Count the task as done."""
        self._running.pop(task, None)
        self._done += weight(task)
        self._show()

    def _show(self, shown: str | None = None) -> None:
        """Name the task that is longest in progress and count the others; without losses those shown stay."""
        changes: dict[str, Any] = {} if shown is None else {"losses": shown}
        if self._running:
            others = len(self._running) - 1
            changes["description"] = next(iter(self._running)).label + (f" and {others} more" if others else "")
        completed = self._done + sum(weight(task) * part for task, part in self._running.items())
        self._bar.update(self._task, completed=completed, **changes)


@contextmanager
def terminal_observer(console: Console, tasks: Sequence[Task]) -> Iterator[Observer]:
    """Return an observer that fits the console, for the tasks that will be computed."""
    if not (console.is_terminal and tasks):
        yield LineObserver(console, tasks)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, console=console, expand=True, speed_estimate_period=120) as bar:
        yield BarObserver(bar, tasks)
