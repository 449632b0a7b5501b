"""Workers: runs that share slots, follow each other, and go on with fewer slots, do what each does alone."""

import logging
from dataclasses import replace

import jax
import numpy as np
import pytest
from click.testing import CliRunner

import polarbias as pb
from polarbias.cli import main
from polarbias.descent import batching, device

M, N = 5, 12


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(11)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, A @ np.abs(rng.standard_normal(N)))


def starts(count):
    return np.abs(np.random.default_rng(5).standard_normal((count, N))) + 0.05


def euler(problem, r, u, eta, dt, steps):
    """The paper's descent of one run at depth 2, written out."""
    u = u / np.linalg.norm(u)
    for _ in range(steps):
        length = np.linalg.norm(u)
        x = r * u / length
        gradient = x * (problem.A.T @ (problem.A @ x**2 - problem.b))
        radial = u @ gradient / length
        r, u = r - dt * eta * radial, u - dt * (r / length) * (gradient - u * radial / length)
    return (r * u / np.linalg.norm(u)) ** 2


@pytest.mark.parametrize("lasting", [0, 10**6])
def test_chains_of_many_lengths_that_follow_each_other(problem, monkeypatch, caplog, lasting):
    """More runs than slots, each with a ratio, a scale and a step of its own, some of which end soon."""
    monkeypatch.setattr(batching, "LASTING", lasting)
    monkeypatch.setattr(device, "CPU", replace(device.CPU, work=1e8))
    count, steps = 70, 3000
    rng = np.random.default_rng(6)
    r0, eta, dt = 10 ** rng.uniform(-0.5, 0.3, count), 10 ** rng.uniform(-1, 0, count), 10 ** rng.uniform(-3, -2, count)
    dt[::7] = 1e3  # unstable at once
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta = network.init(r0, starts(count))
    with caplog.at_level(logging.DEBUG, logger="polarbias.descent.batching"):
        run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dt), max_steps=steps, tol=1e-3)
    assert ("goes on with" in caplog.text) == (lasting == 0)
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


def test_most_slots_work_until_the_last_chains(problem, monkeypatch, caplog):
    monkeypatch.setattr(batching, "LASTING", 0)
    monkeypatch.setattr(device, "CPU", replace(device.CPU, work=3e8))
    network = pb.HadamardPower(2)
    count = 120
    # Step sizes decide how long runs last: some take thirty times as many steps as the others.
    dt = np.where(np.arange(count) % 10 == 0, 3e-4, 1e-2)
    theta = network.init(1.0, starts(count))
    with caplog.at_level(logging.DEBUG, logger="polarbias.descent.executor"):
        run = pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(dt), max_steps=100_000, tol=1e-3)
    assert run.steps.max() > 10 * np.median(run.steps)
    ends = [record.args for record in caplog.records if "turns of its slots" in record.msg]
    assert len(ends) == min(device.CPU.workers, -(-count // device.CPU.slots))
    worked, offered = sum(args[1] for args in ends), sum(args[2] for args in ends)
    assert worked == run.stats["trials"].sum()
    assert worked >= 0.8 * offered


def test_problems_with_chains_of_their_own(problem):
    """Runs are numbered through the batch, and each belongs to its problem."""
    rng = np.random.default_rng(8)
    A = rng.standard_normal((3, M, N)) / np.sqrt(M)
    problems = pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, rng.random((3, N))))
    eta = np.array([[0.1], [0.3], [1.0]])
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    scale = np.geomspace(0.3, 1.5, 25)
    theta = network.init(np.tile(scale, (3, 1)), np.ones((3, 25, N)))
    run = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(1e-3), max_steps=300, tol=0)
    for t, c in [(0, 0), (1, 24), (2, 13)]:
        one = pb.LinearProblem(problems.A[t], problems.b[t])
        np.testing.assert_allclose(
            run.x[t, c], euler(one, scale[c], np.ones(N), eta[t, 0], 1e-3, 300), rtol=1e-10, atol=1e-14
        )


class Powers(pb.Network):
    """A user's network with a parameter for each item."""

    gain: np.ndarray

    def signal(self, theta):
        return self.gain[..., None] * theta**2

    def of_runs(self, select):
        return Powers(select(self.gain))


def test_a_network_of_ones_own_passes_on_what_belongs_to_a_chain(problem):
    gain = np.linspace(0.5, 1.5, 45)
    run = pb.gradient_descent(
        problem, Powers(gain), starts(45), step=pb.ConstantStep(1e-3), max_steps=50, tol=0, rtol=0
    )
    for item in (0, 21, 44):
        theta = starts(45)[item]
        for _ in range(50):
            residual = problem.A @ (gain[item] * theta**2) - problem.b
            theta = theta - 1e-3 * 2 * gain[item] * theta * (problem.A.T @ residual)
        np.testing.assert_allclose(run.theta[item], theta, rtol=1e-11)


def test_an_interruption_returns_chains_that_wait_as_they_were(problem, monkeypatch):
    monkeypatch.setattr(device, "CPU", replace(device.CPU, work=1e7))
    network = pb.HadamardPower(2)
    theta = network.init(1.0, starts(400))
    run = pb.gradient_descent(
        problem, network, theta, step=pb.ConstantStep(1e-9), max_steps=10**6, tol=0, callback=lambda state: True
    )
    assert (run.status == pb.Status.INTERRUPTED).all()
    waited = run.steps == 0
    assert waited.any()
    assert not waited.all()
    np.testing.assert_array_equal(run.theta.x[waited], theta.x[waited])
    assert (run.trajectory.step[waited, 0] == 0).all()


def test_sizes_keep_four_of_five_slots_at_work():
    for runs in range(1, device.CPU.slots + 1):
        size = device.CPU.size_for(runs)
        assert 0.8 * size <= runs <= size


def test_lanes_of_a_gpus_shape_do_the_same(problem, monkeypatch):
    """Their products are of another size, so rounding differs; no GPU is needed to try them."""
    network = pb.WeightNormalization(pb.HadamardPower(2), np.geomspace(0.1, 1, 600))
    theta = network.init(np.geomspace(0.3, 1.5, 600), starts(600))

    def run():
        return pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(0.01), max_steps=1500, tol=1e-3)

    wanted = run()
    monkeypatch.setattr(device, "CPU", replace(device.GPU, work=1e11))
    found = run()
    assert len(set(wanted.steps)) > 10
    np.testing.assert_array_equal(found.steps, wanted.steps)
    np.testing.assert_allclose(found.x, wanted.x, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.trajectory.loss, wanted.trajectory.loss, rtol=1e-10)


def test_a_device_that_is_missing_is_named(tmp_path):
    if jax.default_backend() != "cpu":
        pytest.skip("there is a GPU")
    command = ["reproduce", "--device", "gpu", "--out", str(tmp_path / "none")]
    outcome = CliRunner().invoke(main, command)
    assert outcome.exit_code != 0
    assert "JAX finds no GPU here" in str(outcome.exception) + outcome.output
    assert not (tmp_path / "none").exists()
    with pytest.raises(pb.InvalidInput, match="JAX finds no GPU here"), device.on("gpu"):
        pass
    with device.on("cpu"):
        assert device.processor().kind == "cpu"
        assert device.default_device().platform == "cpu"
