"""Callbacks and Ctrl-C: both end a call with the state so far."""

import os
import signal
import sys
from threading import Timer

import numpy as np
import pytest

import polarbias as pb
from polarbias import Status
from polarbias.descent import executor


def descend(problem, network, callback, **options):
    theta = network.init(1.0, np.ones(6))
    return pb.gradient_descent(problem, network, theta, **{"tol": 0.0, "callback": callback} | options)


@pytest.fixture
def ctrl_c():
    """Let SIGINT raise KeyboardInterrupt, which test workers ignore, and check that a run restores the handler."""
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, ignored) is signal.default_int_handler


def test_a_callback_receives_the_state_and_can_end_the_call(problem, network):
    theta = network.init(np.ones(2), np.ones(6))
    seen = []
    options = {"step": pb.ConstantStep([1e-4, 10.0]), "max_steps": 10**9, "tol": 0.0}
    run = pb.gradient_descent(
        problem, network, theta, callback=lambda state: seen.append(state) or state.steps.max() > 100, **options
    )
    np.testing.assert_array_equal(run.status, [Status.INTERRUPTED, Status.UNSTABLE])
    assert "interrupted" in run[0].message
    assert seen[0].max_steps == 10**9
    assert seen[0].steps.shape == seen[0].loss.shape == seen[0].status.shape == (2,)
    assert seen[0].status[0] == -1
    assert seen[-1].steps[0] == run.steps[0] == run.trajectory[0].step[-1] > 100
    assert run.loss[0] < run.trajectory.loss[0, 0]
    assert np.isfinite(run[0].x).all()


def test_errors_of_a_callback(problem, network):
    def fails(error):
        def callback(state):
            raise error

        return callback

    run = descend(problem, network, fails(KeyboardInterrupt()), step=1e-4)
    assert run.status == Status.INTERRUPTED
    assert 0 < run.steps < 100_000
    with pytest.raises(RuntimeError, match="from the callback"):
        descend(problem, network, fails(RuntimeError("from the callback")), step=1e-4)


def test_errors_of_a_worker_reach_the_caller(problem, network, monkeypatch):
    def run(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(executor.BatchWorker, "run", run)
    with pytest.raises(MemoryError, match="no room"):
        descend(problem, network, None)


def test_ctrl_c_returns_the_state_so_far(problem, network, ctrl_c, caplog):
    seen = []

    def callback(state):
        seen.append(state)
        if len(seen) == 2:
            Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()

    run = descend(problem, network, callback, step=1e-9, max_steps=10**12)
    assert run.status == Status.INTERRUPTED
    assert run.message == "interrupted; this is the state so far"
    assert run.trajectory.step[-1] == run.steps >= seen[1].steps > 0
    assert np.isfinite(run.x).all()
    assert ("polarbias.descent.executor", "INFO") in [(one.name, one.levelname) for one in caplog.records]


def test_an_interrupt_that_python_drops_still_ends_the_run(problem, network, ctrl_c, monkeypatch):
    """Python drops an exception that is raised in a destructor."""
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: dropped.append(unraisable.exc_type))

    class Interrupts:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def callback(state):
        if not dropped:
            Interrupts()

    run = descend(problem, network, callback, step=1e-9, max_steps=10**7)
    assert dropped == [KeyboardInterrupt]
    assert run.status == Status.INTERRUPTED
