"""Verdicts from hypotheses and observations."""

import math

import pytest

from polarbias.errors import Inaccurate
from polarbias.theory.statement import Hypothesis
from polarbias.theory.verdict import Statement, Verdict, at_most, register_check

MET, UNMET = Hypothesis("met", True), Hypothesis("unmet", False)


@pytest.mark.parametrize(
    ("agrees", "verdict"), [(True, Verdict.HOLDS), (False, Verdict.VIOLATED), (None, Verdict.UNDECIDED)]
)
def test_observations(agrees, verdict):
    row = Statement("name", "prediction", lambda evidence, row: row.assume(MET) or (evidence, agrees))("text")
    assert (row.verdict, row.observed, row.hypotheses, row.unmet) == (verdict, "text", (MET,), ())


def test_nothing_is_observed_without_hypotheses_or_data():
    rows = []

    @register_check(rows, "name", "prediction")
    def checked(missing, row):
        row.predicted += ", sharper"
        if missing == "failure":
            raise Inaccurate(missing)
        row.undecided_if(missing)
        row.assume(MET, UNMET)
        raise AssertionError

    assert rows == [checked]
    row = checked("")
    assert (row.verdict, row.observed, row.unmet) == (Verdict.NOT_MET, "", (UNMET,))
    assert (row.statement, row.predicted) == ("name", "prediction, sharper")
    for reason in ("missing", "failure"):
        row = checked(reason)
        assert (row.verdict, row.observed, row.hypotheses) == (Verdict.UNDECIDED, reason, ())


def test_at_most():
    assert at_most("size", 1.0, 1.0) == ("size 1", True)
    assert at_most("size", 1.1, 1.0)[1] is at_most("size", math.nan, 1.0)[1] is False
