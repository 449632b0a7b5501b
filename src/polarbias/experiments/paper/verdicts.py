"""Verdicts on statements, and what the way a run ended lets its numbers say."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd

from polarbias.experiments.engine.results import Results
from polarbias.plotting.panels import FAR


class StatementVerdict(StrEnum):
    """Judgement of a statement."""

    HELD = "held"
    FAILED = "failed"
    UNDECIDED = "not decided at this budget"


HELD, FAILED, UNDECIDED = StatementVerdict.HELD, StatementVerdict.FAILED, StatementVerdict.UNDECIDED

Judgement = tuple[str, StatementVerdict]
"""What was measured, in words, and the verdict."""


def verdict(true: bool, open_runs: int) -> StatementVerdict:
    """Judge a predicate that runs without an end could still turn, either way."""
    if open_runs:
        return UNDECIDED
    return HELD if true else FAILED


def every(true: pd.Series, turns: pd.Series) -> StatementVerdict:
    """Judge that all cases are true; ``turns`` marks those that more steps could turn, either way."""
    if (~true & ~turns).any():
        return FAILED
    return HELD if len(true) and not turns.any() else UNDECIDED


def count_open(runs: pd.DataFrame) -> int:
    """Count the runs that used up their steps."""
    return int((runs["status"] == "max_steps").sum())


def _ends_far(runs: pd.DataFrame) -> pd.Series:
    # A loss that is not a number is far, too.
    return ~(runs["loss"] <= FAR * runs["loss_start"])


def is_far(runs: pd.DataFrame) -> pd.Series:
    """Mark the runs that used up their steps far from every solution, where a small error says nothing yet."""
    return _ends_far(runs) & (runs["status"] == "max_steps")


def is_lost(runs: pd.DataFrame) -> pd.Series:
    """Mark the runs that failed far from every solution; no further step makes their error mean anything.

    Above all X = 0, to which a collapsed run goes, has the certified error 0; its loss can be small beside that of a
    large start.
    """
    failed = ~runs["status"].isin(["converged", "max_steps"])
    return failed & _ends_far(runs) | (runs["status"] == "collapsed")


def name_lost(statuses: pd.Series) -> str:
    """Return the statuses of lost runs with their numbers, as the end of a sentence: ``; 1 collapsed``."""
    return "".join(f"; {count} {status.replace('_', ' ')}" for status, count in statuses.value_counts().items())


def lost_of(runs: pd.DataFrame) -> str:
    """Return the lost ones among ``runs`` as `name_lost` does."""
    return name_lost(runs["status"][is_lost(runs)])


def paired(results: Results, figure: int, value: str, **options: bool) -> pd.DataFrame:
    """Return plain and WN values side by side, a row for each trial and r0, and what their runs' ends let them say.

    Near a solution more steps make the error of WN smaller, so that ``open``, a WN run that used up its steps, can turn
    a comparison with plain descent only in favour of WN; ``far``, either run far from every solution, both ways. So can
    a plain run that failed there: it is nothing to compare with. ``lost``, a WN run that failed, loses its comparison.
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
    """Keep the starts with r0^2 below the minimal l1 norm, and so below the squared radius of any solution."""
    return rows[rows["r0"] ** 2 < rows["minimal_l1"]]
