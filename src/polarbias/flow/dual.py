r"""Gradient flow of a network in reduced form, as M equations for its mirror variable.

With the mirror map of `polarbias.mirror.map`, and time as in the network's own equations,

.. math:: \nu' = -p\, \kappa R, \qquad \kappa = 2 r^2 \ (L = 2), \quad r^L e^{(2 - L)(E(r) - E(r_0))} \ (L > 2),

where p is :math:`\eta_u / \lVert u_0 \rVert^2`. Without weight normalization p is 1 and :math:`\kappa` is divided by
:math:`r^2`, which makes it constant.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import log

import numpy as np
from scipy.integrate import OdeSolution

from polarbias.flow.steps import OPTIONS, Integrator, StoppingRule
from polarbias.flow.trajectory import DenseOutput, FlowEnd, FlowState
from polarbias.mirror.map import MirrorMap, exp
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.mirror.state import MirrorState
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Status


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
        return np.asarray((s * share) ** self._half if self._half != 1 else s * share)

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
    return np.asarray(mirror_map.log_w - mirror_map.log_w.max())


def integrate(
    problem: LinearProblem, form: ReducedForm, length: float, rule: StoppingRule, accuracy: float, keep: bool
) -> FlowEnd:
    """Integrate one run to its end; ``length`` is the norm of u, which the flow keeps."""
    run = _Integration(MirrorState.start(problem, form), rule, keep)
    status = rule.status(0.0, run.state.loss)
    while status is None:
        status, resolved = run.advance(accuracy)
        if not resolved:  # the residual is below the resolution of the tolerances
            if accuracy <= OPTIONS.finest_accuracy:
                status = Status.INACCURATE
            accuracy = max(accuracy / 100, OPTIONS.finest_accuracy)
    output = None
    if keep:
        output = DenseOutput(np.array(run.times), partial(_evaluate, tuple(run.segments), run.state, length))
    return FlowEnd(_flow_state(run.state, length), status, len(run.times) - 1, output)


_Segment = tuple[MirrorState, float, OdeSolution]
"""State at which the integrator started, unit of the integrated vector, its dense output."""


def _evaluate(segments: tuple[_Segment, ...], last: MirrorState, length: float, t: float) -> FlowState:
    """Return the run at one time; ``last`` is its only state if there are no segments."""
    if not segments:
        return _flow_state(last, length)
    starts = [dense.t_min for _, _, dense in segments]
    anchor, unit, dense = segments[max(int(np.searchsorted(starts, t, side="right")) - 1, 0)]
    return _flow_state(anchor.moved(unit * dense(t)) if t > dense.t_min else anchor, length)


def _flow_state(state: MirrorState, length: float) -> FlowState:
    """Return a state in the network's own parameters."""
    u = (1.0 if state.form.plain else length) * np.exp(state.map.log_share / 2)
    return FlowState(state.parameters(length), state.r, u, state.x, state.log_x, state.loss, state.nu)


class _Integration:
    """An unfinished run: the last checked state and the dense output up to it."""

    def __init__(self, state: MirrorState, rule: StoppingRule, keep: bool) -> None:
        self.state = replace(state, matrix=state.matrix.dense())
        self.rule, self.keep = rule, keep
        self.times: list[float] = [0.0]
        self.segments: list[_Segment] = []
        self._lowest = OPTIONS.collapse_threshold**2 * state.s
        self._longest = float(self.state.matrix.column_norms().max()) or 1.0

    def advance(self, accuracy: float) -> tuple[Status | None, bool]:
        """Integrate until the run ends or the integrator has to restart; return False if the loss does not fall."""
        anchor, rule = self.state, self.rule
        equations = DualEquations(anchor)
        # The absolute tolerance of y for which log X is accurate to about `accuracy`.
        absolute = accuracy / (self._longest * max(1.0, anchor.form.inertia(anchor.s)))
        times, pieces, recent = [self.times[-1]], [], []
        integrator = Integrator(equations, times[0], np.zeros(anchor.matrix.m), rule.t_end, accuracy, absolute)
        checked, least, idle = 0, anchor.loss, 0
        interval = OPTIONS.check_interval if anchor.form.depth == 2 else 1
        status: Status | None = None
        try:
            while status is None and idle <= OPTIONS.max_idle_steps:
                if not integrator.advance():
                    status = Status.INACCURATE
                    break
                rule.steps += 1
                times.append(float(integrator.t))
                pieces.append(integrator.dense_output() if self.keep else None)
                recent.append((len(pieces), integrator.y.copy()))
                if len(pieces) - checked < interval and integrator.t < rule.t_end:
                    continue
                state = anchor.moved(equations.unit * integrator.y)
                if not (state.inside and equations.check(state)):
                    status = Status.INACCURATE if checked == 0 else None
                    break
                new = len(pieces)
                if state.loss < rule.bound:  # the end is the first such step
                    states = ((step, anchor.moved(equations.unit * y)) for step, y in recent)
                    new, state = next((step, state) for step, state in states if state.loss < rule.bound)
                idle = 0 if state.loss < least else idle + new - checked
                self.state, checked, least, recent = state, new, min(least, state.loss), []
                status = self._status(times[checked])
                if _far(anchor, state):
                    break
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        self.times += times[1 : checked + 1]
        if self.keep and checked:
            self.segments.append((anchor, equations.unit, OdeSolution(times[: checked + 1], pieces[:checked])))
        return status, idle <= OPTIONS.max_idle_steps

    def _status(self, t: float) -> Status | None:
        state, b = self.state, self.state.matrix.b
        at_zero = state.residual @ state.residual >= (1 - OPTIONS.collapse_loss_tol) * (b @ b)
        if state.s <= self._lowest and b.any() and at_zero:
            return Status.COLLAPSED
        status = self.rule.status(t, state.loss)
        if status is None and (t >= OPTIONS.latest_time or (self.rule.steps % 10 < 5 and _stationary(state))):
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
