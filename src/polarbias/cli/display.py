"""What commands show: pages for tables, and progress."""

from __future__ import annotations

import sys
from typing import Any


def progress_observer() -> Any:
    """Return the maker of progress displays for this terminal."""
    from rich.console import Console

    from polarbias.experiments.engine import progress

    console = Console(stderr=True)
    return lambda tasks: progress.terminal_observer(console, tasks)


def page(width: int = 100) -> Any:
    """Return the console for tables; without a terminal there is no width to fit to, and ``width`` is taken."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width)


def show(rows: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, value)
    page().print(table)
