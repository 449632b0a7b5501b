"""Batches: runs that share slots, follow each other and continue in fewer slots equal runs on their own."""

import logging
from dataclasses import replace

import jax
import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import compiled_loop, gradient_descent
from polarbias.descent.batching import assign_runs
from polarbias.descent.options import OPTIONS

M, N = 6, 20
FEW_SIZES = replace(OPTIONS.cpu, sizes=(4, 10, 20))  # each costs a compilation
RATIOS = np.array([0.05, 0.3, 2.0])
# Wide enough that products with one and with several runs take different code paths.
NETWORKS = {
    "polar": lambda ratio: pb.WeightNormalization(pb.HadamardPower(2), ratio, direction_rate=np.sqrt(ratio)),
    "joint_harmonic": lambda ratio: pb.WeightNormalization(pb.HadamardDifference(3), pb.HarmonicRatio(ratio)),
    "separate": lambda ratio: pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), ratio)),
}


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((2, M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, np.abs(rng.standard_normal((2, N)))))


@pytest.fixture
def set_options(monkeypatch):
    """Return a function that replaces tuning constants; those of `DeviceShape` apply to the CPU."""

    def set_options(shape=OPTIONS.cpu, work=OPTIONS.cpu.work, **options):
        monkeypatch.setattr(gradient_descent, "OPTIONS", replace(OPTIONS, cpu=replace(shape, work=work), **options))

    return set_options


def starts(*shape):
    return np.abs(np.random.default_rng(4).standard_normal((*shape, N))) + 0.05


def euler(problem, r, u, eta, dt, steps):
    """Descent of one run at depth 2 by the paper's formulas; plain without r and eta."""
    if r is None:
        for _ in range(steps):
            u = u - dt * u * (problem.A.T @ (problem.A @ u**2 - problem.b))
        return u**2
    u = u / np.linalg.norm(u)
    for _ in range(steps):
        length = np.linalg.norm(u)
        x = r * u / length
        gradient = x * (problem.A.T @ (problem.A @ x**2 - problem.b))
        radial = u @ gradient / length
        r, u = r - dt * eta * radial, u - dt * (r / length) * (gradient - u * radial / length)
    return (r * u / np.linalg.norm(u)) ** 2


def take(theta, index):
    return jax.tree.map(lambda leaf: leaf[index], theta)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_alone_and_in_a_batch(problems, name):
    network = NETWORKS[name](RATIOS)
    theta = network.init([0.3, 1.0, 2.0], np.tile(starts(2, 3), 2 if network.signed else 1))
    dts = np.array([[0.005], [0.002]])
    together = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), max_steps=500, tol=0.0)
    assert (together.steps == 500).all()
    for t, c in [(0, 0), (1, 1), (0, 2), (1, 2)]:
        alone = pb.gradient_descent(
            problems[t], NETWORKS[name](RATIOS[c]), take(theta, (t, c)), step=dts[t, 0], max_steps=500, tol=0.0
        )
        assert alone.batch_shape == ()
        np.testing.assert_allclose(together.x[t, c], alone.x, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(together.loss[t, c], alone.loss, rtol=1e-10)
        leaves = [jax.tree.leaves(tree) for tree in (take(together.theta, (t, c)), alone.theta)]
        for mine, theirs in zip(*leaves, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10)
        np.testing.assert_array_equal(together[t, c].trajectory.step, alone.trajectory.step)


def test_equal_searches_give_equal_bits_and_about_the_result_of_each_run_alone(problems):
    """A callback changes the times at which the compiled loop returns, not the results.

    Searches branch on rounding, so with runs alone only the error that the figures show is compared.
    """
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


def test_slow_runs_do_not_change_the_others(problems):
    network = NETWORKS["polar"](RATIOS[1])
    theta = network.init(1.0, starts(2, 3))
    dts = np.full((2, 3), 0.01)
    fast = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), max_steps=20_000, tol=1e-8)
    dts[0, 0] = 1e-5
    mixed = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), max_steps=20_000, tol=1e-8)
    assert mixed.steps[0, 0] == 20_000
    np.testing.assert_array_equal(mixed.steps.ravel()[1:], fast.steps.ravel()[1:])
    np.testing.assert_array_equal(mixed.x.reshape(6, N)[1:], fast.x.reshape(6, N)[1:])


