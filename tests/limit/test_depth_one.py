"""The limit at depth 1: its scalar equation, its sign, its range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polarbias as pb
from oracles import Case, Law, integrate_flow, linear_limit
from polarbias.limit import depth_one
from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.solution import CollapseStatus, Status

SEEDS = st.integers(0, 2**32 - 1)


@given(
    seed=SEEDS, r0=st.floats(0.1, 30), c=st.floats(0.05, 30), kind=st.sampled_from(["constant", "harmonic", "power"])
)
def test_depth_one_is_its_scalar_equation(seed, r0, c, kind):
    """X = A^+ b + |c| (I - P) x0 as long as the loss starts below that of X = 0, which keeps the sign."""
    rng = np.random.default_rng(seed)
    A, u0 = rng.standard_normal((5, 15)) / np.sqrt(5), np.abs(rng.standard_normal(15)) + 0.05
    case = Case(A, A @ np.abs(rng.standard_normal(15)), 1, Law(kind, c), r0, u0 / np.linalg.norm(u0))
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
    solution = pb.flow_limit(*case.library())
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


def limit_of(A, b, u0, r0=1.0, eta=0.5):
    network = pb.WeightNormalization(pb.HadamardPower(1), eta)
    [(_, one, form)] = reduced_forms(pb.LinearProblem(A, b), network, network.init(r0, u0))[1]
    return depth_one.linear_limit(one, form)


def test_the_whole_range_and_nothing_else():
    A = np.random.default_rng(2).standard_normal((4, 10))
    b = A @ np.arange(10.0)
    for rhs in (b, -b):
        x, r, _ = limit_of(A, rhs, np.ones(10))
        np.testing.assert_allclose(A @ x, rhs, rtol=1e-10)
        assert r == pytest.approx(np.linalg.norm(x))
    with pytest.raises(InfeasibleSystem) as found:
        limit_of(np.vstack([A, A[0]]), np.append(b, b[0] + 1), np.ones(10))
    y = found.value.direction
    assert y @ np.append(b, b[0] + 1) > 0
    np.testing.assert_allclose(np.vstack([A, A[0]]).T @ y, 0, atol=1e-12)


def test_a_start_in_the_rows_ends_at_the_least_norm():
    A = np.random.default_rng(2).standard_normal((2, 5))
    x, _, known = limit_of(A, [1.0, 2.0], A[0])
    np.testing.assert_allclose(x, np.linalg.pinv(A) @ [1.0, 2.0], rtol=1e-12)
    assert known == CollapseStatus.LOSS


def test_only_dense_matrices():
    from scipy.sparse import csr_array

    with pytest.raises(pb.InvalidInput, match="dense"):
        limit_of(csr_array([[1.0, 2.0]]), [1.0], np.ones(2))
