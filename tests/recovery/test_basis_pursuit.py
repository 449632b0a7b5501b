"""Basis pursuit against linear programs, and certificates that the tests compute themselves."""

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, sparse
from scipy.optimize import linprog, nnls

import polarbias as pb
from polarbias import PursuitStatus as Status
from polarbias.linalg.columns import DenseColumns
from polarbias.recovery import presolve, stages
from polarbias.recovery.task import Point, Task
from polarbias.recovery.vertex import completed


def linear_program(A, b, weights=None, nonnegative=False):
    """Return HiGHS's status and value, on data of ordinary size; infinite weights leave columns out."""
    weights = np.ones(A.shape[1]) if weights is None else weights
    kept = np.isfinite(weights)
    size, length = np.abs(A).max() or 1.0, np.abs(b).max() or 1.0
    A, b, cost = A[:, kept] / size, b / length, weights[kept]
    if not kept.any():
        return (2 if b.any() else 0), 0.0
    both = (A, cost) if nonnegative else (np.hstack([A, -A]), np.concatenate([cost, cost]))
    # With its default tolerances HiGHS drops entries of 1e-7, which matter where columns differ by decades in size.
    fine = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    found = linprog(both[1], A_eq=both[0], b_eq=b, bounds=(0, None), method="highs", options=fine)
    return found.status, (found.fun * length / size if found.status == 0 else None)


def assert_optimal(A, b, found, weights=None, nonnegative=False, tol=1e-9):
    """The certificate in three lines: what is there costs w |x|, and nothing can cost less than b^T y."""
    w = np.ones(A.shape[1]) if weights is None else weights
    assert found.status is Status.OPTIMAL, found
    assert np.linalg.norm(A @ found.x - b) <= tol * np.linalg.norm(b)
    slopes = A.T @ found.dual if nonnegative else np.abs(A.T @ found.dual)
    norms = np.linalg.norm(A, axis=0) * np.linalg.norm(found.dual)
    assert (slopes <= w * (1 + tol) + tol * np.where(w == 0, norms, 0)).all()
    value = np.sum(w[found.support] * np.abs(found.x[found.support]))
    assert abs(value - b @ found.dual) <= 2 * tol * value
    assert found.value == pytest.approx(value, rel=1e-12)
    if nonnegative:
        assert (found.x >= 0).all()


def assert_denoised(A, b, sigma, found, weights=None, nonnegative=False, tol=1e-9):
    """The same with a ball around b: b^T y - sigma ||y|| is the lower bound."""
    w = np.ones(A.shape[1]) if weights is None else weights
    assert found.status is Status.OPTIMAL, found
    assert np.linalg.norm(A @ found.x - b) <= sigma * (1 + tol)
    slopes = A.T @ found.dual if nonnegative else np.abs(A.T @ found.dual)
    norms = np.linalg.norm(A, axis=0) * np.linalg.norm(found.dual)
    assert (slopes <= w * (1 + tol) + tol * np.where(w == 0, norms, 0)).all()
    value = np.sum(w[found.support] * np.abs(found.x[found.support]))
    assert abs(value - b @ found.dual + sigma * np.linalg.norm(found.dual)) <= 2 * tol * value
    assert not (nonnegative and (found.x < 0).any())


