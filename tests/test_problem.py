"""The linear problem: what it accepts, what it computes, how batches are indexed."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polarbias as pb
from polarbias.problem import real_array


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
        assert real_array(np.ones(2, np.float16), "x").dtype == np.float64

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

    def test_sparse_and_operators_are_named(self):
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import aslinearoperator

        for A in (csr_array(np.eye(2)), aslinearoperator(np.eye(2))):
            with pytest.raises(pb.InvalidProblem, match=r"pass A\.toarray\(\)"):
                pb.LinearProblem(A, [1.0, 1.0])


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
