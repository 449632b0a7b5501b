"""Limits as a function: infeasible, degenerate, sparse and batched problems, certified gaps."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from limit_cases import assert_solves, limit, random_data, wn
from optional_jax import jax
from polarbias import InvalidInput
from polarbias.solution import Status

DEPTHS = [1, 2, 3, 4, 6]


def assert_infeasible(solution):
    assert solution.status == Status.INFEASIBLE
    assert np.isnan(solution.x).all()
    assert np.isnan(solution.gap)
    return solution.farkas


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_what_no_nonnegative_signal_reaches_has_a_farkas_certificate(depth, seed):
    rng = np.random.default_rng(seed)
    A = np.abs(rng.standard_normal((5, 12)))
    b = A @ np.abs(rng.standard_normal(12))
    b[2] = -b[2]  # rows of one sign: impossible
    A, b = (basis := rng.standard_normal((5, 5))) @ A, basis @ b
    y = assert_infeasible(limit(A, b, np.ones(12), wn(depth)))
    assert y.shape == (5,)
    assert b @ y > 0
    assert (A.T @ y).max() <= 1e-9 * np.abs(A).max() * np.abs(y).max()
    assert b @ y > 1e-3 * np.abs(b).max() * np.abs(y).max()


@pytest.mark.parametrize("signed", [False, True])
def test_contradictory_rows_have_a_farkas_certificate(signed):
    A, b, u = random_data(1)
    A, b = np.vstack([A, A[1]]), np.append(b, b[1] + 1)
    u = np.tile(u, 1 + signed)
    y = assert_infeasible(limit(A, b, u, wn(signed=signed)))
    assert b @ y > 0.1 * np.abs(y).max()
    assert np.abs(A.T @ y).max() <= 1e-10 * np.abs(y).max()


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_barely_out_of_reach_and_barely_within(scale):
    """A = [1, c] with b of the wrong sign by 1e-6 of its size, then of the right one."""
    A = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert_infeasible(limit(scale * A, scale * np.array([1.0, -1e-6]), np.ones(3)))
    assert_solves(limit(scale * A, scale * np.array([1.0, 1e-6]), np.ones(3)), scale * A, scale * np.array([1.0, 1e-6]))


def test_a_right_side_on_the_border_of_the_cone_still_has_its_limit():
    """b = (1, 0) forces the last two entries to 0; the dual optimum is not attained, the limit exists."""
    A = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    solution = limit(A, np.array([1.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(A @ solution.x, [1.0, 0.0], atol=1e-8)
    assert solution.x[0] / solution.x[1] == pytest.approx(1 / 4, rel=1e-6)
    assert solution.x[2:].max() < 1e-8


class Cube(pb.Network):
    degree = 3

    def init(self, scale, direction):
        return scale * direction

    def signal(self, theta):
        return theta**3


WITHOUT_LIMIT = [pb.Difference(wn()), pb.Difference(pb.HadamardPower(2)), Cube()]


@pytest.mark.parametrize("network", WITHOUT_LIMIT, ids=repr)
def test_networks_without_an_explicit_limit_are_refused(network):
    A, b, u = random_data(0)
    u = u if isinstance(network, Cube) else np.tile(u, 2)
    with pytest.raises(InvalidInput, match="HadamardPower"):
        pb.flow_limit(pb.LinearProblem(A, b), network, network.init(1.0, u))


def test_arguments_that_do_not_fit_are_refused():
    A, b, u = random_data(0)
    with pytest.raises(InvalidInput):
        pb.flow_limit(pb.LinearProblem(A, b), wn(), wn().init(1.0, u[:-1]))
    with pytest.raises(InvalidInput):
        pb.flow_limit("problem", wn(), wn().init(1.0, u))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("signed", [False, True])
def test_dependent_rows_change_nothing(depth, signed):
    A, b, u = random_data(3)
    network = wn(depth, signed=signed)
    u = np.tile(u, 1 + signed) * (1 + np.arange(u.size * (1 + signed)) % 3)
    simple = limit(A, b, u, network)
    mix = np.vstack([np.eye(4), np.random.default_rng(0).standard_normal((3, 4))])
    doubled = limit(mix @ A, mix @ b, u, network)
    assert_solves(doubled, mix @ A, mix @ b)
    np.testing.assert_allclose(doubled.x, simple.x, rtol=0, atol=1e-9 * np.abs(simple.x).max())
    assert doubled.mirror_dual.shape == (7,)
    if depth == 1:
        return
    np.testing.assert_allclose(
        (mix @ A).T @ doubled.mirror_dual,
        A.T @ simple.mirror_dual,
        rtol=1e-6,
        atol=1e-7 * np.abs(simple.mirror_dual).max(),
    )


@pytest.mark.parametrize("depth", DEPTHS)
def test_zero_columns_rest_in_the_mirror_map_and_zero_rows_ask_for_nothing(depth):
    """A zero column keeps u e^E: its entry shrinks with e^(-E), but is not decided by any equation."""
    A, b, u = random_data(4)
    A[:, 3] = 0
    network = wn(depth, 2.0)
    plain = limit(A, b, u, network)
    assert_solves(plain, A, b)
    x, r, u0 = plain.x, float(plain.r), u / np.linalg.norm(u)
    kept = x[3] ** (1 / depth) / r * np.exp(r**2 / 4 - 1 / 4)
    assert kept == pytest.approx(u0[3], rel=1e-8)
    wide = limit(np.vstack([A[:2], np.zeros(10), A[2:]]), np.insert(b, 2, 0.0), u, network)
    np.testing.assert_allclose(wide.x, x, rtol=1e-9, atol=1e-10 * x.max())
    y = assert_infeasible(limit(np.vstack([A, np.zeros(10)]), np.append(b, -1.0), u, network))
    assert y[4] < 0
    assert y @ np.append(b, -1.0) > 0
    assert (np.vstack([A, np.zeros(10)]).T @ y).max() <= 1e-12 * np.abs(y).max()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("m", "n"), [(6, 6), (9, 6), (1, 1)])
def test_as_many_equations_as_unknowns_leave_one_answer(depth, m, n):
    rng = np.random.default_rng(m)
    A, z = rng.standard_normal((m, n)), np.abs(rng.standard_normal(n)) + 0.1
    solution = limit(A, A @ z, np.ones(n), wn(depth), scale=2.0)
    np.testing.assert_allclose(solution.x, z, rtol=1e-8)
    assert float(solution.r) == pytest.approx((z ** (2 / depth)).sum() ** 0.5, rel=1e-8)


@pytest.mark.parametrize("depth", [2, 3])
def test_no_right_side_and_no_positive_kernel_gives_zero(depth):
    A, _, u = random_data(5)
    A = np.abs(A)
    solution = limit(A, np.zeros(4), u, wn(depth))
    assert np.abs(solution.x).max() <= 1e-10


def test_no_right_side_with_a_positive_kernel_gives_the_projection():
    """Zero row sums: X / ||X||_1 is the closest point of the kernel to u0^2 in relative entropy."""
    A = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    u0 = np.array([1.0, 2.0, 3.0])
    u0 /= np.linalg.norm(u0)
    eta, r0 = 0.3, 2.0
    solution = limit(A, np.zeros(2), u0, wn(2, eta), scale=r0)
    divergence = np.log(1 / 3) - np.log(u0**2).mean()
    assert solution.status == Status.CONVERGED
    np.testing.assert_allclose(solution.x, np.full(3, (r0**2 - eta * divergence) / 3), rtol=1e-9)
    np.testing.assert_allclose(
        limit(A, np.zeros(2), u0, pb.HadamardPower(2), scale=r0).x,
        np.full(3, r0**2 * np.exp(np.log(u0**2).mean())),
        rtol=1e-9,
    )
    assert not limit(A, np.zeros(2), u0, wn(2, 100.0), scale=0.1).x.any()


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_sparse_matrices_and_operators_give_the_dense_answer(depth, signed):
    rng = np.random.default_rng(9)
    A = rng.standard_normal((8, 30)) * (rng.random((8, 30)) < 0.4)
    b = A @ np.abs(rng.standard_normal(30))
    u = np.abs(rng.standard_normal(30 * (1 + signed))) + 0.1
    network = wn(depth, 0.5, signed)
    dense = limit(A, b, u, network)
    for form in (sparse.csr_array(A), sparse.coo_matrix(A), aslinearoperator(A), aslinearoperator(sparse.csr_array(A))):
        other = limit(form, b, u, network)
        assert other.status == dense.status == Status.CONVERGED
        np.testing.assert_allclose(other.x, dense.x, rtol=0, atol=1e-8 * np.abs(dense.x).max())
        assert np.linalg.norm(A @ other.x - b) <= 1e-10 * np.linalg.norm(b)


def test_batches_are_their_runs():
    rng = np.random.default_rng(10)
    problems = [pb.LinearProblem(*random_data(seed)[:2]) for seed in (20, 21)]
    scales, ratios = np.array([[0.5, 1.0, 3.0]] * 2), np.array([0.1, 1.0, 10.0])
    u = np.abs(rng.standard_normal((2, 3, 10))) + 0.1
    network = wn(2, ratios)
    batch = pb.flow_limit(pb.stack(problems), network, network.init(scales, u))
    assert batch.batch_shape == (2, 3)
    for trial in range(2):
        for c in range(3):
            single = wn(2, ratios[c])
            one = pb.flow_limit(problems[trial], single, single.init(scales[trial, c], u[trial, c]))
            np.testing.assert_allclose(batch[trial, c].x, one.x, rtol=0, atol=1e-9 * one.x.max())
            for name in (
                "x",
                "log_x",
                "mirror_dual",
                "dual",
                "gap",
                "r",
                "log_rho",
                "collapse_status",
                "loss",
                "steps",
            ):
                assert np.shape(getattr(batch[trial, c], name)) == np.shape(getattr(one, name)), name


def minimal_weighted_l1(A, b, w):
    return linprog(w, A_eq=A, b_eq=b, method="highs", options={"primal_feasibility_tolerance": 1e-10}).fun


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("eta", "scale"), [(1.0, 1.0), (0.01, 1.0), (0.1, 0.1), (10.0, 3.0)])
def test_the_gap_is_certified(depth, signed, eta, scale):
    A, b, u = random_data(13, m=5, n=15)
    u = np.tile(u, 1 + signed)
    network = wn(depth, eta, signed)
    solution = limit(A, b, u, network, scale)
    x0 = scale * u / np.linalg.norm(u)
    w = x0 ** (2.0 - depth) if depth > 2 else np.ones(u.size)
    B = np.hstack([A, -A]) if signed else A
    value = w[:15] @ np.abs(solution.x)
    best = minimal_weighted_l1(B, b, w)
    y = solution.dual
    assert (B.T @ y - w <= 1e-12 * w).all()
    assert float(solution.gap) == pytest.approx(1 - b @ y / value, rel=1e-9, abs=1e-11)
    assert 1 - best / value <= float(solution.gap) + 1e-9
    if eta == 0.01:
        assert float(solution.gap) <= 1e-3


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_theta_is_a_state_of_rest_with_the_signal_of_the_limit(depth, signed, plain):
    A, b, u = random_data(14)
    u = np.tile(u, 1 + signed) * np.linspace(1, 2, u.size * (1 + signed))
    inner = pb.HadamardDifference(depth) if signed else pb.HadamardPower(depth)
    network = inner if plain else pb.WeightNormalization(inner, 0.5)
    problem = pb.LinearProblem(A, b)
    theta0 = network.init(1.2, u)
    solution = pb.flow_limit(problem, network, theta0)
    np.testing.assert_allclose(
        network.signal(solution.theta), solution.x, rtol=0, atol=1e-12 * np.abs(solution.x).max()
    )
    assert type(solution.theta) is type(theta0)
    if not plain:
        assert np.linalg.norm(solution.theta.u) == pytest.approx(np.linalg.norm(theta0.u), rel=1e-12)
    again = pb.flow_limit(problem, network, solution.theta)
    np.testing.assert_allclose(again.x, solution.x, rtol=0, atol=1e-8 * np.abs(solution.x).max())
    for leaf in jax.tree.leaves(pb.vector_field(problem, network, solution.theta)):
        assert np.abs(leaf).max() < 1e-7
    assert float(solution.loss) == pytest.approx(float(solution.residual) ** 2 / (2 * depth), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("norm", [0.1, 7.0])
@pytest.mark.parametrize("rate", [0.3, 5.0])
def test_norm_and_rate_of_the_direction_act_as_the_ratio(norm, rate):
    """Lemma 3.1: eta_u / ||u0||^2 is the only combination that matters, and it divides eta."""
    A, b, u = random_data(15)
    problem = pb.LinearProblem(A, b)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5, direction_rate=rate)
    moved = pb.flow_limit(problem, network, network.init(1.0, u, direction_norm=norm))
    np.testing.assert_allclose(moved.x, limit(A, b, u, wn(2, 0.5 * norm**2 / rate)).x, rtol=1e-9, atol=1e-12)
    assert np.linalg.norm(moved.theta.u) == pytest.approx(norm, rel=1e-12)


def test_float32_data_are_solved_in_float64():
    A, b, u = random_data(16)
    single, right = A.astype(np.float32), b.astype(np.float32)
    solution = limit(single, right, u.astype(np.float32))
    assert solution.x.dtype == np.float64
    assert np.linalg.norm(single.astype(float) @ solution.x - right) <= 1e-10 * np.linalg.norm(right)
