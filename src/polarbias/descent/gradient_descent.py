r"""Gradient descent on a network's parameters: explicit Euler on the paper's flows.

.. math:: \theta_{k+1} = \theta_k - dt_k\, \mathrm{rates}(\theta_k)\, \nabla_\theta \mathcal L(\theta_k).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from math import prod
from numbers import Real
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from polarbias.descent.batching import Ended, Job, split
from polarbias.descent.checkpoint import Checkpoint, fingerprint
from polarbias.descent.compiled_loop import RUNNING, Limits
from polarbias.descent.device import CORES, processor
from polarbias.descent.executor import run_workers
from polarbias.descent.step_size import Armijo, StepSize
from polarbias.descent.vector_field import Data, field, prepare, spread
from polarbias.errors import InvalidInput
from polarbias.networks import FactorNetwork, Network
from polarbias.networks.parameters import admitted, cast, working_dtype
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.batch_axes import over_runs
from polarbias.solution import Solution, Status, Trajectory

RECORDS = 900
"""Records of a run in which every turn is a step; rejected trials add up to about a hundred."""

SLOTS = 256
"""Room for records is made in multiples of this."""

MOST_STEPS = 10**15
"""Largest max_steps; the turns of a run must fit an integer."""

COLLAPSE_FLOOR = 1e-10
"""A run has collapsed when r is at or below this fraction of its start."""

STALLED_FLOOR = 1e-3
"""So has one at or below this fraction where the line search fails at the loss of X = 0."""


@dataclass(frozen=True)
class DescentProgress:
    """What a callback sees while descent runs.

    Attributes
    ----------
    steps, loss, status
        Accepted steps, loss and status of each run so far (status -1: running), shape ``(...)``.
    max_steps
        The budget of each run.
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
    checkpoint: str | os.PathLike[str] | None = None,
    devices: Sequence[jax.Device] = (),
    dtype: DTypeLike = np.float64,
) -> Solution:
    r"""Run gradient descent from ``theta0`` for every run of a batch.

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
        Accepted steps after which a run ends, from 1 to 1e15.
    tol
        A run has converged when its loss is below this (absolute, as in the paper); 0 never stops a run for its
        loss (a line search then ends where rounding hides every decrease).
    rtol
        Alternative: converged when ``||A X - b|| < rtol ||b||``. The larger of the two bounds counts.
    keep_x
        Keep the signal at every record of the trajectory (about 1,000 N numbers per run).
    callback
        Called about twice a second with a `DescentProgress`; a true return value ends the run.
    checkpoint
        A folder for intermediate states, written every 15 s or so. The same call with the same folder goes on from
        there after a crash, to the same bits; after the run the folder can be deleted.
    devices
        JAX devices over which the rows of A are spread, for a problem too large for one; products are summed over
        them. By default JAX's default device holds all.
    dtype
        ``float64``, or ``float32`` to run in single precision (the loss then stalls near 1e-10). ``x``, theta and the
        trajectory come back in this precision; ``loss`` and ``residual`` are recomputed in that of the problem.

    Returns
    -------
    Solution
        With ``status`` per run: converged, max_steps, diverged, unstable, line_search_failed, collapsed (depth 2
        and above: r at or below 1e-10 of its start, or 1e-3 if there the line search fails at the loss of X = 0) or
        interrupted (callback or Ctrl-C), ``stats["trials"]`` and a ``trajectory`` of at most about 1,000 log-spaced
        records per run.

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
    theta0, batch_shape = admitted(problem, network, theta0, dtype, jax.eval_shape)
    require_dense(problem, "gradient_descent")
    devices = tuple(devices)
    if not all(isinstance(device, jax.Device) for device in devices):
        raise InvalidInput(f"devices must be a sequence of JAX devices such as jax.devices(), got {devices!r}.")
    network = cast(network, dtype)

    problems, runs, works_on = prod(problem.batch_shape), prod(batch_shape), processor(*devices[:1])
    limits = _limits(problem, network, theta0, batch_shape, dtype, (max_steps, tol, rtol))
    with jax.enable_x64(True):
        _check_broadcasting(network, step, theta0, (*batch_shape, problem.n), dtype)
    job = Job(
        data=_shared(problem, dtype, devices),
        network=network,
        step=step,
        limits=limits,
        schedule=_schedule(max_steps, step.max_rejections),
        theta0=jax.tree.map(lambda leaf: leaf.reshape((runs, *leaf.shape[len(batch_shape) :])), theta0),
        batch_shape=batch_shape,
        keep_x=keep_x,
        processor=works_on,
        threads=1 if devices else works_on.at_a_time,  # sums over devices have to come in one order everywhere
    )
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(Path(checkpoint), _identity(problem, job, devices))

    def progress(*state: np.ndarray) -> object:
        assert callback is not None
        steps, loss, status = (values.reshape(batch_shape) for values in state)
        return callback(DescentProgress(steps, loss, status, max_steps))

    ended = run_workers(job, split(works_on, problems, runs), None if callback is None else progress, kept)
    return _solution(problem, network, ended, batch_shape)


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


def _check_broadcasting(network: Network, step: StepSize, theta: Any, signals: tuple[int, ...], dtype: Any) -> None:
    """Catch ratios, rates or steps whose axes do not fit the batch, which would silently enlarge it."""
    batch_shape = signals[:-1]
    runs = jax.ShapeDtypeStruct(batch_shape, dtype)
    first = jax.eval_shape(step.first, runs, runs)
    try:
        np.broadcast_to(np.zeros(first.shape), batch_shape)
    except ValueError as mismatch:
        raise InvalidInput(
            f"step has shape {first.shape}; it must broadcast to the batch of runs {batch_shape}."
        ) from mismatch
    advice = (
        f"a ratio or rate of the network does not broadcast to the batch of runs {batch_shape}; give theta0 the"
        " batch axes of the ratio, for example init(scale=np.ones(len(ratios)), ...)."
    )
    try:
        cotangent = jax.ShapeDtypeStruct(signals, dtype)
        moved = jax.tree.map(jnp.shape, jax.eval_shape(lambda t, c: field(network, t, c)[0], theta, cotangent))
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
    problem: LinearProblem,
    network: Network,
    theta0: Any,
    batch_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    criteria: tuple[int, float, float],
) -> Limits:
    max_steps, tol, rtol = criteria
    problem_ndim = len(problem.batch_shape)

    def per_run(per_problem: Any) -> np.ndarray:
        return over_runs(np.asarray(per_problem, dtype), problem_ndim, len(batch_shape) - problem_ndim)

    b = np.asarray(problem.b, np.float64)
    radius = np.zeros(())
    if isinstance(network, FactorNetwork):
        with np.errstate(over="ignore"):  # such a start is `diverged`
            radius = network.radius(theta0)
    radius = radius * per_run(np.any(b, axis=-1))  # at b = 0 the run should go to X = 0
    return Limits(
        max_steps=np.asarray(max_steps),
        loss=per_run(np.maximum(tol, (rtol * np.linalg.norm(b, axis=-1)) ** 2 / (2 * network.degree))),
        radius=np.asarray(COLLAPSE_FLOOR * radius, dtype),
        stalled_radius=np.asarray(STALLED_FLOOR * radius, dtype),
        stalled_loss=per_run((1 - 1e3 * np.finfo(dtype).eps) * (b**2).sum(-1) / (2 * network.degree)),
        rounding=np.asarray(4 * np.finfo(dtype).eps * problem.m**0.5, dtype),
        entry_a=per_run(np.abs(problem.A).max((-2, -1))),
        entry_b=per_run(np.abs(b).max(-1)),
    )


def _shared(problem: LinearProblem, dtype: np.dtype[Any], devices: Sequence[jax.Device]) -> Callable[[int], Data]:
    """Return a function that lays out one of the problems; workers that follow each other share what it returns."""

    @lru_cache(maxsize=CORES + 1)
    def laid_out(number: int) -> Data:
        at = np.unravel_index(number, problem.batch_shape)
        one = problem[at] if at else problem
        return spread(one, dtype, devices) if devices else prepare(one, (1,), dtype)

    return laid_out


def _identity(problem: LinearProblem, job: Job, devices: Sequence[jax.Device]) -> str:
    """Return what a checkpoint must agree with: all that decides the numbers, and what computes them."""
    leaves = jax.tree.leaves((problem.A, problem.b, job.theta0, job.limits))
    versions = [version(name) for name in ("polarbias", "jax", "jaxlib", "numpy")]
    named = (
        type(job.network).__qualname__,
        job.network,
        job.step,
        job.batch_shape,
        job.keep_x,
        job.processor,
        len(devices),
        *versions,
    )
    return fingerprint([*map(np.asarray, leaves), job.schedule, *named])


def _solution(
    problem: LinearProblem, network: Network, ended: dict[int, Ended], batch_shape: tuple[int, ...]
) -> Solution:
    ends = [ended[run] for run in range(len(ended))]

    def batched(values: Any) -> np.ndarray:
        stacked = np.asarray(values)
        return stacked.reshape((*batch_shape, *stacked.shape[1:]))

    theta = jax.tree.map(lambda *leaves: batched(np.stack(leaves)), *(end.theta for end in ends))
    status = batched([end.status for end in ends])
    with jax.enable_x64(True):
        traced = jax.tree.map(jnp.asarray, theta)
        x, r = np.asarray(network.signal(traced)), np.asarray(network.radius(traced))
    finite = np.isfinite(x).all(-1)
    with np.errstate(over="ignore"):  # only where the start is `diverged`
        residual = np.linalg.norm(problem.residual(np.where(finite[..., None], x, 0)), axis=-1)
        residual = np.where(finite, residual, np.inf)
        loss = residual**2 / (2 * network.degree)
    return Solution(
        method="gradient_descent",
        x=x,
        theta=theta,
        loss=loss,
        residual=residual,
        steps=batched([end.steps for end in ends]),
        status=np.where(status == RUNNING, Status.INTERRUPTED, status),
        stats={"trials": batched([end.trials for end in ends])},
        trajectory=_trajectory(ends, r, x),
    )


def _trajectory(ends: Sequence[Ended], r: np.ndarray, x: np.ndarray) -> Trajectory:
    """Lay the records of all runs out side by side: only those that moved on, and the end."""
    batch_shape = r.shape
    last = zip(ends, r.ravel(), x.reshape((-1, x.shape[-1])), strict=True)
    runs: list[tuple[np.ndarray | None, ...]] = []
    for end, radius, signal in last:
        rows = end.records
        final = (end.steps, end.loss, radius, np.abs(signal).sum(), signal)
        columns = (rows.step, *rows.values.T, rows.x)
        new = np.append(np.diff(rows.step, prepend=-1) > 0, end.steps > rows.step[-1])
        runs.append(
            tuple(
                None if old is None else np.append(old, np.asarray(value, old.dtype)[None], axis=0)[new]
                for old, value in zip(columns, final, strict=True)
            )
        )
    most = max(len(run[0]) for run in runs)  # type: ignore[arg-type]

    def padded(index: int, padding: float) -> np.ndarray | None:
        columns = [run[index] for run in runs]
        if columns[0] is None:
            return None
        whole = np.full((len(columns), most, *columns[0].shape[1:]), padding, columns[0].dtype)
        for row, column in zip(whole, columns, strict=True):
            row[: len(column)] = column  # type: ignore[arg-type]
        return whole.reshape((*batch_shape, *whole.shape[1:]))

    return Trajectory(padded(0, -1), *(padded(index, np.nan) for index in range(1, 5)))  # type: ignore[arg-type]
