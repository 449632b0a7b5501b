"""What gradient descent refuses: each message says what was given and what to do."""

import numpy as np
import pytest

import polarbias as pb

N = 3


@pytest.fixture(scope="module")
def problem():
    return pb.LinearProblem(np.ones((1, N)), [1.0])


@pytest.fixture(scope="module")
def network():
    return pb.HadamardPower(2)


@pytest.fixture(scope="module")
def theta(network):
    return network.init(1.0, np.ones(N))


@pytest.mark.parametrize("max_steps", [0, -5, 10.0, 1e6, True, None, "many", np.float64(3), 10**16])
def test_max_steps(problem, network, theta, max_steps):
    with pytest.raises(pb.InvalidInput, match=r"max_steps must be an integer from 1 to 1e\+15, got "):
        pb.gradient_descent(problem, network, theta, max_steps=max_steps)


@pytest.mark.parametrize("name", ["tol", "rtol"])
@pytest.mark.parametrize("value", [-1e-12, np.nan, np.inf, None, "small", [1e-12], 1j])
def test_tolerances(problem, network, theta, name, value):
    with pytest.raises(pb.InvalidInput, match=rf"^{name} must be a finite number of at least 0, got "):
        pb.gradient_descent(problem, network, theta, **{name: value})


@pytest.mark.parametrize("step", [0.1, pb.Armijo, "armijo"])
def test_step(problem, network, theta, step):
    with pytest.raises(pb.InvalidInput, match=r"step must be Armijo\(\.\.\.\) or ConstantStep\(dt\), got "):
        pb.gradient_descent(problem, network, theta, step=step)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.complex128, "double precision", np.longdouble])
def test_dtype(problem, network, theta, dtype):
    with pytest.raises(pb.InvalidInput, match="dtype must be float64 or float32, got "):
        pb.gradient_descent(problem, network, theta, dtype=dtype)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (1,)])
def test_steps_that_do_not_broadcast(problem, network, theta, shape):
    """Not even (1,) against a single run: it would add an axis."""
    with pytest.raises(pb.InvalidInput, match=r"step has shape .*; it must broadcast to the batch of runs \(\)"):
        pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(np.full(shape, 0.1)))


def test_steps_for_another_batch(problem, network):
    theta = network.init(np.ones((4, 2)), np.ones(N))
    for shape in [(4,), (2, 4), (5, 4, 2)]:
        with pytest.raises(pb.InvalidInput, match=r"must broadcast to the batch of runs \(4, 2\)"):
            pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(np.full(shape, 0.1)))


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)])
@pytest.mark.parametrize("what", ["ratio", "direction_rate"])
def test_ratios_and_rates_that_do_not_broadcast(problem, batch, what):
    options = {"ratio": 0.1} | {what: [0.1, 0.2, 0.3]}
    network = pb.WeightNormalization(pb.HadamardPower(2), **options)
    theta = network.init(np.ones(batch), np.ones(N))
    with pytest.raises(pb.InvalidInput, match=r"a ratio or rate .* does not broadcast .* give theta0 the batch axes"):
        pb.gradient_descent(problem, network, theta)


def test_ratios_of_separate_halves_that_do_not_broadcast(problem):
    network = pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2]))
    with pytest.raises(pb.InvalidInput, match="does not broadcast to the batch of runs"):
        pb.gradient_descent(problem, network, network.init(1.0, np.ones(2 * N)))


def test_starts_for_another_problem_batch(problem, network):
    problems = pb.stack([problem, problem])
    for shape in [(), (3,), (3, 2)]:
        with pytest.raises(pb.InvalidInput, match=r"must begin with the problems' batch shape \(2,\)"):
            pb.gradient_descent(problems, network, network.init(np.ones(shape), np.ones(N)))


def test_starts_of_another_length(problem, network):
    with pytest.raises(pb.InvalidInput, match=r"signals of shape \(4,\), but the problem has 3 unknowns"):
        pb.gradient_descent(problem, network, network.init(1.0, np.ones(4)))
    difference = pb.HadamardDifference(2)
    with pytest.raises(pb.InvalidInput, match="a difference network takes directions of twice that length"):
        pb.gradient_descent(problem, difference, difference.init(1.0, np.ones(4)))


@pytest.mark.parametrize(
    ("A", "b", "advice"),
    [
        (np.ones(3), [1.0], r"A must have shape \(\.\.\., M, N\)"),
        (np.ones((0, 3)), [], r"A must have shape \(\.\.\., M, N\)"),
        (np.ones((1, 3)), [1.0, 2.0], r"b must have shape \(1,\) to go with A of shape \(1, 3\), got \(2,\)"),
        (np.ones((2, 1, 3)), [1.0], r"b must have shape \(2, 1\)"),
        ([[1.0, np.nan]], [1.0], "A holds NaN or infinity"),
        ([[1.0, 2.0]], [np.inf], "b holds NaN or infinity"),
        ([[1.0j, 2.0]], [1.0], "A must hold real numbers, got dtype complex128; take the real part"),
        ([[1.0, 2.0]], ["one"], "b must hold real numbers"),
    ],
)
def test_problems(A, b, advice):
    with pytest.raises(pb.InvalidProblem, match=advice):
        pb.LinearProblem(A, b)


def test_errors_are_value_errors_and_polarbias_errors(problem, network, theta):
    with pytest.raises(ValueError, match="max_steps") as caught:
        pb.gradient_descent(problem, network, theta, max_steps=0)
    assert isinstance(caught.value, pb.PolarbiasError)


def test_numpy_scalars_are_options(problem, network, theta):
    run = pb.gradient_descent(
        problem, network, theta, max_steps=np.int64(50), tol=np.float64(1e-6), rtol=np.float32(0), dtype="float64"
    )
    assert run.converged


def test_things_of_another_kind_are_refused():
    problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    theta0 = network.init(1.0, [1.0, 1.0])
    for arguments, message in (
        ((3, network, theta0), "use LinearProblem"),
        ((problem, pb.HadamardPower, theta0), "instance of a Network"),
        ((problem, network, pb.Polar(1.0, None)), "theta0 must be a dense array"),
        ((problem, network, pb.Polar(np.ones(0), np.ones((0, 2)))), "empty batch"),
    ):
        with pytest.raises(pb.InvalidInput, match=message):
            pb.gradient_descent(*arguments)
    for lengths in (np.ones(3), [[1.0]], 0.0):
        with pytest.raises(pb.InvalidInput, match="direction_norm"):
            network.init(np.ones(2), [1.0, 1.0], direction_norm=lengths)


def test_a_homogeneous_problem_is_solved_by_zero_and_never_collapses():
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    run = pb.gradient_descent(
        pb.LinearProblem([[1.0, 2.0]], [0.0]), network, network.init(1.0, [1.0, 1.0]), tol=0, max_steps=4000
    )
    assert run.status == pb.Status.MAX_STEPS
    assert run.loss < 1e-100
