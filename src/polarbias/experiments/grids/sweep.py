"""Sweeps: grids of tasks, computed and stored like a reproduction."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from polarbias.experiments.engine.lock import exclusive
from polarbias.experiments.engine.results import counted
from polarbias.experiments.engine.runner import Backend, ObserverFactory, Totals, run_tasks
from polarbias.experiments.engine.store import Store
from polarbias.experiments.grids.grid import Grid

AXES = ("truth", "m", "n", "s", "centred", "depth", "algorithm", "law", "direction", "step_rule")
"""Columns that identify a task of a sweep, apart from the trial."""


def sweep(
    grid: Grid, folder: Path, *, observe: ObserverFactory, force: bool = False, backend: Backend | None = None
) -> tuple[Totals, pd.DataFrame]:
    """Compute the tasks that are missing in ``folder``; return the totals and the `summary` of the grid.

    A grid that has grown along any axis but scale and ratio reuses the folder's tasks.

    Raises
    ------
    StoreBusy
        Another process uses the folder.
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
        return totals, summary(pd.concat([store.read(name, keys) for name in ("runs", "limits")], ignore_index=True))


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """Return one row per group of runs that differ only in scale, ratio and trial.

    The columns are the algorithm and the other `AXES` with several values, the number of runs, the counts of their
    statuses, and the medians of eps1 and eps2.
    """
    axes = [name for name in AXES if name == "algorithm" or ends[name].nunique(dropna=False) > 1]
    groups = ends.groupby(axes, dropna=False, sort=False)
    table = groups.agg(
        runs=("status", "size"),
        status=("status", lambda statuses: ", ".join(counted(statuses))),
        eps1=("eps1", "median"),
        eps2=("eps2", "median"),
    )
    return table.reset_index()
