"""Products and normal equations against explicit matrices."""

import mpmath as mp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import polarbias as pb
from polarbias.linalg.normal_equations import (
    DenseNormalEquations,
    InfeasibleSystem,
    OperatorNormalEquations,
    Options,
    SignedMatrix,
    normal_equations,
)

FORMS = {"dense": np.asarray, "sparse": sparse.csr_array, "operator": aslinearoperator}
forms = pytest.mark.parametrize("form", FORMS)
signs = pytest.mark.parametrize("signed", [False, True])


def problem_of(A, form="dense", seed=0):
    return pb.LinearProblem(FORMS[form](A), A @ np.abs(np.random.default_rng(seed).standard_normal(A.shape[1])))


def random_matrix(m=4, n=9, seed=0):
    A = np.random.default_rng(seed).standard_normal((m, n))
    return A / np.abs(A).max(1, keepdims=True)  # rows of this size are not scaled


def explicit(A, signed):
    return np.hstack([A, -A]) if signed else A


@forms
@signs
def test_products(form, signed):
    A, rng = random_matrix(), np.random.default_rng(1)
    B, x, y = explicit(A, signed), rng.standard_normal(9 * (1 + signed)), rng.standard_normal(4)
    problem = problem_of(A, form)
    for matrix in (SignedMatrix.of(problem, signed), normal_equations(problem, signed)):
        assert (matrix.m, matrix.n) == B.shape
        np.testing.assert_allclose(matrix.apply(x), B @ x, rtol=1e-13)
        np.testing.assert_allclose(matrix.adjoint(y), B.T @ y, rtol=1e-13)
    dense = SignedMatrix.of(problem, signed).dense()
    np.testing.assert_allclose(dense.column_norms(), np.linalg.norm(B, axis=0), rtol=1e-13)
    chosen = np.array([1, 8] + [12, 17] * signed)
    np.testing.assert_allclose(dense.take(chosen).apply(x[chosen]), B[:, chosen] @ x[chosen], rtol=1e-13)
    weights = np.abs(x)
    np.testing.assert_allclose(dense.gram(weights, 0.0), B * weights @ B.T, rtol=1e-12)
    kept = np.where(dense.folded(weights, 1.0) > 0.5 * dense.folded(weights, 1.0).max(), 1.0, 0.0)
    if form != "sparse":
        expected = A * (kept * dense.folded(weights, 1.0)) @ A.T
        np.testing.assert_allclose(dense.gram(weights, 0.5), expected, rtol=1e-12, atol=1e-14)


@forms
@signs
def test_solutions(form, signed):
    A, rng = random_matrix(), np.random.default_rng(2)
    op = normal_equations(problem_of(A, form), signed)
    assert isinstance(op, OperatorNormalEquations if form == "operator" else DenseNormalEquations)
    weights = rng.uniform(0.1, 1.0, op.n)
    expected = np.linalg.solve(explicit(A, signed) * weights @ explicit(A, signed).T, np.arange(4.0))
    np.testing.assert_allclose(op.normal(weights)(np.arange(4.0)), expected, rtol=1e-9)
    np.testing.assert_allclose(op.normal(weights, 1e-6)(np.arange(4.0)), expected, rtol=1e-4)


def test_graded_weights_keep_the_digits_of_small_ones():
    """Two weights of 1 and two of 1e-22 for four rows: Cholesky factors of the sum lose the small ones."""
    A, weights = random_matrix(4, 4), np.array([1.0, 1e-22, 1.0, 1e-22])
    op, v = DenseNormalEquations(problem_of(A), signed=False), np.arange(1.0, 5.0)
    with mp.workdps(60):
        exact = mp.lu_solve(mp.matrix(A) * mp.diag(list(map(mp.mpf, weights))) * mp.matrix(A).T, mp.matrix(v))
    exact = np.array(list(map(float, exact)))
    np.testing.assert_allclose(op.normal(weights, graded=True)(v), exact, rtol=1e-7)
    assert np.abs(op.normal(weights)(v) / exact - 1).max() > 0.5
    ridged = op.normal(weights, graded=True, ridge=1e-10)(v)
    np.testing.assert_allclose(ridged, np.linalg.solve(A * (weights + 1e-10) @ A.T, v), rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_dependent_rows_are_reduced(scale):
    A = random_matrix(3, 8)
    mix = np.vstack([np.eye(3), random_matrix(2, 3, seed=1)])
    rows = np.array([1.0, 1e8, 1.0, 1e-8, 1.0])[:, None] * mix * scale
    op = DenseNormalEquations(problem_of(rows @ A), signed=False)
    assert op.m == 3
    y = np.random.default_rng(3).standard_normal(3)
    np.testing.assert_allclose((rows @ A).T @ op.rows(y), op.adjoint(y), rtol=1e-7)


@pytest.mark.parametrize("copies", [False, True])
def test_contradictory_rows_have_a_farkas_direction(copies):
    A = random_matrix(2, 5)
    A = np.vstack([A, 1e3 * A[0] if copies else np.zeros(5)])
    b = np.array([1.0, 2.0, 3e3])
    with pytest.raises(InfeasibleSystem) as found:
        DenseNormalEquations(pb.LinearProblem(A, b), signed=False)
    y = found.value.direction
    assert y @ b > 0.1 * np.abs(y).max()
    np.testing.assert_allclose(A.T @ y, 0, atol=1e-12)
    # A distance of 1e-9 of b is rounding.
    b[2] = 1e3 * (1 + 1e-10) * copies
    op = DenseNormalEquations(pb.LinearProblem(A, b), signed=False)
    assert (op.m, op.rows(np.ones(2)).shape) == (2, (3,))


def test_large_sparse_matrices_stay_sparse(monkeypatch):
    monkeypatch.setattr("polarbias.linalg.normal_equations.OPTIONS", Options(max_entries=10))
    op = normal_equations(problem_of(random_matrix(), "sparse"), signed=False)
    assert isinstance(op, OperatorNormalEquations)
    np.testing.assert_array_equal(op.rows(np.arange(4.0)), np.arange(4.0))
    assert op.column_norms().shape == (9,)
