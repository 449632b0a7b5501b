r"""Ratio laws with closed forms: constant, power, harmonic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.networks.ratio_law import RatioLaw, SquaredRadius
from polarbias.runtime.arrays import positive_array
from polarbias.runtime.options import number
from polarbias.runtime.pytree import static_field


class ConstantRatio(RatioLaw):
    r"""Constant law of the paper, :math:`f = \eta`, :math:`E = r^2 / (2 \eta)` (eqs. 12-13, arXiv:2305.05448v1).

    Parameters
    ----------
    eta
        Learning-rate ratio, a positive number or an array of them that broadcasts over configurations; others raise
        `InvalidInput`.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.ConstantRatio([0.1, 1.0])
    >>> law.E(2.0)
    array([20.,  2.])
    >>> law.E_inverse([20.0, 2.0])
    array([2., 2.])
    """

    eta: Any

    def __init__(self, eta: ArrayLike) -> None:
        """Check the parameter."""
        self.eta = positive_array(eta, "eta")

    def f(self, r: Any) -> Any:
        """Return eta, broadcast to the shape of ``r``."""
        xp, law, r = self.cast(r)
        return law.eta * xp.ones_like(r)

    def E(self, r: Any) -> Any:
        """Return r^2 / (2 eta)."""
        _, law, r = self.cast(r)
        return r * (r / (2 * law.eta))

    def E_inverse(self, E: Any) -> Any:
        """Return sqrt(2 eta E), for E >= 0."""
        xp, law, E = self.cast(E)
        return xp.sqrt(2 * law.eta * E)

    @property
    def power(self) -> tuple[Any, float]:
        """Coefficient eta and exponent 0."""
        return self.eta, 0.0

    def of_square(self, time_scale: float = 1.0) -> SquaredRadius:
        """Return s / (2 eta), eta and 2 eta E."""
        eta = float(self.eta) / time_scale
        return SquaredRadius(lambda s: s / (2 * eta), lambda s: eta + 0.0 * s, lambda E: 2 * eta * E)

    def log_magnification(self, r0: float, r: float, time_scale: float = 1.0) -> float:
        """Return log(r0 / r) + (r^2 - r0^2) / (2 eta), with the difference of squares first: it cancels less."""
        return float(np.log(r0) - np.log(r) + (r - r0) * (r + r0) * time_scale / (2 * self.eta))


class PowerRatio(RatioLaw):
    r"""Power law :math:`f = c\, r^k`; k = 2, c = 1 is the schedule of Theorem 2.3 (arXiv:2305.05448v1).

    .. math:: E = \frac{r^{2-k}}{c (2 - k)} \quad (k \ne 2), \qquad E = \frac{\log r}{c} \quad (k = 2).

    E takes the values [0, inf) for k < 2, all real numbers for k = 2, and (-inf, 0] for k > 2.

    Parameters
    ----------
    c
        Factor, a positive number or an array of them that broadcasts over configurations; others raise
        `InvalidInput`.
    k
        Exponent, any real number; static, so one law has one exponent.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.PowerRatio(c=1.0, k=2)
    >>> float(law.f(3.0)), float(law.E(1.0)), float(law.E_inverse(0.0))
    (9.0, 0.0, 1.0)
    """

    c: Any
    k: float = static_field()

    def __init__(self, c: ArrayLike, k: float) -> None:
        """Check the parameters."""
        self.c, self.k = positive_array(c, "c"), number("k", k)

    def f(self, r: Any) -> Any:
        """Return c r^k."""
        _, law, r = self.cast(r)
        with np.errstate(divide="ignore"):  # r = 0 with k < 0: the limit there is inf
            return law.c * r**law.k

    def E(self, r: Any) -> Any:
        """Return r^(2-k) / (c (2-k)), or log(r) / c for k = 2."""
        xp, law, r = self.cast(r)
        with np.errstate(divide="ignore"):  # r = 0 with k >= 2: the limit there is -inf
            if law.k == 2:
                return xp.log(r) / law.c
            return r ** (2 - law.k) / (law.c * (2 - law.k))

    def E_inverse(self, E: Any) -> Any:
        """Return (c (2-k) E)^(1/(2-k)), or exp(c E) for k = 2."""
        xp, law, E = self.cast(E)
        if law.k == 2:
            return xp.exp(law.c * E)
        with np.errstate(divide="ignore"):  # E = 0 with k > 2: r is infinite
            # A square root, NaN for negative numbers, whose integer powers would be finite. abs: sqrt(-0.0) is -0.0.
            return xp.abs(xp.sqrt(law.c * (2 - law.k) * E)) ** (2 / (2 - law.k))

    @property
    def power(self) -> tuple[Any, float]:
        """Coefficient c and exponent k."""
        return self.c, self.k

    def of_square(self, time_scale: float = 1.0) -> SquaredRadius:
        """Return log(s) / (2 c), c s and exp(2 c E) for k = 2."""
        if self.k != 2:
            return super().of_square(time_scale)
        c = float(self.c) / time_scale
        return SquaredRadius(lambda s: _log(s) / (2 * c), lambda s: c * s, lambda E: _exp(2 * c * E))

    def log_magnification(self, r0: float, r: float, time_scale: float = 1.0) -> float:
        """Return (time_scale / c - 1) log(r / r0) for k = 2: exactly 0 for the plain flow's law, f = r^2."""
        if self.k != 2:
            return super().log_magnification(r0, r, time_scale)
        from scipy.special import xlogy

        return float(xlogy(time_scale / float(self.c) - 1, r / r0))


