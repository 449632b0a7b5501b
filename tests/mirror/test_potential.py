"""The potential: gradient, inverse, conjugate and divergence against mpmath, its decay against the integrated flow."""

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import polarbias as pb
from flow_oracle import integrate
from oracles_mpmath import LAWS, ExactPotential
from polarbias.theory.endpoint import reduced_form

DEPTHS = [1, 2, 3, 6]
WN = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
everything = pytest.mark.parametrize(("depth", "law"), [(depth, law) for depth in DEPTHS for law in LAWS])


def exactly(depth, law, time_scale=1.0, r0=1.0):
    return ExactPotential(depth, LAWS[law][1], time_scale, r0)


def made(depth, law, time_scale=1.0, r0=1.0):
    return pb.Potential(depth, LAWS[law][0], time_scale if LAWS[law][0] is not None else 1.0, r0)


def signals(seed, *shape, n=4):
    """Logarithms of random signals whose factors have norms around 1."""
    return np.random.default_rng(seed).normal(-1.0, 1.0, (*shape, n))


def exp(log_x):
    return [mp.exp(mp.mpf(float(entry))) for entry in log_x]


def close(got, expected, rtol=2e-13, size=None):
    """Compare in mpmath, where floats overflow."""
    with mp.workdps(40):
        return abs(mp.mpf(float(got)) - expected) <= rtol * (abs(expected) if size is None else size) + 1e-300


@everything
def test_against_the_definition_in_mpmath(depth, law):
    time_scale, r0 = (1.0, 1.3) if law == "plain" else (1.7, 1.3)
    potential, exact = made(depth, law, time_scale, r0), exactly(depth, law, time_scale, r0)
    log_z, log_x = signals(depth, 2)
    with mp.workdps(30):
        z, x = exp(log_z), exp(log_x)
        F, gradient = exact.F(x), exact.gradient(x)
        size = max(abs(F), mp.fsum(abs(g * n) for g, n in zip(gradient, x, strict=True)))
        assert close(potential.value(log_x), F, 1e-13, size)
        for got, expected in zip(potential.mirror_map(log_x), gradient, strict=True):
            assert close(got, expected, 1e-13, 1 + abs(expected))
        conjugate = mp.fsum(g * n for g, n in zip(gradient, x, strict=True)) - F
        assert close(potential.conjugate(potential.mirror_map(log_x)), conjugate, 1e-12, size)
        assert close(potential.bregman(log_z, log_x), exact.bregman(z, x))
        assert close(potential.bregman(log_x, log_z), exact.bregman(x, z))


@everything
def test_pairs_at_random_points(depth, law):
    potential = made(depth, law)
    log_x, log_y = signals(100 + depth, 2, 40)
    x, y, phi = np.exp(log_x), np.exp(log_y), potential.mirror_map(log_x)
    np.testing.assert_allclose(potential.inverse_mirror_map(phi), log_x, atol=1e-10)
    F_x, F_y, star = potential.value(log_x), potential.value(log_y), potential.conjugate(phi)
    size = 1 + abs(F_x) + abs(F_y) + abs(star) + (abs(phi) * (x + y)).sum(-1)
    # Fenchel and Young: equality at the gradient, a strict inequality elsewhere, whose excess is the divergence.
    assert (abs(F_x + star - (phi * x).sum(-1)) < 1e-12 * size).all()
    excess = F_y + star - (phi * y).sum(-1)
    assert (excess > 0).all()
    assert (abs(excess - potential.bregman(log_y, log_x)) < 1e-12 * size).all()


@pytest.mark.parametrize("law", ["plain", "constant", "harmonic"])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("size", [1e-3, 1e-11])
def test_divergence_of_near_points(depth, law, size):
    potential, exact = made(depth, law), exactly(depth, law)
    rng = np.random.default_rng(3)
    log_x = signals(11)
    for direction in (rng.standard_normal(4), np.ones(4)):
        log_z = log_x + size * direction
        with mp.workdps(60):
            expected = exact.bregman(exp(log_z), exp(log_x))
        assert float(potential.bregman(log_z, log_x)) == pytest.approx(float(expected), rel=1e-12 + 2e-14 / size)
    assert float(potential.bregman(log_x, log_x)) == 0


