r"""Learning-rate-ratio laws: the radius moves :math:`\eta_r = f(r)` times as fast as the direction.

With weight normalization the flow is :math:`r' = -f(r)\, \partial_r \mathcal L`, :math:`u' = -\partial_u \mathcal L`.
All that its limit remembers of the law is an antiderivative,

.. math:: E'(r) = \frac{r}{f(r)},

because :math:`\log u + E(r)` (depth 2) moves along the rows of A only. The magnification factor of a limit with
radius :math:`r_\infty` is :math:`\rho = (r_0 / r_\infty)\, e^{E(r_\infty) - E(r_0)}` (eq. 17 of arXiv:2305.05448v1
for the constant law).

>>> import polarbias as pb
>>> law = pb.ConstantRatio(0.1)
>>> float(law.f(3.0)), round(float(law.E(1.0)), 12)
(0.1, 5.0)
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from functools import partial
from math import isfinite
from numbers import Real
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.arrays import real_array

_NEWTON_STEPS = 5  # 4 reach the last bit from the start in `_wright_omega`, whatever the argument; one in reserve


def _positive(value: Any, name: str) -> Any:
    """Return ``value`` as a read-only float64 array of positive numbers; tracers pass, their values are unknown."""
    if isinstance(value, jax.core.Tracer):
        return value
    array = np.array(real_array(value, name), dtype=np.float64)
    if array.size == 0 or (array <= 0).any():
        raise InvalidInput(f"{name} must be positive, got {value!r}; take a number > 0, or an array of such numbers.")
    array.flags.writeable = False
    return array


def described(module: eqx.Module) -> str:
    """Return a module as the call that makes it: its name and its parameters with their values."""

    def shown(value: Any) -> str:
        return repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)

    pairs = ((field.name, getattr(module, field.name)) for field in fields(module))
    return f"{type(module).__name__}({', '.join(f'{name}={shown(value)}' for name, value in pairs)})"


class RatioLaw(eqx.Module):
    r"""A law :math:`\eta_r = f(r) > 0` for the ratio of the learning rates of radius and direction.

    A law is a frozen Equinox module. Its parameters are scalars, or arrays that broadcast against ``r``: shape
    ``(C,)`` or ``(T, C)`` for a batch of configurations. On NumPy input every method computes in float64 with
    NumPy, whatever JAX's flags say; on a JAX array or tracer it uses JAX and keeps the dtype of that array.

    Notes
    -----
    ``E(0)`` and ``E(numpy.inf)`` are the limits there, infinite where E has no bound. ``E_inverse`` of a value
    that E does not take is NaN, with NumPy's warning for invalid values.

    Examples
    --------
    Another law is its three functions. ``self.cast(r)`` gives the array library that fits ``r``, the law with
    its parameters in that library and dtype, and ``r`` itself:

    >>> import numpy as np
    >>> import polarbias as pb
    >>> class QuadraticRatio(pb.RatioLaw):
    ...     eta: float
    ...     def f(self, r):
    ...         xp, law, r = self.cast(r)
    ...         return law.eta * (1 + r**2)
    ...     def E(self, r):
    ...         xp, law, r = self.cast(r)
    ...         return xp.log1p(r**2) / (2 * law.eta)
    ...     def E_inverse(self, E):
    ...         xp, law, E = self.cast(E)
    ...         return xp.sqrt(xp.expm1(2 * law.eta * E))
    >>> law = QuadraticRatio(0.5)
    >>> bool(np.isclose(law.E_inverse(law.E(3.0)), 3.0))
    True
    """

    def __repr__(self) -> str:
        """Parameters with their values."""
        return described(self)

    @abstractmethod
    def f(self, r: ArrayLike) -> Any:
        """Return the learning-rate ratio f(r) > 0, shape of ``r`` broadcast with the parameters."""

    @abstractmethod
    def E(self, r: ArrayLike) -> Any:
        """Return an antiderivative of r / f(r), shape of ``r`` broadcast with the parameters."""

    @abstractmethod
    def E_inverse(self, E: ArrayLike) -> Any:
        """Return the radius r at which E(r) is the given value, shape of ``E`` broadcast with the parameters."""

    def cast(self, value: ArrayLike) -> tuple[Any, Self, Any]:
        """Return ``(xp, law, value)``: the array library of ``value``, and law and value as its arrays.

        The library is `jax.numpy` if ``value`` or a parameter is a JAX array or tracer, `numpy` otherwise.

        Raises
        ------
        InvalidInput
            Complex numbers or anything else that is not an array of real numbers.
        """
        if any(isinstance(leaf, jax.Array) for leaf in (value, *jax.tree.leaves(self))):
            array = jnp.asarray(value)
            if not jnp.issubdtype(array.dtype, jnp.floating):
                if jnp.issubdtype(array.dtype, jnp.complexfloating):
                    raise InvalidInput(f"a ratio law takes real numbers, got dtype {array.dtype}.")
                array = array.astype(jnp.result_type(float))
            return jnp, jax.tree.map(lambda leaf: jnp.asarray(leaf, array.dtype), self), array
        # Not `real_array`: infinite radii are limits worth asking for, and float32 must not stay float32 here.
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "fiub":
            raise InvalidInput(f"a ratio law takes real numbers, got dtype {numbers.dtype}.")
        law = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), self)
        return np, law, numbers.astype(np.float64)


class ConstantRatio(RatioLaw):
    r"""The constant law of the paper, :math:`f = \eta`, :math:`E = r^2 / (2 \eta)` (eqs. 12-13, arXiv:2305.05448v1).

    Parameters
    ----------
    eta
        Learning-rate ratio, positive; a scalar or an array that broadcasts over configurations.

    Raises
    ------
    InvalidInput
        ``eta`` is not positive, not finite, or not real.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.ConstantRatio([0.1, 1.0])
    >>> law.E(2.0)
    array([20.,  2.])
    >>> law.E_inverse([20.0, 2.0])
    array([2., 2.])
    """

    eta: Any = eqx.field(converter=partial(_positive, name="eta"))

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


def _exponent(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not isfinite(value):
        raise InvalidInput(f"k must be one finite real number, the same for the whole batch, got {value!r}.")
    return float(value)


class PowerRatio(RatioLaw):
    r"""The power law :math:`f = c\, r^k`; k = 2, c = 1 is the schedule of Theorem 2.3 (arXiv:2305.05448v1).

    .. math:: E = \frac{r^{2-k}}{c (2 - k)} \quad (k \ne 2), \qquad E = \frac{\log r}{c} \quad (k = 2).

    Parameters
    ----------
    c
        Factor, positive; a scalar or an array that broadcasts over configurations.
    k
        Exponent, any real number; static, so one law has one exponent.

    Raises
    ------
    InvalidInput
        ``c`` is not positive, not finite or not real; ``k`` is not one finite real number.

    Notes
    -----
    E takes the values [0, inf) for k < 2, all real numbers for k = 2, and (-inf, 0] for k > 2.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.PowerRatio(c=1.0, k=2)
    >>> float(law.f(3.0)), float(law.E(1.0)), float(law.E_inverse(0.0))
    (9.0, 0.0, 1.0)
    """

    c: Any = eqx.field(converter=partial(_positive, name="c"))
    k: float = eqx.field(static=True, converter=_exponent)

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
            # By the square root, because a negative number has none: its integer powers would pass for radii.
            # The modulus turns the root of -0.0, which is -0.0, into one with an infinite inverse of the right sign.
            return xp.abs(xp.sqrt(law.c * (2 - law.k) * E)) ** (2 / (2 - law.k))


def _wright_omega(xp: Any, z: Any) -> Any:
    r"""Return :math:`\omega(z)`, the root of :math:`\omega + \log \omega = z`, for every real z.

    Newton's iteration runs on t = log(omega), where t + e^t - z is increasing and convex, a fixed number of
    times, so the same lines can be traced. Below z = -800 the root is under the smallest double; above
    1e17, log(omega) is under the last bit of z.
    """
    within = xp.clip(z, -800.0, 1e17)
    # Each branch sees only its own arguments: exp would overflow, and log would have no value, on the other's.
    low = xp.minimum(within, 1.0)
    t = xp.where(within > 1, xp.log(xp.maximum(within, 1.0)), low - xp.exp(low) / (1 + xp.exp(low)))
    for _ in range(_NEWTON_STEPS):
        t = t - (t + xp.exp(t) - within) / (1 + xp.exp(t))
    return xp.where(z < 1e17, xp.exp(t), z)


class HarmonicRatio(RatioLaw):
    r"""The harmonic mean of plain flow and constant ratio, :math:`1/f = 1/r^2 + 1/\eta`.

    .. math:: E = \log r + \frac{r^2}{2 \eta}, \qquad \rho = e^{(r_\infty^2 - r_0^2) / (2 \eta)}.

    The magnification is at least 1 exactly where the radius grows, and r never reaches 0 because
    E(0) = -inf (open question 4 of arXiv:2305.05448v1).

    Parameters
    ----------
    eta
        Ratio at large radii, positive; a scalar or an array that broadcasts over configurations.

    Raises
    ------
    InvalidInput
        ``eta`` is not positive, not finite, or not real.

    Notes
    -----
    The inverse is :math:`r^2 = \eta\, \omega(2 E - \log \eta)` with the Wright omega function.

    Examples
    --------
    >>> import polarbias as pb
    >>> law = pb.HarmonicRatio(eta=1.0)
    >>> float(law.f(1.0)), float(law.E(1.0)), float(law.E_inverse(0.5))
    (0.5, 0.5, 1.0)
    """

    eta: Any = eqx.field(converter=partial(_positive, name="eta"))

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
        # Each form keeps its digits on its side: w underflows on the left, E - w/2 cancels on the right.
        small = xp.exp(xp.where(z < 0, E, 0.0) - w / 2)
        return xp.where(z < 0, small, xp.sqrt(law.eta * w))


def as_ratio(value: Any) -> RatioLaw:
    """Return ``value`` as a law: a law as it is, a number or an array of numbers as `ConstantRatio`.

    Raises
    ------
    InvalidInput
        Not a law, and not positive, finite, real numbers.

    Examples
    --------
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
    name, _, exponent = law.partition(":")
    if name == "constant" and not exponent:
        return ConstantRatio(coefficient)
    if name == "harmonic" and not exponent:
        return HarmonicRatio(coefficient)
    try:
        if name == "power":
            return PowerRatio(coefficient, float(exponent))
    except ValueError:
        pass
    raise InvalidInput(f"law must be constant, harmonic or power:K with a number K, got {law!r}.")
