"""Computes cells and stores them; whatever is stored already is not computed again."""

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
from polarbias.descent import DescentProgress, gradient_descent
from polarbias.ensembles import Truth, folded_gaussian_direction, gaussian_problem, uniform_direction
from polarbias.errors import InvalidInput
from polarbias.experiments.spec import Cell, Profile
from polarbias.experiments.store import Store
from polarbias.interrupts import noticing_interrupts
from polarbias.limit import flow_limit
from polarbias.mirror_steps import mirror_descent
from polarbias.parameterization import FactorNetwork
from polarbias.problem import LinearProblem
from polarbias.processor import CORES, default_device, processor
from polarbias.reference import Minimum, minimal_l1
from polarbias.solution import Solution, Status
from polarbias.step_size import Armijo, ConstantStep, StepSize

_limited_threads = Lock()
"""Held by solvers that limit the threads of BLAS: that is a setting of the whole process."""


class CellWatcher(Protocol):
    """Who is told how a cell goes."""

    def progress(self, cell: Cell, state: DescentProgress) -> None:
        """Note the state of a cell's chains, about twice a second; an exception ends the cell."""


class Watcher(CellWatcher, Protocol):
    """Who is told how a run goes."""

    def started(self, cell: Cell) -> None:
        """Note that a cell begins, or begins anew; several can be in progress at a time."""

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


@dataclass(frozen=True)
class Computed:
    """A cell's result and how it was made.

    Attributes
    ----------
    table
        Runs, or exact limits, a row for each chain.
    trajectories
        Their trajectories; None for limits.
    seconds
        Wall time.
    made_by
        The `environment` of the process that computed it.
    """

    cell: Cell
    table: pd.DataFrame
    trajectories: pd.DataFrame | None
    seconds: float
    made_by: dict[str, Any]


class Execution(Protocol):
    """Where cells are computed, and in which order."""

    def results(self, cells: Sequence[Cell], profile: Profile, watcher: Watcher) -> Generator[Computed]:
        """Compute cells and yield each as soon as it is done; what runs ends when the iterator is closed."""


class LocalExecution:
    """As many cells at a time as there are cores, each in a thread of this process, on the caller's JAX device.

    Parameters
    ----------
    checkpoint
        Names the folder for a cell's intermediate states; without it cells that are interrupted begin anew.
    """

    def __init__(self, checkpoint: Callable[[str], Path] | None = None) -> None:
        """Remember the folders."""
        self._checkpoint = checkpoint

    def results(self, cells: Sequence[Cell], profile: Profile, watcher: Watcher) -> Generator[Computed]:
        """Compute the cells; after Ctrl-C those in progress leave their checkpoints."""
        news: SimpleQueue[Future[Computed] | Callable[[], None]] = SimpleQueue()
        told, device = _Relay(watcher, news), default_device()

        def one(cell: Cell) -> Computed:
            told.started(cell)
            with jax.default_device(device):
                return computed(cell, profile, told, self._checkpoint and self._checkpoint(cell.key))

        with ThreadPoolExecutor(CORES, thread_name_prefix="cell") as pool, noticing_interrupts() as interrupted:
            try:
                for cell in cells:
                    pool.submit(one, cell).add_done_callback(news.put)
                left = len(cells)
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
    """A watcher for the threads of several cells, which passes on what it is told to the one that asked for them."""

    def __init__(self, watcher: Watcher, news: SimpleQueue[Any]) -> None:
        self._watcher, self._news = watcher, news
        self.stopped = False

    def started(self, cell: Cell) -> None:
        self._news.put(lambda: self._watcher.started(cell))

    def progress(self, cell: Cell, state: DescentProgress) -> None:
        if self.stopped:
            raise Interrupted
        self._news.put(lambda: self._watcher.progress(cell, state))


def run_cells(
    cells: Sequence[Cell], profile: Profile, store: Store, watching: Watching, execution: Execution | None = None
) -> Tally:
    """Compute and store the cells that are missing in the store, in this process unless there is an ``execution``.

    Only this process writes the store.

    Raises
    ------
    Interrupted
        After Ctrl-C; a later call goes on with the cell that was in progress.
    ClusterError
        The execution's workers or scheduler were lost; what was done before is stored.
    """
    began = perf_counter()
    missing = [cell for cell in cells if not store.finished(cell.key)]
    chain_steps = 0
    with (
        watching(missing) as watcher,
        closing((execution or LocalExecution(store.checkpoint)).results(missing, profile, watcher)) as results,
    ):
        for result in results:
            metadata = {"wall_seconds": result.seconds, **result.made_by}
            if result.trajectories is None:
                store.write_limits(result.cell.key, result.table, metadata)
            else:
                store.write(result.cell.key, result.table, result.trajectories, metadata)
                chain_steps += int(result.table["steps"].sum())
            watcher.finished(result.cell, result.table, result.seconds)
    return Tally(len(missing), len(cells) - len(missing), chain_steps, perf_counter() - began)


def computed(
    cell: Cell, profile: Profile, watcher: CellWatcher | None = None, checkpoint: Path | None = None
) -> Computed:
    """Compute a cell of runs or of exact limits, and time it."""
    began = perf_counter()
    if cell.is_limit:
        table, trajectories = compute_limits(cell, profile), None
    else:
        table, trajectories = compute(cell, profile, watcher, checkpoint)
    return Computed(cell, table, trajectories, perf_counter() - began, environment())


