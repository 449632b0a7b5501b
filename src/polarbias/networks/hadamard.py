r"""Diagonal linear networks: :math:`X = x^{\odot L}` and :math:`X = u^{\odot L} - v^{\odot L}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.networks.base import Array, Factor, FactorNetwork, Pair, clip_underflow, concatenate
from polarbias.runtime.options import depth_number
from polarbias.runtime.pytree import static_field


class HadamardPower(FactorNetwork):
    r"""Diagonal linear network of depth L without weight normalization (eqs. 6, 9, 10 of arXiv:2305.05448v1).

    .. math:: X = x^{\odot L}, \qquad x' = -\nabla_x \tfrac{1}{2L} \lVert A x^{\odot L} - b \rVert^2 .

    Parameters
    ----------
    depth
        L, an integer from 1 to 1000. At depth 1 this is linear regression.

    Examples
    --------
    >>> import polarbias as pb
    >>> network = pb.HadamardPower(depth=2)
    >>> network.signal(network.init(scale=5.0, direction=[3.0, 4.0]))
    array([ 9., 16.])
    """

    depth: int = static_field()

    def __init__(self, depth: int) -> None:
        """Check the depth."""
        self.depth = depth_number(depth)

    @property
    def degree(self) -> int:
        """L, the depth."""
        return self.depth

    @property
    def signed(self) -> bool:
        """True for depth 1 only."""
        return self.depth == 1

    @property
    def positive(self) -> bool:
        """True for depth 2 and above (Lemma 3.3)."""
        return self.depth > 1

    @property
    def homogeneous(self) -> bool:
        """True."""
        return True

    def signal_of(self, x: Array) -> Array:
        """Return ``x ** depth``."""
        return x**self.depth

    def pullback_of(self, x: Array, cotangent: Array) -> Array:
        """Return ``depth * x ** (depth - 1) * cotangent`` (eq. 23)."""
        if self.depth == 1:
            return cotangent
        return self.depth * x ** (self.depth - 1) * cotangent

    def factor(self, theta: Factor) -> Array:
        """Return x."""
        return theta.x

    def from_factor(self, x: Array) -> Factor:
        """Return ``Factor(x)``."""
        return Factor(x)

    def speed(self, theta: Factor, r: np.ndarray) -> np.ndarray:
        """Return 1: the parameter is the factor."""
        return np.ones_like(r)

    def pullback(self, theta: Factor, cotangent: Array) -> Factor:
        """Return the gradient in x."""
        return Factor(self.pullback_of(theta.x, cotangent))

    def retract(self, theta: Factor, previous: Factor) -> Factor:
        """Return theta without underflow of positive entries."""
        return Factor(clip_underflow(theta.x)) if self.positive else theta

    def admissible(self, theta: Factor) -> Array | bool:
        """Return True if all entries are positive (depth 2 and above)."""
        return theta.x.min(-1) > 0 if self.positive else True

    def validate(self, theta: Any) -> None:
        """Check the type `Factor` and the signs of the entries."""
        if not isinstance(theta, Factor):
            raise InvalidInput(f"theta0 of HadamardPower must be Factor(x), got {type(theta).__name__}; use init().")
        super().validate(theta)
        self._check_signs(theta.x, "theta0.x")


class Difference(FactorNetwork):
    r"""Difference of two copies of a network, for signals with both signs (eq. 22 of arXiv:2305.05448v1).

    The parameters are ``Pair(plus, minus)``, each half with the parameters of the network ``half``. Around a
    weight-normalized network each half has polar coordinates of its own:
    ``Difference(WeightNormalization(HadamardPower(2), ratio))``.
    """

    half: FactorNetwork

    def __init__(self, half: FactorNetwork) -> None:
        """Check the type of the half."""
        if not isinstance(half, FactorNetwork):
            raise InvalidInput(f"half must be a network with a factor such as HadamardPower(2), got {half!r}.")
        self.half = half

    @property
    def degree(self) -> int:
        """Degree of each half."""
        return self.half.degree

    @property
    def signed(self) -> bool:
        """True."""
        return True

    @property
    def positive(self) -> bool:
        """``positive`` of each half."""
        return self.half.positive

    @property
    def homogeneous(self) -> bool:
        """``homogeneous`` of each half."""
        return self.half.homogeneous

    def of_runs(self, select: Callable[[Array], Array]) -> Self:
        """Return the difference of the halves of a part of the batch."""
        return self._replace(half=self.half.of_runs(select))

    def signal_of(self, x: Array) -> Array:
        """Return the signal of the first half of x minus that of the second."""
        plus, minus = self._halves(x)
        return self.half.signal_of(plus) - self.half.signal_of(minus)

    def pullback_of(self, x: Array, cotangent: Array) -> Array:
        """Return the derivatives of both halves, the second with opposite sign."""
        plus, minus = self._halves(x)
        return concatenate(self.half.pullback_of(plus, cotangent), self.half.pullback_of(minus, -cotangent))

    def factor(self, theta: Pair) -> Array:
        """Return the concatenated factors, shape ``(..., 2 N)``."""
        return concatenate(self.half.factor(theta.plus), self.half.factor(theta.minus))

    def from_factor(self, x: Array) -> Pair:
        """Return the parameters of both halves from 2 N entries."""
        return Pair(*map(self.half.from_factor, self._halves(x)))

    def speed(self, theta: Pair, r: np.ndarray) -> np.ndarray:
        """Return the larger speed of the two halves."""
        return np.asarray(np.maximum(self.half.speed(theta.plus, r), self.half.speed(theta.minus, r)))

    def signal(self, theta: Pair) -> Array:
        """Return the difference of the halves' signals, shape ``(..., N)``."""
        return self.half.signal(theta.plus) - self.half.signal(theta.minus)

    def rates(self, theta: Pair) -> Pair:
        """Return the rates of each half."""
        return Pair(self.half.rates(theta.plus), self.half.rates(theta.minus))

    def pullback(self, theta: Pair, cotangent: Array) -> Pair:
        """Return the gradients of both halves."""
        return Pair(self.half.pullback(theta.plus, cotangent), self.half.pullback(theta.minus, -cotangent))

    def retract(self, theta: Pair, previous: Pair) -> Pair:
        """Return both halves retracted."""
        return Pair(self.half.retract(theta.plus, previous.plus), self.half.retract(theta.minus, previous.minus))

    def admissible(self, theta: Pair) -> Array | bool:
        """Return True if both halves are admissible."""
        return self.half.admissible(theta.plus) & self.half.admissible(theta.minus)

    def collapses(self) -> bool:
        """Return ``collapses`` of each half; the radius of both halves together is the criterion."""
        return self.half.collapses()

    def validate(self, theta: Any) -> None:
        """Check each half and that both have one shape."""
        if not isinstance(theta, Pair):
            raise InvalidInput(f"theta0 of a difference must be Pair(plus, minus), got {type(theta).__name__}.")
        for half in theta:
            self.half.validate(half)
        plus, minus = (self.half.factor(half).shape for half in theta)
        if plus != minus:
            raise InvalidInput(f"both halves of theta0 must have one shape, got {plus} and {minus}.")

    def _halves(self, x: Array) -> tuple[Array, Array]:
        if x.shape[-1] % 2:
            raise InvalidInput(f"a difference takes 2 N entries (plus, then minus), got {x.shape[-1]}, an odd number.")
        middle = x.shape[-1] // 2
        return x[..., :middle], x[..., middle:]


class HadamardDifference(Difference):
    r"""Signed diagonal linear network :math:`X = u^{\odot L} - v^{\odot L}` of depth L.

    Without weight normalization its parameters are ``Pair(Factor(u), Factor(v))``. Wrapped in
    `WeightNormalization` it has one radius and one direction for the joint vector (u, v). ``init`` takes 2 N entries.

    Parameters
    ----------
    depth
        L, an integer from 1 to 1000.

    Examples
    --------
    >>> import polarbias as pb
    >>> network = pb.HadamardDifference(depth=2)
    >>> network.signal(network.init(scale=5.0, direction=[4.0, 3.0]))
    array([7.])
    """

    def __init__(self, depth: int) -> None:
        """Set up two halves of one depth."""
        super().__init__(HadamardPower(depth))


def is_power(network: Any) -> bool:
    """Return True for `HadamardPower` and `HadamardDifference`, not for their subclasses: signals x^L, u^L - v^L."""
    return type(network) in (HadamardPower, HadamardDifference)
