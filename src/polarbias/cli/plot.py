"""``polarbias plot``: figures of stored tables."""

from pathlib import Path

import click

from polarbias.cli.display import show_reproduction
from polarbias.cli.execution import require_paper
from polarbias.cli.group import after_interruption
from polarbias.cli.output import JSON, output_folder
from polarbias.cli.parameters import EXISTING_FOLDER


@click.command(epilog="Example: polarbias plot results/quick")
@click.argument("folder", type=EXISTING_FOLDER)
@output_folder("Folder of the figures.  [default: FOLDER]")
@JSON
def plot(folder: Path, output: Path | None, as_json: bool) -> None:
    """Draw the figures of FOLDER, a result of reproduce, run or pack, from its tables, without computing any task."""
    after_interruption("; the tables are unchanged, figures may be missing")
    require_paper()
    from polarbias import experiments

    show_reproduction(experiments.redraw(folder, output), folder, output or folder, as_json)
