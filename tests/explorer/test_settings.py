"""Settings: the address of the page, wrong values, configurations."""

from dataclasses import fields, replace

import numpy as np
import pytest

import polarbias as pb
from polarbias.explorer.settings import Settings


def test_the_address_holds_the_values_that_differ_from_the_defaults():
    assert Settings().query() == {}
    changed = Settings(truth="signed", signed=True, r0=0.3162, law="power", power=-0.5, A="1 2 3; 4 5 7", seed=3)
    changed = replace(changed, b="1 2", u0="1 1 1")
    assert Settings.from_query(changed.query()) == (changed, [])
    assert all(Settings.from_query({field.name: "?"})[1] for field in fields(Settings))


def test_keys_keep_what_results_depend_on():
    settings = Settings(truth="signed", m=9, r0=2.0, depth=3, A="1 3", azimuth=3)
    assert settings.cache_key("limits") == Settings(truth="signed", m=9, r0=2.0, depth=3)
    assert settings.cache_key("map") == Settings(truth="signed", m=9, depth=3)
    assert settings.cache_key("problem") == Settings(truth="signed", m=9)
    assert settings.cache_key("plane") == Settings(r0=2.0, depth=3, A="1 3")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"m": "-5"}, "m must be an integer from 1 to 500, got '-5'; the default is used."),
        ({"m": "ten"}, "m must be an integer from 1 to 500, got 'ten'"),
        ({"r0": "nan"}, "r0 must be a number from 0.01 to 100, got 'nan'"),
        ({"truth": "<script>"}, "truth must be one of gaussian, sparse, signed"),
        ({"colour": "red"}, "'colour' is not a setting; the settings are truth, m"),
        ({"s": "200", "n": "100"}, "s = 200 nonzero entries do not fit into N = 100. All defaults are used."),
        ({"m": "500", "n": "5000"}, "M N = 2,500,000 is more than 500,000"),
        ({"A": "1 x"}, "A must be rows of numbers up to 1e6"),
        ({"A": "1 2; 3 4 5"}, "A must be rows of numbers up to 1e6"),
        ({"A": "1 2 3 4"}, "A must be 1 x 2, 1 x 3 or 2 x 3, got 1 x 4"),
        ({"b": "1; 2"}, "b must have 1 entries"),
        ({"A": "1 2 3; 2 4 6", "b": "1 2", "u0": "1 1 1"}, "independent rows"),
        ({"u0": "1 -1"}, "u0 must have 2 positive entries"),
    ],
)
def test_wrong_values_are_named_and_replaced(query, sentence):
    settings, [wrong] = Settings.from_query(query)
    assert settings == Settings()
    assert sentence in wrong


def test_configurations():
    settings = Settings(n=6, s=2, depth=3, law="power", power=1.5, ratio=0.3, r0=2.0, signed=True, u0="1 2", seed=4)
    network = pb.WeightNormalization(pb.HadamardDifference(3), pb.PowerRatio(0.3, 1.5))
    for configuration, direction in (
        (settings.configuration(), pb.folded_gaussian_direction(5, 12)),
        (settings.plane_configuration(), np.array([1.0, 2.0, 1.0, 2.0])),
    ):
        assert repr(configuration.network()) == repr(network)
        theta = configuration.theta0(len(direction) // 2)
        np.testing.assert_array_equal(network.signal(theta), network.signal(network.init(2.0, direction)))
