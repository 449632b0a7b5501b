"""``polarbias run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import page, progress_observer
from polarbias.cli.group import EXIT_FAILED, after_interruption
from polarbias.cli.parameters import (
    DEFAULT_LAW,
    DEFAULT_RATIO,
    DEVICE,
    FORCE,
    MOST_STEPS,
    Folder,
    Integer,
    Number,
    wrong,
)
from polarbias.errors import InvalidInput


@click.command(epilog="Example: polarbias run --truth sparse --scale 1 --ratio 0.1 --max-steps 20000")
@click.option(
    "--truth",
    type=click.Choice(["gaussian", "sparse", "signed"]),
    default="gaussian",
    show_default=True,
    help="Law of the true solution x*; A x* = b.",
)
@click.option("--m", type=Integer(1), default=150, show_default=True, help="Equations, rows of A.")
@click.option("--n", type=Integer(1), default=1000, show_default=True, help="Unknowns, columns of A.")
@click.option("--s", type=Integer(1), default=10, show_default=True, help="Nonzero entries of a sparse truth.")
@click.option("--center-rows", is_flag=True, help="Make the rows of A sum to zero.")
@click.option("--depth", type=Integer(1), default=2, show_default=True, help="Depth L of the network.")
@click.option(
    "--network",
    type=click.Choice(["plain", "wn", "wn-separate"]),
    default="wn",
    show_default=True,
    help="Without or with weight normalization; wn-separate: a polar coordinate for each half of a signed signal.",
)
@click.option(
    "--ratio",
    type=Number(),
    default=DEFAULT_RATIO,
    show_default=True,
    help="Learning-rate ratio, the law's coefficient.",
)
@click.option("--law", default=DEFAULT_LAW, show_default=True, help="constant, harmonic, or power:K for c r^K.")
@click.option("--scale", type=Number(), default=1.0, show_default=True, help="Norm r0 of the start.")
@click.option(
    "--start",
    type=click.Choice(["gaussian", "uniform"]),
    default="gaussian",
    show_default=True,
    help="Law of the start's direction.",
)
@click.option(
    "--step",
    type=Number(("armijo", "stable")),
    default="armijo",
    show_default=True,
    metavar="armijo|stable|NUMBER > 0",
    help="Line search, a computed constant step, or the constant step given.",
)
@click.option("--seed", type=Integer(0), default=0, show_default=True, help="Seed of all random draws.")
@click.option(
    "--max-steps", type=Integer(1, MOST_STEPS), default=100_000, show_default=True, help="Steps at which to stop."
)
@click.option("--tol", type=Number(zero=True), default=1e-12, show_default=True, help="Loss at which to stop.")
@click.option("--out", type=Folder(), default=Path("results/run"), show_default=True, help="Results folder.")
@DEVICE
@click.option("--force", is_flag=True, help=FORCE)
def run(  # noqa: PLR0913 -- one parameter per option
    *,
    truth: Any,
    m: int,
    n: int,
    s: int,
    center_rows: bool,
    depth: int,
    network: str,
    ratio: float,
    law: str,
    scale: float,
    start: str,
    step: str,
    seed: int,
    max_steps: int,
    tol: float,
    out: Path,
    device: str,
    force: bool,
) -> None:
    """Run gradient descent on one configuration; show and store its trajectory.

    The exit code is 1 for a run that ends as unstable, diverged, collapsed, or line search failed with a loss not
    below --tol; a run that only used up its steps is no failure.
    """
    after_interruption("; a run that has not ended is not stored, the same command starts it anew")
    from polarbias.descent.device import use_device
    from polarbias.experiments.engine.spec import Profile, RunConfiguration, Task
    from polarbias.experiments.grids.single import run_single
    from polarbias.networks.laws import make_law
    from polarbias.solution import Status

    if network == "wn-separate" and truth != "signed":
        raise wrong("--network", f"'wn-separate' needs --truth signed, not {truth}, which has no second half.")
    if truth != "gaussian" and s > n:
        raise wrong("--s", f"{s} is more than the {n} unknowns; give at most --n.")
    try:
        make_law(law, ratio)
    except InvalidInput as reason:
        raise wrong("--law", str(reason)) from reason
    if network == "plain":
        # Plain descent has no ratio, so whatever is given for it asks for the same run.
        ratio, law = DEFAULT_RATIO, DEFAULT_LAW
    task = Task(
        figure=0,
        trial=0,
        algorithm=network,
        truth=truth,
        runs=(RunConfiguration(scale, ratio, 0),),
        step=step,
        centred=center_rows,
        depth=depth,
        law=law,
        direction=start,
    )
    profile = Profile(
        "run", 1, 1, (scale,), (ratio,), max_steps, seed=seed, m=m, n=n, s=s, ratio=ratio, scale=scale, tol=tol
    )
    with use_device(device):
        totals, runs, trajectories, figure = run_single(task, profile, out, progress_observer(), force)
    _show_trajectory(runs, trajectories)
    click.echo(f"run-steps computed: {totals.run_steps:,}; tables and {figure.name} are in {out}")
    status = Status[runs["status"].iloc[0].upper()]
    short = status is Status.LINE_SEARCH_FAILED and not runs["loss"].iloc[0] < tol
    if short or status in (Status.UNSTABLE, Status.DIVERGED, Status.COLLAPSED):
        click.echo(f"polarbias: the run failed: {status.message}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _show_trajectory(runs: Any, trajectories: Any) -> None:
    from rich.table import Table

    table = Table("step", "loss", "r", "||X||_1")
    rows = len(trajectories)
    for index in sorted({round(position * (rows - 1) / 11) for position in range(12)}):
        record = trajectories.iloc[index]
        table.add_row(f"{record.step:,}", f"{record.loss:.3e}", f"{record.r:.6g}", f"{record.l1:.6g}")
    page().print(table)
    end = runs.iloc[0]
    click.echo(
        f"{end.status.replace('_', ' ')} after {end.steps:,} steps ({end.trials:,} trials): loss {end.loss:.3g}, "
        f"||X||_1 - min = {end.eps1:.3g} (certified part {end.eps1_cert:.3g}), ||X - x*||_1 = {end.eps2:.3g}"
    )
