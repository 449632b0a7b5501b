"""Parameters: conversion, batch shapes, refusals."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jax, jnp
from polarbias.networks.parameters import cast, check_parameters, working_dtype

PROBLEM = pb.LinearProblem(np.ones((1, 3)), [1.0])
DOUBLE = np.dtype(float)
ones = np.ones(3)


def test_lists_integers_and_tuples_of_numbers_are_arrays():
    for x in ([1, 1, 1], (1.0, 1.0, 1.0), np.ones(3, np.float32), jnp.ones(3)):
        theta, batch_shape = check_parameters(PROBLEM, pb.HadamardPower(2), pb.Factor(x), DOUBLE)
        assert type(theta.x) is np.ndarray
        assert theta.x.dtype == np.float64
        assert batch_shape == ()


def test_batch_shapes_begin_with_those_of_the_problems():
    problems = pb.stack([PROBLEM, PROBLEM])
    network = pb.HadamardPower(2)
    assert check_parameters(problems, network, pb.Factor(np.ones((2, 4, 3))), DOUBLE)[1] == (2, 4)
    with pytest.raises(pb.InvalidInput, match=r"must begin with the problems' batch shape \(2,\)"):
        check_parameters(problems, network, pb.Factor(np.ones((4, 3))), DOUBLE)


def test_evaluation_by_tracing_computes_no_signal():
    class Exponential(pb.Network):
        def signal(self, theta):
            return jnp.exp(theta)

    class Untraceable(pb.Network):
        def signal(self, theta):
            return np.exp(np.asarray(theta))

    for evaluate in (jax.eval_shape, lambda f, x: f(x)):
        assert check_parameters(PROBLEM, Exponential(), 1e3 * ones, DOUBLE, evaluate)[1] == ()
    assert check_parameters(PROBLEM, Untraceable(), 1e3 * ones, DOUBLE)[1] == ()
    with pytest.raises(pb.InvalidInput, match="cannot map theta0 to a signal"):
        check_parameters(PROBLEM, Untraceable(), ones, DOUBLE, jax.eval_shape)


class Integers(pb.Network):
    def signal(self, theta):
        return np.ones(3, int)


@pytest.mark.parametrize(
    ("network", "theta", "advice"),
    [
        (3, ones, "instance of a Network"),
        (pb.HadamardPower(2), None, "theta0 must be a dense array of real numbers, got NoneType"),
        (pb.HadamardPower(2), pb.Factor(None), "theta0 must be a dense array of real numbers, got NoneType"),
        (pb.HadamardPower(2), (ones,), r"must be Factor\(x\), got tuple"),
        (pb.HadamardPower(2), pb.Factor([1.0, np.nan, 1.0]), "theta0 holds NaN or infinity"),
        (pb.HadamardPower(2), pb.Factor(1j * ones), "theta0 must hold real numbers"),
        (pb.HadamardPower(2), pb.Factor([[1.0], [1.0, 2.0]]), "rectangular"),
        (pb.HadamardPower(2), pb.Factor(np.ones(4)), r"\(4,\).*3 unknowns"),
        (pb.HadamardPower(2), pb.Factor(2.0), "3 unknowns"),
        (pb.HadamardPower(2), pb.Factor(np.ones((0, 3))), "empty batch"),
        (pb.HadamardDifference(2), pb.HadamardDifference(2).init(1.0, np.ones(4)), "twice that length"),
        (Integers(), ones, "real floating-point"),
    ],
)
def test_refused_by_every_method(network, theta, advice):
    pytest.importorskip("jax")
    for call in (pb.vector_field, pb.gradient_descent, pb.ConstantStep.stable, check_parameters):
        with pytest.raises(pb.InvalidInput, match=advice):
            call(PROBLEM, network, theta, *([DOUBLE] if call is check_parameters else []))


def test_working_precision():
    assert working_dtype("float32") == np.float32
    for dtype in (np.float16, int, "fast", None.__class__, np.float32(0.5)):
        with pytest.raises(pb.InvalidInput, match="dtype must be float64 or float32"):
            working_dtype(dtype)
    network = cast(pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.2]), np.dtype(np.float32))
    assert network.ratio.eta.dtype == network.direction_rate.dtype == np.float32
    assert network.inner.depth == 2
