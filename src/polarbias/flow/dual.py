r"""Gradient flow of a network in reduced form, as M equations for its mirror variable.

With the mirror map of `polarbias.mirror.map`, and time as in the network's own equations,

.. math:: \nu' = -p\, \kappa R, \qquad \kappa = 2 r^2 \ (L = 2), \quad r^L e^{(2 - L)(E(r) - E(r_0))} \ (L > 2),

where p is :math:`\eta_u / \lVert u_0 \rVert^2`. Without weight normalization p is 1 and :math:`\kappa` is divided by
:math:`r^2`, which makes it constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import log

import numpy as np

from polarbias.flow.steps import OPTIONS as STEPS
from polarbias.flow.steps import DenseOutputSegment, Integrator, StoppingRule
from polarbias.flow.trajectory import DenseOutput, FlowEnd, FlowState
from polarbias.mirror.map import MirrorMap, exp
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.mirror.state import MirrorState
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Status


@dataclass(frozen=True)
class Options:
    """Constants of the dual integration.

    Measured on a flow of 20 x 80 at ratio 0.1: 1,424 evaluations at depth 2, 14,765 at depth 3.
    """

    log_radius_range: float = log(30.0)
    """Change of log r^2 after which the integrator restarts: its absolute tolerance depends on the radius."""

    log_q_range: float = 5.0
    """Decrease of log q above depth 2 after which it restarts, so that q stays accurate relative to itself; 2.5 and 10
    give 19,037 and 11,231 evaluations."""

    negligible: float = 1e-17
    """Weights of the Jacobian below this fraction of the largest, less than rounding, are dropped to save time."""

    log_inactive: float = -60.0
    """Logarithm of the share in u^2, relative to the largest, below which an entry is left out of the equations;
    at -30 the flow of depth 3 ends inaccurate."""

    check_interval: int = 5
    """Steps between evaluations of the whole state at depth 2; at 1 the flow takes twice as long."""

    max_idle_steps: int = 400
    """Steps without a decrease of the loss after which tolerances are reduced."""

    stationary_tol: float = 1e-9
    """Relative violation of the optimality conditions of least squares at which the flow has stopped."""


OPTIONS = Options()


class DualEquations:
    """Right-hand side and Jacobian for the move y from one state, in units in which A^T y moves log w by about as much.

    Only entries of the direction that can matter before the next check take part, once they are the minority.
    """

    def __init__(self, anchor: MirrorState) -> None:
        self.anchor, form = anchor, anchor.form
        self.power, self._half = anchor.map.power, form.depth / 2
        self._log_unit = -self.power * float(anchor.map.log_w.max())
        self.unit = float(np.exp(self._log_unit))
        self._select(_relative(anchor.map) > OPTIONS.log_inactive)

    def check(self, state: MirrorState) -> bool:
        """Select the entries that take part from now on; return False if one that did not should have."""
        relative = _relative(state.map)
        if relative[self._rest].max(initial=-np.inf) > np.log(np.finfo(float).eps):  # it changes the sums
            return False
        active = relative > OPTIONS.log_inactive
        if active[self._rest].any() or 2 * np.count_nonzero(active) < self._map.log_w.size:
            self._select(active)
        return True

    def _select(self, active: np.ndarray) -> None:
        matrix, anchor = self.anchor.matrix, self.anchor.map
        own: np.ndarray | slice = slice(None)
        self._rest, self._matrix = np.zeros(0, int), matrix
        if matrix.is_array and active.mean() < 0.5:
            own, self._rest = np.flatnonzero(active), np.flatnonzero(~active)
            self._matrix = matrix.take(own)
        self._map = MirrorMap(anchor.depth, anchor.log_w[own], anchor.total, self._log_unit)

    def _position(self, y: np.ndarray) -> tuple[float, MirrorMap]:
        """Return r^2 and the mirror map; a trial outside the domain gets finite values, and a shorter step follows."""
        moved, rise = self._map.moved(self._matrix.adjoint(y), least=np.exp(-3 * OPTIONS.log_q_range))
        return self.anchor.form.squared_radius(self.anchor.E + rise / 2), moved

    def _signal(self, s: float, share: np.ndarray) -> np.ndarray:
        size: np.ndarray = (s * share) ** self._half if self._half != 1 else s * share
        return size

    def rhs(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return y'."""
        (s, moved), form = self._position(y), self.anchor.form
        kappa = (1.0 if self.power else 2.0) * s ** (self._half - form.plain)
        speed = float(form.time_scale * kappa * np.exp(-self.power * moved.total - self._log_unit))
        return np.asarray(speed * (self._matrix.b - self._matrix.apply(self._signal(s, moved.share))))

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the derivative of y' in y, shape ``(M, M)``."""
        (s, moved), form = self._position(y), self.anchor.form
        size = self._signal(s, moved.share)
        weight = moved.share**self.power
        product = self._matrix.apply(size)
        inertia = form.inertia(s) if s > 0 else 0.0
        slope = self._half * inertia - self.power - form.plain
        outer = self._half * (inertia - 1) * product + slope * (product - self._matrix.b)
        factor = form.time_scale * 2 * s ** (self._half - form.plain)
        matrix = self._half * self._matrix.gram(size * weight, OPTIONS.negligible)
        return np.asarray(-factor * (matrix + np.outer(outer, self._matrix.apply(moved.share * weight))))


def _relative(mirror_map: MirrorMap) -> np.ndarray:
    """Return the logarithm of w relative to its largest entry."""
    relative: np.ndarray = mirror_map.log_w - mirror_map.log_w.max()
    return relative


