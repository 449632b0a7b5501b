"""Gradient descent on a network's parameters: explicit Euler on the paper's flows."""

from __future__ import annotations

import polarbias.descent.extra  # noqa: F401

# isort: split
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from polarbias.descent.batching import DescentBatch, assign_runs, waiting_state
from polarbias.descent.checkpoint import Checkpoint, fingerprint
from polarbias.descent.compiled_loop import RUNNING, LoopState, Thresholds
from polarbias.descent.device import device_shape
from polarbias.descent.executor import run_workers
from polarbias.descent.options import CORES, OPTIONS
from polarbias.descent.records import log_spaced_schedule, padded_trajectory
from polarbias.descent.step_size import StepSize, as_step_size
from polarbias.descent.vector_field import JaxProblem, field, jax_problem, sharded_problem
from polarbias.errors import InvalidInput
from polarbias.networks import FactorNetwork, Network
from polarbias.networks.parameters import RATE_MISFIT, cast, check_parameters, working_dtype
from polarbias.problems.certificate import prove_infeasibility
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.batch_axes import over_runs
from polarbias.runtime.options import flag, optional_callback, step_limit, tolerance
from polarbias.solution import Solution, Status


@dataclass(frozen=True)
class DescentProgress:
    """State of all runs for a callback.

    Accepted steps, loss (NaN before the start) and status (-1: running) have shape ``(...)``; ``max_steps`` is the
    budget of each run.
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
    step: float | StepSize | None = None,
    max_steps: int = 100_000,
    tol: float = 1e-12,
    rtol: float = 0.0,
    keep_x: bool = False,
    callback: Callable[[DescentProgress], object] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    devices: Sequence[jax.Device] = (),
    dtype: DTypeLike = np.float64,
) -> Solution:
    r"""Run gradient descent from ``theta0`` for every run of a batch.

    .. math:: \theta_{k+1} = \theta_k - dt_k\, \mathrm{rates}(\theta_k)\, \nabla_\theta
              \frac{1}{2L} \lVert A X(\theta_k) - b \rVert_2^2

    Parameters
    ----------
    problem, network
        One problem, or T of them (`stack`), and any `Network`.
    theta0
        Start, as from ``network.init``. The batch axes of its leaves begin with those of the problem, (T,), and may
        go on with axes of starts or configurations, (T, C); A is not repeated over these.
    step
        A positive number (a constant step), `ConstantStep` or `Armijo` (default).
    max_steps
        Accepted steps after which a run ends, 1 to 1e15.
    tol, rtol
        A run has converged when its loss is below ``tol`` (absolute, as in the paper) or ``||A X - b|| < rtol ||b||``.
        If both are 0, a line search ends where rounding hides every decrease.
    keep_x
        Keep the signal at every record of the trajectory (about 1,000 N numbers per run).
    callback
        Function of a `DescentProgress`, called about twice a second; a true return value ends the run.
    checkpoint
        Folder for intermediate states, written about every 15 s. After a crash, the same call with the same folder
        continues from there and gives the same bits; the folder can be deleted after the run.
    devices
        JAX devices over which the rows of A are sharded, for a problem too large for JAX's default device.
    dtype
        ``float64``, or ``float32`` to run in single precision (the loss then stalls near 1e-10). ``x``, theta and the
        trajectory come back in this precision; ``loss`` and ``residual`` are recomputed in that of the problem.

    Returns
    -------
    Solution
        With ``status`` per run: converged, max_steps, diverged, unstable, line_search_failed, collapsed (depth 2
        and above: r at or below 1e-10 of its start, or 1e-3 if there the line search fails at the loss of X = 0),
        infeasible (instead of these failures, if a ``farkas`` vector proves that no signal of the network's kind
        solves A X = b; the state is the last one) or interrupted (callback or Ctrl-C); ``stats["trials"]``; and a
        ``trajectory`` of at most about 1,000 log-spaced records per run.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, a start that the network does not allow, options outside their range, a checkpoint
        folder that cannot be written.

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
    step, max_steps = as_step_size(step), step_limit("max_steps", max_steps)
    tol, rtol, keep_x = tolerance("tol", tol), tolerance("rtol", rtol), flag("keep_x", keep_x)
    callback = optional_callback("callback", callback)
    theta0, batch_shape = check_parameters(problem, network, theta0, dtype, jax.eval_shape)
    require_dense(problem, "gradient_descent")
    if not isinstance(devices, Sequence | np.ndarray) or not all(isinstance(one, jax.Device) for one in devices):
        raise InvalidInput(f"devices must be a sequence of JAX devices such as jax.devices(), got {devices!r}.")
    devices = tuple(devices)
    if not isinstance(checkpoint, str | os.PathLike | None):
        raise InvalidInput(f"checkpoint must be the path of a folder or None, got {checkpoint!r}.")
    network = cast(network, dtype)

    problems, runs, options = prod(problem.batch_shape), prod(batch_shape), OPTIONS
    shape = device_shape(devices[0] if devices else None, options)
    with jax.enable_x64(True):
        _check_broadcasting(network, step, theta0, (*batch_shape, problem.n), dtype)
    schedule = log_spaced_schedule(max_steps, step.max_rejections, options)
    starts = jax.tree.map(lambda leaf: leaf.reshape((runs, *leaf.shape[len(batch_shape) :])), theta0)
    batch = DescentBatch(
        problem=_converted(problem, dtype, devices),
        network=network,
        step=step,
        thresholds=_thresholds(problem, network, theta0, batch_shape, dtype, (max_steps, tol, rtol)),
        schedule=schedule,
        state=waiting_state(starts, dtype, schedule.size, problem.n if keep_x else None),
        batch_shape=batch_shape,
        shape=shape,
        threads=1 if devices else shape.concurrent,  # sums over devices need one order everywhere
        options=options,
    )
    states = None
    if checkpoint is not None:
        identity = _identity(problem, batch, devices)
        states = Checkpoint(Path(checkpoint), identity, options.seconds_between_checkpoints)

    def progress(*state: np.ndarray) -> object:
        assert callback is not None
        steps, loss, status = (values.reshape(batch_shape) for values in state)
        return callback(DescentProgress(steps, loss, status, max_steps))

    run_workers(batch, assign_runs(shape, problems, runs), progress if callback else None, states)
    return _solution(problem, network, batch.state, batch_shape)


