"""Results of one and of many right-hand sides."""

import pickle

import numpy as np
import pytest

from polarbias import PursuitStatus as Status
from polarbias.recovery.result import Pursuit, stacked

ONE = Pursuit(np.array([0.0, 2.0]), np.array([0.5]), 2.0, 1e-3, 1e-4, 0.0, Status.STEP_LIMIT, 7, ("a", "b"))
NONE = Pursuit(
    np.full(2, np.nan), np.full(1, np.nan), np.inf, np.nan, np.nan, np.nan, Status.INFEASIBLE, 3, (), np.array([1.0])
)


def test_one_solution():
    assert repr(ONE) == "Pursuit(step_limit, value=2, 1 of 2 entries, gap=1.0e-03, residual=1.0e-04, steps=7)"
    assert list(ONE.support) == [1]
    assert ONE.message.startswith("max_steps is reached")
    assert ONE.batch_shape == ()
    assert repr(pickle.loads(pickle.dumps(ONE))) == repr(ONE)
    for bad in (len, lambda one: one[0], list):
        with pytest.raises(TypeError, match="one solution"):
            bad(ONE)
    assert NONE.support.size == 0


def test_a_batch():
    both = stacked([ONE, NONE])
    assert repr(both) == "Pursuit(batch_shape=(2,), 1 x infeasible, 1 x step_limit)"
    assert (len(both), both.x.shape, both.farkas.shape) == (2, (2, 2), (2, 1))
    assert both.message == (ONE.message, NONE.message)
    first, second = both
    assert repr(first) == repr(ONE)
    assert (first.farkas, first.history, first.steps) == (None, ("a", "b"), 7)
    assert second.status is Status.INFEASIBLE
    np.testing.assert_array_equal(second.farkas, [1])
    assert [list(support) for support in both.support] == [[1], []]
    assert (type(first.value), type(first.steps)) == (float, int)
