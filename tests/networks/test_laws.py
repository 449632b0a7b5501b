"""Ratio laws against 40-digit arithmetic, quadrature and differences."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

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
positive = st.floats(1e-3, 1e3)


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


class TestValues:
    @given(st.sampled_from(sorted(LAWS)), positive)
    def test_values_against_forty_digits(self, name, r):
        law = LAWS[name]
        f, E = exact(law, r)
        assert law.f(r) == pytest.approx(float(f), rel=1e-14)
        # log(r) + r^2 / (2 eta) has a zero: there only its terms are known to rounding
        assert law.E(r) == pytest.approx(float(E), rel=1e-14, abs=1e-15 * (1 + abs(np.log(r))))

    @given(st.sampled_from(sorted(LAWS)), positive)
    def test_inverse(self, name, r):
        law = LAWS[name]
        E = law.E(r)
        f, _ = exact(law, r)
        # E is rounded: its last bit is worth f/r^2 times |E| in the radius
        assert law.E_inverse(E) == pytest.approx(r, rel=1e-13 + 4e-16 * abs(E) * float(f) / r**2)

    def test_antiderivative(self, law):
        for low, high in ((0.2, 0.5), (0.5, 3.0), (3.0, 4.0)):
            area, _ = quad(lambda s: s / law.f(s), low, high, epsabs=0, epsrel=1e-13)
            assert law.E(high) - law.E(low) == pytest.approx(area, rel=1e-11)

    def test_special_cases_agree(self):
        r = np.linspace(0.1, 5, 7)
        np.testing.assert_allclose(pb.PowerRatio(0.3, 0).E(r), pb.ConstantRatio(0.3).E(r), rtol=1e-15)
        np.testing.assert_allclose(pb.HarmonicRatio(1e12).f(r), pb.PowerRatio(1, 2).f(r), rtol=1e-10)  # plain flow
        np.testing.assert_allclose(pb.HarmonicRatio(1e-12).f(r), 1e-12, rtol=1e-9)

    def test_magnification_factors(self, law):
        """rho = (r0 / rinf) exp(E(rinf) - E(r0)), equation (17) for the constant law, at two rates of the direction."""
        for time_scale in (1.0, 1.7):
            for r0, r in ((0.5, 3.0), (2.0, 0.3)):
                expected = mpmath.log(r0) - mpmath.log(r) + time_scale * (exact(law, r)[1] - exact(law, r0)[1])
                assert law.log_magnification(r0, r, time_scale) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)
        assert pb.PowerRatio(1, 2).log_magnification(0.5, 3.0) == 0

    def test_functions_of_the_squared_radius(self, law):
        for time_scale in (1.0, 1.7):
            of_square = law.of_square(time_scale)
            for r in (0.3, 1.0, 2.5):
                f, E = exact(law, r)
                assert of_square.E(r**2) == pytest.approx(float(time_scale * E), rel=1e-12, abs=1e-14)
                assert of_square.f(r**2) == pytest.approx(float(f) / time_scale, rel=1e-12)
                assert of_square.E_inverse(float(time_scale * E)) == pytest.approx(r**2, rel=1e-9)

    def test_slopes_in_the_coefficient(self, law):
        name = "c" if isinstance(law, pb.PowerRatio) else "eta"
        h = 1e-6 * float(getattr(law, name))

        def shifted(step):
            value = float(getattr(law, name)) + step
            return pb.PowerRatio(value, law.k) if name == "c" else type(law)(value)

        expected = (shifted(h).E(1.3) - shifted(-h).E(1.3)) / (2 * h)
        assert law.coefficient_slope(1.3) == pytest.approx(expected, rel=1e-6, abs=1e-12)

    def test_power_laws(self, law):
        if isinstance(law, pb.HarmonicRatio):
            assert law.power is None
        else:
            c, k = law.power
            assert law.f(1.7) == pytest.approx(float(c) * 1.7**k, rel=1e-14)

    def test_magnifying_radii(self, law):
        """rho is 1 at the ends of the intervals, above it inside, below it outside."""
        for low, high in law.magnifying_radii(1.3):
            for end in (low, high):
                if 0 < end < np.inf:
                    assert law.log_magnification(end, 1.3) == pytest.approx(0, abs=1e-9)
            inside = np.sqrt(low * high) if low > 0 and high < np.inf else 0.9 * high if high < np.inf else low + 0.1
            assert law.log_magnification(inside, 1.3) > 0


class TestHarmonicInverse:
    @given(st.floats(-700, 1e6), st.floats(-8, 8))
    def test_against_wright_omega(self, E, log_eta):
        eta = 10.0**log_eta
        exact_eta = mpmath.mpf(eta)
        omega = mpmath.lambertw(mpmath.exp(2 * mpmath.mpf(E) - mpmath.log(exact_eta))).real
        expected = mpmath.sqrt(exact_eta * omega)
        assert pb.HarmonicRatio(eta).E_inverse(E) == pytest.approx(float(expected), rel=2e-14)

    @pytest.mark.parametrize("E", [-745.0, -700.0, -1.0, 0.0, 0.5, 1.0, 1e6, 1e15, 1e17, 1e200])
    def test_far_values(self, E):
        r = float(pb.HarmonicRatio(1.0).E_inverse(E))
        omega = mpmath.lambertw(mpmath.exp(2 * mpmath.mpf(E))).real if E < 1e5 else None
        expected = float(mpmath.sqrt(omega)) if omega is not None else np.sqrt(2 * E - np.log(2 * E - np.log(2 * E)))
        assert r == pytest.approx(expected, rel=1e-14, abs=1e-323)

    def test_is_increasing_across_its_branches(self):
        E = np.linspace(-0.5, 1.5, 4001)
        for eta in (0.1, 1.0, 10.0):
            assert (np.diff(pb.HarmonicRatio(eta).E_inverse(E)) > 0).all()


class TestEnds:
    @pytest.mark.parametrize(
        ("law", "at_zero", "at_infinity"),
        [
            (pb.ConstantRatio(0.3), 0, np.inf),
            (pb.PowerRatio(0.3, 1), 0, np.inf),
            (pb.PowerRatio(0.3, -1), 0, np.inf),
            (pb.PowerRatio(0.3, 2), -np.inf, np.inf),
            (pb.PowerRatio(0.3, 4), -np.inf, 0),
            (pb.HarmonicRatio(0.3), -np.inf, np.inf),
        ],
        ids=repr,
    )
    def test_limits_and_their_inverses(self, law, at_zero, at_infinity):
        assert law.E(0.0) == at_zero
        assert law.E(np.inf) == at_infinity
        assert law.E_inverse(at_zero) == 0
        assert law.E_inverse(at_infinity) == np.inf
        assert np.isfinite(law.f(0.0)) or law == pb.PowerRatio(0.3, -1)
        np.testing.assert_array_equal(
            jnp.isfinite(law.E(jnp.array([0.0, jnp.inf]))), np.isfinite([at_zero, at_infinity])
        )

    def test_harmonic_law_at_its_ends(self):
        assert pb.HarmonicRatio(0.3).f(0.0) == 0
        assert pb.HarmonicRatio(0.3).f(np.inf) == 0.3

    @pytest.mark.parametrize(
        ("law", "E"), [(pb.ConstantRatio(1.0), -1.0), (pb.PowerRatio(1.0, 1), -1.0), (pb.PowerRatio(1.0, 3), 1.0)]
    )
    def test_values_outside_the_range_are_not_silent(self, law, E):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(law.E_inverse(E))


class TestShapesAndTypes:
    def test_parameters_broadcast_over_configurations(self):
        eta = np.array([[0.1, 1.0, 10.0], [0.2, 2.0, 20.0]])
        r = np.array([[1.0], [2.0]])
        for kind in (pb.ConstantRatio, pb.HarmonicRatio, lambda c: pb.PowerRatio(c, 3)):
            for method in ("f", "E", "E_inverse"):
                value = -r if method == "E_inverse" and kind(1.0).E(1.0) < 0 else r
                batch = getattr(kind(eta), method)(value)
                assert batch.shape == (2, 3)
                for i, j in np.ndindex(2, 3):
                    assert batch[i, j] == pytest.approx(getattr(kind(eta[i, j]), method)(value[i, 0]), rel=1e-15)

    @pytest.mark.parametrize(
        "value", [2, 2.0, np.float32(2), np.array([1, 2]), [1.0, 2.0], np.ones(3, np.float32), True]
    )
    def test_numpy_input_gives_float64(self, law, value):
        for result in (law.f(value), law.E(value), law.E_inverse(law.E(value)), pb.ConstantRatio(1).E_inverse(value)):
            assert isinstance(result, np.ndarray | np.float64)
            assert result.dtype == np.float64
            assert result.shape == np.shape(value)

    # Near k = 2 the inverse of E is a 1000th power: far from single precision at any one value.
    @pytest.mark.parametrize("name", [name for name in LAWS if name not in ("power 1.999", "power 2.001")])
    def test_jax_keeps_the_dtype(self, name):
        law = LAWS[name]
        E = -2.0 if getattr(law, "k", 0) > 2 else 2.0
        for flag in (False, True):
            with jax.enable_x64(flag):
                for dtype in (jnp.float32, jnp.float64) if flag else (jnp.float32,):
                    for method, value in (("f", 2.0), ("E", 2.0), ("E_inverse", E)):
                        expected = getattr(law, method)(value)
                        for call in (getattr(law, method), jax.jit(getattr(law, method))):
                            result = call(jnp.asarray([value], dtype))
                            assert isinstance(result, jax.Array)
                            assert result.dtype == dtype
                            tolerance = 2e-6 if dtype == jnp.float32 else 1e-14
                            assert float(result[0]) == pytest.approx(expected, rel=tolerance, abs=tolerance)

    def test_integer_jax_input_becomes_floating(self):
        assert jnp.issubdtype(pb.ConstantRatio(1.0).E(jnp.arange(3)).dtype, jnp.floating)

    def test_numpy_results_do_not_depend_on_the_flag_or_the_thread(self, law):
        r = np.linspace(0.1, 3, 50)
        expected = law.E_inverse(law.E(r))
        with jax.enable_x64(True):
            np.testing.assert_array_equal(law.E_inverse(law.E(r)), expected)
        with ThreadPoolExecutor(1) as pool:
            np.testing.assert_array_equal(pool.submit(lambda: law.E_inverse(law.E(r))).result(), expected)

    @pytest.mark.parametrize("method", ["f", "E", "E_inverse"])
    @pytest.mark.parametrize("value", [1j, "a", None, "an array of JAX"])
    def test_not_a_real_number(self, law, method, value):
        value = jnp.array(1j) if value == "an array of JAX" else value
        with pytest.raises(pb.InvalidInput, match="real numbers"):
            getattr(law, method)(value)


class TestJax:
    def test_derivatives(self, law):
        r = 1.3
        E = law.E(r)
        with jax.enable_x64(True):
            assert float(jax.grad(law.E)(r)) == pytest.approx(r / law.f(r), rel=1e-13)
            assert float(jax.grad(law.E_inverse)(E)) == pytest.approx(law.f(r) / r, rel=1e-12)

    def test_a_law_passes_through_jit_and_vmap_as_an_argument(self):
        with jax.enable_x64(True):
            laws = pb.HarmonicRatio([0.1, 1.0])
            mapped = jax.jit(jax.vmap(lambda law, r: law.E_inverse(law.E(r)), (0, None)))(laws, 2.0)
            np.testing.assert_allclose(mapped, [2, 2], rtol=1e-13)
            built = jax.jit(lambda eta: pb.ConstantRatio(eta).f(np.ones(2)))(0.5)
            np.testing.assert_array_equal(built, [0.5, 0.5])


def spawned(law):
    return law.E(2.0), law.f(2.0)


class TestObjects:
    def test_copy_and_pickle(self, law):
        for other in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
            assert type(other) is type(law)
            assert repr(other) == repr(law)
            assert other.E(1.7) == law.E(1.7)

    def test_through_a_spawned_process(self):
        laws = [pb.ConstantRatio([0.1, 1.0]), pb.PowerRatio(0.7, 3), pb.HarmonicRatio(0.3)]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            for law, (E, f) in zip(laws, pool.map(spawned, laws), strict=True):
                np.testing.assert_array_equal(E, law.E(2.0))
                np.testing.assert_array_equal(f, law.f(2.0))

    def test_frozen_and_apart_from_the_callers_array(self):
        eta = np.array([0.1, 1.0])
        law = pb.ConstantRatio(eta)
        eta[0] = 5.0
        assert law.eta.tolist() == [0.1, 1.0]
        assert type(law.eta) is np.ndarray
        assert law.eta.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            law.eta[0] = 5.0
        with pytest.raises(AttributeError):
            law.eta = eta

    def test_as_ratio(self):
        for value in (0.5, 1, np.float32(0.5), [0.5, 1], np.array([[0.5]]), jnp.array([0.5, 1.0])):
            law = as_ratio(value)
            assert isinstance(law, pb.ConstantRatio)
            np.testing.assert_array_equal(law.eta, np.asarray(value, float))
        for law in LAWS.values():
            assert as_ratio(law) is law

    BAD = (0, -1.0, [1.0, 0.0], np.nan, np.inf, 1j, "0.1", None, {}, [], object(), lambda r: r, pb.ConstantRatio)

    @pytest.mark.parametrize("value", BAD, ids=lambda value: f"{type(value).__name__}-{str(value)[:9]}")
    def test_as_ratio_refuses(self, value):
        with pytest.raises(
            pb.InvalidInput, match="ratio must be a positive number, an array of them, or a RatioLaw, got"
        ):
            as_ratio(value)

    @pytest.mark.parametrize("value", BAD[:8], ids=repr)
    def test_laws_refuse(self, value):
        for kind, name in ((pb.ConstantRatio, "eta"), (pb.HarmonicRatio, "eta"), (lambda c: pb.PowerRatio(c, 2), "c")):
            with pytest.raises(pb.InvalidInput, match=f"^{name} "):
                kind(value)

    @pytest.mark.parametrize("k", [np.nan, np.inf, 1j, "2", None, [2.0], np.array([2.0]), True])
    def test_exponent(self, k):
        with pytest.raises(pb.InvalidInput, match="k must be a finite number"):
            pb.PowerRatio(1.0, k)

    def test_names_of_laws(self):
        assert make_law("constant", 0.1) == pb.ConstantRatio(0.1)
        assert make_law("harmonic", 0.1) == pb.HarmonicRatio(0.1)
        assert make_law("power:-1.5", 0.1) == pb.PowerRatio(0.1, -1.5)
        for name in ("", "constant:1", "power", "power:x", "powers:2"):
            with pytest.raises(pb.InvalidInput, match="law must be constant, harmonic or power:K"):
                make_law(name, 0.1)
