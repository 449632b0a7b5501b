"""Trajectories of flows: records as arrays, states at any time, batches."""

import pickle

import numpy as np
import pytest

import polarbias as pb
from flow_cases import N, random_problem

NETWORK = pb.WeightNormalization(pb.HadamardPower(2), 0.5)


@pytest.mark.parametrize("full", [False, True])
def test_records_are_arrays_at_the_accepted_times(full):
    problem, direction = random_problem(3)
    flow = pb.gradient_flow(problem, NETWORK, NETWORK.init(1.0, direction), t_end=2.0, full=full)
    path = flow.trajectory
    assert len(path) == path.time.size == flow.steps + 1
    assert (path.time[0], path.time[-1]) == (0.0, 2.0)
    assert (np.diff(path.time) > 0).all()
    assert path.x.shape == (len(path), N)
    np.testing.assert_allclose(path.x[-1], flow.x, rtol=1e-12)
    np.testing.assert_allclose(path.r[[0, -1]], [1.0, flow.theta.r], rtol=1e-12)
    np.testing.assert_allclose(path.loss, (problem.residual(path.x) ** 2).sum(-1) / 4, rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(path.l1, path.r**2, rtol=1e-8)
    assert repr(path) == f"FlowTrajectory(batch_shape=(), steps={flow.steps})"


@pytest.mark.parametrize("full", [False, True])
def test_states_at_any_time(full):
    problem, direction = random_problem(2)
    theta0 = NETWORK.init(1.0, direction)
    path = pb.gradient_flow(problem, NETWORK, theta0, t_end=1.0, full=full).trajectory
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(path)).evaluate(0.3).x, path.evaluate(0.3).x)
    np.testing.assert_allclose(path.evaluate(0.0).theta.u, theta0.u, rtol=1e-14)
    states = path.evaluate([[0.1, 0.2, 0.3], [0.4, 0.5, 1.0]])
    assert states.x.shape == states.theta.u.shape == (2, 3, N)
    assert states.r.shape == states.loss.shape == (2, 3)
    np.testing.assert_array_equal(states.log_x[1, 0], path.evaluate(0.4).log_x)
    for t in (-0.1, 1.1, [], np.nan):
        with pytest.raises(pb.InvalidInput):
            path.evaluate(t)


def test_batches_are_their_runs():
    problems = [random_problem(seed)[0] for seed in (1, 2)]
    direction = random_problem(1)[1]
    network = pb.WeightNormalization(pb.HadamardPower(2), np.array([0.3, 1.0, 3.0]))
    theta0 = network.init(np.full((2, 3), 0.8), direction)
    batch = pb.gradient_flow(pb.stack(problems), network, theta0)
    path = batch.trajectory
    assert batch.batch_shape == path.batch_shape == (2, 3)
    assert path.time.shape == path.r.shape == path.l1.shape == path.loss.shape == (2, 3, len(path))
    t = 0.9 * np.nanmax(path.time, -1).min()
    whole = path.evaluate([0.0, t])
    assert whole.x.shape == (2, 3, 2, N)
    for i, j in np.ndindex(2, 3):
        ratio = pb.WeightNormalization(pb.HadamardPower(2), [0.3, 1.0, 3.0][j])
        one = pb.gradient_flow(problems[i], ratio, ratio.init(0.8, direction))
        np.testing.assert_array_equal(batch[i, j].x, one.x)
        np.testing.assert_array_equal(path[i, j].evaluate(t).x, one.trajectory.evaluate(t).x)
        np.testing.assert_array_equal(whole.x[i, j, 1], one.trajectory.evaluate(t).x)
        np.testing.assert_array_equal(path[i, j].time, one.trajectory.time)
        np.testing.assert_array_equal(path.r[i, j, : len(one.trajectory)], one.trajectory.r)
        assert np.isnan(path.r[i, j, len(one.trajectory) :]).all()
    short, full = (
        pb.gradient_flow(pb.stack(problems), network, theta0, t_end=1.0, full=full) for full in (False, True)
    )
    np.testing.assert_allclose(full.x, short.x, atol=1e-6)
