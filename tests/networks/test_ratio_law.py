"""Ratio laws that a user writes, the defaults of the base class, and radii that magnify."""

import numpy as np
import pytest

import polarbias as pb
from optional_jax import jnp


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


LAW, REFERENCE = CubicRatio(0.7), pb.PowerRatio(0.7, 3)


@pytest.mark.parametrize("time_scale", [1.0, 1.7])
def test_defaults_agree_with_the_closed_forms_of_the_same_law(time_scale):
    pytest.importorskip("jax")
    values = []
    for law in (LAW, REFERENCE):
        of_square = law.of_square(time_scale)
        values.append([of_square.E(4.0), of_square.f(4.0), of_square.E_inverse(-0.5)])
        values[-1] += [law.log_magnification(0.5, 2.0, time_scale), law.coefficient_slope(1.3)]
    np.testing.assert_allclose(*values, rtol=1e-14)
    assert LAW.f(jnp.ones(2)).dtype == REFERENCE.f(jnp.ones(2)).dtype
    assert repr(LAW) == "CubicRatio(a=0.7)"


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
    class Sum(pb.RatioLaw):
        a: float
        b: float

        def f(self, r):
            return self.a + self.b

        E = E_inverse = f

    with pytest.raises(pb.InvalidInput, match="one coefficient"):
        Sum(1.0, 2.0).coefficient_slope(1.0)


@pytest.mark.parametrize(
    "law",
    [
        *map(pb.ConstantRatio, (0.01, 0.5, 3.9, 4.1, 80.0)),
        *(pb.PowerRatio(c, 2) for c in (0.5, 2.0)),
        *(pb.PowerRatio(c, k) for c in (0.3, 4.0) for k in (1.0, -1.0, 3.0, 4.5)),
        pb.HarmonicRatio(0.4),
    ],
    ids=repr,
)
def test_radii_that_magnify_are_exactly_those(law):
    r = 2.0
    intervals = law.magnifying_radii(r)
    r0 = np.concatenate([r * np.geomspace(1e-3, 1e3, 2000), [0.999999 * r, 1.000001 * r]])
    ends = np.array([end for pair in intervals for end in pair if 0 < end < np.inf])
    assert any(np.abs(ends / r - 1) < 1e-12)
    for end in ends[(ends > 1e-3) & (np.abs(ends / r - 1) > 1e-3)]:
        assert law.E(end) - np.log(end) == pytest.approx(law.E(r) - np.log(r), rel=1e-9)
        r0 = np.append(r0, end * np.array([1 - 1e-7, 1 + 1e-7]))
    gain = np.log(r0 / r) + law.E(r) - law.E(r0)
    inside = np.any([(low <= r0) & (r0 <= high) for low, high in intervals], axis=0)
    np.testing.assert_array_equal(gain >= 0, inside)
    assert len(set(inside)) == 2


def test_radii_beyond_the_range_of_exponentials():
    """The small root is r e^(-y/2), y = r^2 / eta, where e^(-y) underflows; the two forms meet at y = 700."""
    for y in (699.0, 701.0, 1300.0):
        ((low, high),) = pb.ConstantRatio(1 / y).magnifying_radii(1.0)
        assert high == 1.0
        assert np.log(low) == pytest.approx(-y / 2, rel=1e-12)
    assert pb.ConstantRatio(1e-9).magnifying_radii(1.0) == ((0.0, 1.0),)
    ((low, high),) = pb.ConstantRatio(1.0).magnifying_radii(1e-150)
    assert low == 1e-150
    assert -(high**2) / 2 + np.log(high) == pytest.approx(np.log(1e-150), rel=1e-12)
    assert pb.PowerRatio(1.0, 2).magnifying_radii(3.0) == ((0.0, np.inf),)
    ((low, high),) = pb.ConstantRatio(4.0).magnifying_radii(2.0)
    assert low == pytest.approx(high, rel=1e-7)


@pytest.mark.parametrize(
    ("law", "time_scale", "message"),
    [(pb.ConstantRatio([1.0, 2.0]), 1.0, "one set"), (pb.HarmonicRatio(1.0), 2.0, "not known"), (LAW, 1.0, "CubicRat")],
)
def test_unknown_radii(law, time_scale, message):
    with pytest.raises(pb.InvalidInput, match=message):
        law.magnifying_radii(1.0, time_scale)
