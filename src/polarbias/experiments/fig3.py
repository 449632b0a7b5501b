"""Figure 3: Gaussian truth; error, loss and steps over the learning-rate ratio."""

from __future__ import annotations

from matplotlib.axes import Axes

from polarbias.experiments.figure import Panel, PaperFigure
from polarbias.experiments.results import Results
from polarbias.experiments.spec import Cell, Profile, chains
from polarbias.plotting import SERIES, error_curve, legend, loss_curves, steps_curve


def cells(profile: Profile) -> list[Cell]:
    """Return the sweep over the ratio at r0 = 1 and the plain run, as drawn and with centred rows (statement 16)."""
    return [
        cell
        for centred in (False, True)
        for trial in range(profile.trials)
        for cell in (
            Cell(3, trial, "plain", "gaussian", chains([profile.scale], [profile.ratio], [trial]), centred=centred),
            Cell(3, trial, "wn", "gaussian", chains([profile.scale], profile.ratios, [trial]), centred=centred),
        )
    ]


def draw_error(ax: Axes, results: Results) -> None:
    """Draw eps1 against the ratio; the plain runs, which have none, as a horizontal line."""
    runs = results.select(3)
    error_curve(ax, runs[runs["algorithm"] == "wn"], "ratio", "eps1_cert", SERIES["wn"])
    plain = runs[runs["algorithm"] == "plain"]["eps1_cert"]
    ax.axhline(plain.mean(), color=SERIES["plain"].color, linestyle="--", label=SERIES["plain"].label)
    if len(plain) > 1:
        ax.axhspan(plain.quantile(0.25), plain.quantile(0.75), color=SERIES["plain"].color, alpha=0.15, linewidth=0)
    ax.set_xlabel(r"learning-rate ratio $\eta$")
    ax.set_ylabel(r"$\|X\|_1 - \min\|z\|_1$")
    ax.set_title(rf"Error, Gaussian truth, $r_0$ = {results.profile.scale:g}")
    legend(ax, runs)


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
    cells,
    (Panel("a", draw_error), Panel("b", draw_losses), Panel("c", draw_steps)),
)
