r"""Reduced form of the flows with an explicit limit: a radius with a ratio law, and a unit direction.

With :math:`\lVert u \rVert` and the direction rate absorbed into the time, the weight-normalized flow is

.. math:: r' = -f(r)\, \langle u, g \rangle, \qquad u' = -r\, (g - u \langle u, g \rangle), \qquad
          g = (A^\top R) \odot x^{\odot (L-1)}, \quad x = r u .

The plain flow :math:`x' = -g` follows the same curve in another time for :math:`f(r) = r^2`. A signed network with one
polar coordinate for both halves is the nonnegative one of the matrix [A, -A].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.networks import HadamardDifference, WeightNormalization
from polarbias.networks.base import norm
from polarbias.networks.laws import PowerRatio
from polarbias.networks.parameters import RATE_REMEDY, check_parameters
from polarbias.networks.ratio_law import RatioLaw, SquaredRadius
from polarbias.networks.weight_normalization import power_inside
from polarbias.problems.linear import LinearProblem
from polarbias.runtime.pytree import tree_map


@dataclass(frozen=True, eq=False)
class ReducedForm:
    r"""The start of one run in polar coordinates.

    Attributes
    ----------
    depth, law
        L, and the network's ratio law, :math:`f = r^2` without weight normalization.
    time_scale
        :math:`\eta_u / \lVert u_0 \rVert^2` (Lemma 3.1 of arXiv:2305.05448v1): with a unit direction that moves at rate
        1, f is divided and E multiplied by it.
    r0
        Norm of the factor, positive.
    direction
        Size of the entries of the direction as given, shape ``(n,)``: the unit direction up to a factor.
    log_u0, sign
        Logarithm and sign of the entries of the unit direction, shape ``(n,)``; n = 2 N for a signed network. The
        signs are 1 at depth 2 and above.
    signed, plain
        True for halves of a signed signal of length n / 2, and for a network without weight normalization.
    squared_unit
        Square of the unit of r0 and of the arguments of E and f.
    """

    depth: int
    law: RatioLaw
    time_scale: float
    r0: float
    direction: np.ndarray
    log_u0: np.ndarray
    sign: np.ndarray
    signed: bool
    plain: bool
    squared_unit: float = 1.0

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles do without the cached functions.
        return {name: value for name, value in self.__dict__.items() if name != "_radial"}

    @property
    def n(self) -> int:
        """Number of entries of the direction."""
        return int(self.log_u0.size)

    @property
    def square(self) -> bool:
        """True if f = r^2 at rate 1, the plain flow's curve, up to the rounding of the direction's norm."""
        power = self.law.power
        return power is not None and power[1] == 2 and math.isclose(power[0], self.time_scale, rel_tol=1e-14)

    @property
    def log_start(self) -> np.ndarray:
        """Logarithm of the size of X at the start, shape ``(n,)``."""
        return np.asarray(self.depth * (np.log(self.r0) + self.log_u0))

    def E(self, s: Any) -> Any:
        """Return E of the radius sqrt(s), for a unit direction that moves at rate 1."""
        return self._radial.E(s * self.squared_unit)

    def f(self, s: Any) -> Any:
        """Return f of the radius sqrt(s), for a unit direction that moves at rate 1."""
        return self._radial.f(s * self.squared_unit) / self.squared_unit

    def E_inverse(self, E: Any) -> Any:
        """Return s, the square of the radius at which E has this value; E must be in the range of the law."""
        return self._radial.E_inverse(E) / self.squared_unit

    def squared_radius(self, E: float) -> float:
        """Return the s with this value of E: 0 at or below the lowest one, infinity at or above the highest one."""
        if self.lowest >= E:
            return 0.0
        return float(self.E_inverse(E)) if self.highest > E else np.nan if np.isnan(E) else np.inf

    def inertia(self, s: float) -> float:
        """Return f / s, the derivative of log s in 2 E; 1 without weight normalization."""
        if self.plain:
            return 1.0
        return float(self.f(s)) / s if s > 0 else np.inf

    @cached_property
    def lowest(self) -> float:
        """E of radius 0."""
        return float(self.E(0.0))

    @cached_property
    def highest(self) -> float:
        """Limit of E for large radii."""
        return float(self.E(np.inf))

    @cached_property
    def _radial(self) -> SquaredRadius:
        return self.law.of_square(self.time_scale)

    def signal(self, log_x: np.ndarray) -> np.ndarray:
        """Return the signal from the logarithms of its entries (of its halves, for a signed network)."""
        x = self.sign * np.exp(log_x)
        if not self.signed:
            return np.asarray(x)
        plus, minus = np.split(x, 2, axis=-1)
        return np.asarray(plus - minus)


def reduced_forms(
    problem: LinearProblem, network: Any, theta0: Any
) -> tuple[tuple[int, ...], Iterator[tuple[tuple[int, ...], LinearProblem, ReducedForm]]]:
    """Return the batch shape of the runs and an iterator over (index, problem, form), one for each run.

    Other networks, shapes that do not fit and starts that the network does not allow raise `InvalidInput`.
    """
    theta, batch_shape = check_parameters(problem, network, theta0, np.dtype(np.float64))
    plain = not isinstance(network, WeightNormalization)
    reason = ": only these flows are mirror flows (polar coordinates of each half have two time scales)"
    inner = power_inside(network, "this needs", reason)
    if plain:
        r, direction, law = network.radius(theta), network.factor(theta), PowerRatio(1.0, 2)
        time_scale = np.ones(batch_shape)
    else:
        r, direction, law = theta.r, theta.u, network.ratio
        time_scale = _spread(network.direction_rate, batch_shape) / norm(theta.u) ** 2
    sign = np.sign(direction) * np.sign(r)[..., None]
    with np.errstate(divide="ignore"):
        log_u = np.log(np.abs(direction))
    top = log_u.max(-1, keepdims=True)
    log_u = log_u - top - np.log(np.exp(2 * (log_u - top)).sum(-1, keepdims=True)) / 2
    problem_ndim = len(problem.batch_shape)
    laws = tree_map(lambda leaf: _spread(leaf, batch_shape), law)

    def configurations() -> Iterator[tuple[tuple[int, ...], LinearProblem, ReducedForm]]:
        for at in np.ndindex(batch_shape):
            one = problem[at[:problem_ndim]] if problem_ndim else problem
            own = tree_map(lambda leaf, at=at: leaf[at], laws)
            form = ReducedForm(
                depth=inner.degree,
                law=own,
                time_scale=float(time_scale[at]),
                r0=float(np.abs(r)[at]),
                direction=np.abs(direction[at]),
                log_u0=log_u[at],
                sign=sign[at],
                signed=isinstance(inner, HadamardDifference),
                plain=plain,
            )
            yield at, one, form

    return batch_shape, configurations()


def _spread(leaf: Any, batch_shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(np.asarray(leaf, np.float64), batch_shape)
    except ValueError as mismatch:
        raise InvalidInput(
            f"a ratio or rate of shape {np.shape(leaf)} does not broadcast to the batch of runs {batch_shape};"
            f" {RATE_REMEDY}"
        ) from mismatch