def gaussian(seed, m, n, s, nonnegative=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / m**0.5
    x = np.zeros(n)
    x[rng.permutation(n)[:s]] = rng.standard_normal(s)
    x = np.abs(x) if nonnegative else x
    return A, x, A @ x


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("s", [2, 6, 9, 15, 100])
def test_gaussian_matrices(s, nonnegative):
    for seed in range(3):
        A, x, b = gaussian(seed, 30, 100, s, nonnegative)
        found = pb.basis_pursuit(A, b, nonnegative=nonnegative)
        assert_optimal(A, b, found, nonnegative=nonnegative)
        assert found.value == pytest.approx(linear_program(A, b, nonnegative=nonnegative)[1], rel=1e-7)
        if s == 2:
            np.testing.assert_allclose(found.x, x, atol=1e-12)
            assert set(found.support) == set(np.flatnonzero(x))


@pytest.mark.parametrize(("s", "nonnegative"), [(8, False), (30, True), (45, False), (1000, False)])
def test_the_papers_size(s, nonnegative):
    A, x, b = gaussian(5, 150, 1000, s, nonnegative)
    found = pb.basis_pursuit(A, b, nonnegative=nonnegative)
    assert_optimal(A, b, found, nonnegative=nonnegative, tol=1e-10)
    if s <= 30:
        np.testing.assert_allclose(found.x, x, atol=1e-10)
    else:
        assert found.value < np.abs(x).sum()
        assert found.support.size == 150


def check_without_noise(seed, form=np.asarray):
    """Solve a small problem of whatever shape, rank, scale and weights, A in some form, and compare."""
    rng = np.random.default_rng(seed)
    m, n, nonnegative, kind = rng.integers(1, 13), rng.integers(1, 30), bool(rng.integers(2)), rng.integers(6)
    A = rng.standard_normal((m, n)) if kind < 3 else rng.integers(-2, 3, (m, n)).astype(float)
    if kind == 1 and m > 1:
        A[-1] = 2 * A[0]
    if kind == 2 and n > 3:
        A[:, 1], A[:, 2], A[:, 3] = A[:, 0], -A[:, 0], 0
    if rng.random() < 0.2:
        A *= 10.0 ** rng.integers(-8, 9)
    if rng.random() < 0.2:
        A *= 10.0 ** rng.integers(-2, 3, n)
    x = rng.standard_normal(n) * (rng.random(n) < rng.random())
    x = np.round(x) if kind == 4 else x
    b = A @ (np.abs(x) if nonnegative else x)
    if rng.random() < 0.15:
        b = b + rng.standard_normal(m) * np.abs(A).max()
    b *= 10.0 ** (rng.integers(-8, 9) if rng.random() < 0.1 else 0)
    weights = np.ones(n)
    if rng.random() < 0.4:
        weights = rng.random(n) + 0.1
        weights[rng.random(n) < 0.1] = 0
        weights[rng.random(n) < 0.1] = np.inf
    found = pb.basis_pursuit(form(A), b, nonnegative=nonnegative, weights=weights)
    status, value = linear_program(A, b, weights, nonnegative)
    if status == 0:
        assert_optimal(A, b, found, weights, nonnegative)
        assert found.value == pytest.approx(value, rel=1e-6, abs=1e-9 * np.abs(b).max() / (np.abs(A).max() or 1))
        return
    assert found.status is Status.INFEASIBLE, found
    kept = np.isfinite(weights)
    assert b @ found.dual > 0
    slopes = A[:, kept].T @ found.dual
    slopes = slopes if nonnegative else np.abs(slopes)
    assert (slopes <= 1e-8 * np.linalg.norm(A[:, kept], axis=0) * np.linalg.norm(found.dual) + 1e-300).all()


def check_with_noise(seed, form=np.asarray):
    rng = np.random.default_rng(seed)
    m, n, nonnegative = rng.integers(1, 13), rng.integers(1, 30), bool(rng.integers(2))
    A = rng.standard_normal((m, n))
    if n > 3 and rng.random() < 0.3:
        A[:, 1], A[:, 2], A[:, 3] = A[:, 0], -A[:, 0], 0
    x = rng.standard_normal(n) * (rng.random(n) < rng.random())
    b = A @ (np.abs(x) if nonnegative else x) + rng.standard_normal(m) * (0.1 if rng.random() < 0.5 else 0)
    sigma = float(np.linalg.norm(b)) * 10 ** rng.uniform(-4, 0.2)
    weights = np.ones(n)
    if rng.random() < 0.4:
        weights = rng.random(n) + 0.1
        weights[rng.random(n) < 0.1] = 0
        weights[rng.random(n) < 0.1] = np.inf
    found = pb.basis_pursuit_denoise(form(A), b, sigma, nonnegative=nonnegative, weights=weights)
    kept = A[:, np.isfinite(weights)]
    if not kept.size:
        nearest = float(np.linalg.norm(b))
    elif nonnegative:
        nearest = nnls(kept, b)[1]
    else:
        nearest = float(np.linalg.norm(b - kept @ np.linalg.lstsq(kept, b, rcond=None)[0]))
    if nearest > sigma * (1 + 1e-6):
        assert found.status is Status.INFEASIBLE, found
        assert b @ found.dual > sigma * np.linalg.norm(found.dual)
        slopes = kept.T @ found.dual if nonnegative else np.abs(kept.T @ found.dual)
        assert (slopes <= 1e-8 * np.linalg.norm(kept, axis=0) * np.linalg.norm(found.dual) + 1e-300).all()
    elif nearest < sigma * (1 - 1e-6):
        assert_denoised(A, b, sigma, found, weights, nonnegative)


@given(st.integers(0, 10**9))
def test_any_small_problem(seed):
    check_without_noise(seed)


@given(st.integers(0, 10**9))
def test_noise_of_any_size(seed):
    check_with_noise(seed)


def sparsely(monkeypatch):
    """Let even small sparse matrices be worked on as such."""
    monkeypatch.setattr(presolve, "SMALL", 0)
    monkeypatch.setattr(presolve, "THIN", 1.0)


@pytest.mark.parametrize("check", [check_without_noise, check_with_noise])
def test_sparse_matrices_of_any_kind(monkeypatch, check):
    sparsely(monkeypatch)
    for seed in range(150):
        check(seed, sparse.csr_array)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("s", [5, 30, 400])
def test_a_sparse_matrix_is_as_good_as_a_dense_one(monkeypatch, s, nonnegative):
    rng = np.random.default_rng(s)
    A = sparse.random_array((60, 400), density=0.05, random_state=rng, data_sampler=rng.standard_normal)
    x = np.zeros(400)
    x[rng.permutation(400)[:s]] = np.abs(rng.standard_normal(s))
    b = A @ x
    wanted = pb.basis_pursuit(A.toarray(), b, nonnegative=nonnegative)
    sparsely(monkeypatch)
    found = pb.basis_pursuit(A, b, nonnegative=nonnegative)
    assert_optimal(A.toarray(), b, found, nonnegative=nonnegative)
    assert found.value == pytest.approx(wanted.value, rel=1e-9)
    assert found.support.size <= 60


@pytest.mark.full
@pytest.mark.parametrize("check", [check_without_noise, check_with_noise])
@pytest.mark.parametrize("first", range(0, 5000, 1000))
def test_five_thousand_problems(check, first):
    for seed in range(first, first + 1000):
        check(seed)


def test_noise_at_the_papers_size_and_at_its_ends():
    A, x, b = gaussian(9, 150, 1000, 10)
    noise = np.random.default_rng(1).standard_normal(150)
    noisy = b + noise * (0.05 / np.linalg.norm(noise))
    found = pb.basis_pursuit_denoise(A, noisy, 0.05)
    assert_denoised(A, noisy, 0.05, found)
    assert np.linalg.norm(found.x - x) < 0.3
    none = pb.basis_pursuit_denoise(A, b, float(np.linalg.norm(b)))
    assert not none.x.any()
    assert none.status is Status.OPTIMAL
    np.testing.assert_allclose(pb.basis_pursuit_denoise(A, b, 0).x, pb.basis_pursuit(A, b).x, atol=1e-12)
    proof = pb.certify(A, noisy, found.x, found.dual, sigma=0.05)
    assert (proof.gap, proof.residual, proof.excess) == (found.gap, found.residual, found.excess)
    for sigma in (-1.0, np.inf, np.nan, True, "1"):
        with pytest.raises(pb.InvalidInput, match="sigma must be"):
            pb.basis_pursuit_denoise(A, b, sigma)


def test_a_column_that_is_last_to_be_looked_at():
    rng = np.random.default_rng(0)
    A, b = -np.abs(rng.standard_normal((20, 200))), np.abs(rng.standard_normal(20))
    assert pb.basis_pursuit(A, b, nonnegative=True).status is Status.INFEASIBLE
    A[:, -1] = b  # the only column that reaches b, and by no means the first to be tried
    A[:, :100] += 10 * b[:, None]
    assert_optimal(A, b, pb.basis_pursuit(A, b, nonnegative=True), nonnegative=True)


def test_a_dual_vector_without_bound_overflows_nowhere():
    problem = pb.gaussian_problem(0, 31, 31, "signed", s=3)
    assert pb.basis_pursuit(problem.A, problem.b, nonnegative=True).status is Status.INFEASIBLE


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_careful_way_where_the_fast_one_fails(monkeypatch, nonnegative):
    monkeypatch.setattr(stages, "greedy", lambda task, monitor: None)
    monkeypatch.setattr(stages, "cholesky", lambda columns, weights, ball: lambda v: np.full_like(v, np.nan))
    for seed, s in enumerate((2, 6, 100)):
        A, _, b = gaussian(seed, 20, 100, s, nonnegative)
        A, b = np.vstack([A, A[0] - A[1]]), np.append(b, b[0] - b[1])
        assert_optimal(A, b, pb.basis_pursuit(A, b, nonnegative=nonnegative), nonnegative=nonnegative)
    assert pb.basis_pursuit(A, b + np.eye(21)[0], nonnegative=nonnegative).status is Status.INFEASIBLE


@pytest.mark.parametrize("seed", range(4))
def test_entries_over_six_decades_without_the_careful_way(monkeypatch, seed):
    """Solutions of M entries, of which some are far below the largest: the support is completed, not found at once."""
    monkeypatch.setattr(stages, "orthogonal", None)
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((150, 1500)) / 150**0.5
    x = np.zeros(1500)
    x[rng.permutation(1500)[:30]] = rng.standard_normal(30) * 10.0 ** rng.uniform(-6, 0, 30)
    found = pb.basis_pursuit(A, A @ x)
    assert_optimal(A, A @ x, found)
    assert found.value == pytest.approx(linear_program(A, A @ x)[1], rel=1e-7)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_a_support_that_lacks_small_entries_is_completed(nonnegative):
    rng = np.random.default_rng(1)
    m, n = 40, 160
    A, y = rng.standard_normal((m, n)), rng.standard_normal(m)
    signs = np.ones(n) if nonnegative else np.sign(A.T @ y)
    # The dual vector touches its bounds on the first M columns alone, a little less on the next ten.
    wanted = np.select([np.arange(n) < m, np.arange(n) < m + 10], [1.0, 1.0 - 1e-6], 0.3) * signs
    A += np.outer(y, wanted - A.T @ y) / (y @ y)
    x = np.where(np.arange(n) < m, signs * rng.uniform(0.5, 2, n), 0.0)
    lost, spurious = rng.permutation(m)[:4], m + 3
    x[lost] *= 1e-8
    b = A @ x
    task = Task(DenseColumns(np.ascontiguousarray(A.T)), b, np.ones(n), nonnegative, 0.0)
    given = np.where(np.isin(np.arange(n), lost), 0.0, x)
    given[spurious] = 1e-10 * signs[spurious]
    found = completed(task, Point(given, y, A.T @ y))
    np.testing.assert_allclose(found.x, x, atol=1e-11)
    assert max(map(abs, found.measure(task))) < 1e-13


@pytest.mark.parametrize("margin", [1e-2, 1e-5, 1e-7])
def test_duals_that_almost_touch_their_bounds_elsewhere(margin):
    """Columns are made so that many entries off the support have |a^T y| = 1 - margin."""
    rng = np.random.default_rng(3)
    m, n, s = 40, 160, 15
    A = rng.standard_normal((m, n))
    y = rng.standard_normal(m)
    wanted = np.where(np.arange(n) < s, 1.0, 1.0 - margin) * np.sign(A.T @ y)
    A += np.outer(y, wanted - A.T @ y) / (y @ y)
    x = np.where(np.arange(n) < s, np.sign(A.T @ y) * rng.uniform(0.5, 2, n), 0)
    found = pb.basis_pursuit(A, A @ x)
    assert_optimal(A, A @ x, found)
    np.testing.assert_allclose(found.x, x, atol=1e-8)


def test_scales_change_nothing_but_the_scale():
    A, _, b = gaussian(1, 20, 60, 5)
    wanted = pb.basis_pursuit(A, b)
    for a in (1e-8, 1.0, 1e8):
        for c in (1e-8, 1.0, 1e8):
            found = pb.basis_pursuit(a * A, c * b)
            assert found.status is Status.OPTIMAL
            np.testing.assert_allclose(found.x, wanted.x * c / a, rtol=1e-9, atol=1e-12 * c / a)
            np.testing.assert_allclose(found.dual, wanted.dual / a, rtol=1e-6, atol=1e-9 / a)


def test_solutions_that_are_not_unique():
    A = np.array([[1.0, 1.0, 0.5, -1.0], [0.0, 0.0, 0.0, 0.0], [2.0, 2.0, 1.0, -2.0]])
    b = np.array([1.0, 0.0, 2.0])
    found = pb.basis_pursuit(A, b)
    assert_optimal(A, b, found)
    assert found.value == pytest.approx(1)
    tall = np.vstack([np.eye(3), np.ones((2, 3))])
    found = pb.basis_pursuit(tall, tall @ [1.0, -2.0, 0.0])
    assert_optimal(tall, tall @ [1.0, -2.0, 0.0], found)
    np.testing.assert_allclose(found.x, [1, -2, 0], atol=1e-12)


def test_b_is_zero():
    found = pb.basis_pursuit([[1.0, 2.0]], [0.0])
    assert found.status is Status.OPTIMAL
    assert (found.value, found.gap, found.residual, found.steps) == (0, 0, 0, 0)
    assert not found.x.any()


def test_weights():
    A, _, b = gaussian(2, 12, 40, 40)
    w = np.random.default_rng(0).uniform(0.2, 3, 40)
    found = pb.basis_pursuit(A, b, weights=w)
    assert_optimal(A, b, found, w)
    w[:5], w[5:20] = 0, np.inf
    found = pb.basis_pursuit(A, b, weights=w)
    assert_optimal(A, b, found, w)
    assert not found.x[5:20].any()
    assert found.value == pytest.approx(linear_program(A, b, w)[1], rel=1e-7)
    w[:12] = 0
    assert pb.basis_pursuit(A, b, weights=w).value == 0


def test_proofs_that_there_is_no_signal():
    A = np.array([[1.0, 2.0], [1.0, 2.0]])
    found = pb.basis_pursuit(A, [1.0, 2.0])
    assert found.status is Status.INFEASIBLE
    np.testing.assert_allclose(A.T @ found.dual, 0, atol=1e-12)
    assert found.dual @ [1.0, 2.0] > 0.1
    found = pb.basis_pursuit([[1.0, 2.0]], [-1.0], nonnegative=True)
    assert found.status is Status.INFEASIBLE
    assert found.dual[0] < 0
    assert "no signal" in found.message


def test_sparse_matrices_and_other_types():
    rng = np.random.default_rng(4)
    A = sparse.random_array((30, 90), density=0.1, random_state=rng, data_sampler=rng.standard_normal)
    x = np.where(np.arange(90) % 20 == 0, 1.0, 0.0)
    b = A @ x
    wanted = pb.basis_pursuit(A.toarray(), b)
    for given_as in (A, A.tocsc(), sparse.csr_matrix(A), np.asfortranarray(A.toarray())):
        found = pb.basis_pursuit(given_as, b)
        assert_optimal(A.toarray(), b, found)
        np.testing.assert_allclose(found.x, wanted.x, atol=1e-10)
    single = pb.basis_pursuit(A.toarray().astype(np.float32), b.astype(np.float32), tol=1e-5)
    assert single.x.dtype == np.float64
    np.testing.assert_allclose(single.x, wanted.x, atol=1e-4)
    whole = pb.basis_pursuit(np.eye(3, dtype=int), [1, 0, 2])
    np.testing.assert_array_equal(whole.x, [1, 0, 2])


@pytest.mark.parametrize("nonnegative", [False, True])
def test_operators(nonnegative):
    """A partial cosine transform, which is never formed."""
    rng = np.random.default_rng(8)
    n, m, s = 1000, 300, 30
    rows = np.sort(rng.permutation(n)[:m])

    def whole(y):
        image = np.zeros(n)
        image[rows] = y
        return image

    A = sparse.linalg.LinearOperator(
        (m, n),
        matvec=lambda x: fft.dct(x.ravel(), norm="ortho")[rows],
        rmatvec=lambda y: fft.idct(whole(y.ravel()), norm="ortho"),
        dtype=np.float64,
    )
    x = np.zeros(n)
    x[rng.permutation(n)[:s]] = rng.uniform(0.5, 2, s) * (1 if nonnegative else rng.choice([-1, 1], s))
    dense = fft.dct(np.eye(n), axis=0, norm="ortho")[rows]
    found = pb.basis_pursuit(A, A @ x, nonnegative=nonnegative)
    assert_optimal(dense, dense @ x, found, nonnegative=nonnegative)
    np.testing.assert_allclose(found.x, x, atol=1e-9)
    weights = rng.uniform(0.5, 2, n)
    weights[x == 0] = np.where(rng.random(n - s) < 0.1, np.inf, weights[x == 0])
    assert_optimal(dense, dense @ x, pb.basis_pursuit(A, A @ x, weights=weights), weights)
    noisy = A @ x + 0.01 * rng.standard_normal(m)
    found = pb.basis_pursuit_denoise(A, noisy, 0.15, nonnegative=nonnegative)
    assert_denoised(dense, noisy, 0.15, found, nonnegative=nonnegative)


def test_many_right_hand_sides():
    A, _, b = gaussian(3, 20, 60, 4)
    B = np.stack([b, -2 * b, np.zeros(20)])
    found = pb.basis_pursuit(A, B)
    assert found.batch_shape == (3,)
    assert found.x.shape == (3, 60)
    assert found.dual.shape == (3, 20)
    assert len(found) == 3
    assert repr(found) == "Pursuit(batch_shape=(3,), 3 x optimal)"
    np.testing.assert_allclose(found.x[1], -2 * found.x[0], rtol=1e-9, atol=1e-12)
    for k, one in enumerate(found):
        alone = pb.basis_pursuit(A, B[k])
        np.testing.assert_array_equal(one.x, alone.x)
        assert (one.status, one.steps, one.value) == (alone.status, alone.steps, alone.value)
        assert one.history[-1:] == found.history[k][-1:]
        assert set(found.support[k]) == set(alone.support)
    again = pb.basis_pursuit(A, B, warm_start=found)
    assert again.steps.sum() < found.steps.sum()
    noisy = pb.basis_pursuit_denoise(A, B[:2], 0.1)
    assert_denoised(A, B[1], 0.1, noisy[1])
    with pytest.raises(TypeError, match="cannot be indexed"):
        found[0][0]
    with pytest.raises(pb.InvalidInput, match="must hold 2 answers"):
        pb.basis_pursuit(A, B[:2], warm_start=found)
    with pytest.raises(pb.InvalidInput, match="no right-hand side"):
        pb.basis_pursuit(A, np.zeros((0, 20)))


def test_warm_starts_save_steps():
    A, _, b = gaussian(6, 60, 240, 10)
    cold = pb.basis_pursuit(A, b)
    again = pb.basis_pursuit(A, b, warm_start=cold)
    assert_optimal(A, b, again)
    assert again.steps <= 2 < cold.steps
    near = b + 1e-3 * np.linalg.norm(b) * A[:, 0]
    found = pb.basis_pursuit(A, near, warm_start=cold)
    assert_optimal(A, near, found)


def test_limits_return_the_best_pair_so_far():
    A, _, b = gaussian(7, 60, 240, 240)
    whole = pb.basis_pursuit(A, b)
    seen = []
    found = pb.basis_pursuit(A, b, callback=lambda state: seen.append(state) or len(seen) == 3)
    assert found.status is Status.INTERRUPTED
    assert len(seen) == 3 == len(found.history)
    assert found.history == tuple(seen)
    assert found.steps < whole.steps
    for limited, status in (
        (pb.basis_pursuit(A, b, max_steps=12), Status.STEP_LIMIT),
        (pb.basis_pursuit(A, b, max_time=0.0), Status.TIME_LIMIT),
    ):
        assert limited.status is status
        proof = pb.certify(A, b, limited.x, limited.dual)
        assert (proof.gap, proof.residual) == (limited.gap, limited.residual)
        assert proof.bound <= whole.value * (1 + 1e-9)

    def interrupt(state):
        raise KeyboardInterrupt

    assert pb.basis_pursuit(A, b, callback=interrupt).status is Status.INTERRUPTED


def test_the_certificate_speaks_for_itself():
    A, b = np.array([[1.0, 2.0]]), np.array([2.0])
    proof = pb.certify(A, b, [2.0, 0.0], [0.25])
    assert (proof.value, proof.bound, proof.gap, proof.residual, proof.excess) == (2, 0.5, 0.75, 0, 0)
    assert not proof.within(0.5)
    proof = pb.certify(A, b, [0.0, 0.5], [1.0])
    assert (proof.residual, proof.excess, proof.bound) == (0.5, 1, 1)
    assert pb.certify(A, b, [-1.0, 1.5], [0.5], nonnegative=True).value == np.inf
    assert pb.certify(A, -b, [0.0, -1.0], [-0.5]).gap == 0
    assert pb.certify(A, b, [1.0, 0.5], [0.5], weights=[np.inf, 1]).value == np.inf
    proof = pb.certify(A, b, [0.0, 1.0], [0.5], weights=[0, 1])
    assert proof.excess == pytest.approx(1)
    assert pb.certify(sparse.csr_array(A), b, [0.0, 1.0], [0.5], weights=[0, 1]) == proof


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1.0, 2.0]], [1.0, 2.0]), {}, "b must have shape"),
        (([[1.0, np.nan]], [1.0]), {}, "NaN"),
        (([[1.0, 2j]], [1.0]), {}, "real numbers"),
        (([[1.0, 2.0]], [1.0]), {"weights": [1.0]}, "weights must be 2 numbers"),
        (([[1.0, 2.0]], [1.0]), {"weights": [1.0, -1.0]}, "weights must be 2 numbers"),
        (([[1.0, 2.0]], [1.0]), {"tol": 0}, "tol must be"),
        ((np.ones((2, 1, 3)), np.ones((2, 1))), {}, "b must have shape"),
        ((sparse.linalg.aslinearoperator(np.eye(2)), [1.0, 1.0]), {"weights": [0.0, 1.0]}, "need a dense A"),
        (([[1.0, 2.0]], [1.0]), {"warm_start": pb.basis_pursuit([[1.0]], [1.0])}, "warm_start"),
    ],
)
def test_wrong_input_is_refused(arguments, options, message):
    with pytest.raises(pb.InvalidInput, match=message):
        pb.basis_pursuit(*arguments, **options)


def test_answers_can_be_kept():
    found = pb.basis_pursuit([[1.0, 2.0]], [2.0])
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.x, found.x)
    assert repr(again) == repr(found)
    assert repr(found).startswith("Pursuit(optimal, value=1, 1 of 2 entries, gap=0.0e+00")


def test_neither_the_package_nor_the_solver_loads_jax():
    code = (
        "import sys, polarbias as pb; pb.basis_pursuit([[1.0, 2.0]], [2.0]);"
        "print(*{'jax', 'sklearn', 'pandas', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout.strip()


def test_a_limit_of_time_is_kept():
    A, _, b = gaussian(8, 100, 400, 400)
    began = time.monotonic()
    pb.basis_pursuit(A, b, max_time=0.01)
    assert time.monotonic() - began < 30
