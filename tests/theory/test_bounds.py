"""Bounds on the l1 norm of limits, against integrated flows, minima by HiGHS, and their formulas."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from flow_cases import converged_cases, flow, naive_rho, network_of
from polarbias import theory
from polarbias.errors import InvalidInput


@pytest.fixture(scope="module")
def cases():
    return converged_cases()


def naive_epsilon(case, rho, sharp=False):
    """Return the hypothesis of (16), and (16) from the start itself."""
    depth = case.path.depth
    weighted = case.w * np.exp(case.path.log_x[0])
    beta1, beta_min = rho**-depth * weighted.sum(), rho**-depth * weighted.min()
    if depth == 2:
        return beta1 < case.Q, np.log(beta1 / beta_min) / np.log(case.Q / beta1)
    gamma = 1 - 2 / depth
    top = depth * (beta1**gamma - beta_min**gamma)
    if sharp:
        return beta1 < case.Q, top / (2 * (case.Q**gamma - beta1**gamma))
    held = (depth / 2) ** (depth / (depth - 2)) * beta1 < case.Q
    return held, top / (2 * case.Q**gamma - depth * beta1**gamma)


@pytest.mark.parametrize("sharp", [False, True])
def test_l1_bounds_hold_with_the_value_of_the_formula(cases, sharp):
    applied = {2: 0, 3: 0, 6: 0}
    for case in cases:
        bound = (theory.sharp_l1_bound if sharp else theory.l1_bound)(*case.run, case.path.x, case.Q)
        held, epsilon = naive_epsilon(case, naive_rho(case), sharp)
        assert bound.applies == held
        assert bound.value == pytest.approx(epsilon if held else np.nan, rel=1e-6, nan_ok=True)
        assert bound.hypotheses[-1].held == held
        assert not held or case.excess <= bound.value + 1e-9
        applied[case.path.depth] += held
    assert min(applied.values()) >= 4


def test_uniform_starts(cases):
    """(7), (8) and the remark's log N / log(rho^2 Q / ||X0||_1) equal l1_bound."""
    applied = 0
    for case in cases:
        bound = theory.uniform_l1_bound(*case.run, case.path.x, case.Q1)
        weighted = theory.l1_bound(*case.run, case.path.x, case.Q)
        uniform = np.ptp(case.path.log_u[0]) < 1e-13
        assert bound.hypotheses[1].held == uniform
        assert bound.applies == (uniform and weighted.applies)
        if bound.applies:
            applied += 1
            assert case.excess1 <= bound.value + 1e-9
            assert bound.value == pytest.approx(weighted.value, rel=1e-6)
            if case.path.depth == 2:
                start = np.exp(case.path.log_x[0]).sum()
                remark = np.log(len(case.w)) / np.log(naive_rho(case) ** 2 * case.Q1 / start)
                assert bound.value == pytest.approx(remark, rel=1e-6)
    assert applied >= 4


def test_excess_and_minima_by_other_means(cases):
    for case in cases[::2]:
        assert theory.excess(*case.run, case.path.x) == pytest.approx(case.excess, abs=1e-7)
        assert theory.excess(*case.run, case.path.x, weighted=False) == pytest.approx(case.excess1, abs=1e-7)
        given, own = (theory.l1_bound(*case.run, case.path.x, Q).hypotheses[-1].lhs for Q in (1.1 * case.Q, None))
        assert given == pytest.approx(own + np.log(1.1), abs=1e-7)


def test_collapse_meets_no_bound():
    """Printed Theorem 2.1 (1) puts the limit 0 in S+."""
    problem, network = pb.LinearProblem([[1.0, -1.0]], [1.0]), network_of(2, ("constant", 1.0))
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    assert theory.magnification(problem, network, theta0, [0.0, 0.0]) == np.inf
    for bound in (theory.l1_bound, theory.radial_l1_bound, theory.radius_bound, theory.magnification_bound):
        statement = bound(problem, network, theta0, [0.0, 0.0])
        assert not statement.applies
        assert np.isnan(statement.value)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("ratio", [None, 0.4])
