"""Results as plain text."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from polarbias.cli.output import print_json


def show_values(values: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, values))
    for name, value in values.items():
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


def show_totals(totals: Any) -> None:
    """Print the numbers of tasks and steps computed."""
    click.echo(
        f"tasks computed: {totals.computed}, found: {totals.found}; "
        f"run-steps computed: {totals.run_steps:,} in {totals.seconds:.0f} s"
    )


def totals_record(totals: Any) -> dict[str, Any]:
    """Return the numbers of tasks and steps computed for JSON."""
    return {name: getattr(totals, name) for name in ("computed", "found", "run_steps", "seconds")}


def show_reproduction(outcome: Any, tables: Path, drawn: Path, as_json: bool) -> None:
    """Print the verdicts, the work done, and the folders of tables and figures."""
    names = ("number", "statement", "source", "measured")
    findings = [
        {name: getattr(one, name) for name in names} | {"verdict": str(one.verdict)} for one in outcome.findings
    ]
    totals, files = outcome.totals, outcome.files
    if as_json:
        work = {} if totals is None else {"tasks": totals_record(totals)}
        print_json({"statements": findings, **work, "files": files, "tables": tables, "output": drawn})
        return
    if findings:
        click.echo("The paper's statements\n")
        rows = [[str(value) for value in finding.values()] for finding in findings]
        show_table(("#", *names[1:], "verdict"), rows, (2, 34, 11, 50, 14))
        click.echo()
    if totals is not None:
        show_totals(totals)
    made = files[0].name if len(files) == 1 else "figures, overview.png, statements.md, report.html"
    click.echo(f"{made} and the tables are in {tables}" if drawn == tables else f"{made} are in {drawn}")
    if files[-1].name == "report.html":
        click.echo(f"open {files[-1]} in a browser")
