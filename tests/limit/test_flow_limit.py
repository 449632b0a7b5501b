"""What theory says of limits, checked on random problems: optimality, monotonicity, scaling, closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polarbias as pb
from oracles import PLAIN, Case, Law, attainable, integrate_flow, linear_limit
from oracles_mpmath import kkt_mpmath
from polarbias.solution import CollapseStatus, Status

SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(-2, 2).map(lambda power: 10**power)


def drawn(seed, depth, law, r0, m=5, n=15):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    u0 = np.abs(rng.standard_normal(n)) + 0.05
    return Case(A, A @ np.abs(rng.standard_normal(n)), depth, law, r0, u0 / np.linalg.norm(u0), law is PLAIN)


def limit(case):
    return pb.flow_limit(*case.library())


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
@given(seed=SEEDS, r0=SCALES, c=SCALES, kind=st.sampled_from(["constant", "harmonic", "power"]))
def test_limits_are_nonnegative_feasible_and_optimal(depth, seed, r0, c, kind):
    case = drawn(seed, depth, Law(kind, c), r0)
    solution = limit(case)
    if solution.status == Status.COLLAPSED:
        assert kind == "constant"
        assert not solution.x.any()
        return
    # From starts far above every solution the integration that excludes a collapse may not come to an end.
    assert solution.status == Status.CONVERGED or (r0 >= 10 and solution.status == Status.UNDECIDED)
    assert (solution.x >= 0).all()
    np.testing.assert_allclose(np.exp(solution.log_x), solution.x, rtol=1e-12)
    optimality = kkt_mpmath(case, solution.log_x)
    assert optimality.residual <= attainable(case, solution.x)
    assert optimality.stationarity <= 1e-8
    assert float(solution.r) == pytest.approx(np.sqrt((solution.x ** (2 / depth)).sum()), rel=1e-12)
    if kind == "power":  # E = log(r) / c: rho = (r_inf / r0)^(1 / c - 1)
        expected = (1 / c - 1) * np.log(float(solution.r) / r0)
        assert float(solution.log_rho) == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1, 1 / c))


@pytest.mark.parametrize("depth", [2, 3, 4])
@given(seed=SEEDS, r0=st.floats(0.3, 10), eta=st.floats(0.3, 10), harmonic=st.booleans())
def test_a_limit_is_the_plain_limit_from_the_start_over_rho(depth, seed, r0, eta, harmonic):
    """One curve of limits for all laws: only the scale of the plain start is left of law and r0."""
    case = drawn(seed, depth, Law("harmonic" if harmonic else "constant", eta), r0)
    solution = limit(case)
    if solution.status == Status.COLLAPSED:
        return
    # The harmonic law's log r cancels the r0 / r_inf of the published factor.
    log_rho = (0.0 if harmonic else np.log(r0 / float(solution.r))) + (float(solution.r) ** 2 - r0**2) / (2 * eta)
    assert float(solution.log_rho) == pytest.approx(log_rho, rel=1e-9, abs=1e-9)
    if abs(log_rho) < 14:
        plain = limit(Case(case.A, case.b, depth, PLAIN, r0 * np.exp(-log_rho), case.u0, True))
        np.testing.assert_allclose(solution.x, plain.x, rtol=0, atol=1e-7 * plain.x.max())


@given(seed=SEEDS, eta=st.floats(0.05, 20))
def test_the_norm_grows_with_the_initial_radius(seed, eta):
    norms = [limit(drawn(seed, 2, Law("constant", eta), r0)).x.sum() for r0 in (0.5, 1.0, 2.0, 4.0, 8.0)]
    reached = [norm for norm in norms if norm > 0]  # the smallest starts may collapse
    assert (np.diff(reached) >= -1e-9 * np.array(reached[1:])).all()


@given(seed=SEEDS, r0=st.floats(0.5, 10), eta=st.floats(0.05, 20))
def test_the_norm_moves_with_the_ratio_by_the_sign_of_the_radius_change(seed, r0, eta):
    """In eta, ||X||_1 rises where the radius has grown and falls where it has shrunk."""
    first, second = (limit(drawn(seed, 2, Law("constant", e), r0)) for e in (eta, 1.02 * eta))
    if not (first.converged and second.converged):
        return
    change = second.x.sum() - first.x.sum()
    grown = first.x.sum() - r0**2
    if min(grown, second.x.sum() - r0**2) > 0:
        assert change >= -1e-9 * first.x.sum()
    elif max(grown, second.x.sum() - r0**2) < 0:
        assert change <= 1e-9 * first.x.sum()


@given(seed=SEEDS, r0=st.floats(0.3, 10), eta=st.floats(0.02, 20))
def test_the_norm_stays_within_its_bound_around_the_minimal_l1_norm(seed, r0, eta):
    """||X||_1 - Q <= (sqrt((Q - r0^2)^2 + 4 eta Q K) - (Q - r0^2)) / 2, K the divergence of z / Q from u0^2."""
    case = drawn(seed, 2, Law("constant", eta), r0)
    solution = limit(case)
    if not solution.converged:
        return
    best = pb.minimal_l1(pb.LinearProblem(case.A, case.b), nonnegative=True)
    z, least = best.x, float(best.value)
    on = z > 0
    divergence = (z[on] / least * np.log(z[on] / least / case.u0[on] ** 2)).sum()
    slack = least - r0**2
    bound = (np.sqrt(slack**2 + 4 * eta * least * divergence) - slack) / 2
    assert -1e-9 * least <= solution.x.sum() - least <= bound + 1e-9 * least
    assert float(solution.gap) >= 1 - least / solution.x.sum() - 1e-9


@given(
    seed=SEEDS, r0=st.floats(0.1, 30), c=st.floats(0.05, 30), kind=st.sampled_from(["constant", "harmonic", "power"])
)
def test_depth_one_is_its_scalar_equation(seed, r0, c, kind):
    """X = A^+ b + |c| (I - P) x0 as long as the loss starts below that of X = 0, which keeps the sign."""
    case = drawn(seed, 1, Law(kind, c), r0)
    sign = np.where(np.random.default_rng(seed).random(15) < 0.5, -1.0, 1.0)
    start = case.u0 * sign
    if start @ (case.A.T @ case.b) < 0:
        start = -start
    # X = t A^+ b-like starts: close enough to a solution that the loss is below that of X = 0.
    least = np.linalg.pinv(case.A) @ case.b
    start = least / np.linalg.norm(least) + 0.5 * start
    start /= np.linalg.norm(start)
    case = Case(case.A, case.b, 1, case.law, r0, start)
    if np.linalg.norm(case.A @ (r0 * start) - case.b) >= np.linalg.norm(case.b):
        return
    solution = limit(case)
    assert solution.status == Status.CONVERGED
    expected = linear_limit(case, 1.0)
    np.testing.assert_allclose(solution.x, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_depth_one_may_pass_through_zero():
    """A = [1, 0], b = -1, r0 = 1, eta = 2: r ends at about -1.26; its sign is that of u's free entry, reversed."""
    network = pb.WeightNormalization(pb.HadamardPower(1), 2.0)
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    for direction in ([1.0, 1.0], [3.0, 1.0], [1.0, 0.2]):
        theta0 = network.init(1.0, direction)
        solution = pb.flow_limit(problem, network, theta0)
        case = Case(problem.A, problem.b, 1, Law("constant", 2.0), 1.0, theta0.u)
        end = integrate_flow(case)
        assert end.status == "converged"
        np.testing.assert_allclose(solution.x, end.x, atol=1e-9)
        np.testing.assert_allclose(network.signal(solution.theta), solution.x, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@given(seed=SEEDS, r0=st.floats(0.2, 10), eta=st.floats(0.05, 20))
def test_signed_networks_are_the_nonnegative_ones_of_both_signs(depth, seed, r0, eta):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 9))
    problem = pb.LinearProblem(A, A @ rng.standard_normal(9))
    u0 = np.abs(rng.standard_normal(18)) + 0.05
    joint = pb.WeightNormalization(pb.HadamardDifference(depth), eta)
    split = pb.WeightNormalization(pb.HadamardPower(depth), eta)
    one = pb.flow_limit(problem, joint, joint.init(r0, u0))
    other = pb.flow_limit(problem.signed(), split, split.init(r0, u0))
    assert one.status == other.status
    np.testing.assert_allclose(one.x, other.x[:9] - other.x[9:], rtol=0, atol=1e-8 * np.abs(other.x).max())


