"""The linear problem: what it accepts, what it computes, how batches are indexed."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import polarbias as pb


def batch(*shape, m=3, n=5, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((*shape, m, n))
    x = rng.standard_normal((*shape, n))
    return pb.LinearProblem(A, np.einsum("...mn,...n->...m", A, x), x)


class TestData:
    def test_integers_and_booleans_become_double(self):
        problem = pb.LinearProblem([[1, 0, 2]], [True], [1, 2, 3])
        assert {problem.A.dtype, problem.b.dtype, problem.x_true.dtype} == {np.dtype(np.float64)}

    def test_single_precision_is_kept(self):
        assert pb.LinearProblem(np.ones((1, 2), np.float32), np.ones(1, np.float32)).A.dtype == np.float32

    def test_the_callers_arrays_are_copied_and_the_problems_are_read_only(self):
        A, b, x = np.ones((1, 2)), np.ones(1), np.ones(2)
        problem = pb.LinearProblem(A, b, x)
        A[:], b[:], x[:] = 7, 7, 7
        for array in (problem.A, problem.b, problem.x_true):
            assert (array == 1).all()
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 2
        with pytest.raises(AttributeError):
            problem.A = A

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
    @pytest.mark.parametrize("problem", [batch(2), pb.LinearProblem([[1.0]], [1.0])], ids=repr)
    def test_copies(self, problem, again):
        other = again(problem)
        np.testing.assert_array_equal(other.A, problem.A)
        np.testing.assert_array_equal(other.b, problem.b)
        assert (other.x_true is None) == (problem.x_true is None)
        assert not other.A.flags.writeable

    def test_sizes(self):
        problem = batch(2, 4)
        assert (problem.m, problem.n, problem.batch_shape) == (3, 5, (2, 4))
        assert repr(problem) == "LinearProblem(m=3, n=5, batch_shape=(2, 4))"

    @pytest.mark.parametrize(
        ("A", "b", "x", "message"),
        [
            ([1.0, 2.0], [1.0], None, r"A must have shape .* got \(2,\)"),
            (np.zeros((0, 2)), [], None, "M, N >= 1"),
            (np.zeros((2, 0)), [1.0, 1.0], None, "M, N >= 1"),
            (np.zeros((0, 2, 2)), np.zeros((0, 2)), None, "M, N >= 1"),
            ([[1.0, 2.0]], [1.0, 2.0], None, r"b must have shape \(1,\) .* got \(2,\)"),
            (np.ones((2, 1, 3)), [1.0], None, r"b must have shape \(2, 1\)"),
            ([[1.0, 2.0]], [1.0], [1.0], r"x_true must have shape \(2,\) .* got \(1,\)"),
            ([[1.0, np.nan]], [1.0], None, "A holds NaN or infinity"),
            ([[1.0, 2.0]], [np.inf], None, "b holds NaN or infinity"),
            ([[1.0, 2.0]], [1.0], [np.nan, 1.0], "x_true holds NaN or infinity"),
            ([[1j, 2.0]], [1.0], None, "A must hold real numbers, got dtype complex128"),
            ([[1.0, 2.0]], ["a"], None, "b must hold real numbers"),
            ([[1.0], [1.0, 2.0]], [1.0, 2.0], None, "A must be a rectangular array"),
            (None, [1.0], None, "A must be a dense array of real numbers, got NoneType"),
            ([[None, 1.0]], [1.0], None, "A must hold real numbers, got dtype object"),
        ],
    )
    def test_bad_data(self, A, b, x, message):
        with pytest.raises(pb.InvalidProblem, match=message):
            pb.LinearProblem(A, b, x)
        assert issubclass(pb.InvalidProblem, ValueError)


class TestResidual:
    @pytest.mark.parametrize("shape", [(), (2,), (2, 4)])
    @pytest.mark.parametrize("extra", [(), (3,), (3, 2)])
    def test_every_signal_meets_its_problem(self, shape, extra):
        problem = batch(*shape)
        x = np.random.default_rng(1).standard_normal((*shape, *extra, 5))
        residual, loss = problem.residual(x), problem.loss(x, depth=3)
        assert residual.shape == (*shape, *extra, 3)
        assert loss.shape == (*shape, *extra)
        for index in np.ndindex(*shape, *extra):
            at = index[: len(shape)]
            expected = [sum(problem.A[at][i, j] * x[index][j] for j in range(5)) - problem.b[at][i] for i in range(3)]
            np.testing.assert_allclose(residual[index], expected, atol=1e-13)
            assert loss[index] == pytest.approx(sum(r * r for r in expected) / 6)

    def test_one_signal_for_a_batch(self):
        problem = batch(2)
        x = np.arange(5.0)
        np.testing.assert_allclose(problem.residual(x), problem.A @ x - problem.b, atol=1e-13)

    @pytest.mark.parametrize("depth", [0, 1.5, True])
    def test_depth_of_the_loss(self, depth):
        with pytest.raises(pb.InvalidInput, match="depth must be an integer of at least 1"):
            batch().loss(np.ones(5), depth)

    def test_truth_solves(self):
        assert abs(batch(2).residual(batch(2).x_true)).max() < 1e-14

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.ones(4), r"x must have 5 entries on its last axis, got shape \(4,\)"),
            (1.0, "x must have 5 entries"),
            (np.ones((3, 5)), r"leading axes that go with .* \(2,\), got shape \(3, 5\)"),
            (np.ones((3, 4, 5)), "leading axes that"),
            (np.full(5, np.nan), "x holds NaN"),
        ],
    )
    def test_bad_signals(self, x, message):
        with pytest.raises(pb.InvalidInput, match=message):
            batch(2).residual(x)


class TestSigned:
    @given(st.integers(0, 1000))
    def test_same_residual_from_nonnegative_halves(self, seed):
        problem = batch(2, seed=seed)
        signed = problem.signed()
        assert (signed.x_true >= 0).all()
        np.testing.assert_array_equal(signed.x_true[..., :5] - signed.x_true[..., 5:], problem.x_true)
        halves = np.abs(np.random.default_rng(seed).standard_normal((2, 10)))
        np.testing.assert_allclose(signed.residual(halves), problem.residual(halves[:, :5] - halves[:, 5:]), atol=1e-13)
        assert abs(signed.A.sum(axis=-1)).max() < 1e-14

    def test_without_a_truth(self):
        assert pb.LinearProblem([[1.0]], [1.0]).signed().x_true is None


class TestBatches:
    @pytest.mark.parametrize(
        "index",
        [0, -1, (1, 2), slice(1, None), (slice(None), 0), ..., ([0, 1], [3, 0]), np.array([True, False])],
        ids=repr,
    )
    def test_indexing_touches_leading_axes_only(self, index):
        problem = batch(2, 4)
        part = problem[index]
        numbers = np.arange(8).reshape(2, 4)[index]
        assert part.batch_shape == numbers.shape
        np.testing.assert_array_equal(part.A, problem.A.reshape(8, 3, 5)[numbers])
        np.testing.assert_array_equal(part.b, problem.b.reshape(8, 3)[numbers])
        np.testing.assert_array_equal(part.x_true, problem.x_true.reshape(8, 5)[numbers])

    def test_bad_indices(self):
        with pytest.raises(IndexError):
            batch(2)[2]
        with pytest.raises(IndexError):
            batch(2)[0, 0]
        with pytest.raises(pb.InvalidInput, match="single item"):
            batch()[0]

    def test_stack_is_undone_by_indexing(self):
        parts = [batch(seed=seed) for seed in range(3)]
        whole = pb.stack(parts)
        assert whole.batch_shape == (3,)
        for index, part in enumerate(parts):
            np.testing.assert_array_equal(whole[index].A, part.A)
            np.testing.assert_array_equal(whole[index].b, part.b)
            np.testing.assert_array_equal(whole[index].x_true, part.x_true)
        assert pb.stack([whole, whole]).batch_shape == (2, 3)

    @pytest.mark.parametrize(
        ("problems", "message"),
        [
            ([], "at least one"),
            ([batch(), batch(n=6)], r"one shape, got A of shapes \[\(3, 5\), \(3, 6\)\]"),
            ([batch(), pb.LinearProblem(np.ones((3, 5)), np.ones(3))], "x_true in all problems or in none"),
        ],
    )
    def test_stack_refuses(self, problems, message):
        with pytest.raises(pb.InvalidProblem, match=message):
            pb.stack(problems)


def forms(problem):
    """The same problem with a sparse matrix, a sparse array in another format, and two kinds of operators."""
    A = np.asarray(problem.A)
    bare = LinearOperator(A.shape, matvec=lambda x: A @ x, rmatvec=lambda y: A.T @ y, dtype=np.float64)
    kinds = {"csc": sparse.csc_matrix(A), "coo": sparse.coo_array(A), "wrapped": aslinearoperator(A), "bare": bare}
    return {name: pb.LinearProblem(kind, problem.b, problem.x_true) for name, kind in kinds.items()}


class TestProducts:
    @pytest.mark.parametrize("shape", [(), (2,), (2, 4)])
    @pytest.mark.parametrize("extra", [(), (3,), (3, 2)])
    def test_both_products_of_a_batch(self, shape, extra):
        problem = batch(*shape)
        rng = np.random.default_rng(1)
        x, y = rng.standard_normal((*shape, *extra, 5)), rng.standard_normal((*shape, *extra, 3))
        image, back = problem.apply(x), problem.adjoint(y)
        assert (image.shape, back.shape) == ((*shape, *extra, 3), (*shape, *extra, 5))
        for index in np.ndindex(*shape, *extra):
            A = problem.A[index[: len(shape)]]
            np.testing.assert_allclose(image[index], [sum(row * x[index]) for row in A], atol=1e-13)
            np.testing.assert_allclose(back[index], [sum(column * y[index]) for column in A.T], atol=1e-13)

    def test_one_vector_for_a_batch(self):
        problem = batch(2)
        np.testing.assert_allclose(problem.adjoint(np.arange(3.0))[1], problem.A[1].T @ np.arange(3.0), atol=1e-13)

    @pytest.mark.parametrize("form", ["csc", "coo", "wrapped", "bare"])
    @pytest.mark.parametrize("extra", [(), (3,), (3, 2), (1,), (0,)])
    def test_sparse_and_operators_agree_with_dense(self, form, extra):
        dense = batch()
        problem = forms(dense)[form]
        rng = np.random.default_rng(2)
        x, y = rng.standard_normal((*extra, 5)), rng.standard_normal((*extra, 3))
        for got, expected in [
            (problem.apply(x), x @ dense.A.T),
            (problem.adjoint(y), y @ dense.A),
            (problem.residual(x), x @ dense.A.T - dense.b),
            (problem.loss(x, depth=2), ((x @ dense.A.T - dense.b) ** 2).sum(-1) / 4),
        ]:
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, atol=1e-13)

    @pytest.mark.parametrize("form", ["csc", "wrapped", "bare"])
    def test_signed(self, form):
        dense = batch()
        signed, expected = forms(dense)[form].signed(), dense.signed()
        assert not signed.is_dense
        assert (signed.m, signed.n) == (3, 10)
        np.testing.assert_array_equal(signed.x_true, expected.x_true)
        x, y = np.random.default_rng(3).standard_normal((2, 10)), np.arange(3.0)
        np.testing.assert_allclose(signed.apply(x), x @ expected.A.T, atol=1e-13)
        np.testing.assert_allclose(signed.adjoint(y), y @ expected.A, atol=1e-13)

    def test_single_precision_signals_give_double_products(self):
        for problem in forms(batch()).values():
            assert problem.apply(np.ones(5, np.float32)).dtype == np.float64
        third = LinearOperator((1, 1), matvec=lambda x: x / 3, rmatvec=lambda y: y / 3, dtype=np.float64)
        assert pb.LinearProblem(third, [1.0]).apply(np.ones(1, np.float32)) == 1 / 3

    @pytest.mark.parametrize("form", ["csc", "bare"])
    def test_bad_vectors(self, form):
        problem = forms(batch())[form]
        with pytest.raises(pb.InvalidInput, match=r"x must have 5 entries on its last axis, got shape \(3,\)"):
            problem.apply(np.ones(3))
        with pytest.raises(pb.InvalidInput, match=r"y must have 3 entries on its last axis, got shape \(5,\)"):
            problem.adjoint(np.ones(5))
        with pytest.raises(pb.InvalidInput, match="y holds NaN"):
            problem.adjoint([1.0, np.nan, 1.0])
        with pytest.raises(
            pb.InvalidInput, match=r"y must have leading axes that go with .* \(2,\), got shape \(3, 3\)"
        ):
            batch(2).adjoint(np.ones((3, 3)))


class TestIndirectMatrices:
    @pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo"])
    @pytest.mark.parametrize("index", [-1, 10**6])
    def test_indices_out_of_range_are_refused(self, form, index):
        A = sparse.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 4.0]])).asformat(form)
        pb.LinearProblem(A, [1.0, 2.0])
        (A.coords[1] if form == "coo" else A.indices)[-1] = index
        with pytest.raises(pb.InvalidProblem, match="out of range"):
            pb.LinearProblem(A, [1.0, 2.0])

    def test_sparse_data_are_copied_merged_and_read_only(self):
        rows, columns, values = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1, 2, 3])
        A = sparse.coo_array((values, (rows, columns)), shape=(2, 3))
        problem = pb.LinearProblem(A, [1.0, 1.0])
        values[:] = 7
        np.testing.assert_array_equal(problem.A.toarray(), [[0, 3, 0], [3, 0, 0]])
        assert problem.A.format == "csr"
        assert problem.A.dtype == np.float64
        for array in (problem.A.data, problem.A.indices, problem.A.indptr):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        rows = sparse.csr_array(np.eye(2))
        same = pb.LinearProblem(rows, [1.0, 1.0])
        rows.data[:] = 7
        assert (same.A.data == 1).all()
        assert rows.data.flags.writeable

        twice = sparse.csr_array((np.ones(3), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3))
        np.testing.assert_array_equal(pb.LinearProblem(twice, [1.0, 1.0]).A.data, [2.0, 1.0])

    def test_operators_are_kept(self):
        A = aslinearoperator(np.eye(2))
        problem = pb.LinearProblem(A, [1.0, 1.0])
        assert problem.A is A

    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
    @pytest.mark.parametrize("form", ["csc", "wrapped"])
    def test_copies(self, form, again):
        for problem in (forms(batch())[form], forms(batch())[form].signed()):
            other = again(problem)
            x = np.arange(float(problem.n))
            np.testing.assert_array_equal(other.apply(x), problem.apply(x))
            np.testing.assert_array_equal(other.x_true, problem.x_true)
            if form == "csc":
                assert not other.A.data.flags.writeable

    def test_sizes(self):
        kinds = {"csc": "sparse", "coo": "sparse", "wrapped": "operator", "bare": "operator"}
        for name, problem in forms(batch()).items():
            assert repr(problem) == f"LinearProblem(m=3, n=5, batch_shape=(), {kinds[name]})"
            assert not problem.is_dense
        assert batch().is_dense
        with pytest.raises(pb.InvalidInput, match="single item"):
            forms(batch())["csc"][0]

    @pytest.mark.parametrize(
        ("A", "message"),
        [
            (sparse.csr_array(np.zeros((0, 2))), r"shape \(M, N\) with M, N >= 1, got \(0, 2\)"),
            (sparse.coo_array(np.ones(2)), r"shape \(M, N\) .*, got \(2,\)"),
            (sparse.csr_array([[1j, 2.0]]), "A must hold real numbers, got dtype complex128"),
            (sparse.csr_array([[np.nan, 2.0]]), "A holds NaN or infinity"),
            (sparse.csr_array(np.ones((2, 2))), r"b must have shape \(2,\) to go with A of shape \(2, 2\), got \(1,\)"),
            (aslinearoperator(np.array([[1j, 2.0]])), "operator A must be real, got dtype complex128"),
            (aslinearoperator(np.zeros((1, 0))), r"M, N >= 1, got \(1, 0\)"),
            (LinearOperator((1, 2), matvec=lambda x: x[:1], dtype=float), "cannot apply rmatvec to 1 zeros"),
            (LinearOperator((1, 2), matvec=lambda x: x, rmatvec=lambda y: y, dtype=float), "cannot apply matvec to 2"),
            (
                LinearOperator((1, 1), matvec=lambda x: x.astype(np.float32), rmatvec=lambda y: y, dtype=float),
                "matvec of the linear operator A must map 1 float64 zeros to 1 finite .*, got dtype float32",
            ),
            (
                LinearOperator((1, 1), matvec=lambda x: x, rmatvec=lambda y: y + np.inf, dtype=float),
                "rmatvec of .* with NaN or infinity",
            ),
        ],
    )
    def test_bad_matrices(self, A, message):
        with pytest.raises(pb.InvalidProblem, match=message):
            pb.LinearProblem(A, [1.0])

    def test_something_like_an_operator(self):
        class Almost:
            shape, matvec = (1, 1), None

        with pytest.raises(pb.InvalidProblem, match=r"got Almost; wrap it with .*aslinearoperator"):
            pb.LinearProblem(Almost(), [1.0])

    @pytest.mark.parametrize("form", ["csc", "bare"])
    def test_functions_that_need_an_array(self, form):
        pytest.importorskip("jax")
        from polarbias.problems.reference import check_l1, check_l2

        dense = batch()
        problem = forms(dense)[form]
        network = pb.HadamardPower(2)
        theta0 = network.init(scale=1.0, direction=np.ones(5))
        best = pb.minimal_l1(dense, nonnegative=False)
        for name, function in {
            "gradient_descent": lambda: pb.gradient_descent(problem, network, theta0),
            "vector_field": lambda: pb.vector_field(problem, network, theta0),
            r"ConstantStep\.stable": lambda: pb.ConstantStep.stable(problem, network, theta0),
            "minimal_l1": lambda: pb.minimal_l1(problem, nonnegative=False),
            "minimal_l2": lambda: pb.minimal_l2(problem),
            "check_l1": lambda: check_l1(problem, best, nonnegative=False),
            "check_l2": lambda: check_l2(problem, best),
            "stack": lambda: pb.stack([problem, problem]),
        }.items():
            with pytest.raises(pb.InvalidProblem, match=rf"^{name} needs a dense matrix.*pass A\.toarray\(\)"):
                function()

    def test_dense_problems_do_not_load_scipy(self):
        code = (
            "import sys; from polarbias.problems.linear import LinearProblem; LinearProblem([[1.0]], [1.0]).signed();"
            " assert 'scipy' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
