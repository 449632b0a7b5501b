"""Drawing: error curves with bands, losses against steps, maps; every panel is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.lines import Line2D

STYLE: Any = {
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.size": 9,
    "grid.alpha": 0.25,
    "legend.fontsize": 8,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "polarbias",
}


@dataclass(frozen=True)
class Series:
    """How a family of runs looks in every figure."""

    label: str
    color: str
    marker: str


SERIES = {
    "plain": Series("without weight normalization", "#c1440e", "s"),
    "wn": Series("with weight normalization", "#1f5fa8", "o"),
    "wn-separate": Series("with, a coordinate per half", "#2a9d62", "^"),
}


def number(value: float) -> str:
    """Write a grid value shortly: 0.01, 3.16, 100."""
    return f"{value:.3g}"


MOST_ENTRIES = 7
"""Curves that a legend can name; more get a color bar."""

FAR = 1e-2
"""A run that ended with more than this share of its first loss is not near any solution of A X = b."""


def error_curve(ax: Axes, runs: pd.DataFrame, x: str, y: str, series: Series) -> None:
    """Draw the mean of ``y`` over trials against ``x``, the interquartile range as a band, on log axes.

    A hollow marker says that some run behind it used up its steps: more steps would move it. A cross says that some
    run ended far from every solution, so that the smallness of an l1 error says nothing.
    """
    far = runs["loss"] > FAR * runs["loss_start"]
    groups = runs.assign(finished=runs["status"] != "max_steps", far=far).groupby(x)
    table = pd.DataFrame(
        {
            "mean": groups[y].mean(),
            "low": groups[y].quantile(0.25),
            "high": groups[y].quantile(0.75),
            "finished": groups["finished"].all(),
            "far": groups["far"].any(),
        }
    ).reset_index()
    # A log axis cannot show an error at its rounding level below zero.
    table = table[table["mean"] > 0]
    style: dict[str, Any] = {"color": series.color, "marker": series.marker, "markersize": 5}
    ax.plot(table[x], table["mean"], label=series.label, **style)
    hollow = table[~table["finished"]]
    ax.plot(hollow[x], hollow["mean"], linestyle="none", markerfacecolor="white", **style)
    crossed = table[table["far"]]
    ax.plot(crossed[x], crossed["mean"], "x", color=series.color, markersize=9)
    if (groups.size() > 1).any():
        band = table[table["low"] > 0]
        ax.fill_between(band[x], band["low"], band["high"], color=series.color, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    ax.set_yscale("log")


def legend(ax: Axes, runs: pd.DataFrame) -> None:
    """Put the legend below the axes, where it hides no curve, with entries for the special markers in use."""
    handles, _ = ax.get_legend_handles_labels()
    marks: dict[str, Any] = {"color": "0.4", "linestyle": "none"}
    if (runs["status"] == "max_steps").any():
        handles.append(Line2D([], [], marker="o", markerfacecolor="white", label="steps used up", **marks))
    if (runs["loss"] > FAR * runs["loss_start"]).any():
        handles.append(Line2D([], [], marker="x", markersize=9, label="loss above 1% of its start", **marks))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def mark_scale(ax: Axes, r0: float, label: str) -> None:
    """Mark a value of r0 by a dotted line."""
    ax.axvline(r0, color="0.35", linestyle=":", linewidth=1.2, label=label)


def loss_curves(ax: Axes, trajectories: pd.DataFrame, by: str, symbol: str) -> None:
    """Draw the loss against the step, one curve per value of ``by``: geometric mean over trials, a run's end kept."""
    values = sorted(trajectories[by].unique())
    scale = LogNorm(values[0], values[-1])
    # The light end of the map would vanish on white.
    colors = LinearSegmentedColormap.from_list("losses", mpl.colormaps["viridis"](np.linspace(0.0, 0.88, 256)))
    for value in values:
        runs = [run for _, run in trajectories[trajectories[by] == value].groupby(["trial", "start"])]
        last = max(int(run["step"].iloc[-1]) for run in runs)
        grid = np.unique(np.rint(np.geomspace(1, max(last, 1), 400)))
        # Step 0 has no place on a log axis; the first drawn step is 1.
        logs = [np.interp(grid, run["step"], np.log10(run["loss"].clip(lower=1e-300))) for run in runs]
        curve = 10 ** np.mean(logs, axis=0)
        ax.plot(grid, curve, color=colors(scale(value)), linewidth=1.3, label=f"{symbol} = {number(value)}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("accepted step")
    ax.set_ylabel(r"loss $\|AX-b\|^2/4$")
    if len(values) <= MOST_ENTRIES:
        ax.legend(loc="lower left")
    else:
        _color_bar(ax, ScalarMappable(scale, colors), symbol)


def _color_bar(ax: Axes, mappable: ScalarMappable, label: str) -> None:
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(mappable, ax=ax, label=label, pad=0.02)


def steps_curve(ax: Axes, runs: pd.DataFrame, x: str) -> None:
    """Draw the steps that runs needed against ``x``; an arrow up marks a mean that is only a lower bound."""
    color = SERIES["wn"].color
    groups = runs.groupby(x)
    steps = groups["steps"].mean()
    finished = groups["status"].agg(lambda status: (status == "converged").all())
    ax.plot(steps.index, steps, color=color)
    ax.set_ylim(steps.min() / 3, steps.max() * 3)
    ax.plot(steps.index[finished], steps[finished], "o", color=color, markersize=5, label="converged")
    if not finished.all():
        ax.plot(steps.index[~finished], steps[~finished], "^", color=color, markerfacecolor="white", label="at least")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylabel("steps to loss $10^{-12}$")
    ax.legend()


def _edges(centers: np.ndarray) -> np.ndarray:
    """Return the borders of cells around ``centers`` on a log axis."""
    logs = np.log(centers)
    middles = (logs[1:] + logs[:-1]) / 2
    return np.asarray(np.exp(np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]])))


