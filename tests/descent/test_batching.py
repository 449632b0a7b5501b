"""Batches: runs that share slots, follow each other and continue in fewer slots equal runs on their own."""

import logging
from dataclasses import replace
from operator import attrgetter

import jax
import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import compiled_loop, gradient_descent
from polarbias.descent.batching import assign_runs
from polarbias.descent.options import OPTIONS

N = 20
FEW_SIZES = replace(OPTIONS.cpu, sizes=(4, 10, 20))  # each costs a compilation
RATIOS = np.array([0.05, 0.3, 2.0])
NETWORKS = {
    "polar": lambda ratio: pb.WeightNormalization(pb.HadamardPower(2), ratio, direction_rate=np.sqrt(ratio)),
    "joint_harmonic": lambda ratio: pb.WeightNormalization(pb.HadamardDifference(3), pb.HarmonicRatio(ratio)),
    "separate": lambda ratio: pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), ratio)),
}


@pytest.fixture
def set_options(monkeypatch):
    """Return a function that replaces tuning constants; those of `DeviceShape` apply to the CPU."""

    def set_options(shape=OPTIONS.cpu, work=OPTIONS.cpu.work, **options):
        monkeypatch.setattr(gradient_descent, "OPTIONS", replace(OPTIONS, cpu=replace(shape, work=work), **options))

    return set_options


def starts(*shape):
    return np.abs(np.random.default_rng(4).standard_normal((*shape, N))) + 0.05


def take(theta, index):
    return jax.tree.map(lambda leaf: leaf[index], theta)


def assert_equal_runs(found, expected):
    """Check all that two single runs return to rounding."""
    assert found.steps == expected.steps
    assert found.status == expected.status
    np.testing.assert_array_equal(found.trajectory.step, expected.trajectory.step)
    for name in ("x", "loss", "theta", "trajectory.loss", "trajectory.r", "trajectory.l1"):
        leaves = (jax.tree.leaves(attrgetter(name)(run)) for run in (found, expected))
        for one, other in zip(*leaves, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_alone_and_in_a_batch(problems, name):
    network = NETWORKS[name](RATIOS)
    theta = network.init([0.3, 1.0, 2.0], np.tile(starts(2, 3), 2 if network.signed else 1))
    dts = np.array([[0.005], [0.002]])
    options = {"max_steps": 500, "tol": 0.0}
    together = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), **options)
    assert (together.steps == 500).all()
    for t, c in [(0, 0), (1, 1), (0, 2), (1, 2)]:
        start = take(theta, (t, c))
        alone = pb.gradient_descent(problems[t], NETWORKS[name](RATIOS[c]), start, step=dts[t, 0], **options)
        assert alone.batch_shape == ()
        assert_equal_runs(together[t, c], alone)


def test_equal_searches_give_equal_bits_and_about_the_result_of_each_run_alone(problems):
    """With runs alone only the error that the figures show is compared, because searches branch on rounding."""
    theta = NETWORKS["polar"](RATIOS).init([0.3, 1.0, 2.0], starts(2, 3))
    together, again = (
        pb.gradient_descent(problems, NETWORKS["polar"](RATIOS), theta, callback=callback)
        for callback in (None, lambda state: False)
    )
    np.testing.assert_array_equal(together.x, again.x)
    np.testing.assert_array_equal(together.stats["trials"], again.stats["trials"])
    np.testing.assert_array_equal(together.trajectory.loss, again.trajectory.loss)
    assert together.converged.all()
    for t, c in [(0, 1), (1, 1), (1, 2)]:
        minimum = pb.minimal_l1(problems[t], nonnegative=True).value
        alone = pb.gradient_descent(problems[t], NETWORKS["polar"](RATIOS[c]), take(theta, (t, c)))
        errors = [np.abs(run).sum() - minimum for run in (together.x[t, c], alone.x)]
        assert errors[1] > 1e-3  # far above the loss at the end, or the comparison is void
        np.testing.assert_allclose(errors[0], errors[1], rtol=1e-3)


