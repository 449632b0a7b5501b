"""A user's own grid of tasks, computed and stored like a reproduction."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from polarbias.experiments.engine.lock import exclusive
from polarbias.experiments.engine.runner import Backend, ObserverFactory, Totals, run_tasks
from polarbias.experiments.engine.store import Store
from polarbias.experiments.grids.grid import Grid

AXES = ("truth", "m", "n", "s", "centred", "depth", "algorithm", "law", "direction", "step_rule")
"""Columns that tell tasks of a sweep apart, but for the trial."""


def sweep(
    grid: Grid, folder: Path, *, observe: ObserverFactory, force: bool = False, backend: Backend | None = None
) -> tuple[Totals, pd.DataFrame]:
    """Compute what is missing in ``folder``; return what was done and the `summary` of the grid.

    A grid that has grown along any axis but scale and ratio finds its earlier tasks in the folder.

    Raises
    ------
    StoreBusy
        Another run uses the folder.
    StoreMismatch
        The folder holds results of another kind, or of other scales, ratios, steps, tolerance or seed.
    InvalidInput
        The folder cannot be written, or the grid has no task.
    """
    tasks, _ = grid.tasks()
    with exclusive(folder):
        store = Store(folder, grid.specification(), force)
        store.write_plan(grid.values)
        totals = run_tasks(tasks, grid.profile, store, observe, backend)
        keys = [task.key for task in tasks]
        return totals, summary(pd.concat([store.read_runs(keys), store.read_limits(keys)], ignore_index=True))


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each group of runs that differ in nothing but scale, ratio and trial.

    Columns are those of `AXES` in which the groups differ, the algorithm in any case; the number of runs; how many
    ended with which status; and the medians of eps1 and eps2.
    """
    axes = [name for name in AXES if name == "algorithm" or ends[name].nunique(dropna=False) > 1]
    groups = ends.groupby(axes, dropna=False, sort=False)
    table = groups.agg(
        runs=("status", "size"), status=("status", _counts), eps1=("eps1", "median"), eps2=("eps2", "median")
    )
    return table.reset_index()


def _counts(statuses: pd.Series) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in statuses.value_counts().items())
