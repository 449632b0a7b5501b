"""Ratio laws against 40-digit arithmetic and differences."""

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import polarbias as pb
from optional_jax import jax, jnp
from polarbias.networks.laws import as_ratio, make_law

mpmath.mp.dps = 40

EXPONENTS = [-1.5, 0, 0.5, 1, 1.999, 2, 2.001, 3, 4]
LAWS = {
    "constant": pb.ConstantRatio(0.3),
    **{f"power {k}": pb.PowerRatio(0.7, k) for k in EXPONENTS},
    "harmonic": pb.HarmonicRatio(0.3),
    "harmonic, large": pb.HarmonicRatio(1e3),
}
METHODS = ("f", "E", "E_inverse")


def exact(law, r):
    """(f, E) in 40 digits, from the formulas of the paper and of the class docstrings."""
    r = mpmath.mpf(float(r))
    if isinstance(law, pb.PowerRatio):
        c, k = mpmath.mpf(float(law.c)), mpmath.mpf(law.k)
        return c * r**k, mpmath.log(r) / c if k == 2 else r ** (2 - k) / (c * (2 - k))
    eta = mpmath.mpf(float(law.eta))
    if isinstance(law, pb.ConstantRatio):
        return eta, r**2 / (2 * eta)
    return 1 / (1 / r**2 + 1 / eta), mpmath.log(r) + r**2 / (2 * eta)


@pytest.fixture(params=LAWS)
def law(request):
    return LAWS[request.param]


@given(st.sampled_from(sorted(LAWS)), st.floats(1e-3, 1e3))
def test_values_against_forty_digits(name, r):
    law = LAWS[name]
    f, E = exact(law, r)
    assert law.f(r) == pytest.approx(float(f), rel=1e-14)
    # log(r) + r^2 / (2 eta) has a zero: there only its terms are known to rounding.
    assert law.E(r) == pytest.approx(float(E), rel=1e-14, abs=1e-15 * (1 + abs(np.log(r))))
    # E is rounded: its last bit is worth f/r^2 times |E| in the radius.
    assert law.E_inverse(law.E(r)) == pytest.approx(r, rel=1e-13 + 4e-16 * abs(float(E)) * float(f) / r**2)


@pytest.mark.parametrize("time_scale", [1.0, 1.7])
def test_closed_forms(law, time_scale):
    """Equation (17), functions of r^2, and the power, at two rates of the direction."""
    for r0, r in ((0.5, 3.0), (2.0, 0.3)):
        expected = mpmath.log(r0) - mpmath.log(r) + time_scale * (exact(law, r)[1] - exact(law, r0)[1])
        assert law.log_magnification(r0, r, time_scale) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)
    of_square = law.of_square(time_scale)
    for r in (0.3, 1.0, 2.5):
        f, E = exact(law, r)
        assert of_square.E(r**2) == pytest.approx(float(time_scale * E), rel=1e-12, abs=1e-14)
        assert of_square.f(r**2) == pytest.approx(float(f) / time_scale, rel=1e-12)
        assert of_square.E_inverse(float(time_scale * E)) == pytest.approx(r**2, rel=1e-9)
    if isinstance(law, pb.HarmonicRatio):
        assert law.power is None
    else:
        assert law.f(1.7) == pytest.approx(float(law.power[0]) * 1.7 ** law.power[1], rel=1e-14)
    assert pb.PowerRatio(1, 2).log_magnification(0.5, 3.0) == 0


def test_slopes_in_the_coefficient(law):
    value = float(law.c if isinstance(law, pb.PowerRatio) else law.eta)

    def E(coefficient):
        return float((pb.PowerRatio(coefficient, law.k) if hasattr(law, "k") else type(law)(coefficient)).E(1.3))

    h = 1e-6 * value
    expected = (E(value + h) - E(value - h)) / (2 * h)
    assert law.coefficient_slope(1.3) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.floats(-745, 1e5), st.floats(-8, 8))
@example(-745.0, 0.0)
@example(0.5, 0.0)
@example(1e17, 0.0)
@example(1e200, 0.0)
def test_harmonic_inverse_against_wright_omega(E, log_eta):
    eta = mpmath.mpf(10.0**log_eta)
    z = 2 * mpmath.mpf(E) - mpmath.log(eta)
    omega = mpmath.lambertw(mpmath.exp(z)).real if z < 1e6 else z - mpmath.log(z - mpmath.log(z))
    expected = float(mpmath.sqrt(eta * omega))
    assert pb.HarmonicRatio(float(eta)).E_inverse(E) == pytest.approx(expected, rel=2e-14, abs=1e-323)


def test_limits_and_their_inverses(law):
    harmonic, k = isinstance(law, pb.HarmonicRatio), getattr(law, "k", 0)
    at_zero, at_infinity = -np.inf if harmonic or k >= 2 else 0, 0 if k > 2 else np.inf
    assert (law.E(0.0), law.E(np.inf)) == (at_zero, at_infinity)
    assert (law.E_inverse(at_zero), law.E_inverse(at_infinity)) == (0, np.inf)
    assert np.isfinite(law.f(0.0)) == (k >= 0)
    np.testing.assert_array_equal(jnp.isfinite(law.E(jnp.array([0.0, jnp.inf]))), np.isfinite([at_zero, at_infinity]))
    assert (pb.HarmonicRatio(0.3).f(0.0), pb.HarmonicRatio(0.3).f(np.inf)) == (0, 0.3)


