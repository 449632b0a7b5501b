"""Figure 5: sparse truth with both signs; recovery error and loss over the scale of the start."""

from __future__ import annotations

from matplotlib.axes import Axes

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import Profile, Task, limit_sweep, scale_sweep
from polarbias.experiments.paper.figure4 import draw_recovery
from polarbias.plotting.panels import loss_curves

ALGORITHMS = ("plain", "wn", "wn-separate")


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0, with one polar coordinate for both halves and with one for each, and exact limits.

    With a coordinate for each half the flow has two clocks, and no explicit limit is known.
    """
    return scale_sweep(profile, 5, "signed", ALGORITHMS) + limit_sweep(profile, 5, "signed")


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps2 against r0 for the three algorithms."""
    draw_recovery(ax, results, 5, ALGORITHMS, " (not per half)")
    ax.set_title(rf"Recovery error, signed sparse truth, $\eta$ = {results.profile.ratio}")


def draw_losses(ax: Axes, results: Results) -> None:
    """Draw the loss against the step with one polar coordinate, one curve per r0."""
    loss_curves(ax, results.select_trajectories(5, algorithm="wn"), "r0", "$r_0$")
    ax.set_title(rf"Loss, one coordinate for both halves, $\eta$ = {results.profile.ratio}")


FIGURE = PaperFigure(
    5,
    "Signed sparse truth: recovery over the scale of the start",
    tasks,
    (
        Panel(
            "a",
            draw_error,
            "Distance from the signed sparse truth: one coordinate for both halves, one for each, and none.",
        ),
        Panel("b", draw_losses, "Loss over accepted steps, one coordinate for both halves."),
    ),
)
