"""Computes cells and stores them; whatever is stored already is not computed again."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import pandas as pd

from polarbias import __version__
from polarbias.descent import DescentProgress, gradient_descent
from polarbias.ensembles import Truth, folded_gaussian_direction, gaussian_problem, uniform_direction
from polarbias.errors import InvalidInput
from polarbias.experiments.spec import Cell, Profile
from polarbias.experiments.store import Store
from polarbias.parameterization import FactorNetwork
from polarbias.problem import LinearProblem
from polarbias.reference import Minimum, minimal_l1
from polarbias.solution import Solution, Status
from polarbias.step_size import Armijo, ConstantStep, StepSize


class Watcher(Protocol):
    """Who is told how a run goes."""

    def started(self, cell: Cell) -> None:
        """Note that a cell begins."""

    def progress(self, cell: Cell, state: DescentProgress) -> None:
        """Note the state of a cell's chains, about twice a second."""

    def finished(self, cell: Cell, runs: pd.DataFrame, seconds: float) -> None:
        """Note that a cell is done and stored."""


Watching = Callable[[Sequence[Cell]], AbstractContextManager[Watcher]]
"""Makes the watcher of a run, given the cells that are to be computed."""


@dataclass(frozen=True)
class Tally:
    """What a call of `run_cells` did."""

    computed: int
    found: int
    chain_steps: int
    seconds: float


class Interrupted(KeyboardInterrupt):
    """Ctrl-C arrived; everything but the cell in progress is stored."""


def run_cells(cells: Sequence[Cell], profile: Profile, store: Store, watching: Watching) -> Tally:
    """Compute and store the cells that are missing in the store.

    Raises
    ------
    Interrupted
        After Ctrl-C; a later call goes on with the cell that was in progress.
    """
    began = perf_counter()
    missing = [cell for cell in cells if not store.finished(cell.key)]
    chain_steps = 0
    with watching(missing) as watcher:
        for cell in missing:
            watcher.started(cell)
            cell_began = perf_counter()
            runs, trajectories = compute(cell, profile, watcher)
            seconds = perf_counter() - cell_began
            store.write(cell.key, runs, trajectories, {"wall_seconds": seconds, **environment()})
            watcher.finished(cell, runs, seconds)
            chain_steps += int(runs["steps"].sum())
    return Tally(len(missing), len(cells) - len(missing), chain_steps, perf_counter() - began)


def compute(cell: Cell, profile: Profile, watcher: Watcher | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run one cell and return its table of runs and its table of trajectories."""
    problem, minimum = problem_of(cell, profile)
    network = cell.network()
    theta0 = network.init(
        np.array([chain.r0 for chain in cell.chains]),
        np.stack([_direction(cell, profile, chain.start) for chain in cell.chains]),
    )
    solution = gradient_descent(
        problem,
        network,
        theta0,
        step=_step(cell, problem, network, theta0),
        max_steps=profile.max_steps,
        tol=profile.tol,
        callback=None if watcher is None else lambda state: watcher.progress(cell, state),
    )
    if (solution.status == Status.INTERRUPTED).any():
        raise Interrupted
    return _tables(cell, profile, problem, minimum, solution)


def problem_of(cell: Cell, profile: Profile) -> tuple[LinearProblem, Minimum]:
    """Return the cell's problem and its minimal l1 solution."""
    return _problem(profile, cell.truth, cell.centred, cell.figure, cell.trial)


@lru_cache(maxsize=16)
def _problem(profile: Profile, truth: Truth, centred: bool, figure: int, trial: int) -> tuple[LinearProblem, Minimum]:
    problem = gaussian_problem(
        profile.seed,
        profile.m,
        profile.n,
        truth,
        s=profile.s,
        center_rows=centred,
        experiment=figure,
        trial=trial,
    )
    return problem, minimal_l1(problem, nonnegative=truth != "signed")


def _direction(cell: Cell, profile: Profile, start: int) -> np.ndarray:
    entries = profile.n * (2 if cell.truth == "signed" else 1)
    if cell.direction == "uniform":
        return uniform_direction(entries)
    return folded_gaussian_direction(profile.seed, entries, experiment=cell.figure, trial=start)


def _step(cell: Cell, problem: LinearProblem, network: FactorNetwork, theta0: Any) -> StepSize:
    if cell.step == "armijo":
        return Armijo()
    if cell.step == "stable":
        return ConstantStep.stable(problem, network, theta0)
    try:
        return ConstantStep(float(cell.step))
    except ValueError as reason:
        raise InvalidInput(f"step must be armijo, stable or a positive number, got {cell.step!r}.") from reason


def _tables(
    cell: Cell, profile: Profile, problem: LinearProblem, minimum: Minimum, solution: Solution
) -> tuple[pd.DataFrame, pd.DataFrame]:
    x = solution.x
    trajectory = solution.trajectory
    assert trajectory is not None
    named: dict[str, Any] = {
        "figure": cell.figure,
        "trial": cell.trial,
        "algorithm": cell.algorithm,
        "truth": cell.truth,
        "depth": cell.depth,
        "law": cell.law,
        "direction": cell.direction,
        "step_rule": cell.step,
        "centred": cell.centred,
        "seed": profile.seed,
    }
    chain_columns: dict[str, list[float]] = {
        "start": [chain.start for chain in cell.chains],
        "ratio": [np.nan if cell.algorithm == "plain" else chain.ratio for chain in cell.chains],
        "r0": [chain.r0 for chain in cell.chains],
    }
    runs = pd.DataFrame(
        {
            **named,
            **chain_columns,
            "steps": solution.steps,
            "trials": solution.stats["trials"],
            "loss": solution.loss,
            "loss_start": trajectory.loss[:, 0],
            "minimal_l1": float(minimum.value),
            "eps1": np.abs(x).sum(-1) - minimum.value,
            # <1 - A^T y, X> term by term: eps1 minus <y, R>, without the cancellation.
            "eps1_cert": (np.abs(x) - (problem.A.T @ minimum.dual) * x).sum(-1),
            "eps2": np.abs(x - problem.x_true).sum(-1),
            "status": [Status(int(status)).name.lower() for status in solution.status],
        }
    )
    records = []
    for index in range(len(cell.chains)):
        record = trajectory[index]
        chain = {name: values[index] for name, values in chain_columns.items()}
        columns = {name: getattr(record, name) for name in ("step", "loss", "r", "l1")}
        records.append(pd.DataFrame({**named, **chain, **columns}))
    return runs, pd.concat(records, ignore_index=True)


def environment() -> dict[str, Any]:
    """Return what a table's file says of the machine and the software that made it."""
    packages = ("numpy", "scipy", "jax", "jaxlib", "equinox", "pandas", "pyarrow")
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {"polarbias": __version__, **{name: version(name) for name in packages}},
    }
