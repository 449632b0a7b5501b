"""Invariants, norms and signs along flows that are integrated by other means."""

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import polarbias as pb
from flow_cases import LAWS, RATIOS, network_of
from optional_jax import jax
from polarbias import theory
from polarbias.errors import InvalidInput

M, N = 2, 5


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    A = rng.standard_normal((M, N))
    return A, A @ (0.3 + np.abs(rng.standard_normal(N))), 0.2 + np.abs(rng.standard_normal(N))


def off_rows(A):
    return np.eye(A.shape[1]) - np.linalg.pinv(A) @ A


def polar_flow(A, b, depth, law, start, until, signed=False, rate=1.0):
    """Equations (12), (13) or, for r None, (10), as they stand: any norm and signs of u."""
    r, u = start
    name, c = law or (None, None)
    B = np.hstack([A, -A]) if signed else A

    def gradient(x):
        return (B.T @ (B @ x**depth - b)) * x ** (depth - 1)

    def field(_, y):
        if r is None:
            return -gradient(y)
        length = np.linalg.norm(y[1:])
        g = gradient(y[0] * y[1:] / length)
        radial = y[1:] @ g / length
        return np.concatenate(
            [[-LAWS[name](c)[0](abs(y[0])) * radial], -rate * y[0] / length * (g - y[1:] / length * radial)]
        )

    y0 = u if r is None else np.concatenate([[r], u])
    run = solve_ivp(field, (0, until), y0, method="DOP853", rtol=1e-12, atol=1e-13, t_eval=np.linspace(0, until, 9))
    assert run.success
    return pb.Factor(run.y.T) if r is None else pb.Polar(run.y[0], run.y[1:].T)


