"""``polarbias cite``: references for polarbias and for a results folder."""

from pathlib import Path
from typing import Literal

import click

from polarbias.cli.group import after_interruption
from polarbias.cli.output import JSON, check_output, output_file, print_result
from polarbias.cli.parameters import EXISTING_FOLDER


@click.command(epilog="Example: polarbias cite results/quick --output references.bib")
@click.argument("folder", required=False, type=EXISTING_FOLDER)
@click.option(
    "--style", type=click.Choice(["bibtex", "text"]), default="bibtex", help="BibTeX entries, or one line per entry."
)
@output_file("Store the entries instead of printing them.")
@JSON
def cite(folder: Path | None, style: Literal["bibtex", "text"], output: Path | None, as_json: bool) -> None:
    """Print bibliography entries: polarbias, the paper, and the methods and libraries behind the tables in FOLDER.

    FOLDER is a result of reproduce, sweep, run or pack. Entries name the versions that computed its tables, or without
    FOLDER the installed version.
    """
    after_interruption("; nothing is stored")
    check_output(output, endings=())
    from polarbias.bibliography.citation import citation
    from polarbias.runtime.atomic_file import atomic_write

    text = citation(*([] if folder is None else [folder]), style=style)
    if output is not None:
        atomic_write(output, lambda path: path.write_text(f"{text}\n", encoding="utf-8"))
    record = {"style": style, "entries": text.split("\n\n" if style == "bibtex" else "\n"), "output": output}
    print_result(record, text if output is None else f"stored in {output}", as_json)