def _wright_omega(xp: Any, z: Any) -> Any:
    r"""Return :math:`\omega(z)`, the root of :math:`\omega + \log \omega = z`, for every real z.

    Newton's iteration runs on t = log(omega), where t + e^t - z is increasing and convex, a fixed number of
    times, so that it can be traced. Below z = -800 the root underflows; above 1e17,
    log(omega) is less than the last bit of z.
    """
    within = xp.clip(z, -800.0, 1e17)
    # Arguments of each branch are clipped to its own side: exp would overflow and log be undefined on the other.
    low = xp.minimum(within, 1.0)
    t = xp.where(within > 1, xp.log(xp.maximum(within, 1.0)), low - xp.exp(low) / (1 + xp.exp(low)))
    for _ in range(5):  # 4 steps reach the last bit for every z
        t = t - (t + xp.exp(t) - within) / (1 + xp.exp(t))
    return xp.where(z < 1e17, xp.exp(t), z)


class HarmonicRatio(RatioLaw):
    r"""Harmonic mean of the plain flow's law and a constant ratio, :math:`1/f = 1/r^2 + 1/\eta`.

    .. math:: E = \log r + \frac{r^2}{2 \eta}, \qquad \rho = e^{(r_\infty^2 - r_0^2) / (2 \eta)}.

    The magnification is at least 1 exactly where the radius grows, and r never reaches 0 because
    E(0) = -inf (open question 4 of arXiv:2305.05448v1). The inverse of E is :math:`r^2 = \eta\, \omega(2 E - \log
    \eta)` with the Wright omega function.

    Parameters
    ----------
    eta
        Ratio at large radii, a positive number or an array of them that broadcasts over configurations; others raise
        `InvalidInput`.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.HarmonicRatio(eta=1.0)
    >>> float(law.f(1.0)), float(law.E(1.0)), float(law.E_inverse(0.5))
    (0.5, 0.5, 1.0)
    """

    eta: Any

    def __init__(self, eta: ArrayLike) -> None:
        """Check the parameter."""
        self.eta = positive_array(eta, "eta")

    def f(self, r: Any) -> Any:
        """Return 1 / (1/r^2 + 1/eta)."""
        _, law, r = self.cast(r)
        with np.errstate(divide="ignore", over="ignore"):  # r = 0 gives eta / inf = 0
            return law.eta / (1 + law.eta / r / r)

    def E(self, r: Any) -> Any:
        """Return log(r) + r^2 / (2 eta)."""
        xp, law, r = self.cast(r)
        with np.errstate(divide="ignore"):  # r = 0: the limit there is -inf
            return xp.log(r) + r * (r / (2 * law.eta))

    def E_inverse(self, E: Any) -> Any:
        """Return the radius at which log(r) + r^2 / (2 eta) = E, for every real E."""
        xp, law, E = self.cast(E)
        z = 2 * E - xp.log(law.eta)
        w = _wright_omega(xp, z)
        # Left: w underflows. Right: E - w/2 cancels.
        small = xp.exp(xp.where(z < 0, E, 0.0) - w / 2)
        return xp.where(z < 0, small, xp.sqrt(law.eta * w))

    def of_square(self, time_scale: float = 1.0) -> SquaredRadius:
        """Return log(s) / 2 + s / (2 eta), eta s / (eta + s) and eta omega(2 E - log eta)."""
        eta = float(self.eta)
        return SquaredRadius(
            lambda s: time_scale * (_log(s) / 2 + s / (2 * eta)),
            lambda s: eta * s / (eta + s) / time_scale,
            lambda E: eta * _omega(2 * E / time_scale - np.log(eta)),
        )

    def log_magnification(self, r0: float, r: float, time_scale: float = 1.0) -> float:
        """Return (r^2 - r0^2) / (2 eta) for time_scale 1."""
        if time_scale != 1:
            return super().log_magnification(r0, r, time_scale)
        return float((r - r0) * (r + r0) / (2 * self.eta))

    def magnifying_radii(self, limit_radius: float, time_scale: float = 1.0) -> tuple[tuple[float, float], ...]:
        """Return the radii up to that of the limit, for time_scale 1."""
        return ((0.0, limit_radius),) if time_scale == 1 else super().magnifying_radii(limit_radius, time_scale)

    def coefficient_slope(self, r: float) -> float:
        """Return -r^2 / (2 eta^2)."""
        return float(-((r / self.eta) ** 2) / 2)


def _log(s: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(s)


def _exp(E: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.exp(E)


def _omega(z: Any) -> Any:
    """Return the Wright omega function; below -40 it is e^z to the last bit, and SciPy's underflows."""
    from scipy.special import wrightomega

    with np.errstate(under="ignore"):
        return np.where(np.less(z, -40.0), np.exp(np.minimum(z, 0.0)), wrightomega(np.maximum(z, -40.0)))[()]


def as_ratio(value: Any) -> RatioLaw:
    """Return a law unchanged, and a positive number or an array of them as `ConstantRatio`.

    >>> as_ratio(0.1)
    ConstantRatio(eta=0.1)
    """
    if isinstance(value, RatioLaw):
        return value
    try:
        return ConstantRatio(value)
    except InvalidInput as error:
        raise InvalidInput(
            f"ratio must be a positive number, an array of them, or a RatioLaw, got {value!r}: {error}"
        ) from error


def make_law(law: str, coefficient: Any) -> RatioLaw:
    """Return the ratio law named ``constant``, ``harmonic`` or ``power:K``.

    >>> make_law("power:2", 1.0)
    PowerRatio(c=1.0, k=2.0)
    """
    if law in ("constant", "harmonic"):
        return (ConstantRatio if law == "constant" else HarmonicRatio)(coefficient)
    name, _, exponent = law.partition(":")
    try:
        if name == "power":
            return PowerRatio(coefficient, float(exponent))
    except ValueError:
        pass
    raise InvalidInput(f"law must be constant, harmonic or power:K with a number K, got {law!r}.")
