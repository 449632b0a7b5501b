"""Bounds on the l1 norm of limits, against integrated flows, minima by HiGHS, and formulas written out anew."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from integrated import converged_cases, make, naive_rho, network_of
from polar_ode import flow
from polarbias import theory
from polarbias.errors import InvalidInput


@pytest.fixture(scope="module")
def cases():
    return converged_cases()


def naive_epsilon(case, rho, sharp=False):
    """(16) as written, from the start itself."""
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
    applied = {2: 0, 3: 0, 4: 0, 6: 0}
    for case in cases:
        bound = (theory.sharp_l1_bound if sharp else theory.l1_bound)(*case.run, case.path.x, case.Q)
        held, epsilon = naive_epsilon(case, naive_rho(case), sharp)
        assert bound.applies == held
        if held:
            assert bound.value == pytest.approx(epsilon, rel=1e-6)
            assert case.excess <= bound.value + 1e-9
            applied[case.path.depth] += 1
        else:
            assert np.isnan(bound.value)
            assert not bound.hypotheses[-1].held
            assert bound.hypotheses[-1].lhs <= bound.hypotheses[-1].rhs
    assert min(applied.values()) >= 8


def test_the_sharper_bound_is_sharper_and_applies_more_often(cases):
    pairs = [(theory.l1_bound(*c.run, c.path.x, c.Q), theory.sharp_l1_bound(*c.run, c.path.x, c.Q)) for c in cases]
    deep = [pair for case, pair in zip(cases, pairs, strict=True) if case.path.depth > 2]
    assert all(new.value <= old.value for old, new in deep if old.applies)
    assert sum(new.value < 0.99 * old.value for old, new in deep) >= 20
    assert all(new.applies for old, new in deep if old.applies)
    assert sum(new.applies and not old.applies for old, new in deep) >= 1
    shallow = [pair for case, pair in zip(cases, pairs, strict=True) if case.path.depth == 2]
    assert all(old.value == new.value for old, new in shallow if old.applies)


@pytest.mark.parametrize(
    ("depth", "law", "A", "b", "r0", "u0", "factor"),
    [
        (2, ("constant", 2.2678), (0.6755, 1.0), 6.82, 0.3575, (1.0, 0.945), 3),
        (2, None, (1.0, 0.7206), 1.1043, 0.293, (0.1332, 1.0), 5),
        (3, ("constant", 0.1768), (0.5206, 1.0), 5.357, 1.8705, (1.0, 0.9513), 4),
        (6, None, (0.863, 1.0), 2.483, 0.9039, (1.0, 0.582), 20),
    ],
)
def test_l1_bounds_are_within_a_factor_of_the_truth(depth, law, A, b, r0, u0, factor):
    case = make([A], [b / 2 / A[0], b / 2 / A[1]], depth, law, r0, u0)
    bound = theory.sharp_l1_bound(*case.run, case.path.x, case.Q)
    assert bound.applies
    assert 1e-3 < case.excess <= bound.value < factor * case.excess


def test_starts_alpha_1(cases):
    """(7), (8) and the remark's log N / log(rho^2 Q / ||X0||_1), which are l1_bound without weights."""
    applied = 0
    for case in cases:
        bound = theory.uniform_l1_bound(*case.run, case.path.x, case.Q1)
        uniform = np.ptp(case.path.log_u[0]) < 1e-13
        assert bound.hypotheses[1].held == uniform
        if bound.applies:
            assert case.excess1 <= bound.value + 1e-9
            assert bound.value == pytest.approx(theory.l1_bound(*case.run, case.path.x, case.Q).value, rel=1e-6)
            if case.path.depth == 2:
                start = np.exp(case.path.log_x[0]).sum()
                remark = np.log(len(case.w)) / np.log(naive_rho(case) ** 2 * case.Q1 / start)
                assert bound.value == pytest.approx(remark, rel=1e-6)
            applied += 1
        else:
            assert not uniform or not theory.l1_bound(*case.run, case.path.x, case.Q).applies
    assert applied >= 10


