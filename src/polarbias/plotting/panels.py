"""Elements of panels: error curves with bands, losses over steps, maps, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.lines import Line2D

from polarbias.plotting.series import FLOOR, SERIES, Series

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


def number(value: float) -> str:
    """Return a value with three significant digits: 0.01, 3.16, 100."""
    return f"{value:.3g}"


MAX_LEGEND_ENTRIES = 7
"""Largest number of loss curves with a legend; more get a color bar."""

FAR_LOSS_THRESHOLD = 1e-2
"""Share of the first loss above which the end of a run is far from every solution of A X = b."""

DASHES = (0, (4, 1.6))

_FLOORED: Any = {"linestyle": "none", "marker": "v", "markersize": 4, "markerfacecolor": "white"}


def error_curve(ax: Axes, runs: pd.DataFrame, x: str, y: str, series: Series) -> None:
    """Draw the mean of ``y`` over trials against ``x`` and the interquartile range as a band, on log axes.

    A mean has a hollow marker if one of its runs used up its steps, and a cross if one ended far from every solution,
    so that a small l1 error has no meaning.
    """
    if runs.empty:
        return
    groups = runs.assign(open=runs["status"] == "max_steps", far=_is_far(runs)).groupby(x)
    table = groups[["open", "far"]].any().assign(mean=groups[y].mean()).reset_index()
    # A log axis has no place for an error that rounding made negative.
    table = table[table["mean"] > 0]
    style: dict[str, Any] = {"color": series.color, "marker": series.marker, "markersize": 5}
    ax.plot(table[x], table["mean"], label=series.label, **style)
    hollow, crossed = table[table["open"]], table[table["far"]]
    ax.plot(hollow[x], hollow["mean"], linestyle="none", markerfacecolor="white", **style)
    ax.plot(crossed[x], crossed["mean"], "x", color=series.color, markersize=9)
    if (groups.size() > 1).any():
        low, high = (groups[y].quantile(share)[table[x]].to_numpy() for share in (0.25, 0.75))
        ax.fill_between(table[x][low > 0], low[low > 0], high[low > 0], color=series.color, alpha=0.18, linewidth=0)
    ax.set(xscale="log", yscale="log")


def _is_far(runs: pd.DataFrame) -> pd.Series:
    return runs["loss"] > FAR_LOSS_THRESHOLD * runs["loss_start"]


def limit_curve(
    ax: Axes, limits: pd.DataFrame, x: str, y: str, color: str, label: str | None = None, **style: Any
) -> None:
    """Draw the mean of ``y`` over exact limits against ``x``, dashed, and at `FLOOR` if it is smaller."""
    if limits.empty:
        return
    means = limits.groupby(x)[y].mean()
    dashed = {"linewidth": 1.1, "linestyle": DASHES, "zorder": 1.9, "color": color, "label": label}
    ax.plot(means.index, means.clip(lower=FLOOR), **{**dashed, **style})
    low = means.index[means < FLOOR]
    ax.plot(low, np.full(len(low), FLOOR), **_FLOORED, color=color)
    ax.set(xscale="log", yscale="log")


def floor_entry(ax: Axes) -> list[Line2D]:
    """Return the legend's entry for limits that are drawn at `FLOOR`, or an empty list."""
    if any(line.get_marker() == _FLOORED["marker"] and np.size(line.get_xdata()) for line in ax.get_lines()):
        return [Line2D([], [], color="0.4", **_FLOORED, label=r"flow limit below $10^{-12}$")]
    return []


def legend(ax: Axes, runs: pd.DataFrame, limits: pd.DataFrame | None = None, note: str = "") -> None:
    """Draw the legend below the axes, with entries for the special markers in use."""
    handles, _ = ax.get_legend_handles_labels()
    if limits is not None and not limits.empty:
        count = limits.groupby(["trial", "start"]).ngroups
        label = "flow limit" + (f", mean of {count}" if count > 1 else "") + note
        handles.append(Line2D([], [], color="0.4", linewidth=1.1, linestyle=DASHES, label=label))
        handles += floor_entry(ax)
    marks: dict[str, Any] = {"color": "0.4", "linestyle": "none"}
    if (runs["status"] == "max_steps").any():
        handles.append(Line2D([], [], marker="o", markerfacecolor="white", label="steps used up", **marks))
    if _is_far(runs).any():
        handles.append(Line2D([], [], marker="x", markersize=9, label="loss above 1% of its start", **marks))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def mark_scale(ax: Axes, r0: float, label: str) -> None:
    """Mark a value of r0 by a dotted line."""
    ax.axvline(r0, color="0.35", linestyle=":", linewidth=1.2, label=label)


