"""Minima, single and in batches."""

import copy
import pickle

import numpy as np
import pytest

import polarbias as pb


def test_one_minimum():
    best = pb.minimal_l1(pb.LinearProblem([[1.0, 2.0]], [1.0]))
    with pytest.raises(AttributeError):
        best.value = 1.0
    assert repr(best) == "Minimum(value=0.5, gap=0.0e+00)"
    assert best.feasible
    for other in (copy.deepcopy(best), pickle.loads(pickle.dumps(best))):
        assert other.value == best.value
        assert np.array_equal(other.x, best.x)
    with pytest.raises(pb.InvalidInput, match="single item"):
        best[0]


def test_a_batch():
    problems = [pb.gaussian_problem(9, 5, 15, trial=trial) for trial in range(4)]
    batch = pb.stack([pb.stack(problems[:2]), pb.stack(problems[2:])])
    for minimize in (pb.minimal_l1, pb.minimal_l2):
        best = minimize(batch)
        assert best.value.shape == best.gap.shape == best.residual.shape == best.batch_shape == (2, 2)
        for trial, problem in enumerate(problems):
            one, alone = best[divmod(trial, 2)], minimize(problem)
            assert one.value == alone.value
            np.testing.assert_array_equal(one.x, alone.x)
            np.testing.assert_array_equal(one.dual, alone.dual)
            assert one.farkas is None


def test_a_batch_with_infeasible_problems():
    batch = pb.minimal_l1(pb.LinearProblem(np.ones((2, 1, 3)), [[1.0], [-1.0]]), nonnegative=True)
    assert repr(batch) == "Minimum(batch_shape=(2,), largest gap=0.0e+00, 1 infeasible)"
    assert batch.feasible.tolist() == [True, False]
    assert repr(batch[1]) == "Minimum(infeasible)"
    assert batch[0].farkas is None
    np.testing.assert_allclose(batch[1].farkas, [-1])
    np.testing.assert_allclose(batch.farkas, [[np.nan], [-1]])
    feasible = pb.minimal_l1(pb.LinearProblem(np.ones((2, 1, 3)), [[1.0], [-1.0]]))
    assert feasible.farkas is None
    assert repr(feasible) == "Minimum(batch_shape=(2,), largest gap=0.0e+00)"
