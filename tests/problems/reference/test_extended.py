"""Extended precision and the inverse of independent columns."""

import numpy as np
import pytest

from polarbias.problems.reference.extended import inverse, norm, ratio, residual, scaled, wide


def test_norms_neither_overflow_nor_underflow():
    assert float(norm(wide([3e300, 4e300]))) == pytest.approx(5e300)
    assert float(norm(np.array([3e-300, 4e-300]))) == pytest.approx(5e-300)
    assert norm(np.zeros(2)) == 0
    assert (ratio(0, 0), ratio(1, 0), ratio(1, 4)) == (0, np.inf, 0.25)


def test_residuals_have_extended_precision():
    x = np.array([1.0, 1e-17, -1.0])
    assert residual(np.ones((1, 3)), x, np.zeros(1)) == pytest.approx(-1e-17, rel=1e-2, abs=0)


def test_scales_are_exact():
    A, b = np.array([[8.0, 4.0], [0.7, 0.0], [0.0, 0.0]]), np.array([16.0, 4.0, 0.0])
    B, c, row, size = scaled(A, b)
    np.testing.assert_array_equal(B * row[:, None], A)
    np.testing.assert_array_equal(c * row * size, b)
    assert 0.5 < np.abs(B[:2]).max(1).min() < 1.5


def test_the_inverse_of_dependent_columns():
    rng = np.random.default_rng(0)
    B = rng.standard_normal((8, 3)) * [1.0, 1e6, 1e-6]
    twice = np.hstack([B, B[:, :1] + 1e-15 * rng.standard_normal((8, 1))])
    G = inverse(twice)
    assert (np.abs(G).max(axis=1) == 0).sum() == 1
    c = B @ [1.0, 1e-6, 1e6]
    np.testing.assert_allclose(twice @ (G @ c), c, rtol=1e-9)
    assert not inverse(np.zeros((3, 2))).any()
