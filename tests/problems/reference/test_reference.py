"""The oracles against conditions and enumerations written anew here; nothing is imported from their own checks."""

import ast
import copy
import pickle
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import polarbias as pb
import polarbias.problems.reference
from polarbias.problems.ensembles import gaussian_truth
from polarbias.problems.reference import check_l1, check_l2, l1

PAPER = {"m": 150, "n": 1000}


def assert_optimal_l1(problem, best, *, nonnegative=True, weights=None, tolerance=1e-12):
    """The Karush-Kuhn-Tucker conditions of one problem, in plain double precision."""
    A, b = problem.A.astype(float), problem.b.astype(float)
    w = np.ones(problem.n) if weights is None else weights
    value = (w * abs(best.x)).sum()
    slope = best.dual @ A if nonnegative else abs(best.dual @ A)
    # What rounding alone can do to A x and to A^T y when they are evaluated as here.
    noise_x = 1e-15 * problem.n * (abs(A) @ abs(best.x)).max()
    noise_y = 1e-15 * problem.m * (abs(best.dual) @ abs(A) / w).max()
    assert not nonnegative or (best.x >= 0).all()
    assert np.linalg.norm(A @ best.x - b) <= tolerance * np.linalg.norm(b) + noise_x
    assert (slope / w).max() <= 1 + tolerance + noise_y
    assert abs(value - b @ best.dual) <= (tolerance + noise_y) * value
    assert (w - slope)[best.x != 0].max(initial=0) <= (tolerance + noise_y) * w.max()  # complementary slackness
    assert best.value == pytest.approx(value, rel=1e-13)
    assert best.gap <= tolerance


def vertices(A, b, w):
    """Smallest w^T z over A z = b, z >= 0, by trying every set of columns; None if there is no such z."""
    best = None
    for size in range(min(A.shape) + 1):
        for columns in map(list, combinations(range(A.shape[1]), size)):
            z = np.linalg.lstsq(A[:, columns], b, rcond=None)[0] if columns else np.zeros(0)
            if np.abs(A[:, columns] @ z - b).max() < 1e-9 and (z > -1e-9).all():
                value = w[columns] @ z
                best = value if best is None else min(best, value)
    return best


small = st.integers(-3, 3)
tiny_problems = st.tuples(st.integers(1, 3), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        arrays(float, shape, elements=small),
        arrays(float, shape[0], elements=small),
        arrays(float, shape[1], elements=st.integers(1, 4)),
    )
)


