"""Rows of a verification for sections 3.1 to 3.3 of arXiv:2305.05448v1: norms, signs, losses, invariants, limits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from polarbias.networks import WeightNormalization
from polarbias.theory.endpoint import signal
from polarbias.theory.evidence import OPTIONS, Evidence
from polarbias.theory.magnification import log_rho
from polarbias.theory.statement import Hypothesis, constant_ratio, depth_at_least, plain_network, weight_normalized
from polarbias.theory.verdict import Observation, PendingRow, Statement, at_most, register_check

LEMMAS: list[Statement] = []
"""The statements in the order of the paper."""

lemma = partial(register_check, LEMMAS)


def solved_at_end(ev: Evidence) -> Observation:
    """Compare A X with b at the end."""
    allowed = OPTIONS.solved_limit_tol if ev.kind == "limit" else OPTIONS.solved_flow_tol
    text, solved = at_most("||A X - b|| / ||b|| at the end", ev.residual, allowed)
    # A flow may stop long before its limit, so a large residual decides nothing.
    return text, solved if solved or ev.kind == "limit" else None


def compare_limits(ev: Evidence, distance: float, name: str = "relative difference") -> Observation:
    """Compare a distance between limits of two flows with the accuracy; NaN stands for a limit that is not found."""
    if np.isnan(distance):
        return "the limit to compare with is not found", None
    return at_most(name, distance, OPTIONS.distance_factor * ev.tolerance)


@lemma("(1), (9)", "X = (r u / ||u||)^L, loss = ||A X - b||^2 / (2 L)")
def consistency(ev: Evidence, row: PendingRow) -> Observation:
    """Compare r, x, X and the loss by equation (1), for every record, of descent as well."""
    depth, solution = ev.form.depth, ev.solution

    def between(loss: Any, other: Any) -> float:
        """Return the largest difference of the residuals' norms, relative to the norm of b or to the first."""
        norms, others = np.sqrt(loss), np.sqrt(other)
        return float(np.abs(norms - others).max() / max(ev.size_b, norms.max(), 1e-300))

    differences = [between(np.asarray(solution.loss), (ev.residual * (ev.size_b or 1.0)) ** 2 / (2 * depth))]
    if ev.kind == "flow":
        path, recorded = ev.trajectory, ev.trajectory.x
        log_r = logsumexp(2 * ev.log_factor(path), axis=-1) / 2
        differences.append(np.abs(np.expm1(log_r - np.log(np.abs(path.r)))).max())
        X = ev.sign(path) ** depth * np.exp(ev.states[0])
        whole = X[:, : ev.problem.n] - X[:, ev.problem.n :] if ev.form.signed else X
        differences.append(np.abs(whole - recorded).max() / np.abs(X).max())
        differences.append(between(path.loss, ((ev.problem.apply(recorded) - ev.problem.b) ** 2).sum(-1) / (2 * depth)))
    elif ev.kind == "descent" and solution.trajectory:
        differences.append(between(np.asarray(solution.loss), np.asarray(solution.trajectory.loss[-1])))
    elif ev.kind == "limit" and ev.end.r > 0:
        log_r = float(logsumexp(2 / depth * ev.end.log_x) / 2)
        differences.append(abs(np.expm1(log_r - np.log(ev.end.r))))
        parts = ev.end_sign**depth * np.exp(ev.end.log_x)
        differences.append(np.abs(signal(parts, ev.form) - ev.x).max() / np.abs(parts).max())
    return at_most("largest relative difference", float(np.max(differences)), OPTIONS.record_tol)


