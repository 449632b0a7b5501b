"""Step sizes: `ConstantStep.stable` against its formula and in action, and the options of the line search."""

import numpy as np
import pytest

import polarbias as pb

# A X = b has one solution, X = (4, 4), so that all of the formula can be worked out by hand: the largest
# eigenvalue of A^T A is 4, and at depth 2 the solution's factor is (2, 2), of norm sqrt(8).
MATRIX, RHS = [[2.0, 0.0], [0.0, 1.0]], [8.0, 4.0]


@pytest.fixture(scope="module")
def diagonal():
    return pb.LinearProblem(MATRIX, RHS)


@pytest.fixture(scope="module")
def random_problems():
    rng = np.random.default_rng(8)
    A = rng.standard_normal((2, 3, 8)) / np.sqrt(3)
    return pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, np.abs(rng.standard_normal((2, 8)))))


def polar(depth, ratio):
    return pb.WeightNormalization(pb.HadamardPower(depth), ratio)


def test_stable_step_of_plain_descent(diagonal):
    network = pb.HadamardPower(2)
    small = pb.ConstantStep.stable(diagonal, network, network.init(0.1, [3.0, 4.0]))
    np.testing.assert_allclose(small.dt, 0.5 / (4 * 2 * 4.0**2))  # twice the solution's largest entry is 4
    large = pb.ConstantStep.stable(diagonal, network, network.init(50.0, [3.0, 4.0]), c=0.2)
    np.testing.assert_allclose(large.dt, 0.2 / (4 * 2 * 40.0**2))


def test_stable_step_at_other_depths(diagonal):
    for depth in (1, 3, 4):
        network = pb.HadamardPower(depth)
        step = pb.ConstantStep.stable(diagonal, network, network.init(0.1, [3.0, 4.0]))
        largest = 2 * 4 ** (1 / depth)
        np.testing.assert_allclose(step.dt, 0.5 / (4 * depth * largest ** (2 * depth - 2)))


def test_stable_step_under_weight_normalization(diagonal):
    for ratio, scale, speed, largest in (
        (0.3, 0.1, 32.0, 4.0),  # (2 sqrt(8))^2 beats the ratio
        (100.0, 0.1, 100.0, 4.0),  # the ratio beats it
        (0.3, 50.0, 2500.0, 40.0),  # the start beats both
        (pb.PowerRatio(c=3.0, k=2), 0.1, 96.0, 4.0),  # a law is taken at the largest radius
    ):
        network = polar(2, ratio)
        step = pb.ConstantStep.stable(diagonal, network, network.init(scale, [3.0, 4.0]))
        np.testing.assert_allclose(step.dt, 0.5 / (4 * 2 * largest**2 * speed))


def test_stable_step_of_differences():
    signed = pb.LinearProblem(MATRIX, [8.0, -4.0])
    for network, speed in (
        (pb.HadamardDifference(2), 1.0),
        (pb.WeightNormalization(pb.HadamardDifference(2), 0.3), 32.0),
        (pb.Difference(polar(2, 0.3)), 32.0),
    ):
        step = pb.ConstantStep.stable(signed, network, network.init(0.1, np.ones(4)))
        np.testing.assert_allclose(step.dt, 0.5 / (4 * 2 * 4.0**2 * speed))
    separate = pb.Difference(polar(2, 0.3))
    theta = separate.init(0.1, np.ones(4))
    for half in ("plus", "minus"):  # u of half the norm turns four times as fast, whichever half it is
        shorter = theta._replace(**{half: pb.Polar(theta.plus.r, theta.plus.u / 2)})
        step = pb.ConstantStep.stable(signed, separate, shorter)
        np.testing.assert_allclose(step.dt, 0.5 / (4 * 2 * 4.0**2 * 32.0 * 4))


def test_stable_steps_of_a_batch_are_those_of_its_chains(random_problems):
    network = polar(2, [0.1, 1.0, 100.0])
    directions = np.abs(np.random.default_rng(0).standard_normal((2, 1, 8))) + 0.1
    theta = network.init([0.01, 1.0, 30.0], directions)
    together = pb.ConstantStep.stable(random_problems, network, theta)
    assert together.dt.shape == (2, 3)
    for t in range(2):
        for c, ratio in enumerate([0.1, 1.0, 100.0]):
            alone = pb.ConstantStep.stable(random_problems[t], polar(2, ratio), pb.Polar(theta.r[t, c], theta.u[t, c]))
            np.testing.assert_allclose(together.dt[t, c], alone.dt, rtol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        pb.HadamardPower(2),
        polar(2, 0.1),
        pb.WeightNormalization(pb.HadamardDifference(2), 10.0),
        polar(3, 1.0),
    ],
)
def test_stable_steps_are_stable_from_small_and_large_starts(random_problems, network):
    n = 16 if isinstance(getattr(network, "inner", None), pb.HadamardDifference) else 8
    directions = np.abs(np.random.default_rng(0).standard_normal((2, 1, n))) + 0.1
    theta = network.init([0.01, 1.0, 30.0], directions)
    step = pb.ConstantStep.stable(random_problems, network, theta)
    run = pb.gradient_descent(random_problems, network, theta, step=step, max_steps=20_000, tol=1e-10)
    first = run.trajectory.loss[..., 0]
    # Only a run that starts above the loss of X = 0 can collapse; it does so under a stable step as well.
    collapsible = first >= (random_problems.b**2).sum(-1, keepdims=True) / (2 * network.degree)
    ended_well = np.isin(run.status, [pb.Status.CONVERGED, pb.Status.MAX_STEPS])
    assert (ended_well | (collapsible & (run.status == pb.Status.COLLAPSED))).all()
    assert ended_well[:, 2].all()
    assert (run.loss < first).all()


