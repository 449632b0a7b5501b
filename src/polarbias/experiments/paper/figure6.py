"""Figure 6, not in the paper: exact limits of the flow over the scale of the start, for several depths."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, scale_sweep
from polarbias.plotting.panels import limit_curve
from polarbias.plotting.series import SERIES

DEPTHS = (1, 2, 3, 4, 6)

MARKERS = dict(zip(DEPTHS, "xosD^", strict=True))


def tasks(profile: Profile) -> list[Task]:
    """Return the limits over r0 for every depth, without and with weight normalization, one of each per trial."""
    few = profile.for_limits(profile.trials)
    return [
        task
        for depth in DEPTHS
        for task in scale_sweep(few, 6, "gaussian", ("plain", "wn"), step=LIMIT, depth=depth, part=f"depth{depth}")
    ]


def draw(ax: Axes, results: Results, algorithm: str) -> None:
    """Draw eps1 of the exact limits against r0, a curve for each depth."""
    limits = results.select_limits(6, algorithm=algorithm)
    for index, depth in enumerate(DEPTHS):
        color = to_hex(mpl.colormaps["viridis"](0.85 * index / (len(DEPTHS) - 1)))
        limit_curve(
            ax,
            limits[limits["depth"] == depth],
            "r0",
            "eps1_cert",
            color,
            f"L = {depth}",
            linestyle="-",
            marker=MARKERS[depth],
            markersize=4,
        )
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ratio = rf", $\eta$ = {results.profile.ratio}" if algorithm == "wn" else ""
    ax.set_title(f"Exact limit {SERIES[algorithm].label}{ratio}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=len(DEPTHS), columnspacing=1.0)


def draw_plain(ax: Axes, results: Results) -> None:
    """Draw the limits without weight normalization."""
    draw(ax, results, "plain")


def draw_wn(ax: Axes, results: Results) -> None:
    """Draw the limits with weight normalization."""
    draw(ax, results, "wn")


FIGURE = PaperFigure(
    6,
    "Not in the paper: exact limits over the scale of the start, for several depths",
    tasks,
    (
        Panel(
            "a",
            draw_plain,
            "Exact limits without weight normalization. Above depth 2 the norm that small starts minimise has weights.",
        ),
        Panel("b", draw_wn, "Exact limits with weight normalization."),
    ),
)
