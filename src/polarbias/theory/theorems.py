"""Rows of a verification for section 2 of arXiv:2305.05448v1, corrected: limits, magnification and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from polarbias.errors import PolarbiasError
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
    square_law,
    weight_normalized,
)
from polarbias.theory.verdict import Observation, VerificationRow, at_most, judge

_LARGEST_EXPONENT = 600.0
"""Logarithms of starts that doubles hold, with a margin to exp(709)."""


def theorems(ev: Evidence) -> Iterator[VerificationRow]:
    """Yield the rows."""
    yield theorem_2_1_1(ev)
    yield from weighted_bounds(ev)
    yield theorem_2_2(ev)
    yield theorem_2_3_1(ev)
    yield dichotomy(ev)
    yield plain_start(ev)
    yield reported_rho(ev)
    yield sufficient_range(ev)
    yield exact_range(ev)
    yield radius(ev)
    yield radial(ev)
    yield band(ev)
    yield certificate(ev)


def _constant(ev: Evidence) -> Hypothesis:
    return constant_ratio(ev.form)[1]


def _unjudged(
    ev: Evidence, name: str, hypotheses: list[Hypothesis], predicted: str, missing: str = ""
) -> VerificationRow | None:
    """Return the row if a hypothesis is not met or if nothing can be observed, otherwise None."""
    missing = ev.no_limit or missing
    if missing or not all(one.held for one in hypotheses):
        return judge(name, hypotheses, predicted, lambda: ("", None), missing)
    return None


def theorem_2_1_1(ev: Evidence) -> VerificationRow:
    """Check (18) and that the limit is in S+, unless the flow collapses."""

    def observe() -> Observation:
        text, solved = solved_at_end(ev)
        if ev.kind != "flow":
            return text, solved
        path = ev.trajectory
        bound = loss_rate(ev.problem, ev.network, path.theta)
        if not bound.applies:
            return text, solved
        known = path.loss > (ev.accuracy * ev.size_b) ** 2
        rate = bound.value * (1 - OPTIONS.sampling_tol)
        above = np.log(path.loss[known] / path.loss[0]) + rate * path.time[known]
        return f"{text}, (18) with c = {bound.value:.3g}", False if above.max() > 1e-9 else solved

    hypotheses = [depth_at_least(ev.form, 2), _constant(ev), ev.nonzero, ev.reachable, ev.nonzero_limit]
    predicted = "the loss falls exponentially, X_inf is in S+"
    return judge("Theorem 2.1(1) corrected", hypotheses, predicted, observe, ev.no_limit)


def weighted_bounds(ev: Evidence) -> Iterator[VerificationRow]:
    """Yield (14)-(16), (19): for constant ratios, eta_r = r^2, and without weight normalization; and sharper forms."""
    plain = Hypothesis("without weight normalization", ev.form.plain)
    for name, own in (
        ("Theorem 2.1(2) corrected, (19)", _constant(ev)),
        ("Theorem 2.3(2) corrected, (16)", square_law(ev.form)),
        ("Theorem 2.1 of [7] corrected, (14)-(16)", plain),
    ):
        yield _excess_row(ev, name, own, l1_bound, weighted=True)
    every = depth_at_least(ev.form, 2)
    yield _excess_row(ev, "(16), sharper", every, sharp_l1_bound, weighted=True)
    yield _excess_row(ev, "(7), (8) corrected", every, uniform_l1_bound, weighted=False)


def _excess_row(
    ev: Evidence, name: str, own: Hypothesis, bound_of: Callable[..., Bound], weighted: bool
) -> VerificationRow:
    """Return the row of a bound on the relative excess of the l1 norm, for the problem that the end solves."""
    first = [depth_at_least(ev.form, 2), own, ev.nonzero, ev.reachable, ev.nonzero_limit]
    if row := _unjudged(ev, name, first, "bound on the excess of the l1 norm"):
        return row
    given = None
    if ev.form.depth == 2 or not weighted:  # the weights are equal: one linear program serves all rows
        if ev.least_reached is None:
            return judge(name, first, "", lambda: ("", None), "the linear program could not be certified")
        given = ev.least_reached.value * (float(np.exp(log_weights(ev.form)[0])) if ev.form.depth == 2 else 1.0)
    run = ev.reached, ev.network, ev.theta0, ev.solution, given
    try:
        bound = bound_of(*run)
        seen = excess(*run, weighted=weighted) if bound.applies else np.nan
    except PolarbiasError as reason:
        return judge(name, first, "", lambda: ("", None), f"the linear program failed: {reason}")

    def observe() -> Observation:
        allowed = bound.value * (1 + 1e-6) + OPTIONS.rounding_tol
        return f"{seen:.4g}", bool(-OPTIONS.rounding_tol <= seen <= allowed)

    return judge(name, [*first, *bound.hypotheses], f"excess <= {bound.value:.4g}", observe)


def _convergence(ev: Evidence) -> Observation:
    """Compare the end with the projection of the start, or with X = 0."""
    if ev.collapsed:
        return at_most("collapse: r / r0 is", ev.end.r / ev.form.r0, OPTIONS.collapse_tol)
    return compare_limits(ev, ev.distance(ev.projection), "relative distance")


def theorem_2_2(ev: Evidence) -> VerificationRow:
    """Compare the end at depth 2 with the limit, which exists for every A and can be X = 0."""
    hypotheses = [depth_two(ev.form), _constant(ev), ev.reachable]
    predicted = "X converges, to the projection of X_0 on S+ or to 0"
    return judge("Theorem 2.2 corrected", hypotheses, predicted, lambda: _convergence(ev), ev.no_limit)


def theorem_2_3_1(ev: Evidence) -> VerificationRow:
    """Compare the end with the projection for eta_r = r^2, and A X with b."""

    def observe() -> Observation:
        (text, near), (more, solved) = _convergence(ev), solved_at_end(ev)
        both = (near, solved)
        return f"{text}, {more}", False if False in both else None if None in both else True

    hypotheses = [depth_at_least(ev.form, 2), square_law(ev.form), ev.nonzero, ev.reachable]
    return judge("Theorem 2.3(1)", hypotheses, "X converges to the projection of X_0 on S+", observe, ev.no_limit)


def dichotomy(ev: Evidence) -> VerificationRow:
    """Compare the end with the projection, or with a collapse whose loss is never below that of X = 0."""
    hypotheses = [depth_at_least(ev.form, 2), ev.nonzero, ev.reachable]
    name, predicted = "dichotomy", "projection or collapse"
    if not all(one.held for one in hypotheses):
        return judge(name, hypotheses, predicted, lambda: ("", None))
    known = ev.collapse_status
    if known == CollapseStatus.UNDECIDED:
        return judge(name, hypotheses, predicted, lambda: ("", None), known.message)

    def observe() -> Observation:
        if known.safe:
            if ev.collapsed:
                return f"r / r0 = {ev.end.r / ev.form.r0:.3g}: it collapses", False
            return _convergence(ev)
        text, near = at_most("r / r0 at the end", ev.end.r / ev.form.r0, OPTIONS.collapse_tol)
        if ev.kind != "flow":
            return text, near
        lowest = float(ev.trajectory.loss.min() / (ev.size_b**2 / (2 * ev.form.depth)))
        return f"{text}, least loss / loss of 0 is {lowest:.6g}", bool(near and lowest >= 1 - ev.tolerance)

    predicted = "X tends to the projection" if known.safe else "r tends to 0, the loss stays above that of X = 0"
    return judge(name, hypotheses, f"{predicted} ({known.name.lower()})", observe, ev.no_limit)


def plain_start(ev: Evidence) -> VerificationRow:
    """Compare the limit with that of the plain flow from x0 / rho, for every depth and ratio law."""

    def observe() -> Observation:
        exponent = log_rho(ev.form, ev.end.r)
        log_start = ev.form.log_start / ev.form.depth - exponent
        if not np.abs(log_start).max() < _LARGEST_EXPONENT:
            return f"log rho = {exponent:.4g}: x0 / rho overflows", None
        inner = ev.network.inner
        found = ev.limit_from(inner, inner.from_factor(ev.form.sign * np.exp(log_start)))
        text, near = compare_limits(ev, ev.distance(found))
        return f"log rho = {exponent:.4g}, {text}", near

    hypotheses = [weight_normalized(ev.form), ev.nonzero_limit]
    return judge("(17) corrected", hypotheses, "X_inf is the plain limit from x_0 / rho", observe, ev.no_limit)


def reported_rho(ev: Evidence) -> VerificationRow:
    """Compare the rho that a limit reports with (17) of its own radius."""
    own = Hypothesis("the solution reports rho", ev.solution.log_rho is not None)

    def observe() -> Observation:
        exponent, reported = log_rho(ev.form, ev.end.r), float(ev.solution.log_rho)  # type: ignore[arg-type]
        return f"log rho = {reported:.6g}", bool(abs(exponent - reported) <= 1e-9 * (1 + abs(exponent)))

    return judge("(17), reported", [own, ev.nonzero_limit], "rho = (r0 / r_inf) e^(E(r_inf) - E(r0))", observe)


def _log_rho(ev: Evidence) -> float:
    """Return log rho as the solution reports it, otherwise from the radius."""
    return log_rho(ev.form, ev.end.r) if ev.solution.log_rho is None else float(ev.solution.log_rho)


def sufficient_range(ev: Evidence) -> VerificationRow:
    """Check (20)."""
    hypotheses = [weight_normalized(ev.form), ev.nonzero_limit]
    if all(one.held for one in hypotheses):
        hypotheses += magnification_bound(ev.problem, ev.network, ev.theta0, ev.end.r).hypotheses

    def observe() -> Observation:
        return f"log rho = {_log_rho(ev):.4g}", bool(_log_rho(ev) >= -1e-9)

    return judge("(20)", hypotheses, "rho >= 1", observe, ev.no_limit)


def exact_range(ev: Evidence) -> VerificationRow:
    """Compare rho with 1: it is larger exactly for r0 between r_inf and the other root, if that is known."""
    name, hypotheses, predicted = "exact range of r0", [weight_normalized(ev.form), ev.nonzero_limit], "rho >= 1 or not"
    if row := _unjudged(ev, name, hypotheses, predicted):
        return row
    try:
        ranges = magnifying_radii(ev.form.law, ev.end.r, ev.form.time_scale)
    except PolarbiasError as reason:
        return judge(name, hypotheses, predicted, lambda: ("", None), str(reason))
    r0 = ev.form.r0
    inside = any(low <= r0 <= high for low, high in ranges)
    at_the_end = any(abs(r0 / one - 1) < 1e-6 for pair in ranges for one in pair if 0 < one < np.inf)

    def observe() -> Observation:
        seen, rounding = _log_rho(ev), 1e-3 if at_the_end else OPTIONS.rounding_tol
        return f"log rho = {seen:.4g}", bool((seen >= 0) == inside or abs(seen) < rounding)

    within = " or ".join(f"[{low:.4g}, {high:.4g}]" for low, high in ranges)
    predicted = f"rho {'>=' if inside else '<'} 1: r0 = {r0:.4g} is {'' if inside else 'not '}in {within}"
    return judge(name, hypotheses, predicted, observe)


def radius(ev: Evidence) -> VerificationRow:
    """Check (21), unless the flow collapses."""
    name, hypotheses = "(21) corrected", [ev.nonzero, ev.reachable, ev.nonzero_limit]
    if row := _unjudged(ev, name, hypotheses, "r_inf^2 >= Q^(2/L)"):
        return row
    least = ev.least_reached if ev.form.depth > 1 else None
    try:
        bound = radius_bound(ev.reached, ev.network, ev.theta0, ev.solution, least and least.value)
    except PolarbiasError as reason:
        return judge(name, hypotheses, "", lambda: ("", None), f"the minimum is not found: {reason}")

    def observe() -> Observation:
        square = ev.end.r**2
        return f"r_inf^2 = {square:.6g}", bool(square >= bound.value * (1 - 10 * OPTIONS.rounding_tol))

    return judge(name, [*hypotheses, *bound.hypotheses], f"r_inf^2 >= {bound.value:.6g}", observe)


def radial(ev: Evidence) -> VerificationRow:
    """Check the bound on ||X||_1 at depth 2 from the potential."""
    name = "radial bound"
    hypotheses = [depth_two(ev.form), _constant(ev), ev.nonzero, ev.reachable, ev.nonzero_limit]
    met = all(one.held for one in hypotheses)
    least = ev.least_reached if met and not ev.no_limit else None
    missing = "" if least else "the linear program could not be certified"
    if row := _unjudged(ev, name, hypotheses, "||X||_1 - Q <= value", missing):
        return row
    assert least is not None
    bound = radial_l1_bound(ev.reached, ev.network, ev.theta0, ev.solution, least)

    def observe() -> Observation:
        seen, rounding = float(np.exp(ev.end.log_x).sum() - least.value), OPTIONS.rounding_tol * float(least.value)
        return f"{seen:.4g}", bool(-rounding <= seen <= bound.value * (1 + 1e-6) + rounding)

    return judge(name, [*hypotheses, *bound.hypotheses], f"||X||_1 - Q <= {bound.value:.4g}", observe)


def band(ev: Evidence) -> VerificationRow:
    """Check that r(t)^2 is near ||z||_1 at depth 2 at all times, also in a collapse."""
    name, hypotheses = "band for r^2", [depth_two(ev.form), _constant(ev), ev.reachable]
    if ev.kind == "descent" or not all(one.held for one in hypotheses):
        return judge(name, hypotheses, "|r^2 - Q| <= value", lambda: ("", None), ev.no_trajectory)
    assert ev.least is not None
    bound = radius_band(ev.problem, ev.network, ev.theta0, ev.least.x)
    r, Q = ev.states[1], float(ev.least.value)

    def observe() -> Observation:
        allowed = bound.value * (1 + 1e-9) + ev.tolerance * float(r.max()) ** 2
        return at_most("largest", float(np.abs(r**2 - Q).max()), allowed)

    return judge(name, [*hypotheses, *bound.hypotheses], f"|r^2 - Q| <= {bound.value:.4g}", observe)


def certificate(ev: Evidence) -> VerificationRow:
    """Check weak duality: the dual point is feasible, and the reported gap is that of the solution."""
    dual, gap = ev.solution.dual, ev.solution.gap
    known = dual is not None and gap is not None and bool(np.isfinite(dual).all() and not np.isnan(gap))

    def observe() -> Observation:
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

    own = Hypothesis("the solution has a dual point and a gap", known)
    return judge("certificate", [own], "A^T y <= w, gap = 1 - <b, y> / <w, |X|> >= 0", observe)
