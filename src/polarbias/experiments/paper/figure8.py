"""Figure 8, not in the paper: what finite steps add to the error of the flow's limit."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, RunConfiguration, Task, configurations
from polarbias.plotting.panels import DASHES, error_curve, legend, number
from polarbias.plotting.series import SERIES, Series

FACTORS = (16.0, 32.0, 64.0, 128.0, 256.0)
"""Constant steps, in units of a bound that holds wherever the run may go and is therefore far too small for most."""

STEPPED = {
    "wn": Series("constant steps", SERIES["wn"].color, "o"),
    "wn-renormalized": Series("constant steps, $u$ renormalized", SERIES["wn-renormalized"].color, "^"),
}


def tasks(profile: Profile) -> list[Task]:
    """Return descent with constant and Armijo steps, mirror descent and the exact limit, at the largest ratio.

    There runs end within a few thousand steps; at small ratios the smaller ones of the constant steps do not.
    """
    made = []
    for trial in range(profile.trials):
        one = configurations([profile.scale], [max(profile.ratios)], [trial])
        stepped = tuple(RunConfiguration(one[0].r0, one[0].ratio, trial, c) for c in FACTORS)
        for algorithm in STEPPED:
            made += [
                Task(8, trial, algorithm, "gaussian", stepped, step="stable"),
                Task(8, trial, algorithm, "gaussian", one),
            ]
        made += [Task(8, trial, "wn", "gaussian", one, step=rule) for rule in ("mirror", LIMIT)]
    return made


def _levels(results: Results) -> list[tuple[str, pd.DataFrame, dict[str, Any]]]:
    """Return what has no constant step: label, runs, and how its line looks."""
    return [
        ("Armijo steps", results.select(8, algorithm="wn"), {"color": STEPPED["wn"].color}),
        (
            "Armijo steps, $u$ renormalized",
            results.select(8, algorithm="wn-renormalized"),
            {"color": STEPPED["wn-renormalized"].color},
        ),
        ("mirror descent", results.select(8, step_rule="mirror"), {"color": "#8a4fa3"}),
    ]


def draw_errors(ax: Axes, results: Results) -> None:
    """Draw eps1 against the constant step; rules without one as horizontal lines."""
    runs = results.select(8, step_rule="stable")
    for algorithm, series in STEPPED.items():
        error_curve(ax, runs[runs["algorithm"] == algorithm], "c", "eps1_cert", series)
    for label, level, style in _levels(results):
        ax.axhline(level["eps1_cert"].mean(), linestyle=":", linewidth=1.4, label=label, **style)
    limits = results.select_limits(8)
    ax.axhline(limits["eps1_cert"].mean(), color="0.25", linestyle=DASHES, linewidth=1.1, label="flow limit")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(rf"Error, $r_0$ = {results.profile.scale:g}, $\eta$ = {number(max(results.profile.ratios))}")
    _finish(ax, runs)
    ax.set_yscale("linear")  # all values are of one size


def draw_differences(ax: Axes, results: Results) -> None:
    """Draw how far eps1 is from that of the exact limit."""
    runs, limit = results.select(8, step_rule="stable"), results.select_limits(8).set_index("trial")["eps1_cert"]

    def apart(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(apart=(frame["eps1_cert"] - frame["trial"].map(limit)).abs())

    for algorithm, series in STEPPED.items():
        error_curve(ax, apart(runs[runs["algorithm"] == algorithm]), "c", "apart", series)
    for label, level, style in _levels(results):
        ax.axhline(apart(level)["apart"].mean(), linestyle=":", linewidth=1.4, label=label, **style)
    ax.set_ylabel(r"$|\,\|X\|_1 - \|X_{\mathrm{limit}}\|_1\,|$")
    ax.set_title("Distance of the error from the exact limit's")
    _finish(ax, runs)


def _finish(ax: Axes, runs: pd.DataFrame) -> None:
    ax.set_xlabel("constant step, in units of the bound for the whole run")
    ax.set_xticks(FACTORS, [number(c) for c in FACTORS])
    ax.xaxis.set_minor_locator(NullLocator())
    legend(ax, runs)


FIGURE = PaperFigure(
    8,
    "Not in the paper: what finite steps add to the flow's error",
    tasks,
    (
        Panel(
            "a",
            draw_errors,
            "Error of descent over constant steps; lines for a line search, mirror descent and the exact limit.",
        ),
        Panel("b", draw_differences, "How far each error is from that of the exact limit."),
    ),
)
