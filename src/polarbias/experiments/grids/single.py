"""Single runs, stored and drawn like the tasks of a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure as Canvas

from polarbias.errors import StoreMismatch
from polarbias.experiments.engine.figure import save
from polarbias.experiments.engine.lock import exclusive
from polarbias.experiments.engine.runner import ObserverFactory, Totals, run_tasks
from polarbias.experiments.engine.spec import Profile, RunConfiguration, Task
from polarbias.experiments.engine.store import Store
from polarbias.plotting.panels import STYLE, trajectory_panels


def run_single(
    task: Task, profile: Profile, folder: Path, observe: ObserverFactory, force: bool = False
) -> tuple[Totals, pd.DataFrame, pd.DataFrame, Path]:
    """Run a task of one run unless ``folder`` has its result; return totals, tables and the path of the drawing.

    Raise `StoreMismatch`, `StoreBusy` and `InvalidInput` as `reproduce` does.
    """
    task.configuration(profile).network()  # raises InvalidInput before the folder is touched
    with exclusive(folder):
        store = Store(folder, {"kind": "run", "task": task.identity(), "profile": profile.identity()}, force)
        totals = run_tasks([task], profile, store, observe)
        runs, trajectories = (store.read(name, [task.key]) for name in ("runs", "trajectories"))
        return totals, runs, trajectories, draw_single(runs, trajectories, folder)


def redraw_single(specification: dict[str, Any], folder: Path, target: Path) -> Path:
    """Draw the stored run of a folder in ``target``; raise `StoreMismatch` unless the folder holds a finished run."""
    try:
        entries = specification["task"]
        runs = tuple(RunConfiguration(**run) for run in entries["runs"])
        key = Task(**{**entries, "runs": runs, "instance": None}).key
    except (AttributeError, KeyError, TypeError, ValueError) as broken:
        raise StoreMismatch(f"{folder / 'spec.json'} does not describe a run; delete the folder.") from broken
    store = Store(folder, specification)
    if not store.finished(key):
        raise StoreMismatch(f"{folder} holds no finished run.")
    return draw_single(store.read("runs", [key]), store.read("trajectories", [key]), target)


def draw_single(runs: pd.DataFrame, trajectories: pd.DataFrame, folder: Path) -> Path:
    """Draw loss, radius and l1 norm of one run over its steps; return the file."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(11, 3.4), layout="constrained")
        trajectory_panels(canvas.subplots(1, 3), trajectories, float(runs["minimal_l1"].iloc[0]))
        return save(canvas, folder / "trajectory.png")