@pytest.mark.parametrize("law", ["plain", "constant", "bounded", "harmonic"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_entries_far_below_the_smallest_float(depth, law):
    potential, exact = made(depth, law), exactly(depth, law)
    log_x = np.array([-0.3, -2000.0, 0.1, -31_000.5])
    log_z = np.array([-0.1, -3.0, -2500.0, -40.0])
    with mp.workdps(50):
        x, z = exp(log_x), exp(log_z)
        for log, signal in ((log_x, x), (log_z, z)):
            gradient = exact.gradient(signal)
            log_phi = gradient if depth == 2 else [mp.log(abs((2 - depth) * g)) / (2 - depth) for g in gradient]
            for got, expected in zip(potential.log_mirror(log), log_phi, strict=True):
                assert close(got, expected, 1e-15, 10 + abs(expected))
            assert float(potential.value(log)) == pytest.approx(float(exact.F(signal)), rel=1e-13)
            again = potential.from_log_mirror(potential.log_mirror(log))
            np.testing.assert_allclose(again, log, rtol=1e-14, atol=1e-13)
        for logs, pair in (((log_z, log_x), (z, x)), ((log_x, log_z), (x, z))):
            expected = mp.log(exact.bregman(*pair))
            assert float(potential.log_bregman(*logs)) == pytest.approx(float(expected), rel=1e-13, abs=1e-13)
            assert np.isfinite(potential.bregman(*logs)) == (float(expected) < 700)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_small_constant_ratio_at_a_large_radius(depth):
    # E(10) is 5000 with eta = 0.01: neither e^E nor e^-E is a float.
    log_x, log_z = np.log([[20.0, 79.0, 1e-3], [30.0, 69.0, 1e-9]]) * depth / 2
    potential = pb.Potential(depth, 0.01, r0=10.0)
    exact = exactly(depth, "constant", time_scale=30.0, r0=10.0)  # 0.3 / 0.01
    with mp.workdps(50):
        x, z = exp(log_x), exp(log_z)
        expected, F = mp.log(exact.bregman(z, x)), exact.F(x)
    assert float(potential.log_bregman(log_z, log_x)) == pytest.approx(float(expected), abs=1e-11)  # 2 E is 1e4
    np.testing.assert_allclose(potential.inverse_mirror_map(potential.mirror_map(log_x)), log_x, atol=1e-11)
    assert float(potential.value(log_x)) == pytest.approx(float(F), rel=1e-11, abs=1e-11)


class TestZeros:
    @everything
    def test_zero_entries_of_z(self, depth, law):
        potential, exact = made(depth, law), exactly(depth, law)
        log_x, log_z = signals(5, 2)
        log_z[1:3] = -np.inf
        with mp.workdps(30):
            z = [n if k in (0, 3) else mp.mpf(0) for k, n in enumerate(exp(log_z))]
            assert close(potential.bregman(log_z, log_x), exact.bregman(z, exp(log_x)))
            if depth > 1:
                assert close(potential.value(log_z), exact.F(z), rtol=1e-12)

    @pytest.mark.parametrize("depth", DEPTHS)
    def test_zero_entries_of_x(self, depth):
        potential = made(depth, "constant")
        log_x, log_z = signals(6, 2)
        log_x[2] = -np.inf
        divergence = float(potential.bregman(log_z, log_x))
        assert np.isfinite(divergence) if depth == 1 else divergence == np.inf
        log_z[2] = -np.inf
        shorter = potential.bregman(np.delete(log_z, 2), np.delete(log_x, 2))
        assert float(potential.bregman(log_z, log_x)) == pytest.approx(float(shorter), rel=1e-14)

    @everything
    def test_divergence_of_zero(self, depth, law):
        # The limit of D(h z, x) as h falls: D is continuous, or grows without bound.
        potential = made(depth, law)
        log_x, log_z = signals(8, 2)
        at_zero = float(potential.log_bregman(np.full(4, -np.inf), log_x))
        if np.isfinite(at_zero):
            assert float(potential.log_bregman(log_z - 70.0 * depth, log_x)) == pytest.approx(at_zero, abs=1e-6)
        else:
            assert at_zero == np.inf
            near = potential.log_bregman(log_z - depth * np.array([[4.0], [8.0], [16.0]]), log_x)
            assert (np.diff(near) > 0.3).all()
        with pytest.raises(pb.InvalidInput, match="X != 0"):
            potential.bregman(log_x, np.full(4, -np.inf))

    def test_value_and_conjugate_at_zero(self):
        # Constant law, depth 2: F = S^2/(4 eta) - S r0^2/(2 eta) + ... and F* is constant where the signal is 0.
        potential = pb.Potential(2, 0.5, r0=2.0)
        nothing = np.full(3, -np.inf)
        assert float(potential.value(nothing)) == pytest.approx(16 / (4 * 0.5))
        for level in (-5.0, -50.0):
            phi = np.full(3, level)
            assert (potential.inverse_mirror_map(phi) == -np.inf).all()
            assert float(potential.conjugate(phi)) == pytest.approx(-16 / (4 * 0.5))
        cubic = pb.Potential(3, 0.5)
        assert float(cubic.conjugate([-1e3, -1e3])) == pytest.approx(-float(cubic.value(nothing)), rel=1e-13)

    def test_beyond_the_range_of_the_law(self):
        potential = pb.Potential(2, pb.PowerRatio(1.0, 4))  # E = -1 / (2 r^2) < 0
        with pytest.raises(pb.InvalidInput, match="no signal has this mirror variable"):
            potential.inverse_mirror_map([0.3, 0.3])
        assert potential.conjugate([[0.3, 0.3], [-3.0, -3.0]])[0] == np.inf
        assert np.isfinite(potential.conjugate([-3.0, -3.0]))
        with pytest.raises(pb.InvalidInput, match="must be negative"):
            pb.Potential(3).inverse_mirror_map([-1.0, 0.0])
        assert pb.Potential(3).conjugate([-1.0, 0.0]) == np.inf


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_batches(depth):
    log_z, log_x = signals(12, 2, 3, 2)
    potential = made(depth, "harmonic")

    def quantities(log_z, log_x):
        phi = potential.mirror_map(log_x)
        each = potential.value(log_x), potential.conjugate(phi), potential.kappa(log_x)
        return np.array([*each, potential.bregman(log_z, log_x), potential.inverse_mirror_map(phi)[..., 0]])

    whole = quantities(log_z, log_x)
    for at in np.ndindex(3, 2):
        np.testing.assert_allclose(whole[:, *at], quantities(log_z[at], log_x[at]), rtol=1e-12)
    assert potential.bregman(log_z[0], log_x).shape == (3, 2)


def test_signs_at_depth_one():
    """Plain: F = ||x||^2 / (2 r0)."""
    z, x = np.random.default_rng(0).standard_normal((2, 5))
    got = pb.Potential(1, r0=2.0).bregman(np.log(abs(z)), np.log(abs(x)), np.sign(z * x))
    assert float(got) == pytest.approx(((z - x) ** 2).sum() / 4, rel=1e-13)


@pytest.mark.parametrize("law", ["plain", "constant", "quintic", "user"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_divergence_falls_at_its_rate_along_the_flow(depth, law):
    rng = np.random.default_rng(depth)
    A = rng.standard_normal((2, 5))
    z = rng.uniform(0.2, 1.0, 5)
    time_scale, r0 = 1.0 if law == "plain" else 1.6, 1.2
    potential, (own, E) = made(depth, law, time_scale, r0), LAWS[law]
    times = 0.4 * np.linspace(0, 1, 1001) ** 3  # some flows are fast at first
    f = None if own is None else own.f
    start = np.exp(rng.uniform(-1, 0, 5))
    run = integrate(A, A @ z, depth, f, r0, start, paper_time=True, rate=time_scale, times=times)
    kappa = np.full(times.size, r0 ** (depth - 2.0))
    if own is not None:
        rise = [time_scale * float(E(float(r)) - E(r0)) for r in run.r]
        kappa = time_scale * run.r**depth * np.exp((2 - depth) * np.array(rise))
    np.testing.assert_allclose(potential.kappa(run.log_x), kappa, rtol=1e-8)
    fall = CubicSpline(times, kappa * run.residual_norm**2).antiderivative()(times)
    other = np.abs(z + 0.02 * (np.eye(5) - np.linalg.pinv(A) @ A) @ rng.standard_normal(5))  # A z again
    for solution in (z, other):
        divergence = potential.bregman(np.log(solution), run.log_x)
        np.testing.assert_allclose(divergence[0] - divergence, fall, rtol=1e-7, atol=1e-8 * fall[-1])


class TestConstruction:
    def test_from_a_run_and_from_a_network(self):
        rng = np.random.default_rng(0)
        problem = pb.LinearProblem(rng.standard_normal((2, 4)), [1.0, 2.0])
        network = pb.WeightNormalization(pb.HadamardPower(3), 0.2, direction_rate=0.5)
        form = reduced_form(problem, network, network.init(1.5, rng.uniform(0.5, 1, 4), direction_norm=2.0))
        potential, same = pb.Potential.from_form(form), pb.Potential.of(network, r0=1.5, direction_norm=2.0)
        assert repr(same) == "Potential(depth=3, law=ConstantRatio(eta=0.2), time_scale=0.125, r0=1.5)"
        assert repr(replace(potential, time_scale=0.125)) == repr(same)
        assert potential.time_scale == pytest.approx(0.125, rel=1e-14)
        np.testing.assert_allclose(potential.log_mirror(form.log_start), form.log_u0, atol=1e-14)
        plain = pb.HadamardDifference(2)
        form = reduced_form(problem, plain, plain.init(0.5, np.ones(8)))
        for potential in (pb.Potential.of(plain, r0=0.5), replace(pb.Potential.from_form(form), r0=0.5)):
            assert repr(potential) == "Potential(depth=2, law=None, time_scale=1.0, r0=0.5)"

    @pytest.mark.parametrize(
        ("make", "arguments", "message"),
        [
            (pb.Potential, (2.5,), "depth must be an integer"),
            (pb.Potential, (10**400,), "depth must be an integer from 1 to 1000"),
            (pb.Potential, (2, -1.0), "ratio must be a positive number"),
            (pb.Potential, (2, pb.ConstantRatio([0.1, 0.2])), "one law, with scalar parameters"),
            (pb.Potential, (2, 0.1, 0.0), "time_scale must be a finite number above 0"),
            (pb.Potential, (2, None, 2.0), "the plain flow has no time_scale"),
            (pb.Potential, (2, 0.1, 1.0, np.inf), "r0 must be a finite number above 0"),
            (pb.Potential.of, (pb.Difference(WN),), "a potential belongs to HadamardPower"),
            (pb.Potential.of, (pb.WeightNormalization(WN.inner, 0.1, [1.0, 2.0]),), "one direction_rate"),
            (pb.Potential.of, (WN, 1.0, 0.0), "direction_norm must be"),
        ],
    )
    def test_bad_parameters(self, make, arguments, message):
        with pytest.raises(pb.InvalidInput, match=message):
            make(*arguments)

    @pytest.mark.parametrize("value", [[np.nan, 1.0], [np.inf, 1.0], ["a"], [], 1.0], ids=repr)
    def test_bad_signals(self, value):
        potential = pb.Potential(2, 0.1)
        for method in (potential.value, potential.mirror_map, potential.kappa, potential.conjugate):
            with pytest.raises(pb.InvalidInput, match=r"log_x|phi"):
                method(value)
        with pytest.raises(pb.InvalidInput, match="log_z"):
            potential.bregman(value, [0.0, 0.0])

    @pytest.mark.parametrize("sign", ["abc", 1j, object(), np.nan, np.inf, -5, 2.7, None, True, [], [1, 0], [1, 1, 1]])
    def test_bad_signs(self, sign):
        for depth in (1, 2):
            with pytest.raises(pb.InvalidInput, match="sign"):
                pb.Potential(depth).bregman([0.0, 0.0], [0.0, 0.0], sign)

    def test_shapes_that_do_not_broadcast(self):
        with pytest.raises(pb.InvalidInput, match=r"log_z, log_x and sign must have shapes .* got \(2,\), \(3,\)"):
            pb.Potential(2).bregman([0.0, 0.0], [0.0, 0.0, 0.0])

    def test_radii_out_of_reach(self):
        for depth, law in ((1, None), (2, 0.1), (3, pb.PowerRatio(1.0, 5))):
            potential = pb.Potential(depth, law)
            for shift in (-1e5, 1e5):
                with pytest.raises(pb.InvalidInput, match="too large or too small"):
                    potential.mirror_map([shift, shift])
        # r^5 is 0 in floats long before r is.
        with pytest.raises(pb.InvalidInput, match=r"f\(r\) .* beyond the range of floats"):
            pb.Potential(2, pb.PowerRatio(1.0, 5)).value([-400.0, -400.0])
