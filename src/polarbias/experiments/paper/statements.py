"""The paper's statements about its experiments, checked on the measured tables.

A verdict is ``held``, ``failed``, or ``not decided`` if more steps or data outside the profile could change it. A run
that failed far from every solution has no small error: with weight normalization it decides against the statement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import SQRT10
from polarbias.experiments.paper import trends
from polarbias.experiments.paper.figures import MAP
from polarbias.experiments.paper.verdicts import (
    FAILED,
    HELD,
    UNDECIDED,
    Assessment,
    StatementVerdict,
    below,
    count_open,
    every,
    lost_of,
    name_lost,
    paired,
    verdict,
)
from polarbias.plotting.series import FLOOR

PAPERS = (1, 2, 3, 4, 5)
"""The paper's own figures."""


@dataclass(frozen=True)
class Finding:
    """Statement, its source in the paper, the measured values and the verdict."""

    number: int
    statement: str
    source: str
    measured: str
    verdict: StatementVerdict


def smaller_error(results: Results, centred: bool = False) -> Assessment:
    """Compare eps1 of WN and plain for each r0 below the limit's radius (statement 1)."""
    rows = below(paired(results, 2, "eps1_cert", centred=centred))
    wins = (rows["wn"] < rows["plain"]) & ~rows["lost"]
    return (
        f"smaller in {wins.sum()} of {len(rows)} pairs; {count_open(rows)} WN runs used up their steps"
        + name_lost(rows["status"][rows["lost"]]),
        every(wins, ~rows["lost"] & (rows["far"] | (~wins & rows["open"]))),
    )


def factor_at_one(results: Results) -> Assessment:
    """Compare the mean errors at r0 = 1 (statement 2)."""
    rows = paired(results, 2, "eps1_cert")
    rows = rows[np.isclose(rows["r0"], 1)]
    with np.errstate(divide="ignore", invalid="ignore"):  # the error of X = 0 is 0
        factor = rows["plain"].mean() / rows["wn"].mean()
    measured = f"factor {factor:.3g} ({rows['plain'].mean():.3g} against {rows['wn'].mean():.3g})"
    if rows["lost"].any():
        return measured + name_lost(rows["status"][rows["lost"]]), FAILED
    large = pd.Series([factor >= 100])
    turns = ~large & rows["open"].any() | rows["far"].any()
    return measured, every(large, turns) if len(rows) else UNDECIDED


_RUN = ["trial", "start", "ratio", "r0", "step_rule"]
"""Columns that identify a run of a figure and an algorithm."""


