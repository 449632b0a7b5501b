r"""The potential of the flow: plain and weight-normalized gradient flow are mirror flows of one explicit function.

With :math:`S = \sum_n X_n^{2/L}` (the square of the factor's norm) and E the antiderivative of the ratio law,

.. math::
    \nabla F(X) = \Phi = \begin{cases} \log v & L = 2 \\ v^{2-L} / (2-L) & L \ne 2 \end{cases}, \qquad
    v = \frac{x}{\lVert x \rVert}\, e^{E}, \qquad \frac{d}{dt} \Phi = -\kappa\, A^\top R .

So the divergence :math:`D_F(z, X) = F(z) - F(X) - \langle \nabla F(X), z - X \rangle \ge 0` from every solution z falls
at the rate :math:`\kappa \lVert R \rVert^2`, and the flow ends at the solution that minimises :math:`D_F(z, X_0)`
unless it collapses to X = 0. For the plain flow (E = log r) these are equations (55)-(57) of arXiv:2305.05448v1.

>>> import numpy as np
>>> import polarbias as pb
>>> potential = pb.Potential(2, 0.01, r0=10.0)  # e^E is e^5000 here
>>> log_x = np.log([10.0, 50.0])
>>> bool(np.allclose(potential.inverse_mirror_map(potential.mirror_map(log_x)), log_x))
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.linalg.quadrature import log_integral
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks import FactorNetwork, HadamardPower, WeightNormalization
from polarbias.networks.laws import PowerRatio, as_ratio
from polarbias.networks.ratio_law import RatioLaw
from polarbias.networks.weight_normalization import power_inside
from polarbias.runtime.arrays import real_array
from polarbias.runtime.options import positive_number
from polarbias.runtime.pytree import tree_leaves

_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class Potential:
    r"""The potential F of a flow, its gradient, conjugate and Bregman divergence, from logarithms of signals.

    .. math::
        F = \tfrac12 \sum_n X_n \log \frac{X_n}{S} + \int_{r_0^2}^S \tilde E\, ds \quad (L = 2), \qquad
        F = -\frac{L}{2(L-2)} \int_{r_0^2}^S s^{(L-2)/2} e^{-(L-2) \tilde E}\, ds \quad (L \ne 2),

    where :math:`\tilde E` is E of the radius :math:`\sqrt s` minus E of the reference radius r0.

    Parameters
    ----------
    depth
        L, from 1 to 1000.
    law
        Ratio law with scalar parameters, or a positive number for `ConstantRatio`; None for the plain flow, whose
        curve is that of :math:`f = r^2`.
    time_scale
        :math:`\eta_u / \lVert u_0 \rVert^2`: directions of other norms and rates than 1 multiply E by it.
    r0
        Reference radius. E is fixed up to a constant only. Another r0 adds a linear function to F at depth 2; at
        other depths it multiplies F, Phi, the divergence and kappa by one number, :math:`e^{(L-2) E(r_0)}`, that can
        be beyond the range of floats: take a radius that the signals of interest have, such as that of the start.

    Notes
    -----
    Signals are given by ``log_x``, the logarithms of the entries of X, shape ``(..., n)``; a zero entry is -inf. At
    depth 1 they are those of the moduli; the signs of X, :math:`\Phi` and u agree. For signed networks the n = 2 N
    entries are those of both halves. Integrals are computed to about 1e-14 of their value, or to the rounding of E,
    whichever is larger, in logarithms: a result overflows to infinity only if it is itself beyond floats.

    Examples
    --------
    >>> import numpy as np
    >>> import polarbias as pb
    >>> plain = pb.Potential(2)
    >>> plain.mirror_map(np.log([1.0, 4.0])).round(6)
    array([0.      , 0.693147])
    >>> round(float(plain.bregman(np.log([1.0, 2.0]), np.log([1.0, 1.0]))), 6)  # (2 log 2 - 2 + 1) / 2
    0.193147
    """

    depth: int
    law: RatioLaw | None = None
    time_scale: float = 1.0
    r0: float = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "depth", HadamardPower(self.depth).degree)
        for name in ("time_scale", "r0"):
            object.__setattr__(self, name, positive_number(name, getattr(self, name)))
        if self.law is None:
            if self.time_scale != 1:
                raise InvalidInput(f"the plain flow has no time_scale, got {self.time_scale!r}; give a law or omit it.")
            return
        law = as_ratio(self.law)
        if any(np.ndim(leaf) for leaf in tree_leaves(law)):
            raise InvalidInput(f"a potential belongs to one law, with scalar parameters; got {law!r}.")
        object.__setattr__(self, "law", law)

    @classmethod
    def of(cls, network: FactorNetwork, r0: float = 1.0, direction_norm: float = 1.0) -> Potential:
        """Return the potential of a network's flow, for directions of norm ``direction_norm``.

        >>> import polarbias as pb
        >>> pb.Potential.of(pb.WeightNormalization(pb.HadamardPower(3), 0.1))
        Potential(depth=3, law=ConstantRatio(eta=0.1), time_scale=1.0, r0=1.0)
        """
        inner = power_inside(network, "a potential belongs to")
        if not isinstance(network, WeightNormalization):
            return cls(inner.degree, r0=r0)
        if np.ndim(network.direction_rate):
            raise InvalidInput(f"a potential belongs to one direction_rate, got {network.direction_rate!r}.")
        time_scale = float(network.direction_rate) / positive_number("direction_norm", direction_norm) ** 2
        return cls(inner.degree, network.ratio, time_scale, r0)

    @classmethod
    def from_form(cls, form: ReducedForm) -> Potential:
        """Return the potential of a run, with its radius at the start as the reference."""
        return cls(form.depth, None if form.plain else form.law, form.time_scale, form.r0)

    def log_mirror(self, log_x: ArrayLike) -> np.ndarray:
        r"""Return :math:`\log v = \log u + E(r) - E(r_0)`, shape ``(..., n)``, which never overflows.

        This is :math:`\Phi` at depth 2, and gives :math:`\log |\Phi| = (2 - L) \log v - \log |L - 2|` elsewhere.
        At X = 0 there is no direction, and the result is NaN.
        """
        log_x = _logarithms(log_x, "log_x")
        log_s = self._log_s(log_x)
        return np.asarray(self._log_u(log_x, log_s) + self._rise(log_s)[..., None])

    def from_log_mirror(self, log_v: ArrayLike) -> np.ndarray:
        r"""Return ``log_x`` at which `log_mirror` is ``log_v``, shape ``(..., n)``.

        It is -inf, X = 0, where E has no value as low as :math:`\log \lVert v \rVert` asks for. Where it has none as
        high, no signal has this mirror variable: `InvalidInput`.
        """
        log_v = _logarithms(log_v, "log_v")
        rise = _log_sum(2 * log_v) / 2
        log_s = self._log_s_at(rise)
        if np.isposinf(log_s).any():
            raise InvalidInput("no signal has this mirror variable: E stays below log ||v|| at every radius.")
        with np.errstate(invalid="ignore"):  # v = 0 has no direction; its signal is 0
            log_u = log_v - rise[..., None]
        return np.where(np.isneginf(log_s)[..., None], -np.inf, self.depth * (log_u + log_s[..., None] / 2))

    def mirror_map(self, log_x: ArrayLike) -> np.ndarray:
        r"""Return :math:`\Phi = \nabla F(X)`, shape ``(..., n)``; of depth 1, the modulus.

        Entries beyond the range of floats, as of X_n = 0, are infinite; `log_mirror` keeps them apart.
        """
        log_v = self.log_mirror(log_x)
        if self.depth == 2:
            return log_v
        with np.errstate(over="ignore"):
            return np.asarray(np.exp((2 - self.depth) * log_v) / abs(2 - self.depth) * (-1 if self.depth > 2 else 1))

    def inverse_mirror_map(self, phi: ArrayLike) -> np.ndarray:
        r"""Return ``log_x``, shape ``(..., n)``, from :math:`\Phi`; the gradient of the conjugate is its exponential.

        If no signal has this :math:`\Phi` (not negative above depth 2, or beyond the values of E), it raises
        `InvalidInput`.
        """
        return self.from_log_mirror(self._log_v(phi))

    def value(self, log_x: ArrayLike) -> np.ndarray:
        """Return F, shape ``(...)``, infinite at X = 0 if F has no limit there."""
        log_x = _logarithms(log_x, "log_x")
        log_s = self._log_s(log_x)
        rise, base = log_s - 2 * np.log(self.r0), np.full(log_s.shape, 2 * np.log(self.r0))
        with np.errstate(over="ignore", invalid="ignore"):
            if self.depth == 2:
                shares = log_x - log_s[..., None]
                entropy = np.where(np.isneginf(log_x), 0.0, np.exp(log_x) * shares).sum(-1) / 2
                return np.asarray(entropy + np.exp(self._log_radial(log_s, base)))
            integral = self._log_integral(self._log_h, base, rise)
            return np.asarray(-self.depth / (2 * (self.depth - 2)) * np.sign(rise) * np.exp(integral))

    def conjugate(self, phi: ArrayLike) -> np.ndarray:
        r"""Return :math:`F^*(\Phi) = \sup_X \langle \Phi, X \rangle - F(X)`, shape ``(...)``.

        It is constant where `inverse_mirror_map` gives X = 0, and infinite where no signal has this :math:`\Phi`.
        """
        phi = _logarithms(phi, "phi")
        outside = np.any(np.logical_and(phi >= 0, self.depth > 2), axis=-1)
        log_v = self._log_v(np.where(outside[..., None], -1.0, phi))
        log_s = self._log_s_at(_log_sum(2 * log_v) / 2)
        outside |= np.isposinf(log_s)
        base = np.full(log_s.shape, 2 * np.log(self.r0))
        rise = np.where(outside, 0.0, log_s - base)
        integral = self._log_integral(lambda log_s: self._log_h(log_s) + log_s - self._log_2f(log_s), base, rise)
        offset = 0.0 if self.depth == 2 else -(self.r0**self.depth) / (self.depth - 2)
        with np.errstate(over="ignore"):
            return np.asarray(np.where(outside, np.inf, np.sign(rise) * np.exp(integral) + offset))

    def log_bregman(self, log_z: ArrayLike, log_x: ArrayLike, sign: ArrayLike = 1.0) -> np.ndarray:
        """Return the logarithm of `bregman`, which neither over- nor underflows."""
        log_z, log_x, sign = _pair(_logarithms(log_z, "log_z"), _logarithms(log_x, "log_x"), sign)
        log_q, log_s = self._log_s(log_z), self._log_s(log_x)
        if np.isneginf(log_s).any():
            raise InvalidInput("the divergence is taken from a signal X != 0; log_x is -inf throughout.")
        log_u = self._log_u(log_x, log_s)
        # z = 0 has no direction; any will do, since the factor in front of its angle is then 0.
        log_w = np.where(np.isneginf(log_q)[..., None], log_u, self._log_u(log_z, log_q))
        with np.errstate(divide="ignore"):
            angle = self._log_angle(log_w, log_u, sign)
        angular = self.depth / 2 * log_q + self._log_decay(log_s) + angle
        return np.asarray(np.logaddexp(angular, self._log_radial(log_q, log_s)))

    def bregman(self, log_z: ArrayLike, log_x: ArrayLike, sign: ArrayLike = 1.0) -> np.ndarray:
        r"""Return :math:`D_F(z, X) \ge 0`, shape ``(...)``, from ``log_z`` and ``log_x``.

        It is the sum of a nonnegative term in the directions (at depth 2, half of the Kullback-Leibler divergence
        times the l1 norm of z) and one in the radii, an integral of a positive function. The rounding error is about
        :math:`(1 + |\log X|)\, 2 \cdot 10^{-16} / d` of the result, where d is the largest difference of the given
        logarithms. At depths other than 2 the result carries the factor :math:`e^{(L-2) E(r_0)}`.

        Parameters
        ----------
        log_z, log_x
            Logarithms of the entries, shapes ``(..., n)`` that broadcast; z may have zeros. X = 0, NaN, +inf and
            other shapes raise `InvalidInput`.
        sign
            Signs of the products z_n X_n, 1 or -1, for depth 1, broadcasting; elsewhere signals are nonnegative.
        """
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_bregman(log_z, log_x, sign)))

    def kappa(self, log_x: ArrayLike) -> np.ndarray:
        r"""Return :math:`\kappa`, shape ``(...)``: in the time of the flow, :math:`\Phi' = -\kappa A^\top R`.

        So :math:`\frac{d}{dt} D_F(z, X) = -\kappa \lVert R \rVert^2` for every z with A z = b (eq. 56).
        """
        log_s = self._log_s(_logarithms(log_x, "log_x"))
        log_kappa = self.depth / 2 * log_s + self._log_decay(log_s)
        with np.errstate(over="ignore"):
            return np.asarray(self.time_scale * np.exp(log_kappa - (log_s if self.law is None else 0.0)))

    @property
    def _ratio(self) -> RatioLaw:
        return PowerRatio(1.0, 2) if self.law is None else self.law

    def _log_s(self, log_x: np.ndarray) -> np.ndarray:
        return _log_sum(2 / self.depth * log_x)

    def _log_u(self, log_x: np.ndarray, log_s: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray(log_x / self.depth - log_s[..., None] / 2)

    def _radius(self, log_s: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            r = np.exp(log_s / 2)
        if not np.all(np.isneginf(log_s) | np.isfinite(r) & (r > 0)):
            raise InvalidInput("the factor's norm is too large or too small for a float; rescale the signals.")
        return np.asarray(r)

    def _rise(self, log_s: np.ndarray) -> np.ndarray:
        """Return E of the radius minus E of the reference radius."""
        with np.errstate(all="ignore"):
            return np.asarray(self.time_scale * (self._ratio.E(self._radius(log_s)) - self._ratio.E(self.r0)))

    def _log_s_at(self, rise: np.ndarray) -> np.ndarray:
        """Return log s of the radius with E = E(r0) + ``rise``; -inf below all values of E, inf above."""
        ratio = self._ratio
        with np.errstate(all="ignore"):
            level = rise / self.time_scale + ratio.E(self.r0)
            log_s = 2 * np.log(ratio.E_inverse(level))
            return np.where(level <= ratio.E(0.0), -np.inf, np.where(level >= ratio.E(np.inf), np.inf, log_s))

    def _log_2f(self, log_s: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            f = np.asarray(self._ratio.f(self._radius(log_s)))
        if not np.all(np.isfinite(f) & (f > 0)):
            raise InvalidInput("the law's f(r) is 0 or beyond the range of floats at a radius of these signals.")
        return np.asarray(np.log(2 / self.time_scale * f))

    def _log_decay(self, log_s: np.ndarray) -> np.ndarray:
        """Return the logarithm of e^(-(L-2) E), E counted from the reference radius; 0 at depth 2 even at s = 0."""
        return np.zeros_like(log_s) if self.depth == 2 else (2 - self.depth) * self._rise(log_s)

    def _log_h(self, log_s: np.ndarray) -> np.ndarray:
        return np.asarray((self.depth - 2) / 2 * log_s + self._log_decay(log_s))

    def _log_v(self, phi: ArrayLike) -> np.ndarray:
        phi = _logarithms(phi, "phi")
        if self.depth == 2:
            return phi
        if self.depth > 2 and (phi >= 0).any():
            raise InvalidInput(
                "the mirror variable Phi must be negative at depths above 2; if it has underflowed to 0, take a"
                " reference radius r0 closer to that of the signals, or from_log_mirror."
            )
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(abs(self.depth - 2) * np.abs(phi)) / (2 - self.depth))

    def _log_integral(self, log_integrand: Any, base: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """Return the log-modulus of the integral over s of a function of log s, from ``base`` up by ``rise``."""
        flat = base.ravel()

        def integrand(owner: np.ndarray, t: np.ndarray) -> np.ndarray:
            log_s = flat[owner] + t
            return np.asarray(log_integrand(log_s) + log_s)

        return log_integral(integrand, rise.ravel(), self._noise(flat)).reshape(rise.shape)

    def _noise(self, log_s: np.ndarray) -> np.ndarray:
        size = np.abs(self._rise(log_s)) + self.time_scale * np.abs(self._ratio.E(self.r0))
        return np.asarray(_EPS * abs(self.depth - 2) * size)

    def _log_radial(self, log_q: np.ndarray, log_s: np.ndarray) -> np.ndarray:
        r"""Return the log of :math:`\int_S^Q (Q^{L/2} - s^{L/2}) e^{-(L-2) \tilde E} / (2 f)\, ds` by log Q, log S."""
        half, flat, length = self.depth / 2, log_s.ravel(), (log_q - log_s).ravel()
        noise = self._noise(flat)

        def integrand(owner: np.ndarray, t: np.ndarray) -> np.ndarray:
            at = flat[owner] + t
            left = half * (length[owner] - t)  # the logarithm of Q^(L/2) / s^(L/2)
            with np.errstate(divide="ignore"):
                gap = np.maximum(left, 0.0) + np.log(-np.expm1(-np.abs(left)))
            return np.asarray(half * at + gap + self._log_decay(at) - self._log_2f(at) + at)

        return log_integral(integrand, length, noise).reshape(log_s.shape)

    def _log_angle(self, log_w: np.ndarray, log_u: np.ndarray, sign: np.ndarray) -> np.ndarray:
        r"""Return the log of the divergence of unit directions w from u, each term of which is at least 0.

        At depth 2 this is :math:`\frac12 \sum w^2 \log(w^2/u^2) - w^2 + u^2`, else
        :math:`\frac{1}{L-2} \sum u^{2-L} w^L - u^2 - \frac L2 (w^2 - u^2)`; the terms that are added to the divergence
        itself sum to zero for unit directions.
        """
        depth = self.depth
        if depth == 1:
            return _log_sum(2 * np.log(np.abs(sign * np.exp(log_w) - np.exp(log_u))) - np.log(2))
        with np.errstate(invalid="ignore"):
            d = np.where(log_w == log_u, 0.0, 2 * (log_w - log_u))  # both -inf: nothing there
        near, less, more, half = np.clip(d, -1, 1), np.minimum(d, -1), np.maximum(d, 1), depth / 2
        if depth == 2:
            close = np.exp(near) * (np.expm1(-near) + near)
            below = 1 + np.exp(less) * (np.maximum(less, -1e4) - 1)
            above = np.log(more + np.expm1(-more))
        else:
            close = np.expm1(half * near) - half * np.expm1(near)
            below = half - 1 + np.exp(half * less) - half * np.exp(less)
            above = np.log1p((half - 1) * np.exp(-half * more) - half * np.exp((1 - half) * more))
        relative = np.log(np.where(d < -1, below, np.maximum(close, 0.0)))  # rounding can make 0 negative
        with np.errstate(invalid="ignore"):  # in the branch not taken
            power = 2 * log_w if depth == 2 else depth * log_w + (2 - depth) * log_u
            log_terms = np.where(d > 1, power + above, 2 * log_u + relative)
        return _log_sum(log_terms - np.log(2 if depth == 2 else depth - 2))


def _log_sum(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp.reduce(values, axis=-1))


def _logarithms(value: ArrayLike, name: str) -> np.ndarray:
    """Return finite numbers or -inf as a float64 array with at least one axis."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.shape[-1] == 0:
        raise InvalidInput(f"{name} must be real numbers of shape (..., n), got dtype {array.dtype}, {array.shape}.")
    if np.isnan(array).any() or np.isposinf(array).any():
        raise InvalidInput(f"{name} holds NaN or +inf; its entries are finite, or -inf where X is 0.")
    return array.astype(np.float64)


def _pair(log_z: np.ndarray, log_x: np.ndarray, sign: ArrayLike) -> list[np.ndarray]:
    """Return the broadcast logarithms and signs."""
    signs = real_array(sign, "sign")
    if not signs.size or np.asarray(sign).dtype == bool or (np.abs(signs) != 1).any():
        raise InvalidInput(f"sign must be 1, -1 or an array of these numbers, got {sign!r}.")
    try:
        shape = np.broadcast_shapes(log_z.shape, log_x.shape)
        return [np.broadcast_to(values, shape) for values in (log_z, log_x, signs)]
    except ValueError as mismatch:
        raise InvalidInput(
            f"log_z, log_x and sign must have shapes that broadcast to (..., n), got {log_z.shape}, {log_x.shape} and"
            f" {signs.shape}."
        ) from mismatch
