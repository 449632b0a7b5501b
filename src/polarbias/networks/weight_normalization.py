r"""Weight normalization: gradient descent in polar coordinates of a network's factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.networks.base import Array, FactorNetwork, Polar, clip_underflow, norm, scaled_norm
from polarbias.networks.hadamard import is_power
from polarbias.networks.laws import as_ratio
from polarbias.networks.ratio_law import RatioLaw
from polarbias.runtime.arrays import positive_array
from polarbias.runtime.options import flag
from polarbias.runtime.pytree import static_field, tree_map


class WeightNormalization(FactorNetwork):
    r"""Network in polar coordinates :math:`x = r\, u / \lVert u \rVert` of its factor.

    .. math:: r' = -\eta_r \nabla_r \mathcal L, \qquad u' = -\eta_u \nabla_u \mathcal L .

    These are equations (1) and (11)-(13) of arXiv:2305.05448v1. A ratio or rate that is not positive and an inner
    network without a factor raise `InvalidInput`.

    Parameters
    ----------
    inner
        Network of the factor x. Around `HadamardDifference` both halves share one radius and direction; for a
        radius per half use ``Difference(WeightNormalization(HadamardPower(L), ratio))``.
    ratio
        Learning-rate ratio: a positive number, an array of them that broadcasts over the batch of starts, or a
        law :math:`\eta_r = f(r)`.
    direction_rate
        :math:`\eta_u > 0`, 1 without loss of generality (Lemma 3.1).
    renormalize
        Rescale u to its former norm after every step. The flow keeps the norm (Lemma 3.2); descent lets it grow
        slightly, as in the paper, unless this is set.

    Examples
    --------
    >>> import polarbias as pb
    >>> network = pb.WeightNormalization(pb.HadamardPower(depth=2), ratio=0.1)
    >>> theta = network.init(scale=5.0, direction=[3.0, 4.0])
    >>> print(theta.r, theta.u, network.signal(theta))
    5.0 [0.6 0.8] [ 9. 16.]
    """

    inner: FactorNetwork
    ratio: RatioLaw
    direction_rate: np.ndarray
    renormalize: bool = static_field()

    def __init__(
        self,
        inner: FactorNetwork,
        ratio: ArrayLike | RatioLaw,
        direction_rate: ArrayLike = 1.0,
        renormalize: bool = False,
    ) -> None:
        """Check the arguments and convert numbers to laws."""
        if not isinstance(inner, FactorNetwork) or isinstance(inner, WeightNormalization):
            raise InvalidInput(f"inner must be a plain network with a factor such as HadamardPower(2), got {inner!r}.")
        self.inner = inner
        self.ratio = as_ratio(ratio)
        self.direction_rate = positive_array(direction_rate, "direction_rate")
        self.renormalize = flag("renormalize", renormalize)

    @property
    def degree(self) -> int:
        """Degree of the inner network."""
        return self.inner.degree

    @property
    def signed(self) -> bool:
        """``signed`` of the inner network."""
        return self.inner.signed

    @property
    def positive(self) -> bool:
        """``positive`` of the inner network."""
        return self.inner.positive

    def signal_of(self, x: Array) -> Array:
        """Return the inner network's signal."""
        return self.inner.signal_of(x)

    def pullback_of(self, x: Array, cotangent: Array) -> Array:
        """Return the inner network's derivative."""
        return self.inner.pullback_of(x, cotangent)

    def factor(self, theta: Polar) -> Array:
        """Return ``r u / ||u||``."""
        return (theta.r / norm(theta.u))[..., None] * theta.u

    def from_factor(self, x: Array) -> Polar:
        """Return the norm and the unit direction of x."""
        r = scaled_norm(x)
        return Polar(r, x / r[..., None])

    def init(self, scale: ArrayLike, direction: ArrayLike, direction_norm: ArrayLike = 1.0) -> Polar:
        """Return parameters whose factor is ``scale * direction / ||direction||`` and with ``||u|| = direction_norm``.

        Parameters are those of `FactorNetwork.init`; ``direction_norm``, positive, is a scalar or has the shape of the
        batch. Changing it is the same as changing ``direction_rate`` by its inverse square (Lemma 3.1).
        """
        length = positive_array(direction_norm, "direction_norm")
        r, unit = self._start(scale, direction)
        try:
            lengths = np.broadcast_to(length, np.shape(r))
        except ValueError as mismatch:
            raise InvalidInput(
                f"direction_norm of shape {length.shape} does not broadcast to the batch of starts {np.shape(r)}."
            ) from mismatch
        return Polar(np.array(r)[()], unit * lengths[..., None])

    def radius(self, theta: Polar) -> Array:
        """Return |r|."""
        return abs(theta.r)

    def speed(self, theta: Polar, r: np.ndarray) -> np.ndarray:
        """Return the larger of the tangential rate, (r / ||u||)^2 eta_u, and the radial one, f(r)."""
        return np.asarray(np.maximum(self.direction_rate * (r / norm(theta.u)) ** 2, self.ratio.f(r)))

    def rates(self, theta: Polar) -> Polar:
        """Return f(|r|) for the radius (r may be negative at depth 1) and ``direction_rate`` for the direction."""
        return Polar(self.ratio.f(abs(theta.r)), self.direction_rate)

    def pullback(self, theta: Polar, cotangent: Array) -> Polar:
        """Return the gradients (24) and (25)."""
        return self.pullback_given(theta, cotangent, None)

    def pullback_given(self, theta: Polar, cotangent: Array, product: Array) -> Polar:
        """Return the gradients with Euler's theorem <x, grad_x> = L <X, cotangent> in place of a sum over n."""
        length = norm(theta.u)
        unit = theta.u / length[..., None]
        g = self.inner.pullback_of(theta.r[..., None] * unit, cotangent)
        if product is not None and self.inner.homogeneous and self.positive:  # at depth 1 r may be 0
            radial = self.degree * product / theta.r
        else:
            radial = (unit * g).sum(-1)
        return Polar(radial, (theta.r / length)[..., None] * (g - unit * radial[..., None]))

    def of_runs(self, select: Callable[[Array], Array]) -> Self:
        """Return the network with the ratios and direction rates of a part of the batch."""
        return self._replace(
            inner=self.inner.of_runs(select),
            ratio=tree_map(select, self.ratio),
            direction_rate=select(self.direction_rate),
        )

    def retract(self, theta: Polar, previous: Polar) -> Polar:
        """Return theta without underflow of positive entries, u at its previous norm if ``renormalize``."""
        u = theta.u * (norm(previous.u) / norm(theta.u))[..., None] if self.renormalize else theta.u
        return Polar(theta.r, clip_underflow(u) if self.positive else u)

    def admissible(self, theta: Polar) -> Array | bool:
        """Return True if r and all entries of u are positive (depth 2 and above; at depth 1 the flow may cross 0)."""
        return (theta.r > 0) & (theta.u.min(-1) > 0) if self.positive else True

    def collapses(self) -> bool:
        """Return True for depth 2 and above, since the flow can then reach the stationary point X = 0."""
        return self.positive

    def validate(self, theta: Any) -> None:
        """Check the type `Polar`, r > 0 and the signs of u."""
        if not isinstance(theta, Polar):
            raise InvalidInput(f"theta0 of WeightNormalization must be Polar(r, u), got {type(theta).__name__}.")
        super().validate(theta)
        if np.shape(theta.r) != np.shape(theta.u)[:-1]:
            raise InvalidInput(f"theta0.r must have shape {np.shape(theta.u)[:-1]}, got {np.shape(theta.r)}.")
        if not np.all(theta.r > 0 if self.positive else theta.r != 0):
            kind = "positive" if self.positive else "nonzero"
            raise InvalidInput(f"theta0.r must be {kind} at depth {self.degree}, got {np.min(theta.r):g}.")
        self._check_signs(np.asarray(theta.u), "theta0.u")


def power_inside(network: Any, purpose: str, reason: str = "") -> Any:
    """Return the `HadamardPower` or `HadamardDifference` of a network, or raise `InvalidInput` if it has none."""
    inner = network.inner if isinstance(network, WeightNormalization) else network
    if not is_power(inner):
        raise InvalidInput(
            f"{purpose} HadamardPower, HadamardDifference, or WeightNormalization around one of them, got {network!r}"
            f"{reason}."
        )
    return inner
