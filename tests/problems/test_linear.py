"""The linear problem: data that it accepts, its products, batches, sparse matrices and operators."""

import copy
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import polarbias as pb
from polarbias.problems.linear import squared_column_norms


def batch(*shape, m=3, n=5, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((*shape, m, n))
    x = rng.standard_normal((*shape, n))
    return pb.LinearProblem(A, np.einsum("...mn,...n->...m", A, x), x)


def forms(problem):
    """The same problem with a sparse matrix, a sparse array in another format, and two kinds of operators."""
    A = np.asarray(problem.A)
    bare = LinearOperator(A.shape, matvec=lambda x: A @ x, rmatvec=lambda y: A.T @ y, dtype=np.float64)
    kinds = {"csc": sparse.csc_matrix(A), "coo": sparse.coo_array(A), "wrapped": aslinearoperator(A), "bare": bare}
    return {name: pb.LinearProblem(kind, problem.b, problem.x_true) for name, kind in kinds.items()}


def test_data_are_copied_and_read_only():
    A, b, x = np.ones((1, 2)), np.ones(1), np.ones(2)
    problem = pb.LinearProblem(A, b, x)
    A[:], b[:], x[:] = 7, 7, 7
    for array in (problem.A, problem.b, problem.x_true):
        assert (array == 1).all()
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 2
    with pytest.raises(AttributeError):
        problem.A = A
    assert pb.LinearProblem([[1, 0]], [True], [1, 2]).x_true.dtype == np.float64
    assert pb.LinearProblem(np.ones((1, 2), np.float32), np.ones(1, np.float32)).A.dtype == np.float32


def test_sparse_data_are_copied_merged_and_read_only():
    rows, columns, values = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1, 2, 3])
    problem = pb.LinearProblem(sparse.coo_array((values, (rows, columns)), shape=(2, 3)), [1.0, 1.0])
    values[:] = 7
    np.testing.assert_array_equal(problem.A.toarray(), [[0, 3, 0], [3, 0, 0]])
    assert (problem.A.format, problem.A.dtype, problem.A.nnz) == ("csr", np.float64, 2)
    for array in (problem.A.data, problem.A.indices, problem.A.indptr):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    given = sparse.csr_array(np.eye(2))
    problem = pb.LinearProblem(given, [1.0, 1.0])
    given.data[:] = 7
    assert (problem.A.data == 1).all()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
def test_copies(again):
    sparse_one, wrapped = (forms(batch())[name] for name in ("csc", "wrapped"))
    for problem in (batch(2), pb.LinearProblem([[1.0]], [1.0]), sparse_one, sparse_one.signed(), wrapped.signed()):
        other, x = again(problem), np.arange(float(problem.n))
        np.testing.assert_array_equal(other.residual(x), problem.residual(x))
        np.testing.assert_array_equal(other.x_true, problem.x_true)
        if not repr(problem).endswith("operator)"):
            assert not (other.A if problem.is_dense else other.A.data).flags.writeable


def test_sizes_and_texts():
    problem = batch(2, 4)
    assert (problem.m, problem.n, problem.batch_shape, problem.is_dense) == (3, 5, (2, 4), True)
    assert repr(problem) == "LinearProblem(m=3, n=5, batch_shape=(2, 4))"
    kinds = {"csc": "sparse", "coo": "sparse", "wrapped": "operator", "bare": "operator"}
    for name, one in forms(batch()).items():
        assert repr(one) == f"LinearProblem(m=3, n=5, batch_shape=(), {kinds[name]})"
        assert not one.is_dense
        with pytest.raises(pb.InvalidInput, match="single item"):
            one[0]
    A = aslinearoperator(np.eye(2))
    assert pb.LinearProblem(A, [1.0, 1.0]).A is A


def operator(matvec, rmatvec=None):
    return LinearOperator((1, 1), matvec=matvec, rmatvec=rmatvec, dtype=float)


ALMOST = SimpleNamespace(shape=(1, 1), matvec=None)
ENTRIES = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]])


