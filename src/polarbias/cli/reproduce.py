"""``polarbias reproduce``: the paper's figures and statements."""

from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import show_reproduction
from polarbias.cli.execution import CLUSTER, DEVICE, FORCE, execution, require_paper
from polarbias.cli.output import JSON, output_folder
from polarbias.cli.parameters import MAX_STEPS, SEED, integer


@click.command(epilog="Example: polarbias reproduce --figure 2 --figure 4 --output results/first")
@click.option("--profile", type=click.Choice(["quick", "paper"]), default="quick", help="Sizes and grids.")
@click.option(
    "--figure", "figures", type=integer(1, 8), multiple=True, help="Figure to make; repeatable.  [default: all]"
)
@click.option(
    "--trials",
    type=integer(1, 10**6),
    help="Number of problems, instead of the profile's; exact limits of Figures 2 to 5 use at least ten.",
)
@click.option("--max-steps", type=MAX_STEPS, help="Largest number of steps, instead of the profile's.")
@click.option("--seed", type=SEED, help="Seed of all random draws.  [default: 0]")
@output_folder("Results folder.  [default: results/PROFILE]")
@CLUSTER
@DEVICE
@FORCE
@JSON
def reproduce(
    *,
    profile: str,
    figures: tuple[int, ...],
    trials: int | None,
    max_steps: int | None,
    seed: int | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute, store and draw Figures 1 to 5 of the paper and Figures 6 to 8 of this project, and check the statements.

    Finished tasks are kept: after an interruption the same command resumes. Figures and verdicts cover everything in
    the folder for this profile, number of steps and seed. The exit code is 0 if everything could be computed, whatever
    the verdicts and however single runs ended.
    """
    require_paper()
    from polarbias import experiments

    adjusted = experiments.adjusted(experiments.PROFILES[profile], trials, max_steps, seed)
    folder = output or Path("results") / profile
    with execution(**options) as arguments:
        outcome = experiments.reproduce(adjusted, folder, figures or tuple(experiments.FIGURES), **arguments)
    show_reproduction(outcome, folder, folder, as_json)
