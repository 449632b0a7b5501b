"""Figure 1: one problem, several starts; the error against the start, and over the plane of r0 and ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, configurations
from polarbias.plotting.panels import error_curve, legend, limit_curve, limit_map, mark_scale
from polarbias.plotting.series import SERIES

MAP = "map"
"""Part of the tasks that cover the plane of r0 and ratio."""


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0 from every start and the rest of the (r0, ratio) plane from the first; limits of both.

    No panel shows the runs over the plane, but statements 10 and 15 are about them.
    """
    starts, many = range(profile.starts), profile.for_limits()
    others = [ratio for ratio in profile.ratios if ratio != profile.ratio]
    swept = configurations(many.r0, [many.ratio], range(many.starts))
    fine_r0, fine_ratios = (
        np.geomspace(min(grid), max(grid), count).tolist()
        for grid, count in zip((many.r0, many.ratios), profile.map_size, strict=True)
    )
    return [
        Task(1, 0, "plain", "gaussian", configurations(profile.r0, [profile.ratio], starts)),
        Task(1, 0, "wn", "gaussian", configurations(profile.r0, [profile.ratio], starts)),
        Task(1, 0, "wn", "gaussian", configurations(profile.r0, others, [0]), part=MAP),
        Task(1, 0, "plain", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", configurations(fine_r0, fine_ratios, [0]), step=LIMIT, part=MAP),
    ]


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps1 against r0 for both algorithms, and of the flow's limits."""
    profile = results.profile
    parts = {
        "plain": results.select(1, algorithm="plain"),
        "wn": results.select(1, algorithm="wn", ratio=profile.ratio),
    }
    runs, limits = pd.concat(parts.values()), results.select_limits(1, part="")
    for algorithm, part in parts.items():
        error_curve(ax, part, "r0", "eps1_cert", SERIES[algorithm])
        limit_curve(ax, limits[limits["algorithm"] == algorithm], "r0", "eps1_cert", SERIES[algorithm].color)
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(f"At most {profile.max_steps:,} steps, {profile.starts} starts on one problem")
    mark_scale(ax, float(np.sqrt(runs["minimal_l1"].iloc[0])), r"$r_0^2=\min\|z\|_1$")
    legend(ax, runs, limits)


def draw_map(ax: Axes, results: Results) -> None:
    """Draw eps1 of the exact limits from the first start over the plane of r0 and ratio."""
    limits = results.select_limits(1, part=MAP)
    limit_map(ax, limits, "eps1_cert", r"$\|X\|_1 - \min\|z\|_1$")
    mark_scale(ax, float(np.sqrt(limits["minimal_l1"].iloc[0])), r"$r_0^2=\min\|z\|_1$")
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"learning-rate ratio $\eta$")
    ax.set_title("Our reading of 1b: error of the exact limit, one start")
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
            draw_error,
            "Error of descent over the scale of the start, several starts on one problem; dashed, the "
            "exact limits of gradient flow. With weight normalization it stays small up to r0^2 = the "
            "minimal l1 norm.",
        ),
        Panel(
            "b",
            draw_map,
            "Error of the exact limit over the plane of scale and ratio, from the first start. "
            "Hatched where the magnification factor is 1 or more.",
        ),
    ),
)
