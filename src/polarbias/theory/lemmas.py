"""Sections 3.1 and 3.2 of arXiv:2305.05448v1 as rows of a verification: norms, signs, losses, invariants, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import logsumexp

from polarbias.networks import WeightNormalization
from polarbias.theory.ends import constant_ratio, depth_at_least
from polarbias.theory.evidence import Evidence
from polarbias.theory.magnification import log_rho
from polarbias.theory.statement import Hypothesis
from polarbias.theory.verdict import Observation, Verdict, judge

_EXACT = 1e-10  # what one record of a solution may differ from another by, relative
_SCALING = 2.0  # the factor of Lemma 3.1
_ZERO_SUMS = 1e-12  # row sums up to this multiple of the row's l1 norm count as zero

_SOLVED_LIMIT, _SOLVED_FLOW = 1e-8, 1e-3  # relative residuals at which a limit, or the end of a flow, is a solution


def lemmas(ev: Evidence) -> Iterator[Verdict]:
    """Yield the rows in the order of the paper."""
    yield consistency(ev)
    yield lemma_3_1(ev)
    yield lemma_3_2(ev)
    yield lemma_3_3(ev)
    yield lemma_3_4(ev)
    yield lemma_3_6(ev)
    yield lemma_3_7(ev)
    yield lemma_3_8(ev)
    yield lemma_3_9(ev)
    yield lemma_3_10(ev)
    yield lemma_3_11(ev)


def normalized(ev: Evidence) -> Hypothesis:
    """Return the hypothesis that there is a direction."""
    return Hypothesis("with weight normalization", not ev.form.plain)


def at_most(what: str, value: float, bound: float) -> Observation:
    """Return value <= bound as an observation; NaN is a violation."""
    return f"{what} {value:.3g}", bool(value <= bound)


def solved_at_end(ev: Evidence) -> Observation:
    """Observe whether A X = b at the end."""
    allowed = _SOLVED_LIMIT if ev.kind == "limit" else _SOLVED_FLOW
    text, solved = at_most("||A X - b|| / ||b|| at the end", ev.residual, allowed)
    # A run can have been stopped long before its end; only a limit claims to be one.
    return text, solved if solved or ev.kind == "limit" else None


def consistency(ev: Evidence) -> Verdict:
    """Equation (1): r, x, X and the loss belong together. True of every record, of descent as well."""

    def observe() -> Observation:
        depth, solution = ev.form.depth, ev.solution
        x = np.asarray(solution.x, np.float64)
        worst = [_relative(np.asarray(solution.loss), ((ev.residual * (ev.size_b or 1.0)) ** 2) / (2 * depth), ev)]
        if ev.kind == "flow":
            course = ev.course
            log_r = logsumexp(2 * ev.log_factor(course), axis=-1) / 2
            worst.append(np.abs(np.expm1(log_r - np.log(np.abs(course.r)))).max())
            X = course.sign**depth * np.exp(course.log_x)
            recorded = np.asarray(solution.trajectory.evaluate(course.t).x)
            whole = X[:, : ev.problem.n] - X[:, ev.problem.n :] if ev.form.signed else X
            worst.append(np.abs(whole - recorded).max() / np.abs(X).max())
            missed = ((ev.problem.apply(recorded) - ev.problem.b) ** 2).sum(-1) / (2 * depth)
            worst += [_relative(course.loss, missed, ev)]
        elif ev.kind == "descent":
            path = solution.trajectory
            worst.append(_relative(np.asarray(solution.loss), np.asarray(path.loss[-1]), ev) if path else 0.0)
        elif ev.end.r > 0:
            log_r = float(logsumexp(2 / depth * ev.end.log_x) / 2)
            worst.append(abs(np.expm1(log_r - np.log(ev.end.r))))
            parts = (ev.end_sign**depth) * np.exp(ev.end.log_x)
            whole = parts[: ev.problem.n] - parts[ev.problem.n :] if ev.form.signed else parts
            worst.append(np.abs(whole - x).max() / np.abs(parts).max())
        return at_most("largest relative difference", float(np.max(worst)), _EXACT)

    predicted = "X = (r u / ||u||)^L, loss = ||A X - b||^2 / (2 L)"
    return judge("(1), (9)", [], predicted, observe)


def _relative(loss: Any, other: Any, ev: Evidence) -> float:
    """Return the largest difference of the residuals' norms, relative to the norm of b or to the first."""
    norms, others = np.sqrt(loss), np.sqrt(other)
    return float(np.abs(norms - others).max() / max(ev.size_b, norms.max(), 1e-300))


