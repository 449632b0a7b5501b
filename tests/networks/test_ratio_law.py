"""Ratio laws that a user writes, and the defaults of the base class."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jnp
from polarbias.networks.laws import as_ratio
from polarbias.networks.ratio_law import RatioLaw


class CubicRatio(pb.RatioLaw):
    """A user's law, f = a r^3."""

    a: float

    def f(self, r):
        _, law, r = self.cast(r)
        return law.a * r**3

    def E(self, r):
        _, law, r = self.cast(r)
        return -1 / (law.a * r)

    def E_inverse(self, E):
        _, law, E = self.cast(E)
        return -1 / (law.a * E)


def test_a_users_law():
    law, reference = CubicRatio(0.7), pb.PowerRatio(0.7, 3)
    for r in (0.5, np.array([0.5, 2.0]), jnp.array([0.5, 2.0])):
        np.testing.assert_allclose(law.E(r), reference.E(r), rtol=1e-6)
        assert law.f(r).dtype == reference.f(r).dtype
    assert as_ratio(law) is law
    assert repr(law) == "CubicRatio(a=0.7)"


def test_a_law_without_its_functions_is_refused():
    class Unfinished(pb.RatioLaw):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Unfinished()


def test_defaults_agree_with_the_closed_forms_of_the_same_law():
    law, reference = CubicRatio(0.7), pb.PowerRatio(0.7, 3)
    assert law.power is None
    for time_scale in (1.0, 1.7):
        assert law.of_square(time_scale).E(4.0) == pytest.approx(reference.of_square(time_scale).E(4.0), rel=1e-14)
        assert law.of_square(time_scale).f(4.0) == pytest.approx(reference.of_square(time_scale).f(4.0), rel=1e-14)
        assert law.of_square(time_scale).E_inverse(-0.5) == pytest.approx(
            reference.of_square(time_scale).E_inverse(-0.5), rel=1e-14
        )
        assert law.log_magnification(0.5, 2.0, time_scale) == pytest.approx(
            reference.log_magnification(0.5, 2.0, time_scale), rel=1e-14
        )
    assert law.coefficient_slope(1.3) == pytest.approx(reference.coefficient_slope(1.3), rel=1e-14)
    with pytest.raises(pb.InvalidInput, match="not known for CubicRatio"):
        law.magnifying_radii(1.0)


def test_a_subclass_with_another_law_loses_the_closed_forms():
    class Doubled(pb.ConstantRatio):
        def f(self, r):
            return 2 * super().f(r)

        def E(self, r):
            return super().E(r) / 2

        def E_inverse(self, E):
            return super().E_inverse(2 * E)

    class Named(pb.ConstantRatio):
        """The same law."""

    assert Doubled(1.0).power is None
    assert Doubled(1.0).of_square().f(4.0) == 2.0
    assert Doubled(1.0).log_magnification(1.0, 2.0) == pytest.approx(pb.ConstantRatio(2.0).log_magnification(1.0, 2.0))
    assert Named(1.0).power == (1.0, 0.0)


def test_a_law_of_two_coefficients_has_no_slope():
    class Sum(RatioLaw):
        a: float
        b: float

        def f(self, r):
            return self.a + self.b

        E = E_inverse = f

    with pytest.raises(pb.InvalidInput, match="one coefficient"):
        Sum(1.0, 2.0).coefficient_slope(1.0)
