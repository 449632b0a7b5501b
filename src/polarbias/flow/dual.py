r"""The flow of a network in polar form as M equations for its mirror variable.

With the log v, radius and signal that `MirrorState` makes of nu, and time as in the network's own equations,

.. math:: \nu' = -p\, \kappa R, \qquad \kappa = 2 r^2 \ (L = 2), \quad r^L e^{(2 - L)(E(r) - E(r_0))} \ (L > 2),

where p is :math:`\eta_u / \lVert u_0 \rVert^2`. Without weight normalization p is 1 and :math:`\kappa` is divided by
:math:`r^2`, which makes it constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from polarbias.flow.steps import FINEST, FOREVER, DenseOutputSegment, Integrator, Watch
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.mirror.state import LOWEST_LOG, MirrorState
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Status

COLLAPSE_FLOOR = 1e-10
"""A run has collapsed when r is at or below this fraction of its start."""

RADIUS_RANGE = np.log(30.0)
"""The integrator starts anew, with tolerances that fit, when r^2 has changed by more than this factor."""

SHRUNK = 5.0
"""And above depth 2 when an entry of v^((2 - L)/2) has shrunk by e to this power: it keeps its relative accuracy."""

NEGLIGIBLE = 1e-17
"""Entries of the Jacobian's weights below this fraction of the largest are dropped."""

ASLEEP, LATE = -60.0, -36.0
"""Squared entries of the direction take part above e to the first, relative to the largest; in between two looks none
may have risen from below this to above the second, which would still be under the rounding of the others."""

PATIENCE = 5
"""Steps between two looks at the whole state at depth 2."""

IDLE = 400
"""Steps after which a loss that has not fallen calls for finer tolerances."""


