"""Verdicts on statements, from the values and the statuses of runs."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd

from polarbias.experiments.engine.results import Results, counted
from polarbias.plotting.panels import FAR_LOSS_THRESHOLD


class StatementVerdict(StrEnum):
    """Verdict on a statement of the paper."""

    HELD = "held"
    FAILED = "failed"
    UNDECIDED = "not decided at this budget"


HELD, FAILED, UNDECIDED = StatementVerdict.HELD, StatementVerdict.FAILED, StatementVerdict.UNDECIDED

Assessment = tuple[str, StatementVerdict]
"""Description of the measured values, and the verdict."""


def verdict(true: bool, open_runs: int) -> StatementVerdict:
    """Return the verdict on a predicate, undecided if there are open runs."""
    if open_runs:
        return UNDECIDED
    return HELD if true else FAILED


def every(true: pd.Series, turns: pd.Series) -> StatementVerdict:
    """Return the verdict that all cases are true; ``turns`` marks cases that more steps could change."""
    if (~true & ~turns).any():
        return FAILED
    return HELD if len(true) and not turns.any() else UNDECIDED


def count_open(runs: pd.DataFrame) -> int:
    """Count the runs that used up their steps."""
    return int((runs["status"] == "max_steps").sum())


def _ends_far(runs: pd.DataFrame) -> pd.Series:
    return ~(runs["loss"] <= FAR_LOSS_THRESHOLD * runs["loss_start"])  # true for NaN


def is_far(runs: pd.DataFrame) -> pd.Series:
    """Mark the runs that used up their steps far from every solution; their errors have no meaning yet."""
    return _ends_far(runs) & (runs["status"] == "max_steps")


def is_lost(runs: pd.DataFrame) -> pd.Series:
    """Mark the runs that failed far from every solution; their errors have no meaning.

    A collapsed run is one: X = 0 has the certified error 0, and its loss can be small beside that of a large start.
    """
    failed = ~runs["status"].isin(["converged", "max_steps"])
    return failed & _ends_far(runs) | (runs["status"] == "collapsed")


def name_lost(statuses: pd.Series) -> str:
    """Return the counts of the statuses as the end of a sentence, such as ``; 1 collapsed``."""
    return "".join(f"; {part}" for part in counted(statuses))


def lost_of(runs: pd.DataFrame) -> str:
    """Return `name_lost` of the lost runs."""
    return name_lost(runs["status"][is_lost(runs)])


def paired(results: Results, figure: int, value: str, **options: bool) -> pd.DataFrame:
    """Return plain and WN values side by side, one row per trial and r0, with the status of the comparison.

    ``open``: the WN run used up its steps. More steps make its error smaller, so they can change the comparison only in
    favour of WN. ``far``: a run used up its steps far from every solution, or the plain run failed there; the
    comparison can change either way. ``lost``: the WN run failed, and loses the comparison.
    """
    runs = results.select(figure, **options)
    runs = runs[runs["algorithm"].isin(["plain", "wn"])]
    key = ["trial", "r0"]
    wide = runs.pivot(index=key, columns="algorithm", values=value)
    wn = runs[runs["algorithm"] == "wn"].set_index(key)
    wide = wide.assign(open=wn["status"] == "max_steps", status=wn["status"], minimal_l1=wn["minimal_l1"])
    far = is_far(runs) | is_lost(runs) & (runs["algorithm"] == "plain")
    return wide.assign(lost=is_lost(wn), far=runs.assign(far=far).groupby(key)["far"].any()).reset_index()


def below(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with r0^2 below the minimal l1 norm, and so below the squared radius of any solution."""
    return rows if rows.empty else rows[rows["r0"] ** 2 < rows["minimal_l1"]]
