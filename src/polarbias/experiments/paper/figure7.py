r"""Figure 7, not in the paper: three laws for the learning-rate ratio, error of the limit and steps needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, RunConfiguration, Task, configurations
from polarbias.experiments.paper.panels import ERROR_LABELS, SCALE_LABEL
from polarbias.plotting.panels import floor_entry, limit_curve
from polarbias.plotting.series import Series

LAWS = {
    "constant": Series(r"$f = c$", "#1f5fa8", "o"),
    "power:2": Series(r"$f = c\,r^2$", "#c1440e", "s"),
    "harmonic": Series(r"$1/f = 1/c + 1/r^2$", "#2a9d62", "^"),
}


def tasks(profile: Profile) -> list[Task]:
    """Return, per trial and law, descent over the coefficient c at r0 = 1, and limits over c and over r0."""
    fine = profile.for_limits(profile.trials)
    made = []
    for trial in range(profile.trials):
        for law in LAWS:
            over_c = _task(trial, law, configurations([profile.scale], profile.ratios, [trial]), "c")
            fine_c = configurations([profile.scale], fine.ratios, [trial])
            over_r0 = _task(trial, law, configurations(fine.r0, [profile.ratio], [trial]), "r0")
            made += [over_c, replace(over_c, runs=fine_c, step=LIMIT), replace(over_r0, step=LIMIT)]
    return made


def _task(trial: int, law: str, runs: tuple[RunConfiguration, ...], over: str) -> Task:
    return Task(7, trial, "wn", "gaussian", runs, law=law, part=f"{law.replace(':', '')}-{over}")


def _by_law(frame: pd.DataFrame, over: str) -> Iterator[tuple[str, Series, pd.DataFrame]]:
    for law, series in LAWS.items():
        yield law, series, frame[(frame["law"] == law) & frame["part"].str.endswith(f"-{over}")]


def draw_limits(ax: Axes, results: Results, *, over: str, column: str, label: str, title: str) -> None:
    """Draw eps1 of the exact limits over r0 or the coefficient c, a curve for each law."""
    for _, series, part in _by_law(results.select_limits(7), over):
        limit_curve(ax, part, column, "eps1_cert", series.color, series.label, **_style(series))
    ax.set(xlabel=label, ylabel=ERROR_LABELS["eps1_cert"], title=title.format(**vars(results.profile)))
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=handles + floor_entry(ax))


def _style(series: Series) -> dict[str, Any]:
    # The harmonic law is nearly constant for r^2 large against c, so the curve below it is drawn wider.
    wide = series is LAWS["constant"]
    return {
        "linestyle": "-",
        "marker": series.marker,
        "linewidth": 2.8 if wide else 1.2,
        "markersize": 7.5 if wide else 4,
    }


def draw_trade_off(ax: Axes, results: Results) -> None:
    """Draw the steps that descent needs over eps1 of the exact limit, a curve of varying coefficient for each law."""
    limits = {law: part for law, _, part in _by_law(results.select_limits(7), "c")}
    unfinished = False
    for law, series, runs in _by_law(results.select(7), "c"):
        table = runs.groupby("ratio").agg(
            steps=("steps", "mean"), done=("status", lambda status: (status == "converged").all())
        )
        table = table.join(limits[law].groupby("ratio")["eps1_cert"].mean(), how="inner")
        style = {"color": series.color, **_style(series)}
        ax.plot(table["eps1_cert"], table["steps"], label=series.label, **style)
        least = table[~table["done"]]
        ax.plot(least["eps1_cert"], least["steps"], **{**style, "linestyle": "none", "markerfacecolor": "white"})
        unfinished = unfinished or not least.empty
    title = rf"Steps of descent against error, c varies, $r_0$ = {results.profile.scale:g}"
    ax.set(xscale="log", yscale="log", ylabel="steps to loss $10^{-12}$", title=title)
    ax.set_xlabel(f"exact limit's {ERROR_LABELS['eps1_cert']}")
    handles, _ = ax.get_legend_handles_labels()
    if unfinished:
        handles.append(Line2D([], [], color="0.4", linestyle="none", marker="o", mfc="white", label="at least"))
    ax.legend(handles=handles)


FIGURE = PaperFigure(
    7,
    "Not in the paper: laws for the learning-rate ratio, exact limits and the steps of descent",
    tasks,
    (
        Panel(
            "a",
            partial(
                draw_limits, over="r0", column="r0", label=SCALE_LABEL, title="Exact limit, Gaussian truth, c = {ratio}"
            ),
            "Exact limits over the scale of the start.",
        ),
        Panel(
            "b",
            partial(
                draw_limits,
                over="c",
                column="ratio",
                label="coefficient c",
                title="Exact limit, Gaussian truth, $r_0$ = {scale:g}",
            ),
            "Exact limits over the coefficient of the law.",
        ),
        Panel(
            "c",
            draw_trade_off,
            "Cost of an error: steps of descent against the error of the exact limit, the "
            "coefficient varies along a curve.",
        ),
    ),
)
