"""Derivatives of limits against central differences of limits, which other tests check by the integrated flow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polarbias as pb


def sides(network, signed, r0, eta, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, 7))
    z = np.abs(rng.standard_normal(7)) if not signed else rng.standard_normal(7)
    problem = pb.LinearProblem(A, A @ z)
    u0 = np.abs(rng.standard_normal(14 if signed else 7)) + 0.1

    def limit(r0, eta):
        return pb.flow_limit(problem, network(eta), network(eta).init(r0, u0))

    found = pb.limit_sensitivity(problem, network(eta), network(eta).init(r0, u0), limit(r0, eta))
    h = 1e-5
    by_r0 = (limit(r0 * (1 + h), eta).x - limit(r0 * (1 - h), eta).x) / (2 * h * r0)
    by_ratio = (limit(r0, eta * (1 + h)).x - limit(r0, eta * (1 - h)).x) / (2 * h * eta)
    return found, by_r0, by_ratio, limit(r0, eta)


LAWS = {
    "constant": pb.ConstantRatio,
    "harmonic": pb.HarmonicRatio,
    "square": lambda c: pb.PowerRatio(c, 2),
    "cubic": lambda c: pb.PowerRatio(c, 3),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("depth", "signed"), [(2, False), (2, True), (3, False), (4, False), (6, False), (3, True)])
def test_derivatives_are_those_of_central_differences(depth, signed, law):
    inner = (pb.HadamardDifference if signed else pb.HadamardPower)(depth)
    found, by_r0, by_ratio, limit = sides(
        lambda eta: pb.WeightNormalization(inner, LAWS[law](eta), direction_rate=1.7), signed, 1.3, 0.8, seed=4
    )
    size = np.abs(limit.x).max()
    np.testing.assert_allclose(found.r0, by_r0, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(found.ratio, by_ratio, rtol=0, atol=1e-8 * size)
    assert max(np.abs(by_r0).max(), np.abs(by_ratio).max()) > 1e-6 * size


@given(seed=st.integers(0, 10**6), r0=st.floats(0.3, 4), eta=st.floats(0.3, 4))
def test_the_norm_rises_with_r0_and_with_eta_where_the_radius_grew(seed, r0, eta):
    """The limit's l1 norm is nondecreasing in r0; in eta exactly where r_inf >= r0."""
    try:
        found, *_, limit = sides(lambda e: pb.WeightNormalization(pb.HadamardPower(2), e), False, r0, eta, seed)
    except pb.InvalidInput:  # a collapse has no derivative
        return
    noise = 1e-9 * np.abs(limit.x).sum()
    assert found.r0.sum() >= -noise
    assert found.ratio.sum() * np.sign(float(limit.r) - r0) >= -noise


def test_plain_limits_do_not_depend_on_a_ratio():
    problem = pb.LinearProblem([[1.0, 2.0]], [4.0])
    network = pb.HadamardPower(2)
    theta0 = network.init(1.0, [1.0, 1.0])
    found = pb.limit_sensitivity(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    assert not found.ratio.any()
    assert found.r0.any()


def test_limits_that_do_not_belong_are_refused():
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    with pytest.raises(pb.InvalidInput, match="converged"):
        pb.limit_sensitivity(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    two = pb.flow_limit(problem, network, network.init([1.0, 2.0], np.ones(2)))
    with pytest.raises(pb.InvalidInput, match="batch shape"):
        pb.limit_sensitivity(problem, network, network.init(2.0, np.ones(2)), two)
    for wrong in (5, None):
        with pytest.raises(pb.InvalidInput, match="converged"):
            pb.limit_sensitivity(problem, network, theta0, wrong)
    other = pb.flow_limit(pb.LinearProblem([[1.0, 2.0, 3.0]], [4.0]), network, network.init(1.0, np.ones(3)))
    signed = pb.WeightNormalization(pb.HadamardDifference(2), 1.0)
    for one, limit in ((network, other), (signed, two[1])):
        with pytest.raises(pb.InvalidInput, match="another problem or network"):
            pb.limit_sensitivity(problem, one, one.init(1.0, np.ones(4 if one is signed else 2)), limit)
    line = pb.HadamardPower(1)
    start = line.init(1.0, np.ones(2))
    limit = pb.flow_limit(problem, line, start)
    with pytest.raises(pb.InvalidInput, match="depth 2"):
        pb.limit_sensitivity(problem, line, start, limit)
