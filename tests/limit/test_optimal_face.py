"""Limits with many minimal l1 solutions, against path following in mpmath and the maximiser over the face."""

import numpy as np
import pytest
from scipy.optimize import linprog

import polarbias as pb
from oracles_mpmath import plain_limit_mpmath
from polarbias.limit.optimal_face import OptimalFace


def problem_of(kind, seed, m=4, n=14):
    """Return an integer problem whose minimal l1 solutions fill a face more often than not."""
    rng = np.random.default_rng([seed, len(kind)])
    if kind == "signs":
        A = rng.choice([-1.0, 1.0], (m, n))
    elif kind == "bits":
        A = (rng.random((m, n)) < 0.5) * 1.0
    else:
        A = rng.poisson(1.5, (m, n)) * 1.0
    x = np.zeros(n)
    x[rng.choice(n, 4, replace=False)] = rng.integers(1, 5, 4)
    return pb.LinearProblem(A, A @ x)


def test_the_face_of_three_entries_has_the_point_with_the_largest_power_sum():
    problem = pb.LinearProblem([[1.0, 1, 1], [3, 0, 1]], [3.0, 3.0])
    network = pb.WeightNormalization(pb.HadamardPower(6), 0.05)
    limit = pb.flow_limit(problem, network, network.init(0.5, np.ones(3)))
    t = np.linspace(0, 1, 100_001)
    on_face = np.stack([t, 2 * t, 3 - 3 * t])
    best = on_face[:, (on_face ** (1 / 3)).sum(0).argmax()]
    assert limit.converged
    np.testing.assert_allclose(limit.x, best, atol=1e-4)
    np.testing.assert_allclose(limit.x, [0.662328622367, 1.32465724473, 1.0130141329], rtol=1e-10)


@pytest.mark.parametrize("kind", ["signs", "bits", "counts"])
@pytest.mark.parametrize("depth", [3, 4, 6])
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(2, 12))])
def test_integer_problems(kind, depth, seed):
    problem, network = problem_of(kind, seed), pb.HadamardPower(depth)
    for scale in (1e-1, 1e-4):
        theta0 = network.init(scale, np.ones(problem.n))
        limit = pb.flow_limit(problem, network, theta0)
        assert limit.converged
        np.testing.assert_allclose(limit.x, plain_limit_mpmath(problem, depth, theta0.x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", [1, 3, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(4, 40))])
@pytest.mark.parametrize("signed", [False, True])
def test_bounds_that_are_nearly_active(seed, signed):
    """Columns repeated up to factors 1 - 10^-k have slacks of that size."""
    rng = np.random.default_rng(seed)
    A = rng.choice([-1.0, 0.0, 1.0, 2.0], (4, 8))
    A = np.hstack([A, A[:, rng.integers(0, 8, 6)] * (1 - 10.0 ** -rng.integers(0, 15, 6))])
    x = np.zeros(14)
    x[rng.choice(14, 4, replace=False)] = rng.random(4) + 0.2
    problem, depth = pb.LinearProblem(A, A @ x), int(rng.integers(3, 7))
    network = (pb.HadamardDifference if signed else pb.HadamardPower)(depth)
    theta0 = network.init(10.0 ** -rng.integers(1, 6), np.ones(14 * (1 + signed)))
    limit = pb.flow_limit(problem, network, theta0)
    right = plain_limit_mpmath(problem, depth, network.factor(theta0), signed=signed)
    assert limit.converged
    np.testing.assert_allclose(limit.x, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [3, 6])
def test_scales_down_to_1e_300_end_in_the_same_point_of_the_face(depth):
    problem, network = problem_of("counts", 3), pb.HadamardPower(depth)
    starts = network.init(np.array([1e-12, 1e-60, 1e-150]), np.ones(problem.n))
    limits = pb.flow_limit(problem, network, starts)
    assert limits.converged.all()
    np.testing.assert_allclose(limits.x[1:], limits.x[:1].repeat(2, axis=0), rtol=1e-12, atol=1e-12)
    least = linprog(np.ones(problem.n), A_eq=problem.A, b_eq=problem.b).fun
    np.testing.assert_allclose(limits.x.sum(-1), least, rtol=1e-9)


def test_permutations_signs_and_copies():
    problem, network = problem_of("signs", 5), pb.HadamardPower(4)
    theta0 = network.init(1e-5, np.ones(problem.n))
    x = pb.flow_limit(problem, network, theta0).x
    rng = np.random.default_rng(0)
    columns, rows = rng.permutation(problem.n), rng.permutation(problem.m)
    signs = rng.choice([-1.0, 1.0], problem.m)
    turned = pb.LinearProblem((signs[:, None] * problem.A[rows])[:, columns], signs * problem.b[rows])
    np.testing.assert_allclose(pb.flow_limit(turned, network, theta0).x, x[columns], atol=1e-12)
    twice = pb.LinearProblem(np.hstack([problem.A, problem.A]), problem.b)
    halves = pb.flow_limit(twice, network, network.init(1e-5, np.ones(2 * problem.n))).x.reshape(2, -1)
    np.testing.assert_allclose(halves[0], halves[1], atol=1e-12)


def test_steps_are_few():
    """A count of Newton steps: a constant that matters moved if it changes."""
    columns, b, n = np.array([[1.0, 3.0], [1.0, 0.0], [1.0, 1.0]]), np.array([3.0, 3.0]), 3
    face = OptimalFace(columns, b, np.ones(n), 6)
    x = np.array([0.6, 1.3, 1.1])
    assert face.start(-9.0, np.array([1.0, 0.0]) * (1 - 1e-4), np.exp(-9.0) * x ** (-1 / 1.5))
    assert face.follow(-2000.0)
    assert face.limiting
    assert face.steps <= 15
