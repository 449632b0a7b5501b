"""``polarbias reproduce``, ``plot``, ``report`` and ``pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import progress_observer, resumption, show_table, totals_line, totals_record
from polarbias.cli.group import after_interruption
from polarbias.cli.output import JSON, output_file, output_folder, print_json
from polarbias.cli.parameters import (
    CLUSTER,
    DEVICE,
    EXISTING_FOLDER,
    FORCE,
    MAX_STEPS,
    SEED,
    Folder,
    Integer,
    backend,
    require_paper,
)


@click.command(epilog="Example: polarbias reproduce --figure 2 --figure 4 --output results/first")
@click.option(
    "--profile", type=click.Choice(["quick", "paper"]), default="quick", show_default=True, help="Sizes and grids."
)
@click.option(
    "--figure", "figures", type=Integer(1, 8), multiple=True, help="Figure to make; repeatable.  [default: all]"
)
@click.option("--trials", type=Integer(1, 10**6), help="Number of problems, instead of the profile's.")
@click.option("--max-steps", type=MAX_STEPS, help="Largest number of steps, instead of the profile's.")
@click.option("--seed", type=SEED, help="Seed of all random draws.  [default: 0]")
@output_folder("Results folder.  [default: results/PROFILE]")
@CLUSTER
@DEVICE
@FORCE
@JSON
def reproduce(  # noqa: PLR0913 -- one parameter per option
    *,
    profile: str,
    figures: tuple[int, ...],
    trials: int | None,
    max_steps: int | None,
    seed: int | None,
    output: Path | None,
    cluster: str | None,
    device: str,
    force: bool,
    as_json: bool,
) -> None:
    """Compute, store and draw Figures 1 to 5 of the paper and Figures 6 to 8 of this project, and judge the statements.

    Finished tasks are kept: after an interruption the same command resumes. Figures and verdicts cover everything in
    the folder for this profile, number of steps and seed. The exit code is 0 if everything could be computed, whatever
    the verdicts and however single runs ended.
    """
    after_interruption(resumption(force, cluster))
    require_paper()
    from polarbias import experiments
    from polarbias.descent.device import use_device

    adjusted = experiments.adjusted(experiments.PROFILES[profile], trials, max_steps, seed)
    folder = output or Path("results") / profile
    with use_device(device if cluster is None else "cpu"):
        outcome = experiments.reproduce(
            adjusted,
            folder,
            figures or tuple(experiments.FIGURES),
            observe=progress_observer(),
            force=force,
            backend=backend(cluster, device),
        )
    _report(outcome, folder, folder, as_json)


@click.command(epilog="Example: polarbias plot results/quick")
@click.argument("folder", type=EXISTING_FOLDER)
@output_folder("Folder of the figures.  [default: FOLDER]")
@JSON
def plot(folder: Path, output: Path | None, as_json: bool) -> None:
    """Draw the figures of FOLDER, a result of reproduce, run or pack, from its tables, without computing any task."""
    after_interruption("; the tables are unchanged, figures may be missing")
    require_paper()
    from polarbias import experiments

    _report(experiments.redraw(folder, output), folder, output or folder, as_json)


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
    if as_json:
        print_json({"output": path})
    else:
        click.echo(f"the report is {path}")


@click.command(epilog="Example: polarbias pack results/paper paper --records 60")
@click.argument("folder", type=EXISTING_FOLDER)
@click.argument("target", type=Folder())
@click.option("--records", type=Integer(2), default=60, show_default=True, help="Records kept of each trajectory.")
@JSON
def pack(folder: Path, target: Path, records: int, as_json: bool) -> None:
    """Pack the finished tasks of FOLDER, a result of reproduce, into a few small files in TARGET that plot can draw."""
    after_interruption("; FOLDER is unchanged")
    require_paper()
    from polarbias import experiments

    files = experiments.pack(folder, target, records)
    size = sum(path.stat().st_size for path in files)
    if as_json:
        print_json({"output": target, "files": files, "bytes": size})
    else:
        click.echo(f"{', '.join(path.name for path in files)} are in {target}: {size / 1e6:.1f} MB")


def _report(outcome: Any, tables: Path, drawn: Path, as_json: bool) -> None:
    """Print the verdicts, the work done, and the folders of tables and figures."""
    if as_json:
        names = ("number", "statement", "source", "measured")
        statements = [
            {**{name: getattr(finding, name) for name in names}, "verdict": str(finding.verdict)}
            for finding in outcome.findings
        ]
        totals = outcome.totals
        work = {} if totals is None else {"tasks": totals_record(totals)}
        print_json({"statements": statements, **work, "files": outcome.files, "tables": tables, "output": drawn})
        return
    if outcome.findings:
        click.echo("The paper's statements\n")
        rows = [[str(f.number), f.statement, f.source, f.measured, str(f.verdict)] for f in outcome.findings]
        show_table(("#", "statement", "source", "measured", "verdict"), rows, (2, 34, 11, 50, 14))
        click.echo()
    if outcome.totals is not None:
        click.echo(totals_line(outcome.totals))
    made = outcome.files[0].name if len(outcome.files) == 1 else "figures, overview.png, statements.md, report.html"
    click.echo(f"{made} and the tables are in {tables}" if drawn == tables else f"{made} are in {drawn}")
    if outcome.files[-1].name == "report.html":
        click.echo(f"open {outcome.files[-1]} in a browser")
