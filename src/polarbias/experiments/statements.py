"""The paper's statements about its experiments, each with a predicate and a verdict from the measured tables.

A verdict is ``held``, ``failed``, or ``not decided`` where runs that used up their steps, or data that the profile
does not contain, could still turn it. The numbers follow the order in which the project lists the statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from polarbias.experiments.results import Results
from polarbias.experiments.spec import SQRT10
from polarbias.plotting import FAR


class Verdict(StrEnum):
    """Outcome of a statement."""

    HELD = "held"
    FAILED = "failed"
    UNDECIDED = "not decided at this budget"


@dataclass(frozen=True)
class Finding:
    """One statement, where it comes from, what was measured, and the verdict."""

    number: int
    statement: str
    source: str
    measured: str
    verdict: Verdict


Outcome = tuple[str, Verdict]


def _verdict(true: bool, open_runs: int) -> Verdict:
    """Judge a predicate that runs without an end could still turn, either way."""
    if open_runs:
        return Verdict.UNDECIDED
    return Verdict.HELD if true else Verdict.FAILED


def _every(true: pd.Series, turns: pd.Series) -> Verdict:
    """Judge that all cases are true; ``turns`` marks those that more steps could turn, either way."""
    if (~true & ~turns).any():
        return Verdict.FAILED
    return Verdict.HELD if len(true) and not turns.any() else Verdict.UNDECIDED


def _open(runs: pd.DataFrame) -> int:
    return int((runs["status"] == "max_steps").sum())


def _far(runs: pd.DataFrame) -> pd.Series:
    """Mark the runs that used up their steps far from every solution, where a small error says nothing."""
    return (runs["status"] == "max_steps") & (runs["loss"] > FAR * runs["loss_start"])


def _paired(results: Results, figure: int, value: str, **options: bool) -> pd.DataFrame:
    """Return plain and WN values side by side, a row for each trial and r0, and what more steps could change.

    Near a solution more steps make the error of WN smaller, so that ``open``, a WN run that used up its steps, can turn
    a comparison with plain descent only in favour of WN; ``far``, either run far from every solution, both ways.
    """
    runs = results.select(figure, **options)
    runs = runs[runs["algorithm"].isin(["plain", "wn"])]
    key = ["trial", "r0"]
    wide = runs.pivot(index=key, columns="algorithm", values=value)
    wn = runs[runs["algorithm"] == "wn"].set_index(key)
    wide = wide.assign(open=wn["status"] == "max_steps", status=wn["status"], minimal_l1=wn["minimal_l1"])
    return wide.assign(far=runs.assign(far=_far(runs)).groupby(key)["far"].any()).reset_index()


def _below(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the starts with r0^2 below the minimal l1 norm, and so below the squared radius of any solution."""
    return rows[rows["r0"] ** 2 < rows["minimal_l1"]]


def smaller_error(results: Results, centred: bool = False) -> Outcome:
    """Compare eps1 of WN and plain for each r0 below the limit's radius (statement 1)."""
    rows = _below(_paired(results, 2, "eps1_cert", centred=centred))
    wins = rows["wn"] < rows["plain"]
    return (
        f"smaller in {wins.sum()} of {len(rows)} pairs; {_open(rows)} WN runs used up their steps",
        _every(wins, rows["far"] | (~wins & rows["open"])),
    )


def factor_at_one(results: Results) -> Outcome:
    """Compare the mean errors at r0 = 1 (statement 2)."""
    rows = _paired(results, 2, "eps1_cert")
    rows = rows[np.isclose(rows["r0"], 1)]
    factor = rows["plain"].mean() / rows["wn"].mean()
    large = pd.Series([factor >= 100])
    return (
        f"factor {factor:.3g} ({rows['plain'].mean():.3g} against {rows['wn'].mean():.3g})",
        _every(large, ~large & rows["open"].any() | rows["far"].any()) if len(rows) else Verdict.UNDECIDED,
    )


def _losses(trajectories: pd.DataFrame) -> pd.DataFrame:
    """Return, per chain, the largest relative increase of the loss and its end relative to its start."""
    keys = ["trial", "start", "ratio", "r0", "step_rule"]
    return (
        trajectories.groupby(keys)["loss"]
        .agg(
            rise=lambda loss: (loss.to_numpy()[1:] / loss.to_numpy()[:-1] - 1).max(initial=-1.0),
            end="last",
            first="first",
        )
        .assign(share=lambda table: table["end"] / table["first"])
        .reset_index()
    )


