"""Figure 2: Gaussian truth; errors and losses over the scale of the start."""

from __future__ import annotations

from functools import partial

from polarbias.experiments.engine.figure import Panel, PaperFigure
from polarbias.experiments.engine.spec import Profile, Task, limit_sweep, scale_sweep
from polarbias.experiments.paper.panels import draw_errors, draw_losses


def tasks(profile: Profile) -> list[Task]:
    """Return the sweep over r0: Armijo steps, constant steps, centred rows (statement 16), and exact limits."""
    return [
        *scale_sweep(profile, 2, "gaussian", ("plain", "wn")),
        *scale_sweep(profile, 2, "gaussian", ("plain", "wn"), step="stable"),
        *scale_sweep(profile, 2, "gaussian", ("plain", "wn"), centred=True),
        *limit_sweep(profile, 2, "gaussian"),
    ]


FIGURE = PaperFigure(
    2,
    "Gaussian truth: the error over the scale of the start",
    tasks,
    (
        Panel(
            "a",
            partial(draw_errors, figure=2, title=r"Error, Gaussian truth, $\eta$ = {ratio}, Armijo steps"),
            "Error over the scale of the start, with a line search. Hollow marks are means of runs that include some "
            "that used up their steps.",
        ),
        Panel(
            "b",
            partial(draw_losses, figure=2, title=r"Loss with weight normalization, $\eta$ = {ratio}"),
            "Loss over accepted steps with weight normalization, one curve per scale.",
        ),
        Panel(
            "c",
            partial(
                draw_errors,
                figure=2,
                title=r"Error, Gaussian truth, $\eta$ = {ratio}, constant steps",
                step_rule="stable",
            ),
            "The same errors with constant steps. Crosses mark runs far from every solution: their "
            "small errors mean nothing.",
        ),
    ),
)
