"""The dual equations against tight integrations of the paper's equations in log r and log u."""

from unittest.mock import patch

import numpy as np
import pytest

import polarbias as pb
from flow_cases import M, N, random_problem
from flow_oracle import integrate
from polarbias.flow import dual
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.mirror.state import MirrorState

LAWS = {
    "constant": pb.ConstantRatio(0.7),
    "small": pb.ConstantRatio(0.08),
    "large": pb.ConstantRatio(9.0),
    "square": pb.PowerRatio(0.6, 2),
    "linear": pb.PowerRatio(1.3, 1),
    "harmonic": pb.HarmonicRatio(0.4),
}


def check(problem, network, theta0, f, rate=1.0, tolerance=1e-6, t_end=None):
    """Compare a flow with the oracle at 12 times; return it with the times and the oracle's run."""
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-14, t_end=t_end)
    end, depth = flow.trajectory.time[-1], network.degree
    if t_end is None:
        assert flow.status == pb.Status.CONVERGED
    times = np.geomspace(1e-3 * end, end, 12)
    polar = isinstance(theta0, pb.Polar)
    u0 = theta0.u if polar else network.factor(theta0)
    B = np.hstack([problem.A, -problem.A]) if network.signed else problem.A
    rate = rate / (u0 @ u0) if polar else 1.0
    r0 = float(network.radius(theta0))
    exact = integrate(B, problem.b, depth, f, r0, u0, paper_time=True, rate=rate, times=times)
    states = flow.trajectory.evaluate(times)
    np.testing.assert_allclose(np.log(states.r), exact.log_r, atol=tolerance)
    np.testing.assert_allclose(states.log_x, exact.log_x, atol=tolerance * depth * 3)
    x = exact.X[:, :N] - exact.X[:, N:] if network.signed else exact.X
    np.testing.assert_allclose(states.x, x, atol=tolerance * np.abs(x).max())
    np.testing.assert_allclose(states.loss, exact.loss, atol=tolerance * float(problem.b @ problem.b))
    return flow, times, exact


@pytest.mark.parametrize("depth", [2, 3, 6])
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
    flow, times, exact = check(problem, network, theta0, ratio.f, rate=3.7, t_end=8.0)
    np.testing.assert_allclose(flow.trajectory.evaluate(times).u, 2.3 * exact.u, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(flow.theta.u), 2.3, rtol=1e-12)


@pytest.mark.parametrize("wn", [True, False])
@pytest.mark.parametrize("depth", [2, 3])
def test_signed_networks(depth, wn):
    problem, direction = random_problem(31, signed=True)
    inner = pb.HadamardDifference(depth)
    network = pb.WeightNormalization(inner, 0.5) if wn else inner
    check(problem, network, network.init(0.8, direction), (lambda r: 0.5) if wn else None, t_end=6.0)


@pytest.mark.parametrize(("depth", "mirror_map"), [(2, lambda q: 2 * np.log(q)), (4, lambda q: -1 / (2 * q**2))])
def test_the_mirror_variable_moves_the_mirror_map(depth, mirror_map):
    problem, direction = random_problem(17)
    network = pb.WeightNormalization(pb.HadamardPower(depth), 0.9)
    theta0 = network.init(1.3, direction)
    flow = pb.gradient_flow(problem, network, theta0, t_end=5.0)
    start, end = (u * np.exp((r**2 - 1.3**2) / (2 * 0.9)) for r, u in (theta0, flow.theta))
    moved = mirror_map(end) - mirror_map(start)
    np.testing.assert_allclose(moved, problem.A.T @ flow.mirror_dual, rtol=1e-8, atol=1e-9)


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


def test_a_slow_passage_is_not_an_end():
    """Above depth 2 a tiny entry waits long where the others already rest."""
    problem = pb.LinearProblem(np.eye(2), [1.0, 1.0])
    flow = pb.gradient_flow(problem, pb.HadamardPower(3), pb.Factor(np.array([0.5, 1e-6])))
    assert flow.status == pb.Status.CONVERGED
    np.testing.assert_allclose(flow.x, 1, atol=1e-5)
    assert flow.trajectory.time[-1] > 1e5


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("law", [None, pb.ConstantRatio(0.7), pb.HarmonicRatio(0.4)], ids=repr)
@pytest.mark.parametrize("signed", [False, True])
def test_the_jacobian_is_the_derivative_of_the_right_hand_side(depth, law, signed):
    problem, direction = random_problem(13, signed)
    inner = (pb.HadamardDifference if signed else pb.HadamardPower)(depth)
    network = inner if law is None else pb.WeightNormalization(inner, law, direction_rate=1.3)
    [(_, one, form)] = reduced_forms(problem, network, network.init(1.1, direction))[1]
    equations = dual.DualEquations(MirrorState.start(one, form))
    y, h = np.array([0.02, -0.01, 0.03]), 1e-5
    columns = [(equations.rhs(0, y + h * e) - equations.rhs(0, y - h * e)) / (2 * h) for e in np.eye(M)]
    expected = np.stack(columns, axis=1)
    np.testing.assert_allclose(equations.jacobian(0, y), expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize(("depth", "tol", "evaluations"), [(2, 1e-10, 1424), (3, 1e-2, 2069)])
def test_the_number_of_evaluations(depth, tol, evaluations):
    """Fixed inputs: the count changes with the tolerances and with the intervals of checks and restarts."""
    problem = pb.gaussian_problem(seed=0, m=20, n=80, truth="sparse", s=3)
    network = pb.WeightNormalization(pb.HadamardPower(depth), 0.1)
    theta0 = network.init(1.0, pb.folded_gaussian_direction(seed=1, n=80))
    right_hand_side = dual.DualEquations.rhs
    with patch.object(dual.DualEquations, "rhs", autospec=True, side_effect=right_hand_side) as rhs:
        flow = pb.gradient_flow(problem, network, theta0, tol=tol)
    assert flow.status == pb.Status.CONVERGED
    assert rhs.call_count == pytest.approx(evaluations, rel=0.05)  # rounding differs between libraries
