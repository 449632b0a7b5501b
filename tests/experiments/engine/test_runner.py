"""Execution of tasks: stored tasks stay, missing ones are computed, and the tables are the same after interruptions."""

import io
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pandas as pd
import pytest
from rich.console import Console

from polarbias.experiments import FIGURES, reproduce
from polarbias.experiments.engine.progress import LineObserver
from polarbias.experiments.engine.runner import Interrupted
from polarbias.experiments.engine.store import Store
from reproductions import assert_same_tables, command_script, quiet, share_programs, small, stored, tables

pytestmark = pytest.mark.usefixtures("no_drawings")

PROFILE = small(trials=4, max_steps=30_000, tol=0.0)
TASKS = FIGURES[4].tasks(PROFILE)
KEYS = [task.key for task in TASKS]
RUNS = sum(not task.is_limit for task in TASKS)


def steps_of(keys, folder):
    paths = [folder / "runs" / f"{key}.parquet" for key in keys]
    return sum(int(pd.read_parquet(path)["steps"].sum()) for path in paths if path.exists())


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the folder of an uninterrupted reproduction; commands load the programs that others have compiled."""
    folder = tmp_path_factory.mktemp("reference")
    totals = reproduce(PROFILE, folder, [4], observe=quiet).totals
    assert (totals.computed, totals.found, RUNS) == (len(TASKS), 0, 8)
    assert totals.run_steps == steps_of(KEYS, folder) > 200_000
    with pytest.MonkeyPatch.context() as patch:
        share_programs(patch, tmp_path_factory.mktemp("programs"))
        yield folder


def finish(folder, reference, done):
    """Run again, and check that exactly the missing tasks are computed."""
    missing = set(KEYS) - set(done)
    totals = reproduce(PROFILE, folder, [4], observe=quiet).totals
    assert (totals.computed, totals.found) == (len(missing), len(done))
    assert totals.run_steps == steps_of(missing, reference)
    assert_same_tables(folder, reference)
    assert (folder / "statements.md").read_bytes() == (reference / "statements.md").read_bytes()


def test_a_second_run_computes_nothing(reference):
    before = {name: (reference / name).stat().st_mtime_ns for name in tables(reference)}
    finish(reference, reference, KEYS)
    assert {name: (reference / name).stat().st_mtime_ns for name in tables(reference)} == before


def command(tmp_path, script):
    (tmp_path / "driver.py").write_text(script)
    arguments = [sys.executable, tmp_path / "driver.py", "reproduce", "--figure", "4", "--output", tmp_path / "out"]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_killed_or_interrupted_command_resumes(tmp_path, reference, name):
    with command(tmp_path, command_script(PROFILE, 2, f"os.kill(os.getpid(), signal.{name})")) as child:
        output, errors = child.communicate()
    done = stored(tmp_path / "out")
    assert 2 <= len(done) < len(TASKS)
    if name == "SIGKILL":
        assert child.returncode == -signal.SIGKILL
    else:
        assert child.returncode == 130, errors
        assert "polarbias: interrupted" in errors.splitlines()[-1]
        assert "Traceback" not in errors + output
        # One line per finished task, and none after the signal.
        assert len(re.findall(rf"^\[\d+/{len(TASKS)}\]", errors, re.MULTILINE)) <= len(done)
    finish(tmp_path / "out", reference, done)


def test_a_full_disk_ends_the_command_and_keeps_finished_tasks(tmp_path):
    # No file may grow beyond 100 bytes.
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))"
    with command(tmp_path, command_script(PROFILE, 1, limit)) as child:
        _, errors = child.communicate()
    assert child.returncode == 1, errors
    assert errors.startswith(f"[1/{len(TASKS)}]")
    pattern = r"polarbias: cannot write '.*figure4-trial0\d-.*\.parquet': .*; make room or .*\."
    assert re.fullmatch(pattern, errors.splitlines()[-1])
    assert "Traceback" not in errors
    [key] = stored(tmp_path / "out")
    store = Store(tmp_path / "out", {"kind": "reproduction", "profile": PROFILE.identity()})
    assert store.finished(key)
    assert len(store.read("runs", [key])) == len(PROFILE.r0)


class Interrupting(LineObserver):
    """Observer that interrupts when the fourth task runs, when its last run has ended, or when it is stored."""

    moment = ""
    count = 0

    def progress(self, task, state):
        if self.count == 3 and self.moment == ("running" if (state.status < 0).any() else "ended"):
            raise KeyboardInterrupt
        super().progress(task, state)

    def finished(self, task, runs, seconds):
        self.count += 1
        if self.count == 4:
            raise KeyboardInterrupt
        super().finished(task, runs, seconds)


@pytest.mark.parametrize(("moment", "left"), [("running", 3), ("ended", 3), ("stored", 4)])
def test_an_interruption_at_any_moment_is_handled(tmp_path, reference, moment, left):
    @contextmanager
    def interrupting(tasks):
        observer = Interrupting(Console(file=io.StringIO()), tasks)
        observer.moment = moment
        yield observer

    with pytest.raises(Interrupted if moment == "running" else KeyboardInterrupt):
        reproduce(PROFILE, tmp_path, [4], observe=interrupting)
    done = stored(tmp_path)
    assert done == set(KEYS[:left])
    assert not (tmp_path / "statements.md").exists()
    finish(tmp_path, reference, done)