@given(seed=SEEDS, r0=st.floats(0.05, 10), eta=st.floats(0.05, 20))
def test_signed_uniform_starts_never_shrink_below_their_radius(seed, r0, eta):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 9))
    network = pb.WeightNormalization(pb.HadamardDifference(2), eta)
    solution = pb.flow_limit(pb.LinearProblem(A, A @ rng.standard_normal(9)), network, network.init(r0, np.ones(18)))
    assert solution.status == Status.CONVERGED
    assert CollapseStatus(int(solution.collapse_status)).safe
    assert float(solution.r) >= r0 * (1 - 1e-12)


@pytest.mark.parametrize("law", [PLAIN, Law("constant", 0.5), Law("harmonic", 0.5), Law("power", 0.7, 1.0)], ids=str)
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_order_of_entries_and_equations_does_not_matter(depth, law):
    case = drawn(1, depth, law, 1.3)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(5), rng.permutation(15)
    moved = Case(case.A[rows][:, columns], case.b[rows], depth, law, case.r0, case.u0[columns], case.plain)
    first, second = limit(case), limit(moved)
    np.testing.assert_allclose(second.x, first.x[columns], rtol=0, atol=1e-9 * first.x.max())
    np.testing.assert_allclose(
        second.mirror_dual, first.mirror_dual[rows], rtol=0, atol=1e-7 * np.abs(first.mirror_dual).max()
    )


def test_small_ratios_find_the_sparse_truth_and_large_radii_keep_their_norm():
    """Below sqrt(Q) the norm of the limit is the minimal one; far above it, ||X||_1 is about r0^2."""
    problem = pb.gaussian_problem(seed=4, m=40, n=120, truth="sparse", s=4)
    u = pb.folded_gaussian_direction(seed=5, n=120)
    least = float(pb.minimal_l1(problem, nonnegative=True).value)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.01)
    for share in (0.1, 0.5, 0.9):
        solution = pb.flow_limit(problem, network, network.init(share * np.sqrt(least), u))
        assert solution.status == Status.CONVERGED
        np.testing.assert_allclose(solution.x, problem.x_true, atol=0.05)
        assert float(solution.gap) <= 0.005
    for share in (2.0, 3.0):
        solution = pb.flow_limit(problem, network, network.init(share * np.sqrt(least), u))
        assert solution.x.sum() == pytest.approx(share**2 * least, rel=0.02)
