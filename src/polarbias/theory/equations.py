"""The equations of the flow as rows of a verification: what its velocity, its loss and its rate of convergence obey.

Velocities are looked at in integrated form: over a stretch of the trajectory the change of a quantity is the integral
of its rate, by Gauss quadrature at times inside.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polarbias.networks import WeightNormalization
from polarbias.theory.evidence import Course, Evidence
from polarbias.theory.lemmas import at_most, moves_off_zero, normalized
from polarbias.theory.rates import local_rate, loss_rate
from polarbias.theory.statement import Hypothesis
from polarbias.theory.verdict import Observation, Verdict, judge

_QUADRATURE = 100  # multiples of the accuracy that a step may be off, and quadrature over several of them
_SAMPLED = 0.01  # what the least value at sampled times may be above the least one
_NEAR = 0.01  # largest change of log x after which the rate counts as local
_LOCAL = 0.1  # relative difference of a rate that is called local


def equations(ev: Evidence) -> Iterator[Verdict]:
    """Yield the rows in the order of the paper."""
    yield vector_field_row(ev)
    yield lemma_3_5(ev)
    yield angle_condition(ev)
    yield rest_condition(ev)
    yield lemma_3_13(ev)
    yield corollary_3_14(ev)
    yield local_rate_row(ev)


def square_law(ev: Evidence) -> Hypothesis:
    """Return the hypothesis that the ratio law is r^2."""
    return Hypothesis("(eta_r, eta_u) = (r^2, 1)", ev.form.square and not ev.form.plain)


def _flat(ev: Evidence, course: Course) -> np.ndarray:
    """Return the parameters as rows: (r, u), or x without weight normalization."""
    if isinstance(ev.network, WeightNormalization):
        return np.column_stack([course.theta.r, course.theta.u])
    return np.asarray(ev.network.factor(course.theta))


def _factor(ev: Evidence, course: Course) -> np.ndarray:
    return np.asarray(course.sign * np.exp(ev.log_factor(course)))


def _gradient(ev: Evidence, x: np.ndarray) -> np.ndarray:
    """Return (23), rows in, rows out."""
    L = ev.form.depth
    return np.asarray(((x**L @ ev.matrix.T - ev.problem.b) @ ev.matrix) * x ** (L - 1))


def _parts(ev: Evidence, course: Course) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and rates of the parameters, (24) and (25) under weight normalization, as rows."""
    theta = course.theta
    if not isinstance(ev.network, WeightNormalization):
        gradient = _gradient(ev, np.asarray(ev.network.factor(theta)))
        return gradient, np.ones_like(gradient)
    length = np.linalg.norm(theta.u, axis=-1, keepdims=True)
    unit = theta.u / length
    g = _gradient(ev, theta.r[:, None] * unit)
    radial = (unit * g).sum(-1, keepdims=True)
    gradient = np.hstack([radial, theta.r[:, None] / length * (g - unit * radial)])
    rates = np.full_like(gradient, float(ev.network.direction_rate))
    rates[:, 0] = ev.network.ratio.f(np.abs(theta.r))
    return gradient, rates


def _mismatch(ev: Evidence, states: np.ndarray, velocity: np.ndarray) -> Observation:
    """Compare the move of rows of states since the start with the integral of their velocity, relative to their size.

    Over long times the residual counts, which the accuracy of log X leaves open by that times the fastest rate.
    """
    off = states[1:] - states[0] - np.cumsum(ev.integral(velocity), axis=0)
    relative = np.linalg.norm(off, axis=-1) / np.linalg.norm(states, axis=-1).max()
    course, L = ev.course, ev.form.depth
    fastest = L * np.linalg.norm(ev.matrix, 2) ** 2 * np.exp((2 * L - 2) * ev.log_factor(course).max())
    if not ev.form.plain:
        fastest *= max(
            float(np.max(ev.network.ratio.f(np.abs(course.r)))), ev.form.time_scale * float((course.r**2).max())
        )
    allowed = _QUADRATURE * ev.accuracy + ev.accuracy / 100 * fastest * course.t[1:]
    worst = int(np.argmax(relative / allowed))
    text = f"relative difference {relative[worst]:.3g}, {allowed[worst]:.3g} allowed"
    return text, bool((relative <= allowed).all())


def vector_field_row(ev: Evidence) -> Verdict:
    """Hold the trajectory to the equations of the flow."""

    def observe() -> Observation:
        gradient, rates = _parts(ev, ev.inside)
        return _mismatch(ev, _flat(ev, ev.course), -rates * gradient)

    name = "(10)" if ev.form.plain else "(12), (13)"
    return judge(name, [], "the changes of theta are the integrals of -rate grad", observe, ev.no_course)


def lemma_3_5(ev: Evidence) -> Verdict:
    """(31) from t0 = 0 on, with its corrected power and rank."""
    name = "Lemma 3.5, (31) corrected"
    predicted = "L(t) <= L(0) exp(-c t)"
    if ev.no_course:
        return judge(name, [], predicted, lambda: ("", None), ev.no_course)
    course = ev.course
    bound = loss_rate(ev.problem, ev.network, course.theta)
    crossing = bool((np.sign(_flat(ev, course)) == np.sign(_flat(ev, course))[0]).all())
    hypotheses = [*bound.hypotheses, Hypothesis("no entry crosses 0", crossing)]

    def observe() -> Observation:
        known = course.loss > (ev.accuracy * ev.size_b) ** 2
        known[0] = False
        if not known.any():
            return "the loss is below the accuracy of the trajectory from the start", None
        slope = -np.log(course.loss[known] / course.loss[0]) / course.t[known]
        noise = 1e-9 / course.t[known]
        margin = slope + noise - bound.value * (1 - _SAMPLED)
        return f"least decline {slope.min():.4g}", bool((margin >= 0).all())

    return judge(name, hypotheses, f"{predicted}, c = {bound.value:.4g}", observe)


