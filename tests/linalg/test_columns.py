"""Columns of the three kinds against plain NumPy."""

import numpy as np
import pytest
from scipy import linalg, sparse
from scipy.sparse.linalg import aslinearoperator

from polarbias.linalg.columns import ExplicitColumns, OperatorColumns, qr_solver

SIZES = np.array([2.0, 0.5, 1.0, 4.0, 1.0, 8.0])
ROWS = np.random.default_rng(0).standard_normal((6, 4))  # the columns, before they are divided by their sizes


def made(kind):
    if kind == "dense":
        return ExplicitColumns(ROWS.copy(), SIZES)
    if kind == "sparse":
        return ExplicitColumns(sparse.csr_array(ROWS / SIZES[:, None]))
    return OperatorColumns(aslinearoperator(ROWS.T), SIZES, np.arange(6))


@pytest.mark.parametrize("kind", ["dense", "sparse", "operator"])
def test_products_and_solvers(kind):
    A, columns, rng = (ROWS / SIZES[:, None]).T, made(kind), np.random.default_rng(1)
    x, y, v = rng.standard_normal(6), rng.standard_normal(4), rng.standard_normal((4, 2))
    assert columns.shape == (6, 4)
    np.testing.assert_allclose(columns.apply(x), A @ x)
    np.testing.assert_allclose(columns.adjoint(y), A.T @ y)
    few = np.array([4, 0, 3])
    part, B = columns.take(few), A[:, few]
    assert part.shape == (3, 4)
    np.testing.assert_allclose(part.apply(x[:3]), B @ x[:3])
    np.testing.assert_allclose(part.gram_solver()(x[:3]), np.linalg.solve(B.T @ B, x[:3]), rtol=1e-9)
    rough = 1e-3 if kind == "operator" else 1e-9
    for these, matrix in ((columns, A), (part, B)):
        normal = matrix @ matrix.T + 0.1 * np.eye(4)
        np.testing.assert_allclose(normal @ these.normal_solver(0.1)(v), v, atol=rough)
        np.testing.assert_allclose(normal @ these.normal_solver(0.1)(y), y, atol=rough)
    np.testing.assert_allclose(columns.take(few).take(np.array([1])).apply(np.ones(1)), A[:, 0])
    if kind != "operator":
        np.testing.assert_allclose(np.asarray(columns.dense()), A.T)
        with pytest.raises(linalg.LinAlgError):
            columns.take(np.array([1, 1])).gram_solver()


def test_blocks_of_many_columns():
    A, sizes = np.random.default_rng(2).standard_normal((3, 200)), np.arange(1.0, 201)
    np.testing.assert_allclose(ExplicitColumns(A.T, sizes).packed(), (A / sizes).T)
    np.testing.assert_allclose(ExplicitColumns(A.T[:0]).normal_solver(0.5)(np.ones(3)), 2)


def test_the_qr_solver_keeps_the_digits_of_weights_over_decades():
    rng = np.random.default_rng(3)
    A, weights = rng.standard_normal((5, 5)), 10.0 ** np.array([0.0, -5, -10, -15, -20])
    y = qr_solver(A * np.sqrt(weights)[:, None])(A[4])
    np.testing.assert_allclose((A @ y)[4], 1e20, rtol=1e-9)
    assert (A[4] @ np.linalg.solve(A.T @ (weights[:, None] * A), A[4])) < 1e19  # its digits are lost in the sum
    assert np.isnan(qr_solver(A[:3])(np.ones(5))).all()