def lemma_3_1(ev: Evidence) -> Verdict:
    """Scaling u0 by a and eta_u by a^2 changes no limit."""

    def observe() -> Observation:
        network = ev.network
        rate = float(network.direction_rate) * _SCALING**2
        twin = WeightNormalization(network.inner, network.ratio, rate)
        theta = ev.theta0._replace(u=_SCALING * np.asarray(ev.theta0.u, np.float64))
        if ev.collapsed:
            return _collapse_of(ev)
        distance = ev.distance(ev.limit_from(twin, theta))
        return _compared(distance, ev)

    return judge(
        "Lemma 3.1",
        [normalized(ev)],
        f"the limit from {_SCALING:g} u0 at {_SCALING**2:g} eta_u is the same",
        observe,
        ev.no_limit,
    )


def _collapse_of(ev: Evidence) -> Observation:
    return at_most("both collapse: ||X|| / ||b|| is", float(np.abs(ev.solution.x).max()) / (ev.size_b or 1.0), 1e-6)


def _compared(distance: float, ev: Evidence) -> Observation:
    if np.isnan(distance):
        return "the limit to compare with is not found", None
    return at_most("relative difference", distance, 30 * ev.tolerance)


def lemma_3_2(ev: Evidence) -> Verdict:
    """Keep ||u|| along the flow; a step of descent is tangential, so that ||u|| does not fall."""
    name, predicted = "Lemma 3.2", "||u|| is kept"
    if ev.kind == "descent":
        name, predicted = "Lemma 3.2 (descent)", "||u|| does not fall"

    def observe() -> Observation:
        first = float(np.linalg.norm(ev.theta0.u))
        if ev.kind == "flow":
            u = np.asarray(ev.solution.trajectory.evaluate(ev.course.t).u)
            return at_most(
                "largest relative change", np.abs(np.linalg.norm(u, axis=-1) / first - 1).max(), ev.tolerance
            )
        growth = float(np.linalg.norm(ev.solution.theta.u)) / first - 1
        if ev.kind == "descent":
            return at_most("relative growth", growth, np.inf)[0], bool(growth >= -_EXACT)
        return at_most("relative change", abs(growth), ev.tolerance)

    missing = "the direction of X = 0 is not known" if ev.kind == "limit" and ev.collapsed else ""
    if ev.solution.theta is None:
        missing = "the solution has no parameters"
    return judge(name, [normalized(ev)], predicted, observe, missing)


def lemma_3_3(ev: Evidence) -> Verdict:
    """Signs are kept at depth 2 and above; entries of any size count, X and log X are looked at."""

    def observe() -> Observation:
        if ev.kind == "flow":
            x = np.zeros(1) if ev.form.signed else ev.solution.trajectory.evaluate(ev.course.t).x
            values = [np.asarray(x)]
            kept = bool((ev.course.r > 0).all() and np.isfinite(ev.course.log_x).all() and (ev.course.sign >= 0).all())
        elif ev.kind == "descent":
            path, factor = ev.solution.trajectory, np.asarray(ev.network.factor(ev.solution.theta))
            values = [factor] + ([path.x] if path is not None and path.x is not None and not ev.form.signed else [])
            kept = bool((path is None or (path.r > 0).all()) and (factor > 0).all())
        else:
            values = [np.zeros(1) if ev.form.signed else np.asarray(ev.solution.x)]
            kept = bool((ev.end.r > 0 and np.isfinite(ev.end.log_x).all()) or ev.collapsed)
        least = float(min(value.min() for value in values))
        return f"least entry {least:.3g}", bool(kept and least >= 0)

    name = "Lemma 3.3 (descent)" if ev.kind == "descent" else "Lemma 3.3"
    return judge(name, [depth_at_least(ev.form, 2)], "r and all entries of u stay positive", observe)


