"""Gradient flow, the limit of gradient descent for steps of length zero."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.flow import dual
from polarbias.flow.steps import OPTIONS, FlowProgress, Schedule, StoppingRule
from polarbias.flow.trajectory import FlowEnd, FlowState, FlowTrajectory
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.networks import FactorNetwork, Network, WeightNormalization
from polarbias.networks.base import norm
from polarbias.networks.hadamard import is_power
from polarbias.networks.parameters import RATE_MISFIT, cast, check_parameters
from polarbias.problems.certificate import prove_infeasibility
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.extras import require
from polarbias.runtime.options import flag, number, optional_callback, positive_number, tolerance
from polarbias.runtime.pytree import tree_map
from polarbias.solution import Solution, Status


def gradient_flow(  # noqa: PLR0913 -- the options of one long run; each is independent of the others
    problem: LinearProblem,
    network: Network,
    theta0: Any,
    *,
    t_end: float | None = None,
    tol: float = 1e-12,
    rtol: float = 0.0,
    accuracy: float = 1e-8,
    schedule: Schedule | None = None,
    full: bool = False,
    keep: bool = True,
    callback: Callable[[FlowProgress], object] | None = None,
) -> Solution:
    r"""Integrate the gradient flow from ``theta0`` for every run of a batch.

    .. math:: \theta' = -\mathrm{rates}(\theta)\, \nabla_\theta \frac{1}{2L} \lVert A X(\theta) - b \rVert_2^2

    At depth 2 and above the flows of `HadamardPower`, `HadamardDifference` and `WeightNormalization` around one of
    them are M equations for their mirror variable, whatever the number of unknowns; these are integrated, and entries
    of X as small as e^-2000 keep their relative accuracy. Every other network is integrated in its own parameters.

    Parameters
    ----------
    problem
        One problem, or T of them (`stack`). The full equations take dense A only; of a linear operator the M
        equations make the dense matrix.
    network, theta0
        Any `Network`, and its start as from ``network.init``; batch axes as in `gradient_descent`. Runs are integrated
        one by one.
    t_end
        Time at which the flow ends, in the units of the network's own equations; None for no end.
    tol, rtol
        A run has converged, and ends, when its loss is below ``tol`` or ``||A X - b|| < rtol ||b||``.
    accuracy
        Tolerance of every step in log X (of the full equations: relative, in theta), from 1e-13 to 1e-2. The
        signal is accurate to about 30 times this.
    schedule
        Rates that depend on time: ``schedule(t)`` returns (eta_r, eta_u), which take the place of the ratio and the
        direction rate of a weight-normalized network. Integrates the full equations.
    full, keep
        Integrate the full equations of any network; keep the trajectory, about 6 numbers per step and equation.
    callback
        Called about twice a second with a `FlowProgress`; a true return value ends the run.

    Returns
    -------
    Solution
        At the first step that meets the criterion, or at the last. ``status`` per run: converged; max_steps
        (``t_end`` or a million steps are reached before the loss is); collapsed (r at or below 1e-10 of its start at
        the loss of X = 0); inaccurate (the residual stops falling; above depth 2 rounding causes this when entries of
        u^(2-L) differ by more than about 1e12); infeasible (instead of these, if the vector ``farkas`` proves that
        no signal of the network's kind solves A X = b); interrupted (callback or Ctrl-C; runs not begun stay at
        their start).
        ``trajectory`` is a `FlowTrajectory`.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, a start that the network does not allow, options outside their range, a flow without
        an end (no ``t_end`` and tol = rtol = 0).

    References
    ----------
    arXiv:2305.05448v1, equations (10), (12), (13) and Lemmas 3.5 to 3.9.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [2.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=0.03)
    >>> flow = pb.gradient_flow(problem, network, network.init(scale=0.5, direction=[1.0, 1.0]), tol=1e-20)
    >>> flow.x.round(6), flow.log_x.round(3)
    (array([3.00000e-06, 9.99999e-01]), array([-12.847,  -0.   ]))
    """
    theta0, batch_shape = check_parameters(problem, network, theta0, np.dtype(np.float64))
    t_end = np.inf if t_end is None else positive_number("t_end", t_end)
    tol, rtol = tolerance("tol", tol), tolerance("rtol", rtol)
    if t_end == np.inf and tol == rtol == 0:
        raise InvalidInput("the flow has no end: give t_end, or a positive tol or rtol.")
    accuracy = number("accuracy", accuracy, least=1e-13, most=1e-2)
    full, keep = flag("full", full), flag("keep", keep)
    schedule, callback = optional_callback("schedule", schedule), optional_callback("callback", callback)
    bounds = np.maximum(tol, (rtol * np.linalg.norm(problem.b, axis=-1)) ** 2 / (2 * network.degree))
    plain = network.inner if isinstance(network, WeightNormalization) else network
    if full or schedule is not None or not (is_power(plain) and plain.degree >= 2):
        runs = _primal_runs(problem, network, theta0, batch_shape, schedule)
    else:
        runs = _dual_runs(problem, network, theta0)
    ends: list[FlowEnd] = []
    stopped = False
    with warnings.catch_warnings(), limit_blas_threads(problem.m):
        warnings.simplefilter("ignore", UserWarning)  # from the integrator, whose status is checked
        for at, integrate in runs:
            bound = float(np.asarray(bounds)[at[: np.ndim(bounds)]])
            end = integrate(
                StoppingRule(at, t_end, bound, 0 if stopped else OPTIONS.max_steps, callback), accuracy, keep
            )
            ends.append(end._replace(status=Status.INTERRUPTED) if stopped else end)
            stopped = stopped or end.status == Status.INTERRUPTED
    return _solution(problem, network, ends, batch_shape)


_Integrate = Callable[[StoppingRule, float, bool], FlowEnd]


def _dual_runs(problem: LinearProblem, network: Any, theta0: Any) -> Iterator[tuple[tuple[int, ...], _Integrate]]:
    batch_shape, runs = reduced_forms(problem, network, theta0)
    lengths = norm(theta0.u) if isinstance(network, WeightNormalization) else np.ones(batch_shape)
    for at, one, form in runs:
        yield at, partial(dual.integrate, one, form, float(np.asarray(lengths)[at]))


def _select(batch_shape: tuple[int, ...], at: tuple[int, ...], values: Any) -> Any:
    return np.broadcast_to(values, batch_shape)[at]


def _primal_runs(
    problem: LinearProblem, network: Network, theta0: Any, batch_shape: tuple[int, ...], schedule: Schedule | None
) -> Iterator[tuple[tuple[int, ...], _Integrate]]:
    require("jax", "descent", "gradient_flow of a network's own parameters")
    from polarbias.flow import primal

    if schedule is not None and not primal.has_polar(theta0):
        raise InvalidInput(f"a schedule sets the rates of radius and direction; {network!r} has neither.")
    require_dense(problem, "gradient_flow in a network's own parameters")
    network = cast(network, np.dtype(np.float64))

    for at in np.ndindex(batch_shape):
        one = problem[at[: len(problem.batch_shape)]] if problem.batch_shape else problem
        theta = tree_map(lambda leaf, at=at: leaf[at], theta0)
        try:
            single = network.of_runs(partial(_select, batch_shape, at))
        except ValueError as mismatch:
            raise InvalidInput(RATE_MISFIT.format(batch_shape)) from mismatch
        yield at, partial(primal.integrate, primal.PrimalEquations(one, single, theta, schedule))


def _solution(problem: LinearProblem, network: Network, ends: list[FlowEnd], batch_shape: tuple[int, ...]) -> Solution:
    def stacked(*values: Any) -> np.ndarray:
        return np.array(values).reshape(batch_shape + np.shape(values[0]))

    state: FlowState = tree_map(stacked, *(end.state for end in ends))
    nonnegative = isinstance(network, FactorNetwork) and not network.signed
    status, farkas = prove_infeasibility(problem, nonnegative, stacked(*(int(end.status) for end in ends)))
    residual = np.asarray(np.linalg.norm(problem.residual(state.x), axis=-1))
    kept = ends[0].output is not None
    return Solution(
        method="gradient_flow",
        x=state.x,
        theta=state.theta,
        loss=np.asarray(residual**2 / (2 * network.degree)),
        residual=residual,
        steps=stacked(*(end.steps for end in ends)),
        status=status,
        farkas=farkas,
        trajectory=FlowTrajectory(stacked(*(end.output for end in ends))) if kept else None,
        log_x=state.log_x,
        mirror_dual=state.mirror_dual,
        r=state.r,
    )
