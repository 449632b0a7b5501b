"""Rows of the equations of the flow: true flows hold, corrupted ones are violations."""

import numpy as np
import pytest

import verification as v
from polarbias.theory import equations
from polarbias.theory.evidence import Evidence
from polarbias.theory.verdict import Verdict

ONE_EQUATION = (9, 1, 4, 2, "constant")


def slow_start(value, t):
    return 0.9 * value[..., :1] + 0.1 * value


@pytest.mark.parametrize(
    ("row", "key", "changes"),
    [
        (equations.vector_field, v.WN2, {"theta": lambda value, t: value._replace(r=v.grown(value.r, t))}),
        (equations.vector_field, v.PLAIN, {"theta": lambda value, t: value._replace(x=v.grown(value.x, t))}),
        (equations.lemma_3_5, v.WN2, {"loss": lambda value, t: value * 0 + 1.0}),
        (equations.angle_condition, v.WN2, {"loss": slow_start}),
        (equations.rest_condition, v.WN2, {"loss": slow_start}),
        (equations.lemma_3_13, v.WN2, {"r": v.times(1.01)}),
        (equations.corollary_3_14, v.SQUARE, {"r": v.times(1.01)}),
        (equations.local_convergence, ONE_EQUATION, {"stretch": 1.5}),
        (equations.local_convergence, ONE_EQUATION, {"stretch": 0.6}),
    ],
)
def test_corrupted_trajectories(row, key, changes):
    v.assert_detects_trajectory(row, key, **changes)


def test_rows_need_a_trajectory():
    run, _, limit = v.solved(v.WN2)
    rows = [row(v.evidence(run, limit)) for row in equations.EQUATIONS]
    assert [row.statement for row in rows][:2] == ["(12), (13)", "Lemma 3.5, (31) corrected"]
    for row in rows:
        wanted = Verdict.NOT_MET if row.statement == "Corollary 3.14, (54)" else Verdict.UNDECIDED
        assert row.verdict == wanted
        assert wanted == Verdict.NOT_MET or row.observed == "the solution has no trajectory"


def test_gradient_is_that_of_the_loss():
    run, flow, _ = v.solved(v.WN2)
    ev: Evidence = v.evidence(run, flow)
    x, h = np.linspace(0.3, 1.2, 7), 1e-6

    def loss(x):
        return ((ev.matrix @ x**2 - run[0].b) ** 2).sum() / 4

    slope = [(loss(x + h * e) - loss(x - h * e)) / (2 * h) for e in np.eye(7)]
    np.testing.assert_allclose(equations._gradient(ev, x[None])[0], slope, rtol=1e-7)