def lemma_3_4(ev: Evidence) -> Verdict:
    """Look for rises of the loss. Of the flow it is known to its accuracy; accepted steps of descent are exact."""

    def observe() -> Observation:
        if ev.kind == "limit":
            start = float(((ev.problem.residual(ev.form.signal(ev.form.log_start))) ** 2).sum()) / (2 * ev.form.depth)
            rise = float(ev.solution.loss) - start
            return at_most("loss at the end minus loss at the start", rise, 1e-13 * start)
        loss = ev.course.loss if ev.kind == "flow" else np.asarray(ev.solution.trajectory.loss)
        # A step inside the tolerance moves the residual by this.
        known = (ev.accuracy if ev.kind == "flow" else 1e-13) * ev.size_b
        allowed = known * np.sqrt(loss[:-1]) + known**2
        rises = np.diff(loss)
        if not rises.size:
            return "no steps", None
        return f"largest rise {max(float(rises.max()), 0.0):.3g}", bool((rises <= allowed).all())

    name = "Lemma 3.4 (descent)" if ev.kind == "descent" else "Lemma 3.4"
    missing = "no record of the loss" if ev.kind == "descent" and ev.solution.trajectory is None else ""
    return judge(name, [], "the loss does not rise", observe, missing)


def _drift(ev: Evidence) -> Observation:
    drift = ev.invariant_drift()
    if ev.kind == "descent":
        return f"drift {drift:.3g}: descent keeps it to O(dt) only", None
    return at_most("relative drift", drift, ev.tolerance)


def _no_direction(ev: Evidence) -> str:
    return "the direction of X = 0 is not known" if ev.kind == "limit" and ev.collapsed else ""


def lemma_3_6(ev: Evidence) -> Verdict:
    """Look at the invariant (32) of the plain flow."""
    power = "log x" if ev.form.depth == 2 else f"x^{2 - ev.form.depth}"
    hypotheses = [Hypothesis("without weight normalization", ev.form.plain)]
    return judge("Lemma 3.6, (32)", hypotheses, f"(I - P_A) {power} is kept", lambda: _drift(ev))


def lemma_3_7(ev: Evidence) -> Verdict:
    """Look at the invariant (33), with E of the ratio law for the printed r^2 / (2 eta)."""
    power = "log(u e^E)" if ev.form.depth == 2 else f"(u e^E)^{2 - ev.form.depth}"
    return judge(
        "Lemma 3.7, (33)", [normalized(ev)], f"(I - P_A) {power} is kept", lambda: _drift(ev), _no_direction(ev)
    )


def moves_off_zero(ev: Evidence) -> Hypothesis:
    """Return the hypothesis that the limit is not X = 0."""
    return Hypothesis.above("r_inf > 0", ev.end_radius if not ev.collapsed else 0.0, 0.0)


def lemma_3_8(ev: Evidence) -> Verdict:
    """(40) and (42) with x_wn(0) for the printed power of it; gamma = 1 / rho."""

    def observe() -> Observation:
        scaled = ev.form.log_start / ev.form.depth - log_rho(ev.form, ev.end.r)
        log_x = np.stack([scaled, ev.end.log_x / ev.form.depth])
        return at_most(
            "relative drift", float(ev.drift(log_x, np.stack([ev.form.sign, ev.end_sign])).max()), ev.tolerance
        )

    name = "Lemma 3.8, (40)" if ev.form.depth == 2 else "Lemma 3.8, (42) corrected"
    power = "log " if ev.form.depth == 2 else f"^{2 - ev.form.depth} of "
    hypotheses = [normalized(ev), moves_off_zero(ev)]
    return judge(name, hypotheses, f"(I - P_A) {power}x_inf and of x_0 / rho agree", observe, ev.no_limit)