def test_excess_and_minima_by_other_means(cases):
    for case in cases:
        assert theory.excess(*case.run, case.path.x) == pytest.approx(case.excess, abs=1e-7)
        assert theory.excess(*case.run, case.path.x, weighted=False) == pytest.approx(case.excess1, abs=1e-7)
        given = theory.l1_bound(*case.run, case.path.x, 1.1 * case.Q)
        assert given.hypotheses[-1].lhs == pytest.approx(
            theory.l1_bound(*case.run, case.path.x).hypotheses[-1].lhs + np.log(1.1), abs=1e-7
        )


def constant_cases(cases):
    return [case for case in cases if case.path.depth == 2 and case.law and case.law[0] == "constant"]


@pytest.fixture(scope="module")
def depth_2_cases(cases):
    """More of depth 2 with a constant ratio, from starts small and large."""
    rng = np.random.default_rng(20262)
    more = []
    for _ in range(24):
        m = rng.integers(1, 4)
        n = m + rng.integers(1, 5)
        A = rng.standard_normal((m, n))
        c, r0 = 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-1, 1)
        more.append(make(A, np.abs(rng.standard_normal(n)), 2, ("constant", c), r0, rng.uniform(0.05, 1, n)))
    return constant_cases(cases) + [c for c in more if c.path.missed[-1] < 1e-10 * np.linalg.norm(c.problem.b)]