@pytest.mark.parametrize("law", [None, *LAWS])
@pytest.mark.parametrize(("depth", "signed"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_the_flow_keeps_the_invariant(data, depth, law, signed):
    """Factors of any sign at depth 1; for a signed network the joint vector of both halves and [A, -A]."""
    A, b, u0 = data
    u = {1: np.array([1, -1, 1, 1, -1]) * u0}.get(depth, 0.5 * np.concatenate([u0, u0[::-1]]) if signed else u0)
    thetas = polar_flow(A, b, depth, law and (law, 0.6), (law and 0.8, u), until=1.5, signed=signed)
    inner = (pb.HadamardDifference if signed else pb.HadamardPower)(depth)
    network = inner if law is None else pb.WeightNormalization(inner, RATIOS[law](0.6))
    if law is None and signed:
        thetas = pb.Pair(pb.Factor(thetas.x[:, :N]), pb.Factor(thetas.x[:, N:]))
    problem, first = pb.LinearProblem(A, b), jax.tree.map(lambda leaf: leaf[0], thetas)
    assert theory.drift(problem, network, thetas).max() < 1e-9
    length = 1 if law is None else np.linalg.norm(u)
    log = np.log(np.abs(u) / length) + (LAWS[law](0.6)[1](0.8) / length**2 if law else 0)
    naive = off_rows(np.hstack([A, -A]) if signed else A) @ (
        log if depth == 2 else np.sign(u) * np.exp((2 - depth) * log)
    )
    got = theory.invariant(problem, network, first)
    np.testing.assert_allclose(got.value * np.exp(got.log_scale), naive, rtol=1e-11, atol=1e-13)


def test_a_radius_that_crosses_zero():
    """At depth 1, A = [1, 0], b = -1, a uniform direction, r0 = 1, eta = 2 ends at r = -1.26."""
    A, b = np.array([[1.0, 0.0]]), np.array([-1.0])
    thetas = polar_flow(A, b, 1, ("constant", 2.0), (1.0, np.sqrt([0.5, 0.5])), until=20.0)
    assert thetas.r[-1] == pytest.approx(-1.26, abs=0.01)
    assert theory.drift(pb.LinearProblem(A, b), network_of(1, ("constant", 2.0)), thetas).max() < 1e-9
    assert not theory.signs_kept(thetas).all()


@pytest.mark.parametrize("depth", [2, 4])
def test_directions_of_another_norm_and_rate(data, depth):
    """Lemma 3.1: the norm of u and its rate enter through E only."""
    A, b, u0 = data
    u = 1.7 * u0 / np.linalg.norm(u0)
    thetas = polar_flow(A, b, depth, ("constant", 0.6), (0.8, u), until=2.0, rate=0.4)
    problem = pb.LinearProblem(A, b)
    network = pb.WeightNormalization(pb.HadamardPower(depth), 0.6, direction_rate=0.4)
    assert theory.drift(problem, network, thetas).max() < 1e-9
    assert theory.drift(problem, network_of(depth, ("constant", 0.6)), thetas).max() > 1e-2
    assert np.abs(theory.norm_drift(problem, network, thetas)).max() < 1e-10
    assert theory.direction_norm(problem, network, pb.Polar(0.8, u)) == pytest.approx(1.7, rel=1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("r", [1e-3, 2.0, 60.0])
def test_values_where_exponentials_leave_the_range_of_floats(depth, r):
    """E = r^2 / (2 eta) up to 180,000, entries of u down to 1e-150: against 60 digits."""
    A = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    u = np.array([1.0, 1e-150, 0.5])
    u = u / np.linalg.norm(u)
    network = pb.WeightNormalization(pb.HadamardPower(depth), 0.01)
    got = theory.invariant(pb.LinearProblem(A, [1.0, 1.0]), network, pb.Polar(r, u))
    with mp.workdps(400):
        B = mp.matrix(A.tolist())
        log = [mp.log(mp.mpf(entry)) + mp.mpf(r) ** 2 / (2 * mp.mpf(0.01)) for entry in u.tolist()]
        mirror = mp.matrix(log if depth == 2 else [mp.exp((2 - depth) * entry) for entry in log])
        kept = mirror - B.T * mp.lu_solve(B * B.T, B * mirror)
        expected = np.array([float(entry * mp.exp(-mp.mpf(float(got.log_scale)))) for entry in kept])
    assert np.isfinite(got.value).all()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(got.value, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("depth", [2, 3])
def test_drift_of_hand_made_points(data, depth):
    A, b, u0 = data
    x = np.stack([u0, 1.5 * u0, u0[::-1]])
    mirror = np.log(x) if depth == 2 else x ** (2 - depth)
    change = mirror - mirror[0]
    P = off_rows(A)
    size = np.maximum(np.linalg.norm(P @ mirror[0]), np.linalg.norm(change, axis=1))
    expected = np.linalg.norm(change @ P, axis=1) / size
    problem, network = pb.LinearProblem(A, b), pb.HadamardPower(depth)
    assert (expected[1:] > 0.01).all()
    for thetas in (pb.Factor(x), [pb.Factor(row) for row in x], pb.Factor(x.tolist())):
        np.testing.assert_allclose(theory.drift(problem, network, thetas), expected, rtol=1e-12)


def test_invariants_that_are_zero_and_dependent_rows():
    """A = [1, 1] and a uniform start: (I - P) log x = 0 at first."""
    problem, network = pb.LinearProblem([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]], [1.0, 2.0, 0.0]), pb.HadamardPower(2)
    path = pb.Factor([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0], [2.0, 0.5]])
    np.testing.assert_allclose(theory.drift(problem, network, path), [0, 0, 0, 1.0], atol=1e-15)
    assert theory.invariant(problem, network, pb.Factor([1.0, np.e**2])).value == pytest.approx([-1, 1])


def test_batches_are_their_chains_one_by_one(data):
    A, b, _ = data
    problems = pb.stack([pb.LinearProblem(A, b), pb.LinearProblem(A[:, ::-1].copy(), 2 * b)])
    network = pb.WeightNormalization(pb.HadamardPower(3), [0.1, 0.5, 2.0])
    rng = np.random.default_rng(3)
    thetas = pb.Polar(rng.uniform(0.5, 2, (4, 2, 3)), rng.uniform(0.5, 2, (4, 2, 3, N)))
    drift, lengths = theory.drift(problems, network, thetas), theory.norm_drift(problems, network, thetas)
    starts = theory.invariant(problems, network, pb.Polar(thetas.r[0], thetas.u[0]))
    for t, c in np.ndindex(2, 3):
        one = network_of(3, ("constant", [0.1, 0.5, 2.0][c]))
        own = pb.Polar(thetas.r[:, t, c], thetas.u[:, t, c])
        np.testing.assert_allclose(theory.drift(problems[t], one, own), drift[:, t, c], rtol=1e-11)
        np.testing.assert_allclose(theory.norm_drift(problems[t], one, own), lengths[:, t, c], rtol=1e-12, atol=1e-14)
        single = theory.invariant(problems[t], one, pb.Polar(own.r[0], own.u[0]))
        np.testing.assert_allclose(starts.value[t, c], single.value, rtol=1e-12, atol=1e-14)
        assert starts.log_scale[t, c] == pytest.approx(single.log_scale)


def test_signs():
    path = pb.Polar([1.0, 0.5, 1e-9, 0.0, -0.1], [[1.0, 2.0]] * 5)
    assert theory.signs_kept(path).tolist() == [True, True, True, False, False]
    pair = pb.Pair(pb.Factor([[1.0], [1.0]]), pb.Factor([[-1.0], [1.0]]))
    assert theory.signs_kept(pair).tolist() == [True, False]


@pytest.mark.parametrize(
    ("network", "thetas", "message"),
    [
        (pb.HadamardPower(2), [], "no point"),
        (pb.HadamardPower(2), pb.Factor(np.ones((0, 2))), "leading axis"),
        (pb.HadamardPower(2), pb.Factor(1.0), "leading axis"),
        (pb.HadamardPower(2), pb.Factor([[1.0, 1.0], [1.0, -1.0]]), "positive"),
        (pb.HadamardPower(2), [pb.Factor([1.0, 1.0]), pb.Factor([[1.0, 1.0]])], "one kind"),
        (pb.HadamardPower(2), pb.Factor([[1.0, np.nan]]), "NaN"),
        (pb.HadamardPower(2), pb.Factor([[1.0, 1.0, 1.0]]), "unknowns"),
        (network_of(2, ("constant", 1.0)), pb.Polar([1.0, 1.0], [[1.0, 1.0]]), "leading axis"),
    ],
)
def test_bad_trajectories(network, thetas, message):
    with pytest.raises(InvalidInput, match=message):
        theory.drift(pb.LinearProblem([[1.0, 1.0]], [1.0]), network, thetas)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("law", [None, ("constant", 0.5), ("harmonic", 2.0)])
def test_the_drift_of_a_flow_is_that_of_its_parameters(depth, law):
    problem, network = pb.gaussian_problem(0, 4, 10, "gaussian"), network_of(depth, law)
    path = pb.gradient_flow(problem, network, network.init(1.5, np.linspace(1, 2, 10)), accuracy=1e-4).trajectory
    t = np.linspace(0, path.time[-1], 12)
    expected = theory.drift(problem, network, path.evaluate(t).theta)
    np.testing.assert_allclose(theory.flow_drift(problem, network, path, t), expected, atol=1e-12)


def test_the_drift_of_a_flow_whose_entries_underflow():
    problem = pb.gaussian_problem(0, 20, 60, "gaussian")
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.02)
    path = pb.gradient_flow(problem, network, network.init(0.5, np.ones(60))).trajectory
    t = path.time[[0, len(path) // 2, -1]]
    assert path.evaluate(t[-1]).log_x.min() < -1500
    assert theory.drift(problem, network, path.evaluate(t).theta).max() > 1e-3
    assert theory.flow_drift(problem, network, path, t).max() < 1e-9


def test_refused_networks_and_batches():
    problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    power, line = pb.HadamardPower(2), pb.HadamardPower(1)
    other = pb.Difference(pb.WeightNormalization(power, 1.0))
    batch = pb.gradient_flow(problem, power, power.init(np.array([0.5, 1.0]), [1.0, 1.0])).trajectory
    for function, arguments, message in (
        (theory.invariant, (other, other.init(1.0, np.ones(4))), "invariants are known for"),
        (theory.direction_norm, (power, pb.Factor([1.0, 1.0])), "direction u"),
        (theory.norm_drift, (power, pb.Factor([[1.0, 1.0]])), "direction u"),
        (theory.flow_drift, (power, batch, [0.0]), "one run"),
        (theory.flow_drift, (line, batch[0], [0.0]), "depth 2 or more"),
    ):
        with pytest.raises(InvalidInput, match=message):
            function(problem, *arguments)
