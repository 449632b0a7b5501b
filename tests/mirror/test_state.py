"""States of the mirror variable against its definition in mpmath."""

from functools import reduce

import mpmath as mp
import numpy as np
import pytest

import polarbias as pb
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.mirror.state import MirrorState


def start(problem, network, theta0):
    [(_, one, form)] = reduced_forms(problem, network, theta0)[1]
    return MirrorState.start(one, form)


def test_a_tiny_radius_keeps_its_digits():
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    first = start(problem, network, network.init(1e-9, np.sqrt([0.1, 0.9])))
    # The entries of v sum to .1 e^nu + .9 e^-nu, and s = r0^2 + log of that.
    with mp.workdps(50):
        nu, (p, q) = mp.mpf(-3e-19), [mp.exp(mp.mpf(v)) for v in first.map.log_w]
        s = mp.mpf(1e-9) ** 2 + mp.log((p * mp.exp(nu) + q * mp.exp(-nu)) / (p + q))
    assert first.moved(np.array([-3e-19])).s == pytest.approx(float(s), rel=1e-12)


@pytest.mark.parametrize(
    "law", [pb.ConstantRatio(0.3), pb.HarmonicRatio(0.3), pb.PowerRatio(0.8, 2), pb.PowerRatio(2.0, 1)]
)
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_moves_compose_and_match_the_definition(depth, law):
    rng = np.random.default_rng(depth)
    problem = pb.LinearProblem(rng.standard_normal((2, 5)), rng.standard_normal(2))
    network = pb.WeightNormalization(pb.HadamardDifference(depth), law, direction_rate=1.9)
    theta0 = network.init(1.4, np.abs(rng.standard_normal(10)) + 0.2)
    state = start(problem, network, theta0)
    moves = [0.01 * rng.standard_normal(2) for _ in range(5)]
    far, once = reduce(MirrorState.moved, moves, state), state.moved(sum(moves))
    np.testing.assert_allclose(far.log_x, once.log_x, rtol=1e-12)
    B, r, unit = np.hstack([problem.A, -problem.A]), far.r, np.exp(far.map.log_share / 2)
    grown = unit * np.exp(1.9 * float(law.E(r) - law.E(1.4)))
    if depth == 2:
        np.testing.assert_allclose(2 * np.log(grown), 2 * np.log(theta0.u) + B.T @ far.nu, atol=1e-12)
    else:
        expected = theta0.u ** (2.0 - depth) - (depth - 2) * (B.T @ far.nu)
        np.testing.assert_allclose(grown ** (2.0 - depth), expected, rtol=1e-11)
    x = (r * unit) ** depth
    np.testing.assert_allclose(far.x, x[:5] - x[5:], rtol=1e-11)
    np.testing.assert_allclose(far.residual, problem.A @ far.x - problem.b, atol=1e-12)
    np.testing.assert_allclose(far.form.inertia(far.s), float(law.f(r)) / 1.9 / r**2, rtol=1e-12)


def test_outside():
    problem = pb.LinearProblem([[1.0, 1.0]], [1.0])
    network = pb.HadamardPower(3)
    state = start(problem, network, network.init(1.0, [1.0, 1.0]))
    assert state.moved(np.array([1.4])).inside  # q = sqrt 2 - nu
    assert not state.moved(np.array([1.5])).inside
