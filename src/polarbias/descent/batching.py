"""Workers: the runs of one problem share a few slots of the compiled loop, and other runs follow those that end.

Which run works in which slot at which turn depends on the runs alone, not on time or threads, so that equal calls
give equal bits, whether or not they were interrupted and went on from a checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from polarbias.descent import compiled_loop
from polarbias.descent.compiled_loop import RUNNING, Limits, Plan, Records, State
from polarbias.descent.device import Processor
from polarbias.descent.step_size import StepSize
from polarbias.descent.vector_field import Data
from polarbias.networks import Network
from polarbias.solution import Status

logger = logging.getLogger(__name__)

LASTING = 4
"""Calls of the compiled loop after which a worker is worth compiling a smaller size for."""


class Job(NamedTuple):
    """What the workers of a call have in common; runs are numbered through the flattened batch."""

    data: Callable[[int], Data]
    network: Network
    step: StepSize
    limits: Limits
    schedule: np.ndarray
    theta0: Any  # leaves of shape (runs, ...)
    batch_shape: tuple[int, ...]
    keep_x: bool
    processor: Processor
    threads: int

    def plan(self, problem: int, runs: np.ndarray) -> Plan:
        """Return the plan of slots that hold these runs."""

        def select(values: Any) -> Any:
            # What all runs share stays a scalar, which costs nothing.
            return values if np.ndim(values) == 0 else np.broadcast_to(values, self.batch_shape).reshape(-1)[runs]

        return Plan(
            self.data(problem),
            self.network.of_runs(select),
            jax.tree.map(select, self.step),
            jax.tree.map(select, self.limits),
            jnp.asarray(self.schedule),
        )


@dataclass(frozen=True)
class Ended:
    """State of one run, ended or not: what `State` holds for it, with as many records as are written."""

    theta: Any
    steps: int
    trials: int
    status: int
    loss: float
    records: Records


@dataclass
class Snapshot:
    """All that a worker needs to go on: what its slots hold (-1: nothing), who waits, and who has ended."""

    slots: np.ndarray
    waiting: list[int]
    ended: dict[int, Ended]
    state: State
    rounds: int = 0
    """Returns from the compiled loop since the worker took its present size."""
    worked: int = 0
    """Trials of all runs ..."""
    offered: int = 0
    """... and those that its slots could have made in the same turns."""

    @property
    def over(self) -> bool:
        """Whether all runs have ended."""
        return not (self.waiting or self.running)

    @property
    def running(self) -> int:
        """Number of runs that have not ended."""
        return int((self.state.status == RUNNING).sum())

    def told(self) -> list[tuple[int, int, float, int, int]]:
        """Return number, steps, loss, status and trials of all runs but those that wait."""
        state = self.state
        columns = (self.slots, state.steps, state.loss, state.status, state.trials)
        held = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] >= 0]
        return held + [(run, end.steps, end.loss, end.status, end.trials) for run, end in self.ended.items()]

    def held(self) -> dict[int, Ended]:
        """Return the states of the runs in the slots."""
        return {int(run): configuration_of(self.state, slot) for slot, run in enumerate(self.slots) if run >= 0}


def split(processor: Processor, problems: int, runs: int) -> list[tuple[int, np.ndarray]]:
    """Return the problem and the runs of every worker."""
    each = runs // problems
    workers = min(-(-each // processor.slots), max(1, processor.workers // problems))
    return [(t, np.arange(t * each + k, (t + 1) * each, workers)) for t in range(problems) for k in range(workers)]


class BatchWorker:
    """Runs the runs of one worker.

    Parameters
    ----------
    job
        What it has in common with others.
    problem
        Number of its problem.
    runs
        Its runs, longest first if that is known.
    """

    def __init__(self, job: Job, problem: int, runs: np.ndarray) -> None:
        """Keep the arguments; `run` begins."""
        self._job, self._problem, self._processor = job, problem, job.processor
        count = len(runs)
        rounds = -(-count // self._processor.slots)
        size = self._processor.size_for(-(-count // rounds))  # so that all rounds have as many
        self._new = [int(run) for run in runs], size

    def run(
        self, found: Snapshot | None, after_call: Callable[[Snapshot], object], enough: Callable[[], bool]
    ) -> Snapshot:
        """Go on from ``found``, or begin, until all runs have ended or ``enough`` says so.

        ``after_call`` sees the worker each time the compiled loop returns, and must not keep it.
        """
        worker = self._begun() if found is None else found
        while not (worker.over or enough()):
            self._relieve(worker)
            self._fit(worker)
            if worker.running:
                with self._processor.permits:
                    self._advance(worker)
                after_call(worker)
        return worker

    def ends(self, worker: Snapshot) -> dict[int, Ended]:
        """Return the states of all runs; those that were not reached have yet to take their first step."""
        found = {**worker.ended, **worker.held()}
        for first in range(0, len(worker.waiting), len(worker.slots)):
            runs = np.resize(worker.waiting[first : first + len(worker.slots)], len(worker.slots))
            state = self._fresh(runs)
            found.update({int(run): configuration_of(state, slot) for slot, run in enumerate(runs)})
        return found

    def _begun(self) -> Snapshot:
        runs, size = self._new
        state = self._fresh(np.full(size, runs[0]))
        state.status[:] = Status.INTERRUPTED  # of slots that hold nothing
        worker = Snapshot(np.full(size, -1), runs, {}, state)
        self._relieve(worker)
        return worker

    def _fresh(self, runs: np.ndarray) -> State:
        """Return the state of slots whose runs begin."""
        theta = jax.tree.map(lambda leaf: leaf[runs], self._job.theta0)
        begun = compiled_loop.begin(self._job.plan(self._problem, runs), self._job.keep_x, theta)
        return jax.tree.map(np.array, begun)  # type: ignore[no-any-return]

    def _named(self, slots: np.ndarray) -> np.ndarray:
        """Return the runs of the slots; an empty one repeats a run of the worker, whose numbers are not used."""
        return np.where(slots >= 0, slots, self._new[0][0])

    def _relieve(self, worker: Snapshot) -> None:
        """Take out runs that have ended, and give their slots to runs that wait, some of which may end at once."""
        while True:
            for slot in np.flatnonzero((worker.slots >= 0) & (worker.state.status != RUNNING)):
                worker.ended[int(worker.slots[slot])] = configuration_of(worker.state, int(slot))
                worker.slots[slot] = -1
            free = np.flatnonzero(worker.slots < 0)[: len(worker.waiting)]
            if not free.size:
                return
            worker.slots[free] = worker.waiting[: free.size]
            worker.waiting = worker.waiting[free.size :]
            for old, new in zip(
                *map(jax.tree.leaves, (worker.state, self._fresh(self._named(worker.slots)))), strict=True
            ):
                old[free] = new[free]

    def _fit(self, worker: Snapshot) -> None:
        """Shrink a worker for which no run waits, once it has lasted: a smaller one is compiled first."""
        held = np.flatnonzero(worker.slots >= 0)
        size = self._processor.size_for(max(len(held), 1))
        if worker.waiting or worker.rounds < LASTING or size == len(worker.slots):
            return
        logger.debug("worker of problem %d goes on with %d slots for %d runs", self._problem, size, len(held))
        rows = np.pad(held, (0, size - len(held)), mode="edge") if held.size else np.zeros(size, int)
        worker.slots, worker.rounds = np.where(np.arange(size) < len(held), worker.slots[rows], -1), 0
        worker.state = jax.tree.map(lambda leaf: leaf[rows], worker.state)
        worker.state.status[len(held) :] = Status.INTERRUPTED

    def _advance(self, worker: Snapshot) -> None:
        """Let the compiled loop run until it is time to look at the worker again."""
        size = len(worker.slots)
        if worker.waiting:
            low = 4 * size // 5
        elif worker.rounds + 1 >= LASTING:
            sizes = self._processor.sizes
            low = sizes[sizes.index(size) - 1] if size > sizes[0] else 0
        else:
            low = 0
        plan = self._job.plan(self._problem, self._named(worker.slots))
        before = int(worker.state.trials.sum())
        _, m, n = plan.data.A.shape
        turns = self._processor.turns(m, n, size)
        low = min(low, worker.running - 1)
        made, state = compiled_loop.advance(plan, jnp.asarray(turns), jnp.asarray(low), worker.state)
        worker.state = jax.tree.map(np.array, state)
        worker.worked += int(worker.state.trials.sum()) - before
        worker.offered += int(made) * size
        worker.rounds += 1


def configuration_of(state: State, slot: int) -> Ended:
    """Return what a slot holds."""
    count = int(state.records.count[slot])
    rows = state.records._replace(count=None)
    return Ended(
        theta=jax.tree.map(lambda leaf: leaf[slot].copy(), state.theta),
        steps=int(state.steps[slot]),
        trials=int(state.trials[slot]),
        status=int(state.status[slot]),
        loss=float(state.loss[slot]),
        records=jax.tree.map(lambda values: values[slot, :count].copy(), rows),
    )
