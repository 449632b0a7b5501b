"""Matching pursuit and its dual vectors."""

import numpy as np
import pytest

from polarbias.recovery.greedy import greedy
from pursuit_problems import gaussian, scaled


def run(*args, **options):
    events = list(greedy(scaled(*args, **options)))
    return [one for one in events if one is not None], events.count(None)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_sparse_signals_are_found_and_certified(nonnegative):
    A, x, b = gaussian(0, 60, 240, 6, nonnegative)
    found, steps = run(A, b, nonnegative)
    np.testing.assert_allclose(found[-1].x, x, atol=1e-13)
    assert found[-1].error < 1e-12
    assert steps <= 8
    assert all(np.array_equal(one.x, found[0].x) for one in found)
    excess = [one.dual_infeasibility for one in found]
    assert excess[-1] == min(excess)


def test_violated_bounds_are_fixed():
    A, x, b = gaussian(0, 60, 240, 12)
    found, _ = run(A, b)
    assert len(found) == 9
    assert found[0].dual_infeasibility > 0.9
    assert found[-1].error < 1e-12
    np.testing.assert_allclose(found[-1].x, x, atol=1e-12)


@pytest.mark.parametrize(
    ("seed", "s", "nonnegative"),
    [(1, 240, False), (2, 5, True)],  # a dense signal; a sparse one with negative entries
)
def test_signals_are_given_up(seed, s, nonnegative):
    A, _, b = gaussian(seed, 60, 240, s)
    found, steps = run(A, b, nonnegative)
    assert not found
    assert steps <= 10


def test_dependent_columns_end_the_search():
    A, _, b = gaussian(3, 20, 60, 2)
    A[:, 1:] = A[:, :1]
    assert not run(A, b)[0]
