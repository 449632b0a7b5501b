r"""Networks: smooth maps from parameters theta to a signal X.

The loss is :math:`\lVert A X(\theta) - b \rVert^2 / (2L)`, where L is the network's ``degree``. Automatic
differentiation of ``signal`` gives the gradients, so a network is a class of a few lines:

>>> import jax.numpy as jnp
>>> import numpy as np
>>> import polarbias as pb
>>> class Exponential(pb.Network):
...     def signal(self, theta):
...         return jnp.exp(theta)
>>> problem = pb.LinearProblem([[1.0, 2.0]], [3.0])
>>> pb.gradient_descent(problem, Exponential(), np.zeros(2), step=pb.Armijo(), max_steps=100, tol=1e-20).x
array([1., 1.])
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.arrays import positive_array, real_array
from polarbias.runtime.extras import require
from polarbias.runtime.pytree import PyTree, array_namespace, tree_leaves

Array = Any
"""A NumPy array, or an array or tracer of JAX."""


class Factor(NamedTuple):
    """Parameters of a plain network: the factor x, shape ``(..., n)``."""

    x: Array


class Polar(NamedTuple):
    """Parameters under weight normalization: r of shape ``(...)``, u of shape ``(..., n)``, x = r u / ||u||."""

    r: Array
    u: Array


class Pair(NamedTuple):
    """Parameters of a difference of two networks."""

    plus: Any
    minus: Any


def clip_underflow(x: Array) -> Array:
    """Return x with positive entries below 1e-292 (float32: 1e-31) raised to this bound.

    Descent shrinks the entries off the support by a factor in every step. An entry that underflows to 0 would make all
    later steps inadmissible and could not grow again.
    """
    limits = np.finfo(x.dtype)
    smallest = limits.tiny / limits.eps
    return array_namespace(x).where((x > 0) & (x < smallest), smallest, x)


def norm(x: Array) -> Array:
    """Return the Euclidean norm over the last axis."""
    return ((x * x).sum(-1)) ** 0.5


def scaled_norm(x: Array) -> Array:
    """Return the norm over the last axis of x != 0, whose squares may overflow or underflow."""
    size = abs(x).max(-1)
    return size * norm(x / size[..., None])


def concatenate(left: Array, right: Array) -> Array:
    """Return two arrays joined along the last axis."""
    return array_namespace(left, right).concatenate([left, right], axis=-1)


class Network(PyTree):
    """Base class of networks; a subclass defines ``signal`` and overrides other methods as needed.

    A subclass is a frozen dataclass and a pytree of JAX; mark fields that are no arrays by
    ``field(metadata={"static": True})``. Methods broadcast over leading batch axes and take NumPy arrays and tracers.
    """

    @abstractmethod
    def signal(self, theta: Any) -> Array:
        """Return the signal X, shape ``(..., N)``."""

    @property
    def degree(self) -> int:
        """L in the loss ``||A X - b||^2 / (2 L)``; the depth of a Hadamard network, 1 unless overridden."""
        return 1

    def rates(self, theta: Any) -> Any:
        """Return learning rates, 1 by default: a pytree prefix of theta with scalars or leaves of batch shape."""
        return 1.0

    def pullback(self, theta: Any, cotangent: Array) -> Any:
        """Return (dX/dtheta)^T cotangent: the gradient in theta of the inner product of X and ``cotangent``."""
        jax = require("jax", "descent", f"{type(self).__name__}.pullback by automatic differentiation")
        return jax.vjp(self.signal, theta)[1](cotangent)[0]

    def pullback_given(self, theta: Any, cotangent: Array, product: Array) -> Any:
        """Return ``pullback``, given the inner product of X and ``cotangent``, which can save a sum."""
        return self.pullback(theta, cotangent)

    def of_runs(self, select: Callable[[Array], Array]) -> Self:
        """Return the network of a part of the batch.

        ``select`` broadcasts an array with one value per run to the batch and selects the part. A network with such
        fields applies it to each; by default all runs share all fields.
        """
        return self

    def retract(self, theta: Any, previous: Any) -> Any:
        """Return theta after a step from ``previous``, mapped back to the domain of the network."""
        return theta

    def admissible(self, theta: Any) -> Array | bool:
        """Return True for the runs with theta in the set that the flow cannot leave; steps keep to it."""
        return True

    def radius(self, theta: Any) -> Array:
        """Return the norm of the factor, shape ``(...)``, or NaN without a factor."""
        return np.nan * self.signal(theta).sum(-1)

    def collapses(self) -> bool:
        """Return True if the flow can converge to X = 0 with its radius, so that runs need a lower bound on it."""
        return False

    def validate(self, theta: Any) -> None:
        """Raise `InvalidInput` if theta cannot start a run."""
        if not tree_leaves(theta):
            raise InvalidInput("theta0 holds no array.")


class FactorNetwork(Network):
    """A network that depends on theta through one vector, the factor x (shape ``(..., n)``)."""

    @abstractmethod
    def signal_of(self, x: Array) -> Array:
        """Return the signal X of the factor x."""

    @abstractmethod
    def pullback_of(self, x: Array, cotangent: Array) -> Array:
        """Return (dX/dx)^T cotangent."""

    @abstractmethod
    def factor(self, theta: Any) -> Array:
        """Return the factor x of theta."""

    @abstractmethod
    def from_factor(self, x: Array) -> Any:
        """Return parameters theta whose factor is x."""

    @abstractmethod
    def speed(self, theta: Any, r: np.ndarray) -> np.ndarray:
        """Return a bound on |dx/dt| per unit of gradient, from theta on, for radii up to r."""

    @property
    @abstractmethod
    def signed(self) -> bool:
        """True if the signal may have negative entries."""

    @property
    @abstractmethod
    def positive(self) -> bool:
        """True if positive factors stay positive along the flow (Lemma 3.3: depth at least 2)."""

    @property
    def homogeneous(self) -> bool:
        """True if X(a x) = a^L X(x) for a > 0, with L the network's degree."""
        return False

    def signal(self, theta: Any) -> Array:
        """Return the signal X, shape ``(..., N)``."""
        return self.signal_of(self.factor(theta))

    def radius(self, theta: Any) -> Array:
        """Return the norm of the factor, shape ``(...)``."""
        return norm(self.factor(theta))

    def init(self, scale: ArrayLike, direction: ArrayLike) -> Any:
        """Return parameters whose factor is ``scale * direction / ||direction||``.

        Parameters
        ----------
        scale
            Norm r0 > 0 of the factor, scalar or shape ``(...)``.
        direction
            Direction u0, shape ``(..., n)``, broadcast against ``scale``; n is the length of the signal, or twice
            that for a difference. Positive entries at depth 2 and above, nonzero ones at depth 1; others raise
            `InvalidInput`.
        """
        r, unit = self._start(scale, direction)
        return self.from_factor(r[..., None] * unit)

    def _start(self, scale: ArrayLike, direction: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the broadcast radius and unit direction of a start."""
        radii, direction = positive_array(scale, "scale"), real_array(direction, "direction").astype(np.float64)
        if direction.ndim < 1 or not direction.size:
            raise InvalidInput(f"direction must have shape (..., n), got {direction.shape}.")
        self._check_signs(direction, "direction")
        # Normalize the largest entry first: squares of the given entries may overflow or underflow.
        unit = direction / np.abs(direction).max(-1, keepdims=True)
        unit = unit / norm(unit)[..., None]
        try:
            shape = np.broadcast_shapes(radii.shape, unit.shape[:-1])
            return np.broadcast_to(radii, shape), np.broadcast_to(unit, (*shape, unit.shape[-1]))
        except ValueError as mismatch:
            raise InvalidInput(
                f"scale of shape {radii.shape} does not broadcast against directions of shape {direction.shape[:-1]}."
            ) from mismatch

    def _check_signs(self, x: np.ndarray, name: str) -> None:
        if self.positive and not (x > 0).all():
            raise InvalidInput(
                f"{name} must have positive entries only at depth {self.degree}, got {x.min():g}; nonpositive "
                "entries stay nonpositive. For signals with both signs use HadamardDifference."
            )
        if not (x != 0).all():
            raise InvalidInput(f"{name} must have no zero entry: the invariants keep such an entry at zero.")
