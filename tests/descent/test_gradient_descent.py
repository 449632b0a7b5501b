"""Status, tolerances, input checks and infeasible problems of gradient descent."""

import jax
import numpy as np
import pytest

import polarbias as pb
from polarbias import Status
from polarbias.problems.certificate import verify_farkas

N = 6
ONES = np.ones(N)
SMALL = pb.LinearProblem(np.ones((1, 3)), [1.0])
PLAIN, DIFFERENCE = pb.HadamardPower(2), pb.HadamardDifference(2)


def polar(ratio, depth=2):
    return pb.WeightNormalization(pb.HadamardPower(depth), ratio)


def identity_problem(b):
    return pb.LinearProblem(np.eye(len(b)), b)


def assert_finite(run):
    record = run.trajectory
    for values in (*jax.tree.leaves(run.theta), run.x, run.loss, run.residual, record.loss, record.r, record.l1):
        assert np.isfinite(values).all()


@pytest.mark.parametrize(("step", "same"), [(None, pb.Armijo()), (np.float32(0.0625), pb.ConstantStep(0.0625))])
def test_converged(problem, network, step, same):
    run = pb.gradient_descent(problem, network, network.init(1.0, ONES), step=step, tol=1e-12)
    assert run.status == Status.CONVERGED
    assert run.method == "gradient_descent"
    assert run.farkas is None
    np.testing.assert_allclose(run.residual, np.linalg.norm(problem.A @ run.x - problem.b), rtol=1e-8)
    np.testing.assert_allclose(run.loss, run.residual**2 / 4, rtol=1e-12)
    assert run.loss < 1e-12 <= run.trajectory.loss[-2]
    assert_finite(run)
    again = pb.gradient_descent(problem, network, network.init(1.0, ONES), step=same, tol=1e-12)
    np.testing.assert_array_equal(again.x, run.x)


def test_steps_and_trials_on_fixed_inputs():
    """Fails if a constant of the line search, the tolerance or the rounding bound changes."""
    problem = pb.gaussian_problem(0, 8, 30)
    network = polar([0.05, 0.5, 5.0])
    theta = network.init([0.1, 1.0, 10.0], pb.folded_gaussian_direction(0, 30))
    run = pb.gradient_descent(problem, network, theta, tol=1e-10)
    np.testing.assert_array_equal(run.steps, [8551, 3527, 102])
    np.testing.assert_array_equal(run.stats["trials"], [9167, 3778, 105])
    floor = pb.gradient_descent(problem, network, theta, tol=0)
    np.testing.assert_array_equal(floor.stats["trials"], [14026, 11430, 373])
    assert (floor.status == Status.LINE_SEARCH_FAILED).all()
    assert (floor.loss < 1e-25).all()
    assert_finite(floor[0])


def test_relative_tolerance_bounds_the_residual(problem, network):
    theta = network.init(1.0, ONES)
    for c in (1.0, 1e-4, 1e4):
        scaled = pb.LinearProblem(problem.A / np.sqrt(c), problem.b / np.sqrt(c))  # the same X solves it
        run = pb.gradient_descent(scaled, network, theta, step=0.01 * c, tol=0, rtol=1e-3)
        assert run.converged
        assert run.residual**2 < 1e-6 * (scaled.b @ scaled.b) <= 4 * run.trajectory.loss[-2]
    larger = pb.gradient_descent(problem, network, theta, step=0.01, tol=1e-2, rtol=1e-3)
    assert larger.converged
    assert 1e-3 < larger.loss < 1e-2


def test_one_step(problem, network):
    run = pb.gradient_descent(problem, network, network.init(1.0, ONES), step=0.01, max_steps=1, tol=0.0)
    assert run.status == Status.MAX_STEPS
    np.testing.assert_array_equal(run.trajectory.step, [0, 1])
    # A Newton step solves this problem, so the run converges on its last step.
    run = pb.gradient_descent(identity_problem([2.0]), pb.HadamardPower(1), pb.Factor([1.0]), step=1.0, max_steps=1)
    assert run.status == Status.CONVERGED


