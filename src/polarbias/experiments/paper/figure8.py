"""Figure 8, not in the paper: the error that finite steps add to that of the flow's limit."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, RunConfiguration, Task, configurations
from polarbias.experiments.paper.panels import ERROR_LABELS
from polarbias.plotting.panels import DASHES, error_curve, legend, number
from polarbias.plotting.series import SERIES, Series

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


def tasks(profile: Profile) -> list[Task]:
    """Return descent with constant and Armijo steps, mirror descent and the exact limit, at the largest ratio.

    There runs end within a few thousand steps; at small ratios the smaller ones of the constant steps do not.
    """
    made = []
    for trial in range(profile.trials):
        one = configurations([profile.scale], [max(profile.ratios)], [trial])
        stepped = tuple(RunConfiguration(one[0].r0, one[0].ratio, trial, c) for c in FACTORS)
        for algorithm in CONSTANT_STEPS:
            made += [
                Task(8, trial, algorithm, "gaussian", stepped, step="stable"),
                Task(8, trial, algorithm, "gaussian", one),
            ]
        made += [Task(8, trial, "wn", "gaussian", one, step=rule) for rule in ("mirror", LIMIT)]
    return made


def draw(ax: Axes, results: Results, *, difference: bool) -> None:
    """Draw eps1, or the distance of eps1 from that of the exact limit, over the constant step."""
    limits = results.select_limits(8)
    limit = limits.set_index("trial")["eps1_cert"]

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
        ax.set(
            ylabel=r"$|\,\|X\|_1 - \|X_{\mathrm{limit}}\|_1\,|$", title="Distance of the error from the exact limit's"
        )
    else:
        ax.axhline(limit.mean(), color="0.25", linestyle=DASHES, linewidth=1.1, label="flow limit")
        title = rf"Error, $r_0$ = {results.profile.scale:g}, $\eta$ = {number(max(results.profile.ratios))}"
        ax.set(ylabel=ERROR_LABELS["eps1_cert"], title=title, yscale="linear")  # all values are of one magnitude
    ax.set_xlabel("constant step, in units of the bound for the whole run")
    ax.set_xticks(FACTORS, [number(c) for c in FACTORS])
    ax.xaxis.set_minor_locator(NullLocator())
    legend(ax, runs)


FIGURE = PaperFigure(
    8,
    "Not in the paper: the error that finite steps add to the flow's",
    tasks,
    (
        Panel(
            "a",
            partial(draw, difference=False),
            "Error of descent over constant steps; lines for a line search, mirror descent and the exact limit.",
        ),
        Panel("b", partial(draw, difference=True), "Distance of each error from that of the exact limit."),
    ),
)
