"""The stopping rule, dense output and the integrator."""

import warnings

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


def test_every_step_has_its_own_interpolant():
    segment = steps.DenseOutputSegment(None, np.array([0.0, 1.0, 2.0]), (lambda t: np.array(1), lambda t: np.array(2)))
    assert [int(segment(t)) for t in (0.0, 0.5, 1.0, 1.5, 2.0)] == [1, 1, 1, 2, 2]


def test_integration_and_failure():
    decay = steps.Integrator(lambda t, y: -y, lambda t, y: -np.eye(1), (0.0, np.ones(1)), 1.0, (1e-10, 1e-12))
    while decay.t < 1.0:
        assert decay.step()
    assert decay.y == pytest.approx(np.exp(-1), rel=1e-8)
    assert decay.piece()(1.0) == pytest.approx(decay.y)
    undefined = steps.Integrator(lambda t, y: y * np.nan, lambda t, y: np.eye(1), (0.0, np.ones(1)), 1.0, (1e-6, 1e-6))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        assert not all(undefined.step() for _ in range(5))
