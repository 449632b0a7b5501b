"""Figure 1: one problem, several starts; errors over r0, and over the plane of r0 and ratio."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, configurations
from polarbias.experiments.paper.panels import ERROR_LABELS, RATIO_LABEL, SCALE_LABEL, draw_errors, mark_minimal_norm
from polarbias.plotting.panels import limit_map

MAP = "map"
"""Part of the tasks that cover the plane of r0 and ratio."""


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0 from every start and the rest of the (r0, ratio) plane from the first; limits of both.

    No panel shows the runs over the plane; statements 10 and 15 need them.
    """
    starts, limits = range(profile.starts), profile.for_limits()
    others = [ratio for ratio in profile.ratios if ratio != profile.ratio]
    swept = configurations(limits.r0, [limits.ratio], range(limits.starts))
    fine_r0, fine_ratios = (
        np.geomspace(min(grid), max(grid), count).tolist()
        for grid, count in zip((limits.r0, limits.ratios), profile.map_size, strict=True)
    )
    return [
        Task(1, 0, "plain", "gaussian", configurations(profile.r0, [profile.ratio], starts)),
        Task(1, 0, "wn", "gaussian", configurations(profile.r0, [profile.ratio], starts)),
        Task(1, 0, "wn", "gaussian", configurations(profile.r0, others, [0]), part=MAP),
        Task(1, 0, "plain", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", configurations(fine_r0, fine_ratios, [0]), step=LIMIT, part=MAP),
    ]


def draw_map(ax: Axes, results: Results) -> None:
    """Draw eps1 of the exact limits from the first start over the plane of r0 and ratio."""
    limits = results.select_limits(1, part=MAP)
    limit_map(ax, limits, "eps1_cert", ERROR_LABELS["eps1_cert"])
    mark_minimal_norm(ax, float(limits["minimal_l1"].iloc[0]))
    ax.set(xlabel=SCALE_LABEL, ylabel=RATIO_LABEL, title="Our reading of 1b: error of the exact limit, one start")
    [line] = [line for line in ax.get_lines() if isinstance(line, Line2D)]
    magnified = Patch(facecolor="0.55", edgecolor="white", hatch="///", label=r"magnification factor $\rho\geq 1$")
    ax.legend(handles=[line, magnified], loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


FIGURE = PaperFigure(
    1,
    "With weight normalization, large starts still lead near the minimal l1 solution",
    tasks,
    (
        Panel(
            "a",
            partial(draw_errors, figure=1, title="At most {max_steps:,} steps, {starts} starts on one problem"),
            "Error of descent over the scale of the start, several starts on one problem; dashed, the "
            "exact limits of gradient flow. With weight normalization it stays small up to r0^2 = the "
            "minimal l1 norm.",
        ),
        Panel(
            "b",
            draw_map,
            "Error of the exact limit over the plane of scale and ratio, from the first start. "
            "Hatched: magnification factor of at least 1.",
        ),
    ),
)
