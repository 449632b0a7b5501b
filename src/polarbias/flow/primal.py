r"""Gradient flow of any network in parameters, :math:`\theta' = -\mathrm{rates} \cdot \nabla \mathcal L(\theta)`."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from polarbias.descent.jit import jit_arrays
from polarbias.descent.vector_field import JaxProblem, field
from polarbias.errors import InvalidInput
from polarbias.flow.steps import OPTIONS, DenseOutputSegment, Integrator, Schedule, StoppingRule
from polarbias.flow.trajectory import DenseOutput, FlowEnd, FlowState
from polarbias.networks import FactorNetwork, Network, Polar
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Status

ACCURACY_SHARE = 1e-4
"""Absolute tolerance of an entry, relative to the accuracy and the largest entry of theta: entries fall far below 1."""

STATIONARY_TOL = 1e-14
"""Relative move of theta, at the present speed over the time so far, below which the flow has stopped."""


def has_polar(theta: Any) -> bool:
    """Return True if theta has polar coordinates."""
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


class PrimalEquations:
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
        schedule: Schedule | None,
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

    def state(self, y: np.ndarray) -> FlowState:
        """Return the state of a flat vector."""
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


def integrate(equations: PrimalEquations, rule: StoppingRule, accuracy: float, keep: bool) -> FlowEnd:
    """Integrate one run to its end."""
    with jax.enable_x64(True):
        return _integrate(equations, rule, accuracy, keep)


def _integrate(equations: PrimalEquations, rule: StoppingRule, accuracy: float, keep: bool) -> FlowEnd:
    y, problem, network = equations.start, equations.problem, equations.network
    here = equations.state(y)
    floor = OPTIONS.collapse_threshold * here.r if network.collapses() and problem.b.any() else -np.inf
    at_zero = float(problem.b @ problem.b) / (2 * network.degree)
    times: list[float] = [0.0]
    pieces: list[Any] = []
    status = rule.status(0.0, here.loss)
    try:
        if status is None:
            absolute = ACCURACY_SHARE * accuracy * (float(np.abs(y).max()) or 1.0)
            start = 0.0, y
            integrator = Integrator(equations.rhs, equations.jacobian, start, rule.t_end, (accuracy, absolute))
        while status is None:
            if not integrator.step():
                status = Status.INACCURATE
                break
            rule.steps += 1
            y, t = integrator.y, integrator.t
            times.append(t)
            if keep:
                pieces.append(integrator.piece())
            here = equations.state(y)
            if here.r <= floor and here.loss >= (1 - 1e-9) * at_zero:
                status = Status.COLLAPSED
            else:
                status = rule.status(t, here.loss)
            if status is None and rule.steps % 50 == 0 and equations.schedule is None:
                speed = np.linalg.norm(equations.rhs(t, y))
                stopped = t >= OPTIONS.latest_time or speed * t <= STATIONARY_TOL * np.linalg.norm(y)
                status = Status.INACCURATE if stopped else None
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    segment = DenseOutputSegment(None, np.array(times[: len(pieces) + 1]), tuple(pieces)) if pieces else None
    output = DenseOutput(np.array(times), partial(_evaluate, equations, segment)) if keep else None
    return FlowEnd(equations.state(y), status, len(times) - 1, output)


def _evaluate(equations: PrimalEquations, segment: DenseOutputSegment | None, t: float) -> FlowState:
    return equations.state(equations.start if segment is None or t <= 0 else segment(t))