@lemma("Lemma 3.1", "the limit from 2 u0 at 4 eta_u is the same")
def lemma_3_1(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the limit with that from 2 u0 at 4 eta_u."""
    row.assume(weight_normalized(ev.form))
    row.undecided_if(ev.no_limit)
    if ev.collapsed:
        size = float(np.abs(ev.x).max()) / (ev.size_b or 1.0)
        return at_most("both collapse: ||X|| / ||b|| is", size, OPTIONS.collapse_tol)
    network = ev.network
    scaled = WeightNormalization(network.inner, network.ratio, float(network.direction_rate) * 4)
    theta0 = ev.theta0._replace(u=2 * np.asarray(ev.theta0.u, np.float64))
    return compare_limits(ev, ev.distance(ev.limit_from(scaled, theta0)))


@lemma("Lemma 3.2", "||u|| is kept")
def lemma_3_2(ev: Evidence, row: PendingRow) -> Observation:
    """Compare ||u|| with its start; tangential steps of descent increase it."""
    if ev.kind == "descent":
        row.statement, row.predicted = "Lemma 3.2 (descent)", "||u|| does not fall"
    row.assume(weight_normalized(ev.form))
    row.undecided_if("the solution has no parameters" if ev.solution.theta is None else ev.no_direction)
    first = float(np.linalg.norm(ev.theta0.u))
    if ev.kind == "flow":
        change = np.abs(np.linalg.norm(np.asarray(ev.trajectory.u), axis=-1) / first - 1).max()
        return at_most("largest relative change", change, ev.tolerance)
    growth = float(np.linalg.norm(ev.solution.theta.u)) / first - 1
    if ev.kind == "descent":
        return f"relative growth {growth:.3g}", bool(growth >= -OPTIONS.record_tol)
    return at_most("relative change", abs(growth), ev.tolerance)


@lemma("Lemma 3.3", "r and all entries of u stay positive")
def lemma_3_3(ev: Evidence, row: PendingRow) -> Observation:
    """Check the signs of r and u at depth 2 and above, for X and log X, so that entries of any size count."""
    if ev.kind == "descent":
        row.statement += " (descent)"
    row.assume(depth_at_least(ev.form, 2))
    path = ev.solution.trajectory
    if ev.kind == "flow":
        (log_x, r), sign = ev.states, ev.sign(ev.trajectory)
        least = 0.0 if ev.form.signed else float(ev.trajectory.x.min())
        kept = bool((r > 0).all() and np.isfinite(log_x).all() and (sign >= 0).all())
    elif ev.kind == "descent":
        factor = np.asarray(ev.network.factor(ev.solution.theta))
        recorded = path is not None and path.x is not None and not ev.form.signed
        least = float(min(factor.min(), path.x.min())) if recorded else float(factor.min())
        kept = bool((path is None or (path.r > 0).all()) and (factor > 0).all())
    else:
        least = 0.0 if ev.form.signed else float(ev.x.min())
        kept = bool((ev.end.r > 0 and np.isfinite(ev.end.log_x).all()) or ev.collapsed)
    return f"least entry {least:.3g}", bool(kept and least >= 0)


@lemma("Lemma 3.4", "the loss does not rise")
def lemma_3_4(ev: Evidence, row: PendingRow) -> Observation:
    """Check the loss for rises beyond its accuracy; accepted steps of descent have none but rounding."""
    if ev.kind == "limit":
        start = float(((ev.problem.residual(ev.form.signal(ev.form.log_start))) ** 2).sum()) / (2 * ev.form.depth)
        return at_most("loss at the end minus loss at the start", float(ev.solution.loss) - start, 1e-13 * start)
    if ev.kind == "descent":
        row.statement += " (descent)"
        row.undecided_if("no record of the loss" if ev.solution.trajectory is None else "")
    loss = ev.trajectory.loss if ev.kind == "flow" else np.asarray(ev.solution.trajectory.loss)
    # An error of this size in the residual changes the loss by `allowed`.
    error = (ev.accuracy if ev.kind == "flow" else 1e-13) * ev.size_b
    allowed = error * np.sqrt(loss[:-1]) + error**2
    rises = np.diff(loss)
    row.undecided_if("" if rises.size else "no steps")
    return f"largest rise {max(float(rises.max()), 0.0):.3g}", bool((rises <= allowed).all())


def _observe_drift(ev: Evidence) -> Observation:
    drift = ev.invariant_drift()
    if ev.kind == "descent":
        return f"drift {drift:.3g}: descent keeps it to O(dt) only", None
    return at_most("relative drift", drift, ev.tolerance)


@lemma("Lemma 3.6, (32)", "(I - P_A) log x is kept")
def lemma_3_6(ev: Evidence, row: PendingRow) -> Observation:
    """Check the invariant (32) of the plain flow."""
    if ev.form.depth != 2:
        row.predicted = f"(I - P_A) x^{2 - ev.form.depth} is kept"
    row.assume(plain_network(ev.form))
    return _observe_drift(ev)


@lemma("Lemma 3.7, (33)", "(I - P_A) log(u e^E) is kept")
def lemma_3_7(ev: Evidence, row: PendingRow) -> Observation:
    """Check the invariant (33), with E of the ratio law for the printed r^2 / (2 eta)."""
    if ev.form.depth != 2:
        row.predicted = f"(I - P_A) (u e^E)^{2 - ev.form.depth} is kept"
    row.assume(weight_normalized(ev.form))
    row.undecided_if(ev.no_direction)
    return _observe_drift(ev)


@lemma("Lemma 3.8, (40)", "(I - P_A) log x_inf and of x_0 / rho agree")
def lemma_3_8(ev: Evidence, row: PendingRow) -> Observation:
    """Check (40) and (42) with x_wn(0) for the printed power of it; gamma = 1 / rho."""
    if ev.form.depth != 2:
        row.statement = "Lemma 3.8, (42) corrected"
        row.predicted = f"(I - P_A) ^{2 - ev.form.depth} of x_inf and of x_0 / rho agree"
    row.assume(weight_normalized(ev.form), ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    scaled = ev.form.log_start / ev.form.depth - log_rho(ev.form, ev.end.r)
    log_x, signs = np.stack([scaled, ev.end.log_x / ev.form.depth]), np.stack([ev.form.sign, ev.end_sign])
    return at_most("relative drift", float(ev.drift(log_x, signs).max()), ev.tolerance)


@lemma("Lemma 3.9 corrected", "")
def lemma_3_9(ev: Evidence, row: PendingRow) -> Observation:
    """Check for zero row sums that the sum of log v, or of v^(2-L), v = x or u e^(E - E0), is kept and bounds v."""
    power = 2 - ev.form.depth
    total, v = "sum log v" if power == 0 else f"sum v^{power}", "x" if ev.form.plain else "u e^(E - E0)"
    row.predicted = f"{total} is kept and bounds every v_n from below, v = {v}"
    zero_sums = np.abs(ev.matrix.sum(1)) <= 1e-12 * np.abs(ev.matrix).sum(1)
    row.assume(depth_at_least(ev.form, 2), Hypothesis("the rows of A sum to zero", bool(zero_sums.all())))
    row.undecided_if(ev.no_direction or ev.no_flow)
    log_v = ev.log_v(*ev.states)
    first = ev.log_v(ev.form.log_start, np.array(ev.form.r0))
    if power == 0:
        kept, size = log_v.sum(-1) - first.sum(), np.maximum(np.abs(log_v).sum(-1), 1.0)
        floor = first.sum() - (ev.form.n - 1) * log_v.max(-1)
    else:
        kept, size = logsumexp(power * log_v, axis=-1) - logsumexp(power * first), 1.0
        floor = np.full(len(log_v), logsumexp(power * first) / power)
    change, above = float(np.abs(kept / size).max()), float((log_v.min(-1) - floor).min())
    text = f"relative change of the sum {change:.3g}, least log v above the bound by {above:.3g}"
    return text, bool(change <= ev.tolerance and above >= -ev.tolerance * ev.form.n * 100)


@lemma("Lemma 3.10", "X_inf is the point with its A X and the start's invariant")
def lemma_3_10(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the limit with the point of its image under A and the start's invariant, found by convex duality."""
    positive = Hypothesis("all entries of X are positive", bool(np.isfinite(ev.end.log_x).all()))
    row.assume(depth_at_least(ev.form, 2), ev.nonzero_limit, positive)
    row.undecided_if(ev.no_limit)
    return compare_limits(ev, ev.distance(ev.projection))


@lemma("Lemma 3.11, (50) corrected", "the inequality that bounds r")
def lemma_3_11(ev: Evidence, row: PendingRow) -> Observation:
    """Check the inequalities of the proof that bound r, with 2-norms and N / (2 e) in (50)."""
    depth = ev.form.depth
    low_depth = Hypothesis("L = 1 or 2", depth <= 2, depth, 2)
    row.assume(weight_normalized(ev.form), constant_ratio(ev.form)[1], low_depth)
    row.undecided_if(ev.no_direction or ev.no_flow)
    log_x, r = ev.states[0], np.abs(ev.states[1])
    inverse = np.linalg.pinv(ev.matrix)
    start = ev.problem.residual(ev.form.signal(ev.form.log_start))
    # ||P_A X|| <= ||A^+ b|| + ||A^+|| ||R||, and the loss does not rise.
    image = np.linalg.norm(inverse @ ev.problem.b) + np.linalg.norm(inverse, 2) * np.linalg.norm(start)
    off_rows = np.eye(ev.form.n) - inverse @ ev.matrix
    E, first = np.asarray(ev.form.E(r**2)), float(ev.form.E(ev.form.r0**2))
    if depth == 1:
        u0 = ev.form.sign * np.exp(ev.form.log_u0)
        excess = (r - (image + np.linalg.norm(off_rows @ u0) * r * np.exp(first - E))) / r
    else:
        phi = log_x / 2 - (logsumexp(log_x, axis=-1) / 2)[:, None] + E[:, None]
        along = np.linalg.norm(phi - phi @ off_rows, axis=-1)
        kept = float((off_rows @ (ev.form.log_u0 + first)).max())
        left = r**2 * (E - ev.form.n / (2 * np.e))
        excess = (left - (image * along + kept * r**2)) / np.maximum(np.abs(left), image * along)
    return at_most("largest relative excess", float(excess.max()), ev.tolerance)
