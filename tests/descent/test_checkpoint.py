"""Intermediate states on disk: a run that was killed goes on to the same bits; what is damaged is not used."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import batching, checkpoint, device

N = 9
SCRIPT = """
    import pickle, sys
    from dataclasses import replace
    import numpy as np
    import polarbias as pb
    from polarbias.descent import checkpoint, batching, device

    checkpoint.SECONDS_BETWEEN = 0.05
    device.CPU, batching.LASTING = replace(device.CPU, work=1e9), 2
    rng = np.random.default_rng(3)
    A = rng.standard_normal((4, 9))
    problem = pb.LinearProblem(A, A @ rng.random(9))
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.01, 1, 50))
    theta0 = network.init(0.5, rng.random((50, 9)) + 0.1)
    print("begins", flush=True)
    run = pb.gradient_descent(problem, network, theta0, max_steps=60_000, tol=1e-13, checkpoint=sys.argv[1] or None)
    with open(sys.argv[2], "wb") as file:
        pickle.dump((run.x, run.steps, run.status, run.stats, run.trajectory), file)
"""


def start(folder, result):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), folder, str(result)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def assert_same(left, right):
    for mine, theirs in zip(left[:3], right[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(left[3]["trials"], right[3]["trials"])
    for name in ("step", "loss", "r", "l1"):
        np.testing.assert_array_equal(getattr(left[4], name), getattr(right[4], name))


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.full)])
def test_kills_at_random_moments_change_no_bit(tmp_path, kills):
    with start("", tmp_path / "whole") as process:
        assert process.wait(timeout=300) == 0
    whole = pickle.loads((tmp_path / "whole").read_bytes())
    rng, folder = np.random.default_rng(os.getpid()), tmp_path / "states"
    for kill in range(kills):
        with start(str(folder), tmp_path / "resumed") as process:
            process.stdout.readline()
            while not kill and not list(folder.glob("*.state")):  # one kill at least leaves something to go on from
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
    with start(str(folder), tmp_path / "resumed") as process:
        assert process.wait(timeout=300) == 0
    assert_same(whole, pickle.loads((tmp_path / "resumed").read_bytes()))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run in four workers that ends by itself or at a callback's wish."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    rng = np.random.default_rng(4)
    A = rng.standard_normal((4, N))
    problem = pb.LinearProblem(A, A @ rng.random(N))
    network = pb.HadamardPower(2)
    theta0 = network.init(1.0, rng.random((70, N)) + 0.1)

    def go(callback=None, max_steps=3000):
        return pb.gradient_descent(
            problem,
            network,
            theta0,
            step=pb.ConstantStep(1e-4),
            max_steps=max_steps,
            tol=0,
            callback=callback,
            checkpoint=tmp_path / "states",
        )

    return go


def states(tmp_path):
    return sorted((tmp_path / "states").iterdir())


def test_an_interrupted_run_goes_on_where_it_was(run, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "CPU", replace(device.CPU, work=1e8))
    first = run(lambda state: state.steps.max() > 500)
    assert (first.status == pb.Status.INTERRUPTED).any()
    calls = []
    advance = batching.descent_loop.advance
    monkeypatch.setattr(batching.descent_loop, "advance", lambda *given: calls.append(0) or advance(*given))
    second, resumed = run(), len(calls)
    for path in states(tmp_path):
        path.unlink()
    third = run()
    assert 0 < resumed < len(calls) - resumed
    np.testing.assert_array_equal(second.x, third.x)
    np.testing.assert_array_equal(second.trajectory.loss, third.trajectory.loss)


def test_a_finished_run_is_found_finished(run, tmp_path, monkeypatch):
    first = run()
    assert len(states(tmp_path)) == 4
    monkeypatch.setattr(batching.descent_loop, "advance", None)
    np.testing.assert_array_equal(run().x, first.x)


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_state_is_noticed_and_not_used(run, tmp_path, caplog, damage):
    first = run()
    path = states(tmp_path)[1]
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-100], "flipped": content, "emptied": b""}[damage])
    with caplog.at_level(logging.WARNING, logger="polarbias"):
        again = run()
    assert str(path) in caplog.text
    np.testing.assert_array_equal(again.x, first.x)


def test_a_state_of_another_run_is_noticed_and_not_used(run, tmp_path, caplog):
    run()
    other = run(max_steps=200)
    assert "belongs to another run" in caplog.text
    assert (other.steps == 200).all()


def test_a_folder_that_cannot_be_one_is_refused_before_any_work(run, tmp_path):
    (tmp_path / "states").write_text("")
    with pytest.raises(pb.InvalidInput, match="is a file"):
        run()


def test_a_full_disk_ends_the_run_with_a_clear_error(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(pb.InvalidInput, match=r"cannot write.*lane0000.*No space left"):
        run()


def test_states_are_written_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    states = checkpoint.Checkpoint(tmp_path / "some" / "where", "identity" * 8)
    assert states.load("one") is None
    states.save("one", [1])
    states.save("one", [1], last=True)
    assert states.load("one") is None
    states.save("one", [2], now=True)
    assert states.load("one") == [2]
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    states.save("one", [3])
    assert states.load("one") == [3]
    assert [path.name for path in (tmp_path / "some" / "where").iterdir()] == ["one.state"]


def test_fingerprints_tell_apart_what_differs():
    same = [np.arange(3.0), "a", 2]
    assert checkpoint.fingerprint(same) == checkpoint.fingerprint([np.arange(3.0), "a", 2])
    others = [
        [np.arange(3), "a", 2],
        [np.arange(3.0)[None], "a", 2],
        [np.arange(3.0), "b", 2],
        [np.arange(3.0), "a2"],
        [np.array([0.0, 1.0, np.nextafter(2, 3)]), "a", 2],
    ]
    assert len({checkpoint.fingerprint(other) for other in [same, *others]}) == 6
