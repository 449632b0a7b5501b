"""State of a batch worker between two calls of the compiled loop, and its form on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from polarbias.descent.compiled_loop import RUNNING, LoopState, Records


@dataclass(frozen=True)
class RunState:
    """State of one run, ended or not: its part of `LoopState` without unwritten records."""

    theta: Any
    steps: int
    trials: int
    status: int
    loss: float
    records: Records


@dataclass
class WorkerState:
    """Everything that a worker needs to continue.

    Attributes
    ----------
    slots
        Run of each slot, -1 if it is empty.
    waiting
        Runs that have not started, in order.
    ended
        Final states by run.
    loop
        State of the compiled loop.
    rounds
        Calls of the compiled loop at the worker's present size.
    trials, capacity
        Trials of all runs, and trials that all slots could have made in the same turns.
    """

    slots: np.ndarray
    waiting: list[int]
    ended: dict[int, RunState]
    loop: LoopState
    rounds: int = 0
    trials: int = 0
    capacity: int = 0

    @property
    def running(self) -> int:
        """Number of started runs that have not ended."""
        return int((self.loop.status == RUNNING).sum())

    @property
    def finished(self) -> bool:
        """True if all runs have ended."""
        return not (self.waiting or self.running)

    def progress(self) -> list[tuple[int, int, float, int, int]]:
        """Return number, steps, loss, status and trials of every run that has started."""
        loop = self.loop
        columns = (self.slots, loop.steps, loop.loss, loop.status, loop.trials)
        present = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] >= 0]
        return present + [(run, end.steps, end.loss, end.status, end.trials) for run, end in self.ended.items()]

    def present(self) -> dict[int, RunState]:
        """Return the states of the runs in the slots."""
        return {int(run): run_state(self.loop, slot) for slot, run in enumerate(self.slots) if run >= 0}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return arrays by name from which `from_arrays` restores the state."""
        ends = list(self.ended.values())
        arrays = {
            "slots": self.slots,
            "waiting": np.array(self.waiting, np.int64),
            "counters": np.array([self.rounds, self.trials, self.capacity], np.int64),
            "ended": np.array(list(self.ended), np.int64),
            "integers": np.array([_integers(end) for end in ends], np.int64).reshape((-1, 4)),
            "loss": np.array([end.loss for end in ends], np.float64),
            **_leaves("loop", self.loop),
        }
        if ends:
            theta = jax.tree.map(lambda *leaves: np.stack(leaves), *(end.theta for end in ends))
            records = jax.tree.map(lambda *parts: np.concatenate(parts), *(end.records for end in ends))
            arrays |= _leaves("theta", theta) | _leaves("records", records)
        return arrays


def run_state(loop: LoopState, slot: int) -> RunState:
    """Return the state of the run in a slot."""
    count = int(loop.records.count[slot])
    return RunState(
        theta=jax.tree.map(lambda leaf: leaf[slot].copy(), loop.theta),
        steps=int(loop.steps[slot]),
        trials=int(loop.trials[slot]),
        status=int(loop.status[slot]),
        loss=float(loop.loss[slot]),
        records=jax.tree.map(lambda values: values[slot, :count].copy(), loop.records._replace(count=None)),
    )


def from_arrays(arrays: Mapping[str, np.ndarray], template: LoopState, runs: Sequence[int]) -> WorkerState:
    """Restore the state of a worker of these runs.

    ``template`` has the structure, types and shapes of the loop's state, except for the number of slots.

    Raises
    ------
    ValueError
        The arrays do not fit, or one is missing.
    """

    def read(name: str, shape: tuple[int, ...], dtype: Any = np.int64) -> np.ndarray:
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.shape != shape:
            raise ValueError(f"no array {name} of shape {shape} and type {dtype}")
        return array

    def read_tree(name: str, tree: Any, lead: tuple[int, ...], replaced: int) -> Any:
        """Return arrays of the shapes in ``tree``, whose first ``replaced`` axes are ``lead`` instead."""
        leaves, structure = jax.tree.flatten(tree)
        shapes = [(*lead, *leaf.shape[replaced:]) for leaf in leaves]
        found = [
            read(f"{name}.{k}", shape, leaf.dtype) for k, (shape, leaf) in enumerate(zip(shapes, leaves, strict=True))
        ]
        return jax.tree.unflatten(structure, found)

    slots, waiting, ended = (
        read(name, (np.size(arrays.get(name, ())),)).tolist() for name in ("slots", "waiting", "ended")
    )
    if sorted([run for run in slots if run >= 0] + waiting + ended) != sorted(runs):
        raise ValueError("the state of other runs")
    worker = WorkerState(
        np.array(slots), waiting, {}, read_tree("loop", template, (len(slots),), 1), *read("counters", (3,)).tolist()
    )
    if ended:
        integers, loss = read("integers", (len(ended), 4)).tolist(), read("loss", (len(ended),), np.float64).tolist()
        ends = np.cumsum([count for *_, count in integers])
        theta = read_tree("theta", template.theta, (len(ended),), 1)
        records = read_tree("records", template.records._replace(count=None), (int(ends[-1]),), 2)
        for k, (run, (steps, trials, status, count)) in enumerate(zip(ended, integers, strict=True)):
            rows = slice(ends[k] - count, ends[k])
            worker.ended[run] = RunState(
                theta=jax.tree.map(lambda leaf, k=k: leaf[k], theta),
                steps=steps,
                trials=trials,
                status=status,
                loss=loss[k],
                records=jax.tree.map(lambda values, rows=rows: values[rows], records),
            )
    return worker


def _integers(end: RunState) -> tuple[int, int, int, int]:
    return end.steps, end.trials, end.status, len(end.records.step)


def _leaves(name: str, tree: Any) -> dict[str, np.ndarray]:
    return {f"{name}.{number}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}
