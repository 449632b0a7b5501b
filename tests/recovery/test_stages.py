"""The order of the stages, and the fallbacks."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.recovery import stages as module
from polarbias.recovery.stages import stages
from pursuit_problems import assert_infeasible, assert_optimal, gaussian, scaled


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_fallback_without_cholesky_factorizations(monkeypatch, nonnegative):
    monkeypatch.setattr(module, "greedy", lambda problem: iter(()))
    monkeypatch.setattr(module, "cholesky_factorization", lambda *_: lambda v: np.full_like(v, np.nan))
    for seed, s in enumerate((2, 6, 100)):
        A, _, b = gaussian(seed, 20, 100, s, nonnegative)
        A, b = np.vstack([A, A[0] - A[1]]), np.append(b, b[0] - b[1])
        assert_optimal(A, b, pb.basis_pursuit(A, b, nonnegative=nonnegative), nonnegative=nonnegative)
    b[0] += 1
    assert_infeasible(A, b, pb.basis_pursuit(A, b, nonnegative=nonnegative), nonnegative=nonnegative)


def test_entries_over_six_decades_without_the_fallback(monkeypatch):
    """Solutions of M entries, some far below the largest: the support is completed."""
    monkeypatch.setattr(module, "qr_factorization", None)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((150, 1500)) / 150**0.5
    x = np.zeros(1500)
    x[rng.permutation(1500)[:30]] = rng.standard_normal(30) * 10.0 ** rng.uniform(-6, 0, 30)
    assert_optimal(A, A @ x, pb.basis_pursuit(A, A @ x))


def test_proximal_steps_where_the_barrier_fails_with_noise(monkeypatch):
    monkeypatch.setattr(module, "interior_points", lambda *_: iter(()))
    A, _, b = gaussian(5, 30, 120, 5)
    b += 0.02 * np.random.default_rng(0).standard_normal(30)
    assert_optimal(A, b, pb.basis_pursuit(A, b, 0.1), sigma=0.1)


def test_proximal_steps_have_a_budget_of_newton_steps(monkeypatch):
    budgets, lengths = [], []

    def proximal_step(problem, start, length, newton_steps):
        budgets.append(newton_steps)
        lengths.append(length)
        yield None
        return start, 60, True

    monkeypatch.setattr(module, "proximal_step", proximal_step)
    A, _, b = gaussian(5, 36, 120, 5)
    list(module._proximal_steps(scaled(A, b, sigma=0.1), None))
    assert budgets == [500, 440, 380, 320, 260, 200, 140, 80]
    np.testing.assert_allclose(lengths, 5.0 * 10.0 ** np.arange(8))


def test_a_problem_without_columns_is_infeasible():
    problem = scaled(np.zeros((2, 0)), np.array([1.0, 2.0]))
    with pytest.raises(InfeasibleSystem) as caught:
        next(stages(problem, None))
    np.testing.assert_array_equal(caught.value.direction, [1, 2])


def test_a_solution_as_warm_start_is_the_first_iterate():
    A, x, b = gaussian(6, 30, 120, 3)
    problem = scaled(A, b)
    start = problem.measure(x * (1 + 1e-7), np.linalg.lstsq(A[:, x != 0].T, np.sign(x[x != 0]), rcond=None)[0])
    first = next(next(stages(problem, start))(None))
    np.testing.assert_allclose(first.x, x, atol=1e-13)
