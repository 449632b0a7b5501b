"""Interior points: feasibility, convergence, and both factorizations."""

import numpy as np
import pytest

from polarbias.recovery.interior_point import Ball, cholesky_factorization, interior_points, qr_factorization
from polarbias.recovery.scaled_problem import ScaledProblem
from pursuit_problems import gaussian, linear_program, scaled


def run(problem, y, factorize=cholesky_factorization, used=60):
    events = list(interior_points(problem, y, factorize, used))
    points = [one for one in events if one is not None]
    assert events.count(None) == len(points)
    return points


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize(("large_start", "factorize"), [(False, cholesky_factorization), (True, qr_factorization)])
def test_convergence_from_inside_the_bounds(nonnegative, large_start, factorize):
    A, _, b = gaussian(0, 20, 80, 80, nonnegative)
    b /= np.linalg.norm(b)
    problem = scaled(A, b, nonnegative)
    points = run(problem, None if large_start else b, factorize, 80 if large_start else 60)
    value = linear_program(A, b, nonnegative=nonnegative)[1]
    assert points[-1].gap < 1e-8
    assert np.abs(points[-1].x).sum() == pytest.approx(value, rel=1e-8)
    assert len(points) < 25
    for point in points:
        np.testing.assert_allclose(point.correlations, A.T @ point.y, atol=1e-10)
        assert problem.excess(point.correlations) < 1e-14
        assert (point.slack > 0).all()
        assert b @ point.y <= value * (1 + 1e-9)
        assert point.residual_norm == pytest.approx(np.linalg.norm(b - A @ point.x), abs=1e-12)


def test_noise():
    A, _, b = gaussian(1, 20, 80, 4)
    b /= np.linalg.norm(b)
    point = run(scaled(A, b, sigma=0.2), b)[-1]
    assert point.residual_norm == pytest.approx(0.2, rel=1e-5)
    assert np.abs(point.x).sum() == pytest.approx(b @ point.y - 0.2 * np.linalg.norm(point.y), rel=1e-7)


def test_bounds_of_0_are_reached_in_the_course_of_the_steps():
    A, _, b = gaussian(3, 20, 80, 80, True)
    problem = ScaledProblem(scaled(A, b).columns, b, np.where(np.arange(80) < 5, 0.0, 1.0), True)
    point = run(problem, b)[-1]
    assert problem.excess(point.correlations) < 1e-7
    assert point.gap < 1e-6


@pytest.mark.parametrize("ball", [None, Ball(3.0, np.eye(6)[0])])
def test_factorizations_solve_weighted_systems(ball):
    rng = np.random.default_rng(4)
    rows, weights, v = rng.standard_normal((30, 6)), 10.0 ** rng.uniform(-6, 0, 30), rng.standard_normal(6)
    matrix = (rows * weights[:, None]).T @ rows
    if ball:
        matrix += np.array([ball.apply(unit) for unit in np.eye(6)])
    np.testing.assert_allclose(matrix @ cholesky_factorization(rows, weights, ball)(v), v, atol=1e-6)
    if not ball:
        np.testing.assert_allclose(matrix @ qr_factorization(rows, weights, None)(v), v, atol=1e-9)
        singular = cholesky_factorization(np.zeros((30, 6)), weights, None)
        assert np.isnan(singular(v)).all()