def losses_fall(results: Results) -> Outcome:
    """Look for increases, and for ends that are not near zero (statement 3)."""
    table = pd.concat(
        [_losses(results.select_trajectories(2, algorithm="wn", step_rule=rule)) for rule in ("armijo", "stable")]
    )
    key = ["trial", "start", "ratio", "r0"]
    status = results.select(2, algorithm="wn")[[*key, "status"]]
    armijo = table[table["step_rule"] == "armijo"].merge(status, on=key)
    low = armijo["share"] < 1e-6
    measured = (
        f"largest relative rise {max(table['rise'].max(), 0):.1g}; "
        f"{low.sum()} of {len(armijo)} runs end below 1e-6 of their start, the highest at {armijo['share'].max():.1g}"
    )
    if table["rise"].max() > 1e-12:
        return measured, Verdict.FAILED
    return measured, _every(low, ~low & (armijo["status"] == "max_steps"))


def _rank(x: pd.Series | np.ndarray, y: pd.Series | np.ndarray) -> float:
    # Five values with one pair exchanged give exactly -0.9, the threshold, but for rounding.
    return round(float(spearmanr(x, y).statistic), 9)


def error_falls_with_ratio(results: Results, centred: bool = False) -> Outcome:
    """Correlate ratio and mean error (statement 4)."""
    runs = results.select(3, algorithm="wn", centred=centred)
    table = runs.groupby("ratio")["eps1_cert"].mean().reset_index()
    rank = _rank(1 / table["ratio"], table["eps1_cert"])
    open_runs = int(_far(runs).sum()) if rank <= -0.9 else _open(runs)
    return (
        f"Spearman(1/eta, eps1) = {rank:.2f} over {len(table)} ratios; {_open(runs)} runs used up their steps",
        _verdict(rank <= -0.9, open_runs),
    )


def _rank_range(steps: np.ndarray, is_open: np.ndarray) -> tuple[float, float]:
    """Bound the rank correlation of ``steps`` with their place, where those of open runs are only lower bounds."""
    places = np.arange(len(steps))
    if not is_open.any():
        return (_rank(places, steps),) * 2
    # Bounds on ranks: what is finished comes before all that is, or will be, longer.
    before = ~is_open[:, None] & (steps[:, None] < steps)
    allowed = (before.sum(0)[:, None] <= places) & (places < len(steps) - before.sum(1)[:, None])
    products = np.multiply.outer(places, places)
    spread = len(steps) * (len(steps) ** 2 - 1) / 12
    low, high = (
        (products[linear_sum_assignment(np.where(allowed, sign * products, 1e9))].sum() - places.sum() * places.mean())
        / spread
        for sign in (1, -1)
    )
    return round(float(low), 9), round(float(high), 9)


def _steps_against(runs: pd.DataFrame, column: str) -> Outcome:
    """Correlate the steps needed with a column, over all values that means of unfinished runs can take."""
    table = runs.groupby(column).agg(steps=("steps", "mean"), open=("status", lambda s: (s != "converged").any()))
    table = table.reset_index()
    if len(table) < 2:
        return f"one value of {column} only", Verdict.UNDECIDED
    low, high = _rank_range(table["steps"].to_numpy(float), table["open"].to_numpy(bool))
    span = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
    measured = f"Spearman({column}, steps) = {span}; {int(table['open'].sum())} of {len(table)} means are lower bounds"
    if high <= -0.9:
        return measured, Verdict.HELD
    return measured, Verdict.FAILED if low > -0.9 else Verdict.UNDECIDED


def steps_rise_with_ratio(results: Results, centred: bool = False) -> Outcome:
    """Correlate ratio and steps (statement 5)."""
    return _steps_against(results.select(3, algorithm="wn", centred=centred), "ratio")


def _gains(results: Results, figure: int) -> pd.DataFrame:
    """Return, per r0, the ratio of the mean recovery errors of plain and WN, and what more steps could change."""
    groups = _paired(results, figure, "eps2").groupby("r0")
    means = groups[["plain", "wn"]].mean()
    table = groups[["open", "far"]].any().assign(gain=means["plain"] / means["wn"]).reset_index()
    return table.assign(inside=table["r0"] <= SQRT10 * (1 + 1e-9))


def recovery_gain(results: Results) -> Outcome:
    """Compare the recovery errors up to r0 = sqrt(10) and above (statement 6)."""
    table = _gains(results, 4)
    inside, above = table[table["inside"]], table[~table["inside"]]
    true = (table["gain"] > 1).where(table["inside"], table["gain"].between(0.5, 2))
    turns = table["far"] | table["open"] & ~(table["inside"] & true)
    return (
        f"gain {inside['gain'].min():.3g} to {inside['gain'].max():.3g} up to sqrt(10), "
        f"{above['gain'].min():.3g} to {above['gain'].max():.3g} above",
        _every(true, turns),
    )


