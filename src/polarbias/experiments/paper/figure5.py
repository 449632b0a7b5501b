"""Figure 5: sparse truth with both signs; recovery errors and losses over the scale of the start."""

from __future__ import annotations

from functools import partial

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.spec import Profile, Task, limit_sweep, scale_sweep
from polarbias.experiments.paper.panels import draw_errors, draw_losses

ALGORITHMS = ("plain", "wn", "wn-separate")


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0, with one polar coordinate for both halves and with one for each, and exact limits.

    With a coordinate for each half the flow has two time scales, and no explicit limit is known.
    """
    return scale_sweep(profile, 5, "signed", ALGORITHMS) + limit_sweep(profile, 5, "signed")


FIGURE = PaperFigure(
    5,
    "Signed sparse truth: recovery over the scale of the start",
    tasks,
    (
        Panel(
            "a",
            partial(
                draw_errors,
                figure=5,
                error="eps2",
                title=r"Recovery error, signed sparse truth, $\eta$ = {ratio}",
                algorithms=ALGORITHMS,
                note=" (not per half)",
            ),
            "Distance from the signed sparse truth: one coordinate for both halves, one for each, and none.",
        ),
        Panel(
            "b",
            partial(draw_losses, figure=5, title=r"Loss, one coordinate for both halves, $\eta$ = {ratio}"),
            "Loss over accepted steps, one coordinate for both halves.",
        ),
    ),
)