def _check_broadcasting(network: Network, step: StepSize, theta: Any, signals: tuple[int, ...], dtype: Any) -> None:
    """Check that the axes of ratios, rates and steps fit the batch, which they would silently enlarge."""
    batch_shape = signals[:-1]
    runs = jax.ShapeDtypeStruct(batch_shape, dtype)
    shape = jax.eval_shape(step.first, runs, runs).shape
    try:
        np.broadcast_to(np.zeros(shape), batch_shape)
    except ValueError as mismatch:
        raise InvalidInput(
            f"step has shape {shape}; it must broadcast to the batch of runs {batch_shape}."
        ) from mismatch
    try:
        cotangent = jax.ShapeDtypeStruct(signals, dtype)
        moved = jax.tree.map(jnp.shape, jax.eval_shape(lambda t, c: field(network, t, c)[0], theta, cotangent))
    except (TypeError, ValueError) as mismatch:
        raise InvalidInput(f"{RATE_MISFIT.format(batch_shape)} ({mismatch})") from mismatch
    if moved != jax.tree.map(jnp.shape, theta):
        raise InvalidInput(RATE_MISFIT.format(batch_shape))


def _thresholds(
    problem: LinearProblem,
    network: Network,
    theta0: Any,
    batch_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    criteria: tuple[int, float, float],
) -> Thresholds:
    max_steps, tol, rtol = criteria
    epsilon, b = np.finfo(dtype).eps, np.asarray(problem.b, np.float64)

    def per_run(per_problem: Any) -> np.ndarray:
        return over_runs(np.asarray(per_problem, dtype), b.ndim - 1, len(batch_shape) - b.ndim + 1)

    radius = np.zeros(())
    if isinstance(network, FactorNetwork):
        with np.errstate(over="ignore"):  # such a start is `diverged`
            radius = network.radius(theta0)
    radius = radius * per_run(np.any(b, axis=-1))  # at b = 0 the run should go to X = 0
    return Thresholds(
        max_steps=np.asarray(max_steps),
        loss=per_run(np.maximum(tol, (rtol * np.linalg.norm(b, axis=-1)) ** 2 / (2 * network.degree))),
        radius=np.asarray(OPTIONS.collapse_threshold * radius, dtype),
        stalled_radius=np.asarray(OPTIONS.stalled_threshold * radius, dtype),
        stalled_loss=per_run((1 - 1e3 * epsilon) * (b**2).sum(-1) / (2 * network.degree)),
        rounding=np.asarray(OPTIONS.rounding_units * epsilon * problem.m**0.5, dtype),
        largest_a=per_run(np.abs(problem.A).max((-2, -1))),
        largest_b=per_run(np.abs(b).max(-1)),
    )