def divergence(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def test_radial_bound_holds_for_starts_of_any_size(depth_2_cases):
    factors, large = [], 0
    for case in depth_2_cases:
        bound = theory.radial_l1_bound(*case.run, case.path.x)
        r0, eta = case.path.r[0], case.law[1]
        K = divergence(case.best1 / case.Q1, np.exp(2 * case.path.log_u[0]))
        ahead = case.Q1 - r0**2
        naive = (np.sqrt(ahead**2 + 4 * eta * case.Q1 * K) - ahead) / 2
        assert bound.applies
        assert bound.value == pytest.approx(naive, rel=1e-6)
        error = case.path.x.sum() - case.Q1
        assert error <= bound.value + 1e-9
        factors.append(bound.value / max(error, 1e-12))
        large += r0**2 > case.Q1
        without = theory.radial_l1_bound(*case.run)
        start = np.linalg.norm(case.problem.residual(np.exp(case.path.log_x[0])))
        assert without.applies == (start < np.linalg.norm(case.problem.b))
        assert not without.applies or without.value == bound.value
    assert len(factors) >= 15
    assert large >= 5
    assert min(factors) < 1.5


def test_radius_band_holds_at_all_times_for_all_solutions(depth_2_cases):
    closest = np.inf
    for case in depth_2_cases:
        for z in (case.z, case.best1, (case.z + case.best1) / 2):
            bound = theory.radius_band(*case.run, z)
            assert bound.applies
            away = np.abs(case.path.r**2 - z.sum()).max()
            assert away <= bound.value * (1 + 1e-9)
            Z, r0, eta = z.sum(), case.path.r[0], case.law[1]
            KL = divergence(z / Z, np.exp(2 * case.path.log_u[0]))
            assert bound.value == pytest.approx(np.sqrt((Z - r0**2) ** 2 + 2 * eta * Z * KL), rel=1e-9)
            closest = min(closest, bound.value / away)
    assert closest < 1.01


def test_radius_band_holds_in_a_collapse():
    path = flow(np.array([[1.0, -1.0]]), np.array([1.0]), 2, ("constant", 1.0), 0.5, np.sqrt([0.1, 0.9]))
    assert path.r[-1] < 2e-4
    network = network_of(2, ("constant", 1.0))
    for z in ([1.0, 0.0], [1.3, 0.3], [3.0, 2.0]):
        bound = theory.radius_band(
            pb.LinearProblem([[1.0, -1.0]], [1.0]), network, network.init(0.5, np.sqrt([0.1, 0.9])), z
        )
        assert np.abs(path.r**2 - np.sum(z)).max() <= bound.value


def test_a_collapse_meets_no_bound():
    """Zero row sums, S+ not empty, the limit exists: printed Theorem 2.1 (1) puts the limit 0 in S+."""
    problem, network = pb.LinearProblem([[1.0, -1.0]], [1.0]), network_of(2, ("constant", 1.0))
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    zero = np.zeros(2)
    assert theory.magnification(problem, network, theta0, zero) == np.inf
    for bound in (theory.l1_bound, theory.radial_l1_bound, theory.radius_bound):
        statement = bound(problem, network, theta0, zero)
        assert not statement.applies
        assert np.isnan(statement.value)
    assert not theory.radial_l1_bound(problem, network, theta0).applies
    assert not theory.magnification_bound(problem, network, theta0, zero).applies
    with pytest.raises(InvalidInput, match="radius 0"):
        theory.local_rate(problem, network, theta0, zero)


def test_the_flow_may_start_below_the_loss_of_zero():
    """Then it cannot collapse, and the radial bound needs no limit; the harmonic law never collapses."""
    problem, network = pb.LinearProblem([[1.0, -1.0]], [1.0]), network_of(2, ("constant", 1.0))
    start = network.init(0.5, np.sqrt([0.9, 0.1]))
    assert theory.radial_l1_bound(problem, network, start).applies
    harmonic = network_of(2, ("harmonic", 1.0))
    hypotheses = theory.radial_l1_bound(problem, harmonic, start).hypotheses
    assert [h.held for h in hypotheses] == [True, False, True, True, True]


# Signed networks, ways to give a limit and a minimum, and bad input.


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("ratio", [None, 0.4])
def test_signed_networks_are_the_nonnegative_ones_of_both_halves(depth, ratio):
    rng = np.random.default_rng(depth)
    A, u0 = rng.standard_normal((2, 4)), rng.uniform(0.3, 1, 8)
    problem = pb.LinearProblem(A, A @ rng.standard_normal(4))
    signed, power = pb.HadamardDifference(depth), pb.HadamardPower(depth)
    if ratio is not None:
        signed, power = (pb.WeightNormalization(inner, ratio) for inner in (signed, power))
    law = None if ratio is None else ("constant", ratio)
    path = flow(problem.signed().A, problem.b, depth, law, 0.2, u0)
    ours, theirs = (problem, signed, signed.init(0.2, u0)), (problem.signed(), power, power.init(0.2, u0))
    for function in (
        theory.l1_bound, theory.sharp_l1_bound, theory.uniform_l1_bound, theory.radial_l1_bound, theory.radius_bound,
        theory.magnification_bound, theory.magnification, theory.excess,
    ):  # fmt: skip
        pair = function(*ours, path.x), function(*theirs, path.x)
        if isinstance(pair[0], theory.Bound):
            assert [h.held for h in pair[0].hypotheses] == [h.held for h in pair[1].hypotheses]
            pair = pair[0].value, pair[1].value
        assert pair[0] == pytest.approx(pair[1], rel=1e-9, nan_ok=True)
    assert theory.l1_bound(*ours, path.x).applies
    local = theory.local_rate(*ours, path.x), theory.local_rate(*theirs, path.x)
    np.testing.assert_allclose(local[0].K, local[1].K, rtol=1e-12)
    factor = np.exp(path.log_x / depth)
    if ratio is None:
        moving = pb.Pair(pb.Factor(factor[:, :4]), pb.Factor(factor[:, 4:])), pb.Factor(factor)
    else:
        moving = (pb.Polar(path.r, np.exp(path.log_u)),) * 2
    rates = [theory.loss_rate(*run[:2], thetas) for run, thetas in zip((ours, theirs), moving, strict=True)]
    assert rates[0].value == pytest.approx(rates[1].value, rel=1e-12)
    if depth == 2 and ratio:
        x = path.x[:4] - path.x[4:]
        parts = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])
        assert theory.radius_band(*ours, x) == theory.radius_band(*theirs, parts)


def solution_of(x, **extra):
    scalar = np.asarray(0.0)
    return pb.Solution(np.asarray(x), extra.pop("theta", None), scalar, scalar, scalar, scalar, **extra)


