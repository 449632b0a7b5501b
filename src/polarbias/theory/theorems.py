"""Rows of a verification for section 2 of arXiv:2305.05448v1, corrected: limits, magnification and bounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from polarbias.solution import CollapseStatus
from polarbias.theory.bounds import excess, l1_bound, sharp_l1_bound, uniform_l1_bound
from polarbias.theory.endpoint import halves, log_weights
from polarbias.theory.evidence import OPTIONS, Evidence
from polarbias.theory.lemmas import compare_limits, solved_at_end
from polarbias.theory.magnification import log_rho, magnification_bound, magnifying_radii, radius_bound
from polarbias.theory.radial import radial_l1_bound, radius_band
from polarbias.theory.rates import loss_rate
from polarbias.theory.statement import (
    Bound,
    Hypothesis,
    constant_ratio,
    depth_at_least,
    depth_two,
    plain_network,
    square_law,
    weight_normalized,
)
from polarbias.theory.verdict import Observation, PendingRow, Statement, at_most, register_check

_LARGEST_EXPONENT = 600.0
"""Logarithms of starts that doubles hold, with a margin to exp(709)."""

_NO_MINIMUM = "the linear program could not be certified"

THEOREMS: list[Statement] = []
"""The statements in the order of the paper, then sharper forms."""

theorem = partial(register_check, THEOREMS)


def _constant(ev: Evidence) -> Hypothesis:
    return constant_ratio(ev.form)[1]


@theorem("Theorem 2.1(1) corrected", "the loss falls exponentially, X_inf is in S+")
def theorem_2_1_1(ev: Evidence, row: PendingRow) -> Observation:
    """Check (18) and that the limit is in S+, unless the flow collapses."""
    row.assume(depth_at_least(ev.form, 2), _constant(ev), ev.nonzero, ev.reachable, ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    text, solved = solved_at_end(ev)
    if ev.kind != "flow":
        return text, solved
    path = ev.trajectory
    bound = loss_rate(ev.problem, ev.network, path.theta)
    if not bound.applies:
        return text, solved
    known = path.loss > (ev.accuracy * ev.size_b) ** 2
    rate = bound.value * (1 - OPTIONS.sampling_tol)
    above = np.log(path.loss[known] / path.loss[0]) + rate * ev.marks[known]
    return f"{text}, (18) with c = {bound.value:.3g}", False if above.max() > 1e-9 else solved


def l1_excess(
    ev: Evidence, row: PendingRow, bound_of: Callable[..., Bound], own: Callable[[Evidence], Hypothesis]
) -> Observation:
    """Compare the relative excess of the l1 norm with a bound, for the problem that the end solves."""
    row.assume(depth_at_least(ev.form, 2), own(ev), ev.nonzero, ev.reachable, ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    given, weighted = None, bound_of is not uniform_l1_bound
    if ev.form.depth == 2 or not weighted:  # the weights are equal: one linear program serves all rows
        row.undecided_if("" if ev.least_reached else _NO_MINIMUM)
        assert ev.least_reached is not None
        given = ev.least_reached.value * (float(np.exp(log_weights(ev.form)[0])) if ev.form.depth == 2 else 1.0)
    run = ev.reached, ev.network, ev.theta0, ev.solution, given
    bound = bound_of(*run)
    row.predicted = f"excess <= {bound.value:.4g}"
    row.assume(*bound.hypotheses)
    seen = excess(*run, weighted=weighted)
    allowed = bound.value * (1 + 1e-6) + OPTIONS.rounding_tol
    return f"{seen:.4g}", bool(-OPTIONS.rounding_tol <= seen <= allowed)


for _name, _bound_of, _own in (
    ("Theorem 2.1(2) corrected, (19)", l1_bound, _constant),
    ("Theorem 2.3(2) corrected, (16)", l1_bound, lambda ev: square_law(ev.form)),
    ("Theorem 2.1 of [7] corrected, (14)-(16)", l1_bound, lambda ev: plain_network(ev.form)),
    ("(16), sharper", sharp_l1_bound, lambda ev: depth_at_least(ev.form, 2)),
    ("(7), (8) corrected", uniform_l1_bound, lambda ev: depth_at_least(ev.form, 2)),
):
    theorem(_name, "bound on the excess of the l1 norm")(partial(l1_excess, bound_of=_bound_of, own=_own))


def _convergence(ev: Evidence) -> Observation:
    """Compare the end with the projection of the start, or with X = 0."""
    if ev.collapsed:
        return at_most("collapse: r / r0 is", ev.end.r / ev.form.r0, OPTIONS.collapse_tol)
    return compare_limits(ev, ev.distance(ev.projection), "relative distance")


@theorem("Theorem 2.2 corrected", "X converges, to the projection of X_0 on S+ or to 0")
def theorem_2_2(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the end at depth 2 with the limit, which exists for every A and can be X = 0."""
    row.assume(depth_two(ev.form), _constant(ev), ev.reachable)
    row.undecided_if(ev.no_limit)
    return _convergence(ev)


