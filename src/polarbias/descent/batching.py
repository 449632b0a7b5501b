"""Batch workers: the runs of one problem share a few slots of the compiled loop; finished runs make room for others.

The run, slot and turn of each piece of work depend on the runs alone, not on time or threads, so that equal calls
give equal bits, with or without an interruption and a continuation from a checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from polarbias.descent import compiled_loop
from polarbias.descent.compiled_loop import RUNNING, LoopInputs, LoopState, Thresholds
from polarbias.descent.options import DescentOptions, DeviceShape
from polarbias.descent.step_size import StepSize
from polarbias.descent.vector_field import JaxProblem
from polarbias.descent.worker_state import RunState, WorkerState, from_arrays, run_state
from polarbias.networks import Network
from polarbias.solution import Status

logger = logging.getLogger(__name__)


class DescentBatch(NamedTuple):
    """The runs of one call of `gradient_descent`, numbered through the flattened batch."""

    problem: Callable[[int], JaxProblem]
    network: Network
    step: StepSize
    thresholds: Thresholds
    schedule: np.ndarray
    theta0: Any  # leaves of shape (runs, ...)
    batch_shape: tuple[int, ...]
    keep_x: bool
    shape: DeviceShape
    threads: int
    options: DescentOptions

    def inputs(self, problem: int, runs: np.ndarray) -> LoopInputs:
        """Return the constants of the loop for slots that hold these runs."""

        def select(values: Any) -> Any:
            # A value that all runs share stays a scalar, which costs nothing.
            return values if np.ndim(values) == 0 else np.broadcast_to(values, self.batch_shape).reshape(-1)[runs]

        return LoopInputs(
            self.problem(problem),
            self.network.of_runs(select),
            jax.tree.map(select, self.step),
            jax.tree.map(select, self.thresholds),
            jnp.asarray(self.schedule),
        )


def assign_runs(shape: DeviceShape, problems: int, runs: int) -> list[tuple[int, np.ndarray]]:
    """Return the problem and the runs of every worker."""
    each = runs // problems
    workers = min(-(-each // shape.slots), max(1, shape.workers // problems))
    return [(t, np.arange(t * each + k, (t + 1) * each, workers)) for t in range(problems) for k in range(workers)]


class BatchWorker:
    """One worker: some runs of one problem in a fixed number of slots.

    Parameters
    ----------
    batch
        All runs of the call.
    problem
        Number of the worker's problem.
    runs
        Numbers of its runs.
    """

    def __init__(self, batch: DescentBatch, problem: int, runs: np.ndarray) -> None:
        """Choose the number of slots such that all rounds have as many runs."""
        self._batch, self._problem, self._shape = batch, problem, batch.shape
        self._runs = [int(run) for run in runs]
        rounds = -(-len(runs) // self._shape.slots)
        self._size = self._shape.size_for(-(-len(runs) // rounds))

    def run(
        self, state: WorkerState | None, after_call: Callable[[WorkerState], object], stop: Callable[[], bool]
    ) -> WorkerState:
        """Continue from ``state``, or start, until all runs have ended or ``stop`` returns True.

        ``after_call`` receives the state after each call of the compiled loop and must not store it.
        """
        worker = self._initial() if state is None else state
        while not (worker.finished or stop()):
            self._refill(worker)
            self._shrink(worker)
            if worker.running:
                with self._shape.permits:
                    self._advance(worker)
                after_call(worker)
        return worker

    def restore(self, arrays: dict[str, np.ndarray]) -> WorkerState:
        """Return the state that `WorkerState.to_arrays` converted.

        Raises
        ------
        ValueError
            The arrays are not those of this worker.
        """
        theta = jax.tree.map(lambda leaf: leaf[self._runs[:1]], self._batch.theta0)
        inputs = self._batch.inputs(self._problem, np.array(self._runs[:1]))
        template = jax.eval_shape(lambda start: compiled_loop.initial_state(inputs, self._batch.keep_x, start), theta)
        worker = from_arrays(arrays, template, self._runs)
        if len(worker.slots) not in self._shape.sizes:
            raise ValueError(f"{len(worker.slots)} slots")
        return worker

    def final_states(self, worker: WorkerState) -> dict[int, RunState]:
        """Return the states of all runs; runs that still wait are at their starts."""
        found = {**worker.ended, **worker.present()}
        for first in range(0, len(worker.waiting), len(worker.slots)):
            runs = np.resize(worker.waiting[first : first + len(worker.slots)], len(worker.slots))
            loop = self._starting_state(runs)
            found.update({int(run): run_state(loop, slot) for slot, run in enumerate(runs)})
        return found

    def _initial(self) -> WorkerState:
        loop = self._starting_state(np.full(self._size, self._runs[0]))
        loop.status[:] = Status.INTERRUPTED  # the slots are empty
        worker = WorkerState(np.full(self._size, -1), list(self._runs), {}, loop)
        self._refill(worker)
        return worker

    def _starting_state(self, runs: np.ndarray) -> LoopState:
        """Return the state of slots with these runs at their starts."""
        theta = jax.tree.map(lambda leaf: leaf[runs], self._batch.theta0)
        started = compiled_loop.initial_state(self._batch.inputs(self._problem, runs), self._batch.keep_x, theta)
        return jax.tree.map(np.array, started)  # type: ignore[no-any-return]

    def _filled(self, slots: np.ndarray) -> np.ndarray:
        """Return the runs of the slots, with any run of the worker in empty slots, whose results are not used."""
        return np.where(slots >= 0, slots, self._runs[0])

    def _refill(self, worker: WorkerState) -> None:
        """Refill the slots of ended runs from the queue, repeatedly, since a run may end at its start."""
        while True:
            for slot in np.flatnonzero((worker.slots >= 0) & (worker.loop.status != RUNNING)):
                worker.ended[int(worker.slots[slot])] = run_state(worker.loop, int(slot))
                worker.slots[slot] = -1
            free = np.flatnonzero(worker.slots < 0)[: len(worker.waiting)]
            if not free.size:
                return
            worker.slots[free] = worker.waiting[: free.size]
            worker.waiting = worker.waiting[free.size :]
            started = self._starting_state(self._filled(worker.slots))
            for old, new in zip(jax.tree.leaves(worker.loop), jax.tree.leaves(started), strict=True):
                old[free] = new[free]

    def _shrink(self, worker: WorkerState) -> None:
        """Reduce the number of slots if no run waits and the worker is old enough to be worth a compilation."""
        present = np.flatnonzero(worker.slots >= 0)
        size = self._shape.size_for(max(len(present), 1))
        young = worker.rounds < self._batch.options.calls_before_shrinking
        if worker.waiting or young or size == len(worker.slots):
            return
        logger.debug("worker of problem %d shrinks to %d slots for %d runs", self._problem, size, len(present))
        rows = np.pad(present, (0, size - len(present)), mode="edge") if present.size else np.zeros(size, int)
        worker.slots, worker.rounds = np.where(np.arange(size) < len(present), worker.slots[rows], -1), 0
        worker.loop = jax.tree.map(lambda leaf: leaf[rows], worker.loop)
        worker.loop.status[len(present) :] = Status.INTERRUPTED

    def _target(self, worker: WorkerState) -> int:
        """Return the number of running runs at which the slots should be refilled or reduced."""
        size, sizes, options = len(worker.slots), self._shape.sizes, self._batch.options
        target = 0
        if worker.waiting:
            target = int(options.refill_share * size)
        elif worker.rounds + 1 >= options.calls_before_shrinking and size > sizes[0]:
            target = sizes[sizes.index(size) - 1]
        return min(target, worker.running - 1)

    def _advance(self, worker: WorkerState) -> None:
        """Call the compiled loop once."""
        size = len(worker.slots)
        inputs = self._batch.inputs(self._problem, self._filled(worker.slots))
        before = int(worker.loop.trials.sum())
        _, m, n = inputs.problem.A.shape
        turns, target = self._shape.turns(m, n, size), self._target(worker)
        made, loop = compiled_loop.advance(inputs, jnp.asarray(turns), jnp.asarray(target), worker.loop)
        worker.loop = jax.tree.map(np.array, loop)
        worker.trials += int(worker.loop.trials.sum()) - before
        worker.capacity += int(made) * size
        worker.rounds += 1
