"""Batches: a run does the same alone and in company, and every axis goes where it belongs."""

import jax
import numpy as np
import pytest

import polarbias as pb

M, N = 6, 20
RATIOS = np.array([0.05, 0.3, 2.0])
# Wide enough that products with one and with several runs take different code paths.
NETWORKS = {
    "plain": lambda ratio: pb.HadamardPower(2),
    "polar": lambda ratio: pb.WeightNormalization(pb.HadamardPower(2), ratio),
    "joint_harmonic": lambda ratio: pb.WeightNormalization(pb.HadamardDifference(3), pb.HarmonicRatio(ratio)),
    "separate": lambda ratio: pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), ratio)),
}


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(2)
    A = rng.standard_normal((2, M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, np.abs(rng.standard_normal((2, N)))))


def directions(network):
    n = 2 * N if network.signed else N
    return np.abs(np.random.default_rng(4).standard_normal((2, 3, n))) + 0.05


def configuration_of(theta, index):
    return jax.tree.map(lambda leaf: leaf[index], theta)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chain_alone_and_in_a_batch_after_500_constant_steps(problems, name):
    network = NETWORKS[name](RATIOS)
    theta = network.init([0.3, 1.0, 2.0], directions(network))
    dts = np.array([[0.01, 0.005, 0.002], [0.004, 0.01, 0.001]])
    together = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), max_steps=500, tol=0.0)
    assert (together.steps == 500).all()
    for t, c in [(0, 0), (1, 1), (0, 2), (1, 2)]:
        alone = pb.gradient_descent(
            problems[t],
            NETWORKS[name](RATIOS[c]),
            configuration_of(theta, (t, c)),
            step=pb.ConstantStep(dts[t, c]),
            max_steps=500,
            tol=0.0,
        )
        assert alone.batch_shape == ()
        np.testing.assert_allclose(together.x[t, c], alone.x, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(together.loss[t, c], alone.loss, rtol=1e-10)
        for mine, theirs in zip(
            jax.tree.leaves(configuration_of(together.theta, (t, c))), jax.tree.leaves(alone.theta), strict=True
        ):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10)
        np.testing.assert_array_equal(together[t, c].trajectory.step, alone.trajectory.step)


def test_a_line_search_alone_and_in_a_batch(problems):
    """Searches branch on rounding, so only the error that the figures show is compared."""
    network = NETWORKS["polar"](RATIOS)
    theta = network.init([0.3, 1.0, 2.0], directions(network))
    together = pb.gradient_descent(problems, network, theta, max_steps=100_000, tol=1e-12)
    assert together.converged.all()
    for t, c in [(0, 1), (1, 1), (1, 2)]:
        minimum = pb.minimal_l1(problems[t]).value
        alone = pb.gradient_descent(
            problems[t], NETWORKS["polar"](RATIOS[c]), configuration_of(theta, (t, c)), max_steps=100_000, tol=1e-12
        )
        errors = [np.abs(run).sum() - minimum for run in (together.x[t, c], alone.x)]
        assert errors[1] > 1e-3  # far above the loss at the end, or the comparison says nothing
        np.testing.assert_allclose(errors[0], errors[1], rtol=1e-3)


def test_slow_company_does_not_change_a_chain(problems):
    """A run that ends early is frozen while the others go on."""
    network = NETWORKS["polar"](RATIOS[1])
    theta = network.init(1.0, directions(network))
    fast = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(0.01), max_steps=20_000, tol=1e-8)
    dts = np.full((2, 3), 0.01)
    dts[0, 0] = 1e-5
    mixed = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(dts), max_steps=20_000, tol=1e-8)
    assert mixed.steps[0, 0] == 20_000
    others = np.ones((2, 3), bool)
    others[0, 0] = False
    np.testing.assert_array_equal(mixed.steps[others], fast.steps[others])
    np.testing.assert_array_equal(mixed.x[others], fast.x[others])
    np.testing.assert_array_equal(mixed.theta.u[others], fast.theta.u[others])


def test_equal_calls_give_equal_bits(problems):
    """How often the compiled loop returns to Python depends on time; results do not."""
    network = NETWORKS["polar"](RATIOS)
    theta = network.init([0.3, 1.0, 2.0], directions(network))
    runs = [
        pb.gradient_descent(problems, network, theta, max_steps=100_000, tol=1e-12, callback=callback)
        for callback in (None, lambda state: False)
    ]
    np.testing.assert_array_equal(runs[0].x, runs[1].x)
    np.testing.assert_array_equal(runs[0].stats["trials"], runs[1].stats["trials"])
    np.testing.assert_array_equal(runs[0].trajectory.loss, runs[1].trajectory.loss)


def test_many_starts_on_one_problem(problems):
    batch, last = (3, 2), (2, 1)
    network = pb.HadamardPower(2)
    rng = np.random.default_rng(7)
    theta = network.init(1.0, np.abs(rng.standard_normal((*batch, N))) + 0.05)
    options = {"step": pb.ConstantStep(0.01), "max_steps": 100, "tol": 0.0}
    run = pb.gradient_descent(problems[0], network, theta, **options)
    assert run.batch_shape == batch
    x = theta.x[last]
    for _ in range(100):
        x = x - 0.01 * x * (problems.A[0].T @ (problems.A[0] @ x**2 - problems.b[0]))
    np.testing.assert_allclose(run.x[last], x**2, rtol=1e-11)


def test_one_start_per_problem(problems):
    """Batch axes of the problem alone: runs are not crossed with problems."""
    network = pb.HadamardPower(2)
    theta = network.init([0.5, 2.0], np.ones(N))
    run = pb.gradient_descent(problems, network, theta, step=pb.ConstantStep(0.01), max_steps=100, tol=0.0)
    assert run.batch_shape == (2,)
    for t in range(2):
        x = theta.x[t]
        for _ in range(100):
            x = x - 0.01 * x * (problems.A[t].T @ (problems.A[t] @ x**2 - problems.b[t]))
        np.testing.assert_allclose(run.x[t], x**2, rtol=1e-11)


def test_stacking_problems_is_running_each(problems):
    stacked = pb.stack([problems[1], problems[0]])
    network = pb.HadamardPower(2)
    theta = network.init(1.0, np.ones((2, 3, N)))
    options = {"step": pb.ConstantStep(0.01), "max_steps": 100, "tol": 0.0}
    swapped = pb.gradient_descent(stacked, network, theta, **options)
    straight = pb.gradient_descent(problems, network, theta, **options)
    np.testing.assert_array_equal(swapped.x[::-1], straight.x)