@theorem("Theorem 2.3(1)", "X converges to the projection of X_0 on S+")
def theorem_2_3_1(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the end with the projection for eta_r = r^2, and A X with b."""
    row.assume(depth_at_least(ev.form, 2), square_law(ev.form), ev.nonzero, ev.reachable)
    row.undecided_if(ev.no_limit)
    (text, near), (more, solved) = _convergence(ev), solved_at_end(ev)
    both = (near, solved)
    return f"{text}, {more}", False if False in both else None if None in both else True


@theorem("dichotomy", "projection or collapse")
def dichotomy(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the end with the projection, or with a collapse whose loss is never below that of X = 0."""
    row.assume(depth_at_least(ev.form, 2), ev.nonzero, ev.reachable)
    known = ev.collapse_status
    row.undecided_if(known.message if known == CollapseStatus.UNDECIDED else "")
    end = "X tends to the projection" if known.safe else "r tends to 0, the loss stays above that of X = 0"
    row.predicted = f"{end} ({known.name.lower()})"
    row.undecided_if(ev.no_limit)
    if known.safe:
        if ev.collapsed:
            return f"r / r0 = {ev.end.r / ev.form.r0:.3g}: it collapses", False
        return _convergence(ev)
    text, near = at_most("r / r0 at the end", ev.end.r / ev.form.r0, OPTIONS.collapse_tol)
    if ev.kind != "flow":
        return text, near
    lowest = float(ev.trajectory.loss.min() / (ev.size_b**2 / (2 * ev.form.depth)))
    return f"{text}, least loss / loss of 0 is {lowest:.6g}", bool(near and lowest >= 1 - ev.tolerance)


@theorem("(17) corrected", "X_inf is the plain limit from x_0 / rho")
def plain_start(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the limit with that of the plain flow from x0 / rho, for every depth and ratio law."""
    row.assume(weight_normalized(ev.form), ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    exponent = log_rho(ev.form, ev.end.r)
    log_start = ev.form.log_start / ev.form.depth - exponent
    if not np.abs(log_start).max() < _LARGEST_EXPONENT:
        return f"log rho = {exponent:.4g}: x0 / rho overflows", None
    inner = ev.network.inner
    found = ev.limit_from(inner, inner.from_factor(ev.form.sign * np.exp(log_start)))
    text, near = compare_limits(ev, ev.distance(found))
    return f"log rho = {exponent:.4g}, {text}", near


@theorem("(17), reported", "rho = (r0 / r_inf) e^(E(r_inf) - E(r0))")
def reported_rho(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the rho that a limit reports with (17) of its own radius."""
    row.assume(Hypothesis("the solution reports rho", ev.solution.log_rho is not None), ev.nonzero_limit)
    exponent, reported = log_rho(ev.form, ev.end.r), float(ev.solution.log_rho)  # type: ignore[arg-type]
    return f"log rho = {reported:.6g}", bool(abs(exponent - reported) <= 1e-9 * (1 + abs(exponent)))


def _log_rho(ev: Evidence) -> float:
    """Return log rho as the solution reports it, otherwise from the radius."""
    return log_rho(ev.form, ev.end.r) if ev.solution.log_rho is None else float(ev.solution.log_rho)


@theorem("(20)", "rho >= 1")
def sufficient_range(ev: Evidence, row: PendingRow) -> Observation:
    """Check (20)."""
    row.assume(weight_normalized(ev.form), ev.nonzero_limit)
    row.assume(*magnification_bound(ev.problem, ev.network, ev.theta0, ev.end.r).hypotheses)
    row.undecided_if(ev.no_limit)
    return f"log rho = {_log_rho(ev):.4g}", bool(_log_rho(ev) >= -1e-9)


@theorem("exact range of r0", "rho >= 1 or not")
def exact_range(ev: Evidence, row: PendingRow) -> Observation:
    """Compare rho with 1: it is larger exactly for r0 between r_inf and the other root, if that is known."""
    row.assume(weight_normalized(ev.form), ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    ranges = magnifying_radii(ev.form.law, ev.end.r, ev.form.time_scale)
    r0 = ev.form.r0
    inside = any(low <= r0 <= high for low, high in ranges)
    at_the_end = any(abs(r0 / one - 1) < 1e-6 for pair in ranges for one in pair if 0 < one < np.inf)
    within = " or ".join(f"[{low:.4g}, {high:.4g}]" for low, high in ranges)
    row.predicted = f"rho {'>=' if inside else '<'} 1: r0 = {r0:.4g} is {'' if inside else 'not '}in {within}"
    seen, rounding = _log_rho(ev), 1e-3 if at_the_end else OPTIONS.rounding_tol
    return f"log rho = {seen:.4g}", bool((seen >= 0) == inside or abs(seen) < rounding)


@theorem("(21) corrected", "r_inf^2 >= Q^(2/L)")
def radius(ev: Evidence, row: PendingRow) -> Observation:
    """Check (21), unless the flow collapses."""
    row.assume(ev.nonzero, ev.reachable, ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    least = ev.least_reached if ev.form.depth > 1 else None
    bound = radius_bound(ev.reached, ev.network, ev.theta0, ev.solution, least and least.value)
    row.predicted = f"r_inf^2 >= {bound.value:.6g}"
    row.assume(*bound.hypotheses)
    square = ev.end.r**2
    return f"r_inf^2 = {square:.6g}", bool(square >= bound.value * (1 - 10 * OPTIONS.rounding_tol))


@theorem("radial bound", "||X||_1 - Q <= value")
def radial(ev: Evidence, row: PendingRow) -> Observation:
    """Check the bound on ||X||_1 at depth 2 from the potential."""
    row.assume(depth_two(ev.form), _constant(ev), ev.nonzero, ev.reachable, ev.nonzero_limit)
    row.undecided_if(ev.no_limit)
    row.undecided_if("" if ev.least_reached else _NO_MINIMUM)
    assert ev.least_reached is not None
    bound, Q = radial_l1_bound(ev.reached, ev.network, ev.theta0, ev.solution, ev.least_reached), ev.least_reached.value
    row.predicted = f"||X||_1 - Q <= {bound.value:.4g}"
    row.assume(*bound.hypotheses)
    seen, rounding = float(np.exp(ev.end.log_x).sum() - Q), OPTIONS.rounding_tol * float(Q)
    return f"{seen:.4g}", bool(-rounding <= seen <= bound.value * (1 + 1e-6) + rounding)


@theorem("band for r^2", "|r^2 - Q| <= value")
def band(ev: Evidence, row: PendingRow) -> Observation:
    """Check that r(t)^2 is near ||z||_1 at depth 2 at all times, also in a collapse."""
    row.assume(depth_two(ev.form), _constant(ev), ev.reachable)
    row.undecided_if(ev.no_flow)
    assert ev.least is not None
    bound = radius_band(ev.problem, ev.network, ev.theta0, ev.least.x)
    row.predicted = f"|r^2 - Q| <= {bound.value:.4g}"
    row.assume(*bound.hypotheses)
    r, Q = ev.states[1], float(ev.least.value)
    allowed = bound.value * (1 + 1e-9) + ev.tolerance * float(r.max()) ** 2
    return at_most("largest", float(np.abs(r**2 - Q).max()), allowed)


@theorem("certificate", "A^T y <= w, gap = 1 - <b, y> / <w, |X|> >= 0")
def certificate(ev: Evidence, row: PendingRow) -> Observation:
    """Check weak duality: the dual point is feasible, and the reported gap is that of the solution."""
    dual, gap = ev.solution.dual, ev.solution.gap
    known = dual is not None and gap is not None and bool(np.isfinite(dual).all() and not np.isnan(gap))
    row.assume(Hypothesis("the solution has a dual point and a gap", known))
    assert dual is not None
    assert gap is not None
    with np.errstate(over="ignore"):
        weights = np.exp(log_weights(ev.form))
    violation = float((ev.matrix.T @ dual / weights).max() - 1)
    value = float(halves(ev.x, ev.form) @ weights)
    off = abs(value - float(ev.problem.b @ dual) - value * float(gap))
    rounding = OPTIONS.rounding_tol * (1 + value)
    lowest = -rounding - ev.residual * (10 * (1 + value) + ev.size_b * float(np.linalg.norm(dual)))
    text = f"max A^T y / w - 1 = {violation:.2g}, gap {float(gap):.3g}"
    return text, bool(violation <= OPTIONS.rounding_tol and off <= rounding and value * float(gap) >= lowest)
