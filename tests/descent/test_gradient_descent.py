"""How runs of gradient descent end: every status, at the right time, and never with a silent NaN."""

import jax
import numpy as np
import pytest

import polarbias as pb
from polarbias import Status

N = 6


def polar(ratio, depth=2):
    return pb.WeightNormalization(pb.HadamardPower(depth), ratio)


def square_problem(b):
    return pb.LinearProblem(np.eye(len(b)), b)


def numbers(run):
    """All the numbers of a result of one run."""
    record = run.trajectory
    return [run.x, *jax.tree.leaves(run.theta), run.loss, run.residual, record.loss, record.r, record.l1]


def assert_finite(run):
    for values in numbers(run):
        assert np.isfinite(values).all()


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, N)) / np.sqrt(3)
    return pb.LinearProblem(A, A @ np.abs(rng.standard_normal(N)))


@pytest.mark.parametrize("step", [pb.Armijo(), pb.ConstantStep(0.05)])
def test_converged(problem, step):
    network = polar(0.5)
    run = pb.gradient_descent(problem, network, network.init(1.0, np.ones(N)), step=step, tol=1e-12)
    assert run.status == Status.CONVERGED
    assert run.converged
    assert run.message == "the stopping criterion is met"
    np.testing.assert_allclose(run.residual, np.linalg.norm(problem.A @ run.x - problem.b), rtol=1e-8)
    np.testing.assert_allclose(run.loss, run.residual**2 / 4, rtol=1e-12)
    assert run.loss < 1e-12 <= run.trajectory.loss[-2]
    assert_finite(run)


def test_relative_tolerance_is_one_on_the_residual(problem):
    network = polar(0.5)
    theta = network.init(1.0, np.ones(N))
    options = {"step": pb.ConstantStep(0.01), "tol": 0.0, "rtol": 1e-3}
    for c in (1.0, 1e-4, 1e4):
        scaled = pb.LinearProblem(problem.A / np.sqrt(c), problem.b / np.sqrt(c))  # the same X solves it
        run = pb.gradient_descent(
            scaled, network, theta, **{**options, "step": pb.ConstantStep(0.01 * c)}, max_steps=100_000
        )
        assert run.converged
        before = run.trajectory.loss[-2] * 4
        assert run.residual**2 < 1e-6 * (scaled.b @ scaled.b) <= before
    strict = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(0.01), tol=1e-2, rtol=1e-3)
    assert strict.converged
    assert 1e-3 < strict.loss < 1e-2  # the larger of the two bounds counts


def test_max_steps_one(problem):
    network = polar(0.5)
    theta = network.init(1.0, np.ones(N))
    for step in (pb.ConstantStep(0.01), pb.Armijo()):
        run = pb.gradient_descent(problem, network, theta, step=step, max_steps=1, tol=0.0)
        assert run.status == Status.MAX_STEPS
        assert run.steps == 1
        np.testing.assert_array_equal(run.trajectory.step, [0, 1])
    assert "raise max_steps" in run.message


def test_convergence_on_the_last_step_counts_as_convergence():
    """One Newton-like step solves this problem."""
    run = pb.gradient_descent(
        square_problem([2.0]), pb.HadamardPower(1), pb.Factor([1.0]), step=pb.ConstantStep(1.0), max_steps=1
    )
    assert run.status == Status.CONVERGED
    assert run.steps == 1


def test_a_start_that_has_converged_stays(problem):
    network = polar(0.5)
    first = pb.gradient_descent(problem, network, network.init(1.0, np.ones(N)), tol=1e-14)
    calls = []
    again = pb.gradient_descent(problem, network, first.theta, tol=1e-12, keep_x=True, callback=calls.append)
    assert again.status == Status.CONVERGED
    assert again.steps == 0
    assert again.stats["trials"] == 0
    assert not calls
    np.testing.assert_array_equal(again.theta.u, first.theta.u)
    np.testing.assert_array_equal(again.trajectory.step, [0])
    np.testing.assert_array_equal(again.trajectory.x, [again.x])


def test_a_run_continues_from_its_theta(problem):
    """At constant steps two halves are the whole, to the last bit."""
    network = polar(0.5)
    options = {"step": pb.ConstantStep(0.01), "tol": 0.0}
    half = pb.gradient_descent(problem, network, network.init(1.0, np.ones(N)), max_steps=100, **options)
    second = pb.gradient_descent(problem, network, half.theta, max_steps=100, **options)
    whole = pb.gradient_descent(problem, network, network.init(1.0, np.ones(N)), max_steps=200, **options)
    np.testing.assert_array_equal(second.theta.u, whole.theta.u)
    np.testing.assert_array_equal(second.theta.r, whole.theta.r)


def test_unstable_when_the_loss_rises():
    for start, dt in ((1.5, 2.1), (1.1, 2.0001)):  # X' = 1 - X oscillates and grows from dt = 2 on
        run = pb.gradient_descent(
            square_problem([1.0]), pb.HadamardPower(1), pb.Factor([start]), step=pb.ConstantStep(dt), max_steps=300
        )
        assert run.status == Status.UNSTABLE
        assert run.steps == 0
        assert run.x == start  # the step that raised the loss is not taken
        assert "smaller step" in run.message
        assert_finite(run)