class Equations:
    """Right-hand side and Jacobian for the move from one state, in units in which A^T y moves log v by about as much.

    Only entries of the direction that can matter before the next look take part, once they are the minority.

    Parameters
    ----------
    anchor
        State from which the move is counted.
    columns
        A as a dense array or a sparse matrix.
    """

    def __init__(self, anchor: MirrorState, columns: Any) -> None:
        self.anchor, self.columns = anchor, columns
        self.power = (anchor.form.depth - 2) / 2
        self._half = anchor.form.depth / 2
        self._log_unit = -self.power * float(anchor.log_v.max())
        self.unit = float(np.exp(self._log_unit))
        self._longest = _longest_column(columns)
        self._select(anchor.log_pi - anchor.log_pi.max() > ASLEEP)

    def look(self, state: MirrorState) -> bool:
        """See to it that the right entries take part from now on; False if one that did not should have."""
        log_pi = state.log_pi - state.log_pi.max()
        if log_pi[self._rest].max(initial=-np.inf) > LATE:
            return False
        active = log_pi > ASLEEP
        if active[self._rest].any() or 2 * np.count_nonzero(active) < self._log_v.size:
            self._select(active)
        return True

    def _select(self, active: np.ndarray) -> None:
        gathered = isinstance(self.columns, np.ndarray) and active.mean() < 0.5
        own = np.flatnonzero(active) if gathered else slice(None)
        self._rest = np.flatnonzero(~active) if gathered else np.zeros(0, int)
        self._gathered: np.ndarray | None = None
        if isinstance(own, np.ndarray):
            n = self.anchor.problem.n
            self._gathered = self.columns[:, own % n] * np.where(own < n, 1.0, -1.0)
        self._log_v = self.anchor.log_v[own]
        self._pi = np.exp(np.maximum(self.anchor.log_pi[own], LOWEST_LOG))
        with np.errstate(under="ignore"):
            self._inverse_q = np.exp(self.power * self._log_v + self._log_unit)

    def _back(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y for every entry that takes part."""
        if self._gathered is not None:
            return np.asarray(y @ self._gathered)
        return self.anchor.spread(y @ self.columns if isinstance(self.columns, np.ndarray) else self.columns.T @ y)

    def _forward(self, size: np.ndarray) -> np.ndarray:
        """Return A times the signal whose entries, or whose halves' entries, have this size."""
        if self._gathered is not None:
            return np.asarray(self._gathered @ size)
        n = self.anchor.problem.n
        return np.asarray(self.columns @ (size[:n] - size[n:] if self.anchor.form.signed else size))

    def _position(self, y: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Return r^2, the logarithm of the sum of v, and the squared direction."""
        anchor = self.anchor
        change = self._back(y)
        if self.power:
            # A trial outside the domain gets a finite value; the integrator then takes a shorter step.
            left = np.maximum(-2 * self.power * change * self._inverse_q, np.exp(-3 * SHRUNK) - 1)
            change = np.log1p(left) / -self.power
        if np.abs(change).max() < 0.5:
            grown = float(np.log1p(self._pi @ np.expm1(change)))
            pi = self._pi * np.exp(change - grown)
        else:
            log_v = self._log_v + change
            top = float(log_v.max())
            pi = np.exp(np.maximum(log_v - top, LOWEST_LOG))
            whole = float(pi.sum())
            pi /= whole
            grown = top + log(whole) - anchor.total
        return anchor.radius.squared(anchor.E + grown / 2), anchor.total + grown, pi

    def _speed(self, s: float, total: float) -> float:
        """Return the factor of -R in y'."""
        form = self.anchor.form
        kappa = (1.0 if self.power else 2.0) * s ** (self._half - form.plain)
        return float(form.time_scale * kappa * np.exp(-self.power * total - self._log_unit))

    def _signal(self, s: float, pi: np.ndarray) -> np.ndarray:
        size = s * pi
        return size if self._half == 1 else size**self._half

    def rhs(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return y'."""
        s, total, pi = self._position(y)
        return np.asarray(self._speed(s, total) * (self.anchor.problem.b - self._forward(self._signal(s, pi))))

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the derivative of y' in y, shape ``(M, M)``."""
        s, _, pi = self._position(y)
        form = self.anchor.form
        size = self._signal(s, pi)
        weight = pi**self.power
        product = self._forward(size)
        inertia = self.anchor.radius.inertia(s) if s > 0 else 0.0
        slope = self._half * inertia - self.power - form.plain
        outer = self._half * (inertia - 1) * product + slope * (product - self.anchor.problem.b)
        factor = form.time_scale * 2 * s ** (self._half - form.plain)
        matrix = self._half * self._gram(size * weight)
        return np.asarray(-factor * (matrix + np.outer(outer, self._forward(pi * weight))))

    def _gram(self, diagonal: np.ndarray) -> np.ndarray:
        """Return A diag(w) A^T."""
        columns: Any = self.columns if self._gathered is None else self._gathered
        if self._gathered is None and self.anchor.form.signed:
            diagonal = diagonal[: self.anchor.problem.n] + diagonal[self.anchor.problem.n :]
        if not isinstance(columns, np.ndarray):
            return np.asarray((columns.multiply(diagonal) @ columns.T).todense())
        kept = diagonal > NEGLIGIBLE * diagonal.max()
        if not kept.all():
            columns, diagonal = columns[:, kept], diagonal[kept]
        half = columns * np.sqrt(diagonal)
        return np.asarray(half @ half.T)  # of a matrix and its own transpose, NumPy computes one triangle

    def tolerance(self, accuracy: float) -> float:
        """Return the absolute tolerance for y at which log X is accurate to about ``accuracy``."""
        return accuracy / (self._longest * max(1.0, self.anchor.radius.inertia(self.anchor.s)))


def _longest_column(columns: Any) -> float:
    square = columns**2 if isinstance(columns, np.ndarray) else columns.multiply(columns)
    return float(np.sqrt(square.sum(0).max())) or 1.0


@dataclass(frozen=True, eq=False)
class Run:
    """One integrated run.

    Attributes
    ----------
    state, status, steps
        Where and how it ends, after how many steps.
    t
        Accepted times and the start.
    segments
        Dense output, empty if it was not kept.
    """

    state: MirrorState
    status: Status
    steps: int
    t: np.ndarray
    segments: tuple[DenseOutputSegment, ...]

    def at(self, t: float) -> MirrorState:
        """Return the state at one time inside."""
        if not self.segments:
            return self.state
        starts = [segment.t[0] for segment in self.segments]
        segment = self.segments[max(int(np.searchsorted(starts, t, side="right")) - 1, 0)]
        unit, anchor = segment.anchor
        moved: MirrorState = anchor.moved(unit * segment(t)) if t > segment.t[0] else anchor
        return moved


def dense_columns(problem: LinearProblem) -> Any:
    """Return A as an array or a sparse matrix; of a linear operator, its dense columns."""
    if isinstance(problem.A, np.ndarray) or hasattr(problem.A, "tocsr"):
        return problem.A
    return np.asarray(problem.A @ np.eye(problem.n))


def run(problem: LinearProblem, form: ReducedForm, watch: Watch, accuracy: float, keep: bool) -> Run:
    """Integrate one run to its end."""
    run = _Run(problem, form, watch, keep)
    status = watch.ended(0.0, run.state.loss)
    while status is None:
        status, resolved = run.advance(accuracy)
        if not resolved:  # the residual is below what the tolerances resolve
            if accuracy <= FINEST:
                status = Status.INACCURATE
            accuracy = max(accuracy / 100, FINEST)
    return Run(run.state, status, len(run.times) - 1, np.array(run.times), tuple(run.segments))


class _Run:
    """A run on its way: the last state that was looked at, and what is kept of the way there."""

    def __init__(self, problem: LinearProblem, form: ReducedForm, watch: Watch, keep: bool) -> None:
        self.state, self.columns = MirrorState.start(problem, form), dense_columns(problem)
        self.watch, self.keep = watch, keep
        self.times: list[float] = [0.0]
        self.segments: list[DenseOutputSegment] = []
        self.lowest = COLLAPSE_FLOOR**2 * self.state.s

    def advance(self, accuracy: float) -> tuple[Status | None, bool]:
        """Integrate until the run ends or the integrator should start anew; tell whether the loss still falls."""
        anchor, start = self.state, self.times[-1]
        equations = Equations(anchor, self.columns)
        tolerances = (accuracy, equations.tolerance(accuracy))
        initial = start, np.zeros(anchor.problem.m)
        integrator = Integrator(equations.rhs, equations.jacobian, initial, self.watch.t_end, tolerances)
        own, pieces, recent = [start], [], []
        looked, least, idle = 0, anchor.loss, 0
        patience = PATIENCE if anchor.form.depth == 2 else 1
        status: Status | None = None
        try:
            while status is None and idle <= IDLE:
                if not integrator.step():
                    status = Status.INACCURATE
                    break
                self.watch.steps += 1
                own.append(integrator.t)
                pieces.append(integrator.piece() if self.keep else None)
                recent.append((len(pieces), integrator.y))
                if len(pieces) - looked < patience and integrator.t < self.watch.t_end:
                    continue
                state = anchor.moved(equations.unit * integrator.y)
                if not (state.inside and equations.look(state)):
                    status = Status.INACCURATE if looked == 0 else None
                    break
                if state.loss < self.watch.bound:
                    looked, state = self._first_below(anchor, equations.unit, recent)
                    own, pieces = own[: looked + 1], pieces[:looked]
                idle = 0 if state.loss < least else idle + len(pieces) - looked
                self.state, looked, least, recent = state, len(pieces), min(least, state.loss), []
                status = self._ended(own[-1])
                if _far(anchor, state):
                    break
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        self.times += own[1 : looked + 1]
        if self.keep and looked:
            self.segments.append(
                DenseOutputSegment((equations.unit, anchor), np.array(own[: looked + 1]), tuple(pieces[:looked]))
            )
        return status, idle <= IDLE

    def _first_below(
        self, anchor: MirrorState, unit: float, recent: list[tuple[int, np.ndarray]]
    ) -> tuple[int, MirrorState]:
        """Return the number and the state of the first of these steps at which the loss is below its bound."""
        states = ((step, anchor.moved(unit * y)) for step, y in recent)
        return next((step, state) for step, state in states if state.loss < self.watch.bound)

    def _ended(self, t: float) -> Status | None:
        state, b = self.state, self.state.problem.b
        if state.s <= self.lowest and b.any() and state.residual @ state.residual >= (1 - 1e-9) * (b @ b):
            return Status.COLLAPSED
        status = self.watch.ended(t, state.loss)
        if status is None and (t >= FOREVER or (self.watch.steps % 10 < PATIENCE and _stationary(state))):
            return Status.INACCURATE
        return status


def _far(anchor: MirrorState, state: MirrorState) -> bool:
    """Whether the integrator should start anew from the state."""
    if not anchor.form.plain and (state.s == 0 or abs(log(state.s / anchor.s)) > RADIUS_RANGE):
        return True
    power = (state.form.depth - 2) / 2
    return bool(power and power * (state.log_v - anchor.log_v).max() > SHRUNK)


def _stationary(state: MirrorState) -> bool:
    """Whether the signal is a nonnegative least-squares solution, to 1e-9, although the residual does not vanish."""
    pull = state.spread(state.problem.A.T @ state.residual)
    size = np.exp(np.maximum(state.log_x - state.log_x.max(), LOWEST_LOG))
    most = np.abs(pull).max()
    return bool((size * np.abs(pull)).max() <= 1e-9 * most and pull.min() >= -1e-9 * most)
