"""``polarbias report``: one page on a reproduction."""

from pathlib import Path

import click

from polarbias.cli.execution import require_paper
from polarbias.cli.group import after_interruption
from polarbias.cli.output import JSON, output_file, print_result
from polarbias.cli.parameters import EXISTING_FOLDER


@click.command(epilog="Example: polarbias report docs/paper --output paper.html")
@click.argument("folder", type=EXISTING_FOLDER)
@output_file("HTML file.  [default: FOLDER/report.html]")
@JSON
def report(folder: Path, output: Path | None, as_json: bool) -> None:
    """Write one page on FOLDER, a result of reproduce or pack: figures, statements, theorems, parameters."""
    after_interruption("; the tables are unchanged, no report is written")
    require_paper()
    from polarbias import experiments

    path = experiments.report(folder, output)
    print_result({"output": path}, f"the report is {path}", as_json)
