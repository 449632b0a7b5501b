"""Callbacks and Ctrl-C: both end a call with the state so far."""

import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import polarbias as pb
from polarbias import Status
from polarbias.descent import executor

N = 6


def descend(problem, network, callback, **options):
    theta = network.init(1.0, np.ones(N))
    return pb.gradient_descent(problem, network, theta, **{"tol": 0.0, "callback": callback} | options)


def test_a_callback_receives_the_state_and_can_end_the_call(problem, network):
    theta = network.init(np.ones(2), np.ones(N))
    seen = []

    def callback(state):
        seen.append(state)
        return state.steps.max() > 100

    run = pb.gradient_descent(
        problem, network, theta, step=pb.ConstantStep([1e-4, 10.0]), max_steps=10**9, tol=0.0, callback=callback
    )
    np.testing.assert_array_equal(run.status, [Status.INTERRUPTED, Status.UNSTABLE])
    assert "interrupted" in run[0].message
    assert seen[0].max_steps == 10**9
    assert seen[0].steps.shape == seen[0].loss.shape == seen[0].status.shape == (2,)
    assert seen[0].status[0] == -1
    assert seen[-1].steps[0] == run.steps[0] > 100
    np.testing.assert_array_equal(run.trajectory[0].step[-1], run.steps[0])
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
        descend(problem, network, fails(RuntimeError("from the callback")))


def test_errors_of_a_worker_reach_the_caller(problem, network, monkeypatch):
    def run(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(executor.BatchWorker, "run", run)
    with pytest.raises(MemoryError, match="no room"):
        descend(problem, network, None)


def test_ctrl_c_returns_the_state_so_far():
    script = """
        import signal
        import numpy as np, polarbias as pb
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
        network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
        problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
        calls = []
        def callback(state):
            calls.append(state)
            if len(calls) == 2:
                print("running", flush=True)
        run = pb.gradient_descent(problem, network, network.init(1.0, [1.0, 1.0]), step=pb.ConstantStep(1e-9),
                                  max_steps=10**12, tol=0.0, callback=callback)
        print(run.message)
        assert run.status == pb.Status.INTERRUPTED and run.steps >= calls[1].steps > 0
        assert np.isfinite(run.x).all() and run.trajectory.step[-1] == run.steps
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "running\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out == "interrupted; this is the state so far\n"
    assert "interrupted at turn" in err  # logging's last resort shows the warning


def test_an_interrupt_that_python_drops_still_ends_the_run(problem, network, monkeypatch):
    """Python drops an exception that is raised in a destructor."""
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: dropped.append(unraisable.exc_type))

    class Interrupts:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def callback(state):
        if not dropped:
            Interrupts()

    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)  # test workers ignore Ctrl-C
    try:
        run = descend(problem, network, callback, step=1e-9, max_steps=10**7)
    finally:
        after = signal.signal(signal.SIGINT, ignored)
    assert dropped == [KeyboardInterrupt]
    assert run.status == Status.INTERRUPTED
    assert after is signal.default_int_handler
