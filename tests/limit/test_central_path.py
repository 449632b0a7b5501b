"""Points near the central path against the equations that define it."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.limit.central_path import central_point, max_step
from polarbias.linalg.normal_equations import normal_equations


def operator(seed=0, feasible=True):
    rng = np.random.default_rng(seed)
    A = np.abs(rng.standard_normal((5, 15))) if not feasible else rng.standard_normal((5, 15))
    b = A @ np.abs(rng.standard_normal(15)) if feasible else -np.ones(5)
    return normal_equations(pb.LinearProblem(A, b), signed=False)


@pytest.mark.parametrize("mu", [1.0, 1e-3, 1e-9])
@pytest.mark.parametrize("graded", [False, True])
def test_points_near_the_path(mu, graded):
    op, w = operator(), np.linspace(0.5, 2.0, 15)
    point = central_point(op, w, lambda x: np.log(mu), graded=graded)
    assert np.linalg.norm(op.apply(point.x) - op.b) < 0.01 * np.linalg.norm(op.b)
    np.testing.assert_allclose(point.q, w - op.adjoint(point.eta), rtol=1e-6, atol=1e-12)
    assert (np.abs(np.log(point.x * point.q / mu)) < 2.7).all()  # the slack is recomputed
    assert point.steps <= 30


def test_infeasible_problems_have_no_path():
    assert central_point(operator(feasible=False), np.ones(15), lambda x: np.log(1e-6)) is None


def test_steps_to_the_boundary():
    assert max_step(np.array([1.0, 2.0]), np.array([-2.0, 1.0])) == 0.5
    assert max_step(np.array([1.0, 2.0]), np.array([-0.1, 1.0])) == 1.0
    assert max_step(np.ones(2), np.ones(2)) == 1.0


@pytest.mark.parametrize(("mu", "steps"), [(1e-2, 3), (1e-9, 5)])
def test_the_number_of_steps(mu, steps):
    assert central_point(operator(), np.ones(15), lambda x: np.log(mu)).steps == pytest.approx(steps, abs=1)
