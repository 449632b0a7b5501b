"""Compiled functions of trees that hold arrays and constants."""

import jax
import numpy as np

import polarbias as pb
from polarbias.descent.jit import jit_arrays


def test_leaves_that_are_not_arrays_are_constants():
    traces = []

    @jit_arrays
    def power(tree, flag):
        traces.append(flag)
        assert isinstance(tree["x"], jax.Array)
        result = tree["x"]
        for _ in range(tree["n"]):
            result = tree["f"](result)
        return result if flag is True else {"doubled": 2 * result}

    tree = {"x": np.arange(3.0), "n": 2, "f": abs}
    np.testing.assert_array_equal(power(tree, True), [0, 1, 2])
    np.testing.assert_array_equal(power(tree | {"x": np.ones(3)}, True), np.ones(3))
    assert traces == [True]
    np.testing.assert_array_equal(power(tree, 1)["doubled"], [0, 2, 4])
    assert traces == [True, 1]


class Powers(pb.Network):
    """A network with a parameter for each run and one that has to be a Python number."""

    gain: np.ndarray
    repetitions: int

    def signal(self, theta):
        for _ in range(self.repetitions):
            theta = theta * theta
        return self.gain[..., None] * theta

    def of_runs(self, select):
        return Powers(select(self.gain), self.repetitions)


def test_a_network_selects_the_parameters_of_runs(problem):
    gain, start = np.linspace(0.5, 1.5, 45), np.random.default_rng(5).random((45, 6)) + 0.1
    run = pb.gradient_descent(problem, Powers(gain, 1), start, step=1e-3, max_steps=50, tol=0)
    theta = start
    for _ in range(50):
        residual = (gain[:, None] * theta**2) @ problem.A.T - problem.b
        theta = theta - 1e-3 * 2 * gain[:, None] * theta * (residual @ problem.A)
    np.testing.assert_allclose(run.theta, theta, rtol=1e-11)
