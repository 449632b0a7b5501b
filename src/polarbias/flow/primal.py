r"""Gradient flow of any network in parameters, :math:`\theta' = -\mathrm{rates} \cdot \nabla \mathcal L(\theta)`."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import OdeSolution

from polarbias.descent.jit import jit_arrays
from polarbias.descent.vector_field import JaxProblem, field, jax_problem
from polarbias.errors import InvalidInput
from polarbias.flow.steps import OPTIONS, Integrator, Schedule, StoppingRule
from polarbias.flow.trajectory import DenseOutput, FlowEnd, FlowState
from polarbias.networks import FactorNetwork, Network, Polar
from polarbias.problems.linear import LinearProblem
from polarbias.runtime.arrays import real_array
from polarbias.solution import Status


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
    """The vector field of one run on flat vectors, with its Jacobian by automatic differentiation."""

    def __init__(self, problem: LinearProblem, network: Network, theta0: Any, schedule: Schedule | None) -> None:
        self.problem, self.network, self.schedule = problem, network, schedule
        with jax.enable_x64(True):
            self._data = jax_problem(problem, (), np.dtype(np.float64))
        self._theta0 = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), theta0)
        self.start = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(self._theta0)])

    def _rates(self, t: float) -> np.ndarray | None:
        if self.schedule is None:
            return None
        value = self.schedule(t)
        try:
            rates = real_array(value, "schedule(t)").astype(np.float64)
        except InvalidInput:
            rates = np.empty(0)
        if rates.shape != (2,) or not (rates >= 0).all():
            raise InvalidInput(
                f"schedule(t) must be (eta_r, eta_u), finite and at least 0, got {value!r} at t = {t:g}."
            )
        return rates  # an array, because a number would be compiled in

    def rhs(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return theta'."""
        return np.asarray(_velocity(self.network, self._data, self._theta0, y, self._rates(t)))

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the derivative of theta' in theta."""
        return np.asarray(_jacobian(self.network, self._data, self._theta0, y, self._rates(t)))

    def state(self, y: np.ndarray) -> FlowState:
        """Return the state of a flat vector."""
        theta, network = jax.tree.map(np.asarray, _like(self._theta0, y)), self.network
        with jax.enable_x64(True):
            x = np.asarray(network.signal(theta))
            r = float(network.radius(theta))
        loss = float((self.problem.residual(x) ** 2).sum()) / (2 * network.degree)
        u = log_x = None
        if isinstance(network, FactorNetwork):
            factor = np.asarray(network.factor(theta))
            with np.errstate(divide="ignore", invalid="ignore"):  # a flow of b < 0 can reach X = 0
                log_x = network.degree * np.log(np.abs(factor))
                u = theta.u if isinstance(theta, Polar) else factor / np.sqrt((factor**2).sum())
        return FlowState(theta, r, u, x, log_x, loss, None)


def integrate(equations: PrimalEquations, rule: StoppingRule, accuracy: float, keep: bool) -> FlowEnd:
    """Integrate one run to its end."""
    y, problem, network = equations.start, equations.problem, equations.network
    here = equations.state(y)
    floor = OPTIONS.collapse_threshold * here.r if network.collapses() and problem.b.any() else -np.inf
    at_zero = (1 - OPTIONS.collapse_loss_tol) * float(problem.b @ problem.b) / (2 * network.degree)
    times, pieces = [0.0], []
    status = rule.status(0.0, here.loss)
    try:
        with jax.enable_x64(True):
            absolute = OPTIONS.primal_absolute * accuracy * (float(np.abs(y).max()) or 1.0)
            if status is None:
                integrator = Integrator(equations, 0.0, y, rule.t_end, accuracy, absolute)
            while status is None:
                if not integrator.advance():
                    status = Status.INACCURATE
                    break
                rule.steps += 1
                y, t = integrator.y.copy(), float(integrator.t)
                times.append(t)
                if keep:
                    pieces.append(integrator.dense_output())
                here = equations.state(y)
                status = Status.COLLAPSED if here.r <= floor and here.loss >= at_zero else rule.status(t, here.loss)
                stopped = t >= OPTIONS.latest_time
                if rule.steps % OPTIONS.primal_check_interval == 0 and equations.schedule is None:
                    move = t * np.linalg.norm(equations.rhs(t, y))
                    stopped |= move <= OPTIONS.primal_stationary_tol * np.linalg.norm(y)
                if status is None and stopped:
                    status = Status.INACCURATE
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    dense = OdeSolution(times[: len(pieces) + 1], pieces) if pieces else None
    output = DenseOutput(np.array(times), partial(_evaluate, equations, dense)) if keep else None
    return FlowEnd(equations.state(y), status, len(times) - 1, output)


def _evaluate(equations: PrimalEquations, dense: OdeSolution | None, t: float) -> FlowState:
    return equations.state(equations.start if dense is None or t <= 0 else dense(t))