def test_batch_axes_of_starts(problems):
    """The first axis is that of the problems; a swap of the problems swaps the results."""
    theta, network = pb.HadamardPower(2).init(1.0, starts(2, 3, 2)), pb.HadamardPower(2)
    options = {"step": 0.01, "max_steps": 100, "tol": 0.0}
    run = pb.gradient_descent(problems, network, theta, **options)
    assert run.batch_shape == (2, 3, 2)
    np.testing.assert_allclose(run.x[1, 2, 1], euler(problems[1], None, theta.x[1, 2, 1], None, 0.01, 100), rtol=1e-11)
    swapped = pb.stack([problems[1], problems[0]])
    swapped = pb.gradient_descent(swapped, network, pb.Factor(theta.x[::-1]), **options)
    np.testing.assert_array_equal(swapped.x[::-1], run.x)
    one = pb.gradient_descent(problems[1], network, pb.Factor(theta.x[1]), **options)
    np.testing.assert_array_equal(one.x, run.x[1])


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
    r0, eta, dt = 10 ** rng.uniform(-0.5, 0.3, count), 10 ** rng.uniform(-1, 0, count), 10 ** rng.uniform(-3, -2, count)
    dt[::7] = 1e3  # unstable at once
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta = network.init(r0, starts(count))
    with caplog.at_level(logging.DEBUG, logger="polarbias.descent.batching"):
        run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dt), max_steps=steps, tol=1e-3)
    assert ("shrinks to" in caplog.text) == (calls == 0)
    assert set(run.status[::7]) == {pb.Status.UNSTABLE}
    others = np.delete(np.arange(count), np.s_[::7])
    assert len(set(run.steps[others])) > 5
    assert {pb.Status.CONVERGED, pb.Status.MAX_STEPS} == set(run.status[others])
    for item in others[::6]:
        x = euler(problem, r0[item], theta.u[item], eta[item], dt[item], run.steps[item])
        np.testing.assert_allclose(run.x[item], x, rtol=1e-9, atol=1e-13)
        record = run[int(item)].trajectory
        assert record.step[0] == 0
        assert record.step[-1] == run.steps[item]
        assert (np.diff(record.step) > 0).all()
        halfway = int(record.step[len(record) // 2])
        x = euler(problem, r0[item], theta.u[item], eta[item], dt[item], halfway)
        np.testing.assert_allclose(record.l1[len(record) // 2], x.sum(), rtol=1e-9)


def test_most_slots_work_until_the_last_runs(problems, set_options, monkeypatch, caplog):
    """Fails if the refill share or the turns of a call change."""
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
    theta = pb.HadamardPower(2).init(1.0, starts(400))
    options = {"step": 1e-9, "max_steps": 10**6, "tol": 0, "callback": lambda state: True}
    run = pb.gradient_descent(problems[0], pb.HadamardPower(2), theta, **options)
    assert (run.status == pb.Status.INTERRUPTED).all()
    waited = run.steps == 0
    assert waited.any()
    assert not waited.all()
    np.testing.assert_array_equal(run.theta.x[waited], theta.x[waited])
    assert (run.trajectory.step[waited, 0] == 0).all()


def test_workers_of_a_gpus_shape_give_the_same_results(problems, set_options):
    """Their products have another size, so rounding differs; the test needs no GPU."""
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.1, 1, 600))
    theta = network.init(np.geomspace(0.3, 1.5, 600), starts(600))

    def run():
        return pb.gradient_descent(problems[0], network, theta, step=0.01, max_steps=1500, tol=1e-3)

    expected = run()
    set_options(OPTIONS.gpu, work=1e11)
    found = run()
    assert len(set(expected.steps)) > 10
    np.testing.assert_array_equal(found.steps, expected.steps)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.trajectory.loss, expected.trajectory.loss, rtol=1e-10)
