"""Weight normalization: polar coordinates, rates, refused parameters."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.networks.weight_normalization import WeightNormalization


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0.0}, "ratio must be a positive number, an array of them, or a RatioLaw"),
        ({"ratio": "fast"}, "ratio must be a positive number, an array of them, or a RatioLaw"),
        ({"ratio": True}, "ratio must be a positive number, an array of them, or a RatioLaw"),
        ({"direction_rate": True}, "direction_rate must be a positive number or an array of such numbers, got True"),
        ({"direction_rate": 0.0}, "direction_rate must be positive, got 0"),
        ({"direction_rate": [1.0, -1.0]}, "direction_rate must be positive, got -1"),
        ({"inner": WeightNormalization(pb.HadamardPower(2), 0.1)}, "inner must be a plain network with a factor"),
        ({"inner": pb.HadamardPower}, "inner must be a plain network with a factor such as HadamardPower"),
        ({"renormalize": 1}, "renormalize must be True or False"),
    ],
)
def test_refused_arguments(options, message):
    with pytest.raises(pb.InvalidInput, match=message):
        WeightNormalization(**{"inner": pb.HadamardPower(2), "ratio": 0.1} | options)


@pytest.mark.parametrize("length", [0.0, -1.0, np.nan, np.ones(3), True])
def test_init_refuses_direction_norms(length):
    message = r"direction_norm (must be (positive, got|a positive number)|holds NaN|of shape \(3,\) does not broadcast)"
    with pytest.raises(pb.InvalidInput, match=message):
        pb.WeightNormalization(pb.HadamardPower(2), 0.1).init(np.ones(2), np.ones(3), direction_norm=length)


def test_depth_one_passes_zero_radius():
    """The flow of A = [1, 0], b = -1 turns r negative; the law, odd in r, then has to be that of |r|."""
    network = pb.WeightNormalization(pb.HadamardPower(1), pb.PowerRatio(1.0, 3))
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    theta = pb.Polar(np.array(-0.7), np.array([0.6, 0.8]))
    assert network.rates(theta).r == network.ratio.f(0.7)
    assert network.radius(theta) == 0.7
    pytest.importorskip("jax")
    first = pb.gradient_descent(problem, network, theta, tol=1e-6, max_steps=5000)
    assert first.theta.r < 0
    assert pb.gradient_descent(problem, network, first.theta, tol=1e-20).converged


def test_gradients_given_the_inner_product():
    """Euler's theorem, at depth 2 and above."""
    rng = np.random.default_rng(0)
    for depth in (1, 2, 3):
        network = WeightNormalization(pb.HadamardPower(depth), 0.3)
        theta, cotangent = pb.Polar(np.array(1.3), rng.random(5)), rng.standard_normal(5)
        given = network.pullback_given(theta, cotangent, (network.signal(theta) * cotangent).sum())
        direct = network.pullback(theta, cotangent)
        np.testing.assert_allclose(given.r, direct.r, rtol=1e-12)
        np.testing.assert_allclose(given.u, direct.u, rtol=1e-12, atol=1e-14)


def test_steps_are_retracted():
    network = WeightNormalization(pb.HadamardPower(2), 0.3, renormalize=True)
    before, after = pb.Polar(np.array(1.0), np.array([0.6, 0.8])), pb.Polar(np.array(1.0), np.array([3.0, 4.0]))
    np.testing.assert_allclose(network.retract(after, before).u, [0.6, 0.8])
    assert network.admissible(after)
    assert not network.admissible(pb.Polar(np.array(-1.0), after.u))
    assert network.collapses()
    assert not WeightNormalization(pb.HadamardPower(1), 0.3).collapses()


def test_networks_of_a_part_of_a_batch():
    network = WeightNormalization(pb.HadamardPower(2), [0.1, 0.2], direction_rate=3.0)
    part = network.of_runs(lambda values: np.broadcast_to(values, 2)[1:])
    assert repr(part) == repr(WeightNormalization(pb.HadamardPower(2), [0.2], direction_rate=[3.0]))


ones = np.ones(3)


@pytest.mark.parametrize(
    ("depth", "theta", "advice"),
    [
        (2, pb.Factor(ones), r"must be Polar\(r, u\), got Factor"),
        (2, pb.Polar(0.0, ones), "r must be positive at depth 2, got 0"),
        (2, pb.Polar(-1.0, ones), "r must be positive at depth 2, got -1"),
        (2, pb.Polar(np.ones(2), ones), r"r must have shape \(\)"),
        (2, pb.Polar(1.0, -ones), "positive entries only"),
        (1, pb.Polar(0.0, ones), "r must be nonzero at depth 1, got 0"),
    ],
)
def test_refused_parameters(depth, theta, advice):
    with pytest.raises(pb.InvalidInput, match=advice):
        WeightNormalization(pb.HadamardPower(depth), 0.1).validate(theta)
