"""Networks: signals, gradients against autodiff and differences, starts."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jax, jnp
from polarbias.networks.base import clip_underflow

N = 5


def polar(theta):
    return theta.r[..., None] * theta.u / ((theta.u**2).sum(-1) ** 0.5)[..., None]


def difference(x, depth):
    return x[..., : x.shape[-1] // 2] ** depth - x[..., x.shape[-1] // 2 :] ** depth


def normalized(inner):
    return pb.WeightNormalization(inner, 0.3)


# Each network with its signal map, written out here once more.
NETWORKS = {
    "plain": (pb.HadamardPower, lambda t, L: t.x**L),
    "polar": (lambda L: normalized(pb.HadamardPower(L)), lambda t, L: polar(t) ** L),
    "difference": (pb.HadamardDifference, lambda t, L: t.plus.x**L - t.minus.x**L),
    "joint": (lambda L: normalized(pb.HadamardDifference(L)), lambda t, L: difference(polar(t), L)),
    "separate": (
        lambda L: pb.Difference(normalized(pb.HadamardPower(L))),
        lambda t, L: polar(t.plus) ** L - polar(t.minus) ** L,
    ),
}
ALL = pytest.mark.parametrize(("make", "signal"), NETWORKS.values(), ids=NETWORKS.keys())


def some_theta(network, batch=(), seed=0):
    """Parameters off the unit sphere: u has no special norm."""
    rng = np.random.default_rng(seed)
    halves = isinstance(getattr(network, "inner", network), pb.Difference)
    theta = network.init(1.3 * np.ones(batch), np.abs(rng.standard_normal((*batch, N * (1 + halves)))) + 0.2)
    return jax.tree.map(lambda leaf: np.asarray(leaf * rng.uniform(0.7, 1.4, leaf.shape)), theta)


def assert_trees_close(got, expected, rtol):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=1e-13)


@ALL
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_signal_and_factor(make, signal, depth):
    network = make(depth)
    theta = some_theta(network, (2, 3))
    expected = signal(theta, depth)
    np.testing.assert_allclose(network.signal(theta), expected, rtol=1e-14)
    factor = network.factor(theta)
    powers = factor**depth if factor.shape[-1] == N else difference(factor, depth)
    np.testing.assert_allclose(powers, expected, rtol=1e-13)
    np.testing.assert_allclose(network.radius(theta), np.linalg.norm(factor, axis=-1), rtol=1e-14)
    assert network.degree == depth


@ALL
def test_init_starts_every_network_at_one_factor(make, signal):
    del signal
    network = make(2)
    direction = np.arange(1.0, 1 + (2 * N if network.signed else N))
    unit = direction / np.linalg.norm(direction)
    for size in (1e-200, 1.0, 1e200):
        np.testing.assert_allclose(network.factor(network.init(2.5, size * direction)), 2.5 * unit, rtol=1e-14)
    grid = network.init(np.array([[1.0], [2.0]]), np.stack([direction] * 3))
    np.testing.assert_allclose(network.factor(grid)[1], 2 * np.stack([unit] * 3), rtol=1e-14)
    network.validate(grid)


@ALL
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_vector_field_against_autodiff_of_the_loss(make, signal, depth):
    network = make(depth)
    theta = some_theta(network)
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((3, N)), rng.standard_normal(3)

    def is_polar(node):
        return isinstance(node, pb.Polar)

    with jax.enable_x64(True):
        loss = jax.grad(lambda t: ((A @ signal(t, depth) - b) ** 2).sum() / (2 * depth))
        grad = jax.tree.map(np.asarray, loss(jax.tree.map(jnp.asarray, theta)))
    expected = jax.tree.map(
        lambda node: pb.Polar(-0.3 * node.r, -node.u) if is_polar(node) else -node, grad, is_leaf=is_polar
    )
    got = pb.vector_field(pb.LinearProblem(A, b), network, theta)
    assert {(type(leaf), leaf.dtype) for leaf in jax.tree.leaves(got)} == {(np.ndarray, np.dtype(np.float64))}
    assert_trees_close(got, expected, 1e-11)


def test_vector_field_of_a_batch_of_problems_and_starts():
    rng = np.random.default_rng(6)
    problem = pb.LinearProblem(rng.standard_normal((2, 3, N)), rng.standard_normal((2, 3)))
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.5, 2.0])
    theta = some_theta(network, (2, 3))
    together = pb.vector_field(problem, network, theta)
    for t, c in np.ndindex(2, 3):
        one = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.5, 2.0][c])
        alone = pb.vector_field(problem[t], one, pb.Polar(theta.r[t, c], theta.u[t, c]))
        assert_trees_close(pb.Polar(together.r[t, c], together.u[t, c]), alone, 1e-12)


@pytest.mark.parametrize(
    ("scale", "direction", "advice"),
    [
        (1.0, [1.0, 0.0], "positive entries only"),
        (1.0, [1.0, -1.0], "HadamardDifference"),
        (1.0, [1.0, np.nan], "NaN or infinity"),
        (1.0, [1.0, 1.0j], "real part"),
        (1.0, 3.0, "shape"),
        (1.0, np.ones((2, 0)), "shape"),
        ([], np.ones(3), "scale must be a positive number or an array of such numbers, got "),
        (True, np.ones(3), "scale must be a positive number or an array of such numbers, got True"),
        (0.0, np.ones(3), "scale must be positive, got 0"),
        ([1.0, -1.0], np.ones(3), "scale must be positive, got -1"),
        ([1.0, 2.0], np.ones((3, 4)), r"scale of shape \(2,\) does not broadcast .* \(3,\)"),
    ],
)
def test_init_refuses(scale, direction, advice):
    for network in (pb.HadamardPower(2), normalized(pb.HadamardPower(2))):
        with pytest.raises(pb.InvalidInput, match=advice):
            network.init(scale, direction)


def test_starts_are_in_double_precision():
    for network in (pb.HadamardPower(2), normalized(pb.HadamardPower(2))):
        leaves = network.init(np.float32(1), np.ones(5, np.float32))
        assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float64)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_underflow_raises_positive_entries_only(dtype):
    bound = float(np.finfo(dtype).tiny / np.finfo(dtype).eps)
    x = np.array([0.0, -1e-30, bound / 2, 2 * bound], dtype)
    np.testing.assert_array_equal(clip_underflow(x), np.array([0.0, -1e-30, bound, 2 * bound], dtype))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(clip_underflow(jnp.asarray(x)), clip_underflow(x))


def test_defaults_of_a_network_of_ones_own():
    pytest.importorskip("jax")

    class Squares(pb.Network):
        def signal(self, theta):
            return theta["w"] ** 2

    network, theta = Squares(), {"w": np.array([1.0, 2.0])}
    np.testing.assert_allclose(network.pullback(theta, np.ones(2))["w"], [2.0, 4.0])
    assert network.of_runs(np.asarray) is network
    assert (network.degree, network.rates(theta), network.collapses()) == (1, 1.0, False)
    assert np.isnan(network.radius(theta))
    with pytest.raises(pb.InvalidInput, match="no array"):
        network.validate({})