def test_values_outside_the_range_are_not_silent():
    for law, E in ((pb.ConstantRatio(1.0), -1.0), (pb.PowerRatio(1.0, 1), -1.0), (pb.PowerRatio(1.0, 3), 1.0)):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(law.E_inverse(E))


@pytest.mark.parametrize("kind", [pb.ConstantRatio, pb.HarmonicRatio, lambda c: pb.PowerRatio(c, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_parameters_broadcast_over_configurations(kind, method):
    eta, r = np.array([[0.1, 1.0, 10.0], [0.2, 2.0, 20.0]]), np.array([[1.0], [2.0]])
    value = -r if method == "E_inverse" and kind(1.0).E(1.0) < 0 else r
    expected = [[getattr(kind(eta[i, j]), method)(value[i, 0]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(getattr(kind(eta), method)(value), expected, rtol=1e-15)


@pytest.mark.parametrize("value", [2, np.float32(2), [1.0, 2.0], np.ones(3, np.float32), True])
def test_numpy_input_gives_float64(law, value):
    for result in (law.f(value), law.E(value), law.E_inverse(law.E(value)), pb.ConstantRatio(1).E_inverse(value)):
        assert isinstance(result, np.ndarray | np.float64)
        assert (result.dtype, result.shape) == (np.float64, np.shape(value))


@pytest.mark.parametrize("name", ["constant", "power 2", "power 3", "harmonic"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jax_keeps_the_dtype_and_has_the_derivatives(name, dtype):
    law, r = LAWS[name], 1.3
    tolerance = 2e-6 if dtype == np.float32 else 1e-14
    with jax.enable_x64(dtype == np.float64):
        for method, value in zip(METHODS, (r, r, law.E(r)), strict=True):
            function = getattr(law, method)
            for call in (function, jax.jit(function)) if dtype == np.float64 else (function,):
                result = call(jnp.asarray([value], dtype))
                assert isinstance(result, jax.Array)
                assert result.dtype == dtype
                assert float(result[0]) == pytest.approx(function(value), rel=tolerance, abs=tolerance)
        if dtype == np.float64:
            assert float(jax.grad(law.E)(r)) == pytest.approx(r / law.f(r), rel=1e-13)
            assert float(jax.grad(law.E_inverse)(law.E(r))) == pytest.approx(law.f(r) / r, rel=1e-12)


def test_a_law_passes_through_jit_and_vmap_as_an_argument():
    assert jnp.issubdtype(pb.ConstantRatio(1.0).E(jnp.arange(3)).dtype, jnp.floating)
    with jax.enable_x64(True):
        laws = pb.HarmonicRatio([0.1, 1.0])
        mapped = jax.jit(jax.vmap(lambda law, r: law.E_inverse(law.E(r)), (0, None)))(laws, 2.0)
        np.testing.assert_allclose(mapped, [2, 2], rtol=1e-13)
        built = jax.jit(lambda eta: pb.ConstantRatio(eta).f(np.ones(2)))(0.5)
        np.testing.assert_array_equal(built, [0.5, 0.5])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [1j, "a", None, "an array of JAX"])
def test_not_a_real_number(law, method, value):
    value = jnp.array(1j) if value == "an array of JAX" else value
    with pytest.raises(pb.InvalidInput, match="real numbers"):
        getattr(law, method)(value)


def test_as_ratio(law):
    given = np.array([0.5, 1.0])
    for value in (1, np.float32(0.5), [0.5, 1], given, jnp.array([0.5, 1.0])):
        constant = as_ratio(value)
        assert isinstance(constant, pb.ConstantRatio)
        np.testing.assert_array_equal(constant.eta, np.asarray(value, float))
        assert constant.eta is not given
        assert not constant.eta.flags.writeable
    assert as_ratio(law) is law


@pytest.mark.parametrize(
    "value", [0, -1.0, [1.0, 0.0], np.nan, np.inf, 1j, "0.1", None, {}, [], True, pb.ConstantRatio]
)
def test_refused_coefficients(value):
    with pytest.raises(pb.InvalidInput, match="ratio must be a positive number, an array of them, or a RatioLaw, got"):
        as_ratio(value)
    for kind, name in ((pb.ConstantRatio, "eta"), (pb.HarmonicRatio, "eta"), (lambda c: pb.PowerRatio(c, 2), "c")):
        with pytest.raises(pb.InvalidInput, match=f"^{name} "):
            kind(value)


@pytest.mark.parametrize("k", [np.nan, np.inf, 1j, "2", None, [2.0], np.array([2.0]), True])
def test_refused_exponents(k):
    with pytest.raises(pb.InvalidInput, match="k must be a finite number"):
        pb.PowerRatio(1.0, k)


def test_names_of_laws():
    assert make_law("constant", 0.1) == pb.ConstantRatio(0.1)
    assert make_law("harmonic", 0.1) == pb.HarmonicRatio(0.1)
    assert make_law("power:-1.5", 0.1) == pb.PowerRatio(0.1, -1.5)
    for name in ("", "constant:1", "power", "power:x", "powers:2"):
        with pytest.raises(pb.InvalidInput, match="law must be constant, harmonic or power:K"):
            make_law(name, 0.1)
