"""Rates of convergence against integrated flows and the vector field written out anew."""

import numpy as np
import pytest

import polarbias as pb
from flow_cases import LAWS, converged_cases, network_of
from polarbias import theory


@pytest.fixture(scope="module")
def cases():
    return converged_cases()


def test_the_loss_falls_at_least_at_the_rate(cases):
    closest = np.inf
    for case in cases:
        u, path = np.exp(case.path.log_u), case.path
        thetas = pb.Factor(path.r[:, None] * u) if case.law is None else pb.Polar(path.r, u)
        bound = theory.loss_rate(case.problem, case.network, thetas)
        if not bound.applies:
            continue
        decline = -2 * np.log(path.residual_norm[1:] / path.residual_norm[0])
        # Rounding of the first, shortest steps.
        assert (decline >= bound.value * path.time[1:] * (1 - 1e-6) - 1e-10).all()
        closest = min(closest, (decline / path.time[1:]).min() / bound.value)
        A, L = case.problem.A, path.depth
        everything = theory.loss_rate(case.problem, case.network, thetas, support=range(A.shape[1]))
        c_x, f = (path.r[:, None] * u).min(), LAWS[case.law[0]](case.law[1])[0] if case.law else None
        first = 1 if f is None else min(min(f(r) for r in path.r), c_x**2 * A.shape[1])
        smallest = np.linalg.eigvalsh(A @ A.T)[0]
        assert everything.value == pytest.approx(first * 2 * L * c_x ** (2 * L - 2) * smallest, rel=1e-4)
        assert bound.value >= everything.value * (1 - 1e-12)
    assert closest < 3


def rates_of(x, A, b, depth, law):
    """x' from (12), (13), (24), (25), or from (10)."""
    gradient = (A.T @ (A @ x**depth - b)) * x ** (depth - 1)
    if law is None:
        return -gradient
    r = np.linalg.norm(x)
    u = x / r
    return -LAWS[law[0]](law[1])[0](r) * (u @ gradient) * u - r**2 * (gradient - u * (u @ gradient))


@pytest.mark.parametrize("law", [None, *LAWS])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_local_rate_is_the_linearisation(depth, law):
    rng = np.random.default_rng(depth)
    A, x = rng.standard_normal((3, 6)), rng.uniform(0.4, 1.3, 6)
    b, law = A @ x**depth, law and (law, 0.7)
    network = network_of(depth, law)
    local = theory.local_rate(pb.LinearProblem(A, b), network, network.from_factor(2 * x), x**depth)
    np.testing.assert_allclose(local.K, local.K.T, rtol=1e-12)
    np.testing.assert_allclose([local.rate, local.fastest], np.linalg.eigvalsh(local.K)[[0, -1]], rtol=1e-9)
    for _ in range(3):
        near = x + 1e-7 * rng.standard_normal(6)
        residual = A @ near**depth - b
        change = A @ (depth * near ** (depth - 1) * rates_of(near, A, b, depth, law))
        assert np.linalg.norm(change + local.K @ residual) < 1e-5 * np.linalg.norm(change)


def test_local_rate_with_dependent_rows_and_other_clocks():
    """Redundant equations add no slow direction; eta_u / ||u||^2 and eta scaled alike scale time."""
    A, x = np.array([[1.0, 2.0, 0.5]]), np.array([0.5, 0.2, 0.9])
    network = network_of(2, ("constant", 0.3))
    one = theory.local_rate(pb.LinearProblem(A, A @ x), network, network.init(1.0, np.ones(3)), x)
    twice = np.vstack([A, A])
    two = theory.local_rate(pb.LinearProblem(twice, twice @ x), network, network.init(1.0, np.ones(3)), x)
    assert two.rate == pytest.approx(2 * one.rate, rel=1e-12)
    fast = pb.WeightNormalization(pb.HadamardPower(2), 0.9, direction_rate=3.0)
    other = theory.local_rate(pb.LinearProblem(A, A @ x), fast, fast.init(1.0, np.ones(3)), x)
    assert other.rate == pytest.approx(3 * one.rate, rel=1e-12)


def test_printed_rank_in_31_is_wrong():
    """A = I, b = (1, 1), I = {1}: A_I has full rank, but x_1 does not change the second equation."""
    problem, network = pb.LinearProblem(np.eye(2), [1.0, 1.0]), pb.HadamardPower(2)
    thetas = pb.Factor([[1.0, 1e-3], [1.0, 2e-3]])
    assert not theory.loss_rate(problem, network, thetas, support=[0]).applies
    assert theory.loss_rate(problem, network, thetas).applies


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (theory.loss_rate, (pb.Factor(np.ones((2, 2))), []), "nonempty"),
        (theory.loss_rate, (pb.Factor(np.ones((2, 2))), [2]), "indices"),
        (theory.loss_rate, (pb.Factor(np.ones((2, 3, 2))),), "one run"),
        (theory.local_rate, (pb.Factor([1.0, 1.0]), [0.0, 0.0]), "radius 0"),
    ],
)
def test_bad_input(function, arguments, message):
    with pytest.raises(pb.InvalidInput, match=message):
        function(pb.LinearProblem([[1.0, 1.0]], [1.0]), pb.HadamardPower(2), *arguments)
