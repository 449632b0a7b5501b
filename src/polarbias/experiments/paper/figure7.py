r"""Figure 7, not in the paper: three laws for the learning-rate ratio, error of the limit and steps needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, RunConfiguration, Task, configurations
from polarbias.plotting.panels import floor_entry, limit_curve
from polarbias.plotting.series import Series

LAWS = {
    "constant": Series(r"$f = c$", "#1f5fa8", "o"),
    "power:2": Series(r"$f = c\,r^2$", "#c1440e", "s"),
    "harmonic": Series(r"$1/f = 1/c + 1/r^2$", "#2a9d62", "^"),
}

SWEEP, TRADE = "r0", "c"
"""What the runs of a task differ in."""


def tasks(profile: Profile) -> list[Task]:
    """Return, per trial and law, descent over the coefficient c at r0 = 1, and limits over c and over r0."""
    fine = profile.for_limits(profile.trials)
    made = []
    for trial in range(profile.trials):
        for law in LAWS:
            runs = _task(trial, law, configurations([profile.scale], profile.ratios, [trial]), TRADE)
            more = configurations([profile.scale], fine.ratios, [trial])
            over_r0 = _task(trial, law, configurations(fine.r0, [profile.ratio], [trial]), SWEEP)
            made += [runs, replace(runs, runs=more, step=LIMIT), replace(over_r0, step=LIMIT)]
    return made


def _task(trial: int, law: str, members: tuple[RunConfiguration, ...], over: str) -> Task:
    return Task(7, trial, "wn", "gaussian", members, law=law, part=f"{law.replace(':', '')}-{over}")


def _parts(frame: pd.DataFrame, over: str) -> Iterator[tuple[str, Series, pd.DataFrame]]:
    for law, series in LAWS.items():
        yield law, series, frame[(frame["law"] == law) & frame["part"].str.endswith(f"-{over}")]


def draw_scales(ax: Axes, results: Results) -> None:
    """Draw eps1 of the exact limits against r0, a curve for each law."""
    _draw_limits(ax, results, "r0", SWEEP)
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_title(f"Exact limit, Gaussian truth, c = {results.profile.ratio}")


def draw_coefficients(ax: Axes, results: Results) -> None:
    """Draw eps1 of the exact limits against the law's coefficient."""
    _draw_limits(ax, results, "ratio", TRADE)
    ax.set_xlabel("coefficient c")
    ax.set_title(rf"Exact limit, Gaussian truth, $r_0$ = {results.profile.scale:g}")


def _draw_limits(ax: Axes, results: Results, x: str, over: str) -> None:
    for _, series, part in _parts(results.select_limits(7), over):
        limit_curve(ax, part, x, "eps1_cert", series.color, series.label, **_look(series))
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=handles + floor_entry(ax))


def _look(series: Series) -> dict[str, Any]:
    # The harmonic law is nearly the constant one wherever r^2 is large against c: the curve below must stay visible.
    wide = series is LAWS["constant"]
    return {
        "linestyle": "-",
        "marker": series.marker,
        "linewidth": 2.8 if wide else 1.2,
        "markersize": 7.5 if wide else 4,
    }


def draw_trade(ax: Axes, results: Results) -> None:
    """Draw the steps that descent needs against eps1 of the exact limit, a curve over the coefficient for each law."""
    limits = results.select_limits(7)
    unfinished = False
    for law, series, runs in _parts(results.select(7), TRADE):
        table = runs.groupby("ratio").agg(
            steps=("steps", "mean"), done=("status", lambda status: (status == "converged").all())
        )
        own = limits[(limits["law"] == law) & limits["part"].str.endswith(f"-{TRADE}")]
        table = table.join(own.groupby("ratio")["eps1_cert"].mean(), how="inner")
        style = {"color": series.color, **_look(series)}
        ax.plot(table["eps1_cert"], table["steps"], label=series.label, **style)
        least = table[~table["done"]]
        ax.plot(least["eps1_cert"], least["steps"], **{**style, "linestyle": "none", "markerfacecolor": "white"})
        unfinished = unfinished or not least.empty
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(r"exact limit's $\|X\|_1 - \min\|z\|_1$")
    ax.set_ylabel("steps to loss $10^{-12}$")
    ax.set_title(rf"Steps of descent against error, c varies, $r_0$ = {results.profile.scale:g}")
    handles, _ = ax.get_legend_handles_labels()
    if unfinished:
        handles.append(Line2D([], [], color="0.4", linestyle="none", marker="o", mfc="white", label="at least"))
    ax.legend(handles=handles)


FIGURE = PaperFigure(
    7,
    "Not in the paper: laws for the learning-rate ratio, exact limits and the steps of descent",
    tasks,
    (
        Panel("a", draw_scales, "Exact limits over the scale of the start."),
        Panel("b", draw_coefficients, "Exact limits over the coefficient of the law."),
        Panel(
            "c",
            draw_trade,
            "What an error costs: steps of descent against the error of the exact limit, the "
            "coefficient varies along a curve.",
        ),
    ),
)
