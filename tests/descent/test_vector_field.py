"""The vector field of users' networks, and the operations that it is compiled to."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import vector_field

M, N = 3, 6


class Exponential(pb.Network):
    """The smallest network."""

    def signal(self, theta):
        return jnp.exp(theta)


class Softplus(pb.Network):
    """A network with a parameter, a dictionary for theta, a degree and rates of its own."""

    sharpness: np.ndarray

    @property
    def degree(self):
        return 3

    def signal(self, theta):
        return jnp.logaddexp(0.0, self.sharpness * theta["w"]) / self.sharpness + theta["shift"][..., None]

    def rates(self, theta):
        return {"w": 2.0, "shift": theta["shift"] ** 2}


class Scaled(NamedTuple):
    gain: np.ndarray
    x: np.ndarray


class Gained(pb.Network):
    """A network of NumPy code only, which autodiff can trace all the same."""

    def signal(self, theta):
        return theta.gain[..., None] * theta.x**2


def test_a_network_needs_a_signal_only(problem):
    theta = np.random.default_rng(2).standard_normal(N)

    def field(theta):
        return -np.exp(theta) * (problem.A.T @ (problem.A @ np.exp(theta) - problem.b))

    np.testing.assert_allclose(pb.vector_field(problem, Exponential(), theta), field(theta), rtol=1e-12)
    run = pb.gradient_descent(problem, Exponential(), np.zeros(N), step=0.02, max_steps=100, tol=0.0)
    theta = np.zeros(N)
    for _ in range(100):
        theta = theta + 0.02 * field(theta)
    np.testing.assert_allclose(run.theta, theta, rtol=1e-12)
    np.testing.assert_allclose(run.x, np.exp(theta), rtol=1e-12)
    assert np.isnan(run.trajectory.r).all()  # there is no factor


def test_rates_degree_and_parameters_of_a_network(problem):
    rng = np.random.default_rng(3)
    theta = {"w": rng.standard_normal(N), "shift": np.asarray(0.4)}
    run = pb.gradient_descent(problem, Softplus(np.asarray(2.0)), theta, step=0.05, max_steps=100, tol=0.0)
    w, shift = theta["w"], 0.4
    for _ in range(100):
        R = problem.A @ (np.log1p(np.exp(2 * w)) / 2 + shift) - problem.b
        back = problem.A.T @ R / 3
        w, shift = w - 0.05 * 2.0 * back / (1 + np.exp(-2 * w)), shift - 0.05 * shift**2 * back.sum()
    np.testing.assert_allclose(run.theta["w"], w, rtol=1e-11)
    np.testing.assert_allclose(run.theta["shift"], shift, rtol=1e-11)
    R = problem.A @ run.x - problem.b
    np.testing.assert_allclose(run.loss, R @ R / 6, rtol=1e-12)


def test_batches(problems):
    rng = np.random.default_rng(4)
    theta = Scaled(1 + rng.random((2, 3)), 0.5 + rng.random((2, 3, 20)))
    field = pb.vector_field(problems, Gained(), theta)
    A, gain, x = problems.A[1], theta.gain[1, 2], theta.x[1, 2]
    back = A.T @ (A @ (gain * x**2) - problems.b[1])
    np.testing.assert_allclose(field.gain[1, 2], -back @ x**2, rtol=1e-12)
    np.testing.assert_allclose(field.x[1, 2], -2 * gain * back * x, rtol=1e-12)


@pytest.mark.parametrize("separate", [False, True])
def test_the_matrix_is_never_doubled(problem, separate):
    half = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    network = pb.Difference(half) if separate else pb.WeightNormalization(pb.HadamardDifference(2), 0.1)
    with jax.enable_x64(True):
        data = vector_field.jax_problem(problem, (), np.dtype(np.float64))

        def whole_field(theta):
            return vector_field.field(network, theta, data.adjoint(data.residual(network.signal(theta))))

        jaxpr = jax.make_jaxpr(whole_field)(network.init(1.0, np.ones(2 * N)))
    sizes = [var.aval.size for equation in jaxpr.jaxpr.eqns for var in (*equation.invars, *equation.outvars)]
    assert max(sizes) == M * N


def test_parameters_that_do_not_fit(problem, problems):
    for message, one, network, theta in (
        ("theta0 holds no array", problem, Exponential(), {}),
        ("theta0 must hold real numbers", problem, Exponential(), "zeros"),
        ("the last axis must match", problem, Exponential(), np.zeros((3, N, 1))),
        ("the network cannot map theta0 to a signal", problem, Gained(), np.zeros(N)),
        (r"must begin with the problems' batch shape \(2,\)", problems, Exponential(), np.zeros((3, 2, 20))),
    ):
        with pytest.raises(pb.InvalidInput, match=message):
            pb.vector_field(one, network, theta)
