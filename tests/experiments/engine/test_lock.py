"""Locks of results folders: one process at a time, and the lock ends with its process."""

import json
import multiprocessing
import os
import platform
import re
import signal

import pytest

from commands import call
from polarbias.errors import StoreBusy
from polarbias.experiments.engine import lock

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

RUN = ["run", "--m", 6, "--n", 12, "--max-steps", 5]


def hold(folder, connection):
    with lock.exclusive(folder):
        connection.send("held")
        connection.recv()


@pytest.fixture
def holder():
    """Start a process that holds a folder until it receives a message or is killed."""
    started = []

    def start(folder):
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=hold, args=(folder, theirs))
        process.start()
        theirs.close()  # so that recv raises EOFError if the process dies
        started.append((process, ours))
        assert ours.recv() == "held"
        return process, ours

    yield start
    for process, connection in started:
        process.kill()
        process.join()
        connection.close()


@pytest.mark.parametrize("force", [False, True])
def test_commands_refuse_a_locked_folder_and_name_its_process(tmp_path, holder, force):
    out = tmp_path / "out"
    process, connection = holder(out)
    (tmp_path / "grid.toml").write_text("m = 6\nn = 12\nmax_steps = 5\n")
    for command in (["reproduce", "--figure", 4], RUN, ["sweep", tmp_path / "grid.toml"]):
        message = call(*command, "--output", out, *["--force"] * force, code=1).stderr
        assert re.fullmatch(
            rf"polarbias: {out} is in use by process {process.pid} on {re.escape(platform.node())} since"
            r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*; wait until it ends, or use another folder\.\n",
            message,
        )
        assert os.listdir(out) == [".lock"]
    connection.send("release")
    process.join()
    assert os.listdir(out) == []
    assert "tables and trajectory.png are in" in call(*RUN, "--output", out).stdout
    assert not (out / ".lock").exists()


def test_the_file_of_a_killed_process_is_not_locked(tmp_path, holder):
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
    call(*RUN, "--output", tmp_path)
    holder(tmp_path)
    assert "trajectory.png" in call("plot", tmp_path).stdout


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    def fail(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with lock.exclusive(tmp_path):
        pass
    assert "cannot be locked" in caplog.text
