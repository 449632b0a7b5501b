r"""Mirror map of the flows in polar form, in logarithms.

With E the antiderivative of r / f and :math:`w = u^{\odot 2} e^{2 (E(r) - E(r_0))}`, a flow of depth L moves

.. math:: \log w \quad (L = 2), \qquad q = w^{\odot (2 - L) / 2} \quad (L > 2)

along the rows of A only: :math:`\log w = \log u_0^{\odot 2} + A^\top \nu` or
:math:`q = u_0^{\odot (2 - L)} - (L - 2) A^\top \nu`. Because u has norm 1, the sum of w gives the radius:

.. math:: 2 (E(r) - E(r_0)) = \log \sum_n w_n, \quad u^{\odot 2} = w / \textstyle\sum_n w_n, \quad X = (r u)^{\odot L}.

>>> import numpy as np
>>> moved, rise = MirrorMap(2, np.log([0.5, 0.5])).moved(np.log([1.0, 3.0]))
>>> moved.share.round(3), round(rise, 6)
(array([0.25, 0.75]), 0.693147)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

LOWEST_LOG = -700.0
"""Logarithms below this are those of 0: NumPy's exp is 27 times slower where its result is denormal."""


def exp(logarithms: np.ndarray) -> np.ndarray:
    """Return exponentials, 0 below e^-700."""
    values: np.ndarray = np.exp(np.maximum(logarithms, LOWEST_LOG))
    values[logarithms < LOWEST_LOG] = 0.0
    return values


def normalized(logarithms: np.ndarray) -> tuple[np.ndarray, float]:
    """Return exponentials divided by their sum, and the logarithm of the sum; NaN and infinity pass through."""
    top = float(logarithms.max())
    if not np.isfinite(top):
        return np.full_like(logarithms, np.nan), top
    values = exp(logarithms - top)
    total = float(values.sum())
    values /= total
    return values, top + log(total)


def mirror_powers(depth: int, log_v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log v at depth 2, else v^(2 - L), as ``values * exp(log_scale)``, shapes ``(..., n)`` and ``(...)``."""
    if depth == 2:
        return log_v, np.zeros(log_v.shape[:-1])
    exponents = (2 - depth) * log_v
    log_scale = exponents.max(-1)
    return np.exp(exponents - log_scale[..., None]), log_scale


@dataclass(frozen=True, eq=False)
class MirrorMap:
    r"""Moves of the mirror map from one point, relative to it: small moves keep the digits of small entries of q."""

    depth: int  # at least 2
    log_w: np.ndarray
    total: float = 0.0  # logarithm of the sum of w; the entries given may be a part of those that are summed
    log_unit: float = 0.0  # logarithm of the unit of moves A^T nu above depth 2

    @property
    def power(self) -> float:
        """(L - 2) / 2."""
        return (self.depth - 2) / 2

    @property
    def inside(self) -> bool:
        """True unless the point lies outside the domain of the mirror map."""
        return bool(np.isfinite(self.log_w).all())

    @property
    def log_share(self) -> np.ndarray:
        """Logarithm of u^2, shape ``(n,)``."""
        return self.log_w - self.total

    @cached_property
    def share(self) -> np.ndarray:
        """u^2, shape ``(n,)``."""
        return exp(self.log_share)

    @cached_property
    def rate(self) -> np.ndarray:
        """1 / q, the derivative of log w by a move, shape ``(n,)``; 1 at depth 2."""
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            return np.exp(self.power * self.log_w + self.log_unit)

    def change(self, move: np.ndarray, least: float | None = None) -> np.ndarray:
        r"""Return the change of log w by a move :math:`A^\top \nu`, shape ``(n,)``.

        Above depth 2 q must stay positive: outside, the result is NaN or infinite, or that of ``least`` times q.
        """
        if self.depth == 2:
            return move
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            relative = (-2 * self.power) * move * self.rate
            if least is not None:
                relative = np.maximum(relative, least - 1)
            return np.asarray(np.log1p(relative) / -self.power)

    def moved(self, move: np.ndarray, least: float | None = None) -> tuple[MirrorMap, float]:
        """Return the mirror map after a move, with the arguments of `change`, and the change of `total`."""
        change = self.change(move, least)
        log_w = self.log_w + change
        if np.abs(change).max() < 0.5:  # keep the digits of a small change
            rise = float(np.log1p(self.share @ np.expm1(change)))
            return MirrorMap(self.depth, log_w, self.total + rise, self.log_unit), rise
        share, total = normalized(log_w)
        moved = MirrorMap(self.depth, log_w, total, self.log_unit)
        vars(moved)["share"] = share  # as the cached property
        return moved, total - self.total
