"""Trajectories: log-spaced records, padding, and agreement with the signals."""

import numpy as np
import pytest

import polarbias as pb
from polarbias import Status
from polarbias.descent.options import OPTIONS
from polarbias.descent.records import log_spaced_schedule


@pytest.fixture(scope="module")
def run(problems):
    """Six runs that end at very different steps, one of them at once."""
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.5, 2.0])
    directions = np.abs(np.random.default_rng(3).standard_normal((2, 3, 20))) + 0.1
    step = pb.ConstantStep([[0.005, 0.05, 0.01], [1e-5, 50.0, 0.02]])
    theta = network.init(0.9, directions)
    run = pb.gradient_descent(problems, network, theta, step=step, max_steps=40_000, tol=1e-9, keep_x=True)
    assert {Status.CONVERGED, Status.MAX_STEPS, Status.UNSTABLE} == set(run.status.ravel())
    assert len(np.unique(run.steps)) >= 5
    assert run.steps[1, 1] == 0
    return run


def test_the_number_of_records():
    for max_steps, rejections in ((1, 0), (100, 100), (10**6, 0), (10**15, 100)):
        schedule = log_spaced_schedule(max_steps, rejections, OPTIONS)
        last = max_steps * (rejections + 1) + rejections
        real = schedule[schedule <= last]
        assert real[0] == 0
        assert (np.diff(real) > 0).all()
        assert len(schedule) % OPTIONS.records_multiple == 0
        assert (schedule[len(real) :] == last + 1).all()
        assert len(real) <= min(OPTIONS.records * (1 + rejections / 500), last + 1) + 1


def test_records_are_few_and_increase_from_the_start_to_the_end(run):
    assert len(run.trajectory) <= 1000
    assert run.trajectory.step.dtype.kind == "i"
    for item in (run[index] for index in np.ndindex(2, 3)):
        steps = item.trajectory.step
        assert (steps[0], steps[-1]) == (0, item.steps)
        assert (np.diff(steps) > 0).all()
        assert len(steps) >= min(int(item.steps) + 1, 100)  # also of a short run in a long batch


def test_records_are_spaced_like_the_logarithm(run):
    """From 100 steps on, gaps grow with the step and stay within a few per cent of it; before, few are missing."""
    steps = run.trajectory[1, 0].step
    assert steps[-1] == 40_000
    assert len(steps) > 500
    late = steps[(steps >= 100) & (steps < 40_000)]
    assert (np.diff(late) <= 0.03 * late[:-1]).all()
    assert (steps <= 50).sum() >= 48


def test_padding_and_values(run, problems):
    record = run.trajectory
    padded = record.step == -1
    assert padded.any()
    assert not padded[..., 0].any()
    assert (np.diff(padded.astype(int), axis=-1) >= 0).all()  # only at the end
    for values in (record.loss, record.r, record.l1, record.x[..., 0]):
        np.testing.assert_array_equal(np.isnan(values), padded)
    residual = np.einsum("tmn,tckn->tckm", problems.A, record.x) - problems.b[:, None, None]
    np.testing.assert_allclose(record.loss, (residual**2).sum(-1) / 4, rtol=1e-6, atol=1e-25)
    np.testing.assert_allclose(record.l1, np.abs(record.x).sum(-1), rtol=1e-13)
    np.testing.assert_allclose(record.r, np.sqrt(record.x.sum(-1)), rtol=1e-13)  # depth 2: r^2 = ||X||_1
    for index in np.ndindex(2, 3):
        end, last = run[index], run[index].trajectory
        np.testing.assert_allclose(last.x[-1], end.x, rtol=1e-13)
        np.testing.assert_allclose([last.loss[-1], last.r[-1]], [end.loss, end.theta.r], rtol=1e-6)
