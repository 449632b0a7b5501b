"""Interrupted reproductions: what is stored stays, what is missing is computed, and the tables end the same."""

import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict

import pandas as pd
import pytest
from rich.console import Console

from polarbias.experiments import FIGURES, Profile, reproduce
from polarbias.experiments.engine import compute
from polarbias.experiments.engine.progress import LineObserver
from polarbias.experiments.engine.runner import Interrupted
from reproductions import assert_same_tables, quiet, tables

pytestmark = pytest.mark.usefixtures("no_drawings")

PROFILE = Profile(
    "small", trials=6, starts=1, r0=(0.01, 0.1, 1.0), ratios=(1.0, 0.1), max_steps=50_000, tol=0.0, m=40, n=120, s=4,
    limit_trials=2, limit_r0=(0.1, 1.0),
)  # fmt: skip
TASKS = FIGURES[4].tasks(PROFILE)
FOLDERS = {False: "runs", True: "limits"}
# The real command on a profile whose tasks take about a third of a second each.
DRIVER = f"""
import signal

from polarbias import experiments
from polarbias.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner in the background may have switched it off
experiments.PROFILES["quick"] = experiments.Profile(**{asdict(PROFILE)!r})
main()
"""


def steps_of(tasks, folder):
    runs = [folder / "runs" / f"{task.key}.parquet" for task in tasks if not task.is_limit]
    return sum(int(pd.read_parquet(path)["steps"].sum()) for path in runs)


def stored(folder):
    return [task for task in TASKS if (folder / FOLDERS[task.is_limit] / f"{task.key}.parquet").exists()]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the folder of a reproduction that nobody interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    totals = reproduce(PROFILE, folder, [4], observe=quiet).totals
    assert (totals.computed, totals.found) == (len(TASKS), 0) == (12 + 12, 0)
    assert totals.run_steps == steps_of(TASKS, folder) > 500_000
    return folder


@pytest.fixture
def process(tmp_path):
    """Start the command in a process of its own; whatever is left of it ends with the test."""
    (tmp_path / "driver.py").write_text(DRIVER)
    started = []

    def start(folder):
        arguments = [sys.executable, tmp_path / "driver.py", "reproduce", "--figure", "4", "--out", folder]
        started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


def wait_for_a_task(child, folder):
    deadline = time.monotonic() + 120
    while not stored(folder):
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline, "no task was finished in two minutes"
        time.sleep(0.01)


def finish(folder, reference, done):
    """Run again, and check that exactly the missing tasks were computed."""
    missing = [task for task in TASKS if task not in done]
    totals = reproduce(PROFILE, folder, [4], observe=quiet).totals
    assert (totals.computed, totals.found) == (len(missing), len(done))
    assert totals.run_steps == steps_of(missing, reference)
    assert_same_tables(folder, reference)
    assert (folder / "statements.md").read_bytes() == (reference / "statements.md").read_bytes()


def test_a_second_run_computes_nothing(reference):
    before = {name: (reference / name).stat().st_mtime_ns for name in tables(reference)}
    copies = tables(reference)
    totals = reproduce(PROFILE, reference, [4], observe=quiet).totals
    assert (totals.computed, totals.found, totals.run_steps) == (0, len(TASKS), 0)
    assert {name: (reference / name).stat().st_mtime_ns for name in before} == before
    for name, table in tables(reference).items():
        pd.testing.assert_frame_equal(table, copies[name], check_exact=True)


def test_killed_and_resumed(process, tmp_path, reference):
    folder = tmp_path / "killed"
    child = process(folder)
    wait_for_a_task(child, folder)
    time.sleep(random.uniform(0, 1))
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    done = stored(folder)
    assert 0 < len(done) < len(TASKS)
    finish(folder, reference, done)


def test_ctrl_c_and_resumed(process, tmp_path, reference):
    folder = tmp_path / "interrupted"
    child = process(folder)
    wait_for_a_task(child, folder)
    time.sleep(random.uniform(0, 1))
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 1, errors
    assert errors.rstrip().endswith("polarbias: interrupted; the same command goes on where this one stopped.")
    assert "Traceback" not in errors + output
    done = stored(folder)
    assert 0 < len(done) < len(TASKS)
    # A line for each finished task, and none after the signal.
    assert len(re.findall(r"^\[\d+/24\]", errors, re.MULTILINE)) <= len(done)
    finish(folder, reference, done)


class Interrupting(LineObserver):
    """Presses Ctrl-C while the fourth task runs, when its last run has just ended, or when it is stored."""

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
def test_an_interruption_is_never_lost(tmp_path, reference, moment, left):
    @contextmanager
    def interrupting(tasks):
        observer = Interrupting(Console(file=io.StringIO()), tasks)
        observer.moment = moment
        yield observer

    with pytest.raises(Interrupted if moment == "running" else KeyboardInterrupt):
        reproduce(PROFILE, tmp_path, [4], observe=interrupting)
    done = stored(tmp_path)
    assert done == TASKS[:left]
    assert not (tmp_path / "statements.md").exists()
    finish(tmp_path, reference, done)


@pytest.mark.parametrize("limits_done", [0, 3])
def test_interrupted_among_the_limits(tmp_path, reference, monkeypatch, limits_done):
    real, calls = compute.flow_limit, []

    def interrupted(*args):
        if len(calls) == limits_done:
            raise KeyboardInterrupt
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(compute, "flow_limit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(PROFILE, tmp_path, [4], observe=quiet)
    monkeypatch.undo()
    monkeypatch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
    done = stored(tmp_path)
    assert done == TASKS[: 12 + limits_done]
    finish(tmp_path, reference, done)


def test_a_damaged_table_of_limits_is_computed_again(tmp_path, reference, caplog):
    reproduce(PROFILE, tmp_path, [4], observe=quiet)
    path = tmp_path / "limits" / f"{TASKS[-1].key}.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    finish(tmp_path, reference, TASKS[:-1])
    assert path.name in caplog.text


def test_lost_and_damaged_tasks_are_computed_again(tmp_path, reference, caplog):
    reproduce(PROFILE, tmp_path, [4], observe=quiet)
    first, second, third = (tmp_path / "runs" / f"{task.key}.parquet" for task in TASKS[:3])
    first.unlink()
    second.write_bytes(second.read_bytes()[:-100])
    (tmp_path / "trajectories" / third.name).write_bytes(b"")
    finish(tmp_path, reference, TASKS[3:])
    assert second.name in caplog.text
    assert third.name in caplog.text


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(process, tmp_path, reference, seed):
    folder, rng, kills, counts = tmp_path / "killed", random.Random(seed), 0, []
    while True:
        done = stored(folder)
        child = process(folder)
        wait_for_a_task(child, folder)
        try:
            output, errors = child.communicate(timeout=rng.uniform(0, 6) if kills < 8 else 120)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills += 1
            counts.append(len(stored(folder)))
            assert len(stored(folder)) >= len(done)
            continue
        assert child.returncode == 0, errors
        missing = [task for task in TASKS if task not in done]
        assert f"found: {len(done)}; run-steps computed: " in output
        executed = int(re.search(r"run-steps computed: ([\d,]+)", output)[1].replace(",", ""))
        assert executed == steps_of(missing, reference)
        break
    assert counts == sorted(counts)
    assert_same_tables(folder, reference)
    # Litter of killed writers stays under names that no reader takes for a table.
    assert len(pd.read_parquet(folder / "runs")) == sum(len(task.runs) for task in TASKS if not task.is_limit)
    assert os.listdir(folder / "runs")
