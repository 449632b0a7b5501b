"""Checkpoints: a killed run continues to the same bits; damaged, foreign and forged files are not used."""

import io
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import compiled_loop, gradient_descent
from polarbias.descent.checkpoint import Checkpoint, fingerprint
from polarbias.descent.options import OPTIONS

# Many short calls of the compiled loop, each of which writes a file.
SHAPE = replace(OPTIONS.cpu, sizes=(5, 20), work=1e9)
FREQUENT = replace(OPTIONS, cpu=SHAPE, calls_before_shrinking=2, seconds_between_checkpoints=0.0)


def descend(folder, **options):
    """Return a search by four workers."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((4, 9))
    problem = pb.LinearProblem(A, A @ rng.random(9))
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.01, 1, 70))
    theta0 = network.init(0.5, rng.random((70, 9)) + 0.1)
    options = {"max_steps": 10_000, "tol": 1e-13, "keep_x": True, "checkpoint": folder} | options
    return pb.gradient_descent(problem, network, theta0, **options)


def assert_equal_bits(one, other):
    np.testing.assert_array_equal(one.stats["trials"], other.stats["trials"])
    for name in ("x", "steps", "status", *(f"trajectory.{record}" for record in ("step", "loss", "r", "x"))):
        np.testing.assert_array_equal(*map(attrgetter(name), (one, other)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_descent, "OPTIONS", FREQUENT)
    return tmp_path / "states"


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient_descent, "OPTIONS", FREQUENT)
        return descend(None)


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.full)])
def test_kills_at_random_moments_change_no_bit(folder, whole, kills):
    rng = np.random.default_rng(os.getpid())
    for kill in range(kills):
        command = [sys.executable, __file__, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            while not kill and not list(folder.glob("*.npz")):  # one kill at least leaves a file to continue from
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
    assert_equal_bits(descend(folder), whole)


def test_an_interrupted_run_continues(folder, whole, monkeypatch):
    calls, advance = [], compiled_loop.advance
    monkeypatch.setattr(compiled_loop, "advance", lambda *given: calls.append(0) or advance(*given))
    first = descend(folder, callback=lambda state: state.steps.max() > 100)
    assert (first.status == pb.Status.INTERRUPTED).any()
    begun = len(calls)
    assert_equal_bits(descend(folder), whole)
    assert sorted(path.name for path in folder.iterdir()) == [f"worker{k:04d}.npz" for k in range(4)]
    resumed = len(calls) - begun
    assert_equal_bits(descend(folder), whole)
    assert len(calls) == begun + resumed  # a finished run makes no turn
    descend(None)
    assert 0 < resumed < len(calls) - begun - resumed


def test_files_of_another_run_are_named_and_not_used(folder, caplog):
    for tol in (1e-3, 1e-2):
        descend(folder, tol=tol)
    assert caplog.text.count("belongs to another run") == 4


class Exploit:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damaged(content, kind, trap):
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    objects, bomb = io.BytesIO(), io.BytesIO()
    np.savez(objects, header=np.array(Exploit(trap), object))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", b"\0" * 10**6)
    forged = {"pickle": pickle.dumps(Exploit(trap)), "objects": objects.getvalue(), "bomb": bomb.getvalue()}
    return {"cut": content[:-100], "flipped": bytes(flipped), "empty": b"", **forged}[kind]


@pytest.mark.parametrize("kind", ["cut", "flipped", "empty", "pickle", "objects", "bomb"])
def test_damaged_and_forged_files_are_named_and_not_used(tmp_path, caplog, kind):
    states = Checkpoint(tmp_path, "identity", 0.0)
    assert states.load("one") is None
    states.save("one", lambda: {"a": np.arange(9.0), "b": np.zeros(99)})
    path, trap = tmp_path / "one.npz", tmp_path / "executed"
    path.write_bytes(damaged(path.read_bytes(), kind, trap))
    assert states.load("one") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged or no checkpoint, and is not used"
    ]
    assert not trap.exists()


def test_a_folder_that_cannot_be_written_is_an_error_before_the_run(folder, monkeypatch):
    monkeypatch.setattr(compiled_loop, "advance", None)
    folder.write_text("")
    for path, message in ((folder, "is a file"), (folder / "below", "cannot write")):
        with pytest.raises(pb.InvalidInput, match=message):
            descend(path)


def test_a_disk_that_fills_up_ends_the_run_with_a_clear_error(folder, monkeypatch):
    replace = Path.replace

    def full(path, target):
        if "worker" in path.name:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(pb.InvalidInput, match=r"cannot write.*worker000.*No space left"):
        descend(folder)


def test_times_of_writing(tmp_path):
    folder = tmp_path / "some" / "where"

    def state(number):
        return lambda: {"a": np.array(number)}

    for seconds in (1e9, 0.0):
        states = Checkpoint(folder, "identity", seconds)
        assert (states.load("one") is None) == (seconds > 0)
        states.save("one", state(1))
        states.save("one", state(2), last=True)
        assert (states.load("one") is None) == (seconds > 0)
        states.save("one", state(3), now=True)
        assert states.load("one") == {"a": 3}
    states.save("one", state(4))
    assert states.load("one") == {"a": 4}
    assert [path.name for path in folder.iterdir()] == ["one.npz"]


def test_fingerprints_differ():
    same = [np.arange(3.0), "a", 2]
    assert fingerprint(same) == fingerprint([np.arange(3.0), "a", 2])
    others = [
        [np.arange(3), "a", 2],
        [np.arange(3.0)[None], "a", 2],
        [np.arange(3.0), "b", 2],
        [np.arange(3.0), "a2"],
        [np.array([0.0, 1.0, np.nextafter(2, 3)]), "a", 2],
    ]
    assert len({fingerprint(other) for other in [same, *others]}) == 6


if __name__ == "__main__":
    gradient_descent.OPTIONS = FREQUENT
    print("begins", flush=True)
    descend(sys.argv[1])
