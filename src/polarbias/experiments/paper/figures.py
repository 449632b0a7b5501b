"""Figures 1 to 5 of the paper: tasks and panels."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, SQRT10, Profile, Task, configurations, limit_sweep, scale_sweep
from polarbias.plotting import panels
from polarbias.plotting.panels import error_curve, legend, limit_curve, mark_scale
from polarbias.plotting.series import SERIES

SCALE_LABEL = r"scale of the start $r_0$"
RATIO_LABEL = r"learning-rate ratio $\eta$"
ERROR_LABELS = {"eps1_cert": r"$\|X\|_1 - \min\|z\|_1$", "eps2": r"$\|X - x^*\|_1$"}

MAP = "map"
"""Part of the tasks that cover the plane of r0 and ratio."""


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
        _mark_minimal_norm(ax, float(runs["minimal_l1"].mean()))
    ax.set(xlabel=SCALE_LABEL, ylabel=ERROR_LABELS[error], title=title.format(**vars(results.profile)))
    legend(ax, runs, limits, note)


def _mark_minimal_norm(ax: Axes, minimal_l1: float) -> None:
    mark_scale(ax, float(np.sqrt(minimal_l1)), r"$r_0^2=\min\|z\|_1$")


def draw_losses(
    ax: Axes, results: Results, *, figure: int, title: str, over: str = "r0", symbol: str = "$r_0$"
) -> None:
    """Draw losses over steps with weight normalization, one curve per value of the column ``over``."""
    panels.loss_curves(ax, results.select_trajectories(figure, algorithm="wn"), over, symbol)
    ax.set_title(title.format(**vars(results.profile)))


def _tasks1(profile: Profile) -> list[Task]:
    """Return the sweep over r0 from every start and the rest of the (r0, ratio) plane from the first; limits of both.

    No panel shows the runs over the plane; statements 10 and 15 need them.
    """
    limits = profile.for_limits()
    others = [ratio for ratio in profile.ratios if ratio != profile.ratio]
    drawn = configurations(profile.r0, [profile.ratio], range(profile.starts))
    swept = configurations(limits.r0, [limits.ratio], range(limits.starts))
    fine_r0, fine_ratios = (
        np.geomspace(min(grid), max(grid), count).tolist()
        for grid, count in zip((limits.r0, limits.ratios), profile.map_size, strict=True)
    )
    return [
        Task(1, 0, "plain", "gaussian", drawn),
        Task(1, 0, "wn", "gaussian", drawn),
        Task(1, 0, "wn", "gaussian", configurations(profile.r0, others, [0]), part=MAP),
        Task(1, 0, "plain", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", swept, step=LIMIT),
        Task(1, 0, "wn", "gaussian", configurations(fine_r0, fine_ratios, [0]), step=LIMIT, part=MAP),
    ]


def _draw_map(ax: Axes, results: Results) -> None:
    """Draw eps1 of the exact limits from the first start over the plane of r0 and ratio."""
    limits = results.select_limits(1, part=MAP)
    panels.limit_map(ax, limits, "eps1_cert", ERROR_LABELS["eps1_cert"])
    _mark_minimal_norm(ax, float(limits["minimal_l1"].iloc[0]))
    ax.set(xlabel=SCALE_LABEL, ylabel=RATIO_LABEL, title="Our reading of 1b: error of the exact limit, one start")
    [line] = [line for line in ax.get_lines() if isinstance(line, Line2D)]
    magnified = Patch(facecolor="0.55", edgecolor="white", hatch="///", label=r"magnification factor $\rho\geq 1$")
    ax.legend(handles=[line, magnified], loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


FIGURE1 = PaperFigure(
    1,
    "With weight normalization, large starts still lead near the minimal l1 solution",
    _tasks1,
    (
        Panel(
            "a",
            partial(draw_errors, figure=1, title="At most {max_steps:,} steps, {starts} starts on one problem"),
            "Error of descent over the scale of the start, several starts on one problem; dashed, the exact limits of"
            " gradient flow. With weight normalization it stays small up to r0^2 = the minimal l1 norm.",
        ),
        Panel(
            "b",
            _draw_map,
            "Error of the exact limit over the plane of scale and ratio, from the first start."
            " Hatched: magnification factor of at least 1.",
        ),
    ),
)


def _tasks2(profile: Profile) -> list[Task]:
    """Return the sweep over r0: Armijo steps, constant steps, centred rows (statement 16), and exact limits."""
    sweep = partial(scale_sweep, profile, 2, "gaussian", ("plain", "wn"))
    return [*sweep(), *sweep(step="stable"), *sweep(centred=True), *limit_sweep(profile, 2, "gaussian")]


_errors2 = partial(draw_errors, figure=2)
_LOSS_TITLE = r"Loss with weight normalization, $\eta$ = {ratio}"
_LOSS_CAPTION = "Loss over accepted steps with weight normalization, one curve per scale."

FIGURE2 = PaperFigure(
    2,
    "Gaussian truth: the error over the scale of the start",
    _tasks2,
    (
        Panel(
            "a",
            partial(_errors2, title=r"Error, Gaussian truth, $\eta$ = {ratio}, Armijo steps"),
            "Error over the scale of the start, with a line search. Hollow marks are means of runs that include some "
            "that used up their steps.",
        ),
        Panel("b", partial(draw_losses, figure=2, title=_LOSS_TITLE), _LOSS_CAPTION),
        Panel(
            "c",
            partial(_errors2, title=r"Error, Gaussian truth, $\eta$ = {ratio}, constant steps", step_rule="stable"),
            "The same errors with constant steps. Crosses mark runs far from every solution: their small errors mean"
            " nothing.",
        ),
    ),
)


def _tasks3(profile: Profile) -> list[Task]:
    """Return the sweep over the ratio at r0 = 1 and the plain run: as drawn, centred (statement 16), and limits."""

    def sweep(grid: Profile, **options: Any) -> list[Task]:
        return [
            Task(3, trial, algorithm, "gaussian", configurations([grid.scale], ratios, [trial]), **options)
            for trial in range(grid.trials)
            for algorithm, ratios in (("plain", [grid.ratio]), ("wn", grid.ratios))
        ]

    return [*sweep(profile), *sweep(profile, centred=True), *sweep(profile.for_limits(), step=LIMIT)]


def _draw_errors3(ax: Axes, results: Results) -> None:
    """Draw eps1 over the ratio; plain runs have no ratio and become a horizontal line."""
    runs, limits = results.select(3), results.select_limits(3)
    error_curve(ax, runs[runs["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"])
    plain, color = runs[runs["algorithm"] == "plain"]["eps1_cert"], SERIES["plain"].color
    ax.axhline(plain.mean(), color=color, label=SERIES["plain"].label)
    if not limits.empty:
        limit_curve(ax, limits[limits["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"].color)
        plain_limit = limits["eps1_cert"][limits["algorithm"] == "plain"].mean()
        ax.axhline(plain_limit, color=color, linestyle=panels.DASHES, linewidth=1.1)
    if len(plain) > 1:
        ax.axhspan(plain.quantile(0.25), plain.quantile(0.75), color=color, alpha=0.15, linewidth=0)
    title = rf"Error, Gaussian truth, $r_0$ = {results.profile.scale:g}"
    ax.set(xlabel=RATIO_LABEL, ylabel=ERROR_LABELS["eps1_cert"], title=title)
    legend(ax, runs, limits)


def _draw_steps(ax: Axes, results: Results) -> None:
    panels.steps_curve(ax, results.select(3, algorithm="wn"), "ratio")
    ax.set(xlabel=RATIO_LABEL, title=rf"Steps needed, $r_0$ = {results.profile.scale:g}")


_LOSS_TITLE3 = r"Loss with weight normalization, $r_0$ = {scale:g}"
_losses3 = partial(draw_losses, figure=3, over="ratio", symbol=r"$\eta$", title=_LOSS_TITLE3)

FIGURE3 = PaperFigure(
    3,
    "Gaussian truth: a smaller learning-rate ratio is more accurate and slower",
    _tasks3,
    (
        Panel("a", _draw_errors3, "Error over the learning-rate ratio; dashed, the exact limits."),
        Panel("b", _losses3, "Loss over accepted steps, one curve per ratio."),
        Panel("c", _draw_steps, "Accepted steps to the loss at which runs end; triangles are lower bounds."),
    ),
)


def _tasks4(profile: Profile) -> list[Task]:
    return scale_sweep(profile, 4, "sparse", ("plain", "wn")) + limit_sweep(profile, 4, "sparse")


_errors4 = partial(draw_errors, figure=4, error="eps2", title=r"Recovery error, sparse truth, $\eta$ = {ratio}")

FIGURE4 = PaperFigure(
    4,
    "Sparse truth: recovery over the scale of the start",
    _tasks4,
    (
        Panel("a", _errors4, "Distance from the sparse truth over the scale of the start."),
        Panel("b", partial(draw_losses, figure=4, title=_LOSS_TITLE), _LOSS_CAPTION),
    ),
)

_SIGNED = ("plain", "wn", "wn-separate")


def _tasks5(profile: Profile) -> list[Task]:
    """Return the sweep over r0, with one polar coordinate for both halves and with one for each, and exact limits.

    With a coordinate for each half the flow has two time scales, and no explicit limit is known.
    """
    return scale_sweep(profile, 5, "signed", _SIGNED) + limit_sweep(profile, 5, "signed")


_errors5 = partial(draw_errors, figure=5, error="eps2", algorithms=_SIGNED, note=" (not per half)")
_losses5 = partial(draw_losses, figure=5, title=r"Loss, one coordinate for both halves, $\eta$ = {ratio}")

FIGURE5 = PaperFigure(
    5,
    "Signed sparse truth: recovery over the scale of the start",
    _tasks5,
    (
        Panel(
            "a",
            partial(_errors5, title=r"Recovery error, signed sparse truth, $\eta$ = {ratio}"),
            "Distance from the signed sparse truth: one coordinate for both halves, one for each, and none.",
        ),
        Panel("b", _losses5, "Loss over accepted steps, one coordinate for both halves."),
    ),
)

PAPER_FIGURES = (FIGURE1, FIGURE2, FIGURE3, FIGURE4, FIGURE5)