def _converted(
    problem: LinearProblem, dtype: np.dtype[Any], devices: Sequence[jax.Device]
) -> Callable[[int], JaxProblem]:
    """Return a function that converts one of the problems, with a cache for the workers that share a problem."""

    @lru_cache(maxsize=CORES + 1)
    def convert(number: int) -> JaxProblem:
        index = np.unravel_index(number, problem.batch_shape)
        one = problem[index] if index else problem
        return sharded_problem(one, dtype, devices) if devices else jax_problem(one, (1,), dtype)

    return convert


def _identity(problem: LinearProblem, batch: DescentBatch, devices: Sequence[jax.Device]) -> str:
    """Return the fingerprint of everything that determines the numbers, with the versions of the libraries."""
    leaves = jax.tree.leaves((problem.A, problem.b, batch.state.theta, batch.thresholds))
    versions = [version(name) for name in ("polarbias", "jax", "jaxlib", "numpy")]
    parts = (type(batch.network).__qualname__, batch.network, batch.step, batch.batch_shape, batch.options)
    kept, devices_used = batch.state.records.x is not None, (batch.shape.kind, len(devices))
    return fingerprint([*map(np.asarray, leaves), batch.schedule, *parts, kept, devices_used, *versions])


def _solution(problem: LinearProblem, network: Network, state: LoopState, batch_shape: tuple[int, ...]) -> Solution:
    state = jax.tree.map(lambda leaf: leaf.reshape((*batch_shape, *leaf.shape[1:])), state)
    status = np.where(state.status == RUNNING, Status.INTERRUPTED, state.status)
    nonnegative = isinstance(network, FactorNetwork) and not network.signed
    status, farkas = prove_infeasibility(problem, nonnegative, status)
    with jax.enable_x64(True), np.errstate(over="ignore", invalid="ignore"):  # only where the start is `diverged`
        # Single operations of JAX are compiled; networks with a factor take NumPy arrays.
        theta = state.theta if isinstance(network, FactorNetwork) else jax.tree.map(jnp.asarray, state.theta)
        x, r = np.asarray(network.signal(theta)), np.asarray(network.radius(theta))
        finite = np.isfinite(x).all(-1)
        residual = np.linalg.norm(problem.residual(np.where(finite[..., None], x, 0)), axis=-1)
        residual = np.where(finite, residual, np.inf)
        loss = residual**2 / (2 * network.degree)
    return Solution(
        method="gradient_descent",
        x=x,
        theta=state.theta,
        loss=loss,
        residual=residual,
        steps=state.steps,
        status=status,
        farkas=farkas,
        stats={"trials": state.trials},
        trajectory=padded_trajectory(state, r, x),
    )