def sparse_losses(results: Results) -> Outcome:
    """Look for increases, and at the end of the largest start (statement 7)."""
    table = _losses(results.select_trajectories(4, algorithm="wn"))
    rise = table["rise"].max()
    largest = table[np.isclose(table["r0"], 100)]
    measured = f"largest relative rise {max(rise, 0):.1g}; "
    if rise > 1e-12:
        return measured + "the loss rose", Verdict.FAILED
    if largest.empty:
        return measured + "no start at r0 = 100 in this profile", Verdict.UNDECIDED
    high = int((largest["share"] >= 1e-6).sum())
    measured += f"at r0 = 100, {high} of {len(largest)} runs end above 1e-6 of their start"
    return measured, Verdict.HELD if high else Verdict.FAILED


def signed_gain(results: Results) -> Outcome:
    """Compare the gains of Figures 5 and 4 (statement 8)."""
    tables = {figure: _gains(results, figure) for figure in (4, 5)}
    inside = {figure: table[table["inside"]] for figure, table in tables.items()}
    sparse, signed = (float(np.exp(np.log(inside[figure]["gain"]).mean())) for figure in (4, 5))
    unfinished = int(sum((table["open"] | table["far"]).sum() for table in inside.values()))
    return (
        f"geometric mean gain {signed:.3g} with signs, {sparse:.3g} without; {unfinished} means hold runs that used up"
        " their steps",
        _verdict(1 < signed < sparse, unfinished),
    )


def budget_slope(results: Results) -> Outcome:
    """Measure the slope of the error over r0 and whether the budget explains it (statement 9)."""
    rows = _below(results.select(2, algorithm="wn"))
    mean = rows.groupby("r0")["eps1_cert"].mean()
    slope = float(np.polyfit(np.log10(mean.index), np.log10(mean), 1)[0])
    measured = f"slope of log eps1 over log r0 is {slope:.2f}; {_open(rows)} of {len(rows)} runs used up their steps"
    if not _open(rows):
        # It rises, or it falls for another reason.
        return measured, Verdict.FAILED
    return measured + "; the limits' own slope is not known here", Verdict.UNDECIDED


def converges_below_limit(results: Results) -> Outcome:
    """Count how the WN runs with r0 below the limit's radius end (statement 10)."""
    rows = pd.concat([_below(results.select(figure, algorithm="wn")) for figure in results.figures])
    counts = rows["status"].value_counts()
    converged = int(counts.get("converged", 0))
    others = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if status != "converged"]
    measured = "; ".join([f"{converged} of {len(rows)} runs converged", *others])
    return measured, _every(rows["status"] == "converged", rows["status"] == "max_steps")


