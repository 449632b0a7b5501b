"""Step sizes: `ConstantStep.stable` by its formula and in runs, and the options of the line search."""

import numpy as np
import pytest

import polarbias as pb

# The solution of A X = b is X = (4, 4), the largest eigenvalue of A^T A is 4, and at depth 2 the solution's factor is
# (2, 2), of norm sqrt(8).
MATRIX = [[2.0, 0.0], [0.0, 1.0]]
DIAGONAL = pb.LinearProblem(MATRIX, [8.0, 4.0])


def polar(depth, ratio):
    return pb.WeightNormalization(pb.HadamardPower(depth), ratio)


DIFFERENCE, SEPARATE = pb.HadamardDifference(2), pb.Difference(polar(2, 0.3))


@pytest.mark.parametrize(
    ("network", "scale", "largest", "speed"),
    [
        (pb.HadamardPower(1), 0.1, 8.0, 1.0),
        (pb.HadamardPower(2), 0.1, 4.0, 1.0),  # twice the solution's largest entry is 4
        (pb.HadamardPower(2), 50.0, 40.0, 1.0),
        (pb.HadamardPower(3), 0.1, 2 * 4 ** (1 / 3), 1.0),
        (polar(2, 0.3), 0.1, 4.0, 32.0),  # (2 sqrt(8))^2 is larger than the ratio
        (polar(2, 100.0), 0.1, 4.0, 100.0),  # the ratio is larger
        (polar(2, 0.3), 50.0, 40.0, 2500.0),  # the start is larger than both
        (polar(2, pb.PowerRatio(c=3.0, k=2)), 0.1, 4.0, 96.0),  # a law is taken at the largest radius
        (pb.WeightNormalization(DIFFERENCE, 0.3), 0.1, 4.0, 32.0),
        (SEPARATE, 0.1, 4.0, 32.0),
    ],
)
def test_the_formula_of_stable_steps(network, scale, largest, speed):
    signed = network.signed and network.degree == 2
    problem = pb.LinearProblem(MATRIX, [8.0, -4.0 if signed else 4.0])
    theta = network.init(scale, np.ones(4) if signed else [3.0, 4.0])
    step, depth = pb.ConstantStep.stable(problem, network, theta, c=0.2), network.degree
    np.testing.assert_allclose(step.dt, 0.2 / (4 * depth * largest ** (2 * depth - 2) * speed))


@pytest.mark.parametrize("half", ["plus", "minus"])
def test_a_short_direction_of_either_half_makes_steps_shorter(half):
    """With half the norm, u turns four times as fast."""
    problem, theta = pb.LinearProblem(MATRIX, [8.0, -4.0]), SEPARATE.init(0.1, np.ones(4))
    shorter = theta._replace(**{half: pb.Polar(theta.plus.r, theta.plus.u / 2)})
    steps = [pb.ConstantStep.stable(problem, SEPARATE, start).dt for start in (theta, shorter)]
    np.testing.assert_allclose(steps[1], steps[0] / 4)


def test_stable_steps_of_a_batch_are_those_of_its_runs(problems):
    ratios = np.array([0.1, 1.0, 100.0])
    theta = polar(2, ratios).init([0.01, 1.0, 30.0], np.abs(np.random.default_rng(0).standard_normal((2, 1, 20))) + 0.1)
    together = pb.ConstantStep.stable(problems, polar(2, ratios), theta)
    for t, c in np.ndindex(2, 3):
        alone = pb.ConstantStep.stable(problems[t], polar(2, ratios[c]), pb.Polar(theta.r[t, c], theta.u[t, c]))
        np.testing.assert_allclose(together.dt[t, c], alone.dt, rtol=1e-12)


@pytest.mark.parametrize("network", [pb.WeightNormalization(DIFFERENCE, 10.0), polar(3, 1.0)])
def test_stable_steps_are_stable_from_small_and_large_starts(problems, network):
    n = 40 if network.signed else 20
    directions = np.abs(np.random.default_rng(0).standard_normal((2, 1, n))) + 0.1
    theta = network.init([0.01, 1.0, 30.0], directions)
    step = pb.ConstantStep.stable(problems, network, theta)
    run = pb.gradient_descent(problems, network, theta, step=step, max_steps=20_000, tol=1e-10)
    first = run.trajectory.loss[..., 0]
    # Only a run that starts above the loss of X = 0 can collapse; it does so under a stable step as well.
    collapsible = first >= (problems.b**2).sum(-1, keepdims=True) / (2 * network.degree)
    ended_well = np.isin(run.status, [pb.Status.CONVERGED, pb.Status.MAX_STEPS])
    assert (ended_well | (collapsible & (run.status == pb.Status.COLLAPSED))).all()
    assert ended_well[:, 2].all()
    assert (run.loss < first).all()


