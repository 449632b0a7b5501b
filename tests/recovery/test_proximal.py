"""Proximal point steps against the conditions that define them."""

import numpy as np
import pytest

from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.recovery.proximal import proximal_step
from pursuit_problems import gaussian, scaled


def step(problem, x, y, length=1.0, newton_steps=100):
    events, generator = [], proximal_step(problem, problem.measure(x, y), length, newton_steps)
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return end.value, events


@pytest.mark.parametrize("sigma", [0.0, 0.3])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_end_is_the_proximal_point(nonnegative, sigma):
    rng = np.random.default_rng(0)
    A, _, b = gaussian(0, 15, 40, 40, nonnegative)
    b /= np.linalg.norm(b)
    problem = scaled(A, b, nonnegative, sigma)
    x = 0.1 * rng.standard_normal(40)
    x = np.abs(x) if nonnegative else x
    (end, made, solved), events = step(problem, x, b)
    assert solved
    assert made == events.count(None) == len(events) / 2
    np.testing.assert_allclose(end.x, problem.soft_threshold(x + A.T @ end.y, 1.0), atol=1e-12)
    if sigma:
        np.testing.assert_allclose(A @ end.x + sigma * end.y / np.linalg.norm(end.y), b, atol=1e-10)
    else:
        np.testing.assert_allclose(A @ end.x, b, atol=1e-10)


def test_a_long_step_from_0_is_the_solution():
    A, x, b = gaussian(1, 30, 90, 4)
    b, x = b / np.linalg.norm(b), x / np.linalg.norm(b)
    (end, _, solved), _ = step(scaled(A, b), np.zeros(90), 0.1 * b, length=100.0)
    assert solved
    np.testing.assert_allclose(end.x, x, atol=1e-9)


def test_limits_and_unbounded_duals():
    A, _, b = gaussian(2, 15, 40, 40)
    (_, made, solved), _ = step(scaled(A, b), np.zeros(40), b, newton_steps=2)
    assert (made, solved) == (2, False)
    for sigma in (0.0, 0.1):
        with pytest.raises(InfeasibleSystem) as caught:
            step(scaled(np.abs(A), -np.ones(15), True, sigma), np.zeros(40), -np.ones(15))
        assert (np.abs(A).T @ caught.value.direction <= 1e-12).all()
