"""Certificates of optimality and of infeasibility, recomputed from the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from polarbias.problems.certificate import best_dual, farkas_certificate, verify_farkas


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, aslinearoperator])
@pytest.mark.parametrize(
    ("x", "y", "options", "expected"),
    [
        ([2.0, 0.0], [0.25], {}, (2, 0.5, 0.75, 0, 0)),
        ([0.0, 0.5], [1.0], {}, (0.5, 1, -1, 0.5, 1)),
        ([0.0, -1.0], [-0.5], {}, (1, -1, 2, 2, 0)),
        ([0.0, 0.0], [0.0], {}, (0, 0, 0, 1, 0)),
        ([0.0, 1.0], [-3.0], {"nonnegative": True}, (1, -6, 7, 0, 0)),
        ([0.0, 1.0], [0.5], {"weights": [0, 1]}, (1, 1, 0, 0, 1)),
        ([0.0, 1.0], [0.0], {"weights": [0, 1]}, (1, 0, 1, 0, 0)),
        ([0.0, 0.25], [0.5], {"sigma": 1.0}, (0.25, 0.5, -1, 0.5, 0)),
    ],
)
def test_pairs_are_measured_on_the_data(form, x, y, options, expected):
    proof = pb.certify(form(np.array([[1.0, 2.0]])), [2.0], x, y, **options)
    assert proof == pytest.approx(expected)
    worst = max(abs(expected[2]), *expected[3:])
    assert proof.within(worst + 1e-12)
    assert not worst or not proof.within(worst - 1e-12)


def test_forbidden_entries_have_infinite_value():
    assert pb.certify([[1.0, 2.0]], [2.0], [-1.0, 1.5], [0.5], nonnegative=True).value == np.inf
    assert pb.certify([[1.0, 2.0]], [2.0], [1.0, 0.5], [0.5], weights=[np.inf, 1]).value == np.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": [1.0]}, "must have shapes"),
        ({"weights": [1.0, -1.0]}, "weights must be 2 numbers"),
        ({"weights": [[1.0], [1.0, 2.0]]}, "weights must be 2 numbers"),
        ({"weights": np.ma.masked_array([1.0, 2.0], [True, False])}, "weights has masked entries"),
        ({"b": np.ma.masked_array([1.0], [True])}, "b has masked entries"),
        ({"y": np.ma.masked_array([1.0], [True])}, "y has masked entries"),
        ({"sigma": -1.0}, "sigma must be"),
        ({"nonnegative": 1}, "nonnegative must be"),
    ],
)
def test_invalid_arguments(options, message):
    arguments = {"b": [2.0], "x": [0.0, 1.0], "y": [0.5], **options}
    with pytest.raises(pb.InvalidInput, match=message):
        pb.certify([[1.0, 2.0]], **arguments)


def test_feasible_duals():
    problem = pb.LinearProblem([[1.0, -2.0]], [1.0])
    assert best_dual(problem, [np.array([3.0])], np.ones(2)) == pytest.approx(1)
    assert best_dual(problem, [np.array([3.0])], np.ones(4)) == pytest.approx(0.5)
    assert best_dual(problem, [np.array([0.5])], np.ones(2)) == 0.5
    candidates = [np.array([-3.0]), np.array([np.nan]), np.array([0.3]), np.array([0.2])]
    assert best_dual(problem, candidates, np.ones(2)) == 0.3
    assert best_dual(problem, candidates[:1], np.ones(2)) == 0


def assert_farkas(A, b, y, nonnegative):
    """Check Farkas' conditions for rows and columns of one size."""
    assert b @ y > 1e-9 * np.linalg.norm(b)
    slopes = A.T @ y if nonnegative else np.abs(A.T @ y)
    assert (slopes <= 1e-11 * np.linalg.norm(A, axis=0)).all()
    assert np.linalg.norm(y) == pytest.approx(1)


@given(st.integers(0, 10**9), st.booleans())
def test_either_a_solution_or_a_farkas_vector(seed, nonnegative):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 9), rng.integers(1, 12)
    A = rng.integers(-2, 3, (m, n)).astype(float)
    b = rng.integers(-2, 3, m).astype(float)
    bounds = (0, None) if nonnegative else (None, None)
    feasible = linprog(np.zeros(n), A_eq=A, b_eq=b, bounds=bounds).status == 0
    problem = pb.LinearProblem(A, b)
    y = farkas_certificate(problem, nonnegative)
    assert (y is None) == feasible
    if y is not None:
        assert_farkas(A, b, y, nonnegative)
        assert not verify_farkas(problem, -y, nonnegative)
        row, column = 10.0 ** rng.integers(-8, 9, m), 10.0 ** rng.integers(-2, 3, n)
        assert verify_farkas(pb.LinearProblem(A * row[:, None], b * row), y / row, nonnegative)
        scaled = pb.LinearProblem(A * row[:, None] * column, b * row)
        assert farkas_certificate(scaled, nonnegative) is not None


@pytest.mark.parametrize(("distance", "found"), [(1e-2, True), (1e-5, True), (1e-8, True), (1e-10, False), (0, False)])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_distances_down_to_the_threshold(distance, found, nonnegative):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 40))
    b = A @ np.abs(rng.standard_normal(40))
    off = rng.standard_normal(60)
    off -= A @ np.linalg.lstsq(A, off, rcond=None)[0]
    b += distance * np.linalg.norm(b) * off / np.linalg.norm(off)
    y = farkas_certificate(pb.LinearProblem(A, b), nonnegative)
    assert (y is not None) == found
    if found:
        assert_farkas(A, b, y, nonnegative)


def test_sparse_matrices_and_operators():
    A, b = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]), np.array([1.0, 1.0])
    y = farkas_certificate(pb.LinearProblem(sparse.csr_array(A), b))
    assert_farkas(A, b, y, nonnegative=False)
    operator = pb.LinearProblem(aslinearoperator(A), b)
    assert farkas_certificate(operator) is None
    np.testing.assert_allclose(farkas_certificate(operator, direction=3 * y), y)
    assert farkas_certificate(operator, direction=-y) is None
    assert farkas_certificate(operator, direction=np.array([1.0, 0.0])) is None


def test_noise_and_allowed_entries():
    problem = pb.LinearProblem([[1.0], [0.0]], [5.0, 2.0])
    assert farkas_certificate(problem, sigma=2.1) is None
    np.testing.assert_allclose(farkas_certificate(problem, sigma=1.9), [0, 1], atol=1e-12)
    np.testing.assert_allclose(farkas_certificate(problem, sigma=1.9, direction=np.array([0.0, 7.0])), [0, 1])
    assert farkas_certificate(problem, sigma=6.0) is None
    problem = pb.LinearProblem(np.eye(2), [1.0, 1.0])
    assert farkas_certificate(problem) is None
    np.testing.assert_allclose(farkas_certificate(problem, allowed=np.array([True, False])), [0, 1], atol=1e-12)
    np.testing.assert_allclose(farkas_certificate(problem, allowed=np.zeros(2, bool)), np.ones(2) / 2**0.5)


def test_vectors_that_prove_nothing():
    problem = pb.LinearProblem([[1.0, -2.0]], [1.0])
    for y in ([0.0], [np.nan], [np.inf], [1.0], [-1.0]):
        assert not verify_farkas(problem, np.array(y))
    assert farkas_certificate(pb.LinearProblem([[1.0, 2.0]], [0.0])) is None
    # A vector almost orthogonal to A, where b is as near: large solutions exist.
    near = pb.LinearProblem([[1.0], [1e-9]], [1.0, 1e-8])
    assert not verify_farkas(near, np.array([0.0, 1.0]))
