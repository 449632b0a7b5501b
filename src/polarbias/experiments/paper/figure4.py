"""Figure 4: sparse truth; recovery error and loss over the scale of the start."""

from __future__ import annotations

from matplotlib.axes import Axes

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import SQRT10, Profile, Task, limit_sweep, scale_sweep
from polarbias.plotting.panels import error_curve, legend, limit_curve, loss_curves, mark_scale
from polarbias.plotting.series import SERIES

ALGORITHMS = ("plain", "wn")


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0, and its exact limits."""
    return scale_sweep(profile, 4, "sparse", ALGORITHMS) + limit_sweep(profile, 4, "sparse")


def draw_recovery(ax: Axes, results: Results, figure: int, algorithms: tuple[str, ...], note: str = "") -> None:
    """Draw eps2 against r0, with the scale at which the start has the truth's norm; Figure 5 is drawn alike."""
    runs, limits = results.select(figure), results.select_limits(figure)
    for algorithm in algorithms:
        limit_curve(ax, limits[limits["algorithm"] == algorithm], "r0", "eps2", SERIES[algorithm].color)
        error_curve(ax, runs[runs["algorithm"] == algorithm], "r0", "eps2", SERIES[algorithm])
    mark_scale(ax, SQRT10, r"$r_0=\sqrt{10}$")
    ax.set_xlabel(r"scale of the start $r_0$")
    ax.set_ylabel(r"$\|X - x^*\|_1$")
    legend(ax, runs, limits, note)


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps2 against r0 for both algorithms."""
    draw_recovery(ax, results, 4, ALGORITHMS)
    ax.set_title(rf"Recovery error, sparse truth, $\eta$ = {results.profile.ratio}")


def draw_losses(ax: Axes, results: Results) -> None:
    """Draw the loss against the step with weight normalization, one curve per r0."""
    loss_curves(ax, results.select_trajectories(4, algorithm="wn"), "r0", "$r_0$")
    ax.set_title(rf"Loss with weight normalization, $\eta$ = {results.profile.ratio}")


FIGURE = PaperFigure(
    4,
    "Sparse truth: recovery over the scale of the start",
    tasks,
    (
        Panel("a", draw_error, "Distance from the sparse truth over the scale of the start."),
        Panel("b", draw_losses, "Loss over accepted steps with weight normalization, one curve per scale."),
    ),
)
