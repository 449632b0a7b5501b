"""``polarbias reproduce``, ``plot``, ``report`` and ``pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import page, progress_observer
from polarbias.cli.group import after_interruption
from polarbias.cli.parameters import CLUSTER, DEVICE, FORCE, MOST_STEPS, Folder, Integer, backend


@click.command(epilog="Example: polarbias reproduce --figure 2 --figure 4 --out results/first")
@click.option(
    "--profile", type=click.Choice(["quick", "paper"]), default="quick", show_default=True, help="Size of it all."
)
@click.option(
    "--figure", "figures", type=Integer(1, 8), multiple=True, help="Figure to make; repeatable.  [default: all]"
)
@click.option("--trials", type=Integer(1), help="Number of problems, instead of the profile's.")
@click.option("--max-steps", type=Integer(1, MOST_STEPS), help="Steps per run, instead of the profile's.")
@click.option("--seed", type=Integer(0), help="Seed of all random draws.  [default: 0]")
@click.option("--out", type=Folder(), help="Results folder.  [default: results/PROFILE]")
@CLUSTER
@DEVICE
@click.option("--force", is_flag=True, help=FORCE)
def reproduce(  # noqa: PLR0913 -- one parameter per option
    *,
    profile: str,
    figures: tuple[int, ...],
    trials: int | None,
    max_steps: int | None,
    seed: int | None,
    out: Path | None,
    cluster: str | None,
    device: str,
    force: bool,
) -> None:
    """Compute, store and draw Figures 1 to 5 of the paper and 6 to 8 of our own, and judge the paper's statements.

    Finished parts are kept: the same command after an interruption goes on where it stopped. Drawn and judged is all
    that the folder holds of this profile, steps and seed. The exit code is 0 when everything asked for could be
    computed, whatever the verdicts and however single runs ended.
    """
    after_interruption(f"; the same command{' without --force' if force else ''} goes on where this one stopped")
    from polarbias import experiments
    from polarbias.descent.device import use_device

    chosen = experiments.adjusted(experiments.PROFILES[profile], trials, max_steps, seed)
    folder = out or Path("results") / profile
    with use_device(device if cluster is None else "cpu"):
        outcome = experiments.reproduce(
            chosen,
            folder,
            figures or tuple(experiments.FIGURES),
            observe=progress_observer(),
            force=force,
            backend=backend(cluster, device),
        )
    _report(outcome, folder, folder)


@click.command(epilog="Example: polarbias plot results/quick")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=Folder(), help="Folder for what is drawn.  [default: FOLDER]")
def plot(folder: Path, out: Path | None) -> None:
    """Draw the figures of FOLDER, made by reproduce, run or pack, again from its tables, without computing anything."""
    after_interruption("; the tables are as they were")
    from polarbias import experiments

    _report(experiments.redraw(folder, out), folder, out or folder)


@click.command(epilog="Example: polarbias report docs/paper --out paper.html")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File.  [default: FOLDER/report.html]")
def report(folder: Path, out: Path | None) -> None:
    """Write the page that shows FOLDER, made by reproduce or pack: figures, statements, theorems, parameters."""
    after_interruption("; the tables are as they were")
    from polarbias import experiments

    click.echo(f"the report is {experiments.report(folder, out)}")


@click.command(epilog="Example: polarbias pack results/paper paper --records 60")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("target", type=Folder())
@click.option(
    "--records", type=Integer(2), default=60, show_default=True, help="Records of each trajectory that are kept."
)
def pack(folder: Path, target: Path, records: int) -> None:
    """Pack what is finished in FOLDER, made by reproduce, into a few small files in TARGET, which plot can draw."""
    after_interruption("; FOLDER is as it was")
    from polarbias import experiments

    files = experiments.pack(folder, target, records)
    size = sum(path.stat().st_size for path in files) / 1e6
    click.echo(f"{', '.join(path.name for path in files)} are in {target}: {size:.1f} MB")


def _report(outcome: Any, folder: Path, drawn: Path) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="The paper's statements", pad_edge=False, collapse_padding=True)
    for name, width in (("#", 2), ("statement", 34), ("where", 11), ("measured", None), ("verdict", 14)):
        table.add_column(name, width=width)
    for finding in outcome.findings:
        table.add_row(str(finding.number), finding.statement, finding.source, finding.measured, str(finding.verdict))
    if outcome.findings:
        page(120).print(table)
    if outcome.totals is not None:
        totals = outcome.totals
        click.echo(
            f"tasks computed: {totals.computed}, found: {totals.found}; "
            f"run-steps computed: {totals.run_steps:,} in {totals.seconds:.0f} s"
        )
    made = outcome.files[0].name if len(outcome.files) == 1 else "figures, overview.png, statements.md, report.html"
    click.echo(f"{made} and the tables are in {folder}" if drawn == folder else f"{made} are in {drawn}")
