"""Selections of tables by figure and columns."""

import pandas as pd

from polarbias.experiments import QUICK
from polarbias.experiments.engine.results import LIMIT_LOSS_TOL, Results, counted

EMPTY = pd.DataFrame()


def frame(*changes):
    base = {"figure": 2, "step_rule": "armijo", "centred": False, "loss": 0.0}
    return pd.DataFrame([{**base, "id": at, **change} for at, change in enumerate(changes)])


def test_selections_have_armijo_steps_and_uncentred_rows_by_default():
    runs = frame({}, {"figure": 4}, {"step_rule": "stable"}, {"centred": True}, {"algorithm": "wn"})
    results = Results(QUICK, runs, runs.assign(step=0))
    for options, ids in (({}, [0, 4]), ({"step_rule": "stable"}, [2]), ({"centred": True}, [3])):
        assert list(results.select(2, **options)["id"]) == ids
    assert list(results.select_trajectories(2, algorithm="wn")["id"]) == [4]
    assert results.figures == [2, 4]
    empty = Results(QUICK, EMPTY, EMPTY)
    assert (len(empty.select(2)), len(empty.select_limits(2)), empty.figures) == (0, 0, [])


def test_limits_that_do_not_solve_the_system_are_left_out():
    losses = (0.0, LIMIT_LOSS_TOL, 1.01 * LIMIT_LOSS_TOL, 1.0)
    limits = frame(*({"step_rule": "limit", "loss": loss} for loss in losses))
    assert list(Results(QUICK, EMPTY, EMPTY, limits).select_limits(2)["id"]) == [0, 1]


def test_the_most_frequent_status_is_counted_first():
    assert counted(pd.Series(["converged", "max_steps", "max_steps"])) == ["2 max steps", "1 converged"]
