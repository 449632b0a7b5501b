"""States of workers as arrays: restored exactly, and refused if anything does not fit."""

import jax
import numpy as np
import pytest

from polarbias.descent.compiled_loop import RUNNING, LoopState, Records
from polarbias.descent.worker_state import WorkerState, from_arrays, run_state
from polarbias.networks import Polar

N, ROOM = 4, 7


def loop(slots):
    rng = np.random.default_rng(slots)

    def numbers(*shape):
        return rng.random((slots, *shape))

    def integers():
        return rng.integers(0, ROOM, slots)

    records = Records(1 + integers(), rng.integers(0, 99, (slots, ROOM)), numbers(ROOM, 3), numbers(ROOM, N))
    theta, direction = Polar(numbers(), numbers(N)), Polar(numbers(), numbers(N))
    status = np.array([RUNNING, 0] * slots)[:slots]
    return LoopState(
        theta, direction, numbers(), numbers(), numbers(), integers(), integers(), integers(), status, records
    )


@pytest.fixture
def worker():
    old = loop(5)
    ended = {run: run_state(old, slot) for slot, run in enumerate([9, 2, 4])}
    return WorkerState(np.array([7, -1, 3]), [8, 1], ended, loop(3), rounds=2, trials=30, capacity=40)


RUNS = [1, 2, 3, 4, 7, 8, 9]


def test_a_state_is_restored_exactly(worker):
    for waiting, ended in ((worker.waiting, worker.ended), ([8, 1, 9, 2, 4], {})):
        worker.waiting, worker.ended = waiting, ended
        restored = from_arrays(worker.to_arrays(), loop(1), RUNS)
        assert (restored.waiting, list(restored.ended)) == (waiting, list(ended))
        assert (restored.rounds, restored.trials, restored.capacity) == (2, 30, 40)
        assert restored.progress() == worker.progress()
        trees = [(state.slots, state.loop, [vars(end) for end in state.ended.values()]) for state in (worker, restored)]
        jax.tree.map(np.testing.assert_array_equal, *trees)


def test_counts_of_runs(worker):
    assert worker.running == 2
    assert not worker.finished
    assert sorted(worker.present()) == [3, 7]
    assert sorted(run for run, *_ in worker.progress()) == [2, 3, 4, 7, 9]
    worker.loop.status[:] = 0
    assert not worker.finished
    worker.waiting = []
    assert worker.finished


def test_arrays_that_do_not_fit_are_refused(worker):
    arrays = worker.to_arrays()
    for name, array in arrays.items():
        for changed in (None, array[:-1], array.astype(np.float32), array[None]):
            altered = {key: value for key, value in arrays.items() if key != name}
            if changed is not None:
                altered[name] = changed
            with pytest.raises(ValueError, match=r"no array|other runs"):
                from_arrays(altered, loop(1), RUNS)
    with pytest.raises(ValueError, match="other runs"):
        from_arrays(arrays, loop(1), RUNS[1:])
