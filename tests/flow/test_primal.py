"""The primal equations of any network: other networks, depth 1, rates that depend on time."""

from unittest.mock import patch

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import nnls

import polarbias as pb
from flow_cases import N, random_problem

jax = pytest.importorskip("jax")
from polarbias.flow import primal  # noqa: E402


def polar_flow(problem, depth, rates, theta0, end):
    """Return r and u as a function of time, integrated tightly at rates (eta_r, eta_u) that depend on time."""

    def equations(t, y):
        r, u = y[0], y[1:] / np.linalg.norm(y[1:])
        g = (problem.A.T @ (problem.A @ (r * u) ** depth - problem.b)) * (r * u) ** (depth - 1)
        eta_r, eta_u = rates(t)
        return np.append(-eta_r * (u @ g), -eta_u * r / np.linalg.norm(y[1:]) * (g - u * (u @ g)))

    start = [theta0.r, *theta0.u]
    return solve_ivp(equations, (0, end), start, rtol=1e-12, atol=1e-14, dense_output=True).sol


@pytest.mark.parametrize(
    "network",
    [
        pb.HadamardPower(2),
        pb.HadamardPower(4),
        pb.HadamardDifference(3),
        pb.WeightNormalization(pb.HadamardPower(3), 0.3, direction_rate=1.7),
        pb.WeightNormalization(pb.HadamardDifference(2), pb.HarmonicRatio(0.6)),
        pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), 0.5)),
    ],
    ids=repr,
)
def test_the_velocity_is_the_vector_field(network):
    problem, direction = random_problem(8, signed=True)
    theta0 = network.init(0.9, direction if network.signed else direction[:N])
    flow = pb.gradient_flow(problem, network, theta0, t_end=2.0, tol=0, accuracy=1e-12)
    t, h = 0.7, 1e-4
    before, now, after = (flow.trajectory.evaluate(time).theta for time in (t - h, t, t + h))
    field = pb.vector_field(problem, network, now)
    for one, other, expected in zip(*map(jax.tree.leaves, (before, after, field)), strict=True):
        np.testing.assert_allclose((other - one) / (2 * h), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("depth", "inner"), [(2, pb.HadamardPower), (3, pb.HadamardDifference)])
def test_dual_and_primal_integration_agree(depth, inner):
    problem, direction = random_problem(44, signed=inner is pb.HadamardDifference)
    network = pb.WeightNormalization(inner(depth), pb.PowerRatio(0.8, 1), direction_rate=0.4)
    theta0 = network.init(1.0, direction, direction_norm=0.7)
    reduced, full = (
        pb.gradient_flow(problem, network, theta0, t_end=5.0, tol=0, accuracy=1e-11, full=full)
        for full in (False, True)
    )
    one, other = (flow.trajectory.evaluate([0.0, 0.1, 2.0, 5.0]) for flow in (reduced, full))
    np.testing.assert_allclose(one.x, other.x, atol=1e-8)
    np.testing.assert_allclose(one.u, other.u, atol=1e-8)
    np.testing.assert_allclose(reduced.theta.r, full.theta.r, rtol=1e-8)
    assert full.mirror_dual is None
    assert other.mirror_dual is None


def test_the_number_of_evaluations():
    """Fixed inputs: the count changes with the tolerances, and the second flow ends when theta stops moving."""
    problem, direction = random_problem(9)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.3)
    inconsistent = pb.LinearProblem(np.ones((2, 3)), [1.0, 2.0])
    right_hand_side = primal.PrimalEquations.rhs
    for run, status, evaluations in (
        ((problem, network, network.init(0.7, direction)), pb.Status.CONVERGED, 567),
        ((inconsistent, pb.HadamardPower(3), pb.Factor(np.array([1.0, 0.1, 0.1]))), pb.Status.INFEASIBLE, 191),
    ):
        with patch.object(primal.PrimalEquations, "rhs", autospec=True, side_effect=right_hand_side) as rhs:
            assert pb.gradient_flow(*run, full=True).status == status
        assert rhs.call_count == pytest.approx(evaluations, rel=0.05)


def test_a_slow_flow_ends_at_the_latest_time():
    problem = pb.LinearProblem([[1.0, 2.0], [1.0, 2.0], [0.5, -1.0]], [1.0, 2.0, -3.0])
    flow = pb.gradient_flow(problem, pb.HadamardPower(3), pb.Factor(np.ones(2)), full=True)
    assert flow.status == pb.Status.INFEASIBLE
    np.testing.assert_allclose(flow.x, nnls(problem.A, problem.b)[0], atol=1e-5)


def test_depth_one_changes_signs():
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    network = pb.WeightNormalization(pb.HadamardPower(1), 2.0)
    theta0 = network.init(1.0, [1.0, 1.0])
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-20)
    t = flow.trajectory.time[-1]
    oracle = polar_flow(problem, 1, lambda t: (2, 1), theta0, t)(t)
    assert oracle[0] < -1
    np.testing.assert_allclose([flow.theta.r, *flow.theta.u], oracle, atol=1e-7)
    assert flow.status == pb.Status.CONVERGED


def test_rates_that_depend_on_time():
    problem, direction = random_problem(9)
    network = pb.WeightNormalization(pb.HadamardPower(2), 123.0)
    theta0 = network.init(0.7, direction, direction_norm=1.5)

    def schedule(t):
        return 1 + np.sin(3 * t), np.exp(-t)

    flow = pb.gradient_flow(problem, network, theta0, t_end=4.0, tol=0, schedule=schedule)
    states = flow.trajectory.evaluate([0.5, 2.0, 4.0])
    oracle = polar_flow(problem, 2, schedule, theta0, 4.0)(np.array([0.5, 2.0, 4.0]))
    np.testing.assert_allclose(np.column_stack([states.r, states.u]), oracle.T, atol=1e-6)
    with pytest.raises(pb.InvalidInput, match="radius and direction"):
        pb.gradient_flow(problem, pb.HadamardPower(2), pb.Factor(direction), schedule=lambda t: (1, 1))
    for rates in ((1, -1), "a", (1j, 1), ([1, 2], 1), None):
        with pytest.raises(
            pb.InvalidInput, match=r"schedule\(t\) must be \(eta_r, eta_u\), finite and at least 0, got"
        ):
            pb.gradient_flow(problem, network, theta0, schedule=lambda t, rates=rates: rates)


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
    run = pb.gradient_descent(problem, network, theta0, step=1e-3, tol=1e-22)
    np.testing.assert_allclose(flow.x, run.x, atol=2e-3)
    with pytest.raises(pb.InvalidInput, match="HadamardPower"):
        pb.flow_limit(problem, network, theta0)
    with pytest.raises(pb.InvalidInput, match="HadamardPower"):
        pb.verify(problem, network, theta0, flow)
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
    assert flow.log_x is None
    for x in flow.x:
        np.testing.assert_allclose(x, weights * same.x, rtol=1e-6, atol=1e-9)
