"""Bregman divergences as rows of a verification: Definition 3.15 to Lemma 3.18 of arXiv:2305.05448v1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polarbias.mirror.potential import Potential
from polarbias.theory.ends import depth_at_least, halves
from polarbias.theory.equations import square_law
from polarbias.theory.evidence import Evidence
from polarbias.theory.lemmas import at_most, solved_at_end
from polarbias.theory.statement import Hypothesis
from polarbias.theory.verdict import Observation, Verdict, judge

_RATE = 1e-3  # relative difference of the fall of the divergence from the integral of its rate


def divergences(ev: Evidence) -> Iterator[Verdict]:
    """Yield the rows in the order of the paper."""
    yield lemma_3_16(ev)
    yield lemma_3_17(ev)
    yield monotonicity(ev)
    yield lemma_3_18(ev)


def reachable(ev: Evidence) -> Hypothesis:
    """Return the hypothesis that S+ is not empty; the end of a solution may be the proof."""
    return Hypothesis("S+ = {z >= 0, A z = b} is not empty", ev.least is not None)


def nonzero(ev: Evidence) -> Hypothesis:
    """Return the hypothesis b != 0."""
    return Hypothesis.above("||b|| > 0", ev.size_b, 0.0)


def _logs(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(x))


def _log_point(ev: Evidence) -> np.ndarray:
    """Return the logarithms of a point of S+, at depth 2 and above: a minimal l1 solution."""
    assert ev.least is not None
    return _logs(np.maximum(halves(ev.least.x, ev.form), 0.0))


def lemma_3_16(ev: Evidence) -> Verdict:
    """D_F >= 0, and strict convexity in its first argument, seen at the middle between start and end."""

    def observe() -> Observation:
        start = np.exp(ev.form.log_start)
        x = np.asarray(ev.solution.x, np.float64)
        end = np.exp(ev.end.log_x) if ev.form.signed else x
        if not (end >= 0).all():
            return f"D_F is not defined: X has the entry {end.min():.3g}", False
        middle = ev.potential.bregman(_logs((start + end) / 2), ev.form.log_start)
        whole = ev.potential.bregman(_logs(end), ev.form.log_start)
        own = ev.potential.bregman(ev.form.log_start, ev.form.log_start)
        text = f"D_F(X_end, X_0) = {whole:.4g}, of the middle {middle:.4g}"
        convex = bool(middle < whole / 2 or not np.abs(end - start).max() > 1e-6 * start.max())
        return text, bool(whole >= 0 and middle >= 0 and own <= 1e-15 * (1 + whole) and convex)

    hypotheses = [depth_at_least(ev.form, 2)]
    return judge("Lemma 3.16", hypotheses, "D_F >= 0, D_F((X_0 + X) / 2, X_0) < D_F(X, X_0) / 2", observe)


def _falls(ev: Evidence, potential: Potential, rate: np.ndarray) -> Observation:
    """Compare the fall of the divergence from a point of S+ since the start with the integral of its rate."""
    divergence = potential.bregman(_log_point(ev), ev.course.log_x)
    fall, predicted = divergence[0] - divergence[1:], np.cumsum(ev.integral(rate))
    # What the accuracy of log X leaves of the divergence.
    scale = np.abs(predicted).max() + 1e3 * ev.accuracy * divergence.max()
    worst = float(np.abs(fall - predicted).max() / scale)
    return at_most(f"from {divergence[0]:.4g} to {divergence[-1]:.4g}, largest relative difference", worst, _RATE)


def lemma_3_17(ev: Evidence) -> Verdict:
    """(56) itself, for eta_r = r^2."""
    L = ev.form.depth

    def observe() -> Observation:
        # (57) is the potential of the plain flow; another reference radius would multiply it by a constant.
        return _falls(ev, Potential(L), ev.form.time_scale * 2 * L * ev.inside.r**2 * ev.inside.loss)

    hypotheses = [depth_at_least(ev.form, 2), square_law(ev), reachable(ev)]
    return judge("Lemma 3.17, (56)", hypotheses, "d/dt D_F(z, X) = -2 L ||x||^2 loss", observe, ev.no_course)


def monotonicity(ev: Evidence) -> Verdict:
    """(56) for every ratio law, and without weight normalization."""
    L = ev.form.depth

    def observe() -> Observation:
        return _falls(ev, ev.potential, ev.potential.kappa(ev.inside.log_x) * 2 * L * ev.inside.loss)

    hypotheses = [depth_at_least(ev.form, 2), reachable(ev)]
    return judge("(56), any ratio law", hypotheses, "d/dt D_F(z, X) = -kappa ||R||^2", observe, ev.no_course)


def lemma_3_18(ev: Evidence) -> Verdict:
    """Hold the loss at the end to 0 for eta_r = r^2, from positive starts, as they all are here."""
    hypotheses = [depth_at_least(ev.form, 2), square_law(ev), nonzero(ev), reachable(ev)]
    return judge("Lemma 3.18 corrected", hypotheses, "the loss tends to 0", lambda: solved_at_end(ev), ev.no_limit)
