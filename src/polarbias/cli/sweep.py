"""``polarbias sweep``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import page, progress_observer
from polarbias.cli.group import after_interruption
from polarbias.cli.parameters import CLUSTER, DEVICE, FORCE, Folder, backend

MOST_ROWS = 60
"""Rows of the summary that are shown."""


@click.command(epilog="Example: polarbias sweep grid.toml --out results/grid --dry-run")
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=Folder(), required=True, help="Results folder.")
@click.option("--dry-run", is_flag=True, help="Check SPEC, show what would be computed, and stop.")
@CLUSTER
@DEVICE
@click.option("--force", is_flag=True, help=FORCE)
def sweep(spec: Path, out: Path, dry_run: bool, cluster: str | None, device: str, force: bool) -> None:
    """Compute and store a grid of your own, described by the TOML file SPEC.

    Keys with lists are the axes of the grid: truth, m, n, s, center_rows, depth, algorithm, law, ratio, scale, start,
    step. Others are trials, max_steps, tol, seed. docs/sweep.md explains them. Finished tasks are kept: the same
    command after an interruption goes on where it stopped.
    """
    after_interruption(f"; the same command{' without --force' if force else ''} goes on where this one stopped")
    from polarbias import experiments
    from polarbias.descent.device import use_device

    grid = experiments.read_grid(spec)
    if dry_run:
        _show_plan(grid)
        return
    with use_device(device if cluster is None else "cpu"):
        where = backend(cluster, device)
        totals, summary = experiments.sweep(grid, out, observe=progress_observer(), force=force, backend=where)
    _show_summary(summary)
    click.echo(
        f"tasks computed: {totals.computed}, found: {totals.found}; "
        f"run-steps computed: {totals.run_steps:,} in {totals.seconds:.0f} s"
    )
    click.echo(f"the tables are in {out}")


def _show_plan(grid: Any) -> None:
    from polarbias.experiments.grids.cost import estimate_cost

    tasks, left_out = grid.tasks()
    found = estimate_cost(tasks, grid.profile)
    click.echo(f"tasks: {found.tasks:,}, {found.limit_tasks:,} of them exact limits; runs: {found.runs:,}")
    for reason, count in left_out.items():
        click.echo(f"left out: {count:,} combinations, because {reason}")
    click.echo(f"run-steps: at most {found.run_steps:,}")
    click.echo(
        f"time: at most {_duration(found.seconds)} in one process, an upper bound: every run is taken to use up its"
        " steps, and most end earlier"
    )


def _task(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _show_summary(summary: Any) -> None:
    from rich import box
    from rich.table import Table

    names = {"eps1": "median eps1", "eps2": "median eps2", "step_rule": "step", "direction": "start"}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in summary.columns:
        table.add_column(names.get(name, name))
    for record in summary.head(MOST_ROWS).itertuples(index=False):
        table.add_row(*map(_task, record))
    page(120).print(table)
    if len(summary) > MOST_ROWS:
        click.echo(f"and {len(summary) - MOST_ROWS} rows more")
