"""What tests of reproductions share."""

import io

import pandas as pd
from rich.console import Console

from polarbias.experiments.engine.progress import terminal_observer


def quiet(tasks):
    """Watch a run and tell nobody."""
    return terminal_observer(Console(file=io.StringIO()), tasks)


def tables(folder):
    """Return every file of the tables as it reads, by name."""
    return {str(path.relative_to(folder)): pd.read_parquet(path) for path in sorted(folder.glob("*/*.parquet"))}


def assert_same_tables(folder, reference):
    found, wanted = tables(folder), tables(reference)
    assert found.keys() == wanted.keys()
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)