def _losses(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Return, per run, the largest relative increase of the loss and the ratio of its last and first value."""
    losses = trajectories.groupby(_RUN)["loss"]
    rises = losses.agg(lambda loss: (loss.to_numpy()[1:] / loss.to_numpy()[:-1] - 1).max(initial=-1.0))
    return pd.DataFrame({"rise": rises, "share": losses.last() / losses.first()}).reset_index()


def _stopped(runs: pd.DataFrame) -> tuple[int, str]:
    """Count the runs that descent stopped because the loss rose or overflowed, and describe them.

    Their trajectories end before the rise, because descent rejects the step.
    """
    count = int(runs["status"].isin(["unstable", "diverged"]).sum())
    return count, f"; {count} of {len(runs)} runs stopped where the loss would have risen" if count else ""


def losses_fall(results: Results) -> Assessment:
    """Search for increases, and for final losses that are not near zero (statement 3)."""
    runs, tracks = (
        pd.concat([select(2, algorithm="wn", step_rule=rule) for rule in ("armijo", "stable")])
        for select in (results.select, results.select_trajectories)
    )
    table = _losses(tracks).merge(runs[[*_RUN, "status"]], on=_RUN)
    # Runs with constant steps are too slow to converge; they only test monotonicity.
    shown = table[table["step_rule"] == "armijo"]
    low = shown["share"] < 1e-6
    stopped, text = _stopped(runs)
    measured = (
        f"largest relative rise {max(table['rise'].max(), 0):.1g}{text}; "
        f"{low.sum()} of {len(shown)} runs end below 1e-6 of their start, the highest at {shown['share'].max():.1g}"
    )
    if stopped or table["rise"].max() > 1e-12:
        return measured, FAILED
    return measured, every(low, ~low & (shown["status"] == "max_steps"))


def _gains(results: Results, figure: int) -> pd.DataFrame:
    """Return, per r0, the ratio of the mean recovery errors of plain and WN, and the status of the comparison."""
    groups = paired(results, figure, "eps2").groupby("r0")
    means = groups[["plain", "wn"]].mean()
    table = groups[["open", "far", "lost"]].any().assign(gain=means["plain"] / means["wn"]).reset_index()
    return table.assign(inside=_up_to_sqrt10(table["r0"]))


def _up_to_sqrt10(r0: pd.Series) -> pd.Series:
    return r0 <= SQRT10 * (1 + 1e-9)


def recovery_gain(results: Results) -> Assessment:
    """Compare the recovery errors up to r0 = sqrt(10) and above (statement 6)."""
    table = _gains(results, 4)
    inside, above = table[table["inside"]], table[~table["inside"]]
    true = (table["gain"] > 1).where(table["inside"], table["gain"].between(0.5, 2)) & ~table["lost"]
    turns = ~table["lost"] & (table["far"] | table["open"] & ~(table["inside"] & true))
    return (
        f"gain {inside['gain'].min():.3g} to {inside['gain'].max():.3g} up to sqrt(10), "
        f"{above['gain'].min():.3g} to {above['gain'].max():.3g} above" + lost_of(results.select(4, algorithm="wn")),
        every(true, turns),
    )


def sparse_losses(results: Results) -> Assessment:
    """Search for increases, and compare the final loss of the largest start (statement 7)."""
    table = _losses(results.select_trajectories(4, algorithm="wn"))
    rise = table["rise"].max()
    largest = table[np.isclose(table["r0"], 100)]
    stopped, text = _stopped(results.select(4, algorithm="wn"))
    measured = f"largest relative rise {max(rise, 0):.1g}{text}; "
    if stopped or rise > 1e-12:
        return measured + "the loss rose", FAILED
    if largest.empty:
        return measured + "no start at r0 = 100 in this profile", UNDECIDED
    high = int((largest["share"] >= 1e-6).sum())
    measured += f"at r0 = 100, {high} of {len(largest)} runs end above 1e-6 of their start"
    return measured, HELD if high else FAILED


def signed_gain(results: Results) -> Assessment:
    """Compare the gains of Figures 5 and 4 (statement 8)."""
    tables = {figure: _gains(results, figure) for figure in (4, 5)}
    inside = {figure: table[table["inside"]] for figure, table in tables.items()}
    sparse, signed = (float(np.exp(np.log(inside[figure]["gain"]).mean())) for figure in (4, 5))
    unfinished = int(sum((table["open"] | table["far"]).sum() for table in inside.values()))
    measured = (
        f"geometric mean gain {signed:.3g} with signs, {sparse:.3g} without; {unfinished} means hold runs that used up"
        " their steps"
    )
    if any(table["lost"].any() for table in inside.values()):
        runs = pd.concat([results.select(figure, algorithm="wn") for figure in (4, 5)])
        return measured + lost_of(runs[_up_to_sqrt10(runs["r0"])]), FAILED
    return measured, verdict(1 < signed < sparse, unfinished)


def converges_below_limit(results: Results) -> Assessment:
    """Count the statuses of the WN runs with r0 below the limit's radius (statement 10)."""
    rows = pd.concat([below(results.select(figure, algorithm="wn")) for figure in results.figures if figure in PAPERS])
    converged = rows["status"] == "converged"
    others = name_lost(rows["status"][~converged])
    return (
        f"{converged.sum()} of {len(rows)} runs converged{others}",
        every(converged, rows["status"] == "max_steps"),
    )


def root_ratio_start(results: Results) -> Assessment:
    """Compare the limit's error at r0 near sqrt(eta) with the smallest over r0 (statement 11; at most twice that)."""
    limits = results.select_limits(1, part=MAP)
    if limits.empty:
        return "no exact limits", UNDECIDED
    table = limits.pivot(index="ratio", columns="r0", values="eps1_cert").clip(lower=FLOOR)
    scales = table.columns.to_numpy()
    nearest = [int(np.argmin(np.abs(np.log(scales**2 / ratio)))) for ratio in table.index]
    chosen = np.array([table.iloc[row, column] for row, column in enumerate(nearest)])
    excess = pd.Series(chosen) / table.min(axis=1).to_numpy()
    return (
        f"exact limits: error at r0 near sqrt(eta) is {excess.min():.3g} to {excess.max():.3g} times the best over r0, "
        f"for {len(table)} ratios (held: at most 2)",
        every(excess <= 2, excess.isna()),
    )


def minimal_norm_is_s(results: Results) -> Assessment:
    """Compare the linear program's value with the truth's norm (statement 13)."""
    deviation = (results.select(4)["minimal_l1"] / results.profile.s - 1).abs().max()
    return f"largest relative deviation {deviation:.1g} (held: at most 1e-9)", verdict(deviation <= 1e-9, 0)


def small_ratio_unstable(results: Results) -> Assessment:
    """Count numerical failures at the smallest ratios (statement 15)."""
    runs = pd.concat([results.select(3, algorithm="wn"), results.select(1, algorithm="wn")])
    smallest = runs[runs["ratio"] <= 0.01]
    if smallest.empty:
        return f"smallest ratio in this profile: {runs['ratio'].min():g}", UNDECIDED
    bad = int(smallest["status"].isin(["unstable", "diverged", "line_search_failed"]).sum())
    return f"{bad} of {len(smallest)} runs at eta <= 0.01 fail", HELD if bad else FAILED


def centred_rows(results: Results) -> Assessment:
    """Check statements 1, 4 and 5 on matrices with centred rows (statement 16)."""
    parts = [
        check(results, centred=True)
        for check in (smaller_error, trends.error_falls_with_ratio, trends.steps_rise_with_ratio)
    ]
    verdicts = [part for _, part in parts]
    total = FAILED if FAILED in verdicts else max(verdicts, key=list(StatementVerdict).index)
    checked = pd.concat([below(results.select(2, algorithm="wn", centred=True)), results.select(3, centred=True)])
    measured = "; ".join(f"{number}: {part}" for number, part in zip((1, 4, 5), verdicts, strict=True))
    return measured + lost_of(checked[checked["algorithm"] == "wn"]), total


class _Entry(NamedTuple):
    statement: str
    source: str
    figures: tuple[int, ...]
    check: Callable[[Results], Assessment]


_STATEMENTS = (
    _Entry("WN has the smaller l1 error whenever r0 is below the limit's radius", "2a", (2,), smaller_error),
    _Entry("At r0 = 1 the errors differ by a factor of 100", "2a", (2,), factor_at_one),
    _Entry("All losses fall monotonically to near zero", "2b", (2,), losses_fall),
    _Entry("The error falls as eta falls", "3a", (3,), trends.error_falls_with_ratio),
    _Entry("The steps needed rise as eta falls", "3b", (3,), trends.steps_rise_with_ratio),
    _Entry("WN recovers better for r0 <= sqrt(10), not clearly above", "4a", (4,), recovery_gain),
    _Entry("Losses fall monotonically; at r0 = 100 not to zero", "4b", (4,), sparse_losses),
    _Entry("With signs WN still gains, but less", "5a", (4, 5), signed_gain),
    _Entry("2a falls with r0 only because small starts run out of steps", "Figure 2", (2,), trends.budget_slope),
    _Entry("Descent converges whenever r0 is below the limit's radius", "4.1", PAPERS, converges_below_limit),
    _Entry("r0 of the order of sqrt(eta) is a good choice", "Section 2", (1,), root_ratio_start),
    _Entry(
        "Plain error falls polynomially with the start, WN error exponentially",
        "Section 2",
        (2,),
        trends.rates_in_start,
    ),
    _Entry("For the sparse truth the minimal l1 norm is s", "4.2", (4,), minimal_norm_is_s),
    _Entry("The steps needed grow as r0 shrinks", "Section 5", (2,), trends.steps_grow),
    _Entry("A very small eta is numerically unstable", "1.2", (1, 3), small_ratio_unstable),
    _Entry("Statements 1, 4, 5 with rows of A that sum to zero", "Theorem 2.1", (2, 3), centred_rows),
)


def check_all(results: Results) -> list[Finding]:
    """Return the findings of all statements whose figures have data."""
    findings = []
    for number, entry in enumerate(_STATEMENTS, start=1):
        there = [figure in results.figures for figure in entry.figures]
        # One figure suffices for the statement on all of them.
        if any(there) if entry.figures == PAPERS else all(there):
            measured, verdict = entry.check(results)
            findings.append(Finding(number, entry.statement, entry.source, measured, verdict))
    return findings


def as_markdown(findings: list[Finding], results: Results) -> str:
    """Return the table of statements as a Markdown document."""
    profile = results.profile
    fewer = []
    for figure in results.figures:
        count = results.runs["trial"][results.runs["figure"] == figure].nunique()
        if figure != 1 and count < profile.trials:  # Figure 1 has one problem
            fewer.append(f" Trials of Figure {figure} so far: {count}.")
    budget = f"{profile.trials} trials, at most {profile.max_steps:,} steps, seed {profile.seed}."
    lines = [
        f"# The paper's statements, measured\n\nProfile {profile.name}: {budget}{''.join(fewer)}\n",
        "| # | statement | source | measured | verdict |\n|---|---|---|---|---|",
        *(f"| {f.number} | {f.statement} | {f.source} | {f.measured} | **{f.verdict}** |" for f in findings),
    ]
    return "\n".join(lines) + "\n"
