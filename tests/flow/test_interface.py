"""Gradient flow as a function: batches, kinds of matrices, how runs end, bad input."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import nnls
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from polarbias.flow import steps

M, N = 3, 7


def random_problem(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, A @ np.abs(rng.standard_normal(N))), np.abs(rng.standard_normal(N)) + 0.05


def test_batches_are_their_chains():
    problems = [random_problem(seed)[0] for seed in (1, 2)]
    direction = random_problem(1)[1]
    network = pb.WeightNormalization(pb.HadamardPower(2), np.array([0.3, 1.0, 3.0]))
    theta0 = network.init(np.full((2, 3), 0.8), direction)
    batch = pb.gradient_flow(pb.stack(problems), network, theta0)
    assert batch.batch_shape == batch.trajectory.batch_shape == (2, 3)
    t = 0.9 * np.nanmax(batch.trajectory.time, -1).min()
    whole = batch.trajectory.evaluate([0.0, t]).x
    assert whole.shape == (2, 3, 2, N)
    for i, j in np.ndindex(2, 3):
        ratio = pb.WeightNormalization(pb.HadamardPower(2), [0.3, 1.0, 3.0][j])
        one = pb.gradient_flow(problems[i], ratio, ratio.init(0.8, direction))
        np.testing.assert_array_equal(batch[i, j].x, one.x)
        np.testing.assert_array_equal(batch.trajectory[i, j].evaluate(t).x, one.trajectory.evaluate(t).x)
        np.testing.assert_array_equal(whole[i, j, 1], one.trajectory.evaluate(t).x)
        np.testing.assert_array_equal(batch.trajectory[i, j].time, one.trajectory.time)
    short, full = (
        pb.gradient_flow(pb.stack(problems), network, theta0, t_end=1.0, full=full) for full in (False, True)
    )
    np.testing.assert_allclose(full.x, short.x, atol=1e-6)


def test_sparse_matrices_and_operators():
    problem, direction = random_problem(6)
    network = pb.WeightNormalization(pb.HadamardPower(3), 0.5)
    theta0 = network.init(1.0, direction)
    expected = pb.gradient_flow(problem, network, theta0, t_end=3.0).x
    for A in (scipy.sparse.csr_array(problem.A), aslinearoperator(problem.A)):
        other = pb.LinearProblem(A, problem.b)
        np.testing.assert_allclose(pb.gradient_flow(other, network, theta0, t_end=3.0).x, expected, atol=1e-9)
        with pytest.raises(pb.InvalidProblem, match="dense"):
            pb.gradient_flow(other, network, theta0, t_end=3.0, full=True)


def test_scaled_problems_take_the_same_steps():
    problem, direction = random_problem(14)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    theta0 = network.init(1.0, direction)
    expected = pb.gradient_flow(problem, network, theta0, tol=0, rtol=1e-6)
    for c in (1e-8, 1e8):
        scaled = pb.gradient_flow(pb.LinearProblem(c * problem.A, c * problem.b), network, theta0, tol=0, rtol=1e-6)
        assert scaled.status == pb.Status.CONVERGED
        np.testing.assert_allclose(scaled.x, expected.x, atol=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_a_right_hand_side_that_is_not_reached(depth):
    problem = pb.LinearProblem([[1.0, 2.0], [1.0, 2.0], [0.5, -1.0]], [1.0, 2.0, -3.0])
    network = pb.HadamardPower(depth)
    flow = pb.gradient_flow(problem, network, network.init(1.0, [1.0, 1.0]))
    assert flow.status == pb.Status.INFEASIBLE
    assert problem.b @ flow.farkas > 0
    assert (problem.A.T @ flow.farkas).max() < 1e-9
    np.testing.assert_allclose(flow.x, nnls(problem.A, problem.b)[0], atol=1e-6)


def test_ends():
    problem, direction = random_problem(2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    theta0 = network.init(1.0, direction)
    stopped = pb.gradient_flow(problem, network, theta0, t_end=0.25)
    assert stopped.status == pb.Status.MAX_STEPS
    assert stopped.trajectory.time[-1] == 0.25
    assert stopped.steps == len(stopped.trajectory.time) - 1
    on = pb.gradient_flow(problem, network, stopped.theta, t_end=0.5)
    whole = pb.gradient_flow(problem, network, theta0, t_end=0.75)
    np.testing.assert_allclose(on.x, whole.x, atol=1e-7)
    loose = pb.gradient_flow(problem, network, theta0, tol=1e-3)
    assert 1e-5 < loose.loss < 1e-3
    assert loose.trajectory.loss[-2] >= 1e-3
    assert pb.gradient_flow(problem, network, loose.theta, tol=1e-3).steps == 0
    assert pb.gradient_flow(problem, network, loose.theta, tol=1e-3).trajectory.evaluate(0.0).x.shape == (N,)
    assert pb.gradient_flow(problem, network, theta0, keep=False).trajectory is None
    zero = pb.gradient_flow(pb.LinearProblem(problem.A, np.zeros(M)), network, theta0, tol=1e-9)
    assert zero.status == pb.Status.CONVERGED


@pytest.mark.parametrize("full", [False, True])
def test_interruptions(full, monkeypatch):
    problem, direction = random_problem(2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    theta0 = network.init(np.ones(2), direction)
    monkeypatch.setattr(steps, "OPTIONS", replace(steps.OPTIONS, seconds_per_call=0.0))
    seen = []

    def enough(progress):
        seen.append(progress)
        return progress.steps >= 20

    flow = pb.gradient_flow(problem, network, theta0, callback=enough, full=full)
    assert list(flow.status) == [pb.Status.INTERRUPTED] * 2
    assert 20 <= flow.steps[0] <= 25
    assert flow.steps[1] == 0
    assert {progress.index for progress in seen} == {(0,)}
    assert seen[-1].loss < seen[0].loss

    def key(progress):
        if progress.steps >= 20:
            raise KeyboardInterrupt

    again = pb.gradient_flow(problem, network, theta0, callback=key, full=full)
    assert list(again.status) == [pb.Status.INTERRUPTED] * 2
    np.testing.assert_array_equal(again.x, flow.x)
    np.testing.assert_allclose(again.trajectory[0].x[-1], again.x[0], rtol=1e-9)


def test_trajectories_pickle_and_refuse_times_outside():
    problem, direction = random_problem(2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    theta0 = network.init(1.0, direction)
    for full in (False, True):
        path = pb.gradient_flow(problem, network, theta0, t_end=1.0, full=full).trajectory
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(path)).evaluate(0.3).x, path.evaluate(0.3).x)
        np.testing.assert_allclose(path.evaluate(0.0).theta.u, theta0.u, rtol=1e-14)
        for t in (-0.1, 1.1, [], np.nan):
            with pytest.raises(pb.InvalidInput):
                path.evaluate(t)


@pytest.mark.parametrize(
    "options",
    [{"t_end": 0.0}, {"t_end": np.inf}, {"tol": -1.0}, {"tol": 0.0}, {"rtol": np.nan}, {"accuracy": 1.0},
     {"accuracy": 0.0}, {"schedule": 3}, {"callback": 3}],
)  # fmt: skip
def test_bad_options(options):
    problem, direction = random_problem(2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    with pytest.raises(pb.InvalidInput):
        pb.gradient_flow(problem, network, network.init(1.0, direction), **options)


def test_every_step_has_its_own_interpolant():
    segment = steps.DenseOutputSegment(None, np.array([0.0, 1.0, 2.0]), (lambda t: np.array(1), lambda t: np.array(2)))
    assert [int(segment(t)) for t in (0.0, 0.5, 1.0, 1.5, 2.0)] == [1, 1, 1, 2, 2]


def test_a_slow_passage_is_not_an_end():
    """Above depth 2 a tiny entry waits long where the others already rest."""
    problem = pb.LinearProblem(np.eye(2), [1.0, 1.0])
    flow = pb.gradient_flow(problem, pb.HadamardPower(3), pb.Factor(np.array([0.5, 1e-6])))
    assert flow.status == pb.Status.CONVERGED
    np.testing.assert_allclose(flow.x, 1, atol=1e-5)
    assert flow.trajectory.time[-1] > 1e5


class Weighted(pb.HadamardPower):
    """A subclass with another signal, whose flow is not that of its base."""

    def signal_of(self, x):
        return 2 * x**self.degree

    def pullback_of(self, x, cotangent):
        return 2 * self.degree * x ** (self.degree - 1) * cotangent


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: pb.WeightNormalization(inner, 0.5)])
def test_a_subclass_with_another_signal_is_not_taken_for_its_base(wrap):
    problem, direction = random_problem(4)
    network = wrap(Weighted(2))
    theta0 = network.init(0.8, direction)
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-22)
    np.testing.assert_allclose(flow.x, network.signal(flow.theta))
    run = pb.gradient_descent(problem, network, theta0, step=pb.ConstantStep(1e-3), tol=1e-22, max_steps=200_000)
    np.testing.assert_allclose(flow.x, run.x, atol=2e-3)
    for refuse in (pb.flow_limit, pb.verify):
        with pytest.raises(pb.InvalidInput, match="HadamardPower"):
            refuse(problem, network, theta0, *((flow,) if refuse is pb.verify else ()))
    with pytest.raises(pb.InvalidInput, match="a potential belongs to"):
        pb.Potential.of(network)


def test_a_network_of_ones_own_may_hold_an_array():
    class Scaled(pb.Network):
        weights: np.ndarray

        def signal(self, theta):
            return self.weights * theta**2

    problem, _ = random_problem(5)
    weights = np.linspace(1, 2, N)
    plain = pb.HadamardPower(2)
    flow = pb.gradient_flow(problem, Scaled(weights), np.ones((2, N)), tol=1e-20)
    # With A's columns scaled instead, the flow is that of x^2 at twice the rate: L = 2 halves the plain one's loss.
    scaled = pb.LinearProblem(problem.A * weights, problem.b)
    same = pb.gradient_flow(scaled, plain, pb.Factor(np.ones(N)), tol=1e-21)
    for x in flow.x:
        np.testing.assert_allclose(x, weights * same.x, rtol=1e-6, atol=1e-9)
