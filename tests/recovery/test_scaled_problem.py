"""The scaled problem and the accuracy of its iterates."""

import numpy as np
import pytest

from pursuit_problems import scaled

A, B = np.array([[1.0, 2.0]]), np.array([2.0])


def accuracy(found):
    return found.value, found.gap, found.residual, found.dual_infeasibility


def test_the_accuracy_of_a_pair():
    assert accuracy(scaled(A, B).measure(np.array([2.0, 0.0]), np.array([0.25]))) == (2, 0.75, 0, 0)
    assert accuracy(scaled(A, B).measure(np.array([0.0, 0.5]), np.array([1.0]))) == (0.5, -1, 0.5, 1)
    assert accuracy(scaled(A, B, sigma=1.0).measure(np.array([0.0, 0.25]), np.array([0.5]))) == (0.25, -1, 0.5, 0)
    assert scaled(A, B).measure(np.array([0.0, 0.5]), np.array([1.0])).error == 1
    assert scaled(A, B).measure(np.zeros(2), np.zeros(1)).gap == 0
    assert scaled(A, B, True).measure(np.zeros(2), np.array([-1.0])).dual_infeasibility == 0
    given = scaled(A, B).measure(np.zeros(2), np.zeros(1), np.array([3.0, 0.0]), 1.0, interior=True)
    assert accuracy(given)[2:] == (0.5, 2)
    assert given.interior


def test_soft_thresholds():
    v = np.array([-3.0, 0.5])
    np.testing.assert_array_equal(scaled(A, B).soft_threshold(v, 1.0), [-2, 0])
    np.testing.assert_array_equal(scaled(A, B, True).soft_threshold(-v, 1.0), [2, 0])
    assert scaled(A, B, sigma=1.0).radius == pytest.approx(1, abs=1e-14)
    assert scaled(A, B, sigma=1.0).radius < 1
