"""Selections of tables by figure and columns."""

import pandas as pd

from polarbias.experiments import QUICK
from polarbias.experiments.engine.results import LIMIT_LOSS_TOL, Results

BASE = {"figure": 2, "step_rule": "armijo", "centred": False, "loss": 0.0}


def frame(*changes):
    return pd.DataFrame([{**BASE, "id": at, **change} for at, change in enumerate(changes)])


def test_selections_have_armijo_steps_and_uncentred_rows_by_default():
    runs = frame({}, {"figure": 4}, {"step_rule": "stable"}, {"centred": True}, {"algorithm": "wn"})
    results = Results(QUICK, runs, runs.assign(step=0))
    assert list(results.select(2)["id"]) == [0, 4]
    assert list(results.select(2, step_rule="stable")["id"]) == [2]
    assert list(results.select(2, centred=True)["id"]) == [3]
    assert list(results.select_trajectories(2, algorithm="wn")["id"]) == [4]
    assert results.figures == [2, 4]
    empty = Results(QUICK, pd.DataFrame(), pd.DataFrame())
    assert empty.select(2).empty
    assert empty.select_limits(2).empty
    assert empty.figures == []


def test_limits_that_do_not_solve_the_system_are_left_out():
    losses = (0.0, LIMIT_LOSS_TOL, 1.01 * LIMIT_LOSS_TOL, 1.0)
    limits = frame(*({"step_rule": "limit", "loss": loss} for loss in losses))
    assert list(Results(QUICK, pd.DataFrame(), pd.DataFrame(), limits).select_limits(2)["id"]) == [0, 1]
