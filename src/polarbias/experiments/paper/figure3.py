"""Figure 3: Gaussian truth; error, loss and steps over the learning-rate ratio."""

from __future__ import annotations

from functools import partial
from typing import Any

from matplotlib.axes import Axes

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, configurations
from polarbias.experiments.paper.panels import ERROR_LABELS, RATIO_LABEL, draw_losses
from polarbias.plotting.panels import DASHES, error_curve, legend, limit_curve, steps_curve
from polarbias.plotting.series import SERIES


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over the ratio at r0 = 1 and the plain run: as drawn, centred (statement 16), and limits."""
    return [
        *(task for centred in (False, True) for task in _sweep(profile, centred=centred)),
        *_sweep(profile.for_limits(), step=LIMIT),
    ]


def _sweep(profile: Profile, **options: Any) -> list[Task]:
    return [
        Task(3, trial, algorithm, "gaussian", configurations([profile.scale], ratios, [trial]), **options)
        for trial in range(profile.trials)
        for algorithm, ratios in (("plain", [profile.ratio]), ("wn", profile.ratios))
    ]


def draw_errors(ax: Axes, results: Results) -> None:
    """Draw eps1 over the ratio; plain runs have no ratio and become a horizontal line."""
    runs, limits = results.select(3), results.select_limits(3)
    error_curve(ax, runs[runs["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"])
    plain, color = runs[runs["algorithm"] == "plain"]["eps1_cert"], SERIES["plain"].color
    ax.axhline(plain.mean(), color=color, label=SERIES["plain"].label)
    if not limits.empty:
        limit_curve(ax, limits[limits["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"].color)
        plain_limit = limits["eps1_cert"][limits["algorithm"] == "plain"].mean()
        ax.axhline(plain_limit, color=color, linestyle=DASHES, linewidth=1.1)
    if len(plain) > 1:
        ax.axhspan(plain.quantile(0.25), plain.quantile(0.75), color=color, alpha=0.15, linewidth=0)
    title = rf"Error, Gaussian truth, $r_0$ = {results.profile.scale:g}"
    ax.set(xlabel=RATIO_LABEL, ylabel=ERROR_LABELS["eps1_cert"], title=title)
    legend(ax, runs, limits)


def draw_steps(ax: Axes, results: Results) -> None:
    """Draw the number of steps to convergence over the ratio."""
    steps_curve(ax, results.select(3, algorithm="wn"), "ratio")
    ax.set(xlabel=RATIO_LABEL, title=rf"Steps needed, $r_0$ = {results.profile.scale:g}")


FIGURE = PaperFigure(
    3,
    "Gaussian truth: a smaller learning-rate ratio is more accurate and slower",
    tasks,
    (
        Panel("a", draw_errors, "Error over the learning-rate ratio; dashed, the exact limits."),
        Panel(
            "b",
            partial(
                draw_losses,
                figure=3,
                title=r"Loss with weight normalization, $r_0$ = {scale:g}",
                over="ratio",
                symbol=r"$\eta$",
            ),
            "Loss over accepted steps, one curve per ratio.",
        ),
        Panel("c", draw_steps, "Accepted steps to the loss at which runs end; triangles are lower bounds."),
    ),
)