def test_limits_can_be_solutions():
    problem = pb.LinearProblem([[1.0, 2.0]], [5.0])
    network = network_of(2, ("constant", 0.5))
    theta0, x = network.init(0.5, [1.0, 1.0]), np.array([1.0, 2.0])
    expected = theory.l1_bound(problem, network, theta0, x)
    log_x = np.log(x)
    for limit in (
        solution_of(x), solution_of(x, log_x=log_x), solution_of(x, theta=network.from_factor(np.sqrt(x))),
        solution_of(x, log_x=log_x, r=np.sqrt(3.0)),
    ):  # fmt: skip
        assert theory.l1_bound(problem, network, theta0, limit).value == pytest.approx(expected.value, rel=1e-13)
    assert theory.magnification(problem, network, theta0, solution_of(x, r=np.asarray(2.0))) == pytest.approx(
        theory.magnification(problem, network, theta0, 2.0)
    )
    # An entry below the smallest number counts in its logarithm.
    tiny = solution_of([0.0, 2.5], log_x=np.array([-2000.0, np.log(2.5)]))
    assert theory.excess(problem, network, theta0, tiny) == pytest.approx(0, abs=1e-15)
    missed = theory.l1_bound(problem, network, theta0, [1.0, 2.01])
    assert not missed.applies
    assert [h.name for h in missed.hypotheses if not h.held] == ["the limit solves A X = b: ||A X - b|| <= 1e-06 ||b||"]


def test_minima_can_be_given():
    problem = pb.LinearProblem([[1.0, 2.0]], [5.0])
    network = pb.HadamardPower(3)
    theta0 = network.init(0.1, [1.0, 3.0])
    computed = theory.l1_bound(problem, network, theta0)
    best = pb.minimal_l1(problem, weights=1 / theta0.x)
    for minimum in (best, float(best.value)):
        assert theory.l1_bound(problem, network, theta0, minimum=minimum).value == pytest.approx(computed.value)


def test_small_starts_of_great_depth_do_not_overflow():
    """w = x0^-10 is 1e1000 at r0 = 1e-100: the bound depends on ratios only."""
    problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(12)
    bound = theory.l1_bound(problem, network, network.init(1e-100, [1.0, 3.0]))
    assert bound.applies
    assert 0 < bound.value < 1e-300 or bound.value == 0
    moderate = theory.l1_bound(problem, network, network.init(1e-3, [1.0, 3.0])).hypotheses[-1].lhs
    assert bound.hypotheses[-1].lhs == pytest.approx(moderate + 12 * 97 * np.log(10), rel=1e-12)


def test_sparse_matrices_and_operators():
    """With the minimum given, bounds need products with A only; what needs its entries says so."""
    dense = pb.LinearProblem([[1.0, 2.0]], [5.0])
    network = network_of(2, ("constant", 0.5))
    theta0, x = network.init(0.5, [1.0, 1.0]), np.array([1.0, 2.0])
    best = pb.minimal_l1(dense)
    for A in (csr_array(dense.A), aslinearoperator(dense.A)):
        problem = pb.LinearProblem(A, dense.b)
        for bound in (theory.l1_bound, theory.sharp_l1_bound, theory.radial_l1_bound, theory.radius_bound):
            assert bound(problem, network, theta0, x, best).value == bound(dense, network, theta0, x).value
        assert theory.radius_band(problem, network, theta0, x) == theory.radius_band(dense, network, theta0, x)
        for call in (
            lambda problem=problem: theory.l1_bound(problem, network, theta0, x),
            lambda problem=problem: theory.local_rate(problem, network, theta0, x),
            lambda problem=problem: theory.loss_rate(problem, network, [theta0]),
            lambda problem=problem: theory.invariant(problem, network, theta0),
            lambda problem=problem: theory.radius_bound(problem, pb.HadamardPower(1), pb.Factor([1.0, 1.0]), x),
        ):
            with pytest.raises(InvalidInput, match="dense"):
                call()