def _stretches(ev: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the fall of the loss, the change of theta, and which stretches are known well enough, and their times."""
    course = ev.course
    fall = -np.diff(course.loss)
    moved = np.linalg.norm(np.diff(_flat(ev, course), axis=0), axis=-1)
    noise = ev.accuracy * ev.size_b
    clear = np.abs(fall) > 1e3 * (noise * np.sqrt(np.maximum(course.loss[:-1], 0)) + noise**2)
    clear &= moved > 1e3 * ev.accuracy * np.linalg.norm(_flat(ev, course), axis=-1).max()
    return fall, moved, clear, np.diff(course.t)


def angle_condition(ev: Evidence) -> Verdict:
    """(51) with delta = 2 sqrt(a b) / (a + b) for rates between a and b, integrated over stretches."""

    def observe() -> Observation:
        fall, moved, clear, _ = _stretches(ev)
        if not clear.any():
            return "the trajectory does not move by more than its accuracy", None
        gradient, rates = _parts(ev, ev.inside)
        delta = float((2 * np.sqrt(rates.min(-1) * rates.max(-1)) / (rates.min(-1) + rates.max(-1))).min())
        # The length of a curve is at least the distance of its ends.
        least = np.linalg.norm(gradient, axis=-1).reshape(fall.size, -1).min(-1)
        ratio = fall[clear] / (delta * least * moved)[clear]
        return f"delta = {delta:.3g}, least quotient {ratio.min():.4g}", bool(ratio.min() >= 1 - _SAMPLED)

    predicted = "the loss falls by delta ||grad|| ||theta'|| or more"
    return judge("Theorem 3.12, (51)", [], predicted, observe, ev.no_course)


def rest_condition(ev: Evidence) -> Verdict:
    """(52) with its constant: ||theta'||^2 <= -b dL/dt, b the largest rate, integrated over stretches."""

    def observe() -> Observation:
        fall, moved, clear, duration = _stretches(ev)
        if not (moved > 1e3 * ev.accuracy).any() or not clear.any():
            return "the trajectory does not move by more than its accuracy", None
        largest = _parts(ev, ev.inside)[1].max(-1).reshape(fall.size, -1).max(-1)
        ratio = (moved**2 / (largest * duration))[clear] / fall[clear]
        worst = float(np.where(fall[clear] > 0, ratio, np.inf).max())
        return at_most("largest quotient", worst, 1 + _SAMPLED)

    predicted = "||theta'||^2 <= b |dL/dt|: no motion without descent"
    return judge("Theorem 3.12, (52)", [], predicted, observe, ev.no_course)


def lemma_3_13(ev: Evidence) -> Verdict:
    """(53) with its plus; for ||u|| of any size, eta_u counts over ||u||^2."""

    def observe() -> Observation:
        x, r = _factor(ev, ev.inside), np.abs(ev.inside.r)[:, None]
        g = _gradient(ev, x)
        along = x * ((x * g).sum(-1, keepdims=True) / r**2)
        f, time_scale = np.asarray(ev.network.ratio.f(r)), ev.form.time_scale
        return _mismatch(ev, _factor(ev, ev.course), -(f * along + time_scale * r**2 * (g - along)))

    predicted = "x' = -(eta_r P_x + eta_u ||x||^2 (I - P_x)) grad L(x)"
    return judge("Lemma 3.13, (53) corrected", [normalized(ev)], predicted, observe, ev.no_course)


def corollary_3_14(ev: Evidence) -> Verdict:
    """(54)."""

    def observe() -> Observation:
        x = _factor(ev, ev.inside)
        return _mismatch(ev, _factor(ev, ev.course), -ev.form.time_scale * ev.inside.r[:, None] ** 2 * _gradient(ev, x))

    return judge("Corollary 3.14, (54)", [square_law(ev)], "x' = -||x||^2 grad L(x)", observe, ev.no_course)


def local_rate_row(ev: Evidence) -> Verdict:
    """Near the limit R' = -K R: ||R|| falls at a rate between the extreme eigenvalues of K."""

    def observe() -> Observation:
        course = ev.course
        change = np.abs(ev.log_factor(course) - ev.log_factor(course)[-1]).max(-1)
        size = np.sqrt(course.loss / max(course.loss[0], 1e-300))
        usable = np.flatnonzero((change <= _NEAR) & (size > 1e2 * ev.accuracy))
        if usable.size < 2:
            return "no stretch is near the limit and above the accuracy of the trajectory", None
        first, last = usable[0], usable[-1]
        local = local_rate(ev.reached, ev.network, ev.theta0, ev.solution)
        duration = course.t[last] - course.t[first]
        slope = float(np.log(size[first] / size[last]) / duration)
        low, high = local.rate * (1 - _LOCAL), local.fastest * (1 + _LOCAL)
        return f"{slope:.4g} in [{local.rate:.4g}, {local.fastest:.4g}]", bool(low <= slope <= high)

    return judge("local rate", [moves_off_zero(ev)], "R' = -K R at the limit", observe, ev.no_course or ev.no_limit)