@pytest.mark.parametrize(
    ("A", "b", "x", "message"),
    [
        ([1.0, 2.0], [1.0], None, r"A must have shape .* got \(2,\)"),
        (np.zeros((0, 2)), [], None, "M, N >= 1"),
        (np.zeros((0, 2, 2)), np.zeros((0, 2)), None, "M, N >= 1"),
        ([[1.0, 2.0]], [1.0, 2.0], None, r"b must have shape \(1,\) .* got \(2,\)"),
        (np.ones((2, 1, 3)), [1.0], None, r"b must have shape \(2, 1\)"),
        ([[1.0, 2.0]], [1.0], [1.0], r"x_true must have shape \(2,\) .* got \(1,\)"),
        ([[1.0, np.nan]], [1.0], None, "A holds NaN or infinity"),
        ([[1.0, 2.0]], [np.inf], None, "b holds NaN or infinity"),
        ([[1.0, 2.0]], [1.0], [np.nan, 1.0], "x_true holds NaN or infinity"),
        ([[1j, 2.0]], [1.0], None, "A must hold real numbers, got dtype complex128"),
        (None, [1.0], None, "A must be a dense array of real numbers, got NoneType"),
        (sparse.csr_array(np.zeros((0, 2))), [1.0], None, r"shape \(M, N\) with M, N >= 1, got \(0, 2\)"),
        (sparse.coo_array(np.ones(2)), [1.0], None, r"shape \(M, N\) .*, got \(2,\)"),
        (sparse.csr_array([[1j, 2.0]]), [1.0], None, "A must hold real numbers, got dtype complex128"),
        (sparse.csr_array([[np.nan, 2.0]]), [1.0], None, "A holds NaN or infinity"),
        (sparse.csr_array(np.ones((2, 2))), [1.0], None, r"b must have shape \(2,\) .* \(2, 2\), got \(1,\)"),
        (aslinearoperator(np.array([[1j, 2.0]])), [1.0], None, "operator A must be real, got dtype complex128"),
        (aslinearoperator(np.zeros((1, 0))), [1.0], None, r"M, N >= 1, got \(1, 0\)"),
        (operator(lambda x: x), [1.0], None, "cannot apply rmatvec to 1 zeros"),
        (operator(np.float32, lambda y: y), [1.0], None, "matvec of .* must map 1 float64 zeros to 1 .*float32"),
        (operator(lambda x: x, lambda y: y + np.inf), [1.0], None, "rmatvec of .* finite .*inf"),
        (ALMOST, [1.0], None, r"got SimpleNamespace; wrap it with .*aslinearoperator"),
    ],
)
def test_bad_data(A, b, x, message):
    with pytest.raises(pb.InvalidProblem, match=message):
        pb.LinearProblem(A, b, x)
    assert issubclass(pb.InvalidProblem, ValueError)


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("index", [-1, 10**6])
def test_indices_out_of_range_are_refused(form, index):
    A = sparse.csr_array(ENTRIES).asformat(form)
    pb.LinearProblem(A, [1.0, 2.0])
    (A.coords[1] if form == "coo" else A.indices)[-1] = index
    with pytest.raises(pb.InvalidProblem, match="out of range"):
        pb.LinearProblem(A, [1.0, 2.0])


@pytest.mark.parametrize("ends", [[0, 9], [0, 9, 9], [1, 1, 4], [0, 5, 4], [0, 2]])
def test_row_ends_out_of_range_are_refused(ends):
    A = sparse.csr_array(ENTRIES)
    A.indptr = np.array(ends)
    with pytest.raises(pb.InvalidProblem, match="out of range"):
        pb.LinearProblem(A, [1.0, 2.0])


@pytest.mark.parametrize("shape", [(), (2,), (2, 4)])
@pytest.mark.parametrize("extra", [(), (3,), (3, 2)])
def test_products_of_a_batch(shape, extra):
    problem, rng = batch(*shape), np.random.default_rng(1)
    x, y = rng.standard_normal((*shape, *extra, 5)), rng.standard_normal((*shape, *extra, 3))
    image, back, residual, loss = problem.apply(x), problem.adjoint(y), problem.residual(x), problem.loss(x, depth=3)
    assert (image.shape, back.shape, loss.shape) == (y.shape, x.shape, (*shape, *extra))
    one = np.arange(5.0)  # for all problems
    np.testing.assert_allclose(problem.residual(one), problem.A @ one - problem.b, atol=1e-13)
    for index in np.ndindex(*shape, *extra):
        A, b = problem.A[index[: len(shape)]], problem.b[index[: len(shape)]]
        np.testing.assert_allclose(image[index], [sum(row * x[index]) for row in A], atol=1e-13)
        np.testing.assert_allclose(back[index], [sum(column * y[index]) for column in A.T], atol=1e-13)
        np.testing.assert_allclose(residual[index], image[index] - b, atol=1e-13)
        assert loss[index] == pytest.approx(sum(residual[index] ** 2) / 6)


@pytest.mark.parametrize("form", ["csc", "coo", "wrapped", "bare"])
@pytest.mark.parametrize("extra", [(), (3,), (3, 2), (1,), (0,)])
def test_sparse_and_operators_agree_with_dense(form, extra):
    dense, rng = batch(), np.random.default_rng(2)
    problem = forms(dense)[form]
    x, y = rng.standard_normal((*extra, 5)), rng.standard_normal((*extra, 3))
    signed, halves = problem.signed(), rng.standard_normal((*extra, 10))
    assert (signed.is_dense, signed.m, signed.n) == (False, 3, 10)
    for found, expected in (
        (problem.apply(x), dense.apply(x)),
        (problem.adjoint(y), dense.adjoint(y)),
        (problem.loss(x, depth=2), dense.loss(x, depth=2)),
        (signed.apply(halves), dense.signed().apply(halves)),
        (signed.adjoint(y), dense.signed().adjoint(y)),
    ):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_signed_problems():
    problem = batch(2)
    signed = problem.signed()
    assert (signed.x_true >= 0).all()
    np.testing.assert_array_equal(signed.x_true[..., :5] - signed.x_true[..., 5:], problem.x_true)
    np.testing.assert_array_equal(signed.A, np.concatenate([problem.A, -problem.A], axis=-1))
    np.testing.assert_array_equal(forms(batch())["bare"].signed().x_true, batch().signed().x_true)
    assert pb.LinearProblem([[1.0]], [1.0]).signed().x_true is None


