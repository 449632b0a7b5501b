"""The minimal l2 oracle against the pseudoinverse."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polarbias as pb
from polarbias.problems.certificate import verify_farkas
from polarbias.problems.ensembles import gaussian_truth
from polarbias.problems.reference.l2 import minimal_l2, violations


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.floats(-8, 8), st.floats(-8, 8))
def test_against_the_pseudoinverse(seed, m, n, log_a, log_b):
    A, x = pb.gaussian_matrix(seed, m, n), gaussian_truth(seed, n)
    assume(np.linalg.cond(A) < 1e4)
    problem = pb.LinearProblem(A * 10**log_a, A @ x * 10**log_b)
    best = minimal_l2(problem)
    np.testing.assert_allclose(best.x, np.linalg.pinv(problem.A) @ problem.b, rtol=1e-9)
    np.testing.assert_allclose(best.x, best.dual @ problem.A, rtol=1e-9)
    assert best.value == pytest.approx(np.linalg.norm(best.x), rel=1e-14)
    assert best.gap < 1e-12


def test_dependent_rows_of_all_scales_and_zeros():
    problem = pb.gaussian_problem(0, 10, 30)
    rows = 10.0 ** np.linspace(-8, 8, 14)
    A = np.vstack([problem.A, problem.A[:4]]) * rows[:, None]
    best = minimal_l2(pb.LinearProblem(A, np.append(problem.b, problem.b[:4]) * rows))
    np.testing.assert_allclose(best.x, minimal_l2(problem).x, atol=1e-13)
    best = minimal_l2(pb.LinearProblem(np.zeros((2, 3)), [0.0, 0.0]))
    assert best.value == best.gap == best.residual == 0


@pytest.mark.parametrize("condition", [1e4, 1e6, 1e8])
def test_ill_conditioned_matrices_are_feasible(condition):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((20, 20), (60, 20)))
    A = left * np.geomspace(1, 1 / condition, 20) @ right.T
    x = right @ rng.standard_normal(20)
    np.testing.assert_allclose(minimal_l2(pb.LinearProblem(A, A @ x)).x, x, atol=1e-14 * condition)


@pytest.mark.parametrize(
    ("A", "b"), [([[1.0, 2.0], [2.0, 4.0]], [1.0, 1.0]), ([[0.0, 0.0]], [1.0]), (np.eye(3, 2), [1.0, 1.0, 1e-8])]
)
def test_infeasible_problems(A, b):
    problem = pb.LinearProblem(A, b)
    best = minimal_l2(problem)
    assert not best.feasible
    assert best.value == np.inf
    assert verify_farkas(problem, best.farkas)


def test_violations():
    problem = pb.LinearProblem([[3.0, 4.0]], [5.0])
    x, y = np.array([0.6, 0.8]), np.array([0.2])
    np.testing.assert_allclose(violations(problem, x, y), 0, atol=1e-15)
    np.testing.assert_allclose(violations(problem, 1.1 * x, y), [0.1, 1 / 11, abs(1.1 - 1 / 1.1) / 1.1])
    np.testing.assert_allclose(violations(problem, x, 1.1 * y), [0, 0.1, 0.1], atol=1e-15)
