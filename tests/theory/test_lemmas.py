"""The lemmas of the paper along runs with small steps, and the flow itself by another integrator.

Explicit Euler keeps what the flow keeps up to an error in proportion to dt. Where a lemma is exact for the flow only,
the test runs dt, dt/2 and dt/4 side by side and looks at how the error shrinks.
"""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import polarbias as pb

M, N = 3, 6
HALVINGS = np.array([1.0, 0.5, 0.25])
# For each ratio law f, an antiderivative E of r / f(r).
LAWS = {
    "constant": (0.5, lambda r: 0.5, lambda r: r**2 / (2 * 0.5)),
    "square": (pb.PowerRatio(c=0.8, k=2), lambda r: 0.8 * r**2, lambda r: np.log(r) / 0.8),
    "harmonic": (pb.HarmonicRatio(0.5), lambda r: 1 / (1 / r**2 + 2), lambda r: np.log(r) + r**2),
}


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, A @ (0.3 + np.abs(rng.standard_normal(N))))


@pytest.fixture(scope="module")
def direction():
    return np.abs(np.random.default_rng(1).standard_normal(N)) + 0.3


def off_rows(A):
    return np.eye(A.shape[1]) - np.linalg.pinv(A) @ A


def halved(problem, network, theta, dt):
    """Three runs, to the neighbourhood of the limit, at dt, dt/2 and dt/4."""
    run = pb.gradient_descent(
        problem, network, theta, step=pb.ConstantStep(dt * HALVINGS), max_steps=100_000, tol=1e-16, keep_x=True
    )
    assert run.converged.all()
    return run


def assert_first_order(errors, small):
    """Errors at dt, dt/2, dt/4 fall in proportion; dt/4's is below ``small``."""
    sizes = np.linalg.norm(errors, axis=-1) if np.ndim(errors) > 1 else np.abs(errors)
    np.testing.assert_allclose(sizes[:-1] / sizes[1:], 2.0, rtol=0.2)
    assert 1e-9 < sizes[-1] < small


@pytest.fixture(scope="module")
def polar_runs(problem, direction):
    runs = {}
    for depth in (2, 3, 4):
        network = pb.WeightNormalization(pb.HadamardPower(depth), 0.5)
        runs[depth] = halved(problem, network, network.init(np.full(3, 1.2), direction), 0.01)
    return runs


@pytest.fixture(scope="module")
def plain_runs(problem, direction):
    runs = {}
    for depth in (2, 3, 4):
        network = pb.HadamardPower(depth)
        runs[depth] = halved(problem, network, network.init(np.full(3, 1.2), direction), 0.01)
    return runs


def test_lemma_3_1_scaling_u_and_its_rate_changes_nothing(problem, direction):
    """True of every Euler step, not only of the flow."""
    runs = []
    for a in (1.0, 3.0):
        network = pb.WeightNormalization(pb.HadamardPower(2), 0.5, direction_rate=a**2)
        theta = network.init(1.2, direction, direction_norm=a)
        runs.append(
            pb.gradient_descent(
                problem, network, theta, step=pb.ConstantStep(0.02), max_steps=400, tol=0.0, keep_x=True
            )
        )
    np.testing.assert_allclose(runs[1].trajectory.x, runs[0].trajectory.x, rtol=1e-11)
    np.testing.assert_allclose(runs[1].theta.u, 3 * runs[0].theta.u, rtol=1e-11)
    slower = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    other = pb.gradient_descent(
        problem, slower, slower.init(1.2, direction, direction_norm=3.0), step=pb.ConstantStep(0.02), max_steps=400
    )
    assert np.abs(other.x - runs[0].x).max() > 1e-3  # without the rate, the norm of u does matter


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_2_the_norm_of_u_is_kept(polar_runs, depth):
    growth = np.linalg.norm(polar_runs[depth].theta.u, axis=-1) - 1
    assert (growth > 0).all()  # a step along the tangent leads outwards
    assert_first_order(growth, small=0.01)


