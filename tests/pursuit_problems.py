"""Problems and checks shared by the tests of basis pursuit."""

import numpy as np
from scipy import fft, sparse
from scipy.optimize import linprog, nnls

import polarbias as pb
from polarbias import PursuitStatus as Status
from polarbias.linalg.columns import ExplicitColumns
from polarbias.recovery.scaled_problem import ScaledProblem


def gaussian(seed, m, n, s, nonnegative=False):
    """Return A, x with s nonzero entries, and b = A x."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / m**0.5
    x = np.zeros(n)
    x[rng.permutation(n)[:s]] = rng.standard_normal(s)
    x = np.abs(x) if nonnegative else x
    return A, x, A @ x


def scaled(A, b, nonnegative=False, sigma=0.0):
    return ScaledProblem(ExplicitColumns(np.ascontiguousarray(A.T)), b, np.ones(A.shape[1]), nonnegative, sigma)


def cosine_transform(n, m, rng):
    """Return m rows of a cosine transform, as an operator and as a matrix."""
    rows = np.sort(rng.permutation(n)[:m])

    def adjoint(y):
        image = np.zeros(n)
        image[rows] = y.ravel()
        return fft.idct(image, norm="ortho")

    def apply(x):
        return fft.dct(x.ravel(), norm="ortho")[rows]

    operator = sparse.linalg.LinearOperator((m, n), matvec=apply, rmatvec=adjoint, dtype=np.float64)
    return operator, fft.dct(np.eye(n), axis=0, norm="ortho")[rows]


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


def assert_optimal(A, b, found, weights=None, nonnegative=False, sigma=0.0, tol=1e-9):
    """The certificate in three lines: x is feasible, y is feasible, and their values agree."""
    w = np.ones(A.shape[1]) if weights is None else weights
    assert found.status is Status.OPTIMAL, found
    assert np.linalg.norm(A @ found.x - b) <= sigma + tol * (sigma or np.linalg.norm(b))
    slopes = A.T @ found.dual if nonnegative else np.abs(A.T @ found.dual)
    norms = np.linalg.norm(A, axis=0) * np.linalg.norm(found.dual)
    assert (slopes <= w * (1 + tol) + tol * np.where(w == 0, norms, 0)).all()
    value = np.sum(w[found.support] * np.abs(found.x[found.support]))
    assert abs(value - b @ found.dual + sigma * np.linalg.norm(found.dual)) <= 2 * tol * value
    np.testing.assert_allclose(found.value, value, rtol=1e-12)
    assert not (nonnegative and (found.x < 0).any())
    assert found.farkas is None


def assert_infeasible(A, b, found, weights=None, nonnegative=False, sigma=0.0):
    assert found.status is Status.INFEASIBLE, found
    assert np.isnan(found.x).all()
    assert found.value == np.inf
    assert np.isnan(found.gap)
    kept = A if weights is None else A[:, np.isfinite(weights)]
    assert b @ found.farkas > sigma * np.linalg.norm(found.farkas)
    slopes = kept.T @ found.farkas if nonnegative else np.abs(kept.T @ found.farkas)
    assert (slopes <= 1e-8 * np.linalg.norm(kept, axis=0) * np.linalg.norm(found.farkas) + 1e-300).all()


def random_weights(rng, n):
    weights = np.ones(n)
    if rng.random() < 0.4:
        weights = rng.random(n) + 0.1
        weights[rng.random(n) < 0.1] = 0
        weights[rng.random(n) < 0.1] = np.inf
    return weights


def check_without_noise(seed, form=np.asarray):
    """Solve a small problem of any shape, rank, scale and weights, A in some form, and compare."""
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
    weights = random_weights(rng, n)
    found = pb.basis_pursuit(form(A), b, nonnegative=nonnegative, weights=weights)
    status, value = linear_program(A, b, weights, nonnegative)
    if status == 0:
        assert_optimal(A, b, found, weights, nonnegative)
        floor = 1e-9 * np.abs(b).max() / (np.abs(A).max() or 1)
        np.testing.assert_allclose(found.value, value, rtol=1e-6, atol=floor)
    else:
        assert_infeasible(A, b, found, weights, nonnegative)


def check_with_noise(seed, form=np.asarray):
    """Solve a small problem with noise, and compare its feasibility with that of least squares."""
    rng = np.random.default_rng(seed)
    m, n, nonnegative = rng.integers(1, 13), rng.integers(1, 30), bool(rng.integers(2))
    A = rng.standard_normal((m, n))
    if n > 3 and rng.random() < 0.3:
        A[:, 1], A[:, 2], A[:, 3] = A[:, 0], -A[:, 0], 0
    x = rng.standard_normal(n) * (rng.random(n) < rng.random())
    b = A @ (np.abs(x) if nonnegative else x) + rng.standard_normal(m) * (0.1 if rng.random() < 0.5 else 0)
    sigma = float(np.linalg.norm(b)) * 10 ** rng.uniform(-4, 0.2)
    weights = random_weights(rng, n)
    found = pb.basis_pursuit(form(A), b, sigma, nonnegative=nonnegative, weights=weights)
    kept = np.where(np.isfinite(weights), A, 0.0)
    z = nnls(kept, b)[0] if nonnegative else np.linalg.lstsq(kept, b, rcond=None)[0]
    nearest = float(np.linalg.norm(b - kept @ z))
    if nearest > sigma * (1 + 1e-6):
        assert_infeasible(A, b, found, weights, nonnegative, sigma)
    elif nearest < sigma * (1 - 1e-6):
        assert_optimal(A, b, found, weights, nonnegative, sigma)
