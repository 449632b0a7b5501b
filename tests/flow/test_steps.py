"""The stopping rule and the integrator."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import polarbias as pb
from polarbias.flow import steps


def rule(**changes):
    options = {"t_end": 5.0, "bound": 1e-3, "max_steps": 10, "callback": None}
    return steps.StoppingRule((), **options | changes)


def test_the_order_of_the_criteria():
    assert rule().status(0.0, 1.0) is None
    assert rule().status(5.0, 1e-4) == pb.Status.CONVERGED
    assert rule().status(0.0, 1e-3) is None
    assert rule().status(5.0, 1.0) == pb.Status.MAX_STEPS
    assert rule(steps=10).status(0.0, 1.0) == pb.Status.MAX_STEPS
    assert rule(steps=9).status(0.0, 1.0) is None


def test_callbacks_are_called_twice_a_second(monkeypatch):
    now, seen = [10.0], []
    monkeypatch.setattr(steps, "perf_counter", lambda: now[0])
    watched = rule(callback=lambda progress: seen.append(progress) or progress.steps == 2)
    for count, time in enumerate((10.0, 10.4, 10.6)):
        now[0], watched.steps = time, count
        status = watched.status(0.1 * count, 1.0)
    assert status == pb.Status.INTERRUPTED
    assert [(progress.steps, progress.t) for progress in seen] == [(0, 0.0), (2, 0.2)]


def test_integration_and_failure():
    def started(rhs, tol):
        equations = SimpleNamespace(rhs=rhs, jacobian=lambda t, y: -np.eye(1))
        return steps.Integrator(equations, 0.0, np.ones(1), 1.0, tol, tol)

    decay = started(lambda t, y: -y, 1e-12)
    while decay.t < 1.0:
        assert decay.advance()
    assert decay.y == pytest.approx(np.exp(-1), rel=1e-8)
    undefined = started(lambda t, y: y * np.nan, 1e-6)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        assert not all(undefined.advance() for _ in range(5))