def test_lemma_3_2_renormalized_descent_keeps_it_exactly(problem, direction):
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5, renormalize=True)
    theta = network.init(np.full(3, 1.2), direction, direction_norm=1.7)
    run = halved(problem, network, theta, 0.01)
    np.testing.assert_allclose(np.linalg.norm(run.theta.u, axis=-1), 1.7, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_3_signs_are_kept(plain_runs, polar_runs, depth):
    for run in (plain_runs[depth], polar_runs[depth]):
        x = run.trajectory.x
        assert (x[~np.isnan(x)] > 0).all()
    assert (polar_runs[depth].theta.r > 0).all()
    assert (polar_runs[depth].theta.u > 0).all()


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_4_the_loss_never_rises(plain_runs, polar_runs, depth):
    for run in (plain_runs[depth], polar_runs[depth]):
        for item in (run[0], run[1], run[2]):
            assert (np.diff(item.trajectory.loss) < 0).all()
            assert len(item.trajectory) > 100


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_6_invariant_of_plain_descent(problem, plain_runs, depth):
    """(I - P_A) log x at depth 2, (I - P_A) x^(2-L) above; eq. 32."""
    x = plain_runs[depth].trajectory.x ** (1 / depth)
    end = plain_runs[depth].theta.x
    mirror = np.log if depth == 2 else lambda z: z ** (2 - depth)
    start, P = x[0, 0], off_rows(problem.A)
    assert_first_order((mirror(end) - mirror(start)) @ P, small=0.05 * np.linalg.norm(mirror(end[2]) - mirror(start)))


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_7_invariant_under_weight_normalization(problem, direction, polar_runs, depth):
    """(I - P_A) log(u e^E) at depth 2, (I - P_A) (u e^E)^(2-L) above, E = r^2 / (2 ratio); eq. 33."""
    theta = polar_runs[depth].theta
    mirror = np.log if depth == 2 else lambda z: z ** (2 - depth)
    start = mirror(direction / np.linalg.norm(direction) * np.exp(1.2**2 / (2 * 0.5)))
    end = mirror(theta.u * np.exp(theta.r**2 / (2 * 0.5))[:, None])
    assert_first_order((end - start) @ off_rows(problem.A), small=0.05 * np.linalg.norm(end[2] - start))


@pytest.mark.parametrize("law", ["square", "harmonic"])
def test_the_invariant_of_every_law_is_log_u_plus_its_antiderivative(problem, direction, law):
    ratio, _, E = LAWS[law]
    network = pb.WeightNormalization(pb.HadamardPower(2), ratio)
    theta = halved(problem, network, network.init(np.full(3, 1.2), direction), 0.01).theta
    start = np.log(direction / np.linalg.norm(direction)) + E(1.2)
    end = np.log(theta.u) + E(theta.r)[:, None]
    assert_first_order((end - start) @ off_rows(problem.A), small=0.05 * np.linalg.norm(end[2] - start))


def test_linear_regression_ends_at_the_projection_of_its_start(problem, direction):
    """A^+ b + (I - P_A) x0, at any stable step: gradients stay in the row space."""
    network = pb.HadamardPower(1)
    x0 = direction * np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    theta = network.init(np.full(3, 2.5), x0)
    run = halved(problem, network, theta, 0.2)
    limit = np.linalg.pinv(problem.A) @ problem.b + off_rows(problem.A) @ theta.x[0]
    np.testing.assert_allclose(run.x, np.broadcast_to(limit, (3, N)), atol=1e-6)


@pytest.mark.parametrize("law", ["constant", "harmonic"])
def test_linear_regression_in_polar_coordinates_ends_where_a_scalar_equation_says(problem, direction, law):
    """S (1 - k e^(-2 E(S))) = ||A^+ b||^2 with k = e^(2 E(r0)) ||(I - P_A) u0||^2 (arXiv:2305.05448v1, depth 1)."""
    ratio, _, E = LAWS[law]
    network = pb.WeightNormalization(pb.HadamardPower(1), ratio)
    r0, u0 = 1.5, direction / np.linalg.norm(direction)
    run = halved(problem, network, network.init(np.full(3, r0), u0), 0.01)
    particular, free = np.linalg.pinv(problem.A) @ problem.b, off_rows(problem.A) @ u0
    square = particular @ particular

    def equation(S):
        return S * (1 - free @ free * np.exp(2 * E(r0) - 2 * E(np.sqrt(S)))) - square

    S = brentq(equation, square, 1e3 * (1 + square), xtol=1e-15, rtol=1e-14)
    limit = particular + np.sqrt(S - square) * free / np.linalg.norm(free)
    errors = run.x - limit
    assert_first_order(errors, small=0.02)
    extrapolated = (8 * errors[2] - 6 * errors[1] + errors[0]) / 3  # cancels the terms in dt and dt^2
    np.testing.assert_allclose(extrapolated, 0, atol=1e-5)


def flow(field, state, ends):
    solution = solve_ivp(field, (0.0, ends[-1]), state, method="DOP853", t_eval=ends, rtol=1e-11, atol=1e-13)
    assert solution.success
    return solution.y.T


@pytest.mark.parametrize("depth", [2, 3])
def test_small_steps_follow_the_plain_flow(problem, direction, depth):
    """Equation (10)."""
    network = pb.HadamardPower(depth)
    theta = network.init(np.full(3, 1.2), direction)
    dts = 2e-3 * HALVINGS
    run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dts), max_steps=500, tol=0.0, keep_x=True)

    def field(_, x):
        return -(problem.A.T @ (problem.A @ x**depth - problem.b)) * x ** (depth - 1)

    check_against_flow(run, dts, lambda times: flow(field, theta.x[0], times) ** depth)


@pytest.mark.parametrize(("depth", "law"), [(2, "harmonic"), (3, "constant"), (3, "square")])
def test_small_steps_follow_the_polar_flow(problem, direction, depth, law):
    """Equations (12) and (13)."""
    ratio, f, _ = LAWS[law]
    network = pb.WeightNormalization(pb.HadamardPower(depth), ratio)
    theta = network.init(np.full(3, 1.2), direction)
    dts = 2e-3 * HALVINGS
    run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dts), max_steps=500, tol=0.0, keep_x=True)

    def field(_, state):
        r, u = state[0], state[1:]
        length = np.linalg.norm(u)
        x = r * u / length
        grad = (problem.A.T @ (problem.A @ x**depth - problem.b)) * x ** (depth - 1)
        along = u @ grad / length
        return np.concatenate([[-f(r) * along], -r / length * (grad - u / length * along)])

    def signals(times):
        states = flow(field, np.concatenate([[1.2], theta.u[0]]), times)
        return (states[:, :1] * states[:, 1:] / np.linalg.norm(states[:, 1:], axis=1, keepdims=True)) ** depth

    check_against_flow(run, dts, signals)


def check_against_flow(run, dts, signals):
    """All runs make 500 steps, so they are compared over the time that the shortest covers."""
    worst = []
    for c, dt in enumerate(dts):
        record = run[c].trajectory
        kept = record.step * dt <= 500 * dts[-1]
        worst.append(np.abs(record.x[kept] - signals(record.step[kept] * dt)).max())
    assert_first_order(np.array(worst), small=1e-2)