@pytest.mark.parametrize(
    "network", [pb.HadamardPower(3), polar(pb.HarmonicRatio(0.5)), polar(0.5, 3), polar(0.5, 1)], ids=repr
)
def test_the_distance_from_the_flow_is_proportional_to_the_step(problem, network):
    theta0, errors = network.init(1.2, np.linspace(0.5, 1.5, N)), []
    flow = pb.gradient_flow(problem, network, theta0, t_end=0.24, tol=0, accuracy=1e-12).trajectory
    for steps in (60, 120, 240):
        run = pb.gradient_descent(problem, network, theta0, step=0.24 / steps, max_steps=steps, tol=0, keep_x=True)
        record = run.trajectory
        errors.append(np.abs(record.x - flow.evaluate(np.minimum(0.24 * record.step / steps, 0.24)).x).max())
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2.0, rtol=0.05)
    assert errors[-1] < 0.01


def test_a_start_that_has_converged_stays(problem, network):
    first = pb.gradient_descent(problem, network, network.init(1.0, ONES), tol=1e-14)
    calls = []
    again = pb.gradient_descent(problem, network, first.theta, tol=1e-12, keep_x=True, callback=calls.append)
    assert again.status == Status.CONVERGED
    assert again.steps == again.stats["trials"] == 0
    assert not calls
    np.testing.assert_array_equal(again.theta.u, first.theta.u)
    np.testing.assert_array_equal(again.trajectory.step, [0])
    np.testing.assert_array_equal(again.trajectory.x, [again.x])


def test_a_run_continues_from_its_theta(problem, network):
    """With constant steps two halves give the bits of the whole."""
    options = {"step": 0.01, "tol": 0.0}
    half = pb.gradient_descent(problem, network, network.init(1.0, ONES), max_steps=100, **options)
    second = pb.gradient_descent(problem, network, half.theta, max_steps=100, **options)
    whole = pb.gradient_descent(problem, network, network.init(1.0, ONES), max_steps=200, **options)
    np.testing.assert_array_equal(second.theta.u, whole.theta.u)
    np.testing.assert_array_equal(second.theta.r, whole.theta.r)


@pytest.mark.parametrize(
    ("network", "b", "theta", "dt"),
    [
        (pb.HadamardPower(1), [1.0], pb.Factor([1.5]), 2.1),  # X' = 1 - X oscillates and grows from dt = 2 on
        (pb.HadamardPower(1), [1.0], pb.Factor([1.1]), 2.0001),
        (pb.HadamardPower(1), [1.0], pb.Factor([1 + 1e-9]), 3.0),  # a rise far above rounding, of a tiny loss
        (PLAIN, [1.0, 0.0], pb.Factor([1.0, 1.0]), 1.5),  # the loss falls, but an entry changes its sign
        (DIFFERENCE, [0.0], DIFFERENCE.from_factor(np.array([0.01, 1.0])), 1.2),  # as in each half of a difference
        (DIFFERENCE, [0.0], DIFFERENCE.from_factor(np.array([1.0, 0.01])), 1.2),
        (polar(1.0), [0.01], pb.Polar(1.0, [1.0]), 1.2),  # r goes from 1 to about -.2, and the loss falls
    ],
)
def test_unstable_on_the_first_step(network, b, theta, dt):
    run = pb.gradient_descent(identity_problem(b), network, theta, step=dt, max_steps=200, tol=0)
    assert run.status == Status.UNSTABLE
    assert run.steps == 0
    assert "smaller step" in run.message
    for leaf, start in zip(run.theta, theta, strict=True):
        np.testing.assert_array_equal(leaf, start)
    assert_finite(run)


@pytest.mark.parametrize("c", [1e8, 1.0, 1e-8, 1e-20])
def test_unstable_at_every_scale_of_b(c):
    theta, problem = pb.Factor(np.sqrt(c) * np.array([0.1, 1.01])), identity_problem([0.0, c])
    run = pb.gradient_descent(problem, PLAIN, theta, step=1.2 / c, max_steps=200, tol=0)
    assert run.status == Status.UNSTABLE


def test_the_radius_may_cross_zero_at_depth_one():
    """A = [1, 0], b = -1, r0 = 1, ratio 2: the flow of linear regression ends at r = -1.26."""
    network = polar(2.0, depth=1)
    theta = network.init(1.0, np.array([1.0, 1.0]))
    run = pb.gradient_descent(pb.LinearProblem([[1.0, 0.0]], [-1.0]), network, theta, step=1e-3, tol=1e-24)
    assert run.converged
    assert run.theta.r < 0
    np.testing.assert_allclose(run.trajectory.r[-1], -run.theta.r)  # the norm of the factor
    np.testing.assert_allclose(run.x[0], -1.0)


def test_diverged(problem, network):
    run = pb.gradient_descent(problem, network, network.init(1.0, ONES), step=1e100, max_steps=200)
    assert run.status == Status.DIVERGED
    assert_finite(run)  # the last good state, not the one that overflowed


