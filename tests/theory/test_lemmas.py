"""Rows of sections 3.1 to 3.3: true solutions hold, corrupted ones are violations."""

from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
import verification as v
from polarbias.theory import lemmas
from polarbias.theory.verdict import Verdict


def longer(run, limit):
    return replace(limit, theta=limit.theta._replace(u=1.01 * limit.theta.u))


@pytest.mark.parametrize(
    ("row", "key", "changes"),
    [
        (lemmas.consistency, v.WN2, {"r": v.times(1.01)}),
        (lemmas.lemma_3_2, v.WN2, {"u": v.grown}),
        (lemmas.lemma_3_3, v.WN2, {"x": v.first_entry(-1.0)}),
        (lemmas.lemma_3_4, v.WN2, {"loss": lambda value, t: value + 0.01 * t}),
        (lemmas.lemma_3_6, v.PLAIN, {"log_x": v.first_log(0.01)}),
        (lemmas.lemma_3_6, (8, 3, 7, 1, "plain"), {"log_x": v.first_log(0.01)}),
        (lemmas.lemma_3_7, v.WN2, {"r": v.times(1.01)}),
        (lemmas.lemma_3_7, v.WN1, {"log_x": v.first_log(0.01)}),
        (lemmas.lemma_3_9, v.CENTRED, {"log_x": v.first_log(0.01)}),
        (lemmas.lemma_3_11, v.WN2, {"r": v.times(30.0)}),
    ],
)
def test_corrupted_trajectories(row, key, changes):
    v.assert_detects_trajectory(row, key, **changes)


@pytest.mark.parametrize(
    ("row", "key", "corrupt"),
    [
        (lemmas.consistency, v.WN2, lambda run, limit: replace(limit, loss=np.float64(1e-3))),
        (lemmas.consistency, v.WN3, {"r": 1.01}),
        (lemmas.lemma_3_1, v.WN2, v.other_start),
        (lemmas.lemma_3_2, v.WN2, longer),
        (lemmas.lemma_3_3, v.WN2, lambda run, limit: replace(limit, x=v.first_entry(-1.0)(limit.x, 0))),
        (lemmas.lemma_3_4, v.WN2, lambda run, limit: replace(limit, loss=np.float64(1e3))),
        (lemmas.lemma_3_6, v.PLAIN, v.other_start),
        (lemmas.lemma_3_7, v.WN3, {"r": 1.01}),
        (lemmas.lemma_3_8, v.WN2, {"r": 1.01}),
        (lemmas.lemma_3_8, v.WN3, {"r": 1.01}),
        (lemmas.lemma_3_10, v.WN2, v.other_start),
    ],
)
def test_corrupted_limits(row, key, corrupt):
    v.assert_detects_limit(row, key, corrupt)


def test_descent():
    run, _, _ = v.solved(v.WN2)
    with_x = pb.gradient_descent(*run, step=pb.ConstantStep(0.01), max_steps=500, keep_x=True)
    for end in (with_x, replace(with_x, trajectory=replace(with_x.trajectory, x=None))):
        path, theta = end.trajectory, end.theta
        for row, wrong in {
            lemmas.consistency: replace(end, loss=end.loss * 1.5 + 1e-6),
            lemmas.lemma_3_2: replace(end, theta=theta._replace(u=theta.u * 0.99)),
            lemmas.lemma_3_3: replace(end, theta=theta._replace(u=-theta.u)),
            lemmas.lemma_3_4: replace(end, trajectory=replace(path, loss=path.loss[::-1])),
        }.items():
            v.assert_detects(row, run, end, wrong)
            assert row(v.evidence(run, end)).statement.endswith("(descent)") or row is lemmas.consistency
    invariant = lemmas.lemma_3_7(v.evidence(run, end))
    assert invariant.verdict == Verdict.UNDECIDED
    assert "drift" in invariant.observed
