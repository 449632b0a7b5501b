"""Hadamard networks: signs, halves, depths, refused parameters."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.networks.hadamard import is_power

N = 5


def test_differences_move_like_powers_on_the_signed_problem():
    pytest.importorskip("jax")
    rng = np.random.default_rng(4)
    problem = pb.LinearProblem(rng.standard_normal((3, N)), rng.standard_normal(3))
    x = np.abs(rng.standard_normal((2, 2 * N))) + 0.2
    difference, power = pb.HadamardDifference(3), pb.HadamardPower(3)
    joint = pb.vector_field(problem, difference, difference.from_factor(x))
    plain = pb.vector_field(problem.signed(), power, pb.Factor(x))
    np.testing.assert_allclose(np.concatenate([joint.plus.x, joint.minus.x], -1), plain.x, rtol=1e-12)
    joint, plain = (pb.WeightNormalization(inner, 0.3) for inner in (difference, power))
    start = joint.init(1.5, x)
    ours, theirs = pb.vector_field(problem, joint, start), pb.vector_field(problem.signed(), plain, start)
    np.testing.assert_allclose(ours.r, theirs.r, rtol=1e-11)
    np.testing.assert_allclose(ours.u, theirs.u, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("depth", [0, -1, 2.0, 2.5, True, "2", None, 1001, 10**400])
def test_depth_is_an_integer_from_1_to_1000(depth):
    for network in (pb.HadamardPower, pb.HadamardDifference):
        with pytest.raises(pb.InvalidInput, match="depth must be an integer from 1 to 1000, got "):
            network(depth)


def test_refused_arguments():
    with pytest.raises(pb.InvalidInput, match=r"half must be a network with a factor such as HadamardPower"):
        pb.Difference("HadamardPower")
    with pytest.raises(pb.InvalidInput, match=r"2 N entries .* got 5, an odd number"):
        pb.HadamardDifference(2).init(1.0, np.ones(5))


def test_positive_entries_do_not_underflow():
    theta = pb.Factor(np.array([1e-310, 1.0]))
    assert pb.HadamardPower(2).retract(theta, theta).x[0] > 1e-300
    assert pb.HadamardPower(1).retract(theta, theta) is theta
    assert pb.HadamardPower(2).admissible(theta)
    assert not pb.HadamardPower(2).admissible(pb.Factor(np.array([0.0, 1.0])))


def test_halves_of_a_part_of_a_batch():
    network = pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2]))
    assert network.of_runs(lambda values: np.broadcast_to(values, 2)[1]).half.ratio.eta == 0.2


def test_a_subclass_is_no_power():
    class Other(pb.HadamardPower):
        def signal_of(self, x):
            return 2 * x**self.depth

    assert [is_power(network) for network in (pb.HadamardPower(2), pb.HadamardDifference(2), Other(2))] == [1, 1, 0]


ones = np.ones(3)


@pytest.mark.parametrize(
    ("network", "theta", "advice"),
    [
        (pb.HadamardPower(2), ones, r"must be Factor\(x\), got ndarray"),
        (pb.HadamardPower(2), pb.Polar(1.0, ones), r"must be Factor\(x\), got Polar"),
        (pb.HadamardPower(2), pb.Factor(-ones), "positive entries only"),
        (pb.HadamardPower(2), pb.Factor(np.array([1.0, 0.0, 1.0])), "positive entries only"),
        (pb.HadamardPower(1), pb.Factor(np.array([1.0, 0.0, 1.0])), "no zero entry"),
        (pb.HadamardDifference(2), pb.Factor(ones), r"must be Pair\(plus, minus\), got Factor"),
        (pb.HadamardDifference(2), pb.Pair(ones, ones), r"must be Factor\(x\), got ndarray"),
        (pb.HadamardDifference(2), pb.Pair(pb.Factor(ones), pb.Factor(np.ones(4))), "one shape"),
    ],
)
def test_refused_parameters(network, theta, advice):
    with pytest.raises(pb.InvalidInput, match=advice):
        network.validate(theta)