def integrate(
    problem: LinearProblem, form: ReducedForm, length: float, rule: StoppingRule, accuracy: float, keep: bool
) -> FlowEnd:
    """Integrate one run to its end; ``length`` is the norm of u, which the flow keeps."""
    run = _Integration(MirrorState.start(problem, form), rule, keep)
    status = rule.status(0.0, run.state.loss)
    while status is None:
        status, resolved = run.advance(accuracy)
        if not resolved:  # the residual is below the resolution of the tolerances
            if accuracy <= STEPS.finest_accuracy:
                status = Status.INACCURATE
            accuracy = max(accuracy / 100, STEPS.finest_accuracy)
    output = None
    if keep:
        output = DenseOutput(np.array(run.times), partial(_evaluate, tuple(run.segments), run.state, length))
    return FlowEnd(_flow_state(run.state, length), status, len(run.times) - 1, output)


def _evaluate(segments: tuple[DenseOutputSegment, ...], last: MirrorState, length: float, t: float) -> FlowState:
    """Return the run at one time; ``last`` is its only state if there are no segments."""
    if not segments:
        return _flow_state(last, length)
    starts = [segment.t[0] for segment in segments]
    segment = segments[max(int(np.searchsorted(starts, t, side="right")) - 1, 0)]
    unit, anchor = segment.anchor
    return _flow_state(anchor.moved(unit * segment(t)) if t > segment.t[0] else anchor, length)


def _flow_state(state: MirrorState, length: float) -> FlowState:
    """Return a state in the network's own parameters."""
    form = state.form
    u = (1.0 if form.plain else length) * np.exp(state.map.log_share / 2)
    return FlowState(state.parameters(length), state.r, u, state.x, state.log_x, state.loss, state.nu)


class _Integration:
    """An unfinished run: the last checked state and the dense output up to it."""

    def __init__(self, state: MirrorState, rule: StoppingRule, keep: bool) -> None:
        self.state = replace(state, matrix=state.matrix.dense())
        self.rule, self.keep = rule, keep
        self.times: list[float] = [0.0]
        self.segments: list[DenseOutputSegment] = []
        self.lowest = STEPS.collapse_threshold**2 * state.s
        self.longest = float(self.state.matrix.column_norms().max()) or 1.0

    def advance(self, accuracy: float) -> tuple[Status | None, bool]:
        """Integrate until the run ends or the integrator has to restart; return False if the loss does not fall."""
        anchor, start = self.state, self.times[-1]
        equations = DualEquations(anchor)
        # The absolute tolerance of y for which log X is accurate to about `accuracy`.
        absolute = accuracy / (self.longest * max(1.0, anchor.form.inertia(anchor.s)))
        initial = start, np.zeros(anchor.matrix.m)
        integrator = Integrator(equations.rhs, equations.jacobian, initial, self.rule.t_end, (accuracy, absolute))
        own, pieces, recent = [start], [], []
        checked, least, idle = 0, anchor.loss, 0
        interval = OPTIONS.check_interval if anchor.form.depth == 2 else 1
        status: Status | None = None
        try:
            while status is None and idle <= OPTIONS.max_idle_steps:
                if not integrator.step():
                    status = Status.INACCURATE
                    break
                self.rule.steps += 1
                own.append(integrator.t)
                pieces.append(integrator.piece() if self.keep else None)
                recent.append((len(pieces), integrator.y))
                if len(pieces) - checked < interval and integrator.t < self.rule.t_end:
                    continue
                state = anchor.moved(equations.unit * integrator.y)
                if not (state.inside and equations.check(state)):
                    status = Status.INACCURATE if checked == 0 else None
                    break
                if state.loss < self.rule.bound:
                    checked, state = self._first_below(anchor, equations.unit, recent)
                    own, pieces = own[: checked + 1], pieces[:checked]
                idle = 0 if state.loss < least else idle + len(pieces) - checked
                self.state, checked, least, recent = state, len(pieces), min(least, state.loss), []
                status = self._status(own[-1])
                if _far(anchor, state):
                    break
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        self.times += own[1 : checked + 1]
        if self.keep and checked:
            self.segments.append(
                DenseOutputSegment((equations.unit, anchor), np.array(own[: checked + 1]), tuple(pieces[:checked]))
            )
        return status, idle <= OPTIONS.max_idle_steps

    def _first_below(
        self, anchor: MirrorState, unit: float, recent: list[tuple[int, np.ndarray]]
    ) -> tuple[int, MirrorState]:
        """Return the number and the state of the first of these steps at which the loss is below its bound."""
        states = ((step, anchor.moved(unit * y)) for step, y in recent)
        return next((step, state) for step, state in states if state.loss < self.rule.bound)

    def _status(self, t: float) -> Status | None:
        state, b = self.state, self.state.matrix.b
        if state.s <= self.lowest and b.any() and state.residual @ state.residual >= (1 - 1e-9) * (b @ b):
            return Status.COLLAPSED
        status = self.rule.status(t, state.loss)
        if status is None and (t >= STEPS.latest_time or (self.rule.steps % 10 < 5 and _stationary(state))):
            return Status.INACCURATE
        return status


def _far(anchor: MirrorState, state: MirrorState) -> bool:
    """Return True if the integrator should restart from the state."""
    if not anchor.form.plain and (state.s == 0 or abs(log(state.s / anchor.s)) > OPTIONS.log_radius_range):
        return True
    power = anchor.map.power
    return bool(power and power * (state.map.log_w - anchor.map.log_w).max() > OPTIONS.log_q_range)


def _stationary(state: MirrorState) -> bool:
    """Return True if the signal is a nonnegative least-squares solution although the residual does not vanish."""
    pull = state.matrix.adjoint(state.residual)
    size = exp(state.log_x - state.log_x.max())
    bound = OPTIONS.stationary_tol * np.abs(pull).max()
    return bool((size * np.abs(pull)).max() <= bound and pull.min() >= -bound)