def lemma_3_9(ev: Evidence) -> Verdict:
    """Zero row sums: the sum of log v, or of v^(2-L), is kept, v = x or u e^(E - E0); so no entry of v vanishes."""
    sums = np.abs(ev.matrix.sum(1)) <= _ZERO_SUMS * np.abs(ev.matrix).sum(1)
    power = 2 - ev.form.depth

    def observe() -> Observation:
        log_x, r = (ev.course.log_x, ev.course.r) if ev.kind == "flow" else (ev.end.log_x[None], np.array([ev.end.r]))
        log_v = ev.log_mirror(log_x, r)
        first = ev.log_mirror(ev.form.log_start, np.array(ev.form.r0))
        if power == 0:
            kept, size = log_v.sum(-1) - first.sum(), np.maximum(np.abs(log_v).sum(-1), 1.0)
            floor = first.sum() - (ev.form.n - 1) * log_v.max(-1)
        else:
            kept, size = logsumexp(power * log_v, axis=-1) - logsumexp(power * first), 1.0
            floor = np.full(len(log_v), logsumexp(power * first) / power)
        change, above = float(np.abs(kept / size).max()), float((log_v.min(-1) - floor).min())
        text = f"relative change of the sum {change:.3g}, least log v above the bound by {above:.3g}"
        return text, bool(change <= ev.tolerance and above >= -ev.tolerance * ev.form.n * 100)

    what = "sum log v" if power == 0 else f"sum v^{power}"
    v = "x" if ev.form.plain else "u e^(E - E0)"
    return judge(
        "Lemma 3.9 corrected",
        [depth_at_least(ev.form, 2), Hypothesis("the rows of A sum to zero", bool(sums.all()))],
        f"{what} is kept and bounds every v_n from below, v = {v}",
        observe,
        _no_direction(ev) or (ev.no_course if ev.kind == "descent" else ""),
    )


def lemma_3_10(ev: Evidence) -> Verdict:
    """Find the limit from its image under A and the invariant, by convex duality."""

    def observe() -> Observation:
        return _compared(ev.distance(ev.projection), ev)

    hypotheses = [
        depth_at_least(ev.form, 2),
        moves_off_zero(ev),
        Hypothesis("all entries of X are positive", bool(np.isfinite(ev.end.log_x).all())),
    ]
    predicted = "X_inf is the point with its A X and the start's invariant"
    return judge("Lemma 3.10", hypotheses, predicted, observe, ev.no_limit)


def lemma_3_11(ev: Evidence) -> Verdict:
    """Evaluate the inequalities of the proof that keep r bounded, with 2-norms and N / (2 e) in (50)."""
    depth = ev.form.depth
    hypotheses = [
        normalized(ev),
        constant_ratio(ev.form)[1],
        Hypothesis("L = 1 or 2", depth <= 2, depth, 2),
    ]

    def observe() -> Observation:
        log_x, r = (ev.course.log_x, ev.course.r) if ev.kind == "flow" else (ev.end.log_x[None], np.array([ev.end.r]))
        r = np.abs(r)
        inverse = np.linalg.pinv(ev.matrix)
        start = ev.problem.residual(ev.form.signal(ev.form.log_start))
        # ||P_A X|| <= ||A^+ b|| + ||A^+|| ||R||, and the loss does not rise.
        image = np.linalg.norm(inverse @ ev.problem.b) + np.linalg.norm(inverse, 2) * np.linalg.norm(start)
        off_rows = np.eye(ev.form.n) - inverse @ ev.matrix
        E, first = np.asarray(ev.form.E(r**2)), float(ev.form.E(ev.form.r0**2))
        if depth == 1:
            u0 = ev.form.sign * np.exp(ev.form.log_u0)
            excess = r - (image + np.linalg.norm(off_rows @ u0) * r * np.exp(first - E))
            return _inequality(excess / r)
        log_u = log_x / 2 - (logsumexp(log_x, axis=-1) / 2)[:, None]
        phi = log_u + E[:, None]
        along = np.linalg.norm(phi - phi @ off_rows, axis=-1)
        kept = float((off_rows @ (ev.form.log_u0 + first)).max())
        left = r**2 * (E - ev.form.n / (2 * np.e))
        excess = left - (image * along + kept * r**2)
        return _inequality(excess / np.maximum(np.abs(left), image * along))

    def _inequality(excess: np.ndarray) -> Observation:
        return at_most("largest relative excess", float(excess.max()), ev.tolerance)

    missing = _no_direction(ev) or (ev.no_course if ev.kind == "descent" else "")
    return judge("Lemma 3.11, (50) corrected", hypotheses, "the inequality that bounds r", observe, missing)
