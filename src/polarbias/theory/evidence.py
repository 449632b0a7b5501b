r"""Quantities of one solution that its verification uses, computed once.

The end X of a flow that stops at a small residual is the exact limit of the same flow for the right-hand side
:math:`b' = A X`, because the invariant and the image under A determine the limit. So statements about limits are
checked for b', without a tolerance for the remaining residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from polarbias.errors import PolarbiasError
from polarbias.flow.trajectory import FlowState
from polarbias.limit.flow_limit import flow_limit
from polarbias.mirror.potential import Potential
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks import Polar, WeightNormalization
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.solution import CollapseStatus, Solution, Status
from polarbias.theory.endpoint import Endpoint, endpoint
from polarbias.theory.invariants import relative_drift, signed_powers
from polarbias.theory.statement import Hypothesis


@dataclass(frozen=True)
class Options:
    """Sampling and tolerances of a verification; sizes are relative unless stated otherwise."""

    intervals: int = 96  # of a trajectory, with equally many accepted steps each
    longest: int = 40  # accepted steps in an interval; longer trajectories have more intervals
    nodes: int = 6  # Gauss nodes in an interval
    limit_tol: float = 1e-7  # log X of a limit; `flow_limit` reaches 1e-10 on well-conditioned problems
    solved_limit_tol: float = 1e-8  # residual of a limit that solves A X = b
    solved_flow_tol: float = 1e-3  # residual of a stopped flow that approaches a solution
    rounding_tol: float = 1e-11  # excess of an l1 norm, over minima of a linear program
    record_tol: float = 1e-10  # two records of one quantity in a solution
    distance_factor: float = 30.0  # multiples of the accuracy of log X by which limits of two flows may differ
    quadrature_factor: float = 100.0  # multiples of the accuracy for the integral of a velocity over several steps
    divergence_tol: float = 1e-3  # fall of a divergence, against the integral of its rate
    sampling_tol: float = 0.01  # least value at sampled times, against the least one
    near_tol: float = 0.01  # absolute change of log x below which the rate is the local one
    local_tol: float = 0.1  # measured local rate
    collapse_tol: float = 1e-6  # radius over r0 at the end of a collapse


OPTIONS = Options()


@dataclass(frozen=True, eq=False)
class Evidence:
    """A solution with derived quantities that the statements compare."""

    problem: LinearProblem
    network: Any
    theta0: Any
    solution: Solution
    form: ReducedForm
    accuracy: float
    minimum: Minimum | None = None

    @cached_property
    def kind(self) -> str:
        """Kind of solution: "flow" (a trajectory at all times), "descent" (records of some steps) or "limit"."""
        trajectory = self.solution.trajectory
        if trajectory is not None:
            return "flow" if hasattr(trajectory, "evaluate") else "descent"
        return "descent" if self.solution.log_x is None and self.solution.collapse_status is None else "limit"

    @property
    def no_trajectory(self) -> str:
        """Reason against statements about all times; empty for a flow."""
        return "" if self.kind == "flow" else "the solution has no trajectory" if self.kind == "limit" else self.no_flow

    @property
    def no_flow(self) -> str:
        """Reason against statements that are checked for flows and limits; empty for these."""
        return "descent follows the flow to O(dt) only" if self.kind == "descent" else ""

    @property
    def no_limit(self) -> str:
        """Reason against statements about the limit of the flow; empty if the solution has one."""
        status = Status(int(self.solution.status))
        if self.kind == "descent":
            return "the end of descent is the limit of the flow to O(dt) only"
        return "" if status in (Status.CONVERGED, Status.COLLAPSED) else f"no limit is reached: {status.message}"

    @property
    def no_direction(self) -> str:
        """Reason against statements about the direction at the end; empty if it is known."""
        return "the direction of X = 0 is not known" if self.kind == "limit" and self.collapsed else ""

    @property
    def tolerance(self) -> float:
        """Relative accuracy of the logarithms of X."""
        return self.accuracy if self.kind == "flow" else OPTIONS.limit_tol

    @property
    def collapsed(self) -> bool:
        """True if the status of the solution is `Status.COLLAPSED`."""
        return int(self.solution.status) == Status.COLLAPSED

    @property
    def reachable(self) -> Hypothesis:
        """The hypothesis that S+ is not empty."""
        return Hypothesis("S+ = {z >= 0, A z = b} is not empty", self.least is not None)

    @property
    def nonzero(self) -> Hypothesis:
        """The hypothesis b != 0."""
        return Hypothesis.above("||b|| > 0", self.size_b, 0.0)

    @property
    def nonzero_limit(self) -> Hypothesis:
        """The hypothesis that the limit is not X = 0."""
        return Hypothesis.above("r_inf > 0", 0.0 if self.collapsed else self.end_radius, 0.0)

    @cached_property
    def matrix(self) -> np.ndarray:
        """A, or [A, -A] for a signed network, shape ``(M, n)``."""
        return np.asarray(self._nonnegative(self.problem).A, np.float64)

    @cached_property
    def size_b(self) -> float:
        """Norm of b."""
        return float(np.linalg.norm(self.problem.b))

    @cached_property
    def x(self) -> np.ndarray:
        """Signal at the end, shape ``(N,)``."""
        return np.asarray(self.solution.x, np.float64)

    @cached_property
    def end(self) -> Endpoint:
        """The end of the solution, with its reported radius."""
        return endpoint(self.network, self.form, self.solution)

    @cached_property
    def end_sign(self) -> np.ndarray:
        """Signs of the factor at the end, shape ``(n,)``."""
        if self.form.depth > 1:
            return np.ones(self.form.n)
        theta = self.solution.theta
        return np.asarray(np.sign(self.x if theta is None else self.network.factor(theta)))

    @property
    def end_radius(self) -> float:
        """The radius at the end; at depth 1 with weight normalization it has the sign of r."""
        theta = self.solution.theta
        return float(theta.r) if self.form.depth == 1 and isinstance(theta, Polar) else self.end.r

    @cached_property
    def residual(self) -> float:
        """Relative residual of the end, recomputed."""
        size = float(np.linalg.norm(self.problem.residual(self.x)))
        return size / self.size_b if self.size_b else size

    @cached_property
    def reached(self) -> LinearProblem:
        """The problem A X = b' that the end solves exactly."""
        return LinearProblem(self.problem.A, self.problem.apply(self.x))

    @cached_property
    def collapse_status(self) -> CollapseStatus:
        """Result of the test for collapse from the start alone."""
        limit = flow_limit(self.problem, self.network, self.theta0)
        return CollapseStatus(int(limit.collapse_status))  # type: ignore[arg-type]

    @cached_property
    def least(self) -> Minimum | None:
        """The minimal l1 norm over S+; None if S+ is empty or the minimum has no certificate."""
        return self.minimum or self._minimal_l1(self.problem)

    @cached_property
    def least_reached(self) -> Minimum | None:
        """The minimal l1 norm for b' = A X; the given minimum if X solves A X = b to rounding."""
        given = self.minimum if self.residual <= OPTIONS.rounding_tol else None
        return given or self._minimal_l1(self.reached)

    def _minimal_l1(self, problem: LinearProblem) -> Minimum | None:
        try:
            least = minimal_l1(self._nonnegative(problem), nonnegative=True)
        except PolarbiasError:
            return None
        return least if least.feasible else None

    def _nonnegative(self, problem: LinearProblem) -> LinearProblem:
        return problem.signed() if self.form.signed else problem

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
        return float(np.abs(self.x - other.x).max() / max(np.abs(self.x).max(), np.abs(other.x).max(), 1e-300))

    @cached_property
    def potential(self) -> Potential:
        """The potential of the run."""
        return Potential.from_form(self.form)

    def sample(self, times: np.ndarray) -> FlowState:
        """Return the trajectory at these times; at depth 1 with weight normalization r has its sign."""
        states: FlowState = self.solution.trajectory.evaluate(times)
        return states._replace(r=states.theta.r) if self.form.depth == 1 and not self.form.plain else states

    def sign(self, states: FlowState) -> np.ndarray:
        """Return the signs of the entries of the factor, shape ``(K, n)``."""
        return np.asarray(np.sign(self.network.factor(states.theta)))

    @cached_property
    def marks(self) -> np.ndarray:
        """Ends of the intervals."""
        accepted = np.asarray(self.solution.trajectory.time, np.float64)
        count = min(max(OPTIONS.intervals, accepted.size // OPTIONS.longest), accepted.size - 1)
        return np.asarray(accepted[np.unique(np.linspace(0, accepted.size - 1, count + 1).round().astype(int))])

    @cached_property
    def trajectory(self) -> FlowState:
        """The trajectory at the ends of the intervals."""
        return self.sample(self.marks)

    @cached_property
    def inner(self) -> FlowState:
        """The trajectory at the Gauss nodes, one interval after the other."""
        nodes = (1 + np.polynomial.legendre.leggauss(OPTIONS.nodes)[0]) / 2
        return self.sample((self.marks[:-1, None] + np.diff(self.marks)[:, None] * nodes).ravel())

    def integral(self, values: np.ndarray) -> np.ndarray:
        """Return the integral over each interval of a quantity with these values at the nodes."""
        weights = np.polynomial.legendre.leggauss(OPTIONS.nodes)[1] / 2
        shaped = values.reshape(self.marks.size - 1, OPTIONS.nodes, -1)
        found = np.einsum("knv,n->kv", shaped, weights) * np.diff(self.marks)[:, None]
        return np.asarray(found.reshape((self.marks.size - 1, *values.shape[1:])))

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """Log X and r along the trajectory of a flow, otherwise at the end alone."""
        if self.kind == "flow":
            return np.asarray(self.trajectory.log_x), self.trajectory.r
        return self.end.log_x[None], np.array([self.end.r])

    def log_factor(self, states: FlowState) -> np.ndarray:
        """Return the logarithms of the entries of x, shape ``(K, n)``."""
        return np.asarray(states.log_x) / self.form.depth

    def log_v(self, log_x: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Return log |u| + E(r) - E(r0), for X and r separately, shape ``(..., n)``; log |x| for the plain flow."""
        log_factor = log_x / self.form.depth
        if self.form.plain:
            return log_factor
        length = logsumexp(2 * log_factor, axis=-1) / 2
        rise = self.form.E(np.square(r)) - self.form.E(self.form.r0**2)
        return np.asarray(log_factor - length[..., None] + np.asarray(rise)[..., None])

    def drift(self, log_v: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Return the move of log v (depth 2), else v^(2-L), in the null space of A since the first row of log_v."""
        return relative_drift(self.problem, self.network, *signed_powers(self.form.depth, log_v, sign))

    def invariant_drift(self) -> float:
        """Return the largest drift of the invariant, along the trajectory or, without one, at the end."""
        if self.kind == "flow":
            (log_x, r), sign = self.states, self.sign(self.trajectory)
        else:
            log_x, r, sign = self.end.log_x[None], np.array([self.end_radius]), self.end_sign[None]
        first = self.log_v(self.form.log_start[None], np.array([self.form.r0]))
        log_v = np.concatenate([first, self.log_v(log_x, r)])
        # The sign of u is that of x over that of r.
        direction = sign * (np.sign(r)[:, None] if not self.form.plain else 1.0)
        own = self.form.sign * (np.sign(self.theta0.r) if isinstance(self.network, WeightNormalization) else 1.0)
        return float(self.drift(log_v, np.concatenate([own[None], direction])).max())