def test_single_precision_signals_give_double_products():
    third = pb.LinearProblem(operator(lambda x: x / 3, lambda y: y / 3), [1.0])
    assert third.apply(np.ones(1, np.float32)) == 1 / 3


def test_column_norms():
    A, row = batch().A, np.array([1.0, 2.0, 4.0])
    for matrix in (A, sparse.csr_array(A)):
        np.testing.assert_allclose(squared_column_norms(matrix), (A**2).sum(0))
        np.testing.assert_allclose(squared_column_norms(matrix, row), ((A / row[:, None]) ** 2).sum(0))
    wide = np.random.default_rng(0).standard_normal((60, 500))
    estimates = squared_column_norms(aslinearoperator(wide)) / (wide**2).sum(0)
    assert estimates.mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batch(2).residual(np.ones(4)), r"x must have 5 entries on its last axis, got shape \(4,\)"),
        (lambda: batch(2).residual(1.0), "x must have 5 entries"),
        (lambda: batch(2).residual(np.ones((3, 5))), r"x must have leading axes .* \(2,\), got shape \(3, 5\)"),
        (lambda: batch(2).adjoint(np.ones((3, 4, 3))), "y must have leading axes that"),
        (lambda: batch().residual(np.full(5, np.nan)), "x holds NaN"),
        (lambda: forms(batch())["csc"].apply(np.ones(3)), r"x must have 5 entries on its last axis, got shape \(3,\)"),
        (lambda: forms(batch())["bare"].adjoint(np.ones(5)), r"y must have 3 entries .* \(5,\)"),
        (lambda: batch().loss(np.ones(5), 0), "depth must be an integer from 1 to 1000"),
        (lambda: batch().loss(np.ones(5), 1.5), "depth must be an integer from 1 to 1000"),
        (lambda: batch().loss(np.ones(5), 10**400), "depth must be an integer from 1 to 1000"),
        (lambda: batch()[0], "single item"),
        (lambda: pb.stack([]), "at least one"),
        (lambda: pb.stack([batch(), batch(n=6)]), r"one shape, got A of shapes \[\(3, 5\), \(3, 6\)\]"),
        (lambda: pb.stack([batch(), pb.LinearProblem(np.ones((3, 5)), np.ones(3))]), "x_true in all problems or in"),
        (lambda: pb.stack(5), "problems must be a sequence of LinearProblem, got 5"),
        (lambda: pb.stack([3]), "problem must be a LinearProblem, got int"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(pb.InvalidInput, match=message):
        call()


def test_indexing_undoes_stacking():
    parts = [batch(seed=seed) for seed in range(3)]
    whole = pb.stack(parts)
    assert whole.batch_shape == (3,)
    nested = pb.stack([whole, whole])
    assert nested.batch_shape == (2, 3)
    for index, part in enumerate(parts):
        for one in (whole[index], nested[1, index], nested[:, index][0]):
            for name in ("A", "b", "x_true"):
                np.testing.assert_array_equal(getattr(one, name), getattr(part, name))
    for bad in (3, (0, 0)):
        with pytest.raises(IndexError):
            whole[bad]


@pytest.mark.parametrize("form", ["csc", "bare"])
def test_functions_that_need_an_array(form):
    pytest.importorskip("jax")
    problem, network = forms(batch())[form], pb.HadamardPower(2)
    theta0 = network.init(scale=1.0, direction=np.ones(5))
    for name, function in {
        "gradient_descent": lambda: pb.gradient_descent(problem, network, theta0),
        "vector_field": lambda: pb.vector_field(problem, network, theta0),
        r"ConstantStep\.stable": lambda: pb.ConstantStep.stable(problem, network, theta0),
        "minimal_l1": lambda: pb.minimal_l1(problem),
        "minimal_l2": lambda: pb.minimal_l2(problem),
        "stack": lambda: pb.stack([problem, problem]),
    }.items():
        with pytest.raises(pb.InvalidProblem, match=rf"^{name} needs a dense matrix.*pass A\.toarray\(\)"):
            function()


def test_dense_problems_do_not_load_scipy():
    code = (
        "import sys; from polarbias.problems.linear import LinearProblem; LinearProblem([[1.0]], [1.0]).signed();"
        " assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