def loss_curves(ax: Axes, trajectories: pd.DataFrame, by: str, symbol: str) -> None:
    """Draw the geometric mean of the loss over trials against the step, one curve per value of ``by``.

    A run that has ended enters the mean with its last loss.
    """
    values = sorted(trajectories[by].unique())
    scale = LogNorm(values[0], values[-1])
    # The light end of the color map is invisible on white.
    colors = LinearSegmentedColormap.from_list("losses", mpl.colormaps["viridis"](np.linspace(0.0, 0.88, 256)))
    for value in values:
        runs = [run for _, run in trajectories[trajectories[by] == value].groupby(["trial", "start"])]
        last = max(int(run["step"].iloc[-1]) for run in runs)
        grid = np.unique(np.rint(np.geomspace(1, max(last, 1), 400)))
        # A log axis cannot show step 0.
        logs = [np.interp(grid, run["step"], np.log10(run["loss"].clip(lower=1e-300))) for run in runs]
        curve = 10 ** np.mean(logs, axis=0)
        ax.plot(grid, curve, color=colors(scale(value)), linewidth=1.3, label=f"{symbol} = {number(value)}")
    ax.set(xscale="log", yscale="log", xlabel="accepted step", ylabel=r"loss $\|AX-b\|^2/4$")
    if len(values) <= MAX_LEGEND_ENTRIES:
        ax.legend(loc="lower left")
    else:
        _color_bar(ax, ScalarMappable(scale, colors), symbol)


def _color_bar(ax: Axes, mappable: ScalarMappable, label: str) -> None:
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(mappable, ax=ax, label=label, pad=0.02)


def steps_curve(ax: Axes, runs: pd.DataFrame, x: str) -> None:
    """Draw the mean number of steps against ``x``; a triangle marks a mean that is a lower bound."""
    color = SERIES["wn"].color
    groups = runs.assign(finished=runs["status"] == "converged").groupby(x)
    steps, finished = groups["steps"].mean(), groups["finished"].all()
    ax.plot(steps.index, steps, color=color)
    ax.set_ylim(steps.min() / 3, steps.max() * 3)
    ax.plot(steps.index[finished], steps[finished], "o", color=color, markersize=5, label="converged")
    if not finished.all():
        ax.plot(steps.index[~finished], steps[~finished], "^", color=color, markerfacecolor="white", label="at least")
    ax.set(xscale="log", yscale="log", ylabel="steps to loss $10^{-12}$")
    ax.legend()


def _edges(centers: np.ndarray) -> np.ndarray:
    """Return the borders of cells around ``centers`` on a log axis."""
    logs = np.log(centers)
    middles = (logs[1:] + logs[:-1]) / 2
    return np.asarray(np.exp(np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]])))


def limit_map(ax: Axes, limits: pd.DataFrame, y: str, label: str) -> None:
    """Draw a map of ``y``, at least `FLOOR`, over r0 and ratio; the region of rho >= 1 is hatched."""
    table, log_rho = (limits.pivot(index="ratio", columns="r0", values=name) for name in (y, "log_rho"))
    edges = _edges(table.columns.to_numpy()), _edges(table.index.to_numpy())
    errors = np.maximum(table.to_numpy(), FLOOR)
    image = ax.pcolormesh(*edges, errors, norm=LogNorm(), cmap="viridis", rasterized=True)
    _color_bar(ax, image, label)
    values = log_rho.to_numpy()
    plane = table.columns, table.index, values
    if np.nanmin(values) < 0 < np.nanmax(values):
        ax.contour(*plane, levels=[0.0], colors="white", linewidths=0.9)
    if np.nanmax(values) > 0:
        with mpl.rc_context({"hatch.color": "white", "hatch.linewidth": 0.5}):
            ax.contourf(*plane, levels=[0.0, np.inf], colors="none", hatches=["//"], extend="neither")
    ax.set(xscale="log", yscale="log")
    ax.grid(visible=False)


def trajectory_panels(axes: Sequence[Axes], trajectory: pd.DataFrame, minimal_l1: float) -> None:
    """Draw loss, radius and l1 norm of one run over its steps."""
    color = SERIES["wn"].color
    # A log axis cannot show step 0; a run that failed at once has no other record.
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