def test_every_run_belongs_to_one_worker():
    for shape in (OPTIONS.cpu, OPTIONS.gpu):
        for problems, each in ((1, 1), (1, 400), (3, 25), (10, 1)):
            workers = assign_runs(shape, problems, problems * each)
            assert sorted(run for _, runs in workers for run in runs) == list(range(problems * each))
            assert all((runs // each == problem).all() for problem, runs in workers)
    assert len(assign_runs(OPTIONS.cpu, 1, 34)) == 2
    assert len(assign_runs(OPTIONS.cpu, 1, 400)) == OPTIONS.cpu.workers


@pytest.mark.parametrize("calls", [0, 10**6])
def test_runs_of_many_lengths_that_follow_each_other(problems, set_options, caplog, calls):
    """More runs than slots, each with its own ratio, scale and step, some of which end soon."""
    set_options(FEW_SIZES, work=1e8, calls_before_shrinking=calls)
    problem, count, steps = problems[0], 70, 3000
    rng = np.random.default_rng(6)
    r0, eta, dt = (10 ** rng.uniform(low, high, count) for low, high in ((-0.5, 0.3), (-1, 0), (-3, -2)))
    dt[::7] = 1e3  # unstable at once
    network = NETWORKS["polar"](eta)
    theta = network.init(r0, starts(count))
    with caplog.at_level(logging.DEBUG, logger="polarbias.descent.batching"):
        run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dt), max_steps=steps, tol=1e-3)
    assert ("shrinks to" in caplog.text) == (calls == 0)
    assert set(run.status[::7]) == {pb.Status.UNSTABLE}
    others = np.delete(np.arange(count), np.s_[::7])
    assert len(set(run.steps[others])) > 5
    assert {pb.Status.CONVERGED, pb.Status.MAX_STEPS} == set(run.status[others])
    for item in map(int, others[::6]):
        alone = pb.gradient_descent(
            problem, NETWORKS["polar"](eta[item]), take(theta, item), step=dt[item], max_steps=steps, tol=1e-3
        )
        assert_equal_runs(run[item], alone)


def test_most_slots_work_until_the_last_runs(problems, set_options, monkeypatch, caplog):
    """The counts change with the refill share and the turns of a call."""
    set_options(replace(OPTIONS.cpu, sizes=(1, 2, 5, 10, 20)), work=3e8, calls_before_shrinking=0)
    calls, advance, count = [], compiled_loop.advance, 120
    monkeypatch.setattr(compiled_loop, "advance", lambda *given: calls.append(len(given[3].loss)) or advance(*given))
    # Step sizes decide how long runs last: some take thirty times as many steps as the others.
    dt = np.where(np.arange(count) % 10 == 0, 3e-4, 1e-2)
    theta = pb.HadamardPower(2).init(1.0, starts(count))
    with caplog.at_level(logging.DEBUG, logger="polarbias.descent.executor"):
        run = pb.gradient_descent(problems[0], pb.HadamardPower(2), theta, step=pb.ConstantStep(dt), tol=1e-3)
    assert run.steps.max() > 10 * np.median(run.steps)
    ends = [record.args for record in caplog.records if "turns of its slots" in record.msg]
    assert len(ends) == -(-count // OPTIONS.cpu.slots)
    trials, capacity = sum(args[1] for args in ends), sum(args[2] for args in ends)
    assert trials == run.stats["trials"].sum()
    assert trials >= 0.8 * capacity
    assert (len(calls), sum(calls)) == (449, 2013)


def test_an_interruption_returns_waiting_runs_at_their_starts(problems, set_options):
    set_options(work=1e7)
    network, options = pb.HadamardPower(2), {"step": 1e-9, "max_steps": 10**6, "tol": 0}
    theta = network.init(1.0, starts(400))
    run = pb.gradient_descent(problems[0], network, theta, callback=lambda state: True, **options)
    assert (run.status == pb.Status.INTERRUPTED).all()
    waited = run.steps == 0
    assert 0 < waited.sum() < 400
    np.testing.assert_array_equal(run.theta.x[waited], theta.x[waited])
    assert (run.trajectory.step[waited, 0] == 0).all()


def test_workers_of_a_gpus_shape_give_the_same_results(problems, set_options):
    """Their products have another size, so rounding differs; the test needs no GPU."""
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.1, 1, 100))
    theta = network.init(np.geomspace(0.3, 1.5, 100), starts(100))
    runs = []
    for shape, work in ((replace(OPTIONS.cpu, sizes=(20,)), 1e10), (replace(OPTIONS.gpu, sizes=(64,)), 1e11)):
        set_options(shape, work=work)
        runs.append(pb.gradient_descent(problems[0], network, theta, step=0.01, max_steps=1500, tol=1e-3))
    expected, found = runs
    assert len(set(expected.steps)) > 10
    np.testing.assert_array_equal(found.steps, expected.steps)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.trajectory.loss, expected.trajectory.loss, rtol=1e-10)
