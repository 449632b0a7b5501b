"""Figure 4: sparse truth; recovery errors and losses over the scale of the start."""

from __future__ import annotations

from functools import partial

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.spec import Profile, Task, limit_sweep, scale_sweep
from polarbias.experiments.paper.panels import draw_errors, draw_losses


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0, and its exact limits."""
    return scale_sweep(profile, 4, "sparse", ("plain", "wn")) + limit_sweep(profile, 4, "sparse")


FIGURE = PaperFigure(
    4,
    "Sparse truth: recovery over the scale of the start",
    tasks,
    (
        Panel(
            "a",
            partial(draw_errors, figure=4, error="eps2", title=r"Recovery error, sparse truth, $\eta$ = {ratio}"),
            "Distance from the sparse truth over the scale of the start.",
        ),
        Panel(
            "b",
            partial(draw_losses, figure=4, title=r"Loss with weight normalization, $\eta$ = {ratio}"),
            "Loss over accepted steps with weight normalization, one curve per scale.",
        ),
    ),
)
