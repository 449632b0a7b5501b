r"""Learning-rate-ratio laws: the radius moves :math:`\eta_r = f(r)` times as fast as the direction.

With weight normalization the flow is :math:`r' = -f(r)\, \partial_r \mathcal L`, :math:`u' = -\partial_u \mathcal L`.
The limit depends on the law through an antiderivative only,

.. math:: E'(r) = \frac{r}{f(r)},

because :math:`\log u + E(r)` (depth 2) moves along the rows of A only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.extras import require
from polarbias.runtime.pytree import PyTree, array_namespace, tree_leaves, tree_map


class SquaredRadius(NamedTuple):
    """Functions of a ratio law in terms of s = r^2."""

    E: Callable[[Any], Any]
    f: Callable[[Any], Any]
    E_inverse: Callable[[Any], Any]


class RatioLaw(PyTree):
    r"""A law :math:`\eta_r = f(r) > 0` for the ratio of the learning rates of radius and direction.

    A law is a frozen dataclass and a pytree. Its parameters are scalars, or arrays that broadcast against ``r``: shape
    ``(C,)`` or ``(T, C)`` for a batch of configurations. On NumPy input every method computes in float64 with
    NumPy; on an array or tracer of JAX it uses JAX and keeps the dtype of that array.

    ``E(0)`` and ``E(numpy.inf)`` are the limits there, infinite where E has no bound. ``E_inverse`` of a value
    outside the range of E is NaN, with NumPy's warning for invalid values.

    Examples
    --------
    A law defines three functions:

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

    def __init_subclass__(cls, **options: Any) -> None:
        """Reset inherited closed forms if the subclass overrides the law."""
        super().__init_subclass__(**options)
        if vars(cls).keys() & {"f", "E", "E_inverse"}:
            for name in ("power", "of_square", "log_magnification", "magnifying_radii", "coefficient_slope"):
                if name not in vars(cls):
                    setattr(cls, name, vars(RatioLaw)[name])

    @abstractmethod
    def f(self, r: ArrayLike) -> Any:
        """Return the learning-rate ratio f(r) > 0, shape of ``r`` broadcast with the parameters."""

    @abstractmethod
    def E(self, r: ArrayLike) -> Any:
        """Return an antiderivative of r / f(r), shape of ``r`` broadcast with the parameters."""

    @abstractmethod
    def E_inverse(self, E: ArrayLike) -> Any:
        """Return the radius r at which E(r) is the given value, shape of ``E`` broadcast with the parameters."""

    @property
    def power(self) -> tuple[Any, float] | None:
        """Coefficient c and exponent k of a law f = c r^k, None for other laws."""
        return None

    def of_square(self, time_scale: float = 1.0) -> SquaredRadius:
        """Return E, f and the inverse of E as functions of s = r^2, for the law f / time_scale.

        The parameters must be scalars. The functions neither check nor convert their argument.
        """
        return SquaredRadius(
            lambda s: time_scale * self.E(np.sqrt(s)),
            lambda s: self.f(np.sqrt(s)) / time_scale,
            lambda E: self.E_inverse(np.asarray(E) / time_scale) ** 2,
        )

    def log_magnification(self, r0: float, r: float, time_scale: float = 1.0) -> float:
        r"""Return :math:`\log \rho = \log(r_0 / r) + E(r) - E(r_0)` for the law f / time_scale."""
        return float(np.log(r0) - np.log(r) + time_scale * (self.E(r) - self.E(r0)))

    def magnifying_radii(self, limit_radius: float, time_scale: float = 1.0) -> tuple[tuple[float, float], ...]:
        r"""Return the intervals of start radii with :math:`\rho \ge 1`, or raise `InvalidInput` if unknown."""
        if self.power is None:
            raise InvalidInput(f"the magnifying radii are not known for {self!r} at time_scale {time_scale!r}.")
        if np.ndim(self.power[0]):
            raise InvalidInput(f"law must have one set of parameters, got {self!r}.")
        c, power = float(self.power[0]) / time_scale, 2 - self.power[1]
        if power == 0:
            return ((0.0, np.inf),) if c == 1 else ((0.0, limit_radius),) if c < 1 else ((limit_radius, np.inf),)
        low, high = sorted((limit_radius, _other_root(limit_radius, power, c)))
        return ((low, high),) if power > 0 else ((0.0, low), (high, np.inf))

    def coefficient_slope(self, r: float) -> float:
        """Return the derivative of E(r) in the coefficient of the law."""
        if self.power is not None:
            return float(-self.E(r) / self.power[0])
        coefficients = tree_leaves(self)
        if len(coefficients) != 1:
            raise InvalidInput(f"the law must have one coefficient to differentiate by, got {self!r}.")
        jax = require("jax", "descent", f"the derivative of {type(self).__name__}.E in its coefficient")
        with jax.enable_x64(True):
            radius = jax.numpy.asarray(r, np.float64)
            slope = jax.grad(lambda coefficient: tree_map(lambda _: coefficient, self).E(radius))
            return float(slope(jax.numpy.asarray(coefficients[0], np.float64)))

    def cast(self, value: ArrayLike) -> tuple[Any, Self, Any]:
        """Return ``(xp, law, value)``: the array library of ``value``, law and value as its arrays.

        The library is `jax.numpy` if ``value`` or a parameter is a JAX array or tracer, `numpy` otherwise. A value that
        is no array of real numbers raises `InvalidInput`.
        """
        xp = array_namespace(value, *tree_leaves(self))
        # Unlike `real_array`, this allows infinite radii and converts float32 to float64 in NumPy.
        array = xp.asarray(value)
        floating = xp.issubdtype(array.dtype, xp.floating)
        if not floating and array.dtype.kind not in "iub":
            raise InvalidInput(f"a ratio law takes real numbers, got dtype {array.dtype}.")
        dtype = np.float64 if xp is np else array.dtype if floating else xp.result_type(float)
        return xp, tree_map(lambda leaf: xp.asarray(leaf, dtype), self), array.astype(dtype)


def _other_root(r: float, power: float, c: float) -> float:
    """Return the other radius at which r^power / c - power log r has the value it has at r."""
    from scipy.special import lambertw

    with np.errstate(over="ignore"):
        y = float(np.exp(power * np.log(r) - np.log(c)))
    if y > 700:  # y e^-y underflows; the small root z of z e^-z = y e^-y is y e^-y itself, to the last bit
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(np.log(r) - y / power))
    argument = -y * np.exp(-y)
    if argument == 0:  # y underflows, and the other root overflows
        return np.inf if power > 0 else 0.0
    z = -float(np.real(lambertw(max(argument, -np.exp(-1.0)), -1 if y < 1 else 0)))
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float64(c * z) ** (1 / power)) if np.isfinite(z) else r
