"""Section 2 of arXiv:2305.05448v1 as rows of a verification: limits, magnification and bounds, corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from polarbias.errors import PolarbiasError
from polarbias.solution import CollapseStatus
from polarbias.theory.bounds import excess, l1_bound, sharp_l1_bound, uniform_l1_bound
from polarbias.theory.divergence import nonzero, reachable
from polarbias.theory.ends import constant_ratio, depth_at_least, log_weights
from polarbias.theory.equations import square_law
from polarbias.theory.evidence import ROUNDING, Evidence
from polarbias.theory.lemmas import at_most, moves_off_zero, normalized, solved_at_end
from polarbias.theory.magnification import log_rho, magnification_bound, magnifying_radii, radius_bound
from polarbias.theory.radial import radial_l1_bound, radius_band
from polarbias.theory.rates import loss_rate
from polarbias.theory.statement import Bound, Hypothesis
from polarbias.theory.verdict import Observation, Verdict, judge

_LARGEST_EXPONENT = 600.0  # of numbers e^t that a start can hold


def theorems(ev: Evidence) -> Iterator[Verdict]:
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
    yield radius_row(ev)
    yield radial_row(ev)
    yield band_row(ev)
    yield certificate_row(ev)


def _constant(ev: Evidence) -> Hypothesis:
    found = constant_ratio(ev.form)[1]
    return Hypothesis(found.name, found.held and not ev.form.plain)


def theorem_2_1_1(ev: Evidence) -> Verdict:
    """(18) and the limit in S+, where the flow does not collapse."""

    def observe() -> Observation:
        text, solved = solved_at_end(ev)
        if ev.kind != "flow":
            return text, solved
        course = ev.course
        bound = loss_rate(ev.problem, ev.network, course.theta)
        if not bound.applies:
            return text, solved
        known = course.loss > (ev.accuracy * ev.size_b) ** 2
        late = np.log(course.loss[known] / course.loss[0]) + bound.value * 0.99 * course.t[known]
        return f"{text}, (18) with c = {bound.value:.3g}", False if late.max() > 1e-9 else solved

    hypotheses = [depth_at_least(ev.form, 2), _constant(ev), nonzero(ev), reachable(ev), moves_off_zero(ev)]
    predicted = "the loss falls exponentially, X_inf is in S+"
    return judge("Theorem 2.1(1) corrected", hypotheses, predicted, observe, ev.no_limit)


def weighted_bounds(ev: Evidence) -> Iterator[Verdict]:
    """Yield (14)-(16), (19): for constant ratios, eta_r = r^2, and without weight normalization; and sharper forms."""
    plain = Hypothesis("without weight normalization", ev.form.plain)
    for name, own in (
        ("Theorem 2.1(2) corrected, (19)", _constant(ev)),
        ("Theorem 2.3(2) corrected, (16)", square_law(ev)),
        ("Theorem 2.1 of [7] corrected, (14)-(16)", plain),
    ):
        yield _bound_row(ev, name, own, l1_bound, weighted=True)
    every = depth_at_least(ev.form, 2)
    yield _bound_row(ev, "(16), sharper", every, sharp_l1_bound, weighted=True)
    yield _bound_row(ev, "(7), (8) corrected", every, uniform_l1_bound, weighted=False)


def _bound_row(ev: Evidence, name: str, own: Hypothesis, bound_of: Callable[..., Bound], weighted: bool) -> Verdict:
    """Return the row of a bound on the relative excess of the l1 norm, for the problem that the end solves."""
    first = [depth_at_least(ev.form, 2), own, nonzero(ev), reachable(ev), moves_off_zero(ev)]
    if ev.no_limit or not all(one.held for one in first):
        return judge(name, first, "bound on the excess of the l1 norm", lambda: ("", None), ev.no_limit)
    # At depth 2, or without weights, one linear program serves all rows.
    plain_norm = ev.form.depth == 2 or not weighted
    try:
        least = ev.least_reached if plain_norm else None
        if plain_norm and least is None:
            return judge(name, first, "", lambda: ("", None), "the linear program could not be certified")
        scale = float(np.exp(log_weights(ev.form)[0])) if plain_norm and ev.form.depth == 2 else 1.0
        given = least.value * scale if least is not None else None
        bound = bound_of(ev.reached, ev.network, ev.theta0, ev.solution, given)
        seen = (
            excess(ev.reached, ev.network, ev.theta0, ev.solution, given, weighted=weighted)
            if bound.applies
            else np.nan
        )
    except PolarbiasError as reason:
        return judge(name, first, "", lambda: ("", None), f"the linear program failed: {reason}")

    def observe() -> Observation:
        allowed = bound.value * (1 + 1e-6) + ROUNDING
        return f"{seen:.4g}", bool(-ROUNDING <= seen <= allowed)

    return judge(name, [*first, *bound.hypotheses], f"excess <= {bound.value:.4g}", observe)


def _convergence(ev: Evidence) -> Observation:
    """Compare the end with the projection of the start, or with X = 0."""
    if ev.collapsed:
        return at_most("collapse: r / r0 is", ev.end.r / ev.form.r0, 1e-6)
    distance = ev.distance(ev.projection)
    if np.isnan(distance):
        return "the projection is not found", None
    return at_most("relative distance", distance, 30 * ev.tolerance)


def theorem_2_2(ev: Evidence) -> Verdict:
    """Hold the end at depth 2 to the limit, which exists whatever A is and can be X = 0."""
    hypotheses = [Hypothesis("L = 2", ev.form.depth == 2, ev.form.depth, 2), _constant(ev), reachable(ev)]
    predicted = "X converges, to the projection of X_0 on S+ or to 0"
    return judge("Theorem 2.2 corrected", hypotheses, predicted, lambda: _convergence(ev), ev.no_limit)


def theorem_2_3_1(ev: Evidence) -> Verdict:
    """With eta_r = r^2 the limit exists and is in S+."""

    def observe() -> Observation:
        (text, near), (more, solved) = _convergence(ev), solved_at_end(ev)
        verdicts = (near, solved)
        return f"{text}, {more}", False if False in verdicts else None if None in verdicts else True

    hypotheses = [depth_at_least(ev.form, 2), square_law(ev), nonzero(ev), reachable(ev)]
    return judge("Theorem 2.3(1)", hypotheses, "X converges to the projection of X_0 on S+", observe, ev.no_limit)


def dichotomy(ev: Evidence) -> Verdict:
    """Every flow converges to the projection, or collapses with a loss at or above that of X = 0 throughout."""
    hypotheses = [depth_at_least(ev.form, 2), nonzero(ev), reachable(ev)]
    name = "dichotomy"
    if not all(one.held for one in hypotheses):
        return judge(name, hypotheses, "projection or collapse", lambda: ("", None))
    known = ev.collapse_status
    if known == CollapseStatus.UNDECIDED:
        return judge(name, hypotheses, "projection or collapse", lambda: ("", None), known.message)

    def observe() -> Observation:
        if known.safe:
            if ev.collapsed:
                return f"r / r0 = {ev.end.r / ev.form.r0:.3g}: it collapses", False
            return _convergence(ev)
        text, near = at_most("r / r0 at the end", ev.end.r / ev.form.r0, 1e-6)
        if ev.kind != "flow":
            return text, near
        zero = ev.size_b**2 / (2 * ev.form.depth)
        lowest = float(ev.course.loss.min() / zero)
        return f"{text}, least loss / loss of 0 is {lowest:.6g}", bool(near and lowest >= 1 - ev.tolerance)

    predicted = "X tends to the projection" if known.safe else "r tends to 0, the loss stays above that of X = 0"
    return judge(name, hypotheses, f"{predicted} ({known.name.lower()})", observe, ev.no_limit)


def plain_start(ev: Evidence) -> Verdict:
    """Compare the limit with that of the plain flow from x0 / rho, for every depth and ratio law."""
    hypotheses = [normalized(ev), moves_off_zero(ev)]

    def observe() -> Observation:
        exponent = log_rho(ev.form, ev.end.r)
        log_start = ev.form.log_start / ev.form.depth - exponent
        if not np.abs(log_start).max() < _LARGEST_EXPONENT:
            return f"log rho = {exponent:.4g}: x0 / rho is beyond floats", None
        inner = ev.network.inner
        distance = ev.distance(ev.limit_from(inner, inner.from_factor(ev.form.sign * np.exp(log_start))))
        if np.isnan(distance):
            return "the plain limit is not found", None
        text, near = at_most("relative difference", distance, 30 * ev.tolerance)
        return f"log rho = {exponent:.4g}, {text}", near

    predicted = "X_inf is the plain limit from x_0 / rho"
    return judge("(17) corrected", hypotheses, predicted, observe, ev.no_limit)


def reported_rho(ev: Evidence) -> Verdict:
    """Compare the rho that a limit reports with (17) of its own radius."""
    own = Hypothesis("the solution reports rho", ev.solution.log_rho is not None)

    def observe() -> Observation:
        exponent, reported = log_rho(ev.form, ev.end.r), float(ev.solution.log_rho)  # type: ignore[arg-type]
        return f"log rho = {reported:.6g}", bool(abs(exponent - reported) <= 1e-9 * (1 + abs(exponent)))

    return judge("(17), reported", [own, moves_off_zero(ev)], "rho = (r0 / r_inf) e^(E(r_inf) - E(r0))", observe)


def _seen_rho(ev: Evidence) -> float:
    """Return log rho as the solution reports it, else from the radius."""
    return log_rho(ev.form, ev.end.r) if ev.solution.log_rho is None else float(ev.solution.log_rho)


def sufficient_range(ev: Evidence) -> Verdict:
    """(20)."""
    first = [normalized(ev), moves_off_zero(ev)]
    if all(one.held for one in first):
        first += magnification_bound(ev.problem, ev.network, ev.theta0, ev.end.r).hypotheses

    def observe() -> Observation:
        seen = _seen_rho(ev)
        return f"log rho = {seen:.4g}", bool(seen >= -1e-9)

    return judge("(20)", first, "rho >= 1", observe, ev.no_limit)


def exact_range(ev: Evidence) -> Verdict:
    """Compare rho with 1: it is larger exactly for r0 between r_inf and the other root, where that is known."""
    hypotheses = [normalized(ev), moves_off_zero(ev)]
    if not all(one.held for one in hypotheses) or ev.no_limit:
        return judge("exact range of r0", hypotheses, "rho >= 1 or not", lambda: ("", None), ev.no_limit)
    try:
        ranges = magnifying_radii(ev.form.law, ev.end.r, ev.form.time_scale)
    except PolarbiasError as reason:
        return judge("exact range of r0", hypotheses, "rho >= 1 or not", lambda: ("", None), str(reason))
    r0 = ev.form.r0
    inside = any(low <= r0 <= high for low, high in ranges)
    at_the_end = any(abs(r0 / one - 1) < 1e-6 for pair in ranges for one in pair if 0 < one < np.inf)

    def observe() -> Observation:
        seen = _seen_rho(ev)
        return f"log rho = {seen:.4g}", bool((seen >= 0) == inside or abs(seen) < (1e-3 if at_the_end else ROUNDING))

    within = " or ".join(f"[{low:.4g}, {high:.4g}]" for low, high in ranges)
    predicted = f"rho {'>=' if inside else '<'} 1: r0 = {r0:.4g} is {'' if inside else 'not '}in {within}"
    return judge("exact range of r0", hypotheses, predicted, observe)


def radius_row(ev: Evidence) -> Verdict:
    """(21), where the flow does not collapse."""
    first = [nonzero(ev), reachable(ev), moves_off_zero(ev)]
    if ev.no_limit or not all(one.held for one in first):
        return judge("(21) corrected", first, "r_inf^2 >= Q^(2/L)", lambda: ("", None), ev.no_limit)
    try:
        least = ev.least_reached if ev.form.depth > 1 else None
        given = None if least is None else least.value
        bound = radius_bound(ev.reached, ev.network, ev.theta0, ev.solution, given)
    except PolarbiasError as reason:
        return judge("(21) corrected", first, "", lambda: ("", None), f"the minimum is not found: {reason}")

    def observe() -> Observation:
        return f"r_inf^2 = {ev.end.r**2:.6g}", bool(ev.end.r**2 >= bound.value * (1 - 10 * ROUNDING))

    return judge("(21) corrected", [*first, *bound.hypotheses], f"r_inf^2 >= {bound.value:.6g}", observe)


def radial_row(ev: Evidence) -> Verdict:
    """Hold the end to the bound on ||X||_1 at depth 2 from the potential itself."""
    depth = Hypothesis("L = 2", ev.form.depth == 2, ev.form.depth, 2)
    first = [depth, _constant(ev), nonzero(ev), reachable(ev), moves_off_zero(ev)]
    least = None if ev.no_limit or not all(one.held for one in first) else ev.least_reached
    if least is None:
        missing = ev.no_limit or "the linear program could not be certified"
        return judge("radial bound", first, "||X||_1 - Q <= value", lambda: ("", None), missing)
    bound = radial_l1_bound(ev.reached, ev.network, ev.theta0, ev.solution, least)
    seen = float(np.exp(ev.end.log_x).sum() - least.value)

    def observe() -> Observation:
        allowed = bound.value * (1 + 1e-6) + ROUNDING * float(least.value)
        return f"{seen:.4g}", bool(-ROUNDING * float(least.value) <= seen <= allowed)

    return judge("radial bound", [*first, *bound.hypotheses], f"||X||_1 - Q <= {bound.value:.4g}", observe)


def band_row(ev: Evidence) -> Verdict:
    """At depth 2 r(t)^2 is near ||z||_1 at all times, collapse or not."""
    depth = Hypothesis("L = 2", ev.form.depth == 2, ev.form.depth, 2)
    first = [depth, _constant(ev), reachable(ev)]
    if ev.kind == "descent" or not all(one.held for one in first):
        return judge("band for r^2", first, "|r^2 - Q| <= value", lambda: ("", None), ev.no_course)
    assert ev.least is not None
    bound = radius_band(ev.problem, ev.network, ev.theta0, ev.least.x)
    r = ev.course.r if ev.kind == "flow" else np.array([ev.end.r])

    def observe() -> Observation:
        seen = float(np.abs(r**2 - ev.least.value).max())  # type: ignore[union-attr]
        return at_most("largest", seen, bound.value * (1 + 1e-9) + ev.tolerance * float(r.max()) ** 2)

    return judge("band for r^2", [*first, *bound.hypotheses], f"|r^2 - Q| <= {bound.value:.4g}", observe)


def certificate_row(ev: Evidence) -> Verdict:
    """Weak duality: the dual point is feasible, and the gap is what it says."""
    dual, gap = ev.solution.dual, ev.solution.gap
    known = dual is not None and gap is not None and bool(np.isfinite(dual).all() and not np.isnan(gap))
    own = Hypothesis("the solution has a dual point and a gap", known)

    def observe() -> Observation:
        assert dual is not None
        assert gap is not None
        with np.errstate(over="ignore"):
            weights = np.exp(log_weights(ev.form))
        slope = ev.matrix.T @ dual
        over = float((slope / weights).max() - 1)
        x = np.asarray(ev.solution.x, np.float64)
        parts = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)]) if ev.form.signed else x
        value = float(parts @ weights)
        off = abs(value - float(ev.problem.b @ dual) - float(gap))
        text = f"max A^T y / w - 1 = {over:.2g}, gap {float(gap):.3g}"
        lowest = -(ROUNDING + 10 * ev.residual) * (1 + value) - ev.residual * ev.size_b * float(np.linalg.norm(dual))
        return text, bool(over <= ROUNDING and off <= ROUNDING * (1 + value) and float(gap) >= lowest)

    return judge("certificate", [own], "A^T y <= w, gap = <w, |X|> - <b, y> >= 0", observe)
