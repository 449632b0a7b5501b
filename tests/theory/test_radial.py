"""Bounds from the Bregman divergence at depth 2, against integrated flows and their formulas."""

import numpy as np
import pytest

import polarbias as pb
from flow_cases import flow, make, network_of
from polarbias.errors import InvalidInput
from polarbias.theory.radial import radial_l1_bound, radius_band

ONE = pb.LinearProblem([[1.0, 1.0]], [1.0])
CONSTANT = network_of(2, ("constant", 1.0))


@pytest.fixture(scope="module")
def cases():
    """Depth 2 with a constant ratio, from small and large starts."""
    rng, cases = np.random.default_rng(20262), []
    for _ in range(12):
        m = rng.integers(1, 4)
        n = m + rng.integers(1, 5)
        A = rng.standard_normal((m, n))
        law, r0 = ("constant", 10 ** rng.uniform(-1, 1)), 10 ** rng.uniform(-1, 1)
        cases.append(make(A, np.abs(rng.standard_normal(n)), 2, law, r0, rng.uniform(0.05, 1, n)))
    return [c for c in cases if c.path.residual_norm[-1] < 1e-10 * np.linalg.norm(c.problem.b)]


def divergence(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def test_radial_bound_holds_for_starts_of_any_size(cases):
    factors, large = [], 0
    for case in cases:
        bound = radial_l1_bound(*case.run, case.path.x)
        r0, eta = case.path.r[0], case.law[1]
        K = divergence(case.best1 / case.Q1, np.exp(2 * case.path.log_u[0]))
        ahead = case.Q1 - r0**2
        error = case.path.x.sum() - case.Q1
        assert bound.value == pytest.approx((np.sqrt(ahead**2 + 4 * eta * case.Q1 * K) - ahead) / 2, rel=1e-6)
        assert error <= bound.value + 1e-9
        factors.append(bound.value / max(error, 1e-12))
        large += r0**2 > case.Q1
        without = radial_l1_bound(*case.run)
        start = np.linalg.norm(case.problem.residual(np.exp(case.path.log_x[0])))
        assert without.applies == (start < np.linalg.norm(case.problem.b))
        assert not without.applies or without.value == bound.value
    assert len(factors) >= 7
    assert large >= 2
    assert min(factors) < 1.5


def test_radius_band_holds_at_all_times_for_all_solutions(cases):
    closest = np.inf
    for case in cases:
        for z in (case.z, case.best1, (case.z + case.best1) / 2):
            bound = radius_band(*case.run, z)
            away = np.abs(case.path.r**2 - z.sum()).max()
            Z, r0, eta = z.sum(), case.path.r[0], case.law[1]
            KL = divergence(z / Z, np.exp(2 * case.path.log_u[0]))
            assert bound.value == pytest.approx(np.sqrt((Z - r0**2) ** 2 + 2 * eta * Z * KL), rel=1e-9)
            assert away <= bound.value * (1 + 1e-9)
            closest = min(closest, bound.value / away)
    assert closest < 1.01


def test_radius_band_holds_in_a_collapse():
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    path = flow(problem.A, problem.b, 2, ("constant", 1.0), 0.5, np.sqrt([0.1, 0.9]))
    assert path.r[-1] < 2e-4
    for z in ([1.0, 0.0], [1.3, 0.3], [3.0, 2.0]):
        bound = radius_band(problem, CONSTANT, CONSTANT.init(0.5, np.sqrt([0.1, 0.9])), z)
        assert np.abs(path.r**2 - np.sum(z)).max() <= bound.value


def test_hypotheses_and_bad_input():
    theta0 = CONSTANT.init(0.5, [1.0, 1.0])
    for z, held in (([2.0, -1.0], [True, True, False, True, True]), ([2.0, 1.0], [True, True, True, False, True])):
        assert [h.held for h in radius_band(ONE, CONSTANT, theta0, z).hypotheses] == held
    harmonic = network_of(2, ("harmonic", 1.0))
    hypotheses = radial_l1_bound(ONE, harmonic, harmonic.init(0.5, [1.0, 1.0])).hypotheses
    assert [h.held for h in hypotheses] == [True, False, True, True, True]
    with pytest.raises(InvalidInput, match="minimiser"):
        radial_l1_bound(ONE, CONSTANT, theta0, [0.5, 0.5], 1.0)
    with pytest.raises(InvalidInput, match="shape"):
        radius_band(ONE, CONSTANT, theta0, [1.0, 0.0, 0.0])
