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

from polarbias.descent import DescentProgress
from polarbias.experiments.runner import Watcher
from polarbias.experiments.spec import Cell

SECONDS_BETWEEN_LINES = 15.0


def weight(cell: Cell) -> float:
    """Guess the work of a cell: plain descent and exact limits cost about a hundredth of what descent with WN does."""
    work = len(cell.chains) * (2 if cell.truth == "signed" else 1)
    return work * (0.02 if cell.is_limit or (cell.algorithm == "plain" and cell.step == "armijo") else 1.0)


def share(state: DescentProgress) -> float:
    """Return the finished share of a cell, from 0 to 1: some of its chains wait while others run."""
    running = state.status < 0
    return float(np.where(running, state.steps / state.max_steps, 1.0).mean())


def losses(state: DescentProgress) -> str:
    """Describe the losses of the chains under way, or of all when none is; those that wait have none yet."""
    running = (state.status < 0) & ~np.isnan(state.loss)
    chosen = state.loss[running] if running.any() else state.loss
    return f"loss {chosen.min():.1e} .. {chosen.max():.1e}"


class LineWatcher:
    """Writes a line when a cell ends, and now and then while one runs; lines are numbered in the order of the ends."""

    def __init__(self, console: Console, cells: Sequence[Cell]) -> None:
        """Count the cells."""
        self._console = console
        self._total, self._done = len(cells), 0
        self._running: list[str] = []
        self._spoke = monotonic()

    def started(self, cell: Cell) -> None:
        """Start the clock of the cell."""
        if cell.key not in self._running:  # one whose worker died begins twice
            self._running.append(cell.key)
        self._spoke = monotonic()

    def progress(self, cell: Cell, state: DescentProgress) -> None:
        """Write a line if the last one is old."""
        if monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = monotonic()
            number = self._done + 1 + self._running.index(cell.key)
            self._say(number, cell, f"{share(state):.0%}, {losses(state)}")

    def finished(self, cell: Cell, runs: pd.DataFrame, seconds: float) -> None:
        """Write how the chains of the cell ended."""
        self._running.remove(cell.key)
        self._done += 1
        counts = runs["status"].map(lambda name: name.replace("_", " ")).value_counts()
        ends = ", ".join(f"{count} {name}" for name, count in counts.items())
        work = (
            f"{runs['factorizations'].sum():,} factorizations"
            if cell.is_limit
            else f"{runs['steps'].sum():,} chain-steps"
        )
        self._say(self._done, cell, f"{ends}; {work} in {seconds:.1f} s")

    def _say(self, number: int, cell: Cell, text: str) -> None:
        self._console.print(
            f"[{number}/{self._total}] {cell.label}: {text}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class BarWatcher:
    """Moves one bar over all cells, with the time left and the losses of the chains under way."""

    def __init__(self, bar: Progress, cells: Sequence[Cell]) -> None:
        """Add the bar's task."""
        self._bar = bar
        self._task = bar.add_task("starting", total=sum(weight(cell) for cell in cells), losses="")
        self._done = 0.0
        self._running: dict[Cell, float] = {}
        """Cells in progress, in the order in which they began, with their finished shares."""

    def started(self, cell: Cell) -> None:
        """Name the cell."""
        self._running[cell] = 0.0
        self._show()

    def progress(self, cell: Cell, state: DescentProgress) -> None:
        """Move the bar."""
        self._running[cell] = share(state)
        self._show(losses(state))

    def finished(self, cell: Cell, runs: pd.DataFrame, seconds: float) -> None:
        """Count the cell as done."""
        self._running.pop(cell, None)
        self._done += weight(cell)
        self._show()

    def _show(self, shown: str | None = None) -> None:
        """Name the cell that is longest in progress and count the others; without losses those shown stay."""
        changes: dict[str, Any] = {} if shown is None else {"losses": shown}
        if self._running:
            others = len(self._running) - 1
            changes["description"] = next(iter(self._running)).label + (f" and {others} more" if others else "")
        completed = self._done + sum(weight(cell) * part for cell, part in self._running.items())
        self._bar.update(self._task, completed=completed, **changes)


@contextmanager
def watching(console: Console, cells: Sequence[Cell]) -> Iterator[Watcher]:
    """Give a watcher that fits the console, for the cells that will be computed."""
    if not (console.is_terminal and cells):
        yield LineWatcher(console, cells)
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
        yield BarWatcher(bar, cells)
