"""The compiled loop of gradient descent: in each turn, one trial step of every run of a batch worker.

A worker has a fixed number of slots, all on one problem, each of which holds one run. A turn costs two products with A
for the whole worker. A run whose trial is rejected tries a shorter step in the next turn; a run that has ended stays
unchanged until its slot is refilled. The result of a turn depends on its inputs only, never on time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from polarbias.descent.jit import jit_arrays
from polarbias.descent.step_size import StepSize
from polarbias.descent.vector_field import Field, JaxProblem, field, trailing
from polarbias.networks import Network
from polarbias.solution import Status

RUNNING = -1
"""Status of a run that has not ended."""


class Thresholds(NamedTuple):
    """Values that end a run; scalars, or arrays with one entry per slot."""

    max_steps: Any
    loss: Any  # converged below it
    radius: Any  # collapsed at or below it
    stalled_radius: Any  # collapsed at or below it if the line search fails ...
    stalled_loss: Any  # ... at or above this, the loss at X = 0 up to rounding
    rounding: Any  # error of a residual's norm per unit of largest product, see `_noise`
    largest_a: Any  # largest |A|
    largest_b: Any  # largest |b|


class LoopInputs(NamedTuple):
    """The constants of the loop."""

    problem: JaxProblem
    network: Network
    step: StepSize
    thresholds: Thresholds
    schedule: jax.Array  # trials at which a run is recorded; the last entries exceed those that it can make


class Records(NamedTuple):
    """Thinned trajectories; the first axis is the slot, the second the record."""

    step: Any
    values: Any  # loss, r and l1 on the last axis
    x: Any  # or None


class LoopState(NamedTuple):
    """The variables of the loop; the leading axis of every array is the slot."""

    theta: Any
    direction: Any
    slope: Any
    loss: Any
    dt: Any
    steps: Any
    trials: Any
    rejections: Any
    status: Any
    count: Any  # written records
    records: Records


def _select(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(trailing(condition, a, condition.ndim), a, b), new, old)


def _evaluate(problem: JaxProblem, network: Network, theta: Any) -> tuple[jax.Array, Field, jax.Array]:
    """Return the signal, the vector field and the loss at theta."""
    signal = network.signal(theta)
    image = problem.image(signal)
    residual = image - problem.b
    loss = (residual * residual).sum(-1) / (2 * network.degree)
    return signal, field(network, theta, problem.adjoint(residual), (image * residual).sum(-1)), loss


def _noise(network: Network, signal: jax.Array, loss: jax.Array, thresholds: Thresholds) -> jax.Array:
    """Bound the increase of ``loss`` by rounding in A X - b."""
    largest = thresholds.largest_a * jnp.abs(signal).sum(-1) + thresholds.largest_b
    error = thresholds.rounding * largest / (2 * network.degree) ** 0.5  # of sqrt(loss)
    return jnp.asarray((2 * loss**0.5 + error) * error)


def _turn(inputs: LoopInputs, state: LoopState) -> LoopState:
    """Try one step of every running run."""
    problem, network, step, thresholds, _ = inputs
    running = state.status == RUNNING
    trial = jax.tree.map(
        lambda leaf, move: leaf + trailing(state.dt, leaf, running.ndim) * move, state.theta, state.direction
    )
    trial = network.retract(trial, state.theta)
    signal, (direction, slope), loss = _evaluate(problem, network, trial)

    finite = jnp.isfinite(loss)
    good = step.sufficient(state.loss, loss, state.dt * state.slope, _noise(network, signal, state.loss, thresholds))
    good = good & finite & network.admissible(trial)
    accepted = running & good
    steps = state.steps + accepted
    rejections = jnp.where(good, 0, state.rejections + 1)

    failure = Status.LINE_SEARCH_FAILED if step.max_rejections else jnp.where(finite, Status.UNSTABLE, Status.DIVERGED)
    if network.collapses() and step.max_rejections:
        # The loss stops changing (to rounding) before r reaches its floor, so the search fails during a collapse.
        stalled = (network.radius(state.theta) <= thresholds.stalled_radius) & (state.loss >= thresholds.stalled_loss)
        failure = jnp.where(stalled, Status.COLLAPSED, failure)
    status = jnp.where(rejections > step.max_rejections, failure, RUNNING)
    status = jnp.where(good & (steps >= thresholds.max_steps), Status.MAX_STEPS, status)
    if network.collapses():
        status = jnp.where(good & (network.radius(trial) <= thresholds.radius), Status.COLLAPSED, status)
    status = jnp.where(good & (loss < thresholds.loss), Status.CONVERGED, status)

    return state._replace(
        theta=_select(accepted, trial, state.theta),
        direction=_select(accepted, direction, state.direction),
        slope=jnp.where(accepted, slope, state.slope),
        loss=jnp.where(accepted, loss, state.loss),
        dt=jnp.where(running, step.after(state.dt, good), state.dt),
        steps=steps,
        trials=state.trials + running,
        rejections=jnp.where(running, rejections, state.rejections),
        status=jnp.where(running, status, state.status),
    )


def _values(network: Network, theta: Any, signal: jax.Array, loss: jax.Array) -> jax.Array:
    """Return the loss, r and the l1 norm of each run, stacked."""
    radius = jnp.broadcast_to(jnp.asarray(network.radius(theta), loss.dtype), loss.shape)
    return jnp.stack([loss, radius, jnp.abs(signal).sum(-1)], -1)


def _record(inputs: LoopInputs, state: LoopState) -> LoopState:
    """Append the present state of the runs that are due to their records."""
    old, count = state.records, state.count
    signal = inputs.network.signal(state.theta)
    due = state.trials == inputs.schedule[count]
    slots = jnp.arange(due.size)
    row = jnp.where(due, count, inputs.schedule.size)  # rows past the end are dropped

    def put(values: Any, entries: Any) -> Any:
        return values.at[slots, row].set(entries, mode="drop")

    records = Records(
        step=put(old.step, state.steps),
        values=put(old.values, _values(inputs.network, state.theta, signal, state.loss)),
        x=None if old.x is None else put(old.x, signal),
    )
    return state._replace(count=count + due, records=records)


@jit_arrays
def initial_state(inputs: LoopInputs, keep_x: bool, theta: Any) -> LoopState:
    """Return the state before the first turn, with the first record only."""
    problem, network, step, thresholds, _ = inputs
    signal, (direction, slope), loss = _evaluate(problem, network, theta)
    zeros = jnp.zeros(loss.shape, int)
    values = _values(network, theta, signal, loss)
    status = jnp.where(jnp.isfinite(loss), RUNNING, Status.DIVERGED)
    return LoopState(
        theta=theta,
        direction=direction,
        slope=slope,
        loss=loss,
        dt=jnp.broadcast_to(jnp.asarray(step.first(loss, slope), loss.dtype), loss.shape),
        steps=zeros,
        trials=zeros,
        rejections=zeros,
        status=jnp.where(loss < thresholds.loss, Status.CONVERGED, status),
        count=zeros + 1,
        records=Records(zeros[:, None], values[:, None], signal[:, None] if keep_x else None),
    )


@jit_arrays
def advance(inputs: LoopInputs, turns: jax.Array, target: jax.Array, state: LoopState) -> tuple[jax.Array, LoopState]:
    """Make at most ``turns`` turns, fewer if at most ``target`` runs are left; return the number of turns as well."""

    def busy(state: LoopState) -> Any:
        return (state.status == RUNNING).sum() > target

    def to_next_record(carry: tuple[Any, LoopState]) -> tuple[Any, LoopState]:
        done, state = carry
        waits = inputs.schedule[state.count] - state.trials
        end = jnp.minimum(done + jnp.where(state.status == RUNNING, waits, turns).min(), turns)

        def once(carry: tuple[Any, LoopState]) -> tuple[Any, LoopState]:
            return carry[0] + 1, _turn(inputs, carry[1])

        done, state = lax.while_loop(lambda carry: (carry[0] < end) & busy(carry[1]), once, (done, state))
        return done, _record(inputs, state)

    def unfinished(carry: tuple[Any, LoopState]) -> Any:
        return (carry[0] < turns) & busy(carry[1])

    result: tuple[jax.Array, LoopState] = lax.while_loop(unfinished, to_next_record, (jnp.zeros((), int), state))
    return result
