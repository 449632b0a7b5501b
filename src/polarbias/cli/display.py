"""Plain-text tables and progress displays."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import click


def progress_observer() -> Any:
    """Return the function that makes progress displays for this terminal."""
    from rich.console import Console

    from polarbias.experiments.engine import progress

    console = Console(stderr=True)
    return lambda tasks: progress.terminal_observer(console, tasks)


def show_values(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}   {value}")


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] = ()) -> None:
    """Print a table; cells longer than their column's entry of ``widths`` are wrapped."""
    limits = list(widths) or [10**6] * len(head)
    wrapped = [[textwrap.wrap(cell, limit) or [""] for cell, limit in zip(row, limits, strict=True)] for row in rows]
    wrapped = [[[name] for name in head], *wrapped]
    columns = [max(len(line) for row in wrapped for line in row[column]) for column in range(len(head))]
    wrapped.insert(1, [["-" * width] for width in columns])
    for row in wrapped:
        for number in range(max(map(len, row))):
            lines = [cell[number] if number < len(cell) else "" for cell in row]
            click.echo("  ".join(f"{line:{width}}" for line, width in zip(lines, columns, strict=True)).rstrip())


def totals_line(totals: Any) -> str:
    """Return the numbers of tasks and steps computed in one line."""
    return (
        f"tasks computed: {totals.computed}, found: {totals.found}; "
        f"run-steps computed: {totals.run_steps:,} in {totals.seconds:.0f} s"
    )


def totals_record(totals: Any) -> dict[str, Any]:
    """Return the numbers of tasks and steps computed for JSON."""
    return {name: getattr(totals, name) for name in ("computed", "found", "run_steps", "seconds")}


def resumption(force: bool, cluster: str | None = None) -> str:
    """Return the end of the message after Ctrl-C for commands that store finished tasks and, locally, checkpoints."""
    kept = "finished tasks and checkpoints" if cluster is None else "finished tasks"
    command = "the same command without --force" if force else "the same command"
    return f"; {kept} are kept, {command} resumes"
