"""The magnification factor against integrated flows, and the radii that magnify against its definition."""

import numpy as np
import pytest

import polarbias as pb
from flow_cases import LAWS, converged_cases, flow, make, naive_rho, network_of
from polarbias import theory


@pytest.fixture(scope="module")
def cases():
    return converged_cases()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("depth", [2, 3])
def test_the_limit_is_that_of_the_plain_flow_from_the_start_over_rho(law, depth):
    rng = np.random.default_rng(depth)
    A, u0 = rng.standard_normal((2, 5)), rng.uniform(0.2, 1, 5)
    case = make(A, rng.uniform(0.2, 1, 5), depth, (law, 0.7), 0.9, u0)
    rho = theory.magnification(*case.run, case.path.x)
    assert abs(np.log(rho)) > 0.01
    other = flow(A, case.problem.b, depth, None, 0.9 / rho, u0)
    np.testing.assert_allclose(other.x, case.path.x, rtol=1e-6)
    r = case.path.r[-1]
    for limit in (r, case.path.x):
        assert theory.log_magnification(*case.run, limit) == pytest.approx(np.log(naive_rho(case)), rel=1e-9)
    plain = pb.HadamardPower(depth)
    assert theory.log_magnification(case.problem, plain, plain.init(0.9, u0), case.path.x) == 0


def test_norm_and_rate_of_the_direction_act_through_eta():
    """Lemma 3.1: ||u0|| = 2 and eta_u = .5 stand for eta * 2^2 / .5."""
    problem, inner = pb.LinearProblem([[1.0, 2.0]], [3.0]), pb.HadamardPower(2)
    for k in (0, 1, 2):
        ratio, other = pb.PowerRatio(0.4, k), pb.PowerRatio(3.2, k)
        scaled, unit = pb.WeightNormalization(inner, ratio, direction_rate=0.5), pb.WeightNormalization(inner, other)
        starts = scaled.init(0.7, [1.0, 2.0], direction_norm=2.0), unit.init(0.7, [1.0, 2.0])
        values = [theory.log_magnification(problem, n, t, 1.4) for n, t in zip((scaled, unit), starts, strict=True)]
        assert values[0] == pytest.approx(values[1], rel=1e-13)
        radii = theory.magnifying_radii(scaled.ratio, 1.4, time_scale=0.5 / 4), theory.magnifying_radii(unit.ratio, 1.4)
        np.testing.assert_allclose(radii[0], radii[1], rtol=1e-12)
    harmonic = pb.WeightNormalization(inner, pb.HarmonicRatio(0.3), direction_rate=0.5)
    theta0 = harmonic.init(0.7, [1.0, 2.0], direction_norm=2.0)
    E = LAWS["harmonic"](0.3)[1]
    expected = np.log(0.5) + 0.125 * (E(1.4) - E(0.7))
    assert theory.log_magnification(problem, harmonic, theta0, 1.4) == pytest.approx(expected, rel=1e-13)


def test_condition_20_suffices(cases):
    held = 0
    for case in cases:
        bound = theory.magnification_bound(*case.run, case.path.x)
        r0, r, (law, eta) = case.path.r[0], case.path.r[-1], case.law or (None, 1.0)
        assert bound.applies == (law == "constant" and min(eta, r**2) <= r0**2 <= max(eta, r**2))
        if bound.applies:
            held += 1
            assert bound.value == 1.0
            assert theory.magnification(*case.run, case.path.x) >= 1
    assert held >= 1


def test_log_magnification_of_small_ratios():
    """E(1.0001) - E(1) for eta = 1e-9, without the cancellation of two numbers near 5e8."""
    problem, network = pb.LinearProblem([[1.0, 1.0]], [1.0]), network_of(2, ("constant", 1e-9))
    run = problem, network, network.init(1.0, [1.0, 1.0]), 1.0001
    assert theory.log_magnification(*run) == pytest.approx(0.0001 * 2.0001 / 2e-9 - np.log(1.0001), rel=1e-11)
    assert theory.magnification(*run) == np.inf


def test_radius_bound(cases):
    """(21); at depth 2 the bound is met with equality by minimal solutions."""
    for case in cases:
        bound = theory.radius_bound(*case.run, case.path.x, case.Q1)
        assert bound.applies
        assert bound.value == pytest.approx(case.Q1 ** (2 / case.path.depth), rel=1e-12)
        assert bound.value <= case.path.r[-1] ** 2 * (1 + 1e-9)
    closest = min(c.path.r[-1] ** 2 / theory.radius_bound(*c.run, c.path.x).value for c in cases[:10])
    assert closest < 1.01


def test_radius_bound_at_depth_1():
    A, b = np.array([[1.0, 2.0, -1.0]]), [3.0]
    x = np.linalg.pinv(A) @ b + [1.0, 0.0, 1.0]
    plain, signed = pb.HadamardPower(1), pb.HadamardDifference(1)
    problem = pb.LinearProblem(A, b)
    assert theory.radius_bound(problem, plain, plain.init(1.0, np.ones(3)), x).value == pytest.approx(1.5)
    halves = np.concatenate([x, np.zeros(3)])
    assert theory.radius_bound(problem, signed, signed.init(1.0, np.ones(6)), halves).value == pytest.approx(0.75)


def test_bad_input():
    for law, radius, message in ((pb.ConstantRatio(1.0), 0.0, "above 0"), (1.0, 1.0, "law must be")):
        with pytest.raises(pb.InvalidInput, match=message):
            theory.magnifying_radii(law, radius)
