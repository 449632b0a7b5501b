r"""Mirror descent in the potential of the flow: discrete steps that keep the flow's invariants exactly.

.. math:: \nu_{k+1} = \nu_k - h_k R(X(\nu_k)), \qquad R(X) = A X - b .

Steps of any length move the mirror map of the signal by A^T nu, along the rows of A. So if the iteration converges, it
converges to the limit of gradient flow; the end of ordinary descent differs from it by the effect of finite steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from time import perf_counter
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.mirror.reduced_form import ReducedForm, reduced_forms
from polarbias.mirror.state import MirrorState
from polarbias.networks import Network, WeightNormalization
from polarbias.networks.base import norm
from polarbias.networks.parameters import check_parameters
from polarbias.problems.certificate import prove_infeasibility
from polarbias.problems.linear import LinearProblem
from polarbias.runtime.options import optional_callback, positive_number, step_limit, tolerance
from polarbias.runtime.pytree import tree_map
from polarbias.solution import Solution, Status, Trajectory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Constants of mirror descent."""

    records: int = 900  # about this many log-spaced steps of a run are recorded
    seconds_per_call: float = 0.5  # time between two calls of the callback
    first_change: float = 0.1  # largest change of log w of the first step that the search tries
    least_share: float = 2.0**-60  # share of the first trial's length at which the decrease is lost to rounding


OPTIONS = Options()


@dataclass(frozen=True)
class MirrorProgress:
    """Batch index of the present run, its steps so far and its loss."""

    index: tuple[int, ...]
    steps: int
    loss: float


def mirror_descent(
    problem: LinearProblem,
    network: Network,
    theta0: Any,
    *,
    step: Any = None,
    max_steps: int = 10_000,
    tol: float = 1e-12,
    rtol: float = 0.0,
    callback: Callable[[MirrorProgress], object] | None = None,
) -> Solution:
    r"""Run mirror descent from ``theta0`` for every run of a batch.

    It is gradient descent on the convex dual objective :math:`\Psi` whose gradient is the residual. By default every
    step has :math:`\Psi(\nu_{k+1}) \le \Psi(\nu_k) - (h_k / 2) \lVert R_k \rVert^2`: at depth 2 with a constant ratio
    from a bound on the curvature, without trials; otherwise because :math:`\langle R_{k+1}, R_k \rangle` is at least
    :math:`\lVert R_k \rVert^2 / 2`, which by convexity implies it.

    Another network, depth 1, shapes that do not fit and options outside their range raise `InvalidInput`.

    Parameters
    ----------
    problem
        One problem, or T of them (`stack`); dense, sparse or linear operator.
    network
        `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them, depth 2 or above.
    theta0
        Start, as from ``network.init``; batch axes as in `gradient_descent`. Runs run one by one.
    step
        A positive number or `ConstantStep` for steps of this length h, which may be too long to converge; None for the
        rule above.
    max_steps
        Steps after which a run ends.
    tol, rtol
        A run has converged when its loss is below ``tol`` or when ``||A X - b|| < rtol ||b||``.
    callback
        Called about twice a second with a `MirrorProgress`; a true return value ends the run.

    Returns
    -------
    Solution
        With ``status`` per run: converged, max_steps, diverged (a fixed step led out of the mirror map's domain),
        line_search_failed (rounding hides every decrease), infeasible (instead of these, with a proof ``farkas``) or
        interrupted (callback or Ctrl-C; runs not begun stay at their start); ``stats["trials"]``, the number of points
        at which the residual was computed; and a ``trajectory`` of about 1,000 log-spaced records. A run may pass
        through X = 0 and come back, in contrast to the flow.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [2.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=0.03)
    >>> theta0 = network.init(scale=0.5, direction=[1.0, 1.0])
    >>> pb.mirror_descent(problem, network, theta0, tol=1e-20).x.round(6)
    array([3.00000e-06, 9.99999e-01])
    """
    theta0, batch_shape = check_parameters(problem, network, theta0, np.dtype(np.float64))
    fixed = _fixed_lengths(step, batch_shape)
    max_steps = step_limit("max_steps", max_steps)
    tol, rtol = tolerance("tol", tol), tolerance("rtol", rtol)
    callback = optional_callback("callback", callback)
    lengths = norm(theta0.u) if isinstance(network, WeightNormalization) else np.ones(batch_shape)
    bounds = np.maximum(tol, (rtol * np.linalg.norm(problem.b, axis=-1)) ** 2 / (2 * network.degree))
    runs: list[_Run] = []
    interrupted = False
    with limit_blas_threads(problem.m):
        for at, one, form in reduced_forms(problem, network, theta0)[1]:
            runs.append(
                _Run(at, MirrorState.start(one, form), _Steps(form, None if fixed is None else float(fixed[at])))
            )
            if interrupted:
                runs[-1].status = Status.INTERRUPTED
            else:
                runs[-1].iterate(max_steps, float(np.asarray(bounds)[at[: np.ndim(bounds)]]), callback)
            interrupted = runs[-1].status == Status.INTERRUPTED
            runs[-1].record()
    return _solution(problem, network, runs, np.asarray(lengths), batch_shape)


