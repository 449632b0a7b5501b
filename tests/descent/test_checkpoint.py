"""Checkpoints: a killed run continues to the same bits; damaged, foreign and forged files are not used."""

import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import compiled_loop, gradient_descent
from polarbias.descent.checkpoint import Checkpoint, fingerprint
from polarbias.descent.options import OPTIONS

N = 9
# Runs here and in processes that are killed.
SCRIPT = """
from dataclasses import replace
import numpy as np
import polarbias as pb
from polarbias.descent import gradient_descent

def run(folder):
    rng = np.random.default_rng(3)
    A = rng.standard_normal((4, 9))
    problem = pb.LinearProblem(A, A @ rng.random(9))
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.01, 1, 50))
    theta0 = network.init(0.5, rng.random((50, 9)) + 0.1)
    options = gradient_descent.OPTIONS
    gradient_descent.OPTIONS = replace(options, cpu=replace(options.cpu, work=1e9), calls_before_shrinking=2,
                                       seconds_between_checkpoints=0.05)
    try:
        return pb.gradient_descent(problem, network, theta0, max_steps=20_000, tol=1e-13, checkpoint=folder)
    finally:
        gradient_descent.OPTIONS = options
"""
KILLED = """
import sys
print("begins", flush=True)
run(sys.argv[1])
"""


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.full)])
def test_kills_at_random_moments_change_no_bit(tmp_path, kills):
    namespace, folder = {}, tmp_path / "states"
    exec(SCRIPT, namespace)
    rng = np.random.default_rng(os.getpid())
    for kill in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT + KILLED, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            while not kill and not list(folder.glob("*.npz")):  # one kill at least leaves a file to continue from
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
    whole, resumed = namespace["run"](None), namespace["run"](folder)
    for name in ("x", "steps", "status"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    np.testing.assert_array_equal(resumed.stats["trials"], whole.stats["trials"])
    for name in ("step", "loss", "r"):
        np.testing.assert_array_equal(getattr(resumed.trajectory, name), getattr(whole.trajectory, name))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs four workers to the end or to the callback's stop."""
    options = replace(OPTIONS, cpu=replace(OPTIONS.cpu, work=1e8), seconds_between_checkpoints=0.0)
    monkeypatch.setattr(gradient_descent, "OPTIONS", options)
    rng = np.random.default_rng(4)
    A = rng.standard_normal((4, N))
    problem = pb.LinearProblem(A, A @ rng.random(N))
    theta0 = pb.HadamardPower(2).init(1.0, rng.random((70, N)) + 0.1)

    def run(**options):
        options = {
            "step": 1e-4,
            "max_steps": 600,
            "tol": 0,
            "checkpoint": tmp_path / "states",
            "keep_x": True,
        } | options
        return pb.gradient_descent(problem, pb.HadamardPower(2), theta0, **options)

    return run


def files(tmp_path):
    return sorted((tmp_path / "states").iterdir())


def test_an_interrupted_run_continues(run, tmp_path, monkeypatch):
    calls, advance = [], compiled_loop.advance
    monkeypatch.setattr(compiled_loop, "advance", lambda *given: calls.append(0) or advance(*given))
    first = run(callback=lambda state: state.steps.max() > 100)
    assert (first.status == pb.Status.INTERRUPTED).any()
    begun = len(calls)
    second, resumed = run(), len(calls) - begun
    assert [path.name for path in files(tmp_path)] == [f"worker{k:04d}.npz" for k in range(4)]
    np.testing.assert_array_equal(run().x, second.x)
    assert len(calls) == begun + resumed  # a finished run makes no turn
    for path in files(tmp_path):
        path.unlink()
    third = run()
    assert 0 < resumed < len(calls) - begun - resumed
    np.testing.assert_array_equal(second.x, third.x)
    for name in ("step", "loss", "x"):
        np.testing.assert_array_equal(getattr(second.trajectory, name), getattr(third.trajectory, name))


def test_files_of_another_run_are_named_and_not_used(run, caplog):
    run()
    run(tol=1e-30)
    assert "belongs to another run" in caplog.text


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
    with caplog.at_level(logging.WARNING, logger="polarbias"):
        assert states.load("one") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is damaged or no checkpoint, and is not used"
    ]
    assert not trap.exists()


def test_a_folder_that_cannot_be_written_is_an_error_before_the_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_loop, "advance", None)
    (tmp_path / "states").write_text("")
    with pytest.raises(pb.InvalidInput, match="is a file"):
        run()
    with pytest.raises(pb.InvalidInput, match="cannot write"):
        run(checkpoint=tmp_path / "states" / "below")


def test_a_disk_that_fills_up_ends_the_run_with_a_clear_error(run, monkeypatch):
    replace = Path.replace

    def full(path, target):
        if "worker" in path.name:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(pb.InvalidInput, match=r"cannot write.*worker000.*No space left"):
        run()


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
