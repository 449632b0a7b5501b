"""The minimal l1 oracle against conditions and enumerations written anew here."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

import polarbias as pb
from polarbias.problems.certificate import verify_farkas
from polarbias.problems.reference import l1

least = partial(pb.minimal_l1, nonnegative=True)


def assert_optimal_l1(problem, best, *, nonnegative=True, weights=None, tolerance=1e-12):
    """The Karush-Kuhn-Tucker conditions of one problem, in plain double precision."""
    A, b = problem.A.astype(float), problem.b.astype(float)
    w = np.ones(problem.n) if weights is None else weights
    value = (w * abs(best.x)).sum()
    slope = best.dual @ A if nonnegative else abs(best.dual @ A)
    # Rounding errors of A x and of A^T y as they are evaluated here.
    noise_x = 1e-15 * problem.n * (abs(A) @ abs(best.x)).max()
    noise_y = 1e-15 * problem.m * (abs(best.dual) @ abs(A) / w).max()
    assert best.farkas is None
    assert not nonnegative or (best.x >= 0).all()
    assert np.linalg.norm(A @ best.x - b) <= tolerance * np.linalg.norm(b) + noise_x
    assert (slope / w).max() <= 1 + tolerance + noise_y
    assert abs(value - b @ best.dual) <= (tolerance + noise_y) * value
    assert (w - slope)[best.x != 0].max(initial=0) <= (tolerance + noise_y) * w.max()  # complementary slackness
    assert best.value == pytest.approx(value, rel=1e-13)
    assert best.gap <= tolerance


def assert_infeasible(problem, best, nonnegative):
    assert not best.feasible
    assert best.value == np.inf
    assert np.isnan(best.x).all()
    assert np.isnan(best.gap)
    assert verify_farkas(problem, best.farkas, nonnegative)


def vertices(A, b, w):
    """Smallest w^T z over A z = b, z >= 0, by trying every set of columns; None if there is no such z."""
    values = []
    for size in range(min(A.shape) + 1):
        for columns in map(list, combinations(range(A.shape[1]), size)):
            z = np.linalg.lstsq(A[:, columns], b, rcond=None)[0] if columns else np.zeros(0)
            if np.abs(A[:, columns] @ z - b).max() < 1e-9 and (z > -1e-9).all():
                values.append(w[columns] @ z)
    return min(values, default=None)


small = st.integers(-3, 3)
tiny_problems = st.tuples(st.integers(1, 3), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        arrays(float, shape, elements=small),
        arrays(float, shape[0], elements=small),
        arrays(float, shape[1], elements=st.integers(1, 4)),
    )
)


@given(tiny_problems, st.booleans())
def test_against_all_vertices(data, nonnegative):
    A, b, w = data
    full, costs = (A, w) if nonnegative else (np.hstack([A, -A]), np.tile(w, 2))
    expected = vertices(full, b, costs)
    problem = pb.LinearProblem(A, b)
    best = pb.minimal_l1(problem, nonnegative=nonnegative, weights=w)
    assert best.feasible == (expected is not None)
    if expected is None:
        assert_infeasible(problem, best, nonnegative)
    else:
        assert best.value == pytest.approx(expected, rel=1e-12, abs=1e-14)
        assert_optimal_l1(problem, best, nonnegative=nonnegative, weights=w)


@pytest.mark.parametrize(
    ("truth", "nonnegative"), [("gaussian", True), ("gaussian", False), ("sparse", True), ("signed", False)]
)
def test_the_size_of_the_paper(truth, nonnegative):
    problem = pb.gaussian_problem(3, 150, 1000, truth=truth, center_rows=truth == "gaussian")
    best = pb.minimal_l1(problem, nonnegative=nonnegative)
    assert_optimal_l1(problem, best, nonnegative=nonnegative)
    if truth != "gaussian":  # 10 nonzero entries and 150 rows: the vertex is the truth
        np.testing.assert_allclose(best.x, problem.x_true, atol=1e-13)


@given(st.integers(0, 10**6), st.floats(-8, 8), st.floats(-8, 8))
def test_scales(seed, log_a, log_b):
    problem = pb.gaussian_problem(seed, 6, 20)
    rows = 10.0 ** np.linspace(log_a, log_b, 6)
    scaled = pb.LinearProblem(problem.A * rows[:, None] * 10**log_a, problem.b * rows * 10**log_b)
    best = least(scaled)
    assert_optimal_l1(scaled, best)
    assert best.value == pytest.approx(least(problem).value * 10 ** (log_b - log_a), rel=1e-12)


def test_weights_are_a_change_of_columns():
    problem = pb.gaussian_problem(2, 20, 60)
    for w in (2.0 ** np.arange(-3, 3).repeat(10), pb.folded_gaussian_direction(5, 60) ** -4.0):
        weighted, plain = least(problem, weights=w), least(pb.LinearProblem(problem.A / w, problem.b))
        assert_optimal_l1(problem, weighted, weights=w)
        assert weighted.value == pytest.approx(plain.value, rel=1e-12)
    both = least(pb.stack([problem, problem]), weights=np.stack([np.ones(60), w]))
    assert both.value[1] == weighted.value != both.value[0]


def test_dependent_rows_and_repeated_columns():
    problem = pb.gaussian_problem(7, 20, 60)
    A = np.vstack([problem.A, problem.A[:8], 3 * problem.A[:4], problem.A[:4] + problem.A[4:8]])
    redundant = pb.LinearProblem(A, A @ problem.x_true)
    assert_optimal_l1(redundant, least(redundant))
    assert least(redundant).value == pytest.approx(least(problem).value, rel=1e-13)
    problem = pb.gaussian_problem(8, 20, 60, truth="sparse", s=3)
    wide = pb.LinearProblem(np.hstack([problem.A, np.zeros((20, 30)), problem.A, problem.A / 2]), problem.b)
    best = least(wide)
    assert_optimal_l1(wide, best)
    assert (best.x[60:90] == 0).all()
    assert best.value == pytest.approx(3, rel=1e-13)


def test_degenerate_vertices():
    n = 6  # the assignment polytope: every vertex is degenerate, and with unit costs every vertex is optimal
    A = np.vstack([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    problem = pb.LinearProblem(A, np.ones(2 * n))
    for costs in (np.ones(n * n), np.random.default_rng(0).integers(1, 5, n * n).astype(float)):
        assert_optimal_l1(problem, least(problem, weights=costs), weights=costs)


def test_square_and_tall_matrices_in_single_precision():
    x = np.abs(np.random.default_rng(1).standard_normal(12))
    for shape in ((12, 12), (30, 12)):
        A = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        best = least(pb.LinearProblem(A, A @ x))
        assert best.x.dtype == np.float64
        np.testing.assert_allclose(best.x, x, rtol=1e-11)


def test_a_right_hand_side_of_zeros():
    best = least(pb.LinearProblem(np.eye(2, 3), [0.0, 0.0]))
    assert best.value == best.gap == best.residual == np.abs(best.x).max() == np.abs(best.dual).max() == 0


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
def test_infeasible_problems(A, b, nonnegative):
    problem = pb.LinearProblem(A, b)
    assert_infeasible(problem, pb.minimal_l1(problem, nonnegative=nonnegative), nonnegative)


@pytest.mark.parametrize("weights", [0.0, [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0], [1.0, np.nan, 1.0], "abc"])
def test_invalid_weights(weights):
    with pytest.raises(pb.InvalidInput, match="weights"):
        least(pb.LinearProblem([[1.0, 2.0, 3.0]], [1.0]), weights=weights)


def test_near_singular_data_are_not_certified():
    hilbert = 1 / (np.arange(12)[:, None] + np.arange(30) + 1.0)
    bad = pb.LinearProblem(hilbert, hilbert @ np.linspace(1, 2, 30))
    with pytest.raises(pb.Inaccurate, match="near singular"):
        least(bad)
    good = pb.gaussian_problem(0, 12, 30)
    with pytest.raises(pb.Inaccurate, match=r"problem \[1\] of the batch"):
        least(pb.stack([pb.LinearProblem(good.A, good.b), bad]))


@pytest.mark.parametrize(
    ("x", "y", "nonnegative", "expected"),
    [
        ([1.0, 0.0], [1.0], True, [0, 0, 0, 0]),
        ([1.0, 0.0], [1.0], False, [0, 0, 1, 0]),
        ([1.5, 0.0], [0.5], True, [0.5, 0, 0, 2 / 3]),
        ([-1.0, 0.0], [1.0], True, [2, 1, 0, 0]),
        ([0.0, -0.5], [0.5], False, [0, 0, 0, 0]),
    ],
)
def test_violations(x, y, nonnegative, expected):
    problem = pb.LinearProblem([[1.0, -2.0]], [1.0])
    np.testing.assert_allclose(l1.violations(problem, np.array(x), np.array(y), np.ones(2), nonnegative), expected)


class TestRefinement:
    """The linear program's answer is a hint: the certificate decides."""

    @pytest.fixture
    def change(self, monkeypatch):
        def changed(change, *args, **options):
            found = linprog(*args, **options)
            change(found)
            return found

        return lambda change: monkeypatch.setattr(l1, "linprog", partial(changed, change))

    # At the degenerate vertex of a sparse truth the dual is determined by the active constraints off the support.
    @pytest.mark.parametrize("truth", ["gaussian", "sparse"])
    def test_solver_noise_is_removed(self, change, truth):
        rng = np.random.default_rng(0)

        def noise(found):
            found.x = found.x + (found.x > 0) * 1e-8 * rng.standard_normal(found.x.shape)
            found.eqlin.marginals = found.eqlin.marginals + 1e-11 * rng.standard_normal(found.eqlin.marginals.shape)

        problem = pb.gaussian_problem(0, 40, 150, truth=truth, s=4)
        expected = least(problem).value
        change(noise)
        best = least(problem)
        assert best.value == pytest.approx(expected, rel=1e-13)
        assert best.gap < 1e-14

    def test_a_bound_next_to_the_dual_is_no_equation(self, change):
        """The third column's slack of 5e-10 looks active; only the dual of the support is optimal."""

        def noise(found):
            found.eqlin.marginals = found.eqlin.marginals - 1e-11

        change(noise)
        best = least(pb.LinearProblem([[1.0, 0.0, 3.0], [0.0, 1.0, -2 - 5e-10]], [1.0, 1.0]))
        assert best.gap < 1e-15

    def test_a_wrong_vertex_or_a_false_verdict_of_infeasibility(self, change):
        def wrong(found):
            found.x = np.roll(found.x, 1)

        def refuse(found):
            found.x, found.status = None, 2

        for spoil in (wrong, refuse):
            change(spoil)
            with pytest.raises(pb.Inaccurate):
                least(pb.gaussian_problem(0, 10, 30))
