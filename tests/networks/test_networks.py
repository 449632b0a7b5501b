"""Networks: what their maps are, their gradients against autodiff and differences, and what they refuse."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jax, jnp

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


def test_each_separate_radius_is_the_norm_of_its_half():
    network = pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), 0.3))
    theta = network.init(np.sqrt(30.0), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose([theta.plus.r, theta.minus.r], [np.sqrt(5.0), 5.0], rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm([theta.plus.u, theta.minus.u], axis=-1), 1.0, rtol=1e-14)


def test_direction_norm_sets_the_norm_of_u_only():
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.3)
    one, three = (network.init(2.0, np.arange(1.0, 6.0), direction_norm=c) for c in (1.0, 3.0))
    np.testing.assert_allclose(three.u, 3 * one.u)
    assert three.r == one.r
    np.testing.assert_allclose(network.signal(three), network.signal(one))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_differences_move_like_powers_on_the_signed_problem(depth):
    rng = np.random.default_rng(4)
    problem = pb.LinearProblem(rng.standard_normal((3, N)), rng.standard_normal(3))
    x = np.abs(rng.standard_normal((2, 2 * N))) + 0.2
    doubled = pb.HadamardPower(depth)
    joint = pb.vector_field(problem, pb.HadamardDifference(depth), pb.HadamardDifference(depth).from_factor(x))
    plain = pb.vector_field(problem.signed(), doubled, pb.Factor(x))
    np.testing.assert_allclose(np.concatenate([joint.plus.x, joint.minus.x], -1), plain.x, rtol=1e-12)
    polar_joint = pb.WeightNormalization(pb.HadamardDifference(depth), 0.3)
    polar_plain = pb.WeightNormalization(doubled, 0.3)
    start = polar_joint.init(1.5, x)
    for mine, theirs in zip(
        pb.vector_field(problem, polar_joint, start), pb.vector_field(problem.signed(), polar_plain, start), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-14)


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


def test_depth_one_starts_may_have_any_sign():
    for network in (pb.HadamardPower(1), pb.WeightNormalization(pb.HadamardPower(1), 0.3)):
        theta = network.init(1.0, [3.0, -4.0])
        np.testing.assert_allclose(network.signal(theta), [0.6, -0.8])
        network.validate(theta)


def test_lists_and_integers_are_parameters_too():
    problem = pb.LinearProblem([[1, 2]], [1])
    field = pb.vector_field(problem, pb.HadamardPower(2), pb.Factor([1, 1]))
    assert field.x.dtype == np.float64
    np.testing.assert_array_equal(field.x, [-2.0, -4.0])
    polar_field = pb.vector_field(problem, pb.WeightNormalization(pb.HadamardPower(2), 1), pb.Polar(2, [3, 4]))
    assert polar_field.u.shape == (2,)
    assert polar_field.r.shape == ()


def test_numpy_integers_are_depths():
    assert pb.HadamardPower(np.int64(3)).degree == 3


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


@pytest.mark.parametrize("depth", [0, -1, 2.0, 2.5, True, "2", None])
def test_depth_is_an_integer_of_at_least_one(depth):
    for network in (pb.HadamardPower, pb.HadamardDifference):
        with pytest.raises(pb.InvalidInput, match="depth must be an integer of at least 1, got "):
            network(depth)


def test_depth_one_refuses_zero_entries():
    with pytest.raises(pb.InvalidInput, match="no zero entry"):
        pb.HadamardPower(1).init(1.0, [1.0, 0.0])


@pytest.mark.parametrize("ratio", [0.0, -0.1, np.nan, np.inf, [0.1, 0.0], 1j, "fast"])
def test_weight_normalization_refuses_ratios(ratio):
    with pytest.raises(pb.InvalidInput, match="ratio must be a positive number, an array of them, or a RatioLaw"):
        pb.WeightNormalization(pb.HadamardPower(2), ratio)


@pytest.mark.parametrize("rate", [0.0, -1.0, [1.0, -1.0]])
def test_weight_normalization_refuses_direction_rates(rate):
    with pytest.raises(pb.InvalidInput, match="direction_rate must be positive, got "):
        pb.WeightNormalization(pb.HadamardPower(2), 0.1, direction_rate=rate)


@pytest.mark.parametrize("length", [0.0, -1.0, np.nan, np.inf])
def test_init_refuses_direction_norms(length):
    with pytest.raises(pb.InvalidInput, match=r"direction_norm (must be positive, got|holds NaN or infinity)"):
        pb.WeightNormalization(pb.HadamardPower(2), 0.1).init(1.0, np.ones(3), direction_norm=length)


def test_wrapping_needs_a_network_with_a_factor():
    polar_network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    for inner in (polar_network, 2, pb.HadamardPower):
        with pytest.raises(pb.InvalidInput, match=r"inner must be a plain network with a factor such as HadamardPower"):
            pb.WeightNormalization(inner, 0.1)
    with pytest.raises(pb.InvalidInput, match=r"half must be a network with a factor such as HadamardPower"):
        pb.Difference("HadamardPower")


ones = np.ones(3)
BAD_THETA = [
    (pb.HadamardPower(2), ones, r"must be Factor\(x\), got ndarray"),
    (pb.HadamardPower(2), (ones,), r"must be Factor\(x\), got tuple"),
    (pb.HadamardPower(2), pb.Polar(1.0, ones), r"must be Factor\(x\), got Polar"),
    (pb.HadamardPower(2), None, "theta0 must be a dense array of real numbers, got NoneType"),
    (pb.HadamardPower(2), pb.Factor(None), "theta0 must be a dense array of real numbers, got NoneType"),
    (pb.HadamardPower(2), pb.Factor(-ones), "positive entries only"),
    (pb.HadamardPower(2), pb.Factor([1.0, 0.0, 1.0]), "positive entries only"),
    (pb.HadamardPower(1), pb.Factor([1.0, 0.0, 1.0]), "no zero entry"),
    (pb.HadamardPower(2), pb.Factor([1.0, np.nan, 1.0]), "theta0 holds NaN or infinity"),
    (pb.HadamardPower(2), pb.Factor(1j * ones), "theta0 must hold real numbers"),
    (pb.HadamardPower(2), pb.Factor([[1.0], [1.0, 2.0]]), "rectangular"),
    (pb.HadamardPower(2), pb.Factor(np.ones(4)), r"\(4,\).*3 unknowns"),
    (pb.HadamardPower(2), pb.Factor(2.0), "3 unknowns"),
    (pb.HadamardDifference(2), pb.Factor(ones), r"must be Pair\(plus, minus\), got Factor"),
    (pb.HadamardDifference(2), pb.Pair(ones, ones), r"must be Factor\(x\), got ndarray"),
    (pb.HadamardDifference(2), pb.Pair(pb.Factor(ones), pb.Factor(np.ones(4))), "one shape"),
    (pb.HadamardDifference(2), pb.HadamardDifference(2).init(1.0, np.ones(4)), "twice that length"),
    (pb.WeightNormalization(pb.HadamardPower(2), 0.1), pb.Factor(ones), r"must be Polar\(r, u\), got Factor"),
    (pb.WeightNormalization(pb.HadamardPower(2), 0.1), pb.Polar(0.0, ones), "r must be positive at depth 2, got 0"),
    (pb.WeightNormalization(pb.HadamardPower(2), 0.1), pb.Polar(-1.0, ones), "r must be positive at depth 2, got -1"),
    (pb.WeightNormalization(pb.HadamardPower(2), 0.1), pb.Polar([1.0, 1.0], ones), r"r must have shape \(\)"),
    (pb.WeightNormalization(pb.HadamardPower(2), 0.1), pb.Polar(1.0, -ones), "positive entries only"),
    (pb.WeightNormalization(pb.HadamardPower(1), 0.1), pb.Polar(0.0, ones), "r must be nonzero at depth 1, got 0"),
]


@pytest.mark.parametrize(("network", "theta", "advice"), BAD_THETA)
def test_bad_parameters_are_refused_by_every_road(network, theta, advice):
    problem = pb.LinearProblem(np.ones((1, 3)), [1.0])
    for road in (pb.vector_field, pb.gradient_descent, pb.ConstantStep.stable):
        with pytest.raises(pb.InvalidInput, match=advice):
            road(problem, network, theta)
