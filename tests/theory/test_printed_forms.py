"""Printed forms that are wrong, each on the smallest problem that shows it, next to the form that is right."""

import numpy as np
import pytest

import polarbias as pb
from integrated import make, network_of
from polar_ode import flow
from polarbias import theory


def test_printed_hypothesis_of_16_admits_a_negative_bound():
    """Q > c_L beta1^(2/L), L = 4: r0 = 2, A = [1, 1], b = 20, uniform: Q = 10 > 4 sqrt(4) = 8, but eps = -1.4."""
    case = make([[1.0, 1.0]], [10.0, 10.0], 4, None, 2.0, [1.0, 1.0])
    beta1, beta_min = 4.0, 2.0
    assert pytest.approx(10) == case.Q
    assert 4 * beta1**0.5 < case.Q
    printed = 4 * (beta1**0.5 - beta_min**0.5) / (2 * case.Q**0.5 - 4 * beta1**0.5)
    assert printed == pytest.approx(-1.39, abs=0.01)
    assert case.excess == pytest.approx(0, abs=1e-9)
    assert case.excess > printed
    assert not theory.l1_bound(*case.run).applies
    sharp = theory.sharp_l1_bound(*case.run)
    assert sharp.applies
    assert sharp.value > 0


def test_printed_radius_of_17_gives_a_start_that_does_not_lead_to_the_limit():
    """A = [1, 2], b = 8, u0 = (.8, .6), r0 = 1, eta = 4: r_inf is the norm of the factor, not of the signal."""
    A, b, u0 = np.array([[1.0, 2.0]]), np.array([8.0]), np.array([0.8, 0.6])
    limit = flow(A, b, 2, ("constant", 4.0), 1.0, u0).x
    network = network_of(2, ("constant", 4.0))
    rho = theory.magnification(pb.LinearProblem(A, b), network, network.init(1.0, u0), limit)
    printed = np.exp((limit @ limit - 1) / 8) / np.linalg.norm(limit)
    np.testing.assert_allclose(flow(A, b, 2, None, 1 / rho, u0).x, limit, rtol=1e-7)
    assert np.abs(flow(A, b, 2, None, 1 / printed, u0).x - limit).max() > 0.1


def test_condition_20_is_not_necessary():
    """r_inf = 2, eta = 1: (20) asks for r0 in [1, 2]; rho >= 1 from r0 = .2816 on."""
    problem, network = pb.LinearProblem([[1.0, 1.0]], [4.0]), network_of(2, ("constant", 1.0))
    theta0 = network.init(0.5, [1.0, 1.0])
    limit = [2.0, 2.0]
    assert not theory.magnification_bound(problem, network, theta0, limit).applies
    assert theory.magnification(problem, network, theta0, limit) == pytest.approx(0.25 * np.exp(1.875))
    ((low, high),) = theory.magnifying_radii(network.ratio, 2.0)
    assert low == pytest.approx(0.2816200, abs=1e-6)
    assert high == 2.0


def test_rho_does_not_increase_as_the_start_decreases():
    """A = [1, 1], b = 4, uniform, eta = 1: r_inf = 2 from every start; rho = 2.24, 1.63, .37 at r0 = 1, .5, .1."""
    A, b, network = np.array([[1.0, 1.0]]), np.array([4.0]), network_of(2, ("constant", 1.0))
    rho = []
    for r0 in (1.0, 0.5, 0.1):
        x = flow(A, b, 2, ("constant", 1.0), r0, [1.0, 1.0]).x
        rho.append(theory.magnification(pb.LinearProblem(A, b), network, network.init(r0, [1.0, 1.0]), x))
    np.testing.assert_allclose(rho, [2.2408, 1.6302, 0.3676], rtol=1e-3)
    assert 1.0 / rho[0] > 0.5 / rho[1] > 0.1 / rho[2]  # what does decrease with r0


def test_plain_l1_norm_is_not_the_limit_of_small_starts_above_depth_2():
    """(7) for L = 3, A = [1, 1.2], b = 1, u0 ~ (1, .5): the excess stays near .2 as the start shrinks."""
    for r0 in (1e-1, 1e-2, 1e-3):
        case = make([[1.0, 1.2]], [1.0, 0.0], 3, None, r0, [1.0, 0.5])
        assert case.excess1 > 0.19
        assert not theory.uniform_l1_bound(*case.run).applies
        bound = theory.l1_bound(*case.run)
        assert case.excess <= bound.value
    assert bound.value < 2e-3
    assert case.excess1 == pytest.approx(0.2, abs=1e-6)


def test_printed_power_in_31_is_wrong():
    """A = 1, b = .008, L = 3, r0 = .1, eta = .001: c_x^2 for c_x^4 claims a hundred times the rate."""
    path = flow(np.array([[1.0]]), np.array([0.008]), 3, ("constant", 0.001), 0.1, [1.0])
    network = network_of(3, ("constant", 0.001))
    thetas = pb.Polar(path.r, np.exp(path.log_u))
    bound = theory.loss_rate(pb.LinearProblem([[1.0]], [0.008]), network, thetas)
    assert bound.value == pytest.approx(0.001 * 6 * 0.1**4, rel=1e-9)
    decline = -2 * np.log(path.missed[1:] / path.missed[0]) / path.t[1:]
    assert (decline >= bound.value * (1 - 1e-9)).all()
    assert decline.min() < 0.001 * 6 * 0.1**2 / 10


def test_printed_rank_in_31_is_wrong():
    """A = I, b = (1, 1), I = {1}: A_I has full rank, but the second equation is not moved by x_1."""
    problem, network = pb.LinearProblem(np.eye(2), [1.0, 1.0]), pb.HadamardPower(2)
    path = flow(problem.A, problem.b, 2, None, 1.0, [1.0, 1e-3])
    thetas = pb.Factor(np.exp(path.log_x / 2))
    early = pb.Factor(thetas.x[path.t < 1.0])
    printed = 2 * 2 * early.x[:, 0].min() ** 2
    now = path.t[path.t < 1.0][-1]
    assert now > 0.5
    assert printed > 3.99
    assert path.missed[path.t < 1.0][-1] ** 2 > 0.9 * path.missed[0] ** 2 > 5 * np.exp(-printed * now)
    assert not theory.loss_rate(problem, network, early, support=[0]).applies
    assert theory.loss_rate(problem, network, early).applies


def test_a_vanishing_entry_of_full_rank_leaves_no_exponential_rate():
    """A = [[1, 1, 0, 0], [0, 0, 1, 1]], b = (1, 0): x_3, x_4 and the loss fall like powers of t; (18) needs a z > 0."""
    A, b = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]]), np.array([1.0, 0.0])
    path = flow(A, b, 2, None, 1.0, np.ones(4))
    half = np.searchsorted(path.t, path.t[-1] / 2)
    assert path.t[-1] > 1e6
    assert path.missed[-1] / path.missed[half] == pytest.approx(path.t[half] / path.t[-1], rel=0.05)