def test_a_start_that_overflows_has_diverged_and_the_rest_of_its_batch_runs(problem):
    theta = pb.Factor(np.array([[1e200], [1e100], [1.0]]) * ONES)
    run = pb.gradient_descent(problem, PLAIN, theta)
    np.testing.assert_array_equal(run.status, [Status.DIVERGED, Status.DIVERGED, Status.CONVERGED])
    assert np.isinf(run.loss[:2]).all()
    assert_finite(run[2])


@pytest.mark.parametrize(
    "network",
    [polar(0.5), polar(0.5, 3), *(pytest.param(other, marks=pytest.mark.full) for other in (PLAIN, polar(0.5, 1)))],
)
def test_a_long_run_at_the_rounding_level_is_not_unstable(problem, network):
    theta, step = network.init(np.array([0.3, 1.0, 4.0]), ONES), pb.ConstantStep([0.02, 0.01, 0.001])
    run = pb.gradient_descent(problem, network, theta, step=step, max_steps=50_000, tol=0.0)
    assert (run.status == Status.MAX_STEPS).all()
    assert (run.loss[:2] < 1e-24).all()


def test_a_long_run_of_large_terms_that_cancel_is_not_unstable():
    """From large u and v with u^2 - v^2 small, rounding is that of u^2."""
    problem, theta = pb.gaussian_problem(1, 3, N), DIFFERENCE.init(300.0, np.ones(2 * N))
    step = pb.ConstantStep.stable(problem, DIFFERENCE, theta)
    run = pb.gradient_descent(problem, DIFFERENCE, theta, step=step, max_steps=20_000, tol=0.0)
    assert run.status == Status.MAX_STEPS
    assert run.loss < 1e-18


# THEORY's example of collapse: A = [1, -1], b = 1, u0^2 = (.1, .9), ratio 1; r -> 0 iff r0^2 <= log(5/3).
COLLAPSE, DIRECTION = pb.LinearProblem([[1.0, -1.0]], [1.0]), np.sqrt([0.1, 0.9])


@pytest.mark.parametrize(
    ("network", "scales", "step", "collapsed"),
    [
        (polar(1.0), [0.5, 0.7, 0.73, 1.0], 0.01, 2),
        # From small starts the loss stops changing at a radius of a few millionths of the start.
        (polar(1.0), [1e-3, 1e-2, 0.1, 0.5, 1.0], None, 4),
        (pb.WeightNormalization(DIFFERENCE, 1.0), [0.5, 1.0], 0.01, 1),  # the same flow
        (polar(pb.PowerRatio(c=1.0, k=2)), [0.5], 0.05, 0),  # a law that vanishes at zero
        (polar(pb.HarmonicRatio(1.0)), [0.5], 0.05, 0),
    ],
    ids=repr,
)
def test_collapse(network, scales, step, collapsed):
    problem, theta = identity_problem([1.0]) if network.signed else COLLAPSE, network.init(scales, DIRECTION)
    run = pb.gradient_descent(problem, network, theta, step=step)
    expected = [Status.COLLAPSED] * collapsed + [Status.CONVERGED] * (len(scales) - collapsed)
    np.testing.assert_array_equal(run.status, expected)
    for k in range(collapsed):
        assert run.theta.r[k] <= (1e-10 if step else 1e-3) * theta.r[k]
        assert "X = 0" in run[k].message
        assert_finite(run[k])
    np.testing.assert_allclose(run.loss[:collapsed], 0.25, rtol=1e-6)


def test_b_zero_is_a_problem_whose_answer_is_zero(problem, network):
    zero, theta = pb.LinearProblem(np.abs(problem.A), np.zeros(3)), network.init(1.0, ONES)
    for step in (0.05, None):
        run = pb.gradient_descent(zero, network, theta, step=step, tol=1e-6, rtol=0.1)
        assert run.converged
        np.testing.assert_allclose(run.x, 0, atol=1e-2)
    run = pb.gradient_descent(zero, network, theta, tol=0, max_steps=4000)
    assert run.status == Status.MAX_STEPS  # and not collapsed
    assert run.loss < 1e-6