def error_map(ax: Axes, runs: pd.DataFrame, y: str, label: str) -> None:
    """Draw ``y`` over the plane of r0 and ratio; crosses mark cells whose runs used up their steps."""
    table = runs.pivot_table(index="ratio", columns="r0", values=y, aggfunc="mean")
    unfinished = runs.assign(open=runs["status"] == "max_steps").pivot_table(index="ratio", columns="r0", values="open")
    errors = table.to_numpy()
    image = ax.pcolormesh(
        _edges(table.columns.to_numpy()),
        _edges(table.index.to_numpy()),
        np.maximum(errors, 1e-14),
        norm=LogNorm(),
        cmap="viridis",
        rasterized=True,
    )
    _color_bar(ax, image, label)
    eta, r0 = np.meshgrid(table.index, table.columns, indexing="ij")
    mask = unfinished.to_numpy() > 0
    ax.plot(r0[mask], eta[mask], "x", color="white", markersize=4, markeredgewidth=0.9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(visible=False)


def trajectory_panels(axes: Sequence[Axes], trajectory: pd.DataFrame, minimal_l1: float) -> None:
    """Draw loss, radius and l1 norm of one run against its steps."""
    color = SERIES["wn"].color
    # Step 0 has no place on a log axis, but it is all that a run has which failed at once.
    later = trajectory[trajectory["step"] > 0] if len(trajectory) > 1 else trajectory
    for ax, column, label in zip(
        axes, ("loss", "r", "l1"), (r"loss $\|AX-b\|^2/(2L)$", r"radius $\|x\|_2$", r"$\|X\|_1$"), strict=True
    ):
        ax.plot(later["step"], later[column], color=color, marker="o" if len(later) == 1 else None)
        if len(trajectory) > 1:
            ax.set_xscale("log")
        ax.set_xlabel("accepted step")
        ax.set_title(label)
    axes[0].set_yscale("log")
    axes[2].axhline(minimal_l1, color="0.35", linestyle=":", label=r"minimal $\|z\|_1$")
    axes[2].legend()
