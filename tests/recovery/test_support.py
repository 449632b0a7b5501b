"""Exact pairs on a guessed support."""

import numpy as np
import pytest

from polarbias.recovery.support import (
    complete,
    independent_part,
    polish,
    polish_large_entries,
    restore_feasibility,
    vertex,
)
from pursuit_problems import gaussian, scaled


def test_polish_solves_both_systems():
    A, x, b = gaussian(0, 20, 60, 5)
    support, y = np.flatnonzero(x), np.random.default_rng(0).standard_normal(20)
    found = polish(scaled(A, b), np.sign(x), y, support)
    np.testing.assert_allclose(found.x, x, atol=1e-13)
    np.testing.assert_allclose(A[:, support].T @ found.y, np.sign(x[support]), atol=1e-13)
    orthogonal = np.linalg.svd(A[:, support], full_matrices=True)[0][:, 5:]
    np.testing.assert_allclose(orthogonal.T @ found.y, orthogonal.T @ y, atol=1e-12)
    assert found.residual < 1e-14
    assert polish(scaled(A, b), -x, y, support) is None  # the signs change
    assert polish(scaled(A, b), x, y, np.zeros(0, int)) is None
    noisy = np.where(x == 0, 1e-11, x)  # rounding is no part of a support
    np.testing.assert_allclose(polish_large_entries(scaled(A, b), noisy, y).x, x, atol=1e-13)


def test_polish_of_more_columns_than_rows():
    A, _, _ = gaussian(0, 20, 60, 5)
    x = np.where(np.arange(60) < 22, 1.0, 0.0)
    found = polish(scaled(A, A @ x, nonnegative=True), x, A @ np.ones(60), np.arange(22))
    np.testing.assert_allclose(found.x, x, atol=1e-12)


def test_dependent_columns_leave_the_support():
    A, x, b = gaussian(1, 10, 30, 3)
    A[:, 5] = A[:, np.flatnonzero(x)[0]]
    guess = x.copy()
    guess[5] = guess[np.flatnonzero(x)[0]] = x[x != 0][0] / 2
    support = independent_part(scaled(A, b), guess, np.flatnonzero(guess))
    assert support.size == 3
    found = polish(scaled(A, b), guess, np.zeros(10), support)
    np.testing.assert_allclose(A @ found.x, b, atol=1e-14)


def test_noise_puts_the_image_on_the_sphere():
    A, _, _ = gaussian(3, 20, 60, 4)
    x = np.where(np.arange(60) < 4, [1.0, -1.0] * 30, 0.0)
    b = A @ x
    found = polish(scaled(A, b, sigma=0.1), x, np.zeros(20), np.arange(4))
    residual = b - A @ found.x
    assert np.linalg.norm(residual) == pytest.approx(0.1, rel=1e-12)
    np.testing.assert_allclose(found.y / np.linalg.norm(found.y), residual / 0.1, atol=1e-12)
    assert polish(scaled(A, np.roll(b, 1), sigma=1e-3), x, np.zeros(20), np.arange(4)) is None
    moved = restore_feasibility(scaled(A, b, sigma=0.1), 0.5 * x, found.y)
    assert moved.residual < 1e-4
    assert set(np.flatnonzero(moved.x)) == set(range(4))
    np.testing.assert_array_equal(
        restore_feasibility(scaled(A, b, sigma=0.1), x + 1e-3 * (x != 0), found.y).x[:4], x[:4] + 1e-3
    )


def test_vertices():
    A, x, b = gaussian(4, 20, 60, 20)
    slack = np.where(x != 0, 1e-3, 1.0)
    found = vertex(scaled(A, b), x, slack)
    np.testing.assert_allclose(found.x, x, atol=1e-12)
    np.testing.assert_allclose((A.T @ found.y)[x != 0], np.sign(x[x != 0]), atol=1e-11)
    assert vertex(scaled(A, b, nonnegative=True), x, slack) is None
    assert vertex(scaled(A[:, :10], b), x[:10], slack[:10]) is None


@pytest.mark.parametrize("nonnegative", [False, True])
def test_a_support_that_lacks_small_entries_is_completed(nonnegative):
    rng = np.random.default_rng(1)
    m, n = 40, 160
    A, y = rng.standard_normal((m, n)), rng.standard_normal(m)
    signs = np.ones(n) if nonnegative else np.sign(A.T @ y)
    # The dual constraints are active on the first M columns alone, and nearly so on the next ten.
    wanted = np.select([np.arange(n) < m, np.arange(n) < m + 10], [1.0, 1.0 - 1e-6], 0.3) * signs
    A += np.outer(y, wanted - A.T @ y) / (y @ y)
    x = np.where(np.arange(n) < m, signs * rng.uniform(0.5, 2, n), 0.0)
    lost, spurious = rng.permutation(m)[:4], m + 3
    x[lost] *= 1e-8
    problem = scaled(A, A @ x, nonnegative)
    guess = np.where(np.isin(np.arange(n), lost), 0.0, x)
    guess[spurious] = 1e-10 * signs[spurious]
    found = complete(problem, problem.measure(guess, y))
    np.testing.assert_allclose(found.x, x, atol=1e-11)
    assert found.error < 1e-13
    tall = scaled(np.vstack([A] * 8), np.tile(A @ x, 8), nonnegative)
    assert complete(tall, tall.measure(np.zeros(n), np.zeros(8 * m))) is None  # too many candidates
