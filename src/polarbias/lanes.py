"""Lanes: the chains of one problem share a few slots of the compiled loop, and other chains follow those that end.

Which chain works in which slot at which turn depends on the chains alone, not on time or threads, so that equal calls
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

from polarbias import descent_loop
from polarbias.descent_loop import RUNNING, Limits, Plan, Records, State
from polarbias.dynamics import Data
from polarbias.parameterization import Network
from polarbias.processor import Processor
from polarbias.solution import Status
from polarbias.step_size import StepSize

logger = logging.getLogger(__name__)

LASTING = 4
"""Calls of the compiled loop after which a lane is worth compiling a smaller size for."""


class Job(NamedTuple):
    """What the lanes of a call have in common; chains are numbered through the flattened batch."""

    data: Callable[[int], Data]
    network: Network
    step: StepSize
    limits: Limits
    schedule: np.ndarray
    theta0: Any  # leaves of shape (chains, ...)
    batch_shape: tuple[int, ...]
    keep_x: bool
    processor: Processor
    threads: int

    def plan(self, problem: int, chains: np.ndarray) -> Plan:
        """Return the plan of slots that hold these chains."""

        def select(values: Any) -> Any:
            # What all chains share stays a scalar, which costs nothing.
            return values if np.ndim(values) == 0 else np.broadcast_to(values, self.batch_shape).reshape(-1)[chains]

        return Plan(
            self.data(problem),
            self.network.of_chains(select),
            jax.tree.map(select, self.step),
            jax.tree.map(select, self.limits),
            jnp.asarray(self.schedule),
        )


@dataclass(frozen=True)
class Ended:
    """State of one chain, ended or not: what `State` holds for it, with as many records as are written."""

    theta: Any
    steps: int
    trials: int
    status: int
    loss: float
    records: Records


@dataclass
class Snapshot:
    """All that a lane needs to go on: what its slots hold (-1: nothing), who waits, and who has ended."""

    slots: np.ndarray
    waiting: list[int]
    ended: dict[int, Ended]
    state: State
    rounds: int = 0
    """Returns from the compiled loop since the lane took its present size."""
    worked: int = 0
    """Trials of all chains ..."""
    offered: int = 0
    """... and those that its slots could have made in the same turns."""

    @property
    def over(self) -> bool:
        """Whether all chains have ended."""
        return not (self.waiting or self.running)

    @property
    def running(self) -> int:
        """Number of chains that have not ended."""
        return int((self.state.status == RUNNING).sum())

    def told(self) -> list[tuple[int, int, float, int, int]]:
        """Return number, steps, loss, status and trials of all chains but those that wait."""
        state = self.state
        columns = (self.slots, state.steps, state.loss, state.status, state.trials)
        held = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] >= 0]
        return held + [(chain, end.steps, end.loss, end.status, end.trials) for chain, end in self.ended.items()]

    def held(self) -> dict[int, Ended]:
        """Return the states of the chains in the slots."""
        return {int(chain): chain_of(self.state, slot) for slot, chain in enumerate(self.slots) if chain >= 0}


def split(processor: Processor, problems: int, chains: int) -> list[tuple[int, np.ndarray]]:
    """Return the problem and the chains of every lane."""
    each = chains // problems
    lanes = min(-(-each // processor.slots), max(1, processor.lanes // problems))
    return [(t, np.arange(t * each + k, (t + 1) * each, lanes)) for t in range(problems) for k in range(lanes)]


class Lane:
    """Runs the chains of one lane.

    Parameters
    ----------
    job
        What it has in common with others.
    problem
        Number of its problem.
    chains
        Its chains, longest first if that is known.
    """

    def __init__(self, job: Job, problem: int, chains: np.ndarray) -> None:
        """Keep the arguments; `run` begins."""
        self._job, self._problem, self._processor = job, problem, job.processor
        count = len(chains)
        rounds = -(-count // self._processor.slots)
        size = self._processor.size_for(-(-count // rounds))  # so that all rounds have as many
        self._new = [int(chain) for chain in chains], size

    def run(
        self, found: Snapshot | None, after_call: Callable[[Snapshot], object], enough: Callable[[], bool]
    ) -> Snapshot:
        """Go on from ``found``, or begin, until all chains have ended or ``enough`` says so.

        ``after_call`` sees the lane each time the compiled loop returns, and must not keep it.
        """
        lane = self._begun() if found is None else found
        while not (lane.over or enough()):
            self._relieve(lane)
            self._fit(lane)
            if lane.running:
                with self._processor.permits:
                    self._advance(lane)
                after_call(lane)
        return lane

    def ends(self, lane: Snapshot) -> dict[int, Ended]:
        """Return the states of all chains; those that were not reached have yet to take their first step."""
        found = {**lane.ended, **lane.held()}
        for first in range(0, len(lane.waiting), len(lane.slots)):
            chains = np.resize(lane.waiting[first : first + len(lane.slots)], len(lane.slots))
            state = self._fresh(chains)
            found.update({int(chain): chain_of(state, slot) for slot, chain in enumerate(chains)})
        return found

    def _begun(self) -> Snapshot:
        chains, size = self._new
        state = self._fresh(np.full(size, chains[0]))
        state.status[:] = Status.INTERRUPTED  # of slots that hold nothing
        lane = Snapshot(np.full(size, -1), chains, {}, state)
        self._relieve(lane)
        return lane

    def _fresh(self, chains: np.ndarray) -> State:
        """Return the state of slots whose chains begin."""
        theta = jax.tree.map(lambda leaf: leaf[chains], self._job.theta0)
        begun = descent_loop.begin(self._job.plan(self._problem, chains), self._job.keep_x, theta)
        return jax.tree.map(np.array, begun)  # type: ignore[no-any-return]

    def _named(self, slots: np.ndarray) -> np.ndarray:
        """Return the chains of the slots; an empty one repeats a chain of the lane, whose numbers are not used."""
        return np.where(slots >= 0, slots, self._new[0][0])

    def _relieve(self, lane: Snapshot) -> None:
        """Take out chains that have ended, and give their slots to chains that wait, some of which may end at once."""
        while True:
            for slot in np.flatnonzero((lane.slots >= 0) & (lane.state.status != RUNNING)):
                lane.ended[int(lane.slots[slot])] = chain_of(lane.state, int(slot))
                lane.slots[slot] = -1
            free = np.flatnonzero(lane.slots < 0)[: len(lane.waiting)]
            if not free.size:
                return
            lane.slots[free] = lane.waiting[: free.size]
            lane.waiting = lane.waiting[free.size :]
            for old, new in zip(*map(jax.tree.leaves, (lane.state, self._fresh(self._named(lane.slots)))), strict=True):
                old[free] = new[free]

    def _fit(self, lane: Snapshot) -> None:
        """Shrink a lane for which no chain waits, once it has lasted: a smaller one is compiled first."""
        held = np.flatnonzero(lane.slots >= 0)
        size = self._processor.size_for(max(len(held), 1))
        if lane.waiting or lane.rounds < LASTING or size == len(lane.slots):
            return
        logger.debug("lane of problem %d goes on with %d slots for %d chains", self._problem, size, len(held))
        rows = np.pad(held, (0, size - len(held)), mode="edge") if held.size else np.zeros(size, int)
        lane.slots, lane.rounds = np.where(np.arange(size) < len(held), lane.slots[rows], -1), 0
        lane.state = jax.tree.map(lambda leaf: leaf[rows], lane.state)
        lane.state.status[len(held) :] = Status.INTERRUPTED

    def _advance(self, lane: Snapshot) -> None:
        """Let the compiled loop run until it is time to look at the lane again."""
        size = len(lane.slots)
        if lane.waiting:
            low = 4 * size // 5
        elif lane.rounds + 1 >= LASTING:
            sizes = self._processor.sizes
            low = sizes[sizes.index(size) - 1] if size > sizes[0] else 0
        else:
            low = 0
        plan = self._job.plan(self._problem, self._named(lane.slots))
        before = int(lane.state.trials.sum())
        _, m, n = plan.data.A.shape
        turns = self._processor.turns(m, n, size)
        low = min(low, lane.running - 1)
        made, state = descent_loop.advance(plan, jnp.asarray(turns), jnp.asarray(low), lane.state)
        lane.state = jax.tree.map(np.array, state)
        lane.worked += int(lane.state.trials.sum()) - before
        lane.offered += int(made) * size
        lane.rounds += 1


def chain_of(state: State, slot: int) -> Ended:
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
