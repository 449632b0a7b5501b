"""Figures 6 to 8, not in the paper: depths, laws for the learning-rate ratio, and finite steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, RunConfiguration, Task, configurations, scale_sweep
from polarbias.experiments.paper.figures import ERROR_LABELS, SCALE_LABEL
from polarbias.plotting.panels import DASHES, error_curve, floor_entry, legend, limit_curve, number
from polarbias.plotting.series import SERIES, Series

MARKERS = {1: "x", 2: "o", 3: "s", 4: "D", 6: "^"}
"""Depths, and the marker of each."""


def _tasks6(profile: Profile) -> list[Task]:
    """Return the limits over r0 for every depth, without and with weight normalization, one of each per trial."""
    limits = profile.for_limits(profile.trials)
    return [
        task
        for depth in MARKERS
        for task in scale_sweep(limits, 6, "gaussian", ("plain", "wn"), step=LIMIT, depth=depth, part=f"depth{depth}")
    ]


def _draw_depths(ax: Axes, results: Results, *, algorithm: str) -> None:
    """Draw eps1 of the exact limits over r0, a curve for each depth."""
    limits = results.select_limits(6, algorithm=algorithm)
    for index, (depth, marker) in enumerate(MARKERS.items()):
        color = to_hex(mpl.colormaps["viridis"](0.85 * index / (len(MARKERS) - 1)))
        style = {"linestyle": "-", "marker": marker, "markersize": 4}
        limit_curve(ax, limits[limits["depth"] == depth], "r0", "eps1_cert", color, f"L = {depth}", **style)
    ratio = rf", $\eta$ = {results.profile.ratio}" if algorithm == "wn" else ""
    title = f"Exact limit {SERIES[algorithm].label}{ratio}"
    ax.set(xlabel=SCALE_LABEL, ylabel=ERROR_LABELS["eps1_cert"], title=title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(MARKERS), columnspacing=1.0)


FIGURE6 = PaperFigure(
    6,
    "Not in the paper: exact limits over the scale of the start, for several depths",
    _tasks6,
    (
        Panel(
            "a",
            partial(_draw_depths, algorithm="plain"),
            "Exact limits without weight normalization. Above depth 2 the norm that small starts minimise has weights.",
        ),
        Panel("b", partial(_draw_depths, algorithm="wn"), "Exact limits with weight normalization."),
    ),
)

LAWS = {
    "constant": Series(r"$f = c$", "#1f5fa8", "o"),
    "power:2": Series(r"$f = c\,r^2$", "#c1440e", "s"),
    "harmonic": Series(r"$1/f = 1/c + 1/r^2$", "#2a9d62", "^"),
}


def _tasks7(profile: Profile) -> list[Task]:
    """Return, per trial and law, descent over the coefficient c at r0 = 1, and limits over c and over r0."""
    fine = profile.for_limits(profile.trials)
    made = []
    for trial in range(profile.trials):
        for law in LAWS:
            part = law.replace(":", "")
            coarse_c = configurations([profile.scale], profile.ratios, [trial])
            over_c = Task(7, trial, "wn", "gaussian", coarse_c, law=law, part=f"{part}-c")
            fine_c = configurations([profile.scale], fine.ratios, [trial])
            over_r0 = configurations(fine.r0, [profile.ratio], [trial])
            limits = replace(over_c, runs=fine_c, step=LIMIT)
            made += [over_c, limits, replace(limits, runs=over_r0, part=f"{part}-r0")]
    return made


def _by_law(frame: pd.DataFrame, over: str) -> Iterator[tuple[str, Series, dict[str, Any], pd.DataFrame]]:
    """Yield law, series, style of its curve, and its rows over r0 or c."""
    for law, series in LAWS.items():
        # The harmonic law is nearly constant for r^2 large against c, so the curve below it is drawn wider.
        width, size = (2.8, 7.5) if law == "constant" else (1.2, 4)
        style = {"linestyle": "-", "marker": series.marker, "linewidth": width, "markersize": size}
        yield law, series, style, frame[(frame["law"] == law) & frame["part"].str.endswith(f"-{over}")]


def _draw_laws(ax: Axes, results: Results, *, over: str, column: str, label: str, title: str) -> None:
    """Draw eps1 of the exact limits over r0 or the coefficient c, a curve for each law."""
    for _, series, style, part in _by_law(results.select_limits(7), over):
        limit_curve(ax, part, column, "eps1_cert", series.color, series.label, **style)
    ax.set(xlabel=label, ylabel=ERROR_LABELS["eps1_cert"], title=title.format(**vars(results.profile)))
    handles, _ = ax.get_legend_handles_labels()
    ax.legend(handles=handles + floor_entry(ax))


def _draw_trade_off(ax: Axes, results: Results) -> None:
    """Draw the steps that descent needs over eps1 of the exact limit, a curve of varying coefficient for each law."""
    limits = {law: part for law, _, _, part in _by_law(results.select_limits(7), "c")}
    unfinished = False
    for law, series, style, runs in _by_law(results.select(7), "c"):
        groups = runs.assign(done=runs["status"] == "converged").groupby("ratio")
        table = groups.agg(steps=("steps", "mean"), done=("done", "all"))
        table = table.join(limits[law].groupby("ratio")["eps1_cert"].mean(), how="inner")
        ax.plot(table["eps1_cert"], table["steps"], color=series.color, label=series.label, **style)
        least = table[~table["done"]]
        marks = {**style, "color": series.color, "linestyle": "none", "markerfacecolor": "white"}
        ax.plot(least["eps1_cert"], least["steps"], **marks)
        unfinished = unfinished or not least.empty
    title = rf"Steps of descent against error, c varies, $r_0$ = {results.profile.scale:g}"
    ax.set(xscale="log", yscale="log", ylabel="steps to loss $10^{-12}$", title=title)
    ax.set_xlabel(f"exact limit's {ERROR_LABELS['eps1_cert']}")
    handles, _ = ax.get_legend_handles_labels()
    if unfinished:
        handles.append(Line2D([], [], color="0.4", linestyle="none", marker="o", mfc="white", label="at least"))
    ax.legend(handles=handles)


_LAWS_TITLE = "Exact limit, Gaussian truth, "
_laws_over_r0 = partial(_draw_laws, over="r0", column="r0", label=SCALE_LABEL, title=_LAWS_TITLE + "c = {ratio}")
_laws_over_c = partial(
    _draw_laws, over="c", column="ratio", label="coefficient c", title=_LAWS_TITLE + "$r_0$ = {scale:g}"
)

FIGURE7 = PaperFigure(
    7,
    "Not in the paper: laws for the learning-rate ratio, exact limits and the steps of descent",
    _tasks7,
    (
        Panel("a", _laws_over_r0, "Exact limits over the scale of the start."),
        Panel("b", _laws_over_c, "Exact limits over the coefficient of the law."),
        Panel(
            "c",
            _draw_trade_off,
            "Cost of an error: steps of descent against the error of the exact limit, the coefficient varies along a"
            " curve.",
        ),
    ),
)

FACTORS = (16.0, 32.0, 64.0, 128.0, 256.0)
"""Constant steps, in units of a bound that holds for the whole run and is therefore far too small for most of it."""

CONSTANT_STEPS = {
    "wn": Series("constant steps", SERIES["wn"].color, "o"),
    "wn-renormalized": Series("constant steps, $u$ renormalized", SERIES["wn-renormalized"].color, "^"),
}

LINES = (
    ("Armijo steps", {"algorithm": "wn"}, CONSTANT_STEPS["wn"].color),
    ("Armijo steps, $u$ renormalized", {"algorithm": "wn-renormalized"}, CONSTANT_STEPS["wn-renormalized"].color),
    ("mirror descent", {"step_rule": "mirror"}, "#8a4fa3"),
)
"""Runs without a constant step, drawn as horizontal lines: label, selection and color."""


def _tasks8(profile: Profile) -> list[Task]:
    """Return descent with constant and Armijo steps, mirror descent and the exact limit, at the largest ratio.

    There runs end within a few thousand steps; at small ratios the smaller ones of the constant steps do not.
    """
    made = []
    for trial in range(profile.trials):
        one = configurations([profile.scale], [max(profile.ratios)], [trial])
        stepped = tuple(RunConfiguration(one[0].r0, one[0].ratio, trial, c) for c in FACTORS)
        for algorithm in CONSTANT_STEPS:
            made.append(Task(8, trial, algorithm, "gaussian", stepped, step="stable"))
            made.append(Task(8, trial, algorithm, "gaussian", one))
        made += [Task(8, trial, "wn", "gaussian", one, step=rule) for rule in ("mirror", LIMIT)]
    return made


def _draw_discretization(ax: Axes, results: Results, *, difference: bool = False) -> None:
    """Draw eps1, or the distance of eps1 from that of the exact limit, over the constant step."""
    limit = results.select_limits(8).set_index("trial")["eps1_cert"]

    def drawn(frame: pd.DataFrame) -> pd.DataFrame:
        if not difference:
            return frame
        return frame.assign(eps1_cert=(frame["eps1_cert"] - frame["trial"].map(limit)).abs())

    runs = results.select(8, step_rule="stable")
    for algorithm, series in CONSTANT_STEPS.items():
        error_curve(ax, drawn(runs[runs["algorithm"] == algorithm]), "c", "eps1_cert", series)
    for label, selection, color in LINES:
        level = drawn(results.select(8, **selection))["eps1_cert"].mean()
        ax.axhline(level, linestyle=":", linewidth=1.4, label=label, color=color)
    if difference:
        title = "Distance of the error from the exact limit's"
        ax.set(ylabel=r"$|\,\|X\|_1 - \|X_{\mathrm{limit}}\|_1\,|$", title=title)
    else:
        ax.axhline(limit.mean(), color="0.25", linestyle=DASHES, linewidth=1.1, label="flow limit")
        title = rf"Error, $r_0$ = {results.profile.scale:g}, $\eta$ = {number(max(results.profile.ratios))}"
        ax.set(ylabel=ERROR_LABELS["eps1_cert"], title=title, yscale="linear")  # all values are of one magnitude
    ax.set_xlabel("constant step, in units of the bound for the whole run")
    ax.set_xticks(FACTORS, [number(c) for c in FACTORS])
    ax.xaxis.set_minor_locator(NullLocator())
    legend(ax, runs)


_draw_difference = partial(_draw_discretization, difference=True)

FIGURE8 = PaperFigure(
    8,
    "Not in the paper: the error that finite steps add to the flow's",
    _tasks8,
    (
        Panel(
            "a",
            _draw_discretization,
            "Error of descent over constant steps; lines for a line search, mirror descent and the exact limit.",
        ),
        Panel("b", _draw_difference, "Distance of each error from that of the exact limit."),
    ),
)

FURTHER_FIGURES = (FIGURE6, FIGURE7, FIGURE8)
