"""Statements about trends over r0 and over the ratio: rank correlations and fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from polarbias.experiments.engine.results import Results
from polarbias.experiments.paper import verdicts
from polarbias.experiments.paper.verdicts import (
    FAILED,
    HELD,
    UNDECIDED,
    Assessment,
    below,
    count_open,
    lost_of,
    verdict,
)


def _rank(x: pd.Series | np.ndarray, y: pd.Series | np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0  # no trend, where a correlation is not defined
    # Five values with one exchanged pair give the threshold -0.9 up to rounding.
    return round(float(spearmanr(x, y).statistic), 9)


def error_falls_with_ratio(results: Results, centred: bool = False) -> Assessment:
    """Correlate ratio and mean error (statement 4)."""
    runs = results.select(3, algorithm="wn", centred=centred)
    table = runs.groupby("ratio")["eps1_cert"].mean().reset_index()
    rank = _rank(1 / table["ratio"], table["eps1_cert"])
    used_up = f"{count_open(runs)} runs used up their steps"
    measured = f"Spearman(1/eta, eps1) = {rank:.2f} over {len(table)} ratios; {used_up}"
    if verdicts.is_lost(runs).any():
        return measured + lost_of(runs), FAILED
    return measured, verdict(rank <= -0.9, int(verdicts.is_far(runs).sum()) if rank <= -0.9 else count_open(runs))


def _rank_range(steps: np.ndarray, is_open: np.ndarray) -> tuple[float, float]:
    """Return bounds on the rank correlation of ``steps`` with their place; steps of open runs are lower bounds."""
    places = np.arange(len(steps))
    if not is_open.any():
        return (_rank(places, steps),) * 2
    # A finished value precedes all larger values and lower bounds; that bounds every rank.
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


def _steps_against(runs: pd.DataFrame, column: str) -> Assessment:
    """Correlate the steps with a column, over all values that means of unfinished runs can take."""
    groups = runs.assign(open=runs["status"] != "converged").groupby(column)
    table = groups.agg({"steps": "mean", "open": "any"})
    if len(table) < 2:
        return f"one value of {column} only", UNDECIDED
    low, high = _rank_range(table["steps"].to_numpy(float), table["open"].to_numpy(bool))
    span = f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
    measured = f"Spearman({column}, steps) = {span}; {int(table['open'].sum())} of {len(table)} means are lower bounds"
    if high <= -0.9:
        return measured, HELD
    return measured, FAILED if low > -0.9 else UNDECIDED


def steps_rise_with_ratio(results: Results, centred: bool = False) -> Assessment:
    """Correlate ratio and steps (statement 5)."""
    return _steps_against(results.select(3, algorithm="wn", centred=centred), "ratio")


def steps_grow(results: Results) -> Assessment:
    """Correlate r0 and steps (statement 14)."""
    return _steps_against(below(results.select(2, algorithm="wn")), "r0")


MIN_POINTS = 4
"""Smallest number of points of a fit."""


def _logs(runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return r0 and the logarithms of the mean errors, without means that rounding made nonpositive."""
    means = pd.Series(dtype=float) if runs.empty else runs.groupby("r0")["eps1_cert"].mean()
    means = means[means > 0]
    return means.index.to_numpy(float), np.log(means.to_numpy(float))


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and R^2 of a straight line."""
    slope, offset = np.polyfit(x, y, 1)
    spread = ((y - y.mean()) ** 2).sum()
    return float(slope), float(1 - ((y - slope * x - offset) ** 2).sum() / spread) if spread else 0.0


def budget_slope(results: Results) -> Assessment:
    """Compare the slopes over r0 of the runs' errors and of the exact limits' errors (statement 9)."""
    rows = below(results.select(2, algorithm="wn"))
    used_up = f"{count_open(rows)} of {len(rows)} runs used up their steps{lost_of(rows)}"
    r0, errors = _logs(rows)
    lost = verdicts.is_lost(rows).any()
    if len(r0) < MIN_POINTS:
        return f"{len(r0)} positive errors, too few for a slope; {used_up}", FAILED if lost else UNDECIDED
    slope, _ = _fit(np.log(r0), errors)
    measured = f"slope of log eps1 over log r0 is {slope:.2f}; {used_up}"
    if lost:
        return measured, FAILED
    if slope >= 0:
        return measured + "; there is no fall to explain", FAILED
    if not count_open(rows):
        return measured + "; the fall has another reason", FAILED
    limit_r0, limit_errors = _logs(below(results.select_limits(2, algorithm="wn")))
    if len(limit_r0) < MIN_POINTS:
        return measured + "; too few exact limits for their own slope", UNDECIDED
    own, _ = _fit(np.log(limit_r0), limit_errors)
    return measured + f"; slope of the exact limits {own:.2f}", HELD if own >= 0 else FAILED


def rates_in_start(results: Results) -> Assessment:
    """Fit a power of r0 to the plain limits' error and an exponential in r0^2 to that of WN (statement 12)."""
    (plain_r0, plain), (wn_r0, wn) = (
        _logs(below(results.select_limits(2, algorithm=name))) for name in ("plain", "wn")
    )
    if min(len(plain), len(wn)) < MIN_POINTS:
        return f"positive errors of limits: {len(plain)} plain, {len(wn)} WN, too few for a fit", UNDECIDED
    power, power_fit = _fit(np.log(plain_r0), plain)
    rate, rate_fit = _fit(wn_r0**2, wn)
    measured = (
        f"exact limits, plain: r0^{power:.2f} (R2 {power_fit:.2f}); WN: exp({rate:.2g} r0^2) (R2 {rate_fit:.2f}); "
        "held: both rise and R2 at least 0.9"
    )
    return measured, verdict(power > 0 and power_fit >= 0.9 and rate > 0 and rate_fit >= 0.9, 0)