@pytest.mark.parametrize("b", [[1.0, -1.0, 0.5], [1e-6, -1e-6, 1e-6]])
@pytest.mark.parametrize("network", [PLAIN, DIFFERENCE, polar(0.5)], ids=repr)
def test_infeasible_problems_come_with_a_proof(b, network):
    """The rows of A are equal, and b is not constant."""
    problem = pb.LinearProblem(np.ones((3, N)), b)
    theta = network.init(1.0, np.ones(2 * N if network.signed else N))
    run = pb.gradient_descent(problem, network, theta, tol=1e-14)
    assert run.status == Status.INFEASIBLE
    assert verify_farkas(problem, run.farkas, nonnegative=not network.signed)
    assert_finite(run)


def test_feasibility_depends_on_signs_and_is_decided_per_problem():
    problems = pb.stack([pb.LinearProblem([[1.0, 1.0]], [b]) for b in (-1.0, 1.0)])
    run = pb.gradient_descent(problems, PLAIN, pb.Factor(np.ones((2, 3, 2, 2))), max_steps=200)
    np.testing.assert_array_equal(run.status, [[[Status.INFEASIBLE] * 2] * 3, [[Status.CONVERGED] * 2] * 3])
    np.testing.assert_array_equal(run.farkas, [[[[-1.0]] * 2] * 3, [[[np.nan]] * 2] * 3])
    signed = pb.gradient_descent(problems[0], DIFFERENCE, DIFFERENCE.init(1.0, np.ones(4)), max_steps=200)
    assert signed.converged
    assert signed.farkas is None


class Negative(pb.Network):
    def signal(self, theta):
        return -(theta**2)


def test_a_network_without_a_factor_is_infeasible_only_without_any_solution():
    for b, status in (([1.0, 1.0], Status.MAX_STEPS), ([1.0, 2.0], Status.INFEASIBLE)):
        problem = pb.LinearProblem([[1.0], [1.0]], b)
        assert pb.gradient_descent(problem, Negative(), np.ones(1), step=0.01, max_steps=10).status == status


def refuses(message, problem, network, theta, **options):
    with pytest.raises(pb.InvalidInput, match=message):
        pb.gradient_descent(problem, network, theta, **options)


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("max_steps", [0, 10.0, 10**16], "an integer from 1 to 1e.15"),
        ("tol", [-1e-12, None], "a finite number of at least 0"),
        ("rtol", [-1e-12, "small"], "a finite number of at least 0"),
        ("step", [pb.Armijo, "armijo", [0.1], 1j], r"a positive number, Armijo\(\.\.\.\) or ConstantStep\(dt\)"),
        ("step", [0.0, -1, np.nan, True], "a finite number above 0"),
        ("dtype", [np.float16, "double precision"], "float64 or float32"),
        ("checkpoint", [5], "the path of a folder or None"),
        ("keep_x", [1], "True or False"),
        ("callback", [5], "a function of one argument"),
        ("devices", [[0, 1], 3, 2.7, True, {}, object, None], "a sequence of JAX devices"),
    ],
)
def test_options(option, values, message):
    for value in values:
        refuses(f"^{option} must be {message}", SMALL, PLAIN, PLAIN.init(1.0, np.ones(3)), **{option: value})


@pytest.mark.parametrize(("batch", "shapes"), [((), [(2,), (3, 1), (1,)]), ((4, 2), [(4,), (2, 4), (5, 4, 2)])])
def test_steps_that_do_not_broadcast(batch, shapes):
    for shape in shapes:
        step = pb.ConstantStep(np.full(shape, 0.1))
        message = rf"step has shape .*; it must broadcast to the batch of runs \({', '.join(map(str, batch))}\)"
        refuses(message, SMALL, PLAIN, PLAIN.init(np.ones(batch), np.ones(3)), step=step)


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
@pytest.mark.parametrize("name", ["ratio", "direction_rate"])
def test_ratios_and_rates_that_do_not_broadcast(batch, name):
    network = pb.WeightNormalization(PLAIN, **{"ratio": 0.1} | {name: [0.1, 0.2, 0.3]})
    message = "a ratio or rate .* does not broadcast .* give theta0 the batch axes"
    refuses(message, SMALL, network, network.init(np.ones(batch), np.ones(3)))
    halves = pb.Difference(network)
    refuses(message, SMALL, halves, halves.init(np.ones(batch), np.ones(6)))


def test_problems_networks_and_starts_that_do_not_fit():
    theta = PLAIN.init(1.0, np.ones(3))
    refuses("use LinearProblem", 3, PLAIN, theta)
    refuses("instance of a Network", SMALL, pb.HadamardPower, theta)
    refuses(r"must begin with the problems' batch shape \(2,\)", pb.stack([SMALL, SMALL]), PLAIN, theta)
