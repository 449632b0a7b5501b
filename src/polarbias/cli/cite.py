"""``polarbias cite``: what to cite."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from polarbias.cli.group import after_interruption
from polarbias.cli.parameters import wrong


@click.command(epilog="Example: polarbias cite results/quick --output references.bib")
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--style",
    type=click.Choice(["bibtex", "text"]),
    default="bibtex",
    show_default=True,
    help="BibTeX entries, or a line each.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="File.  [default: standard output]")
def cite(folder: Path | None, style: Literal["bibtex", "text"], output: Path | None) -> None:
    """Print what to cite: polarbias and the paper, and for FOLDER the methods and libraries that its tables used.

    FOLDER is one made by reproduce, sweep, run or pack. Entries name the versions that its tables were computed with,
    or without FOLDER the one that is installed.
    """
    after_interruption("; nothing is stored")
    if output is not None and not output.parent.is_dir():
        raise wrong("--output", f"there is no folder {str(output.parent)!r}.")
    from polarbias.bibliography.citation import citation
    from polarbias.runtime.atomic_file import atomic_write

    text = citation(*([] if folder is None else [folder]), style=style)
    if output is None:
        click.echo(text)
        return
    atomic_write(output, lambda path: path.write_text(f"{text}\n", encoding="utf-8"))
    click.echo(f"stored in {output}")
