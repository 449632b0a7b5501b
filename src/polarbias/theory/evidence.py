r"""What a verification looks at: one solution, its trajectory at chosen times, and the exact limit that it is held to.

The end X of a flow that is stopped at a small residual is the exact limit of the same flow for the right-hand side
:math:`b' = A X`, because the invariant and the image under A determine the limit. So statements about limits are
judged for b', without a tolerance for the way that is left to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from polarbias.errors import PolarbiasError
from polarbias.limit.flow_limit import flow_limit
from polarbias.mirror.potential import Potential
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks import Polar, WeightNormalization
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.solution import CollapseStatus, Solution, Status
from polarbias.theory.ends import End, end
from polarbias.theory.invariants import moved_off_rows

STRETCHES, NODES = 96, 6
"""A trajectory is looked at on this many stretches of equally many accepted steps, with as many Gauss nodes in each."""

LONGEST = 40
"""Accepted steps that a stretch may have; of longer trajectories there are more stretches."""

LIMIT_ACCURACY = 1e-7
"""To what a limit without a trajectory is held, relative."""

ROUNDING = 1e-11
"""What rounding, of linear programs as well, may add to a relative excess."""


@dataclass(frozen=True)
class Course:
    """A trajectory at chosen times; arrays begin with the axis of time, K times in all.

    Attributes
    ----------
    t, r, loss
        Times, norms of the factor (at depth 1 with weight normalization: r itself), losses, shape ``(K,)``.
    theta
        The network's parameters.
    log_x, sign
        Logarithms and signs of the entries of X, of both halves for a signed network, shape ``(K, n)``.
    """

    t: np.ndarray
    r: np.ndarray
    loss: np.ndarray
    theta: Any
    log_x: np.ndarray
    sign: np.ndarray


@dataclass(frozen=True, eq=False)
class Evidence:
    """A solution with all that the statements need of it, computed once, when first asked for."""

    problem: LinearProblem
    network: Any
    theta0: Any
    solution: Solution
    form: ReducedForm
    accuracy: float
    minimum: Minimum | None = None

    @cached_property
    def kind(self) -> str:
        """Return "flow" (with a trajectory as a function of time), "descent" (a thinned record) or "limit"."""
        trajectory = self.solution.trajectory
        if trajectory is not None:
            return "flow" if hasattr(trajectory, "evaluate") else "descent"
        return "descent" if self.solution.log_x is None and self.solution.collapse_status is None else "limit"

    @property
    def no_course(self) -> str:
        """Why there is nothing to say about all times, or nothing."""
        if self.kind == "flow":
            return ""
        if self.kind == "limit":
            return "the solution has no trajectory"
        return "descent follows the flow to O(dt) only"

    @property
    def no_limit(self) -> str:
        """Why there is nothing to say about the limit of the flow, or nothing."""
        status = Status(int(self.solution.status))
        if self.kind == "descent":
            return "the end of descent is the limit of the flow to O(dt) only"
        if status not in (Status.CONVERGED, Status.COLLAPSED):
            return f"no limit is reached: {status.message}"
        return ""

    @property
    def tolerance(self) -> float:
        """Relative accuracy of the logarithms of X."""
        return self.accuracy if self.kind == "flow" else LIMIT_ACCURACY

    @property
    def collapsed(self) -> bool:
        """Whether the solution says that it ended at X = 0."""
        return int(self.solution.status) == Status.COLLAPSED

    @cached_property
    def matrix(self) -> np.ndarray:
        """A, or [A, -A] for a signed network, shape ``(M, n)``."""
        return np.asarray((self.problem.signed() if self.form.signed else self.problem).A, np.float64)

    @cached_property
    def size_b(self) -> float:
        """Norm of b."""
        return float(np.linalg.norm(self.problem.b))

    @cached_property
    def end(self) -> End:
        """The end of the solution, with the radius that it reports."""
        return end(self.network, self.form, self.solution)

    @cached_property
    def end_sign(self) -> np.ndarray:
        """Signs of the factor at the end, shape ``(n,)``."""
        if self.form.depth > 1 or self.solution.theta is None:
            return np.ones(self.form.n) if self.form.depth > 1 else np.sign(self.solution.x)
        return np.asarray(np.sign(self.network.factor(self.solution.theta)))

    @property
    def end_radius(self) -> float:
        """The radius at the end; at depth 1 with weight normalization it has the sign of r."""
        theta = self.solution.theta
        return float(theta.r) if self.form.depth == 1 and isinstance(theta, Polar) else self.end.r

    @cached_property
    def residual(self) -> float:
        """Relative residual of the end, recomputed."""
        missed = float(np.linalg.norm(self.problem.residual(np.asarray(self.solution.x, np.float64))))
        return missed / self.size_b if self.size_b else missed

    @cached_property
    def reached(self) -> LinearProblem:
        """The problem that the end solves exactly, A X = b'."""
        return LinearProblem(self.problem.A, self.problem.apply(np.asarray(self.solution.x, np.float64)))

    @cached_property
    def collapse_status(self) -> CollapseStatus:
        """What is known about collapse, from the start alone."""
        try:
            return CollapseStatus(int(flow_limit(self.problem, self.network, self.theta0).collapse_status))  # type: ignore[arg-type]
        except PolarbiasError:
            return CollapseStatus.UNDECIDED

    @cached_property
    def least(self) -> Minimum | None:
        """The minimal l1 norm over S+ of the problem itself, None if S+ is empty or nothing could be certified."""
        if self.minimum is not None:
            return self.minimum
        try:
            return minimal_l1(self.problem.signed() if self.form.signed else self.problem)
        except PolarbiasError:
            return None

    @cached_property
    def least_reached(self) -> Minimum | None:
        """The same for b' = A X; the given minimum where X solves A X = b to rounding."""
        if self.minimum is not None and self.residual <= ROUNDING:
            return self.minimum
        try:
            return minimal_l1(self.reached.signed() if self.form.signed else self.reached)
        except PolarbiasError:
            return None

    @cached_property
    def projection(self) -> Solution | None:
        """The limit for b' by convex duality; None if there is none or it is not found."""
        return self.limit_from(self.network, self.theta0)

    def limit_from(self, network: Any, theta0: Any) -> Solution | None:
        """Return the limit for b' of another flow; None if there is none or it is not found."""
        try:
            found = flow_limit(self.reached, network, theta0)
        except PolarbiasError:
            return None
        return found if int(found.status) in (Status.CONVERGED, Status.UNDECIDED) else None

    def distance(self, other: Solution | None) -> float:
        """Return the largest difference to another limit, relative to the largest entry of X; NaN without one."""
        if other is None:
            return np.nan
        x = np.asarray(self.solution.x, np.float64)
        return float(np.abs(x - other.x).max() / max(np.abs(x).max(), np.abs(other.x).max(), 1e-300))

    @cached_property
    def potential(self) -> Potential:
        """The potential of the run."""
        return Potential.from_form(self.form)

    def course_at(self, times: np.ndarray) -> Course:
        """Return the trajectory at these times."""
        states = self.solution.trajectory.evaluate(times)
        theta = states.theta
        factor = np.asarray(self.network.factor(theta))
        r = np.asarray(theta.r if self.form.depth == 1 and isinstance(theta, Polar) else states.r)
        return Course(times, r, np.asarray(states.loss), theta, np.asarray(states.log_x), np.sign(factor))

    @cached_property
    def course(self) -> Course:
        """The trajectory at the ends of the stretches."""
        return self.course_at(self._marks)

    @cached_property
    def inside(self) -> Course:
        """The trajectory at the Gauss nodes, one stretch after the other."""
        nodes = (1 + np.polynomial.legendre.leggauss(NODES)[0]) / 2
        marks = self._marks
        return self.course_at((marks[:-1, None] + np.diff(marks)[:, None] * nodes).ravel())

    @cached_property
    def _marks(self) -> np.ndarray:
        accepted = np.asarray(self.solution.trajectory.time, np.float64)
        count = min(max(STRETCHES, accepted.size // LONGEST), accepted.size - 1)
        return np.asarray(accepted[np.unique(np.linspace(0, accepted.size - 1, count + 1).round().astype(int))])

    def integral(self, values: np.ndarray) -> np.ndarray:
        """Return the integral over each stretch of what has ``values`` at the nodes."""
        weights = np.polynomial.legendre.leggauss(NODES)[1] / 2
        marks = self._marks
        shaped = values.reshape(marks.size - 1, NODES, -1)
        found = np.einsum("knv,n->kv", shaped, weights) * np.diff(marks)[:, None]
        return np.asarray(found.reshape((marks.size - 1, *values.shape[1:])))

    def log_factor(self, course: Course) -> np.ndarray:
        """Return the logarithms of the entries of x, shape ``(K, n)``."""
        return course.log_x / self.form.depth

    def log_mirror(self, log_x: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Return log |u| + E(r) - E(r0), from X and r apart, shape ``(..., n)``; log |x| for the plain flow."""
        log_factor = log_x / self.form.depth
        if self.form.plain:
            return log_factor
        length = logsumexp(2 * log_factor, axis=-1) / 2
        rise = self.form.E(np.square(r)) - self.form.E(self.form.r0**2)
        return np.asarray(log_factor - length[..., None] + np.asarray(rise)[..., None])

    def drift(self, log_v: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Return how far log v (depth 2), else v^(2-L), has moved off the rows of A since the first row of log_v."""
        power = 2 - self.form.depth
        if not power:
            return moved_off_rows(self.problem, self.network, log_v, np.zeros(len(log_v)))
        scale = (power * log_v).max(-1)
        return moved_off_rows(self.problem, self.network, sign * np.exp(power * log_v - scale[:, None]), scale)

    def invariant_drift(self) -> float:
        """Return the largest drift of the invariant, along the trajectory or, without one, at the end."""
        start, sign = self.form.log_start, self.form.sign
        if self.kind == "flow":
            log_x, r, signs = self.course.log_x, self.course.r, self.course.sign
        else:
            log_x, r, signs = self.end.log_x[None], np.array([self.end_radius]), self.end_sign[None]
        first = self.log_mirror(start[None], np.array([self.form.r0]))
        log_v = np.concatenate([first, self.log_mirror(log_x, r)])
        # The sign of u is that of x over that of r.
        direction = signs * (np.sign(r)[:, None] if not self.form.plain else 1.0)
        own = sign * (np.sign(self.theta0.r) if isinstance(self.network, WeightNormalization) else 1.0)
        return float(self.drift(log_v, np.concatenate([own[None], direction])).max())
