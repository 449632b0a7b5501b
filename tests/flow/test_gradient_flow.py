"""Gradient flow as a function: kinds of matrices, statuses, bad input."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import nnls
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from flow_cases import M, N, random_problem
from polarbias.flow import steps

NETWORK = pb.WeightNormalization(pb.HadamardPower(2), 0.5)


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
    theta0 = NETWORK.init(1.0, direction)
    expected = pb.gradient_flow(problem, NETWORK, theta0, tol=0, rtol=1e-6)
    for c in (1e-8, 1e8):
        scaled = pb.gradient_flow(pb.LinearProblem(c * problem.A, c * problem.b), NETWORK, theta0, tol=0, rtol=1e-6)
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
    theta0 = NETWORK.init(1.0, direction)
    stopped = pb.gradient_flow(problem, NETWORK, theta0, t_end=0.25)
    assert stopped.status == pb.Status.MAX_STEPS
    assert stopped.trajectory.time[-1] == 0.25
    on = pb.gradient_flow(problem, NETWORK, stopped.theta, t_end=0.5)
    whole = pb.gradient_flow(problem, NETWORK, theta0, t_end=0.75, keep=False)
    np.testing.assert_allclose(on.x, whole.x, atol=1e-7)
    assert whole.trajectory is None
    loose = pb.gradient_flow(problem, NETWORK, theta0, tol=1e-3)
    assert 1e-5 < loose.loss < 1e-3 <= loose.trajectory.loss[-2]
    again = pb.gradient_flow(problem, NETWORK, loose.theta, tol=1e-3)
    assert again.steps == 0
    assert again.trajectory.evaluate(0.0).x.shape == (N,)
    zero = pb.gradient_flow(pb.LinearProblem(problem.A, np.zeros(M)), NETWORK, theta0, tol=1e-9)
    assert zero.status == pb.Status.CONVERGED


@pytest.mark.parametrize("full", [False, True])
def test_interruptions(full, monkeypatch):
    problem, direction = random_problem(2)
    theta0 = NETWORK.init(np.ones(2), direction)
    monkeypatch.setattr(steps, "OPTIONS", replace(steps.OPTIONS, seconds_per_call=0.0))
    seen = []

    def enough(progress):
        seen.append(progress)
        return progress.steps >= 20

    flow = pb.gradient_flow(problem, NETWORK, theta0, callback=enough, full=full)
    assert list(flow.status) == [pb.Status.INTERRUPTED] * 2
    assert 20 <= flow.steps[0] <= 25
    assert flow.steps[1] == 0
    assert {progress.index for progress in seen} == {(0,)}
    assert seen[-1].loss < seen[0].loss

    def key(progress):
        if progress.steps >= 20:
            raise KeyboardInterrupt

    again = pb.gradient_flow(problem, NETWORK, theta0, callback=key, full=full)
    assert list(again.status) == [pb.Status.INTERRUPTED] * 2
    np.testing.assert_array_equal(again.x, flow.x)
    np.testing.assert_allclose(again.trajectory[0].x[-1], again.x[0], rtol=1e-9)


@pytest.mark.parametrize("full", [False, True])
def test_collapse_on_the_smallest_example(full):
    problem, direction = pb.LinearProblem([[1.0, -1.0]], [1.0]), np.sqrt([0.1, 0.9])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    threshold = np.sqrt(np.log(1 / (2 * np.sqrt(0.1 * 0.9))))
    theta0 = network.init(threshold * np.array([0.98, 1.02]), direction)
    flow = pb.gradient_flow(problem, network, theta0, full=full)
    assert list(flow.status) == [pb.Status.COLLAPSED, pb.Status.CONVERGED]
    assert flow.r[0] < 1e-9


@pytest.mark.parametrize(
    "options",
    [{"t_end": 0.0}, {"t_end": np.inf}, {"tol": -1.0}, {"tol": 0.0}, {"rtol": np.nan}, {"accuracy": 1.0},
     {"accuracy": 0.0}, {"schedule": 3}, {"callback": 3}, {"full": 1}, {"keep": "no"}],
)  # fmt: skip
def test_bad_options(options):
    problem, direction = random_problem(2)
    with pytest.raises(pb.InvalidInput):
        pb.gradient_flow(problem, NETWORK, NETWORK.init(1.0, direction), **options)