class TestMinimalL1:
    @pytest.mark.parametrize("truth", ["gaussian", "sparse", "signed"])
    @pytest.mark.parametrize("trial", range(3))
    def test_paper_size(self, truth, trial):
        problem = pb.gaussian_problem(3, **PAPER, truth=truth, trial=trial)
        nonnegative = truth != "signed"
        best = pb.minimal_l1(problem, nonnegative=nonnegative)
        assert_optimal_l1(problem, best, nonnegative=nonnegative)
        if truth != "gaussian":  # 10 of 150 support entries: the vertex is the truth itself
            np.testing.assert_allclose(best.x, problem.x_true, atol=1e-13)
            assert best.value == pytest.approx(10, rel=1e-13)

    def test_paper_size_signed_gaussian_and_centred(self):
        problem = pb.gaussian_problem(4, **PAPER)
        both = pb.minimal_l1(problem, nonnegative=False)
        assert_optimal_l1(problem, both, nonnegative=False)
        assert both.value < pb.minimal_l1(problem).value
        centred = pb.gaussian_problem(4, **PAPER, center_rows=True)
        assert_optimal_l1(centred, pb.minimal_l1(centred))

    @pytest.mark.parametrize("depth", [3, 6])
    def test_weights_of_depth(self, depth):
        problem = pb.gaussian_problem(5, 40, 150)
        weights = pb.folded_gaussian_direction(5, 150) ** (2.0 - depth)
        best = pb.minimal_l1(problem, weights=weights)
        assert_optimal_l1(problem, best, weights=weights)

    @given(tiny_problems, st.booleans())
    def test_against_all_vertices(self, data, nonnegative):
        A, b, w = data
        full, costs = (A, w) if nonnegative else (np.hstack([A, -A]), np.tile(w, 2))
        expected = vertices(full, b, costs)
        problem = pb.LinearProblem(A, b)
        if expected is None:
            with pytest.raises(pb.Infeasible):
                pb.minimal_l1(problem, nonnegative=nonnegative, weights=w)
            return
        best = pb.minimal_l1(problem, nonnegative=nonnegative, weights=w)
        assert best.value == pytest.approx(expected, rel=1e-12, abs=1e-14)
        assert_optimal_l1(problem, best, nonnegative=nonnegative, weights=w)

    @given(st.integers(0, 10**6), st.floats(-8, 8), st.floats(-8, 8))
    def test_scales(self, seed, log_a, log_b):
        problem = pb.gaussian_problem(seed, 6, 20)
        scaled = pb.LinearProblem(problem.A * 10**log_a, problem.b * 10**log_b)
        best = pb.minimal_l1(scaled)
        assert_optimal_l1(scaled, best)
        assert best.value == pytest.approx(pb.minimal_l1(problem).value * 10 ** (log_b - log_a), rel=1e-12)

    def test_rows_of_all_scales(self):
        problem = pb.gaussian_problem(1, 30, 100)
        rows = 10.0 ** np.linspace(-8, 8, 30)
        best = pb.minimal_l1(pb.LinearProblem(problem.A * rows[:, None], problem.b * rows))
        plain = pb.minimal_l1(problem)
        np.testing.assert_allclose(best.x, plain.x, rtol=1e-11)
        np.testing.assert_allclose(best.dual * rows, plain.dual, rtol=1e-11)
        assert best.gap < 1e-12

    def test_weights_are_a_change_of_columns(self):
        problem = pb.gaussian_problem(2, 20, 60)
        w = 2.0 ** np.arange(-3, 3).repeat(10)
        weighted = pb.minimal_l1(problem, weights=w)
        plain = pb.minimal_l1(pb.LinearProblem(problem.A / w, problem.b))
        assert weighted.value == pytest.approx(plain.value, rel=1e-13)
        np.testing.assert_allclose(weighted.x * w, plain.x, atol=1e-12)

    def test_duplicated_and_dependent_rows(self):
        problem = pb.gaussian_problem(7, 20, 60)
        A = np.vstack([problem.A, problem.A[:8], 3 * problem.A[:4], problem.A[:4] + problem.A[4:8]])
        redundant = pb.LinearProblem(A, A @ problem.x_true)
        best = pb.minimal_l1(redundant)
        assert_optimal_l1(redundant, best)
        assert best.value == pytest.approx(pb.minimal_l1(problem).value, rel=1e-13)

    def test_zero_and_duplicated_columns(self):
        problem = pb.gaussian_problem(8, 20, 60, truth="sparse", s=3)
        A = np.hstack([problem.A, np.zeros((20, 30)), problem.A, problem.A / 2])
        wide = pb.LinearProblem(A, problem.b)
        best = pb.minimal_l1(wide)
        assert_optimal_l1(wide, best)
        assert (best.x[60:90] == 0).all()
        assert best.value == pytest.approx(3, rel=1e-13)

    def test_fully_tied_and_degenerate(self):
        n = 6  # the assignment polytope: every vertex is degenerate, and with unit costs every vertex is optimal
        A = np.vstack([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
        problem = pb.LinearProblem(A, np.ones(2 * n))
        assert_optimal_l1(problem, pb.minimal_l1(problem))
        costs = np.random.default_rng(0).integers(1, 5, n * n).astype(float)
        assert_optimal_l1(problem, pb.minimal_l1(problem, weights=costs), weights=costs)

    def test_square_tall_and_one_by_one(self):
        x = np.abs(np.random.default_rng(1).standard_normal(12))
        for A in (
            np.random.default_rng(2).standard_normal((12, 12)),
            np.random.default_rng(3).standard_normal((30, 12)),
        ):
            np.testing.assert_allclose(pb.minimal_l1(pb.LinearProblem(A, A @ x)).x, x, rtol=1e-11)
        assert pb.minimal_l1(pb.LinearProblem([[2.0]], [3.0])).value == 1.5

    @pytest.mark.parametrize("A", [np.zeros((2, 3)), np.eye(2, 3)])
    def test_zero_right_hand_side(self, A):
        best = pb.minimal_l1(pb.LinearProblem(A, [0.0, 0.0]))
        assert best.value == best.gap == best.residual == 0
        assert not best.x.any()
        assert not best.dual.any()

    @pytest.mark.parametrize(
        ("A", "b", "nonnegative"),
        [
            ([[1.0, 2.0]], [-1.0], True),
            ([[1.0, 2.0], [1.0, 2.0]], [1.0, 2.0], True),
            ([[1.0, 2.0], [0.0, 0.0]], [1.0, 1.0], True),
            ([[0.0, 0.0]], [1e-8], True),
            ([[1.0, 2.0], [2.0, 4.0]], [1.0, 1.0], False),
            (np.ones((3, 40)), [1e8, 1e8, 1.0001e8], False),
        ],
    )
    def test_infeasible(self, A, b, nonnegative):
        with pytest.raises(pb.Infeasible, match=r"misses b by \d.*; (change|drop)"):
            pb.minimal_l1(pb.LinearProblem(A, b), nonnegative=nonnegative)

    def test_batch(self):
        problems = [pb.gaussian_problem(9, 5, 15, trial=trial) for trial in range(4)]
        batch = pb.stack([pb.stack(problems[:2]), pb.stack(problems[2:])])
        best = pb.minimal_l1(batch)
        assert best.value.shape == best.gap.shape == best.residual.shape == best.batch_shape == (2, 2)
        assert best.x.shape == (2, 2, 15)
        assert best.dual.shape == (2, 2, 5)
        for trial, problem in enumerate(problems):
            one = best[divmod(trial, 2)]
            alone = pb.minimal_l1(problem)
            assert one.value == alone.value
            assert np.array_equal(one.x, alone.x)
        assert best[0].batch_shape == (2,)
        assert check_l1(batch, best).worst.shape == (2, 2)
        weights = np.arange(1.0, 61).reshape(2, 2, 15)
        weighted = pb.minimal_l1(batch, weights=weights)
        assert weighted.value[1, 0] == pb.minimal_l1(problems[2], weights=weights[1, 0]).value

    def test_infeasible_member_of_a_batch_is_named(self):
        batch = pb.LinearProblem(np.ones((2, 1, 3)), [[1.0], [-1.0]])
        with pytest.raises(pb.Infeasible, match=r"problem \[1\] of the batch"):
            pb.minimal_l1(batch)

    def test_float32_data_are_solved_in_double(self):
        problem = pb.gaussian_problem(9, 10, 30)
        single = pb.LinearProblem(problem.A.astype(np.float32), problem.b.astype(np.float32))
        best = pb.minimal_l1(single)
        assert best.x.dtype == np.float64
        assert_optimal_l1(single, best)

    @pytest.mark.parametrize("weights", [0.0, [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0], [1.0, np.nan, 1.0], "abc"])
    def test_bad_weights(self, weights):
        with pytest.raises(pb.InvalidInput, match="weights"):
            pb.minimal_l1(pb.LinearProblem([[1.0, 2.0, 3.0]], [1.0]), weights=weights)

    def test_near_singular_data_are_not_passed_off_as_solved(self):
        hilbert = 1 / (np.arange(12)[:, None] + np.arange(30) + 1.0)
        with pytest.raises(pb.Inaccurate, match="near singular"):
            pb.minimal_l1(pb.LinearProblem(hilbert, hilbert @ np.linspace(1, 2, 30)))


class TestRefinement:
    """The linear program's answer is a hint: the certificate decides."""

    @pytest.fixture
    def spoil(self, monkeypatch):
        def install(change):
            original = l1.linprog

            def spoiled(*args, **kwargs):
                found = original(*args, **kwargs)
                change(found)
                return found

            monkeypatch.setattr(l1, "linprog", spoiled)

        return install

    # A degenerate vertex leaves the dual's noise off the support, where only shrinking makes it feasible.
    @pytest.mark.parametrize(("truth", "gap"), [("gaussian", 1e-12), ("sparse", 1e-9)])
    def test_solver_noise_is_removed(self, spoil, truth, gap):
        rng = np.random.default_rng(0)

        def noise(found):
            found.x = found.x + (found.x > 0) * 1e-8 * rng.standard_normal(found.x.shape)
            found.eqlin.marginals = found.eqlin.marginals + 1e-11 * rng.standard_normal(found.eqlin.marginals.shape)

        problem = pb.gaussian_problem(0, 40, 150, truth=truth, s=4)
        expected = pb.minimal_l1(problem).value
        spoil(noise)
        best = pb.minimal_l1(problem)
        assert best.value == pytest.approx(expected, rel=1e-13)
        assert best.gap < gap

    def test_wrong_vertex(self, spoil):
        def wrong(found):
            found.x = np.roll(found.x, 1)

        spoil(wrong)
        with pytest.raises(pb.Inaccurate):
            pb.minimal_l1(pb.gaussian_problem(0, 10, 30))

    def test_false_alarm_of_infeasibility(self, spoil):
        def refuse(found):
            found.x, found.status = None, 2

        spoil(refuse)
        with pytest.raises(pb.Inaccurate):
            pb.minimal_l1(pb.gaussian_problem(0, 10, 30))


class TestMinimalL2:
    @given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8), st.floats(-8, 8), st.floats(-8, 8))
    def test_against_pinv(self, seed, m, n, log_a, log_b):
        A, x = pb.gaussian_matrix(seed, m, n), gaussian_truth(seed, n)
        assume(np.linalg.cond(A) < 1e4)
        problem = pb.LinearProblem(A * 10**log_a, A @ x * 10**log_b)
        best = pb.minimal_l2(problem)
        np.testing.assert_allclose(best.x, np.linalg.pinv(problem.A) @ problem.b, rtol=1e-9)
        np.testing.assert_allclose(best.x, best.dual @ problem.A, rtol=1e-9)
        assert best.value == pytest.approx(np.linalg.norm(best.x), rel=1e-14)
        assert best.gap < 1e-12

    def test_paper_size(self):
        problem = pb.gaussian_problem(0, **PAPER, truth="signed")
        best = pb.minimal_l2(problem)
        assert best.gap < 1e-12
        np.testing.assert_allclose(problem.A @ best.x, problem.b, atol=1e-13)
        np.testing.assert_allclose(best.x, best.dual @ problem.A, atol=1e-14)
        assert best.value < np.linalg.norm(problem.x_true)

    def test_dependent_rows_of_all_scales(self):
        problem = pb.gaussian_problem(0, 10, 30)
        rows = 10.0 ** np.linspace(-8, 8, 14)
        A = np.vstack([problem.A, problem.A[:4]]) * rows[:, None]
        best = pb.minimal_l2(pb.LinearProblem(A, np.append(problem.b, problem.b[:4]) * rows))
        np.testing.assert_allclose(best.x, pb.minimal_l2(problem).x, atol=1e-13)

    def test_the_distance_of_infeasible_data_is_the_smallest_one(self):
        problem = pb.LinearProblem([[1.0], [1.0]], [1.0, 0.0])
        with pytest.raises(pb.Infeasible, match=r"misses b by 7\.1e-01 of its norm"):
            pb.minimal_l2(problem)
        with pytest.raises(pb.Infeasible, match=r"misses b by 7\.1e-01 of its norm"):
            pb.minimal_l1(problem)

    @pytest.mark.parametrize("condition", [1e4, 1e6, 1e8])
    def test_an_ill_conditioned_matrix_is_not_called_infeasible(self, condition):
        rng = np.random.default_rng(0)
        left, right = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((20, 20), (60, 20)))
        A = left * np.geomspace(1, 1 / condition, 20) @ right.T
        x = right @ rng.standard_normal(20)
        best = pb.minimal_l2(pb.LinearProblem(A, A @ x))
        np.testing.assert_allclose(best.x, x, atol=1e-14 * condition)

    def test_zero(self):
        best = pb.minimal_l2(pb.LinearProblem(np.zeros((2, 3)), [0.0, 0.0]))
        assert best.value == best.gap == best.residual == 0

    @pytest.mark.parametrize(
        ("A", "b"), [([[1.0, 2.0], [2.0, 4.0]], [1.0, 1.0]), ([[0.0, 0.0]], [1.0]), (np.eye(3, 2), [1.0, 1.0, 1e-8])]
    )
    def test_infeasible(self, A, b):
        with pytest.raises(pb.Infeasible, match="not in the range of A: the nearest point misses b"):
            pb.minimal_l2(pb.LinearProblem(A, b))

    def test_batch(self):
        problems = [pb.gaussian_problem(9, 5, 15, trial=trial) for trial in range(3)]
        best = pb.minimal_l2(pb.stack(problems))
        assert best.value.tolist() == [pb.minimal_l2(problem).value for problem in problems]
        assert check_l2(pb.stack(problems), best).worst.max() < 1e-12


