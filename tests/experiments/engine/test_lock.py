"""Locks of results folders: one process at a time, and the lock ends with its process."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest

from commands import call
from polarbias.errors import StoreBusy
from polarbias.experiments.engine import lock

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


# Loads the module alone, which takes less time than the package.
HOLD = """
import runpy, sys
with runpy.run_path(sys.argv[1])["exclusive"](sys.argv[2]):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def holder():
    """Start a process that holds a folder until it receives a line or is killed."""
    started = []

    def start(folder):
        command = [sys.executable, "-c", HOLD, lock.__file__, folder]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_commands_refuse_a_locked_folder_and_name_its_process(tmp_path, holder):
    out = tmp_path / "out"
    process = holder(out)
    (tmp_path / "grid.toml").touch()
    for command in (["reproduce", "--figure", 4], ["run", "--m", 6, "--n", 12], ["sweep", tmp_path / "grid.toml"]):
        for force in ([], ["--force"]):
            message = call(*command, "--output", out, *force, code=1).stderr
            assert re.fullmatch(
                rf"polarbias: {out} is in use by process {process.pid} on {re.escape(platform.node())} since"
                r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*; wait until it ends, or use another folder\.\n",
                message,
            )
            assert os.listdir(out) == [".lock"]
    process.communicate("release")
    assert os.listdir(out) == []


def test_the_file_of_a_killed_process_is_not_locked(tmp_path, holder):
    process = holder(tmp_path)
    with pytest.raises(StoreBusy), lock.exclusive(tmp_path):
        pass
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert json.loads((tmp_path / ".lock").read_text())["pid"] == process.pid
    with lock.exclusive(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_a_file_that_its_holder_removes_is_locked_anew(tmp_path, monkeypatch):
    real, calls = lock.fcntl.flock, []

    def removed(handle, operation):
        if not calls:
            (tmp_path / ".lock").unlink()
        calls.append(handle)
        real(handle, operation)

    monkeypatch.setattr(lock.fcntl, "flock", removed)
    with lock.exclusive(tmp_path):
        assert os.listdir(tmp_path) == [".lock"]
    assert len(calls) == 2


def test_a_file_system_without_locks_gives_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lock.fcntl, "flock", Mock(side_effect=OSError(95, "Operation not supported")))
    with lock.exclusive(tmp_path):
        pass
    assert "cannot be locked" in caplog.text
