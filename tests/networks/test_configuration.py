"""Configurations: network and start from names and numbers."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.errors import InvalidInput
from polarbias.networks.configuration import ALGORITHMS, Configuration, start_direction


@pytest.mark.parametrize(
    ("options", "network"),
    [
        ({"algorithm": "plain", "depth": 3}, pb.HadamardPower(3)),
        ({"algorithm": "plain", "signed": True}, pb.HadamardDifference(2)),
        ({"ratio": 0.5}, pb.WeightNormalization(pb.HadamardPower(2), 0.5)),
        ({"law": "power:3", "signed": True}, pb.WeightNormalization(pb.HadamardDifference(2), pb.PowerRatio(0.1, 3))),
        ({"algorithm": "wn-renormalized"}, pb.WeightNormalization(pb.HadamardPower(2), 0.1, renormalize=True)),
        (
            {"algorithm": "wn-separate", "signed": True, "law": "harmonic"},
            pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), pb.HarmonicRatio(0.1))),
        ),
    ],
)
def test_network_of_a_configuration(options, network):
    assert repr(Configuration(**options).network()) == repr(network)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_all_algorithms_start_at_one_signal(algorithm):
    configuration = Configuration(algorithm=algorithm, signed=True, scale=3.0, seed=4)
    factor = 3.0 * start_direction("gaussian", 10, seed=4)
    expected = factor[:5] ** 2 - factor[5:] ** 2
    np.testing.assert_allclose(configuration.network().signal(configuration.theta0(5)), expected, rtol=1e-14)


def test_scales_ratios_and_directions_broadcast():
    u0 = np.stack([start_direction("uniform", 4, 0), start_direction("gaussian", 4, 0, trial=2)])
    configuration = Configuration(ratio=np.array([0.1, 0.2]), scale=np.array([1.0, 2.0]), direction=u0)
    theta0 = configuration.theta0(4)
    np.testing.assert_array_equal(theta0.r, [1, 2])
    np.testing.assert_allclose(theta0.u, [[0.5] * 4, pb.folded_gaussian_direction(0, 4, trial=2)])
    np.testing.assert_array_equal(configuration.network().ratio.f(1.0), [0.1, 0.2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "adam"}, "algorithm must be one of plain, wn"),
        ({"algorithm": "wn-separate"}, "'wn-separate' needs signed signals"),
        ({"law": "cubic"}, "law must be"),
        ({"direction": "sparse"}, "direction must be one of gaussian, uniform"),
    ],
)
def test_errors_name_the_choices(options, message):
    with pytest.raises(InvalidInput, match=message):
        Configuration(**options).theta0(3)
