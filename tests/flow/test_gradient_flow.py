"""Gradient flow against tight integrations of the paper's equations, written here in log r and log u."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import polarbias as pb
from optional_jax import jax, jnp

M, N = 3, 7

LAWS = {
    "constant": pb.ConstantRatio(0.7),
    "small": pb.ConstantRatio(0.08),
    "large": pb.ConstantRatio(9.0),
    "square": pb.PowerRatio(0.6, 2),
    "linear": pb.PowerRatio(1.3, 1),
    "harmonic": pb.HarmonicRatio(0.4),
}


def random_problem(seed, signed=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    truth = rng.standard_normal(N) if signed else np.abs(rng.standard_normal(N))
    direction = np.abs(rng.standard_normal(2 * N if signed else N)) + 0.05
    return pb.LinearProblem(A, A @ truth), direction


def polar_oracle(problem, depth, f, r0, u0, direction_rate, times):
    """Return log r and log u at the times, from (12) and (13) divided by r and u; plain flow if f is None."""
    B = problem.A if len(u0) == problem.n else np.hstack([problem.A, -problem.A])

    def polar(t, y):
        r, U = np.exp(y[0]), np.exp(y[1:])
        m = np.sqrt(U @ U)
        u = U / m
        c = B.T @ (B @ (r * u) ** depth - problem.b)
        radial = r ** (depth - 1) * (c @ u**depth)
        relative = c * r ** (depth - 1) * u ** (depth - 2)
        return np.concatenate([[-f(r) * radial / r], -direction_rate * r / m**2 * (relative - radial)])

    def plain(t, y):
        x = np.exp(y)
        return -(B.T @ (B @ x**depth - problem.b)) * x ** (depth - 2)

    start = np.log(r0 * u0 / np.linalg.norm(u0)) if f is None else np.concatenate([[np.log(r0)], np.log(u0)])
    run = solve_ivp(
        plain if f is None else polar, (0, times[-1]), start, method="LSODA", rtol=1e-13, atol=1e-13, t_eval=times
    )
    assert run.success
    if f is None:
        log_r = np.log(np.exp(2 * run.y).sum(0)) / 2
        return log_r, run.y - log_r
    return run.y[0], run.y[1:]


def check(problem, network, theta0, f, rate=1.0, tolerance=1e-6, t_end=None):
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-14, t_end=t_end)
    end = flow.trajectory.time[-1]
    if t_end is None:
        assert flow.status == pb.Status.CONVERGED
    times = np.concatenate([np.geomspace(1e-3 * end, end, 12)])
    depth = network.degree
    factor = network.factor(theta0)
    r0 = float(np.linalg.norm(factor))
    u0 = theta0.u if hasattr(theta0, "u") else factor
    log_r, log_u = polar_oracle(problem, depth, f, r0, u0, rate, times)
    states = flow.trajectory.evaluate(times)
    np.testing.assert_allclose(np.log(states.r), log_r, atol=tolerance)
    unit = log_u - np.log(np.exp(2 * log_u).sum(0)) / 2
    np.testing.assert_allclose(states.log_x, depth * (log_r + unit).T, atol=tolerance * depth * 3)
    x = np.exp(depth * (log_r + unit)).T
    x = x if x.shape[1] == N else x[:, :N] - x[:, N:]
    np.testing.assert_allclose(states.x, x, atol=tolerance * np.abs(x).max())
    np.testing.assert_allclose(states.loss, [((problem.A @ v - problem.b) ** 2).sum() / (2 * depth) for v in x],
                               atol=tolerance * float(problem.b @ problem.b))  # fmt: skip
    return flow, times, log_u


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@pytest.mark.parametrize("law", LAWS)
def test_the_flow_with_a_ratio_law(depth, law):
    problem, direction = random_problem(10 * depth)
    ratio = LAWS[law]
    network = pb.WeightNormalization(pb.HadamardPower(depth), ratio)
    # Far from the end the residual vanishes slower and slower at large depths; half a million is far enough.
    t_end = None if depth == 2 else 30.0
    check(problem, network, network.init(0.9, direction), ratio.f, t_end=t_end)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_the_plain_flow_in_its_own_time(depth):
    problem, direction = random_problem(3 * depth + 1)
    network = pb.HadamardPower(depth)
    check(problem, network, network.init(1.2, direction), None, t_end=None if depth == 2 else 20.0)


@pytest.mark.parametrize("r0", [1e-2, 0.3, 4.0])
@pytest.mark.parametrize("eta", [0.02, 1.0, 30.0])
def test_starts_and_ratios(r0, eta):
    problem, direction = random_problem(21)
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    check(problem, network, network.init(r0, direction), lambda r: eta)


@pytest.mark.parametrize(
    ("depth", "law"), [(2, "constant"), (2, "harmonic"), (2, "square"), (3, "linear"), (4, "small")]
)
def test_clocks_of_long_directions_and_direction_rates(depth, law):
    problem, direction = random_problem(5)
    ratio = LAWS[law]
    network = pb.WeightNormalization(pb.HadamardPower(depth), ratio, direction_rate=3.7)
    theta0 = network.init(1.1, direction, direction_norm=2.3)
    flow, times, log_u = check(problem, network, theta0, ratio.f, rate=3.7, t_end=8.0)
    np.testing.assert_allclose(flow.trajectory.evaluate(times).u, np.exp(log_u).T, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(flow.theta.u), 2.3, rtol=1e-12)


@pytest.mark.parametrize("wn", [True, False])
@pytest.mark.parametrize("depth", [2, 3])
def test_signed_networks(depth, wn):
    problem, direction = random_problem(31, signed=True)
    inner = pb.HadamardDifference(depth)
    network = pb.WeightNormalization(inner, 0.5) if wn else inner
    check(problem, network, network.init(0.8, direction), (lambda r: 0.5) if wn else None, t_end=6.0)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    "network",
    [
        pb.HadamardPower(2),
        pb.HadamardPower(4),
        pb.HadamardDifference(3),
        pb.WeightNormalization(pb.HadamardPower(3), 0.3, direction_rate=1.7),
        pb.WeightNormalization(pb.HadamardDifference(2), pb.HarmonicRatio(0.6)),
    ],
)
def test_the_velocity_is_the_vector_field(network, full):
    problem, direction = random_problem(8, signed=True)
    direction = direction if "Difference" in repr(network) else direction[:N]
    flow = pb.gradient_flow(problem, network, network.init(0.9, direction), t_end=2.0, tol=0, accuracy=1e-12, full=full)
    t, h = 0.7, 1e-4
    ahead, behind = flow.trajectory.evaluate(t + h).theta, flow.trajectory.evaluate(t - h).theta
    field = pb.vector_field(problem, network, flow.trajectory.evaluate(t).theta)
    for one, other, expected in zip(*map(jax.tree.leaves, (ahead, behind, field)), strict=True):
        np.testing.assert_allclose((one - other) / (2 * h), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize("inner", [pb.HadamardPower, pb.HadamardDifference])
def test_both_roads_agree(depth, inner):
    problem, direction = random_problem(44, signed=inner is pb.HadamardDifference)
    network = pb.WeightNormalization(inner(depth), pb.PowerRatio(0.8, 1), direction_rate=0.4)
    theta0 = network.init(1.0, direction, direction_norm=0.7)
    reduced, full = (
        pb.gradient_flow(problem, network, theta0, t_end=5.0, tol=0, accuracy=1e-11, full=full)
        for full in (False, True)
    )
    for t in (0.0, 0.1, 2.0, 5.0):
        np.testing.assert_allclose(reduced.trajectory.evaluate(t).x, full.trajectory.evaluate(t).x, atol=1e-8)
        np.testing.assert_allclose(reduced.trajectory.evaluate(t).u, full.trajectory.evaluate(t).u, atol=1e-8)
    np.testing.assert_allclose(reduced.theta.r, full.theta.r, rtol=1e-8)
    assert full.mirror_dual is None
    assert full.trajectory.evaluate(1.0).mirror_dual is None


def test_the_mirror_variable_moves_the_mirror_map():
    for depth in (2, 4):
        problem, direction = random_problem(17)
        network = pb.WeightNormalization(pb.HadamardPower(depth), 0.9)
        flow = pb.gradient_flow(problem, network, network.init(1.3, direction), t_end=5.0)
        u0 = direction / np.linalg.norm(direction)
        grown = np.exp((flow.r**2 - 1.3**2) / (2 * 0.9)) * flow.theta.u
        moved = problem.A.T @ flow.mirror_dual
        if depth == 2:
            np.testing.assert_allclose(2 * np.log(grown), 2 * np.log(u0) + moved, atol=1e-9)
        else:
            np.testing.assert_allclose(grown**-2.0, u0**-2.0 - 2 * moved, rtol=1e-8)


def test_depth_one_changes_signs():
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    network = pb.WeightNormalization(pb.HadamardPower(1), 2.0)
    flow = pb.gradient_flow(problem, network, network.init(1.0, [1.0, 1.0]), tol=1e-20)

    def equations(t, y):
        r, U = y[0], y[1:]
        m = np.sqrt(U @ U)
        u = U / m
        g = problem.A.T @ (problem.A @ (r * u) - problem.b)
        return np.concatenate([[-2 * (u @ g)], -r / m * (g - u * (u @ g))])

    t = flow.trajectory.time[-1]
    oracle = solve_ivp(equations, (0, t), [1.0, np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-12, atol=1e-14).y[:, -1]
    assert oracle[0] < -1
    np.testing.assert_allclose([flow.theta.r, *flow.theta.u], oracle, atol=1e-7)
    assert flow.status == pb.Status.CONVERGED


def test_two_polar_coordinates():
    problem, direction = random_problem(12, signed=True)
    network = pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), 0.5))
    theta0 = network.init(1.0, direction)
    flow = pb.gradient_flow(problem, network, theta0, t_end=3.0, tol=0)

    def half(sign, r, u, R):
        g = sign * (problem.A.T @ R) * r * u / np.linalg.norm(u)
        n = np.linalg.norm(u)
        return [-0.5 * (u @ g) / n, *(-r / n * (g - u * (u @ g) / n**2))]

    def equations(t, y):
        p, q = y[: N + 1], y[N + 1 :]
        R = problem.A @ ((p[0] * p[1:]) ** 2 / (p[1:] @ p[1:]) - (q[0] * q[1:]) ** 2 / (q[1:] @ q[1:])) - problem.b
        return half(1, p[0], p[1:], R) + half(-1, q[0], q[1:], R)

    start = [theta0.plus.r, *theta0.plus.u, theta0.minus.r, *theta0.minus.u]
    end = solve_ivp(equations, (0, 3.0), start, rtol=1e-12, atol=1e-14).y[:, -1]
    found = [flow.theta.plus.r, *flow.theta.plus.u, flow.theta.minus.r, *flow.theta.minus.u]
    np.testing.assert_allclose(found, end, atol=1e-6)
    assert flow.status == pb.Status.MAX_STEPS


class Exponential(pb.Network):
    def signal(self, theta):
        return jnp.exp(theta)


def test_a_network_of_ones_own():
    problem = pb.LinearProblem([[1.0]], [2.0])
    flow = pb.gradient_flow(problem, Exponential(), np.zeros(1), t_end=0.5, tol=0)
    # z = e^theta follows z' = -z^2 (z - 2) from 1; this is its time as a function of z.
    z = flow.x[0]
    time = (np.log(z / (2 - z)) / 4 - 1 / (2 * z)) - (0 - 1 / 2)
    np.testing.assert_allclose(time, 0.5, rtol=1e-6)
    assert flow.trajectory.evaluate(0.1).log_x is None


def test_rates_that_depend_on_time():
    problem, direction = random_problem(9)
    network = pb.WeightNormalization(pb.HadamardPower(2), 123.0)
    theta0 = network.init(0.7, direction, direction_norm=1.5)
    flow = pb.gradient_flow(
        problem, network, theta0, t_end=4.0, tol=0, schedule=lambda t: (1 + np.sin(3 * t), np.exp(-t))
    )

    def equations(t, y):
        r, U = y[0], y[1:]
        m = np.sqrt(U @ U)
        u = U / m
        g = (problem.A.T @ (problem.A @ (r * u) ** 2 - problem.b)) * r * u
        return np.concatenate([[-(1 + np.sin(3 * t)) * (u @ g)], -np.exp(-t) * r / m * (g - u * (u @ g))])

    oracle = solve_ivp(equations, (0, 4.0), [theta0.r, *theta0.u], rtol=1e-12, atol=1e-14, dense_output=True).sol
    for t in (0.5, 2.0, 4.0):
        np.testing.assert_allclose(
            [flow.trajectory.evaluate(t).r, *flow.trajectory.evaluate(t).u], oracle(t), atol=1e-6
        )
    with pytest.raises(pb.InvalidInput, match="radius and direction"):
        pb.gradient_flow(problem, pb.HadamardPower(2), pb.Factor(direction), schedule=lambda t: (1, 1))
    with pytest.raises(pb.InvalidInput, match="schedule"):
        pb.gradient_flow(problem, network, theta0, schedule=lambda t: (1, -1))


@pytest.mark.parametrize("full", [False, True])
def test_collapse_on_the_smallest_example(full):
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    direction = np.sqrt([0.1, 0.9])
    threshold = np.sqrt(np.log(1 / (2 * np.sqrt(0.1 * 0.9))))
    below, above = (
        pb.gradient_flow(problem, network, network.init(scale, direction), full=full)
        for scale in (0.98 * threshold, 1.02 * threshold)
    )
    assert below.status == pb.Status.COLLAPSED
    assert below.r < 1e-9
    assert above.status == pb.Status.CONVERGED


def test_tiny_entries_keep_their_digits():
    problem = pb.LinearProblem([[1.0, 0.5]], [200.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.01)
    flow = pb.gradient_flow(problem, network, network.init(10.0, [1.0, 1.0]), tol=1e-16)
    # log u^2 + r^2 / eta moves along (1, 1/2), so that for pi = u^2 its difference over the entries gives nu.
    s = 200.0  # the second entry is below e^-2000, so r^2 is X_1
    nu = 2 * ((s - 100.0) / 0.01 - np.log(0.5)) / 2
    assert flow.status == pb.Status.CONVERGED
    np.testing.assert_allclose(flow.log_x[1], np.log(s) + np.log(0.5) + nu / 2 - (s - 100.0) / 0.01, rtol=1e-9)
    assert flow.log_x[1] < -2000
    assert flow.x[1] == 0
