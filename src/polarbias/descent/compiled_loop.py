"""The compiled loop of gradient descent: one trial of every run of a worker per turn.

A worker is a fixed number of slots, all on one problem, each of which holds one run. A turn costs two products with A
for the whole worker. A run whose trial is rejected tries a shorter step in the next turn; a run that has ended stays
as it is until its slot is given to another. What a turn does depends on the specification only, never on time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from polarbias.descent import vector_field
from polarbias.descent.step_size import StepSize
from polarbias.descent.vector_field import Data
from polarbias.networks import Network
from polarbias.solution import Status

RUNNING = -1
"""Status of a run that has not ended."""


class Limits(NamedTuple):
    """When a run ends; the arrays have one entry per slot."""

    max_steps: Any
    loss: Any  # converged below it
    radius: Any  # collapsed at or below it
    stalled_radius: Any  # collapsed at or below it if the line search fails ...
    stalled_loss: Any  # ... at or above this, the loss at X = 0 up to rounding
    rounding: Any  # error of a residual's norm per unit of largest product, see `_noise`
    entry_a: Any  # largest |A|
    entry_b: Any  # largest |b|


class Plan(NamedTuple):
    """What stays fixed while a worker runs."""

    data: Data
    network: Network
    step: StepSize
    limits: Limits
    schedule: jax.Array
    """Trials of a run at which it is recorded; the last ones are more than a run can make."""


class Records(NamedTuple):
    """Thinned trajectories; the first axis is the slot, the second the record, of which ``count`` are written."""

    count: Any
    step: Any
    values: Any  # loss, r and l1 on the last axis
    x: Any


class State(NamedTuple):
    """What the loop carries; the leading axis of every array is the slot."""

    theta: Any
    direction: Any
    slope: Any
    loss: Any
    dt: Any
    steps: Any
    trials: Any
    rejections: Any
    status: Any
    records: Records


def _select(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(vector_field.trailing(condition, a, condition.ndim), a, b), new, old)


def _evaluate(data: Data, network: Network, theta: Any) -> tuple[jax.Array, vector_field.Field, jax.Array]:
    """Return the signal, the vector field and the loss at theta."""
    signal = network.signal(theta)
    image = vector_field.image(data, signal)
    residual = image - data.b
    loss = (residual * residual).sum(-1) / (2 * network.degree)
    return (
        signal,
        vector_field.field(network, theta, vector_field.adjoint(data, residual), (image * residual).sum(-1)),
        loss,
    )


def _noise(network: Network, signal: jax.Array, loss: jax.Array, limits: Limits) -> jax.Array:
    """Return how far rounding in A X - b can lift ``loss``."""
    largest = limits.entry_a * jnp.abs(signal).sum(-1) + limits.entry_b
    error = limits.rounding * largest / (2 * network.degree) ** 0.5  # of sqrt(loss)
    lifted: jax.Array = (2 * loss**0.5 + error) * error
    return lifted


def _turn(plan: Plan, state: State) -> State:
    """Try one step of every running run."""
    data, network, step, limits, _ = plan
    running = state.status == RUNNING
    trial = jax.tree.map(
        lambda leaf, move: leaf + vector_field.trailing(state.dt, leaf, running.ndim) * move,
        state.theta,
        state.direction,
    )
    trial = network.retract(trial, state.theta)
    signal, (direction, slope), loss = _evaluate(data, network, trial)

    finite = jnp.isfinite(loss)
    good = step.sufficient(state.loss, loss, state.dt * state.slope, _noise(network, signal, state.loss, limits))
    good = good & finite & network.admissible(trial)
    accepted = running & good
    steps = state.steps + accepted
    rejections = jnp.where(good, 0, state.rejections + 1)

    failure = Status.LINE_SEARCH_FAILED if step.max_rejections else jnp.where(finite, Status.UNSTABLE, Status.DIVERGED)
    if network.collapses() and step.max_rejections:
        # The loss no longer feels X long before r is at its floor, so the search fails on the way down.
        stalled = (network.radius(state.theta) <= limits.stalled_radius) & (state.loss >= limits.stalled_loss)
        failure = jnp.where(stalled, Status.COLLAPSED, failure)
    status = jnp.where(rejections > step.max_rejections, failure, RUNNING)
    status = jnp.where(good & (steps >= limits.max_steps), Status.MAX_STEPS, status)
    if network.collapses():
        status = jnp.where(good & (network.radius(trial) <= limits.radius), Status.COLLAPSED, status)
    status = jnp.where(good & (loss < limits.loss), Status.CONVERGED, status)

    return State(
        theta=_select(accepted, trial, state.theta),
        direction=_select(accepted, direction, state.direction),
        slope=jnp.where(accepted, slope, state.slope),
        loss=jnp.where(accepted, loss, state.loss),
        dt=jnp.where(running, step.after(state.dt, good), state.dt),
        steps=steps,
        trials=state.trials + running,
        rejections=jnp.where(running, rejections, state.rejections),
        status=jnp.where(running, status, state.status),
        records=state.records,
    )


def _values(network: Network, theta: Any, signal: jax.Array, loss: jax.Array) -> jax.Array:
    """Return what is recorded of each run besides its steps and signal."""
    radius = jnp.broadcast_to(jnp.asarray(network.radius(theta), loss.dtype), loss.shape)
    return jnp.stack([loss, radius, jnp.abs(signal).sum(-1)], -1)


def _record(plan: Plan, state: State) -> Records:
    """Write the present state of those runs that are due as their next record."""
    old = state.records
    signal = plan.network.signal(state.theta)
    due = state.trials == plan.schedule[old.count]
    slots = jnp.arange(due.size)
    row = jnp.where(due, old.count, plan.schedule.size)  # rows past the end are dropped

    def put(values: Any, entries: Any) -> Any:
        return values.at[slots, row].set(entries, mode="drop")

    return Records(
        count=old.count + due,
        step=put(old.step, state.steps),
        values=put(old.values, _values(plan.network, state.theta, signal, state.loss)),
        x=None if old.x is None else put(old.x, signal),
    )


@eqx.filter_jit
def begin(plan: Plan, keep_x: bool, theta: Any) -> State:
    """Return the state before the first turn, with its record, the first of the schedule, and room for the others."""
    _, network, step, limits, schedule = plan
    signal, (direction, slope), loss = _evaluate(plan.data, network, theta)
    zeros = jnp.zeros(loss.shape, int)
    rows = (*loss.shape, schedule.size)
    values = jnp.zeros((*rows, 3), loss.dtype).at[:, 0].set(_values(network, theta, signal, loss))
    x = jnp.zeros((*rows, signal.shape[-1]), loss.dtype).at[:, 0].set(signal) if keep_x else None
    status = jnp.where(jnp.isfinite(loss), RUNNING, Status.DIVERGED)
    return State(
        theta=theta,
        direction=direction,
        slope=slope,
        loss=loss,
        dt=jnp.broadcast_to(jnp.asarray(step.first(loss, slope), loss.dtype), loss.shape),
        steps=zeros,
        trials=zeros,
        rejections=zeros,
        status=jnp.where(loss < limits.loss, Status.CONVERGED, status),
        records=Records(zeros + 1, jnp.zeros(rows, int), values, x),
    )


@eqx.filter_jit
def advance(plan: Plan, turns: jax.Array, low: jax.Array, state: State) -> tuple[jax.Array, State]:
    """Make at most ``turns`` turns, but stop once no more than ``low`` runs run; return how many were made."""

    def busy(state: State) -> Any:
        return (state.status == RUNNING).sum() > low

    def to_next_record(carry: tuple[Any, State]) -> tuple[Any, State]:
        done, state = carry
        waits = plan.schedule[state.records.count] - state.trials
        end = jnp.minimum(done + jnp.where(state.status == RUNNING, waits, turns).min(), turns)

        def once(carry: tuple[Any, State]) -> tuple[Any, State]:
            return carry[0] + 1, _turn(plan, carry[1])

        done, state = lax.while_loop(lambda carry: (carry[0] < end) & busy(carry[1]), once, (done, state))
        return done, state._replace(records=_record(plan, state))

    made: tuple[jax.Array, State] = lax.while_loop(
        lambda carry: (carry[0] < turns) & busy(carry[1]), to_next_record, (jnp.zeros((), int), state)
    )
    return made
