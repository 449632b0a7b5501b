"""Figure 3: Gaussian truth; error, loss and steps over the learning-rate ratio."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, configurations
from polarbias.plotting.panels import DASHES, error_curve, legend, limit_curve, loss_curves, steps_curve
from polarbias.plotting.series import SERIES


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over the ratio at r0 = 1 and the plain run: as drawn, centred (statement 16), and limits."""
    return [
        *(task for centred in (False, True) for task in _sweep(profile, centred=centred)),
        *_sweep(profile.for_limits(), step=LIMIT),
    ]


def _sweep(profile: Profile, **options: Any) -> list[Task]:
    return [
        task
        for trial in range(profile.trials)
        for task in (
            Task(3, trial, "plain", "gaussian", configurations([profile.scale], [profile.ratio], [trial]), **options),
            Task(3, trial, "wn", "gaussian", configurations([profile.scale], profile.ratios, [trial]), **options),
        )
    ]


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps1 against the ratio; the plain runs, which have none, as a horizontal line."""
    runs, limits = results.select(3), results.select_limits(3)
    error_curve(ax, runs[runs["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"])
    plain = runs[runs["algorithm"] == "plain"]["eps1_cert"]
    ax.axhline(plain.mean(), color=SERIES["plain"].color, label=SERIES["plain"].label)
    if not limits.empty:
        limit_curve(ax, limits[limits["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"].color)
        plain_limit = limits["eps1_cert"][limits["algorithm"] == "plain"].mean()
        ax.axhline(plain_limit, color=SERIES["plain"].color, linestyle=DASHES, linewidth=1.1)
    if len(plain) > 1:
        ax.axhspan(plain.quantile(0.25), plain.quantile(0.75), color=SERIES["plain"].color, alpha=0.15, linewidth=0)
    ax.set_xlabel(r"learning-rate ratio $\eta$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(rf"Error, Gaussian truth, $r_0$ = {results.profile.scale:g}")
    legend(ax, runs, limits)


def draw_losses(ax: Axes, results: Results) -> None:
    """Draw the loss against the step, one curve per ratio."""
    loss_curves(ax, results.select_trajectories(3, algorithm="wn"), "ratio", r"$\eta$")
    ax.set_title(rf"Loss with weight normalization, $r_0$ = {results.profile.scale:g}")


def draw_steps(ax: Axes, results: Results) -> None:
    """Draw the steps needed against the ratio."""
    steps_curve(ax, results.select(3, algorithm="wn"), "ratio")
    ax.set_xlabel(r"learning-rate ratio $\eta$")
    ax.set_title(rf"Steps needed, $r_0$ = {results.profile.scale:g}")


FIGURE = PaperFigure(
    3,
    "Gaussian truth: a smaller learning-rate ratio is more accurate and slower",
    tasks,
    (
        Panel("a", draw_error, "Error over the learning-rate ratio; dashed, the exact limits."),
        Panel("b", draw_losses, "Loss over accepted steps, one curve per ratio."),
        Panel("c", draw_steps, "Accepted steps to the loss at which runs end; triangles are lower bounds."),
    ),
)