def test_a_step_computed_from_a_small_start_alone_is_not_stable(diagonal):
    """Why `stable` looks at the solution: the same formula with the start's maxima diverges."""
    network = polar(2, 0.1)
    theta = network.init(0.1, [3.0, 4.0])
    greedy = pb.ConstantStep(0.5 / (4 * 2 * 0.08**2 * 0.1))
    assert pb.gradient_descent(diagonal, network, theta, step=greedy, max_steps=20_000).status in (
        pb.Status.UNSTABLE,
        pb.Status.DIVERGED,
    )


class NoFactor(pb.Network):
    def signal(self, theta):
        return theta


def test_stable_says_what_it_cannot_do(diagonal):
    network = pb.HadamardPower(2)
    theta = network.init(1.0, [1.0, 1.0])
    with pytest.raises(pb.InvalidInput, match="needs a network with a factor; choose dt yourself"):
        pb.ConstantStep.stable(diagonal, NoFactor(), np.ones(2))
    for c in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(pb.InvalidInput, match="c must be a finite number above 0"):
            pb.ConstantStep.stable(diagonal, network, theta, c=c)
    with pytest.raises(pb.InvalidInput, match="needs A != 0"):
        pb.ConstantStep.stable(pb.LinearProblem(np.zeros((1, 2)), [0.0]), network, theta)
    with pytest.raises(pb.InvalidInput, match="the problem has 2 unknowns"):
        pb.ConstantStep.stable(diagonal, network, network.init(1.0, np.ones(3)))


def test_stable_needs_a_solution_of_the_network_s_kind():
    """b is out of reach of nonnegative signals, but not of signed ones."""
    problem = pb.LinearProblem([[1.0, 1.0]], [-1.0])
    network = pb.HadamardPower(2)
    with pytest.raises(pb.InvalidInput, match="with a solution"):
        pb.ConstantStep.stable(problem, network, network.init(1.0, np.ones(2)))
    signed = pb.HadamardDifference(2)
    assert pb.ConstantStep.stable(problem, signed, signed.init(1.0, np.ones(4))).dt > 0


@pytest.mark.parametrize("dt", [0.0, -0.1, [0.1, 0.0]])
def test_constant_steps_are_positive(dt):
    with pytest.raises(pb.InvalidInput, match=r"dt must be positive, got -?0"):
        pb.ConstantStep(dt)


@pytest.mark.parametrize("dt", [np.nan, np.inf, 1j, "fast", [[0.1], [0.1, 0.2]]])
def test_constant_steps_are_finite_real_numbers(dt):
    with pytest.raises(pb.InvalidInput, match=r"dt (holds NaN or infinity|must hold real|must be a rect)"):
        pb.ConstantStep(dt)


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("c1", 0.0, "above 0 and below 1"),
        ("c1", 1.0, "above 0 and below 1"),
        ("shrink", 0.0, "above 0 and below 1"),
        ("shrink", 1.0, "above 0 and below 1"),
        ("growth", 0.9, "of at least 1"),
        ("growth", np.inf, "of at least 1"),
        ("initial", 0.0, "above 0"),
        ("initial", np.inf, "above 0"),
        ("c1", np.nan, "above 0 and below 1"),
    ],
)
def test_options_of_the_line_search(option, value, allowed):
    with pytest.raises(pb.InvalidInput, match=f"{option} must be a finite number {allowed}, got {value}"):
        pb.Armijo(**{option: value})


@pytest.mark.parametrize("initial", [1e-6, 1e6])
def test_a_bad_first_guess_is_recovered_from(random_problems, initial):
    """The step adapts from far off, and few trials are wasted."""
    network = polar(2, 0.5)
    theta = network.init([0.5, 1.0, 3.0], np.ones((2, 1, 8)))
    step = pb.Armijo(initial=initial)
    run = pb.gradient_descent(random_problems, network, theta, step=step, max_steps=20_000, tol=1e-10)
    assert run.converged.all()
    assert (run.stats["trials"] <= 1.6 * run.steps + 40).all()