def _fixed_lengths(step: Any, batch_shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the constant length of each run's steps, or None if the rule sets them."""
    if step is None:
        return None
    dt = getattr(step, "dt", None)  # of a ConstantStep: mirror descent does not import descent
    if dt is None:
        if not isinstance(step, Real):
            raise InvalidInput(f"step must be a positive number, ConstantStep or None, got {step!r}.")
        dt = positive_number("step", step)
    try:
        return np.broadcast_to(np.asarray(dt, np.float64), batch_shape)
    except ValueError as mismatch:
        raise InvalidInput(f"steps of shape {np.shape(dt)} do not broadcast to the runs {batch_shape}.") from mismatch


class _Steps:
    """Rule for the lengths of one run's steps; ``fixed`` is the length of all of them, or None."""

    def __init__(self, form: ReducedForm, fixed: float | None = None) -> None:
        self.fixed, self.length, self.trials = fixed, 0.0, 0
        constant = form.law.power is not None and form.law.power[1] == 0
        self.eta = float(form.f(1.0)) if form.depth == 2 and not form.plain and constant else None

    def next(self, state: MirrorState) -> MirrorState | Status:
        """Return the state after a step, or the status that ends the run."""
        R = state.residual
        if self.fixed is not None or self.eta is not None:
            self.trials += 1
            moved = state.moved(-(self.fixed or self._bounded(state)) * R)
            return moved if moved.inside else Status.DIVERGED
        first = length = 2 * self.length if self.length else self._first(state)
        while length > OPTIONS.least_share * first:
            self.trials += 1
            moved = state.moved(-length * R)
            if moved.inside and float(moved.residual @ R) >= float(R @ R) / 2:
                self.length = length
                return moved
            length /= 2
        return Status.LINE_SEARCH_FAILED

    def _bounded(self, state: MirrorState) -> float:
        """Return a length along which the curvature of the dual objective stays below half its inverse."""
        assert self.eta is not None
        R = state.residual
        pull = state.matrix.adjoint(R)
        scale = float(np.abs(pull).max())
        if scale == 0:  # R is orthogonal to all columns: the signal does not change
            return 1.0
        a = float(R @ R) / scale**2
        rise = max(0.0, float((-pull).max()))
        curvature = state.s + float(np.sqrt(state.s**2 + 4 * self.eta * rise * a))
        return min(a / self.eta, 2 * a / curvature) if curvature else a / self.eta

    def _first(self, state: MirrorState) -> float:
        """Return a length along which log w changes by about `Options.first_change`."""
        rate = np.abs(state.matrix.adjoint(state.residual)) * state.map.rate
        return OPTIONS.first_change / float(rate.max() or 1.0)


@dataclass
class _Run:
    """An unfinished run."""

    index: tuple[int, ...]
    state: MirrorState
    rule: _Steps
    steps: int = 0
    status: Status | None = None
    records: list[tuple[int, float, float, float]] = field(default_factory=list)

    def iterate(self, max_steps: int, bound: float, callback: Callable[[MirrorProgress], object] | None) -> None:
        """Take steps until the run ends."""
        ratio = (max_steps + 1) ** (1 / OPTIONS.records)
        due, called = 0.0, perf_counter()
        try:
            while self.status is None:
                if self.steps >= due:
                    self.record()
                    due = max(self.steps + 1, self.steps * ratio)
                if self.state.loss < bound:
                    self.status = Status.CONVERGED
                elif self.steps >= max_steps:
                    self.status = Status.MAX_STEPS
                elif callback is not None and perf_counter() - called > OPTIONS.seconds_per_call:
                    called = perf_counter()
                    if callback(MirrorProgress(self.index, self.steps, self.state.loss)):
                        self.status = Status.INTERRUPTED
                if self.status is None:
                    moved = self.rule.next(self.state)
                    if isinstance(moved, Status):
                        self.status = moved
                    else:
                        self.state, self.steps = moved, self.steps + 1
        except KeyboardInterrupt:
            logger.info("interrupted at step %d of run %s; returning the state so far", self.steps, self.index)
            self.status = Status.INTERRUPTED

    def record(self) -> None:
        """Record the present state unless it is recorded already."""
        if not self.records or self.records[-1][0] < self.steps:
            state = self.state
            self.records.append((self.steps, state.loss, state.r, float(np.abs(state.x).sum())))


def _solution(
    problem: LinearProblem, network: Network, runs: list[_Run], lengths: np.ndarray, batch_shape: tuple[int, ...]
) -> Solution:
    def stacked(values: list[Any]) -> np.ndarray:
        array = np.array(values)
        return array.reshape(batch_shape + array.shape[1:])

    longest = max(len(run.records) for run in runs)
    table = np.full((len(runs), longest, 4), np.nan)
    table[..., 0] = -1
    for row, run in zip(table, runs, strict=True):
        row[: len(run.records)] = run.records
    step, loss, r, l1 = np.moveaxis(table.reshape((*batch_shape, longest, 4)), -1, 0)
    status = stacked([int(run.status or 0) for run in runs])
    status, farkas = prove_infeasibility(problem, not runs[0].state.form.signed, status)
    x = stacked([run.state.x for run in runs])
    residual = np.asarray(np.linalg.norm(problem.residual(x), axis=-1))
    thetas = [run.state.parameters(float(length)) for run, length in zip(runs, lengths.ravel(), strict=True)]
    return Solution(
        method="mirror_descent",
        x=x,
        theta=tree_map(lambda *leaves: stacked(list(leaves)), *thetas),
        loss=np.asarray(residual**2 / (2 * network.degree)),
        residual=residual,
        steps=stacked([run.steps for run in runs]),
        status=status,
        farkas=farkas,
        stats={"trials": stacked([run.rule.trials for run in runs])},
        trajectory=Trajectory(step.astype(np.int64), loss, r, l1),
        log_x=stacked([run.state.log_x for run in runs]),
        mirror_dual=stacked([run.state.nu for run in runs]),
        r=stacked([run.state.r for run in runs]),
    )
