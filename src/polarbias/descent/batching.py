"""Batch workers: the runs of one problem share a few slots of the compiled loop; finished runs make room for others.

The run, slot and turn of each piece of work depend on the runs alone, not on time or threads, so that equal calls
give equal bits, with or without an interruption and a continuation from a checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from polarbias.descent import compiled_loop
from polarbias.descent.compiled_loop import RUNNING, LoopInputs, LoopState, Records, Thresholds
from polarbias.descent.options import DescentOptions, DeviceShape
from polarbias.descent.step_size import StepSize
from polarbias.descent.vector_field import JaxProblem
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
    state: LoopState  # NumPy arrays; the leading axis is the run
    batch_shape: tuple[int, ...]
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


def waiting_state(theta0: Any, dtype: np.dtype[Any], records: int, n: int | None) -> LoopState:
    """Return the state of runs that wait, with space for records; ``n`` is the size of signals to keep, or None."""
    runs = len(jax.tree.leaves(theta0)[0])

    def zeros(*shape: int, of: Any = dtype) -> np.ndarray:
        return np.zeros((runs, *shape), of)

    return LoopState(
        theta=jax.tree.map(np.array, theta0),
        direction=jax.tree.map(np.zeros_like, theta0),
        slope=zeros(),
        loss=np.full(runs, np.nan, dtype),
        dt=zeros(),
        steps=zeros(of=np.int64),
        trials=zeros(of=np.int64),
        rejections=zeros(of=np.int64),
        status=np.full(runs, RUNNING),
        count=zeros(of=np.int64),
        records=Records(zeros(records, of=np.int64), zeros(records, 3), None if n is None else zeros(records, n)),
    )


def assign_runs(shape: DeviceShape, problems: int, runs: int) -> list[tuple[int, np.ndarray]]:
    """Return the problem and the runs of every worker."""
    each = runs // problems
    workers = min(-(-each // shape.slots), max(1, shape.workers // problems))
    return [(t, np.arange(t * each + k, (t + 1) * each, workers)) for t in range(problems) for k in range(workers)]


class BatchWorker:
    """One worker: some runs of one problem in a few slots."""

    def __init__(self, batch: DescentBatch, problem: int, runs: np.ndarray) -> None:
        """Write the states of the runs at their starts, for as many slots that all rounds have as many runs."""
        self._batch, self._problem, self._runs = batch, problem, runs
        self._loop: LoopState | None = None
        # Calls at the present number of slots, trials of all runs, trials that all slots could have made.
        self._calls = self.trials = self.capacity = 0
        rounds = -(-len(runs) // batch.shape.slots)
        size = batch.shape.size_for(-(-len(runs) // rounds))
        self.slots = np.full(size, -1)  # run of each slot, -1 if there has been none
        for first in range(0, len(runs), size):
            slots = np.resize(runs[first : first + size], size)
            theta = jax.tree.map(lambda leaf, slots=slots: leaf[slots], batch.state.theta)
            keep_x = batch.state.records.x is not None
            self._store(slots, compiled_loop.initial_state(batch.inputs(problem, slots), keep_x, theta))

    @property
    def running(self) -> np.ndarray:
        """Runs that have not ended."""
        running: np.ndarray = self._runs[self._batch.state.status[self._runs] == RUNNING]
        return running

    def run(self, after_call: Callable[[], object], stop: Callable[[], bool]) -> None:
        """Continue, with ``after_call`` after each call of the compiled loop, until all runs end or ``stop()``."""
        while self.running.size and not stop():
            self._assign_slots()
            with self._batch.shape.permits:
                self._advance()
            after_call()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return arrays by name from which `restore` continues."""
        count = int(self._batch.state.count[self._runs].max())
        states = {f"state{k}": leaf[self._runs] for k, leaf in enumerate(_written(self._batch.state, count))}
        return {"slots": self.slots, "counts": np.array([count, self._calls, self.trials, self.capacity]), **states}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from the state that `to_arrays` converted."""
        self.slots = arrays["slots"]
        count, self._calls, self.trials, self.capacity = arrays["counts"].tolist()
        for k, leaf in enumerate(_written(self._batch.state, count)):
            leaf[self._runs] = arrays[f"state{k}"]

    def _store(self, slots: np.ndarray, loop: LoopState) -> None:
        """Store the states of the runs in the slots."""
        held, count = slots >= 0, int(np.asarray(loop.count).max())
        for own, new in zip(_written(self._batch.state, count), _written(loop, count), strict=True):
            own[slots[held]] = new[held]

    def _assign_slots(self) -> None:
        """Refill the slots of ended runs, or reduce their number if no run waits and a compilation is worth it."""
        batch, running = self._batch, self.running
        busy, waiting = np.isin(self.slots, running), np.setdiff1d(running, self.slots)
        size, young = batch.shape.size_for(busy.sum()), self._calls < batch.options.calls_before_shrinking
        slots = self.slots.copy()
        if waiting.size:
            free = np.flatnonzero(~busy)[: waiting.size]
            slots[free] = waiting[: free.size]
        elif size < slots.size and not young:
            logger.debug("worker of problem %d shrinks to %d slots for %d runs", self._problem, size, busy.sum())
            slots, self._calls = np.pad(slots[busy], (0, size - busy.sum()), constant_values=-1), 0
        if self._loop is None or not np.array_equal(slots, self.slots):
            self.slots, loop = slots, jax.tree.map(lambda leaf: leaf[slots], batch.state)
            loop.status[slots < 0] = Status.INTERRUPTED
            self._loop = loop

    def _advance(self) -> None:
        """Call the compiled loop once, until so few runs are left that slots should be refilled or reduced."""
        assert self._loop is not None
        shape, options, size = self._batch.shape, self._batch.options, self.slots.size
        inputs = self._batch.inputs(self._problem, np.where(self.slots < 0, self._runs[0], self.slots))
        running, target = np.isin(self.running, self.slots), 0
        if not running.all():
            target = int(options.refill_share * size)
        elif self._calls + 1 >= options.calls_before_shrinking and size > shape.sizes[0]:
            target = shape.sizes[shape.sizes.index(size) - 1]
        target = min(target, int(running.sum()) - 1)
        _, m, n = inputs.problem.A.shape
        turns, before = shape.turns(m, n, size), np.asarray(self._loop.trials).sum()
        made, self._loop = compiled_loop.advance(inputs, jnp.asarray(turns), jnp.asarray(target), self._loop)
        self._store(self.slots, self._loop)
        self.trials += int(np.asarray(self._loop.trials).sum() - before)
        self.capacity += int(made) * size
        self._calls += 1


def _written(state: LoopState, count: int) -> list[np.ndarray]:
    """Return the arrays of a state, views with the first ``count`` records."""
    whole = jax.tree.map(np.asarray, state)
    return jax.tree.leaves(whole._replace(records=jax.tree.map(lambda rows: rows[:, :count], whole.records)))
