"""Networks: signals, gradients against autodiff and differences, starts."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jax, jnp
from polarbias.networks.base import clip_underflow

N = 5
DEPTHS = [1, 2, 3, 4]


def polar(theta):
    return theta.r[..., None] * theta.u / ((theta.u**2).sum(-1) ** 0.5)[..., None]


def difference(x, depth):
    return x[..., : x.shape[-1] // 2] ** depth - x[..., x.shape[-1] // 2 :] ** depth


# Each network with its signal map, written out here once more.
NETWORKS = {
    "plain": (lambda L: pb.HadamardPower(L), lambda t, L: t.x**L),
    "polar": (lambda L: pb.WeightNormalization(pb.HadamardPower(L), 0.3), lambda t, L: polar(t) ** L),
    "difference": (lambda L: pb.HadamardDifference(L), lambda t, L: t.plus.x**L - t.minus.x**L),
    "joint": (
        lambda L: pb.WeightNormalization(pb.HadamardDifference(L), 0.3),
        lambda t, L: difference(polar(t), L),
    ),
    "separate": (
        lambda L: pb.Difference(pb.WeightNormalization(pb.HadamardPower(L), 0.3)),
        lambda t, L: polar(t.plus) ** L - polar(t.minus) ** L,
    ),
}
ALL = pytest.mark.parametrize(("make", "signal"), NETWORKS.values(), ids=NETWORKS.keys())
each_depth = pytest.mark.parametrize("depth", DEPTHS)


def some_theta(network, batch=(), seed=0):
    """Parameters off the unit sphere: u has no special norm."""
    rng = np.random.default_rng(seed)
    length = 2 * N if network.signed and not isinstance(network, pb.HadamardPower) and not plain_inside(network) else N
    theta = network.init(1.3 * np.ones(batch), np.abs(rng.standard_normal((*batch, length))) + 0.2)
    return jax.tree.map(lambda leaf: np.asarray(leaf * rng.uniform(0.7, 1.4, leaf.shape)), theta)


def plain_inside(network):
    return isinstance(network, pb.WeightNormalization) and isinstance(network.inner, pb.HadamardPower)


@ALL
@each_depth
def test_signal_and_factor(make, signal, depth):
    network = make(depth)
    theta = some_theta(network, (2, 3))
    expected = signal(theta, depth)
    assert expected.shape == (2, 3, N)
    np.testing.assert_allclose(network.signal(theta), expected, rtol=1e-14)
    factor = network.factor(theta)
    powers = factor**depth if factor.shape[-1] == N else difference(factor, depth)
    np.testing.assert_allclose(powers, expected, rtol=1e-13)
    np.testing.assert_allclose(network.radius(theta), np.linalg.norm(factor, axis=-1), rtol=1e-14)
    assert network.degree == depth


@ALL
@each_depth
def test_pullback_is_the_gradient_of_a_random_linear_functional(make, signal, depth):
    network = make(depth)
    theta = some_theta(network, (2,))
    weights = np.random.default_rng(1).standard_normal((2, N))
    with jax.enable_x64(True):
        expected = jax.grad(lambda t: (jnp.asarray(weights) * signal(t, depth)).sum())(jax.tree.map(jnp.asarray, theta))
    got = network.pullback(theta, weights)
    assert jax.tree.structure(got) == jax.tree.structure(theta)
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


@ALL
def test_pullback_against_central_differences(make, signal):
    network = make(3)
    theta = some_theta(network)
    weights = np.random.default_rng(1).standard_normal(N)
    leaves, structure = jax.tree.flatten(theta)
    h = 1e-5
    for k, (leaf, gradient) in enumerate(zip(leaves, jax.tree.leaves(network.pullback(theta, weights)), strict=True)):
        for index in np.ndindex(leaf.shape):
            values = []
            for sign in (1, -1):
                moved = leaf.copy()
                moved[index] += sign * h
                shifted = jax.tree.unflatten(structure, [*leaves[:k], moved, *leaves[k + 1 :]])
                values.append(weights @ signal(shifted, 3))
            np.testing.assert_allclose(gradient[index], (values[0] - values[1]) / (2 * h), rtol=1e-6, atol=1e-8)


@ALL
def test_init_starts_every_network_at_one_factor(make, signal):
    del signal
    network = make(2)
    length = 2 * N if network.signed else N
    direction = np.arange(1.0, length + 1)
    theta = network.init(2.5, direction)
    np.testing.assert_allclose(network.factor(theta), 2.5 * direction / np.linalg.norm(direction), rtol=1e-14)
    many = network.init([1.0, 2.0, 3.0], direction)
    np.testing.assert_allclose(network.radius(many), [1.0, 2.0, 3.0], rtol=1e-14)
    grid = network.init(np.ones((2, 1)), np.ones((3, length)))
    assert network.factor(grid).shape == (2, 3, length)
    network.validate(grid)


@ALL
@each_depth
def test_vector_field_against_autodiff_of_the_loss(make, signal, depth):
    network = make(depth)
    theta = some_theta(network)
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((3, N)), rng.standard_normal(3)

    def loss(t):
        return ((A @ signal(t, depth) - b) ** 2).sum() / (2 * depth)

    with jax.enable_x64(True):
        grad = jax.grad(loss)(jax.tree.map(jnp.asarray, theta))

    def rated(node):
        return pb.Polar(-0.3 * node.r, -node.u) if isinstance(node, pb.Polar) else jax.tree.map(jnp.negative, node)

    with jax.enable_x64(True):
        expected = jax.tree.map(rated, grad, is_leaf=lambda node: isinstance(node, pb.Polar))
    got = pb.vector_field(pb.LinearProblem(A, b), network, theta)
    assert jax.tree.structure(got) == jax.tree.structure(theta)
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert isinstance(mine, np.ndarray)
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def test_vector_field_of_a_batch_of_problems_and_starts():
    rng = np.random.default_rng(6)
    problem = pb.LinearProblem(rng.standard_normal((2, 3, N)), rng.standard_normal((2, 3)))
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.5, 2.0])
    theta = some_theta(network, (2, 3))
    together = pb.vector_field(problem, network, theta)
    for t in range(2):
        for c, ratio in enumerate([0.1, 0.5, 2.0]):
            alone = pb.vector_field(
                problem[t],
                pb.WeightNormalization(pb.HadamardPower(2), ratio),
                pb.Polar(theta.r[t, c], theta.u[t, c]),
            )
            np.testing.assert_allclose(together.r[t, c], alone.r, rtol=1e-12)
            np.testing.assert_allclose(together.u[t, c], alone.u, rtol=1e-12, atol=1e-14)


BAD_DIRECTION = [
    ([1.0, 0.0], "positive entries only"),
    ([1.0, -1.0], "HadamardDifference"),
    ([1.0, np.nan], "NaN or infinity"),
    ([1.0, np.inf], "NaN or infinity"),
    ([1.0, 1.0j], "real part"),
    (3.0, "shape"),
    (np.ones((2, 0)), "shape"),
]


@pytest.mark.parametrize(("direction", "advice"), BAD_DIRECTION)
@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "polar"])
def test_init_refuses_directions(direction, advice, wrap):
    network = pb.HadamardPower(2)
    network = pb.WeightNormalization(network, 0.3) if wrap else network
    with pytest.raises(pb.InvalidInput, match=advice):
        network.init(1.0, direction)


@pytest.mark.parametrize("scale", [0.0, -1.0, [1.0, 0.0]])
def test_init_refuses_scales_that_are_not_positive(scale):
    with pytest.raises(pb.InvalidInput, match=r"scale must be positive, got -?[01]"):
        pb.HadamardPower(2).init(scale, np.ones(3))


def test_init_refuses_shapes_that_do_not_broadcast():
    with pytest.raises(pb.InvalidInput, match=r"scale of shape \(2,\) does not broadcast .* \(3,\)"):
        pb.HadamardPower(2).init([1.0, 2.0], np.ones((3, 4)))
    with pytest.raises(pb.InvalidInput, match=r"2 N entries .* got 5, an odd number"):
        pb.HadamardDifference(2).init(1.0, np.ones(5))


def test_start_of_extreme_size_keeps_its_direction():
    direction = np.array([3.0, 4.0])
    for size in (1e-200, 1e200):
        for network in (pb.HadamardPower(2), pb.WeightNormalization(pb.HadamardPower(2), 0.1)):
            np.testing.assert_allclose(network.factor(network.init(1.0, size * direction)), [0.6, 0.8], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_underflow_raises_positive_entries_only(dtype):
    bound = float(np.finfo(dtype).tiny / np.finfo(dtype).eps)
    x = np.array([0.0, -1e-30, bound / 2, 2 * bound], dtype)
    np.testing.assert_array_equal(clip_underflow(x), np.array([0.0, -1e-30, bound, 2 * bound], dtype))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(clip_underflow(jnp.asarray(x)), clip_underflow(x))


class Squares(pb.Network):
    def signal(self, theta):
        return theta["w"] ** 2


def test_defaults_of_a_network_of_ones_own():
    network, theta = Squares(), {"w": np.array([1.0, 2.0])}
    np.testing.assert_allclose(network.pullback(theta, np.ones(2))["w"], [2.0, 4.0])
    assert network.of_runs(np.asarray) is network
    assert (network.degree, network.rates(theta), network.collapses()) == (1, 1.0, False)
    assert np.isnan(network.radius(theta))
    with pytest.raises(pb.InvalidInput, match="no array"):
        network.validate({})


def test_objects_print_as_the_calls_that_make_them():
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2])
    assert repr(network) == (
        "WeightNormalization(inner=HadamardPower(depth=2), ratio=ConstantRatio(eta=[0.1, 0.2]), "
        "direction_rate=1.0, renormalize=False)"
    )