class TestCheck:
    problem = pb.gaussian_problem(0, 5, 20)

    def spoiled(self, **changes):
        best = pb.minimal_l1(self.problem)
        leaves = {"value": best.value, "x": best.x, "dual": best.dual, "gap": best.gap, "residual": best.residual}
        return pb.Minimum(**{name: changes.get(name, lambda leaf: leaf)(leaf) for name, leaf in leaves.items()})

    def test_each_condition_is_seen(self):
        zero = check_l1(self.problem, self.spoiled())
        assert zero.worst < 1e-14
        assert check_l1(self.problem, self.spoiled(x=lambda x: 1.01 * x)).primal == pytest.approx(0.01)
        negative = check_l1(self.problem, self.spoiled(x=lambda x: -x))
        assert negative.sign == pytest.approx(1)
        assert negative.primal == pytest.approx(2)
        larger = check_l1(self.problem, self.spoiled(dual=lambda y: 1.01 * y))
        assert larger.dual == pytest.approx(0.01)
        assert larger.gap == pytest.approx(0.01)
        assert check_l1(self.problem, self.spoiled(dual=lambda y: 0.5 * y)).gap == pytest.approx(0.5)

    def test_neither_value_nor_gap_is_believed(self):
        assert check_l1(self.problem, self.spoiled(value=lambda v: 2 * v, gap=lambda g: 1.0)).worst < 1e-14

    def test_the_nonnegative_dual_is_not_taken_for_a_signed_one(self):
        problem = pb.LinearProblem([[1.0, -2.0]], [1.0])
        assert check_l1(problem, pb.minimal_l1(problem), nonnegative=False).dual == 1

    def test_l2(self):
        best = pb.minimal_l2(self.problem)
        other = pb.Minimum(best.value, best.x, 1.01 * best.dual, best.gap, best.residual)
        assert check_l2(self.problem, other).dual == pytest.approx(0.01)
        assert check_l2(self.problem, other).gap == pytest.approx(0.01)
        shifted = pb.Minimum(best.value, pb.minimal_l1(self.problem).x, best.dual, best.gap, best.residual)
        assert check_l2(self.problem, shifted).dual > 0.1


def test_minimum_is_frozen_shown_copied_and_pickled():
    best = pb.minimal_l1(pb.LinearProblem([[1.0, 2.0]], [1.0]))
    with pytest.raises(AttributeError):
        best.value = 1.0
    assert repr(best) == "Minimum(value=0.5, gap=0.0e+00)"
    for other in (copy.deepcopy(best), pickle.loads(pickle.dumps(best))):
        assert other.value == best.value
        assert np.array_equal(other.x, best.x)
    batch = pb.minimal_l1(pb.LinearProblem([[[1.0, 2.0]]], [[1.0]]))
    assert repr(batch) == "Minimum(batch_shape=(1,), largest gap=0.0e+00)"
    with pytest.raises(pb.InvalidInput, match="single item"):
        best[0]


def test_the_oracles_import_nothing_that_they_check():
    allowed = ("errors", "runtime.", "problems.linear", "problems.reference.", "solution")
    for path in Path(polarbias.problems.reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("polarbias"):
                assert node.module.startswith(tuple(f"polarbias.{name}" for name in allowed)), path
