"""Rows of Bregman divergences: true solutions hold, corrupted ones are violations."""

from dataclasses import replace

import verification as v
from polarbias.theory import divergence


def test_corrupted_trajectories():
    v.assert_detects_trajectory(divergence.lemma_3_17, v.SQUARE, loss=v.times(1.01))
    v.assert_detects_trajectory(divergence.monotonicity, v.WN2, log_x=v.first_log(0.1))


def test_corrupted_limits():
    v.assert_detects_limit(
        divergence.lemma_3_16, v.WN2, lambda run, limit: replace(limit, x=v.first_entry(-1.0)(limit.x, 0))
    )
    v.assert_detects_limit(divergence.lemma_3_18, v.SQUARE, {"x": 1.01})