def test_signed_networks_equal_nonnegative_ones_of_both_halves(depth, ratio):
    rng = np.random.default_rng(depth)
    A, u0 = rng.standard_normal((2, 4)), rng.uniform(0.3, 1, 8)
    problem = pb.LinearProblem(A, A @ rng.standard_normal(4))
    signed, power = pb.HadamardDifference(depth), pb.HadamardPower(depth)
    if ratio is not None:
        signed, power = (pb.WeightNormalization(inner, ratio) for inner in (signed, power))
    path = flow(problem.signed().A, problem.b, depth, ratio and ("constant", ratio), 0.2, u0)
    ours, theirs = (problem, signed, signed.init(0.2, u0)), (problem.signed(), power, power.init(0.2, u0))
    for function in (
        theory.l1_bound, theory.sharp_l1_bound, theory.uniform_l1_bound, theory.radial_l1_bound, theory.radius_bound,
        theory.magnification_bound,
    ):  # fmt: skip
        one, other = function(*ours, path.x), function(*theirs, path.x)
        assert [h.held for h in one.hypotheses] == [h.held for h in other.hypotheses]
        assert one.value == pytest.approx(other.value, rel=1e-9, nan_ok=True)
    for function in (theory.magnification, theory.excess):
        assert function(*ours, path.x) == pytest.approx(function(*theirs, path.x), rel=1e-9)
    assert theory.l1_bound(*ours, path.x).applies
    K, expected = (theory.local_rate(*run, path.x).K for run in (ours, theirs))
    np.testing.assert_allclose(K, expected, rtol=1e-12)
    factor = np.exp(path.log_x / depth)
    moving = [network.from_factor(factor) for network in (signed, power)]
    rates = [theory.loss_rate(*run[:2], thetas) for run, thetas in zip((ours, theirs), moving, strict=True)]
    assert rates[0].value == pytest.approx(rates[1].value, rel=1e-12)
    if depth == 2 and ratio:
        x = path.x[:4] - path.x[4:]
        parts = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])
        assert theory.radius_band(*ours, x) == theory.radius_band(*theirs, parts)


def test_small_starts_of_great_depth_do_not_overflow():
    """w = x0^-10 is 1e1000 at r0 = 1e-100, but the bound depends on ratios only."""
    problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(12)
    small, moderate = (theory.l1_bound(problem, network, network.init(r0, [1.0, 3.0])) for r0 in (1e-100, 1e-3))
    assert small.applies
    assert 0 <= small.value < 1e-300
    assert small.hypotheses[-1].lhs == pytest.approx(moderate.hypotheses[-1].lhs + 12 * 97 * np.log(10), rel=1e-12)


def test_sparse_matrices_and_operators():
    """With a given minimum, bounds need products with A only; other functions need its entries."""
    dense = pb.LinearProblem([[1.0, 2.0]], [5.0])
    network = network_of(2, ("constant", 0.5))
    theta0, x = network.init(0.5, [1.0, 1.0]), np.array([1.0, 2.0])
    best = pb.minimal_l1(dense, nonnegative=True)
    for A in (csr_array(dense.A), aslinearoperator(dense.A)):
        problem = pb.LinearProblem(A, dense.b)
        for bound in (theory.l1_bound, theory.sharp_l1_bound, theory.radial_l1_bound, theory.radius_bound):
            assert bound(problem, network, theta0, x, best).value == bound(dense, network, theta0, x).value
        assert theory.radius_band(problem, network, theta0, x) == theory.radius_band(dense, network, theta0, x)
        for function, arguments in (
            (theory.l1_bound, (network, theta0, x)),
            (theory.local_rate, (network, theta0, x)),
            (theory.loss_rate, (network, [theta0])),
            (theory.invariant, (network, theta0)),
            (theory.radius_bound, (pb.HadamardPower(1), pb.Factor([1.0, 1.0]), x)),
        ):
            with pytest.raises(InvalidInput, match="dense"):
                function(problem, *arguments)


def test_hypotheses_and_bad_input():
    network, polar = pb.HadamardPower(2), network_of(2, ("constant", 1.0))
    one, infeasible = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.LinearProblem([[1.0, 1.0]], [-1.0])
    theta0 = network.init(0.5, [1.0, 1.0])
    names = {h.name: h.held for h in theory.l1_bound(infeasible, network, theta0).hypotheses}
    assert names["S+ = {z >= 0, A z = b} is not empty"] is False
    assert not theory.l1_bound(pb.LinearProblem([[1.0, 1.0]], [0.0]), network, theta0).applies
    first = theory.l1_bound(one, pb.HadamardPower(1), pb.Factor([1.0, 1.0])).hypotheses[0]
    assert (first.held, first.lhs, first.rhs) == (False, 2.0, 1.0)
    with pytest.raises(InvalidInput, match="nonempty"):
        theory.excess(infeasible, network, theta0, [1.0, 1.0])
    with pytest.raises(InvalidInput, match="needs limit"):
        theory.l1_bound(one, polar, polar.init(0.5, [1.0, 1.0]))
