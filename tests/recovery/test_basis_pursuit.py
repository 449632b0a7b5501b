"""Basis pursuit against linear programs, and certificates that the tests compute themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import polarbias as pb
from polarbias import PursuitStatus as Status
from pursuit_problems import (
    assert_infeasible,
    assert_optimal,
    check_with_noise,
    check_without_noise,
    cosine_transform,
    gaussian,
)


@pytest.mark.parametrize(("s", "nonnegative"), [(8, False), (30, True), (45, False), (1000, False)])
def test_the_size_of_the_paper(s, nonnegative):
    A, x, b = gaussian(5, 150, 1000, s, nonnegative)
    found = pb.basis_pursuit(A, b, nonnegative=nonnegative)
    assert_optimal(A, b, found, nonnegative=nonnegative, tol=1e-10)
    if s <= 30:
        np.testing.assert_allclose(found.x, x, atol=1e-10)
    else:
        assert found.value < np.abs(x).sum()
        assert found.support.size == 150


@pytest.mark.parametrize("check", [check_without_noise, check_with_noise])
@given(st.integers(0, 10**9))
def test_small_problems(check, seed):
    check(seed)


@pytest.mark.full
@pytest.mark.parametrize("check", [check_without_noise, check_with_noise])
def test_five_thousand_problems(check):
    for seed in range(5000):
        check(seed)


def test_noise_at_the_size_of_the_paper_and_its_limits():
    A, x, b = gaussian(9, 150, 1000, 10)
    noise = np.random.default_rng(1).standard_normal(150)
    noisy = b + noise * (0.05 / np.linalg.norm(noise))
    found = pb.basis_pursuit(A, noisy, 0.05)
    assert_optimal(A, noisy, found, sigma=0.05)
    assert np.linalg.norm(found.x - x) < 0.3
    proof = pb.certify(A, noisy, found.x, found.dual, sigma=0.05)
    assert proof[2:] == (found.gap, found.residual, found.dual_infeasibility)
    none = pb.basis_pursuit(A, b, float(np.linalg.norm(b)))
    assert not none.x.any()
    assert none.status is Status.OPTIMAL


UNBOUNDED = pb.gaussian_problem(0, 31, 31, "signed", s=3)  # the dual vector of x >= 0 overflows nowhere


@pytest.mark.parametrize(
    ("A", "b", "weights", "nonnegative", "form"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], [1.0, 2.0], None, False, np.asarray),
        ([[1.0, 2.0], [1.0, 2.0]], [1.0, 1.0], [np.inf, np.inf], False, np.asarray),
        (np.eye(2), [1.0, 1.0], [1.0, np.inf], False, np.asarray),
        ([[1.0, 2.0]], [-1.0], None, True, np.asarray),
        (UNBOUNDED.A, UNBOUNDED.b, None, True, np.asarray),
        (np.abs(UNBOUNDED.A), -np.ones(31), None, True, sparse.linalg.aslinearoperator),
    ],
)
def test_infeasible_problems(A, b, weights, nonnegative, form):
    A, b = np.array(A), np.array(b)
    found = pb.basis_pursuit(form(A), b, weights=weights, nonnegative=nonnegative)
    assert_infeasible(A, b, found, None if weights is None else np.array(weights), nonnegative)


def test_a_column_that_the_first_newton_matrices_leave_out():
    rng = np.random.default_rng(0)
    A, b = -np.abs(rng.standard_normal((20, 200))), np.abs(rng.standard_normal(20))
    assert pb.basis_pursuit(A, b, nonnegative=True).status is Status.INFEASIBLE
    A[:, -1] = b  # the only column that reaches b
    A[:, :100] += 10 * b[:, None]
    assert_optimal(A, b, pb.basis_pursuit(A, b, nonnegative=True), nonnegative=True)


@pytest.mark.parametrize("margin", [1e-2, 1e-5, 1e-7])
def test_nearly_active_dual_constraints(margin):
    rng = np.random.default_rng(3)
    m, n, s = 40, 160, 15
    A, y = rng.standard_normal((m, n)), rng.standard_normal(m)
    wanted = np.where(np.arange(n) < s, 1.0, 1.0 - margin) * np.sign(A.T @ y)
    A += np.outer(y, wanted - A.T @ y) / (y @ y)
    x = np.where(np.arange(n) < s, np.sign(A.T @ y) * rng.uniform(0.5, 2, n), 0)
    found = pb.basis_pursuit(A, A @ x)
    assert_optimal(A, A @ x, found)
    np.testing.assert_allclose(found.x, x, atol=1e-8)


def test_types_of_matrices():
    rng = np.random.default_rng(4)
    A = sparse.random(30, 90, 0.1, random_state=rng, data_rvs=rng.standard_normal)
    b = A @ np.where(np.arange(90) % 20 == 0, 1.0, 0.0)
    wanted = pb.basis_pursuit(A.toarray(), b)
    for given_as in (A, sparse.csr_matrix(A), np.asfortranarray(A.toarray())):
        np.testing.assert_allclose(pb.basis_pursuit(given_as, b).x, wanted.x, atol=1e-10)
    single = pb.basis_pursuit(A.toarray().astype(np.float32), b.astype(np.float32), tol=1e-5)
    np.testing.assert_allclose(single.x, wanted.x, atol=1e-4)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_operators(nonnegative):
    rng = np.random.default_rng(8)
    n, m, s = 1000, 300, 30
    A, dense = cosine_transform(n, m, rng)
    x = np.zeros(n)
    x[rng.permutation(n)[:s]] = rng.uniform(0.5, 2, s) * (1 if nonnegative else rng.choice([-1, 1], s))
    found = pb.basis_pursuit(A, A @ x, nonnegative=nonnegative)
    assert_optimal(dense, dense @ x, found, nonnegative=nonnegative)
    np.testing.assert_allclose(found.x, x, atol=1e-9)
    weights = rng.uniform(0.5, 2, n)
    weights[x == 0] = np.where(rng.random(n - s) < 0.1, np.inf, weights[x == 0])
    assert_optimal(dense, dense @ x, pb.basis_pursuit(A, A @ x, weights=weights), weights)


def test_many_right_hand_sides():
    A, _, b = gaussian(3, 20, 60, 4)
    B = np.stack([b, -2 * b, np.zeros(20)])
    found = pb.basis_pursuit(A, B)
    np.testing.assert_allclose(found.x[1], -2 * found.x[0], rtol=1e-9, atol=1e-12)
    for k, one in enumerate(found):
        alone = pb.basis_pursuit(A, B[k])
        np.testing.assert_array_equal(one.x, alone.x)
        assert (one.status, one.steps, one.value) == (alone.status, alone.steps, alone.value)
    again = pb.basis_pursuit(A, B, warm_start=found)
    assert again.steps.sum() < found.steps.sum()
    assert_optimal(A, B[1], pb.basis_pursuit(A, B[:2], 0.1)[1], sigma=0.1)


def test_warm_starts_save_steps():
    A, _, b = gaussian(6, 60, 240, 10)
    cold = pb.basis_pursuit(A, b)
    again = pb.basis_pursuit(A, b, warm_start=cold)
    assert_optimal(A, b, again)
    assert again.steps <= 2 < cold.steps
    near = b + 1e-3 * np.linalg.norm(b) * A[:, 0]
    assert_optimal(A, near, pb.basis_pursuit(A, near, warm_start=cold))
    infeasible = pb.basis_pursuit(np.abs(A), -np.ones(60), nonnegative=True)
    assert_optimal(A, b, pb.basis_pursuit(A, b, warm_start=infeasible))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"A": [[1.0, np.nan]]}, "NaN"),
        ({"A": np.ones((2, 1, 3)), "b": np.ones((2, 1))}, "b must have shape"),
        ({"A": np.ones((2, 1, 3)), "b": np.ones((3, 2, 1))}, "A must be one matrix"),
        ({"b": [1.0, 2.0]}, "b must have shape"),
        ({"b": np.zeros((0, 1))}, "no right-hand side"),
        ({"b": np.zeros((2, 1, 1))}, "b must have shape"),
        ({"weights": [1.0]}, "weights must be 2 numbers"),
        ({"weights": [1.0, -1.0]}, "weights must be 2 numbers"),
        ({"nonnegative": "no"}, "nonnegative must be True or False"),
        *(({"sigma": sigma}, "sigma must be") for sigma in (-1.0, np.inf)),
        *(({"tol": tol}, "tol must be") for tol in (0, 2)),
        *(({"max_steps": steps}, "max_steps must be") for steps in (0, 2.7)),
        *(({"max_time": time}, "max_time must be") for time in (-1, "1")),
        ({"callback": 5}, "callback must be"),
        ({"warm_start": 3}, "warm_start must be a Pursuit"),
        ({"warm_start": pb.basis_pursuit([[1.0]], [1.0])}, r"shapes \(\(2,\), \(1,\)\).* got \(\(1,\), \(1,\)\)"),
        ({"b": np.ones((2, 1)), "warm_start": pb.basis_pursuit([[1.0, 2.0]], [1.0])}, "must have x and dual of shapes"),
    ],
)
def test_invalid_arguments(options, message):
    arguments = {"A": [[1.0, 2.0]], "b": [1.0], **options}
    with pytest.raises(pb.InvalidInput, match=message):
        pb.basis_pursuit(arguments.pop("A"), arguments.pop("b"), **arguments)
