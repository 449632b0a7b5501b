"""``polarbias run``: gradient descent on one configuration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polarbias.cli.configuration import configuration_options, describe, read_configuration
from polarbias.cli.display import show_table
from polarbias.cli.execution import DEVICE, FORCE, execution, require_paper
from polarbias.cli.group import EXIT_FAILED, EXIT_INFEASIBLE, fail
from polarbias.cli.output import JSON, output_folder, print_json
from polarbias.cli.parameters import MAX_STEPS, Number

if TYPE_CHECKING:
    from polarbias.experiments.engine.spec import Profile, Task
    from polarbias.networks.configuration import Configuration
    from polarbias.problems.linear import LinearProblem

ROWS = 12
"""Rows of the trajectory that are printed."""


@click.command(epilog="Example: polarbias run --truth sparse --scale 1 --ratio 0.1 --max-steps 20000")
@configuration_options
@click.option(
    "--step",
    type=Number(words=("armijo", "stable")),
    default="armijo",
    metavar="armijo|stable|NUMBER > 0",
    help="Line search, a computed constant step, or a given constant step.",
)
@click.option("--max-steps", type=MAX_STEPS, default=100_000, help="Largest number of steps.")
@click.option("--tol", type=Number(low=0), default=1e-12, help="Loss at which to stop.")
@output_folder("Results folder.", default=Path("results/run"))
@DEVICE
@FORCE
@JSON
def run(*, output: Path, device: str, force: bool, as_json: bool, **options: Any) -> None:
    """Run gradient descent on one configuration; print and store its trajectory.

    The problem is random, or comes from files (--matrix and --rhs). The exit code is 0 for a run that converges or
    stops at --max-steps; 1 for a run that ends as unstable, diverged or collapsed, or by a failed line search with a
    loss of --tol or more; 3 if no signal solves A X = b.
    """
    require_paper()
    problem, configuration = read_configuration(options)
    from polarbias.experiments.grids.single import run_single
    from polarbias.solution import Status

    task, profile = _task(problem, configuration, options)
    with execution(force, device) as arguments:
        totals, runs, trajectories, figure = run_single(task, profile, output, arguments["observe"], force)
    end = runs.iloc[0]
    status = Status[end["status"].upper()]
    if as_json:
        names = ("status", "steps", "trials", "loss", "minimal_l1", "eps1", "eps1_cert", "eps2")
        record = {name: end[name] for name in names} | {"m": problem.m, "n": problem.n, "r": trajectories["r"].iloc[-1]}
        print_json({**record, "run_steps": totals.run_steps, "output": output, "figure": figure})
    else:
        click.echo(describe(options, problem))
        _show_trajectory(end, trajectories)
        click.echo(f"run-steps computed: {totals.run_steps:,}; tables and {figure.name} are in {output}")
    if status is Status.INFEASIBLE:
        fail(f"{status.message}.", EXIT_INFEASIBLE)
    stalled_above_tol = status is Status.LINE_SEARCH_FAILED and not end["loss"] < options["tol"]
    if stalled_above_tol or status in (Status.UNSTABLE, Status.DIVERGED, Status.COLLAPSED):
        fail(f"the run failed: {status.message}.", EXIT_FAILED)


def _task(problem: LinearProblem, configuration: Configuration, options: dict[str, Any]) -> tuple[Task, Profile]:
    """Return the task of one run, and the profile with its sizes and limits."""
    from polarbias.experiments.engine.spec import Instance, Profile, RunConfiguration, Task
    from polarbias.problems.linear import LinearProblem

    from_file = options["matrix"] is not None
    truth: Any = "file" if from_file else options["truth"]
    direction = options["direction"] if isinstance(configuration.direction, str) else "file"
    ratio, law = configuration.ratio, configuration.law
    if configuration.algorithm == "plain":
        ratio, law = 0.1, "constant"  # plain descent has no ratio: every value names the same run
    instance = None
    if from_file or direction == "file" or configuration.signed != (truth == "signed"):
        dense = problem if problem.is_dense else LinearProblem(problem.A.toarray(), problem.b)
        instance = Instance(dense, configuration)
    task = Task(
        figure=0,
        trial=0,
        algorithm=configuration.algorithm,
        truth=truth,
        runs=(RunConfiguration(configuration.scale, ratio, 0),),
        step=options["step"],
        centred=options["center_rows"],
        depth=configuration.depth,
        law=law,
        direction=direction,
        instance=instance,
    )
    scale, limits = configuration.scale, {name: options[name] for name in ("max_steps", "tol", "seed", "s")}
    sizes = {"m": problem.m, "n": problem.n, "ratio": ratio, "scale": scale}
    return task, Profile("run", 1, 1, (scale,), (ratio,), **limits, **sizes)


def _show_trajectory(end: Any, trajectories: Any) -> None:
    last = len(trajectories) - 1
    records = trajectories.iloc[sorted({round(position * last / (ROWS - 1)) for position in range(ROWS)})]
    show_table(
        ("step", "loss", "r", "||X||_1"),
        [(f"{one.step:,}", f"{one.loss:.3e}", f"{one.r:.6g}", f"{one.l1:.6g}") for one in records.itertuples()],
    )
    error = "" if math.isnan(end.eps2) else f", ||X - x*||_1 = {end.eps2:.3g}"
    click.echo(
        f"{end.status.replace('_', ' ')} after {end.steps:,} steps ({end.trials:,} trials): loss {end.loss:.3g}, "
        f"||X||_1 - min = {end.eps1:.3g} (certified part {end.eps1_cert:.3g}){error}"
    )
