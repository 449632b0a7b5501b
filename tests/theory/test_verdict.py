"""Verdicts from hypotheses and observations."""

import math

import pytest

from polarbias.theory.statement import Hypothesis
from polarbias.theory.verdict import Verdict, at_most, judge

MET, UNMET = Hypothesis("met", True), Hypothesis("unmet", False)


@pytest.mark.parametrize(
    ("agrees", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.VIOLATED), (None, Verdict.UNDECIDED)]
)
def test_observations(agrees, verdict):
    row = judge("name", [MET], "prediction", lambda: ("text", agrees))
    assert (row.verdict, row.observed, row.unmet) == (verdict, "text", ())


def test_nothing_is_observed_without_hypotheses_or_data():
    def observe():
        raise AssertionError

    row = judge("name", [MET, UNMET], "prediction", observe, "missing")
    assert (row.verdict, row.observed, row.unmet) == (Verdict.NOT_MET, "", (UNMET,))
    row = judge("name", [MET], "prediction", observe, "missing")
    assert (row.verdict, row.observed) == (Verdict.UNDECIDED, "missing")


def test_at_most():
    assert at_most("size", 1.0, 1.0) == ("size 1", True)
    assert at_most("size", 1.1, 1.0)[1] is at_most("size", math.nan, 1.0)[1] is False
