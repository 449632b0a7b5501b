"""Presolve: scales, weights, free entries and sparse matrices."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from polarbias import PursuitStatus as Status
from polarbias.linalg.columns import ExplicitColumns
from polarbias.recovery import presolve as module
from polarbias.recovery.options import PursuitOptions
from polarbias.recovery.presolve import presolve
from pursuit_problems import check_with_noise, check_without_noise, gaussian


@pytest.fixture
def sparse_from_the_first_entry(monkeypatch):
    monkeypatch.setattr(module, "OPTIONS", PursuitOptions(sparse_entries=0, sparse_share=1.0))


@pytest.mark.usefixtures("sparse_from_the_first_entry")
@pytest.mark.parametrize("check", [check_without_noise, check_with_noise])
def test_sparse_matrices_of_any_kind(check):
    for seed in range(60):
        check(seed, sparse.csr_array)


@pytest.mark.parametrize(
    ("shape", "density", "weight", "form"),
    [
        ((600, 1000), 0.05, 1.0, "sparse"),
        ((600, 1000), 0.2, 1.0, "dense"),  # too many entries
        ((400, 1000), 0.05, 1.0, "dense"),  # too small
        ((600, 1000), 0.05, 0.0, "dense"),  # free entries need the complement
        ((900, 100_000), 1e-5, 1.0, "sparse"),
        ((1100, 100_000), 1e-5, 1.0, "operator"),  # more than 1e8 entries
    ],
)
def test_the_form_of_a_sparse_matrix(shape, density, weight, form):
    A = sparse.random(*shape, density, random_state=np.random.default_rng(0))
    w = np.where(np.arange(shape[1]) == 0, weight, 1.0)
    columns = presolve(pb.LinearProblem(A, np.ones(shape[0])), w, False, 0.0).scaled.columns
    explicit = isinstance(columns, ExplicitColumns)
    assert (("dense" if columns.is_array else "sparse") if explicit else "operator") == form


@pytest.mark.parametrize("nonnegative", [False, True])
def test_there_and_back(nonnegative):
    rng = np.random.default_rng(1)
    A = 100 * rng.standard_normal((6, 12))
    A[:, 3] = 0
    w = rng.uniform(0.5, 2, 12)
    w[[1, 2]], w[5] = 0.0, np.inf
    problem = pb.LinearProblem(A, rng.standard_normal(6))
    there = presolve(problem, w, nonnegative, 0.01)
    scaled = there.scaled
    assert (scaled.m, scaled.n) == ((6, 10) if nonnegative else (4, 8))
    assert scaled.sigma == pytest.approx(0.01 / there.length)
    assert np.linalg.norm(scaled.b) == pytest.approx(1)
    assert np.count_nonzero(scaled.bound == 0) == (2 if nonnegative else 0)
    assert np.linalg.norm(scaled.columns.dense(), axis=1).mean() == pytest.approx(1, abs=0.3)
    x, y = np.where((w > 0) & np.isfinite(w) & (np.arange(12) != 3), rng.standard_normal(12), 0.0), np.zeros(6)
    if not nonnegative:
        y = there.complement @ rng.standard_normal(4)
    back_x, back_y = there.unscale(there.scale(x, y))
    np.testing.assert_allclose(np.delete(back_x, [1, 2]), np.delete(x, [1, 2]))
    np.testing.assert_allclose(back_y, y)
    if not nonnegative:
        np.testing.assert_allclose(A[:, [1, 2]].T @ (A @ back_x - problem.b), 0, atol=1e-10)  # free entries fit best


def test_free_entries_alone():
    A = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 1.0]])
    for nonnegative in (False, True):
        problem = pb.LinearProblem(A, [1.0, 1.0])
        there = presolve(problem, np.array([0.0, 1.0, 0.0]), nonnegative, 0.0)
        assert there.scaled is None
        np.testing.assert_allclose(there.unscale(None)[0], [0, 0, 1], atol=1e-12)
    assert presolve(problem, np.ones(3), False, 1.5).scaled is None  # b is within sigma of 0


def test_zero_weights_alone_and_of_an_operator():
    A, _, b = gaussian(2, 12, 40, 40)
    w = np.where(np.arange(40) < 12, 0.0, 1.0)
    assert pb.basis_pursuit(A, b, weights=w).value == 0
    with pytest.raises(pb.InvalidInput, match="need a dense A"):
        pb.basis_pursuit(aslinearoperator(A), b, weights=w)


def test_factors_of_the_data():
    A, _, b = gaussian(1, 20, 60, 5)
    wanted = pb.basis_pursuit(A, b)
    for a, c in product((1e-8, 1.0, 1e8), repeat=2):
        found = pb.basis_pursuit(a * A, c * b)
        assert found.status is Status.OPTIMAL
        np.testing.assert_allclose(found.x, wanted.x * c / a, rtol=1e-9, atol=1e-12 * c / a)
        np.testing.assert_allclose(found.dual, wanted.dual / a, rtol=1e-6, atol=1e-9 / a)
    nothing = pb.basis_pursuit(A, 0 * b)
    assert (nothing.status, nothing.value, nothing.gap, nothing.residual, nothing.steps) == (Status.OPTIMAL, 0, 0, 0, 0)