def compute(
    cell: Cell, profile: Profile, watcher: CellWatcher | None = None, checkpoint: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run one cell and return its table of runs and its table of trajectories."""
    problem, minimum = problem_of(cell, profile)
    network, theta0 = _start(cell, profile)
    if cell.step == "mirror":
        with _limited_threads:
            solution = mirror_descent(problem, network, theta0, max_steps=profile.max_steps, tol=profile.tol)
    else:
        solution = gradient_descent(
            problem,
            network,
            theta0,
            step=_step(cell, problem, network, theta0),
            max_steps=profile.max_steps,
            tol=profile.tol,
            callback=None if watcher is None else lambda state: watcher.progress(cell, state),
            checkpoint=checkpoint,
        )
    if (solution.status == Status.INTERRUPTED).any():
        raise Interrupted
    return _tables(cell, profile, problem, minimum, solution)


def compute_limits(cell: Cell, profile: Profile) -> pd.DataFrame:
    """Return the table of one cell's exact limits, a row for each chain."""
    problem, minimum = problem_of(cell, profile)
    with _limited_threads:
        limit = flow_limit(problem, *_start(cell, profile))
    return pd.DataFrame(
        {
            **_named(cell, profile),
            **_chain_columns(cell),
            "factorizations": limit.steps,
            **_end(problem, minimum, limit),
            "r": limit.r,
            "log_rho": limit.log_rho,
        }
    )


def _start(cell: Cell, profile: Profile) -> tuple[FactorNetwork, Any]:
    """Return the network and the start of a cell's chains."""
    network = cell.network()
    directions = {start: _direction(cell, profile, start) for start in {chain.start for chain in cell.chains}}
    return network, network.init(
        np.array([chain.r0 for chain in cell.chains]), np.stack([directions[chain.start] for chain in cell.chains])
    )


def problem_of(cell: Cell, profile: Profile) -> tuple[LinearProblem, Minimum]:
    """Return the cell's problem and its minimal l1 solution."""
    return _problem(profile.seed, size_of(cell, profile), cell.truth, cell.centred, cell.figure, cell.trial)


@lru_cache(maxsize=16)
def _problem(
    seed: int, size: tuple[int, int, int], truth: Truth, centred: bool, figure: int, trial: int
) -> tuple[LinearProblem, Minimum]:
    m, n, s = size
    problem = gaussian_problem(seed, m, n, truth, s=s, center_rows=centred, experiment=figure, trial=trial)
    return problem, minimal_l1(problem, nonnegative=truth != "signed")


def size_of(cell: Cell, profile: Profile) -> tuple[int, int, int]:
    """Return M, N and s of the cell's problem."""
    return cell.size or (profile.m, profile.n, profile.s)


def _direction(cell: Cell, profile: Profile, start: int) -> np.ndarray:
    entries = size_of(cell, profile)[1] * (2 if cell.truth == "signed" else 1)
    if cell.direction == "uniform":
        return uniform_direction(entries)
    return folded_gaussian_direction(profile.seed, entries, experiment=cell.figure, trial=start)


def _step(cell: Cell, problem: LinearProblem, network: FactorNetwork, theta0: Any) -> StepSize:
    if cell.step == "armijo":
        return Armijo()
    if cell.step == "stable":
        unit = ConstantStep.stable(problem, network, theta0, c=1.0)
        return ConstantStep(unit.dt * np.array([chain.c for chain in cell.chains]))
    try:
        return ConstantStep(float(cell.step))
    except ValueError as reason:
        raise InvalidInput(f"step must be armijo, stable or a positive number, got {cell.step!r}.") from reason


def _tables(
    cell: Cell, profile: Profile, problem: LinearProblem, minimum: Minimum, solution: Solution
) -> tuple[pd.DataFrame, pd.DataFrame]:
    trajectory = solution.trajectory
    assert trajectory is not None
    named, chain_columns = _named(cell, profile), _chain_columns(cell)
    runs = pd.DataFrame(
        {
            **named,
            **chain_columns,
            "steps": solution.steps,
            "trials": solution.stats["trials"],
            "loss_start": trajectory.loss[:, 0],
            **_end(problem, minimum, solution),
        }
    )
    records = []
    for index in range(len(cell.chains)):
        record = trajectory[index]
        chain = {name: values[index] for name, values in chain_columns.items()}
        columns = {name: getattr(record, name) for name in ("step", "loss", "r", "l1")}
        records.append(pd.DataFrame({**named, **chain, **columns}))
    return runs, pd.concat(records, ignore_index=True)


def _named(cell: Cell, profile: Profile) -> dict[str, Any]:
    """Return the columns that have one value for all chains of a cell."""
    size: dict[str, Any] = {}
    if cell.size is not None:
        # One type for all cells, though a dense truth has no s.
        size = {"m": cell.size[0], "n": cell.size[1], "s": np.nan if cell.truth == "gaussian" else float(cell.size[2])}
    return {
        "figure": cell.figure,
        "trial": cell.trial,
        "algorithm": cell.algorithm,
        "truth": cell.truth,
        "depth": cell.depth,
        "law": cell.law,
        "direction": cell.direction,
        "step_rule": cell.step,
        "centred": cell.centred,
        "part": cell.part,
        "seed": profile.seed,
        **size,
    }


def _chain_columns(cell: Cell) -> dict[str, list[float]]:
    return {
        "start": [chain.start for chain in cell.chains],
        "ratio": [np.nan if cell.algorithm == "plain" else chain.ratio for chain in cell.chains],
        "r0": [chain.r0 for chain in cell.chains],
        "c": [chain.c if cell.step == "stable" else np.nan for chain in cell.chains],
    }


def _end(problem: LinearProblem, minimum: Minimum, solution: Solution) -> dict[str, Any]:
    """Return the columns that say where chains end."""
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
    # Looking them up takes milliseconds, as much as a small cell.
    packages = ("numpy", "scipy", "jax", "jaxlib", "equinox", "pandas", "pyarrow")
    return {"polarbias": __version__, **{name: version(name) for name in packages}}