@pytest.mark.parametrize("c", [1e8, 1.0, 1e-8, 1e-20])
def test_unstable_at_every_scale(c):
    """What counts as a rise does not depend on the units of b."""
    factor = pb.Factor(np.sqrt(c) * np.array([0.1, 1.01]))
    run = pb.gradient_descent(
        square_problem([0.0, c]), pb.HadamardPower(2), factor, step=pb.ConstantStep(1.2 / c), max_steps=300, tol=0.0
    )
    assert run.status == Status.UNSTABLE


def test_unstable_near_the_solution():
    """A rise far above the rounding level is seen, however small the loss is."""
    run = pb.gradient_descent(
        square_problem([1.0]),
        pb.HadamardPower(1),
        pb.Factor([1 + 1e-9]),
        step=pb.ConstantStep(3.0),
        max_steps=300,
        tol=0.0,
    )
    assert run.status == Status.UNSTABLE
    assert run.steps == 0


def test_unstable_when_an_entry_reaches_zero():
    """The loss falls on this step, but the second entry changes its sign, which the flow never does."""
    problem = square_problem([1.0, 0.0])
    run = pb.gradient_descent(
        problem, pb.HadamardPower(2), pb.Factor([1.0, 1.0]), step=pb.ConstantStep(1.5), max_steps=300
    )
    assert problem.loss([1.0, 0.25], 2) < problem.loss([1.0, 1.0], 2)
    assert run.status == Status.UNSTABLE
    np.testing.assert_array_equal(run.theta.x, [1.0, 1.0])


@pytest.mark.parametrize("start", [(0.01, 1.0), (1.0, 0.01)])
def test_unstable_when_an_entry_of_either_half_reaches_zero(start):
    network = pb.HadamardDifference(2)
    run = pb.gradient_descent(
        square_problem([0.0]), network, network.from_factor(np.array(start)), step=pb.ConstantStep(1.2), max_steps=300
    )
    assert run.status == Status.UNSTABLE
    assert run.steps == 0


def test_unstable_when_the_radius_reaches_zero():
    """One entry: r moves like plain descent at ratio 1; from 1 to about -.2 the loss falls."""
    network = polar(1.0)
    run = pb.gradient_descent(
        square_problem([0.01]), network, pb.Polar(1.0, [1.0]), step=pb.ConstantStep(1.2), max_steps=300
    )
    assert run.status == Status.UNSTABLE
    assert run.theta.r == 1.0


def test_the_radius_may_cross_zero_at_depth_one():
    """A = [1, 0], b = -1, r0 = 1, ratio 2: the flow of linear regression ends at r = -1.26."""
    network = polar(2.0, depth=1)
    run = pb.gradient_descent(
        pb.LinearProblem([[1.0, 0.0]], [-1.0]),
        network,
        network.init(1.0, np.array([1.0, 1.0])),
        step=pb.ConstantStep(1e-3),
        max_steps=100_000,
        tol=1e-24,
    )
    assert run.converged
    assert run.theta.r < 0
    np.testing.assert_allclose(run.trajectory.r[-1], -run.theta.r)  # the norm of the factor
    np.testing.assert_allclose(run.x[0], -1.0)


def test_armijo_turns_back_before_zero():
    """From a first guess that would overshoot, all entries stay positive."""
    run = pb.gradient_descent(
        square_problem([1.0, 0.0]), pb.HadamardPower(2), pb.Factor([1.0, 1.0]), step=pb.Armijo(initial=1.5), tol=1e-8
    )
    assert run.converged
    assert (run.theta.x > 0).all()


@pytest.mark.parametrize("network", [pb.HadamardPower(2), polar(0.5)])
def test_diverged_when_the_loss_overflows(problem, network):
    run = pb.gradient_descent(
        problem, network, network.init(1.0, np.ones(N)), step=pb.ConstantStep(1e100), max_steps=300
    )
    assert run.status == Status.DIVERGED
    assert_finite(run)  # the last good state, not the one that overflowed


def test_a_start_that_overflows_has_diverged_and_the_rest_of_its_batch_runs(problem):
    network = pb.HadamardPower(2)
    theta = pb.Factor(np.array([[1e200], [1e100], [1.0]]) * np.ones(N))
    run = pb.gradient_descent(problem, network, theta)
    np.testing.assert_array_equal(run.status, [Status.DIVERGED, Status.DIVERGED, Status.CONVERGED])
    assert np.isinf(run.loss[:2]).all()
    assert_finite(run[2])


def test_the_line_search_fails_at_the_rounding_level(problem):
    network = polar(0.5)
    run = pb.gradient_descent(problem, network, network.init(1.0, np.ones(N)), tol=0.0)
    assert run.status == Status.LINE_SEARCH_FAILED
    assert run.loss < 1e-27
    assert "rounding level" in run.message
    assert_finite(run)


