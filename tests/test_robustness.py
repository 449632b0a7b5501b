"""Starts, scales and objects at the edge of what is allowed: each was once answered wrongly."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import polarbias as pb

RNG = np.random.default_rng(7)
A = RNG.standard_normal((4, 9))
TRUTH = RNG.random(9)
PROBLEM = pb.LinearProblem(A, A @ TRUTH)


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_the_line_search_finds_its_first_step_at_any_scale_of_the_data(factor):
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    scaled = pb.LinearProblem(factor * PROBLEM.A, factor * PROBLEM.b)
    run = pb.gradient_descent(scaled, network, network.init(0.5, np.ones(9)), tol=0, rtol=1e-5, max_steps=20_000)
    assert run.converged
    plain = pb.gradient_descent(PROBLEM, network, network.init(0.5, np.ones(9)), tol=0, rtol=1e-5, max_steps=20_000)
    np.testing.assert_allclose(run.x, plain.x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("depth", "scale"), [(5, 0.1), (8, 500.0)])
def test_the_line_search_starts_at_large_depths(depth, scale):
    network = pb.HadamardPower(depth)
    run = pb.gradient_descent(PROBLEM, network, network.init(scale, np.ones(9)), max_steps=1000)
    assert run.loss < 1e-2 * run.trajectory.loss[0]


@pytest.mark.parametrize("law", [0.5, pb.PowerRatio(1.0, 0.5), pb.PowerRatio(1.0, 1), pb.PowerRatio(1.0, 3)])
def test_depth_one_passes_zero_radius_under_every_law(law):
    """The flow of A = [1, 0], b = -1 turns r negative; the law then has to be that of |r|."""
    network = pb.WeightNormalization(pb.HadamardPower(1), law)
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    theta = pb.Polar(-0.7, np.array([0.6, 0.8]))
    field = pb.vector_field(problem, network, theta)
    mirrored = pb.vector_field(pb.LinearProblem([[1.0, 0.0]], [1.0]), network, pb.Polar(0.7, theta.u))
    np.testing.assert_allclose(field.r, -mirrored.r)
    run = pb.gradient_descent(problem, network, theta, tol=1e-20, max_steps=5000)
    assert run.converged


def test_a_run_that_ended_at_negative_radius_can_go_on():
    network = pb.WeightNormalization(pb.HadamardPower(1), 2.0)
    problem = pb.LinearProblem([[1.0, 0.0]], [-1.0])
    first = pb.gradient_descent(problem, network, network.init(1.0, [1.0, 1.0]), tol=1e-6)
    assert first.theta.r < 0
    assert pb.gradient_descent(problem, network, first.theta, tol=1e-20).converged
    with pytest.raises(pb.InvalidInput, match="nonzero at depth 1"):
        pb.gradient_descent(problem, network, pb.Polar(0.0, first.theta.u))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_starts_far_from_one_keep_their_direction(size):
    direction = np.array([3.0, 4.0])
    for network in (pb.HadamardPower(2), pb.WeightNormalization(pb.HadamardPower(2), 0.1)):
        np.testing.assert_allclose(network.factor(network.init(1.0, size * direction)), [0.6, 0.8], rtol=1e-14)
    polar = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    assert polar.init(size, direction).r == size
    np.testing.assert_allclose(polar.init(size, direction).u, [0.6, 0.8], rtol=1e-14)
    halves = pb.Difference(polar).init(size, np.tile(direction, 2))
    np.testing.assert_allclose(halves.plus.u, [0.6, 0.8], rtol=1e-14)
    np.testing.assert_allclose(halves.plus.r, size / np.sqrt(2), rtol=1e-14)


def test_parameters_in_a_module_are_indexed_with_their_batch():
    @partial(jax.tree_util.register_dataclass, data_fields=["w"], meta_fields=[])
    @dataclass
    class Weights:
        w: np.ndarray

    class Squares(pb.Network):
        def signal(self, theta):
            return theta.w**2

    runs = pb.gradient_descent(PROBLEM, Squares(), Weights(np.ones((3, 9))), max_steps=5)
    assert runs[1].theta.w.shape == (9,)


def test_objects_print_as_the_calls_that_make_them():
    network = pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2])
    assert repr(network) == (
        "WeightNormalization(inner=HadamardPower(depth=2), ratio=ConstantRatio(eta=[0.1, 0.2]), "
        "direction_rate=1.0, renormalize=False)"
    )
    assert repr(pb.ConstantStep(0.1)) == "ConstantStep(dt=0.1)"


class Integers(pb.Network):
    def signal(self, theta):
        return jnp.ones(9, int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pb.Armijo(c1="a"), "c1 must be a finite number above 0 and below 1"),
        (lambda: pb.Armijo(initial=np.ones(2)), "initial must be"),
        (lambda: pb.ConstantStep([]), "dt is empty"),
        (lambda: pb.HadamardPower(2).init([], np.ones(9)), "scale is empty"),
        (lambda: pb.minimal_l1(3), "use LinearProblem"),
        (lambda: pb.minimal_l2((A, TRUTH)), "use LinearProblem"),
        (lambda: pb.stack([1, 2]), "use LinearProblem"),
        (lambda: pb.vector_field(PROBLEM, 3, np.ones(9)), "instance of a Network"),
        (lambda: pb.gradient_descent(PROBLEM, pb.HadamardPower(2), pb.Factor(np.ones(9)), callback=3), "callback"),
        (lambda: pb.gradient_descent(PROBLEM, Integers(), np.ones(9)), "real floating-point"),
        (lambda: PROBLEM.loss(TRUTH, 0), "depth must be an integer of at least 1"),
        (lambda: pb.LinearProblem(np.ma.masked_invalid([[1.0, np.nan]]), [1.0]), "masked"),
    ],
)
def test_the_wrong_kind_is_refused_with_advice(call, message):
    with pytest.raises(pb.InvalidInput, match=message):
        call()


def test_numbers_in_a_tuple_count_as_an_array():
    run = pb.gradient_descent(PROBLEM, pb.HadamardPower(2), pb.Factor((1.0,) * 9), max_steps=5)
    assert run.x.shape == (9,)
