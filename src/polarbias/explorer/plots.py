"""Plain figures of the views' tables; the exported scripts contain the source of these functions."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def plot_limits(table: pd.DataFrame) -> Any:
    """Draw the minimal l1 solution and both limits as stems."""
    figure, axes = plt.subplots(3, sharex=True, sharey=True, figsize=(9, 7), layout="constrained")
    for ax, name in zip(axes, ("minimal_l1", "plain", "wn"), strict=True):
        ax.vlines(table["entry"], 0, table[name])
        ax.plot(table["entry"], table[name], ".")
        ax.set_title(name)
    return figure


def plot_trajectory(table: pd.DataFrame) -> Any:
    """Draw loss, radius, l1 error and drift of both flows against time."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for ax, key in zip(axes.flat, ("loss", "r", "excess", "drift"), strict=True):
        for name, flow in table.groupby("algorithm"):
            ax.loglog(flow["t"], flow[key].abs(), label=name)
        ax.set(xlabel="time t", title=key)
    axes[0, 0].legend()
    return figure


def plot_map(table: pd.DataFrame) -> Any:
    """Draw the l1 error of the limits over the plane of r0 and ratio."""
    figure, ax = plt.subplots(layout="constrained")
    errors = table.pivot(index="ratio", columns="r0", values="excess").clip(lower=1e-12)
    image = ax.pcolormesh(errors.columns, errors.index, np.log10(errors), shading="nearest")
    figure.colorbar(image, label="log10 of the l1 error")
    ax.set(xscale="log", yscale="log", xlabel="r0", ylabel="eta")
    return figure


def plot_bounds(table: pd.DataFrame) -> Any:
    """Draw log10 rho, and the l1 errors of both limits with their bounds, against r0."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    left.semilogx(table["r0"], table["wn_log10_rho"])
    left.set(xlabel="r0", ylabel="log10 rho")
    for name in ("plain", "wn"):
        (line,) = right.loglog(table["r0"], table[f"{name}_excess"].clip(lower=1e-16), label=name)
        right.loglog(table["r0"], table[f"{name}_bound"], "--", color=line.get_color(), label=f"bound, {name}")
    right.set(xlabel="r0", ylabel="relative error of the l1 norm")
    right.legend()
    return figure


def plot_plane(table: pd.DataFrame) -> Any:
    """Draw the signals of both flows in two or three dimensions."""
    entries = [name for name in ("x1", "x2", "x3") if name in table]
    figure, ax = plt.subplots(subplot_kw={"projection": "3d"} if len(entries) == 3 else {}, layout="constrained")
    for name, flow in table.groupby("algorithm"):
        ax.plot(*(flow[entry] for entry in entries), label=name)
    ax.legend()
    return figure
