"""``polarbias sweep``: grids from TOML files."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from polarbias.cli.display import show_table, show_totals, totals_record
from polarbias.cli.execution import CLUSTER, DEVICE, FORCE, execution, require_paper
from polarbias.cli.output import JSON, output_folder, print_json

MAX_ROWS = 60
"""Rows of the summary that are printed as text."""

_HEADS = {"eps1": "median eps1", "eps2": "median eps2", "step_rule": "step"}


@click.command(epilog="Example: polarbias sweep grid.toml --output results/grid --dry-run")
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@output_folder("Results folder.", required=True)
@click.option("--dry-run", is_flag=True, help="Check SPEC and print the plan, without computing any task.")
@CLUSTER
@DEVICE
@FORCE
@JSON
def sweep(*, spec: Path, output: Path, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Compute and store a parameter grid, described by the TOML file SPEC.

    Keys with lists are the axes of the grid: truth, m, n, s, center_rows, depth, algorithm, law, ratio, scale,
    direction, step. Others are trials, max_steps, tol, seed. docs/sweep.md explains them. Finished tasks are kept:
    after an interruption the same command resumes.
    """
    require_paper()
    from polarbias import experiments

    grid = experiments.read_grid(spec)
    if dry_run:
        _show_plan(grid, as_json)
        return
    with execution(**options) as arguments:
        totals, summary = experiments.sweep(grid, output, **arguments)
    if as_json:
        print_json({"tasks": totals_record(totals), "summary": summary.to_dict("records"), "output": output})
        return
    shown = summary.head(MAX_ROWS)
    head = [_HEADS.get(name, name) for name in shown.columns]
    show_table(head, [[_text(value) for value in row] for row in shown.itertuples(index=False)])
    if len(summary) > MAX_ROWS:
        click.echo(f"and {len(summary) - MAX_ROWS} more rows")
    show_totals(totals)
    click.echo(f"the tables are in {output}")


def _show_plan(grid: Any, as_json: bool) -> None:
    from polarbias.experiments.grids.cost import estimate_cost

    tasks, left_out = grid.tasks()
    found = estimate_cost(tasks, grid.profile)
    if as_json:
        print_json({"plan": asdict(found), "left_out": left_out})
        return
    click.echo(f"tasks: {found.tasks:,}, {found.limit_tasks:,} of them exact limits; runs: {found.runs:,}")
    for reason, count in left_out.items():
        click.echo(f"left out: {count:,} combinations, because {reason}")
    click.echo(f"run-steps: at most {found.run_steps:,}")
    click.echo(
        f"time: at most {_duration(found.seconds)} in one process, an upper bound: assumes that no run converges early"
    )


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
