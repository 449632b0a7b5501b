"""``polarbias pack``: the tables of a reproduction in few small files."""

from pathlib import Path

import click

from polarbias.cli.execution import require_paper
from polarbias.cli.group import after_interruption
from polarbias.cli.output import JSON, print_result
from polarbias.cli.parameters import EXISTING_FOLDER, FOLDER, integer


@click.command(epilog="Example: polarbias pack results/paper paper --records 60")
@click.argument("folder", type=EXISTING_FOLDER)
@click.argument("target", type=FOLDER)
@click.option("--records", type=integer(2), default=60, help="Records kept of each trajectory.")
@JSON
def pack(folder: Path, target: Path, records: int, as_json: bool) -> None:
    """Pack the finished tasks of FOLDER, a result of reproduce, into a few small files in TARGET that plot can draw."""
    after_interruption("; FOLDER is unchanged")
    require_paper()
    from polarbias import experiments

    files = experiments.pack(folder, target, records)
    size = sum(path.stat().st_size for path in files)
    text = f"{', '.join(path.name for path in files)} are in {target}: {size / 1e6:.1f} MB"
    print_result({"output": target, "files": files, "bytes": size}, text, as_json)
