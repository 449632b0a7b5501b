r"""Gradient descent on a network's parameters: explicit Euler on the paper's flows.

.. math:: \theta_{k+1} = \theta_k - dt_k\, \mathrm{rates}(\theta_k)\, \nabla_\theta \mathcal L(\theta_k).
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from threading import current_thread, main_thread
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from polarbias import descent_loop
from polarbias.batch import over_chains
from polarbias.descent_loop import RUNNING, Limits, Plan, State
from polarbias.dynamics import Data, admitted, cast, field, prepare, working_dtype
from polarbias.errors import InvalidInput
from polarbias.parameterization import FactorNetwork, Network
from polarbias.problem import LinearProblem, require_dense
from polarbias.solution import Solution, Status, Trajectory
from polarbias.step_size import Armijo, StepSize

logger = logging.getLogger(__name__)

RECORDS = 900
"""Records of a run in which every turn is a step; rejected trials add up to about a hundred."""

SLOTS = 256
"""Room for records is made in multiples of this."""

MOST_STEPS = 10**15
"""Largest max_steps; the turns of a run must fit an integer."""

COLLAPSE_FLOOR = 1e-10
"""A chain has collapsed when r is at or below this fraction of its start."""

STALLED_FLOOR = 1e-3
"""So has one at or below this fraction where the line search fails at the loss of X = 0."""

SECONDS_PER_CALL = 0.5
"""Time between two returns from the compiled loop, for interruptions, callbacks and progress."""


@dataclass(frozen=True)
class DescentProgress:
    """What a callback sees while descent runs.

    Attributes
    ----------
    steps, loss, status
        Accepted steps, loss and status of each chain so far (status -1: running), shape ``(...)``.
    max_steps
        The budget of each chain.
    """

    steps: np.ndarray
    loss: np.ndarray
    status: np.ndarray
    max_steps: int


def gradient_descent(  # noqa: PLR0913 -- the options of one long run; each is independent of the others
    problem: LinearProblem,
    network: Network,
    theta0: Any,
    *,
    step: StepSize | None = None,
    max_steps: int = 100_000,
    tol: float = 1e-12,
    rtol: float = 0.0,
    keep_x: bool = False,
    callback: Callable[[DescentProgress], object] | None = None,
    dtype: DTypeLike = np.float64,
) -> Solution:
    r"""Run gradient descent from ``theta0`` for every chain of a batch.

    .. math:: \theta_{k+1} = \theta_k - dt_k\, \mathrm{rates}(\theta_k)\, \nabla_\theta
              \frac{1}{2L} \lVert A X(\theta_k) - b \rVert_2^2

    Parameters
    ----------
    problem
        One problem, or T of them (`stack`).
    network
        Any `Network`; `HadamardPower` for plain descent, `WeightNormalization` around it for polar coordinates.
    theta0
        Start, as from ``network.init``. The batch axes of its leaves begin with those of the problem, (T,), and may
        go on with axes of starts or configurations, (T, C); A is not repeated over these.
    step
        `Armijo` (default) or `ConstantStep`.
    max_steps
        Accepted steps after which a chain ends, from 1 to 1e15.
    tol
        A chain has converged when its loss is below this (absolute, as in the paper); 0 never stops a chain for its
        loss (a line search then ends where rounding hides every decrease).
    rtol
        Alternative: converged when ``||A X - b|| < rtol ||b||``. The larger of the two bounds counts.
    keep_x
        Keep the signal at every record of the trajectory (about 1,000 N numbers per chain).
    callback
        Called about twice a second with a `DescentProgress`; a true return value ends the run.
    dtype
        ``float64``, or ``float32`` to run in single precision (the loss then stalls near 1e-10). ``x``, theta and the
        trajectory come back in this precision; ``loss`` and ``residual`` are recomputed in that of the problem.

    Returns
    -------
    Solution
        With ``status`` per chain: converged, max_steps, diverged, unstable, line_search_failed, collapsed (depth 2
        and above: r at or below 1e-10 of its start, or 1e-3 if there the line search fails at the loss of X = 0) or
        interrupted (callback or Ctrl-C), ``stats["trials"]`` and a ``trajectory`` of at most about 1,000 log-spaced
        records per chain.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, a start that the network does not allow, options outside their range.

    References
    ----------
    arXiv:2305.05448v1, equations (10), (12), (13) and Section 4.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [2.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=0.03)
    >>> theta0 = network.init(scale=0.5, direction=[1.0, 1.0])
    >>> pb.gradient_descent(problem, network, theta0, tol=1e-20).x.round(6)
    array([0., 1.])
    """
    dtype = working_dtype(dtype)
    step = Armijo() if step is None else step
    _check_options(step, max_steps, tol, rtol, callback)
    theta0, batch_shape = admitted(problem, network, theta0, dtype)
    require_dense(problem, "gradient_descent")
    network = cast(network, dtype)

    schedule = _schedule(max_steps, step.max_rejections)
    with jax.enable_x64(True):
        data = prepare(problem, batch_shape, dtype)
        limits = _limits(problem, network, theta0, data, max_steps, tol, rtol)
        plan = Plan(data, network, step, limits, jnp.asarray(schedule))
        theta = jax.tree.map(jnp.asarray, theta0)
        _check_broadcasting(data, network, step, theta, batch_shape)
        state = _run(plan, descent_loop.begin(plan, keep_x, theta), callback)
        return _solution(problem, network, state)


def _check_options(step: object, max_steps: object, tol: float, rtol: float, callback: object) -> None:
    if not isinstance(step, StepSize):
        raise InvalidInput(f"step must be Armijo(...) or ConstantStep(dt), got {step!r}.")
    if isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or not 1 <= max_steps <= MOST_STEPS:
        raise InvalidInput(f"max_steps must be an integer from 1 to {MOST_STEPS:.0e}, got {max_steps!r}.")
    for name, value in (("tol", tol), ("rtol", rtol)):
        if not (isinstance(value, Real) and np.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name} must be a finite number of at least 0, got {value!r}.")
    if callback is not None and not callable(callback):
        raise InvalidInput(f"callback must be a function of one argument, got {callback!r}.")


def _check_broadcasting(data: Any, network: Network, step: StepSize, theta: Any, batch_shape: tuple[int, ...]) -> None:
    """Catch ratios, rates or steps whose axes do not fit the batch, which would silently enlarge it."""
    chains = jax.ShapeDtypeStruct(batch_shape, data.A.dtype)
    first = jax.eval_shape(step.first, chains, chains)
    try:
        np.broadcast_to(np.zeros(first.shape), batch_shape)
    except ValueError as mismatch:
        raise InvalidInput(
            f"step has shape {first.shape}; it must broadcast to the batch of chains {batch_shape}."
        ) from mismatch
    signals = jax.ShapeDtypeStruct((*batch_shape, data.A.shape[-1]), data.A.dtype)
    advice = (
        f"a ratio or rate of the network does not broadcast to the batch of chains {batch_shape}; give theta0 the"
        " batch axes of the ratio, for example init(scale=np.ones(len(ratios)), ...)."
    )
    try:
        moved = jax.tree.map(jnp.shape, jax.eval_shape(lambda t, c: field(network, t, c)[0], theta, signals))
    except (TypeError, ValueError) as mismatch:
        raise InvalidInput(f"{advice} ({mismatch})") from mismatch
    if moved != jax.tree.map(jnp.shape, theta):
        raise InvalidInput(advice)


def _schedule(max_steps: int, max_rejections: int) -> np.ndarray:
    """Return the log-spaced turns at which records are written, up to the last turn that can happen."""
    last = max_steps * (max_rejections + 1) + max_rejections
    ratio = (max_steps + 1) ** (1 / RECORDS)
    turns = np.unique(np.rint(ratio ** np.arange(np.ceil(np.log(last + 1) / np.log(ratio)) + 1)).astype(np.int64))
    turns = np.concatenate([[0], turns[turns <= last]])
    # `last + 1` is never reached, so that a next record exists at every turn; filling up with it to one of few
    # lengths keeps the loop compiled when only the number of steps changes.
    return np.pad(turns, (0, SLOTS - len(turns) % SLOTS), constant_values=last + 1)


def _limits(
    problem: LinearProblem, network: Network, theta0: Any, data: Data, max_steps: int, tol: float, rtol: float
) -> Limits:
    dtype = data.A.dtype
    problem_ndim = len(problem.batch_shape)

    def per_chain(per_problem: Any) -> np.ndarray:
        return over_chains(np.asarray(per_problem, dtype), problem_ndim, data.b.ndim - 1 - problem_ndim)

    b = np.asarray(problem.b, np.float64)
    radius = np.zeros(())
    if isinstance(network, FactorNetwork):
        with np.errstate(over="ignore"):  # such a start is `diverged`
            radius = network.radius(theta0)
    radius = radius * per_chain(np.any(b, axis=-1))  # at b = 0 the chain should go to X = 0
    return Limits(
        max_steps=np.asarray(max_steps),
        loss=per_chain(np.maximum(tol, (rtol * np.linalg.norm(b, axis=-1)) ** 2 / (2 * network.degree))),
        radius=np.asarray(COLLAPSE_FLOOR * radius, dtype),
        stalled_radius=np.asarray(STALLED_FLOOR * radius, dtype),
        stalled_loss=per_chain((1 - 1e3 * np.finfo(dtype).eps) * (b**2).sum(-1) / (2 * network.degree)),
        rounding=np.asarray(4 * np.finfo(dtype).eps * problem.m**0.5, dtype),
        entry_a=per_chain(np.abs(problem.A).max((-2, -1))),
        entry_b=per_chain(np.abs(b).max(-1)),
    )


def _run(plan: Plan, state: State, callback: Callable[[DescentProgress], object] | None) -> State:
    """Advance until every chain has ended; how many turns a call makes changes nothing but the time it takes."""
    last = int(plan.schedule[-1])
    turns, done = 64, 0
    with _noticing_interrupts() as interrupted:
        try:
            while (np.asarray(state.status) == RUNNING).any():
                if interrupted():
                    raise KeyboardInterrupt
                began = perf_counter()
                done = min(done + turns, last)
                state = descent_loop.advance(plan, jnp.asarray(done), state)
                status = np.asarray(state.status)
                elapsed = perf_counter() - began
                turns = max(1, int(turns * min(8.0, SECONDS_PER_CALL / max(elapsed, 1e-9))))
                loss = np.asarray(state.loss)
                logger.debug("turn %d: %d chains run, largest loss %.3g", done, (status == RUNNING).sum(), loss.max())
                if callback is not None and callback(
                    DescentProgress(np.asarray(state.steps), loss, status, int(plan.limits.max_steps))
                ):
                    break
        except KeyboardInterrupt:
            if not (np.asarray(state.status) == RUNNING).any():
                raise  # no chain is left whose status could tell the caller
            logger.warning("interrupted at turn %d; returning the state so far", int(state.turn))
    return state


@contextmanager
def _noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed.

    It raises KeyboardInterrupt as always; but Python drops an exception that comes up in a destructor or a callback of
    its garbage collector, and a run of days should end at the first Ctrl-C.
    """
    pressed = False

    def handler(signum: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(signum, frame)

    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _solution(problem: LinearProblem, network: Network, state: State) -> Solution:
    theta = jax.tree.map(np.asarray, state.theta)
    status = np.asarray(state.status)
    x = np.asarray(network.signal(state.theta))
    finite = np.isfinite(x).all(-1)
    with np.errstate(over="ignore"):  # only where the start is `diverged`
        residual = np.linalg.norm(problem.residual(np.where(finite[..., None], x, 0)), axis=-1)
        residual = np.where(finite, residual, np.inf)
        loss = residual**2 / (2 * network.degree)
    return Solution(
        x=x,
        theta=theta,
        loss=loss,
        residual=residual,
        steps=np.asarray(state.steps),
        status=np.where(status == RUNNING, Status.INTERRUPTED, status),
        stats={"trials": np.asarray(state.trials)},
        trajectory=_trajectory(network, state, x),
    )


def _trajectory(network: Network, state: State, x: np.ndarray) -> Trajectory:
    """Turn rows per turn into records per chain: only rows that moved on, and the end."""
    count = int(state.records.count)
    written = jax.tree.map(lambda rows: np.asarray(rows)[:count], state.records._replace(count=None))
    end = (state.steps, state.loss, network.radius(state.theta), jnp.abs(jnp.asarray(x)).sum(-1))
    rows = [
        np.concatenate([old, np.asarray(last)[None]])
        for old, last in zip((written.step, written.loss, written.r, written.l1), end, strict=True)
    ]
    new = np.diff(rows[0], axis=0, prepend=-1) > 0
    # A stable sort by "is a repetition" moves the records of each chain to the front and keeps their order.
    order = np.argsort(~new, axis=0, kind="stable")[: new.sum(0).max()]
    valid = np.take_along_axis(new, order, 0)

    def tidy(values: np.ndarray, padding: float) -> np.ndarray:
        kept = np.take_along_axis(values, order.reshape(order.shape + (1,) * (values.ndim - order.ndim)), 0)
        mask = valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim))
        return np.moveaxis(np.where(mask, kept, padding), 0, order.ndim - 1)

    step, loss, r, l1 = (tidy(row, padding) for row, padding in zip(rows, (-1, np.nan, np.nan, np.nan), strict=True))
    signals = None if written.x is None else tidy(np.concatenate([written.x, x[None]]), np.nan)
    return Trajectory(step, loss, r, l1, signals)
