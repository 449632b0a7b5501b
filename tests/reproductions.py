"""Helpers for tests of reproductions."""

import io
from dataclasses import asdict

import pandas as pd
from rich.console import Console

from polarbias.experiments import Profile
from polarbias.experiments.engine.progress import terminal_observer


def small(**changes):
    """Return a profile of equal shapes in all tests, so that few programs are compiled: three runs of 10 x 20."""
    grids = {"r0": (0.1, 1.0, 10**0.5), "ratios": (1.0, 0.3, 0.1), "limit_r0": (0.1, 1.0), "limit_ratios": (1.0, 0.1)}
    sizes = {"trials": 1, "starts": 1, "m": 10, "n": 20, "s": 2, "limit_trials": 1, "map_size": (5, 3)}
    return Profile(**{"name": "small", "max_steps": 300, **grids, **sizes, **changes})


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


def share_programs(patch, folder):
    """Let processes that tests start load the programs that others have compiled."""
    patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
    patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def command_script(profile, after, action):
    """Return a script of the command whose profile quick is ``profile``; it runs ``action`` after some tasks."""
    return f"""
import os
import resource
import signal

from polarbias import experiments
from polarbias.cli import main
from polarbias.experiments.engine import progress
from polarbias.experiments.paper import reproduction

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
    reproduction.draw_all = lambda *arguments: []
    reproduction.write_report = lambda path, *arguments: path
    experiments.PROFILES["quick"] = experiments.Profile(**{asdict(profile)!r})
    main()
"""
