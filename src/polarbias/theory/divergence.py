"""Rows of a verification for Bregman divergences: Definition 3.15 to Lemma 3.18 of arXiv:2305.05448v1."""

from __future__ import annotations

from functools import partial

import numpy as np

from polarbias.mirror.potential import Potential
from polarbias.theory.endpoint import halves, log
from polarbias.theory.evidence import OPTIONS, Evidence
from polarbias.theory.lemmas import solved_at_end
from polarbias.theory.statement import depth_at_least, square_law
from polarbias.theory.verdict import Observation, PendingRow, Statement, at_most, register_check

DIVERGENCES: list[Statement] = []
"""The statements in the order of the paper."""

statement = partial(register_check, DIVERGENCES)


@statement("Lemma 3.16", "D_F >= 0, D_F((X_0 + X) / 2, X_0) < D_F(X, X_0) / 2")
def lemma_3_16(ev: Evidence, row: PendingRow) -> Observation:
    """Check D_F >= 0, and strict convexity in the first argument at the middle between start and end."""
    row.assume(depth_at_least(ev.form, 2))
    start = np.exp(ev.form.log_start)
    end = np.exp(ev.end.log_x) if ev.form.signed else ev.x
    if not (end >= 0).all():
        return f"D_F is not defined: X has the entry {end.min():.3g}", False
    middle, whole, own = (
        ev.potential.bregman(log_z, ev.form.log_start)
        for log_z in (log((start + end) / 2), log(end), ev.form.log_start)
    )
    text = f"D_F(X_end, X_0) = {whole:.4g}, of the middle {middle:.4g}"
    convex = bool(middle < whole / 2 or not np.abs(end - start).max() > 1e-6 * start.max())
    return text, bool(whole >= 0 and middle >= 0 and own <= 1e-15 * (1 + whole) and convex)


def _compare_fall(ev: Evidence, potential: Potential, rate: np.ndarray) -> Observation:
    """Compare the fall of the divergence from a minimal l1 solution with the integral of its rate."""
    assert ev.least is not None
    log_z = log(np.maximum(halves(ev.least.x, ev.form), 0.0))
    divergence = potential.bregman(log_z, ev.states[0])
    fall, predicted = divergence[0] - divergence[1:], np.cumsum(ev.integral(rate))
    # The accuracy of log X limits that of the divergence.
    scale = np.abs(predicted).max() + 1e3 * ev.accuracy * divergence.max()
    worst = float(np.abs(fall - predicted).max() / scale)
    text = f"from {divergence[0]:.4g} to {divergence[-1]:.4g}, largest relative difference"
    return at_most(text, worst, OPTIONS.divergence_tol)


@statement("Lemma 3.17, (56)", "d/dt D_F(z, X) = -2 L ||x||^2 loss")
def lemma_3_17(ev: Evidence, row: PendingRow) -> Observation:
    """Check (56) for eta_r = r^2."""
    row.assume(depth_at_least(ev.form, 2), square_law(ev.form), ev.reachable)
    row.undecided_if(ev.no_trajectory)
    L = ev.form.depth
    # (57) is the potential of the plain flow; another reference radius would multiply it by a constant.
    return _compare_fall(ev, Potential(L), ev.form.time_scale * 2 * L * ev.inner.r**2 * ev.inner.loss)


@statement("(56), any ratio law", "d/dt D_F(z, X) = -kappa ||R||^2")
def monotonicity(ev: Evidence, row: PendingRow) -> Observation:
    """Check (56) for every ratio law, and without weight normalization."""
    row.assume(depth_at_least(ev.form, 2), ev.reachable)
    row.undecided_if(ev.no_trajectory)
    rate = ev.potential.kappa(np.asarray(ev.inner.log_x)) * 2 * ev.form.depth * ev.inner.loss
    return _compare_fall(ev, ev.potential, rate)


@statement("Lemma 3.18 corrected", "the loss tends to 0")
def lemma_3_18(ev: Evidence, row: PendingRow) -> Observation:
    """Check that the loss tends to 0 for eta_r = r^2 from positive starts."""
    row.assume(depth_at_least(ev.form, 2), square_law(ev.form), ev.nonzero, ev.reachable)
    row.undecided_if(ev.no_limit)
    return solved_at_end(ev)