class NoFactor(pb.Network):
    def signal(self, theta):
        return theta


def test_stable_refuses():
    network = pb.HadamardPower(2)
    theta = network.init(1.0, [1.0, 1.0])
    unreached = pb.LinearProblem([[1.0, 1.0]], [-1.0])  # by nonnegative signals
    for message, problem, other, start, options in (
        (
            "needs a network with a factor; choose dt yourself",
            DIAGONAL,
            NoFactor(),
            np.ones(2),
            {},
        ),
        ("c must be a finite number above 0", DIAGONAL, network, theta, {"c": 0.0}),
        ("needs A != 0", pb.LinearProblem(np.zeros((1, 2)), [0.0]), network, theta, {}),
        ("the problem has 2 unknowns", DIAGONAL, network, network.init(1.0, np.ones(3)), {}),
        ("with a solution", unreached, network, theta, {}),
    ):
        with pytest.raises(pb.InvalidInput, match=message):
            pb.ConstantStep.stable(problem, other, start, **options)
    assert pb.ConstantStep.stable(unreached, DIFFERENCE, DIFFERENCE.init(1.0, np.ones(4))).dt > 0


@pytest.mark.parametrize("dt", [0.0, -0.1, [0.1, 0.0], [], np.nan, np.inf, 1j, "fast", [[0.1], [0.1, 0.2]], True])
def test_constant_steps_are_positive_numbers(dt):
    with pytest.raises(
        pb.InvalidInput,
        match=r"dt (must be positive, got -?0|must be a positive number|holds NaN|must hold real|must be a rect)",
    ):
        pb.ConstantStep(dt)


@pytest.mark.parametrize(
    ("option", "values", "allowed"),
    [
        ("c1", [0.0, 1.0, np.nan], "above 0 and below 1"),
        ("shrink", [0.0, 1.0], "above 0 and below 1"),
        ("growth", [0.9, np.inf], "of at least 1"),
        ("initial", [0.0, np.inf], "above 0"),
    ],
)
def test_options_of_the_line_search(option, values, allowed):
    for value in values:
        with pytest.raises(pb.InvalidInput, match=f"{option} must be a finite number {allowed}, got {value}"):
            pb.Armijo(**{option: value})


@pytest.mark.parametrize("initial", [1e-6, 1e6])
def test_a_bad_first_guess_is_recovered_from(problems, initial):
    """The step adapts from far off in few trials."""
    network = polar(2, 0.5)
    theta = network.init([0.5, 1.0, 3.0], np.ones((2, 1, 20)))
    step = pb.Armijo(initial=initial)
    run = pb.gradient_descent(problems, network, theta, step=step, max_steps=20_000, tol=1e-10)
    assert run.converged.all()
    assert (run.stats["trials"] <= 1.6 * run.steps + 40).all()


def test_the_line_search_finds_its_first_step_at_any_scale_of_the_data(problems):
    problem, network = problems[0], polar(2, 0.1)
    theta, options = network.init(0.5, np.ones(20)), {"tol": 0, "rtol": 1e-5, "max_steps": 20_000}
    plain = pb.gradient_descent(problem, network, theta, **options)
    for factor in (1e-8, 1e8):
        scaled = pb.LinearProblem(factor * problem.A, factor * problem.b)
        run = pb.gradient_descent(scaled, network, theta, **options)
        assert run.converged
        np.testing.assert_allclose(run.x, plain.x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("depth", "scale"), [(5, 0.1), (8, 500.0)])
def test_the_line_search_finds_its_first_step_at_large_depths(problem, depth, scale):
    network = pb.HadamardPower(depth)
    run = pb.gradient_descent(problem, network, network.init(scale, np.ones(6)), max_steps=1000)
    assert run.loss < 1e-2 * run.trajectory.loss[0]