def test_hypotheses_are_reported():
    infeasible = pb.LinearProblem([[1.0, 1.0]], [-1.0])
    network = pb.HadamardPower(2)
    theta0 = network.init(0.5, [1.0, 1.0])
    names = {h.name: h.held for h in theory.l1_bound(infeasible, network, theta0).hypotheses}
    assert names["S+ = {z >= 0, A z = b} is not empty"] is False
    with pytest.raises(InvalidInput, match="nonempty"):
        theory.excess(infeasible, network, theta0, [1.0, 1.0])
    shallow = pb.HadamardPower(1)
    first = theory.l1_bound(pb.LinearProblem([[1.0, 1.0]], [1.0]), shallow, shallow.init(1.0, [1.0, 1.0])).hypotheses[0]
    assert (first.held, first.lhs, first.rhs) == (False, 2.0, 1.0)
    nothing = theory.l1_bound(pb.LinearProblem([[1.0, 1.0]], [0.0]), network, theta0)
    assert not nothing.applies
    constant = network_of(2, ("constant", 1.0))
    outside = theory.radius_band(pb.LinearProblem([[1.0, 1.0]], [1.0]), constant, theta0_of(constant), [2.0, -1.0])
    assert [h.held for h in outside.hypotheses] == [True, True, False, True, True]
    beside = theory.radius_band(pb.LinearProblem([[1.0, 1.0]], [1.0]), constant, theta0_of(constant), [2.0, 1.0])
    assert [h.held for h in beside.hypotheses] == [True, True, True, False, True]


def theta0_of(network):
    return network.init(0.5, [1.0, 1.0])


def test_bad_input():
    problem, plain, polar = pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.HadamardPower(2), network_of(2, ("constant", 1.0))
    start, x = theta0_of(polar), [0.5, 0.5]
    batch = polar.init([0.5, 0.6], [1.0, 1.0])
    signed = pb.HadamardDifference(2)
    for call, message in [
        (lambda: theory.l1_bound(problem, polar, start), "needs limit"),
        (lambda: theory.l1_bound(problem, polar, batch, x), "one run"),
        (lambda: theory.l1_bound(problem, polar, start, [0.5, 0.5, 0.5]), "shape"),
        (lambda: theory.l1_bound(problem, polar, start, 1.0), "shape"),
        (lambda: theory.l1_bound(problem, polar, start, [1.5, -0.5]), "negative"),
        (lambda: theory.l1_bound(problem, polar, start, x, -1.0), "minimum"),
        (lambda: theory.l1_bound(problem, polar, start, x, [1.0, 2.0]), "minimum"),
        (lambda: theory.l1_bound(problem, polar, start, solution_of([x, x])), "batch"),
        (lambda: theory.radial_l1_bound(problem, polar, start, x, 1.0), "minimiser"),
        (lambda: theory.radius_band(problem, polar, start, [1.0, 0.0, 0.0]), "shape"),
        (lambda: theory.magnification(problem, polar, start, -1.0), "negative"),
        (lambda: theory.magnification(problem, polar, start, np.nan), "NaN"),
        (lambda: theory.excess(problem, signed, signed.init(1.0, np.ones(4)), solution_of(x)), "halves"),
        (lambda: theory.magnifying_radii(pb.ConstantRatio(1.0), 0.0), "above 0"),
        (lambda: theory.magnifying_radii(pb.ConstantRatio([1.0, 2.0]), 1.0), "one set"),
        (lambda: theory.magnifying_radii(pb.HarmonicRatio(1.0), 1.0, time_scale=2.0), "not known"),
        (lambda: theory.magnifying_radii(1.0, 1.0), "law must be"),
        (lambda: theory.loss_rate(problem, plain, pb.Factor(np.ones((2, 2))), support=[]), "nonempty"),
        (lambda: theory.loss_rate(problem, plain, pb.Factor(np.ones((2, 2))), support=[2]), "indices"),
        (lambda: theory.loss_rate(problem, plain, pb.Factor(np.ones((2, 3, 2)))), "one run"),
    ]:  # fmt: skip
        with pytest.raises(InvalidInput, match=message):
            call()
