r"""What a network is: a smooth map from parameters theta to a signal X.

The loss is :math:`\lVert A X(\theta) - b \rVert^2 / (2L)`, where L is the network's ``degree``. Everything else that
descent needs follows from ``signal`` by automatic differentiation, so that a network is a class of a few lines:

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
from polarbias.runtime.arrays import real_array
from polarbias.runtime.extras import require
from polarbias.runtime.pytree import PyTree, array_namespace, tree_leaves

Array = Any
"""A NumPy array or a (traced) JAX array; network code is written once for both."""


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


def above_underflow(x: Array) -> Array:
    """Return x, with positive entries below 1e-292 (float32: 1e-31) set to that.

    Off the support entries shrink by a factor at each step for as long as descent runs. At 0, where they would end up
    in floating point, no step would count as one that keeps them positive, and they could never grow again.
    """
    limits = np.finfo(x.dtype)
    smallest = limits.tiny / limits.eps
    return array_namespace(x).where((x > 0) & (x < smallest), smallest, x)


def norm(x: Array) -> Array:
    """Return the Euclidean norm over the last axis."""
    return ((x * x).sum(-1)) ** 0.5


def concatenate(left: Array, right: Array) -> Array:
    """Join two arrays along the last axis, in the library that they come from."""
    return array_namespace(left, right).concatenate([left, right], axis=-1)


class Network(PyTree):
    """Base class of networks; a subclass defines ``signal`` and, where the defaults do not fit, the rest.

    All methods work over leading batch axes and take NumPy arrays as well as traced JAX arrays.
    """

    @abstractmethod
    def signal(self, theta: Any) -> Array:
        """Return the signal X, shape ``(..., N)``."""

    @property
    def degree(self) -> int:
        """L in the loss ``||A X - b||^2 / (2 L)``; the depth of a Hadamard network, 1 unless overridden."""
        return 1

    def rates(self, theta: Any) -> Any:
        """Return learning rates as a pytree prefix of theta, leaves of batch shape or scalars; 1 by default."""
        del theta
        return 1.0

    def pullback(self, theta: Any, cotangent: Array) -> Any:
        """Return (dX/dtheta)^T cotangent: the gradient in theta of the inner product of X and ``cotangent``."""
        jax = require("jax", "descent", f"{type(self).__name__}.pullback by automatic differentiation")
        return jax.vjp(self.signal, theta)[1](cotangent)[0]

    def pullback_given(self, theta: Any, cotangent: Array, product: Array) -> Any:
        """Return the same where ``product``, the inner product of X and ``cotangent``, is known already."""
        del product
        return self.pullback(theta, cotangent)

    def of_runs(self, select: Callable[[Array], Array]) -> Self:
        """Return the network for some runs of a batch, whose parameters ``select`` picks from those of all.

        A network whose fields hold a value for each run passes them through ``select``, which broadcasts them to the
        batch; by default all fields are shared by all runs.
        """
        del select
        return self

    def retract(self, theta: Any, previous: Any) -> Any:
        """Map a point reached by a step from ``previous`` back to the set on which the network is defined."""
        del previous
        return theta

    def admissible(self, theta: Any) -> Array | bool:
        """Tell, per run, whether theta lies where the flow of the network can be; a step must not leave it."""
        del theta
        return True

    def radius(self, theta: Any) -> Array:
        """Return the norm of the factor, shape ``(...)``; NaN for a network that has none."""
        return np.nan * self.signal(theta).sum(-1)

    def collapses(self) -> bool:
        """Tell whether the radius going to zero ends the dynamics (it is then watched)."""
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
        """Bound the rate at which x moves per unit of gradient, from theta on, while the radius is at most r."""

    @property
    @abstractmethod
    def signed(self) -> bool:
        """Whether the signal may have negative entries (and the factor then is not confined to positive ones)."""

    @property
    @abstractmethod
    def positive(self) -> bool:
        """Whether the flow keeps a positive factor positive (Lemma 3.3: depth at least 2)."""

    @property
    def homogeneous(self) -> bool:
        """Whether X(a x) = a^L X(x) for a > 0, with L the network's degree."""
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
            that for a difference. Positive entries at depth 2 and above, nonzero ones at depth 1.

        Raises
        ------
        InvalidInput
            A scale that is not positive, a direction with entries that the depth does not allow.
        """
        r, unit = self._start(scale, direction)
        return self.from_factor(r[..., None] * unit)

    def _start(self, scale: ArrayLike, direction: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the radius and the unit direction of a start, broadcast against each other."""
        scale, direction = real_array(scale, "scale"), real_array(direction, "direction")
        if not scale.size:
            raise InvalidInput("scale is empty; give a positive number or an array of them.")
        if not (scale > 0).all():
            raise InvalidInput(f"scale must be positive, got {scale.min():g}.")
        if direction.ndim < 1 or not direction.size:
            raise InvalidInput(f"direction must have shape (..., n), got {direction.shape}.")
        self._check_signs(direction, "direction")
        # Entries of size 1 first: squares of very large or small ones leave the range of floats.
        unit = direction / np.abs(direction).max(-1, keepdims=True)
        unit = unit / norm(unit)[..., None]
        try:
            shape = np.broadcast_shapes(scale.shape, unit.shape[:-1])
            return np.broadcast_to(scale, shape), np.broadcast_to(unit, (*shape, unit.shape[-1]))
        except ValueError as mismatch:
            raise InvalidInput(
                f"scale of shape {scale.shape} does not broadcast against directions of shape {direction.shape[:-1]}."
            ) from mismatch

    def _check_signs(self, x: np.ndarray, name: str) -> None:
        if self.positive and not (x > 0).all():
            raise InvalidInput(
                f"{name} must have positive entries only at depth {self.degree}, got {x.min():g}; an entry at or "
                "below zero never takes part. For signals with both signs use HadamardDifference."
            )
        if not (x != 0).all():
            raise InvalidInput(f"{name} must have no zero entry: such an entry never moves under the invariants.")
