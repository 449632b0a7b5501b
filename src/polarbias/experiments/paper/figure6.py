"""Figure 6, not in the paper: exact limits over the scale of the start, for several depths."""

from __future__ import annotations

from functools import partial

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, scale_sweep
from polarbias.experiments.paper.panels import ERROR_LABELS, SCALE_LABEL
from polarbias.plotting.panels import limit_curve
from polarbias.plotting.series import SERIES

MARKERS = {1: "x", 2: "o", 3: "s", 4: "D", 6: "^"}
"""Depths, and the marker of each."""


def tasks(profile: Profile) -> list[Task]:
    """Return the limits over r0 for every depth, without and with weight normalization, one of each per trial."""
    limits = profile.for_limits(profile.trials)
    return [
        task
        for depth in MARKERS
        for task in scale_sweep(limits, 6, "gaussian", ("plain", "wn"), step=LIMIT, depth=depth, part=f"depth{depth}")
    ]


def draw(ax: Axes, results: Results, *, algorithm: str) -> None:
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


FIGURE = PaperFigure(
    6,
    "Not in the paper: exact limits over the scale of the start, for several depths",
    tasks,
    (
        Panel(
            "a",
            partial(draw, algorithm="plain"),
            "Exact limits without weight normalization. Above depth 2 the norm that small starts minimise has weights.",
        ),
        Panel("b", partial(draw, algorithm="wn"), "Exact limits with weight normalization."),
    ),
)
