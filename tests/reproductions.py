"""Helpers for tests of reproductions."""

import io
import re
from dataclasses import asdict

import pandas as pd
from rich.console import Console

from polarbias.experiments.engine.progress import terminal_observer


def quiet(tasks):
    """Return an observer that prints nothing a test can see."""
    return terminal_observer(Console(file=io.StringIO()), tasks)


def tables(folder):
    """Return the tables of all files, by name."""
    return {str(path.relative_to(folder)): pd.read_parquet(path) for path in sorted(folder.glob("*/[!.]*.parquet"))}


def assert_same_tables(folder, reference):
    found, wanted = tables(folder), tables(reference)
    assert found.keys() == wanted.keys()
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)


def stored(folder):
    """Return the keys of the tasks whose last file exists."""
    return {path.stem for name in ("runs", "limits") for path in (folder / name).glob("[!.]*.parquet")}


def run_steps_printed(output):
    return int(re.search(r"run-steps computed: ([\d,]+)", output)[1].replace(",", ""))


def command_script(profile, after, action):
    """Return a script of the command whose profile quick is ``profile``; it runs ``action`` after some tasks."""
    return f"""
import os
import resource
import signal

from polarbias import experiments
from polarbias.cli import main
from polarbias.experiments.engine import progress

finished, count = progress.LineObserver.finished, 0


def act(self, task, runs, seconds):
    global count
    finished(self, task, runs, seconds)
    count += 1
    if count == {after}:
        {action}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores the signal
    progress.LineObserver.finished = act
    experiments.PROFILES["quick"] = experiments.Profile(**{asdict(profile)!r})
    main()
"""
