r"""The flow of any network, by its own equations :math:`\theta' = -\mathrm{rates} \cdot \nabla \mathcal L(\theta)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from polarbias.descent.jit import jit_arrays
from polarbias.descent.vector_field import JaxProblem, field
from polarbias.errors import InvalidInput
from polarbias.flow.steps import FOREVER, DenseOutputSegment, Integrator, Watch
from polarbias.flow.trajectory import FlowState
from polarbias.networks import FactorNetwork, Network, Polar
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Status

COLLAPSE_FLOOR = 1e-10
"""A run has collapsed when r is at or below this fraction of its start."""

ABSOLUTE = 1e-4
"""Absolute tolerance of an entry, relative to the accuracy asked for and the largest entry of theta at the start."""

STANDSTILL = 1e-14
"""The flow rests where theta would move, in the time passed so far, by less than this fraction of its norm."""


def has_polar(theta: Any) -> bool:
    """Whether theta holds polar coordinates."""
    return any(isinstance(leaf, Polar) for leaf in jax.tree.leaves(theta, is_leaf=lambda node: isinstance(node, Polar)))


def _scheduled(network: Network, theta: Any, cotangent: Any, rates: Any) -> Any:
    gradient = network.pullback(theta, cotangent / network.degree)
    eta_r, eta_u = rates[0], rates[1]

    def scale(node: Any) -> Any:
        return Polar(-eta_r * node.r, -eta_u * node.u) if isinstance(node, Polar) else jax.tree.map(jnp.negative, node)

    return jax.tree.map(scale, gradient, is_leaf=lambda node: isinstance(node, Polar))


def _like(theta: Any, flat: Any) -> Any:
    """Return a flat vector in the shape of theta, an argument that compiled code can be shared over runs by."""
    leaves, treedef = jax.tree.flatten(theta)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [flat[end - leaf.size : end].reshape(leaf.shape) for leaf, end in zip(leaves, ends, strict=True)]
    return jax.tree.unflatten(treedef, parts)


@jit_arrays
def _velocity(network: Network, data: JaxProblem, start: Any, flat: Any, rates: Any) -> Any:
    theta = _like(start, flat)
    back = data.adjoint(data.residual(network.signal(theta)))
    moved = field(network, theta, back)[0] if rates is None else _scheduled(network, theta, back, rates)
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved)])


@jit_arrays
def _jacobian(network: Network, data: JaxProblem, start: Any, flat: Any, rates: Any) -> Any:
    return jax.jacfwd(lambda y: _velocity(network, data, start, y, rates))(flat)


class Equations:
    """The vector field of one run on flat vectors, with its Jacobian by automatic differentiation.

    Parameters
    ----------
    problem, network, theta0
        One run.
    schedule
        Rates of radius and direction as functions of time, or None for the network's own.
    """

    def __init__(
        self,
        problem: LinearProblem,
        network: Network,
        theta0: Any,
        schedule: Callable[[float], tuple[float, float]] | None,
    ) -> None:
        self.problem, self.network, self.schedule = problem, network, schedule
        with jax.enable_x64(True):
            A = np.asarray(problem.A, np.float64)
            self._data = JaxProblem(
                jnp.asarray(A[None]), jnp.asarray(np.ascontiguousarray(A.T)[None]), jnp.asarray(problem.b)
            )
            self._theta0 = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), theta0)
        self.start = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(self._theta0)])

    def _rates(self, t: float) -> np.ndarray | None:
        if self.schedule is None:
            return None
        rates = np.asarray(self.schedule(t), np.float64)
        if rates.shape != (2,) or not (np.isfinite(rates).all() and (rates >= 0).all()):
            raise InvalidInput(f"schedule(t) must be (eta_r, eta_u), finite and at least 0, got {rates} at t = {t:g}.")
        return rates  # an array, because a number would be compiled in

    def rhs(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return theta'."""
        return np.asarray(_velocity(self.network, self._data, self._theta0, y, self._rates(t)))

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the derivative of theta' in theta."""
        return np.asarray(_jacobian(self.network, self._data, self._theta0, y, self._rates(t)))

    def theta(self, y: np.ndarray) -> Any:
        """Return the parameters of a flat vector."""
        return jax.tree.map(np.asarray, _like(self._theta0, y))

    def point(self, y: np.ndarray) -> FlowState:
        """Return what a trajectory knows of a flat vector."""
        theta, network = self.theta(y), self.network
        with jax.enable_x64(True):
            x = np.asarray(network.signal(theta))
            r = float(network.radius(theta))
        loss = float(((self.problem.A @ x - self.problem.b) ** 2).sum()) / (2 * network.degree)
        u = log_x = None
        if isinstance(network, FactorNetwork):
            factor = np.asarray(network.factor(theta))
            with np.errstate(divide="ignore"):
                log_x = network.degree * np.log(np.abs(factor))
            u = theta.u if isinstance(theta, Polar) else factor / np.sqrt((factor**2).sum())
        return FlowState(theta, r, u, x, log_x, loss, None)


def run(
    equations: Equations, watch: Watch, accuracy: float, keep: bool
) -> tuple[np.ndarray, Status, list[float], DenseOutputSegment | None]:
    """Integrate one run to its end; return theta there, flat, the status, the times and the dense output."""
    with jax.enable_x64(True):
        return _run(equations, watch, accuracy, keep)


def _run(
    equations: Equations, watch: Watch, accuracy: float, keep: bool
) -> tuple[np.ndarray, Status, list[float], DenseOutputSegment | None]:
    y, problem, network = equations.start, equations.problem, equations.network
    here = equations.point(y)
    floor = COLLAPSE_FLOOR * here.r if network.collapses() and problem.b.any() else -np.inf
    at_zero = float(problem.b @ problem.b) / (2 * network.degree)
    times: list[float] = [0.0]
    pieces: list[Any] = []
    status = watch.ended(0.0, here.loss)
    try:
        if status is None:
            absolute = ABSOLUTE * accuracy * (float(np.abs(y).max()) or 1.0)
            start = 0.0, y
            integrator = Integrator(equations.rhs, equations.jacobian, start, watch.t_end, (accuracy, absolute))
        while status is None:
            if not integrator.step():
                status = Status.INACCURATE
                break
            watch.steps += 1
            y, t = integrator.y, integrator.t
            times.append(t)
            if keep:
                pieces.append(integrator.piece())
            here = equations.point(y)
            if here.r <= floor and here.loss >= (1 - 1e-9) * at_zero:
                status = Status.COLLAPSED
            else:
                status = watch.ended(t, here.loss)
            if status is None and watch.steps % 50 == 0 and equations.schedule is None:
                speed = np.linalg.norm(equations.rhs(t, y))
                status = Status.INACCURATE if t >= FOREVER or speed * t <= STANDSTILL * np.linalg.norm(y) else None
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    segment = DenseOutputSegment(None, np.array(times[: len(pieces) + 1]), tuple(pieces)) if pieces else None
    return y, status, times, segment


def at(equations: Equations, segment: DenseOutputSegment | None, t: float) -> FlowState:
    """Return the run at one time."""
    return equations.point(equations.start if segment is None or t <= 0 else segment(t))


def dense_output(equations: Equations, segment: DenseOutputSegment | None) -> Callable[[float], FlowState]:
    """Return the run as a function of time."""
    return partial(at, equations, segment)
