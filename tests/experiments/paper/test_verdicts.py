"""Verdicts from predicates and statuses, and comparisons of plain and weight-normalized runs."""

import numpy as np
import pandas as pd
import pytest

from polarbias.experiments import QUICK
from polarbias.experiments.engine.results import Results
from polarbias.experiments.paper import verdicts
from polarbias.experiments.paper.verdicts import FAILED, HELD, UNDECIDED
from statement_rows import FAR, LOST, OPEN, row


def test_open_runs_leave_a_predicate_undecided():
    assert [verdicts.verdict(true, count) for count in (0, 1) for true in (True, False)] == [
        HELD,
        FAILED,
        UNDECIDED,
        UNDECIDED,
    ]


@pytest.mark.parametrize(
    ("true", "turns", "expected"),
    [
        ([1, 1], [0, 0], HELD),
        ([1, 0], [0, 0], FAILED),
        ([1, 0], [0, 1], UNDECIDED),
        ([1, 1], [0, 1], UNDECIDED),
        ([0, 0], [1, 0], FAILED),
        ([], [], UNDECIDED),
    ],
)
def test_one_settled_counterexample_decides(true, turns, expected):
    assert verdicts.every(pd.Series(true, dtype=bool), pd.Series(turns, dtype=bool)) is expected


def test_far_and_lost_runs():
    failed = "line_search_failed"
    states = [{}, OPEN, FAR, {**FAR, "loss": np.nan}, {"status": "diverged", "loss": np.nan}, LOST]
    states += [{**LOST, "loss": 1e-3}]  # X = 0 from a large start
    states += [{"status": failed, "loss": 1e-11}, {"status": failed, "loss": 0.02}]
    runs = pd.DataFrame([row(2, "wn", 1.0, **state) for state in states])
    assert list(np.flatnonzero(verdicts.is_far(runs))) == [2, 3]
    assert list(np.flatnonzero(verdicts.is_lost(runs))) == [4, 5, 6, 8]
    assert verdicts.count_open(runs) == 3
    assert verdicts.lost_of(runs) == "; 2 collapsed; 1 diverged; 1 line search failed"


def test_pairs_of_runs():
    rows = [
        row(2, name, r0, eps1_cert=error) for name, error in (("plain", 3.0), ("wn", 2.0)) for r0 in (0.1, 1.0, 9.0)
    ]
    rows[0].update(LOST)  # plain, 0.1
    rows[4].update(OPEN)  # wn, 1.0
    rows[5].update(LOST)  # wn, 9.0
    rows += [row(4, "wn", 0.5), row(2, "wn-separate", 0.1), row(2, "wn", 0.1, centred=True)]
    table = verdicts.paired(Results(QUICK, pd.DataFrame(rows), pd.DataFrame()), 2, "eps1_cert")
    assert list(table["r0"]) == [0.1, 1.0, 9.0]
    assert list(table["plain"]) == [0, 3, 3]
    assert list(table["wn"]) == [2, 2, 0]
    np.testing.assert_array_equal(table[["far", "open", "lost"]].T, np.eye(3))
    assert list(verdicts.below(table)["r0"]) == [0.1, 1.0]
