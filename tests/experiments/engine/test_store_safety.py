"""What can happen to a results folder: damaged files, a full disk, two runs at a time."""

import json
import logging
import multiprocessing
import os
import platform
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import call
from polarbias.errors import InvalidInput, StoreBusy
from polarbias.experiments import FIGURES, Profile
from polarbias.experiments.engine import lock
from polarbias.experiments.engine.store import Store, verified

PROFILE = Profile(
    "tiny", trials=1, starts=1, r0=(0.1, 1.0), ratios=(1.0, 0.1), max_steps=50, m=6, n=12, s=2,
    limit_trials=1, limit_r0=(0.1, 1.0),
)  # fmt: skip
KEY = "figure4-trial00-wn"
SPEC = {"kind": "reproduction", "profile": {"name": "tiny", "r0": (0.1, 1.0)}}

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


def tables(rows=50):
    runs = pd.DataFrame({"algorithm": "wn", "r0": np.linspace(0.1, 1, rows), "ratio": np.nan, "status": "converged"})
    return runs, pd.DataFrame({"step": np.arange(rows), "loss": np.geomspace(1, 1e-9, rows)})


@pytest.fixture
def filled(tmp_path):
    store = Store(tmp_path / "results", SPEC)
    store.write(KEY, *tables(), {"wall_seconds": 1.5})
    return store


# Damage


@pytest.mark.parametrize("part", ["pages", "footer"])
def test_no_flipped_bit_goes_unnoticed(filled, part):
    path = filled.root / "runs" / f"{KEY}.parquet"
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = range(4, footer) if part == "pages" else range(footer, len(whole))
    rng = np.random.default_rng(0)
    noticed = 0
    for place in sorted(rng.choice(places, 60, replace=False)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if Store(filled.root, SPEC).finished(KEY):
            # What stands for the same data is no damage: the statistics of a column, the name of the writer.
            pd.testing.assert_frame_equal(pd.read_parquet(path), tables()[0], check_exact=True)
        else:
            noticed += 1
    assert noticed > (50 if part == "pages" else 15)


def test_damaged_pages_under_a_whole_footer_are_computed_again(filled, caplog):
    path = filled.root / "trajectories" / f"{KEY}.parquet"
    table = pq.read_table(path)
    # The same schema, metadata and size of file, another loss.
    loss = table["loss"].to_numpy().copy()
    loss[7] *= 1 + 1e-15
    changed = table.set_column(1, "loss", pa.array(loss)).cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    assert pq.read_schema(path).metadata == table.schema.metadata
    with caplog.at_level(logging.WARNING, "polarbias"):
        assert not filled.finished(KEY)
    assert re.search(rf"{path.name} cannot be used \(its content .* digest\); .* is computed again", caplog.text)
    assert filled.read([KEY])[0].empty
    filled.write(KEY, *tables(), {})
    assert filled.finished(KEY)


def test_a_file_is_verified_once_until_it_changes(filled, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "polarbias.experiments.engine.store.verified", lambda path: seen.append(path.parent.name) or verified(path)
    )
    for _ in range(3):
        assert filled.finished(KEY)
    filled.read([KEY])
    assert seen == ["runs", "trajectories"]
    path = filled.root / "runs" / f"{KEY}.parquet"
    os.utime(path, ns=(0, 0))
    assert filled.finished(KEY)
    assert seen == ["runs", "trajectories", "runs"]
    path.write_bytes(path.read_bytes()[:-1])
    assert not filled.finished(KEY)


def test_tables_from_before_digests_are_kept(filled):
    for folder in ("runs", "trajectories"):
        path = filled.root / folder / f"{KEY}.parquet"
        table = pq.read_table(path)
        entries = {name: text for name, text in table.schema.metadata.items() if name != b"polarbias.sha256"}
        pq.write_table(table.replace_schema_metadata(entries), path)
    assert filled.finished(KEY)
    pd.testing.assert_frame_equal(filled.read([KEY])[0], tables()[0], check_exact=True)


# A full disk

FULL = f"""
import resource

from polarbias import experiments
from polarbias.cli import main
from polarbias.experiments.engine import progress

finished = progress.LineObserver.finished

def full(self, task, runs, seconds):
    finished(self, task, runs, seconds)
    # From now on no file may grow beyond 100 bytes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

progress.LineObserver.finished = full
experiments.PROFILES["quick"] = experiments.Profile(**{asdict(PROFILE)!r})
main(["reproduce", "--figure", "4", "--out", "out"])
"""


def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("[1/4]")
    assert re.fullmatch(r"polarbias: cannot write '.*figure4-trial00-wn\.parquet': .*; make room or .*\.", last)
    assert "Traceback" not in done.stderr
    key = FIGURES[4].tasks(PROFILE)[0].key
    assert [path.name for path in sorted((tmp_path / "out").glob("*/*"))] == [f"{key}.parquet"] * 2
    store = Store(tmp_path / "out", {"kind": "reproduction", "profile": PROFILE.identity()})
    assert store.finished(key)
    assert len(store.read([key])[0]) == 2


def test_a_folder_for_limits_that_cannot_be_made(filled):
    (filled.root / "limits").write_text("in the way")
    with pytest.raises(InvalidInput, match=r"cannot write .*limits.*; make room or choose another folder"):
        filled.write_limits("figure4-trial00-wn-limit", tables()[0], {})


# Two runs


def hold(folder, connection):
    with lock.exclusive(folder):
        connection.send("held")
        connection.recv()


@pytest.fixture
def holder():
    """Start a process that holds a folder until it is told to let go, or is killed."""
    started = []

    def start(folder):
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=hold, args=(folder, theirs))
        process.start()
        started.append((process, ours, theirs))
        assert ours.poll(60)
        assert ours.recv() == "held"
        return process, ours

    yield start
    for process, *ends in started:
        process.kill()
        process.join()
        for end in ends:
            end.close()


@pytest.mark.parametrize("force", [False, True])
def test_a_second_run_is_refused_and_told_who_is_there(tmp_path, holder, force):
    out = tmp_path / "out"
    process, connection = holder(out)
    (tmp_path / "grid.toml").write_text("m = 6\nn = 12\nmax_steps = 5\n")
    commands = [
        ["reproduce", "--figure", 4],
        ["run", "--m", 6, "--n", 12, "--max-steps", 5],
        ["sweep", tmp_path / "grid.toml"],
    ]
    for command in commands:
        message = call(*command, "--out", out, *["--force"] * force, code=1).stderr
        assert re.fullmatch(
            rf"polarbias: {out} is in use by process {process.pid} on {re.escape(platform.node())} since"
            r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*; wait until it ends, or use another folder\.\n",
            message,
        )
        assert os.listdir(out) == [".lock"]
    connection.send("let go")
    process.join()
    assert os.listdir(out) == []
    assert "tables and trajectory.png are in" in call(*commands[1], "--out", out).stdout
    assert not (out / ".lock").exists()


def test_a_killed_run_locks_nobody_out(tmp_path, holder):
    process, _ = holder(tmp_path)
    with pytest.raises(StoreBusy), lock.exclusive(tmp_path):
        pass
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == process.pid
    with lock.exclusive(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_drawing_needs_no_lock(tmp_path, holder):
    call("run", "--m", 6, "--n", 12, "--max-steps", 5, "--out", tmp_path)
    holder(tmp_path)
    assert "trajectory.png" in call("plot", tmp_path).stdout


def test_a_folder_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with lock.exclusive(tmp_path):
        pass
    assert "cannot be locked" in caplog.text