@pytest.mark.parametrize("b", [[1.0, -1.0, 0.5], [1e-6, -1e-6, 1e-6]])
def test_a_stationary_point_is_no_solution(b):
    """b is out of reach of nonnegative signals: descent stops where no step helps, or uses its budget."""
    A = np.ones((3, N))
    run = pb.gradient_descent(
        pb.LinearProblem(A, b), pb.HadamardPower(2), pb.Factor(np.ones(N)), max_steps=20_000, tol=1e-14
    )
    assert run.status in (Status.LINE_SEARCH_FAILED, Status.MAX_STEPS)
    assert_finite(run)


@pytest.mark.parametrize("network", [pb.HadamardPower(2), polar(0.5), polar(0.5, depth=3), polar(0.5, depth=1)])
def test_a_long_run_at_the_rounding_level_is_not_unstable(problem, network):
    theta = network.init(np.array([0.3, 1.0, 4.0]), np.ones(N))
    run = pb.gradient_descent(
        problem, network, theta, step=pb.ConstantStep([0.02, 0.01, 0.001]), max_steps=50_000, tol=0.0
    )
    assert (run.status == Status.MAX_STEPS).all()
    assert (run.loss[:2] < 1e-24).all()


def test_a_long_run_of_large_terms_that_cancel_is_not_unstable():
    """From large u and v with u^2 - v^2 small, rounding is that of u^2."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((3, N)) / np.sqrt(3)
    problem = pb.LinearProblem(A, A @ rng.standard_normal(N))
    network = pb.HadamardDifference(2)
    theta = network.init(300.0, np.ones(2 * N))
    step = pb.ConstantStep.stable(problem, network, theta)
    run = pb.gradient_descent(problem, network, theta, step=step, max_steps=20_000, tol=0.0)
    assert run.status == Status.MAX_STEPS
    assert run.loss < 1e-18


# THEORY's example of collapse: A = [1, -1], b = 1, u0^2 = (.1, .9), ratio 1; r -> 0 iff r0^2 <= log(5/3).
COLLAPSE = pb.LinearProblem([[1.0, -1.0]], [1.0])


@pytest.mark.parametrize("step", [pb.ConstantStep(0.01), pb.Armijo()])
def test_collapse(step):
    network = polar(1.0)
    theta = network.init([0.5, 0.7, 0.73, 1.0], np.sqrt([0.1, 0.9]))
    run = pb.gradient_descent(COLLAPSE, network, theta, step=step, max_steps=100_000)
    if isinstance(step, pb.ConstantStep):
        np.testing.assert_array_equal(run.status == Status.COLLAPSED, [True, True, False, False])
        assert (run.theta.r[:2] <= 1e-10 * theta.r[:2]).all()
    else:  # long steps leave the flow, so only the clear cases are alike
        np.testing.assert_array_equal(run.status[[0, 3]], [Status.COLLAPSED, Status.CONVERGED])
    assert run.converged[3]
    assert "X = 0" in run[0].message
    assert_finite(run[0])
    np.testing.assert_allclose(run.loss[0], 0.25, rtol=1e-6)


def test_a_joint_polar_coordinate_collapses_like_the_signed_problem():
    network = pb.WeightNormalization(pb.HadamardDifference(2), 1.0)
    theta = network.init([0.5, 1.0], np.sqrt([0.1, 0.9]))
    run = pb.gradient_descent(square_problem([1.0]), network, theta, step=pb.ConstantStep(0.01), max_steps=100_000)
    np.testing.assert_array_equal(run.status, [Status.COLLAPSED, Status.CONVERGED])


def test_the_line_search_sees_a_collapse_from_a_small_start():
    """There the loss no longer feels X at a radius of a few millionths of the start."""
    network = polar(1.0)
    theta = network.init([1e-3, 1e-2, 0.1], np.sqrt([0.1, 0.9]))
    run = pb.gradient_descent(COLLAPSE, network, theta)
    assert (run.status == Status.COLLAPSED).all()


@pytest.mark.parametrize("law", [pb.PowerRatio(c=1.0, k=2), pb.HarmonicRatio(1.0)])
def test_laws_that_vanish_at_zero_do_not_collapse(law):
    network = polar(law)
    theta = network.init(0.5, np.sqrt([0.1, 0.9]))
    run = pb.gradient_descent(COLLAPSE, network, theta, step=pb.ConstantStep(0.05), max_steps=100_000)
    assert run.converged


@pytest.mark.parametrize("network", [pb.HadamardPower(2), polar(0.5)])
@pytest.mark.parametrize("step", [pb.ConstantStep(0.05), pb.Armijo()])
def test_b_zero_is_a_problem_whose_answer_is_zero(problem, network, step):
    zero = pb.LinearProblem(np.abs(problem.A), np.zeros(3))
    run = pb.gradient_descent(zero, network, network.init(1.0, np.ones(N)), step=step, tol=1e-6, rtol=0.1)
    assert run.converged
    np.testing.assert_allclose(run.x, 0, atol=1e-2)
    assert_finite(run)
