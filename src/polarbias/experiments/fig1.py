"""Figure 1: one problem, several starts; the error against the start, and over the plane of r0 and ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from polarbias.experiments.figure import Panel, PaperFigure
from polarbias.experiments.results import Results
from polarbias.experiments.spec import Cell, Profile, chains
from polarbias.plotting import SERIES, error_curve, error_map, legend, mark_scale


def cells(profile: Profile) -> list[Cell]:
    """Return the sweep over r0 from every start, and the rest of the (r0, ratio) plane from the first."""
    starts = range(profile.starts)
    others = [ratio for ratio in profile.ratios if ratio != profile.ratio]
    return [
        Cell(1, 0, "plain", "gaussian", chains(profile.r0, [profile.ratio], starts)),
        Cell(1, 0, "wn", "gaussian", chains(profile.r0, [profile.ratio], starts)),
        Cell(1, 0, "wn", "gaussian", chains(profile.r0, others, [0]), part="map"),
    ]


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps1 against r0 for both algorithms."""
    profile = results.profile
    parts = {
        "plain": results.select(1, algorithm="plain"),
        "wn": results.select(1, algorithm="wn", ratio=profile.ratio),
    }
    runs = pd.concat(parts.values())
    for algorithm, part in parts.items():
        error_curve(ax, part, "r0", "eps1_cert", SERIES[algorithm])
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(f"Error after at most {profile.max_steps:,} steps, {profile.starts} starts on one problem")
    mark_scale(ax, float(np.sqrt(runs["minimal_l1"].iloc[0])), r"$r_0^2=\min\|z\|_1$")
    legend(ax, runs)


def draw_map(ax: Axes, results: Results) -> None:
    """Draw eps1 of the first start over the plane of r0 and ratio."""
    runs = results.select(1, algorithm="wn", start=0)
    error_map(ax, runs, "eps1_cert", r"$\|X\|_1 - \min\|z\|_1$")
    mark_scale(ax, float(np.sqrt(runs["minimal_l1"].iloc[0])), "")
    ax.set_xlabel(r"scale of the start $r_0$" "\n" r"x: steps used up;  dotted: $r_0^2=\min\|z\|_1$")
    ax.set_ylabel(r"learning-rate ratio $\eta$")
    ax.set_title(f"Error of descent after at most {results.profile.max_steps:,} steps")


FIGURE = PaperFigure(
    1,
    "With weight normalization, large starts still lead near the minimal l1 solution",
    cells,
    (Panel("a", draw_error), Panel("b", draw_map)),
)