def root_ratio_start(results: Results) -> Outcome:
    """Compare the error at r0 near sqrt(eta) with the smallest over r0 (statement 11; at most twice that)."""
    runs = results.select(1, algorithm="wn", start=0)
    table = runs.pivot_table(index="ratio", columns="r0", values="eps1_cert")
    scales = table.columns.to_numpy()
    nearest = [int(np.argmin(np.abs(np.log(scales**2 / ratio)))) for ratio in table.index]
    chosen = np.array([table.iloc[row, column] for row, column in enumerate(nearest)])
    excess = chosen / table.min(axis=1).to_numpy()
    unfinished = pd.Series([(runs["status"][runs["ratio"] == ratio] == "max_steps").any() for ratio in table.index])
    return (
        f"error at r0 near sqrt(eta) is {excess.min():.3g} to {excess.max():.3g} times the best over r0 "
        f"(held: at most 2); {_open(runs)} of {len(runs)} runs used up their steps",
        _every(pd.Series(excess <= 2), unfinished),
    )


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and R^2 of a straight line."""
    slope, offset = np.polyfit(x, y, 1)
    spread = ((y - y.mean()) ** 2).sum()
    return float(slope), float(1 - ((y - slope * x - offset) ** 2).sum() / spread) if spread else 0.0


def rates_in_start(results: Results) -> Outcome:
    """Fit a power of r0 to the plain error and an exponential in r0^2 to the WN error (statement 12)."""
    rows = _below(results.select(2))
    means = rows.groupby(["algorithm", "r0"])["eps1_cert"].mean()
    plain, wn = means["plain"], means["wn"]
    power, power_fit = _fit(np.log(plain.index.to_numpy()), np.log(plain.to_numpy()))
    rate, rate_fit = _fit(wn.index.to_numpy() ** 2, np.log(wn.to_numpy()))
    held = power > 0 and power_fit >= 0.9 and rate > 0 and rate_fit >= 0.9
    return (
        f"plain: r0^{power:.2f} (R2 {power_fit:.2f}); WN: exp({rate:.2g} r0^2) (R2 {rate_fit:.2f}); "
        "held: both rise and R2 at least 0.9",
        _verdict(held, _open(rows)),
    )


def minimal_norm_is_s(results: Results) -> Outcome:
    """Compare the linear program's value with the truth's norm (statement 13)."""
    deviation = (results.select(4)["minimal_l1"] / results.profile.s - 1).abs().max()
    return f"largest relative deviation {deviation:.1g} (held: at most 1e-9)", _verdict(deviation <= 1e-9, 0)


def steps_grow(results: Results) -> Outcome:
    """Correlate r0 and steps (statement 14)."""
    return _steps_against(_below(results.select(2, algorithm="wn")), "r0")


def small_ratio_unstable(results: Results) -> Outcome:
    """Look for numerical failures at the smallest ratios (statement 15)."""
    runs = pd.concat([results.select(3, algorithm="wn"), results.select(1, algorithm="wn")])
    smallest = runs[runs["ratio"] <= 0.01]
    if smallest.empty:
        return f"smallest ratio in this profile: {runs['ratio'].min():g}", Verdict.UNDECIDED
    bad = int(smallest["status"].isin(["unstable", "diverged", "line_search_failed"]).sum())
    return f"{bad} of {len(smallest)} runs at eta <= 0.01 fail", Verdict.HELD if bad else Verdict.FAILED


def centred_rows(results: Results) -> Outcome:
    """Judge statements 1, 4 and 5 on matrices with centred rows (statement 16)."""
    parts = [judge(results, centred=True) for judge in (smaller_error, error_falls_with_ratio, steps_rise_with_ratio)]
    verdicts = [verdict for _, verdict in parts]
    total = Verdict.FAILED if Verdict.FAILED in verdicts else max(verdicts, key=list(Verdict).index)
    return "; ".join(f"{number}: {verdict}" for number, verdict in zip((1, 4, 5), verdicts, strict=True)), total


_STATEMENTS: tuple[tuple[str, str, tuple[int, ...], Callable[[Results], Outcome]], ...] = (
    ("WN has the smaller l1 error whenever r0 is below the limit's radius", "2a", (2,), smaller_error),
    ("At r0 = 1 the errors differ by a factor of 100", "2a", (2,), factor_at_one),
    ("All losses fall monotonically to near zero", "2b", (2,), losses_fall),
    ("The error falls as eta falls", "3a", (3,), error_falls_with_ratio),
    ("The steps needed rise as eta falls", "3b", (3,), steps_rise_with_ratio),
    ("WN recovers better for r0 <= sqrt(10), not clearly above", "4a", (4,), recovery_gain),
    ("Losses fall monotonically; at r0 = 100 not to zero", "4b", (4,), sparse_losses),
    ("With signs WN still gains, but less", "5a", (4, 5), signed_gain),
    ("2a falls with r0 only because small starts run out of steps", "Figure 2", (2,), budget_slope),
    ("Descent converges whenever r0 is below the limit's radius", "4.1", (1, 2, 3, 4, 5), converges_below_limit),
    ("r0 of the order of sqrt(eta) is a good choice", "Section 2", (1,), root_ratio_start),
    ("Plain error falls polynomially with the start, WN error exponentially", "Section 2", (2,), rates_in_start),
    ("For the sparse truth the minimal l1 norm is s", "4.2", (4,), minimal_norm_is_s),
    ("The steps needed grow as r0 shrinks", "Section 5", (2,), steps_grow),
    ("A very small eta is numerically unstable", "1.2", (1, 3), small_ratio_unstable),
    ("Statements 1, 4, 5 with rows of A that sum to zero", "Theorem 2.1", (2, 3), centred_rows),
)


def judge_all(results: Results) -> list[Finding]:
    """Judge every statement whose figures have data."""
    findings = []
    for number, (statement, source, figures, judge) in enumerate(_STATEMENTS, start=1):
        needed = figures if number != 10 else figures[:0]
        if results.figures and set(needed) <= set(results.figures):
            measured, verdict = judge(results)
            findings.append(Finding(number, statement, source, measured, verdict))
    return findings


def as_markdown(findings: list[Finding], results: Results) -> str:
    """Return the table of statements as a Markdown document."""
    profile = results.profile
    lines = [
        "# The paper's statements, measured",
        "",
        f"Profile {profile.name}: {profile.trials} trials, at most {profile.max_steps:,} steps, seed {profile.seed}.",
        "",
        "| # | statement | source | measured | verdict |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {f.number} | {f.statement} | {f.source} | {f.measured} | **{f.verdict}** |" for f in findings]
    return "\n".join(lines) + "\n"
