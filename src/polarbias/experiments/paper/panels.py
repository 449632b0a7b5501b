"""Panels that several figures of the paper share: errors over r0, losses over steps."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import SQRT10
from polarbias.plotting.panels import error_curve, legend, limit_curve, loss_curves, mark_scale
from polarbias.plotting.series import SERIES

SCALE_LABEL = r"scale of the start $r_0$"
RATIO_LABEL = r"learning-rate ratio $\eta$"
ERROR_LABELS = {"eps1_cert": r"$\|X\|_1 - \min\|z\|_1$", "eps2": r"$\|X - x^*\|_1$"}


def draw_errors(
    ax: Axes,
    results: Results,
    *,
    figure: int,
    title: str,
    error: str = "eps1_cert",
    algorithms: tuple[str, ...] = ("plain", "wn"),
    step_rule: str = "armijo",
    note: str = "",
) -> None:
    """Draw errors of runs and exact limits over r0 at the profile's ratio, and mark the scale of the solution.

    Parameters
    ----------
    title
        Format string of the profile's fields.
    error
        Column: ``eps1_cert``, marked at r0^2 = the minimal l1 norm, or ``eps2``, marked at r0 = sqrt(10).
    note
        Addition to the legend's entry of the limits.
    """
    runs, limits = results.select(figure, step_rule=step_rule), results.select_limits(figure, part="")
    runs = runs[(runs["algorithm"] == "plain") | (runs["ratio"] == results.profile.ratio)]
    for algorithm in algorithms:
        limit_curve(ax, limits[limits["algorithm"] == algorithm], "r0", error, SERIES[algorithm].color)
        error_curve(ax, runs[runs["algorithm"] == algorithm], "r0", error, SERIES[algorithm])
    if error == "eps2":
        mark_scale(ax, SQRT10, r"$r_0=\sqrt{10}$")
    else:
        mark_minimal_norm(ax, float(runs["minimal_l1"].mean()))
    ax.set(xlabel=SCALE_LABEL, ylabel=ERROR_LABELS[error], title=title.format(**vars(results.profile)))
    legend(ax, runs, limits, note)


def draw_losses(
    ax: Axes, results: Results, *, figure: int, title: str, over: str = "r0", symbol: str = "$r_0$"
) -> None:
    """Draw losses over steps with weight normalization, one curve per value of the column ``over``."""
    loss_curves(ax, results.select_trajectories(figure, algorithm="wn"), over, symbol)
    ax.set_title(title.format(**vars(results.profile)))


def mark_minimal_norm(ax: Axes, minimal_l1: float) -> None:
    """Mark the scale at which r0^2 is the minimal l1 norm."""
    mark_scale(ax, float(np.sqrt(minimal_l1)), r"$r_0^2=\min\|z\|_1$")
