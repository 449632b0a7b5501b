"""Figure 2: Gaussian truth; error and loss over the scale of the start."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import Profile, Task, limit_sweep, scale_sweep
from polarbias.plotting.panels import error_curve, legend, limit_curve, loss_curves, mark_scale
from polarbias.plotting.series import SERIES

ALGORITHMS = ("plain", "wn")


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0: Armijo steps, constant steps, centred rows (statement 16), and exact limits."""
    return [
        *scale_sweep(profile, 2, "gaussian", ALGORITHMS),
        *scale_sweep(profile, 2, "gaussian", ALGORITHMS, step="stable"),
        *scale_sweep(profile, 2, "gaussian", ALGORITHMS, centred=True),
        *limit_sweep(profile, 2, "gaussian"),
    ]


def draw_error(ax: Axes, results: Results, step_rule: str = "armijo") -> None:
    """Draw eps1 against r0 for both algorithms, and of the flow's limits."""
    runs, limits = results.select(2, step_rule=step_rule), results.select_limits(2)
    for algorithm in ALGORITHMS:
        limit_curve(ax, limits[limits["algorithm"] == algorithm], "r0", "eps1_cert", SERIES[algorithm].color)
        error_curve(ax, runs[runs["algorithm"] == algorithm], "r0", "eps1_cert", SERIES[algorithm])
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(rf"Error, Gaussian truth, $\eta$ = {results.profile.ratio}, Armijo steps")
    mark_scale(ax, float(np.sqrt(runs["minimal_l1"].mean())), r"$r_0^2=\min\|z\|_1$")
    legend(ax, runs, limits)


def draw_losses(ax: Axes, results: Results) -> None:
    """Draw the loss against the step with weight normalization, one curve per r0."""
    loss_curves(ax, results.select_trajectories(2, algorithm="wn"), "r0", "$r_0$")
    ax.set_title(rf"Loss with weight normalization, $\eta$ = {results.profile.ratio}")


def draw_constant(ax: Axes, results: Results) -> None:
    """Draw the errors again, from runs with constant steps."""
    draw_error(ax, results, "stable")
    ax.set_title(rf"Error, Gaussian truth, $\eta$ = {results.profile.ratio}, constant steps")


FIGURE = PaperFigure(
    2,
    "Gaussian truth: the error over the scale of the start",
    tasks,
    (
        Panel(
            "a",
            draw_error,
            "Error over the scale of the start, with a line search. Hollow marks are means of which "
            "some run used up its steps.",
        ),
        Panel("b", draw_losses, "Loss over accepted steps with weight normalization, one curve per scale."),
        Panel(
            "c",
            draw_constant,
            "The same errors with constant steps. Crosses mark runs far from every solution: their "
            "small errors mean nothing.",
        ),
    ),
)
