r"""Step sizes of gradient descent: constant, or by an Armijo line search."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from polarbias.descent.options import OPTIONS
from polarbias.errors import InvalidInput
from polarbias.networks import FactorNetwork
from polarbias.networks.parameters import check_parameters
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.problems.reference import minimal_l1
from polarbias.runtime.arrays import positive_array
from polarbias.runtime.batch_axes import over_runs
from polarbias.runtime.options import number, positive_number
from polarbias.runtime.pytree import PyTree, array_namespace, static_field

if TYPE_CHECKING:
    import jax


class StepSize(PyTree):
    """Rule for the time dt that a step along the vector field covers."""

    max_rejections: ClassVar[int] = 0
    """Rejections in a row after which a run ends; 0 if a rejected trial ends it at once as unstable."""

    @abstractmethod
    def first(self, loss: jax.Array, slope: jax.Array) -> Any:
        """Return the first step; ``slope`` is the rate at which the loss falls along the field at the start."""

    @abstractmethod
    def sufficient(self, loss: jax.Array, trial_loss: jax.Array, decrease: jax.Array, noise: jax.Array) -> jax.Array:
        """Return True where a trial step is accepted.

        ``decrease`` is dt times the slope, which `Armijo` compares with, ``noise`` a bound on the increase of the loss
        by rounding, which `ConstantStep` allows.
        """

    @abstractmethod
    def after(self, dt: jax.Array, accepted: jax.Array) -> jax.Array:
        """Return the next step."""


def as_step_size(step: object) -> StepSize:
    """Return the `StepSize` of a ``step`` option: `Armijo` for None, `ConstantStep` for a number."""
    if step is None:
        return Armijo()
    if isinstance(step, StepSize):
        return step
    if isinstance(step, Real):
        return ConstantStep(positive_number("step", step))
    raise InvalidInput(f"step must be a positive number, Armijo(...) or ConstantStep(dt), got {step!r}.")


class ConstantStep(StepSize):
    """Explicit Euler with the step ``dt``.

    A run ends with status ``unstable`` if its loss rises or, at depth 2 and above, r or an entry of u reaches zero: it
    no longer follows the flow.

    Parameters
    ----------
    dt
        Positive time step (absolute), a scalar or an array that broadcasts over the batch of runs.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [2.0])
    >>> network = pb.HadamardPower(2)
    >>> theta0 = network.init(1.0, [1.0, 1.0])
    >>> run = pb.gradient_descent(problem, network, theta0, step=pb.ConstantStep(0.1), max_steps=1000, tol=1e-20)
    >>> run
    Solution(converged, loss=3.87e-21, steps=20)
    """

    dt: np.ndarray

    def __init__(self, dt: ArrayLike) -> None:
        """Check the step."""
        self.dt = positive_array(dt, "dt")

    @classmethod
    def stable(cls, problem: LinearProblem, network: FactorNetwork, theta0: Any, c: float = 0.5) -> ConstantStep:
        r"""Return a step that keeps descent stable from ``theta0`` to the neighbourhood of the solution.

        .. math:: dt = \frac{c}{\lambda_{\max}(A^\top A)\, L\, x_{\max}^{2L-2}\, v(r_{\max})},

        with v = max(r^2, f(r)) under weight normalization and 1 without; for a decreasing law, the larger of v at the
        start and at rmax. Both maxima are the larger of the start's and twice those of the minimal-l1 solution (a
        linear program): a step computed from the start alone diverges from small starts. Explicit Euler is unstable
        from about c = 2 on, and from about 1 on for a difference, whose matrix is in effect [A, -A].

        Raises
        ------
        InvalidInput
            A network without a factor, c not positive, A = 0, or no signal of the network's kind solves A X = b.
        """
        theta0, batch_shape = check_parameters(problem, network, theta0, np.dtype(np.float64))
        require_dense(problem, "ConstantStep.stable")
        if not isinstance(network, FactorNetwork):
            raise InvalidInput("ConstantStep.stable needs a network with a factor; choose dt yourself.")
        c = positive_number("c", c)

        def per_run(values: Any) -> np.ndarray:
            return over_runs(np.asarray(values), problem.b.ndim - 1, len(batch_shape) - problem.b.ndim + 1)

        curvature = per_run(np.linalg.norm(np.asarray(problem.A, np.float64), ord=2, axis=(-2, -1)) ** 2)
        if not (curvature > 0).all():
            raise InvalidInput("ConstantStep.stable needs A != 0.")
        depth = network.degree
        minimal = minimal_l1(problem, nonnegative=not network.signed)
        if not np.all(minimal.feasible):
            raise InvalidInput("ConstantStep.stable needs a problem with a solution of the network's kind.")
        target = per_run(np.abs(minimal.x) ** (1 / depth))
        x_max = np.maximum(np.abs(network.factor(theta0)).max(-1), 2 * target.max(-1))
        r_max = np.maximum(network.radius(theta0), 2 * np.linalg.norm(target, axis=-1))
        speed = np.maximum(network.speed(theta0, network.radius(theta0)), network.speed(theta0, r_max))
        return cls(c / (curvature * depth * x_max ** (2 * depth - 2) * speed))

    def first(self, loss: jax.Array, slope: jax.Array) -> Any:
        """Return dt."""
        return self.dt

    def sufficient(self, loss: jax.Array, trial_loss: jax.Array, decrease: jax.Array, noise: jax.Array) -> jax.Array:
        """Accept a loss that does not rise beyond rounding."""
        return trial_loss <= loss + noise

    def after(self, dt: jax.Array, accepted: jax.Array) -> jax.Array:
        """Return dt."""
        return dt


class Armijo(StepSize):
    r"""Backtracking (Armijo) line search along the vector field.

    A trial is accepted if its loss is below :math:`\mathcal L - c_1\, dt\, \sum \mathrm{rates}\, |\nabla \mathcal L|^2`
    and r and all entries of u are positive (depth 2 and above). With the default ``growth`` of 1.05 an accepted step
    takes about 1.07 trials.

    Parameters
    ----------
    c1
        Share of the decrease predicted by the slope that a step must achieve (sufficient-decrease constant), in (0, 1).
    shrink
        Factor of a rejected step, in (0, 1).
    growth
        Factor of an accepted step, at least 1.
    initial
        First trial step, positive; by default a tenth of loss over slope, which scales with A, b and the start.

    Examples
    --------
    >>> import polarbias as pb
    >>> pb.Armijo().growth
    1.05
    """

    max_rejections: ClassVar[int] = OPTIONS.max_rejections
    c1: float = static_field()
    shrink: float = static_field()
    growth: float = static_field()
    initial: float | None = static_field()

    def __init__(
        self, c1: float = 1e-4, shrink: float = 0.5, growth: float = 1.05, initial: float | None = None
    ) -> None:
        """Check the parameters."""
        self.c1, self.shrink = number("c1", c1, above=0, below=1), number("shrink", shrink, above=0, below=1)
        self.growth = number("growth", growth, least=1)
        self.initial = None if initial is None else positive_number("initial", initial)

    def first(self, loss: jax.Array, slope: jax.Array) -> Any:
        """Return ``initial``, by default a step in which the loss would fall by a tenth at its initial rate."""
        if self.initial is not None:
            return self.initial
        xp, dt = array_namespace(loss, slope), OPTIONS.initial_decrease * loss / slope
        return xp.where(xp.isfinite(dt), dt, 1.0)

    def sufficient(self, loss: jax.Array, trial_loss: jax.Array, decrease: jax.Array, noise: jax.Array) -> jax.Array:
        """Accept a decrease that is sufficient and at least one rounding unit."""
        return (trial_loss <= loss - self.c1 * decrease) & (trial_loss < loss)

    def after(self, dt: jax.Array, accepted: jax.Array) -> jax.Array:
        """Return the step times ``growth`` or ``shrink``."""
        factor: jax.Array = array_namespace(accepted).where(accepted, self.growth, self.shrink)
        return dt * factor
