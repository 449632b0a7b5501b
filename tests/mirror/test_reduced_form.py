"""Reduced forms of networks against the networks and laws themselves."""

import pickle

import numpy as np
import pytest

import polarbias as pb
from polarbias.mirror.reduced_form import reduced_forms

LAWS = [pb.ConstantRatio(0.3), pb.HarmonicRatio(0.4), *(pb.PowerRatio(c, k) for c, k in ((0.7, 2), (0.5, 1), (2.0, 3)))]


def one_form(network, theta0):
    [(_, _, form)] = reduced_forms(pb.LinearProblem(np.ones((1, 4)), [1.0]), network, theta0)[1]
    return form


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_functions_of_the_squared_radius(law):
    """A direction of norm 2 that moves at rate 1.5 multiplies E by 3/8 and divides f by it."""
    network = pb.WeightNormalization(pb.HadamardPower(3), law, direction_rate=1.5)
    form = one_form(network, network.init(0.9, np.arange(1.0, 5.0), direction_norm=2.0))
    assert form.time_scale == pytest.approx(0.375)
    for r in (1e-8, 0.5, 3.0):
        E = float(form.E(r**2))
        assert pytest.approx(0.375 * float(law.E(r)), rel=1e-12) == E
        assert float(form.f(r**2)) == pytest.approx(float(law.f(r)) / 0.375, rel=1e-12)
        assert form.squared_radius(E) == pytest.approx(r**2, rel=1e-9)
        assert form.inertia(r**2) == pytest.approx(float(law.f(r)) / 0.375 / r**2, rel=1e-12)
    assert form.squared_radius(form.lowest) == form.squared_radius(form.lowest - 1) == 0
    assert form.squared_radius(form.highest) == np.inf
    assert np.isnan(form.squared_radius(np.nan))
    assert float(pickle.loads(pickle.dumps(form)).E(2.0)) == float(form.E(2.0))


def test_plain_networks_have_the_square_law():
    form = one_form(pb.HadamardPower(2), pb.Factor(np.array([3.0, 4.0, 0.1, 0.1])))
    assert (form.plain, form.square, form.inertia(5.0)) == (True, True, 1)
    assert form.r0 == pytest.approx(np.sqrt(25.02))
    np.testing.assert_allclose(form.signal(form.log_start), [9, 16, 0.01, 0.01], rtol=1e-14)


@pytest.mark.parametrize("depth", [1, 2])
def test_signed_networks_have_two_halves(depth):
    network = pb.WeightNormalization(pb.HadamardDifference(depth), 0.5)
    theta0 = network.init(1.3, np.arange(1.0, 9.0))
    form = one_form(network, theta0)
    assert (form.signed, form.n) == (True, 8)
    np.testing.assert_allclose(form.signal(form.log_start), network.signal(theta0), rtol=1e-13)


def test_entries_below_the_square_root_of_the_smallest_float():
    form = one_form(pb.HadamardPower(2), pb.Factor(np.array([1e-200, 2e-200, 1e-300, 1e-200])))
    assert np.exp(2 * form.log_u0).sum() == pytest.approx(1)


def test_batches():
    problem = pb.stack([pb.LinearProblem(np.ones((1, 2)), [b]) for b in (1.0, 2.0)])
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2, 0.3])
    batch_shape, runs = reduced_forms(problem, network, network.init(np.arange(1.0, 7.0).reshape(2, 3), [1.0, 1.0]))
    assert batch_shape == (2, 3)
    for (i, j), one, form in runs:
        assert float(one.b[0]) == i + 1
        assert form.r0 == 3 * i + j + 1
        assert float(form.f(1.0)) == pytest.approx(0.1 * (j + 1))


def test_other_networks_and_ratios_that_do_not_fit():
    problem = pb.LinearProblem(np.ones((1, 2)), [1.0])
    two = pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), 0.5))
    with pytest.raises(pb.InvalidInput, match="HadamardPower"):
        reduced_forms(problem, two, two.init(1.0, np.ones(4)))
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2])
    with pytest.raises(pb.InvalidInput, match="broadcast"):
        list(reduced_forms(problem, network, network.init(np.ones(3), [1.0, 1.0]))[1])
