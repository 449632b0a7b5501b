"""Rows of a verification for the equations of the flow: velocity, loss and rate of convergence.

Velocities are compared in integrated form: over an interval of the trajectory the change of a quantity is the integral
of its rate, by Gauss quadrature.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from polarbias.flow.trajectory import FlowState
from polarbias.networks import WeightNormalization
from polarbias.theory.evidence import OPTIONS, Evidence
from polarbias.theory.rates import local_rate, loss_rate
from polarbias.theory.statement import Hypothesis, square_law, weight_normalized
from polarbias.theory.verdict import Observation, PendingRow, Statement, at_most, register_check

EQUATIONS: list[Statement] = []
"""The statements in the order of the paper."""

statement = partial(register_check, EQUATIONS)


def _parameters(ev: Evidence, samples: FlowState) -> np.ndarray:
    """Return the parameters as rows: (r, u), or x without weight normalization."""
    if isinstance(ev.network, WeightNormalization):
        return np.column_stack([samples.theta.r, samples.theta.u])
    return np.asarray(ev.network.factor(samples.theta))


def _factor(ev: Evidence, samples: FlowState) -> np.ndarray:
    return np.asarray(ev.sign(samples) * np.exp(ev.log_factor(samples)))


def _gradient(ev: Evidence, x: np.ndarray) -> np.ndarray:
    """Return (23) for each row."""
    L = ev.form.depth
    return np.asarray(((x**L @ ev.matrix.T - ev.problem.b) @ ev.matrix) * x ** (L - 1))


def _gradient_and_rates(ev: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and rates of the parameters at the nodes, (24) and (25) under weight normalization, as rows."""
    theta = ev.inner.theta
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


def _compare_integral(ev: Evidence, states: np.ndarray, velocity: np.ndarray) -> Observation:
    """Compare the move of rows of states since the start with the integral of their velocity, relative to their size.

    The accuracy of log X leaves an error of the residual, which the fastest rate multiplies over long times.
    """
    off = states[1:] - states[0] - np.cumsum(ev.integral(velocity), axis=0)
    relative = np.linalg.norm(off, axis=-1) / np.linalg.norm(states, axis=-1).max()
    path, L = ev.trajectory, ev.form.depth
    fastest = L * np.linalg.norm(ev.matrix, 2) ** 2 * np.exp((2 * L - 2) * ev.log_factor(path).max())
    if not ev.form.plain:
        radial = float(np.max(ev.network.ratio.f(np.abs(path.r))))
        fastest *= max(radial, ev.form.time_scale * float((path.r**2).max()))
    allowed = OPTIONS.quadrature_factor * ev.accuracy + ev.accuracy / 100 * fastest * ev.marks[1:]
    worst = int(np.argmax(relative / allowed))
    text = f"relative difference {relative[worst]:.3g}, {allowed[worst]:.3g} allowed"
    return text, bool((relative <= allowed).all())


@statement("(10)", "the changes of theta are the integrals of -rate grad")
def vector_field(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the trajectory with the equations of the flow."""
    if not ev.form.plain:
        row.statement = "(12), (13)"
    row.undecided_if(ev.no_trajectory)
    gradient, rates = _gradient_and_rates(ev)
    return _compare_integral(ev, _parameters(ev, ev.trajectory), -rates * gradient)


@statement("Lemma 3.5, (31) corrected", "L(t) <= L(0) exp(-c t)")
def lemma_3_5(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the loss with (31) from t0 = 0 on, with its corrected power and rank."""
    row.undecided_if(ev.no_trajectory)
    path = ev.trajectory
    bound = loss_rate(ev.problem, ev.network, path.theta)
    row.predicted += f", c = {bound.value:.4g}"
    signs = np.sign(_parameters(ev, path))
    row.assume(*bound.hypotheses, Hypothesis("no entry crosses 0", bool((signs == signs[0]).all())))
    known = path.loss > (ev.accuracy * ev.size_b) ** 2
    known[0] = False
    row.undecided_if("" if known.any() else "the loss is below the accuracy of the trajectory from the start")
    slope = -np.log(path.loss[known] / path.loss[0]) / ev.marks[known]
    margin = slope + 1e-9 / ev.marks[known] - bound.value * (1 - OPTIONS.sampling_tol)
    return f"least decline {slope.min():.4g}", bool((margin >= 0).all())


def _moves(ev: Evidence, row: PendingRow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fall of the loss and the change of theta in each interval, and a mask of those above the accuracy."""
    row.undecided_if(ev.no_trajectory)
    path, theta = ev.trajectory, _parameters(ev, ev.trajectory)
    fall = -np.diff(path.loss)
    moved = np.linalg.norm(np.diff(theta, axis=0), axis=-1)
    error = ev.accuracy * ev.size_b
    clear = np.abs(fall) > 1e3 * (error * np.sqrt(np.maximum(path.loss[:-1], 0)) + error**2)
    clear &= moved > 1e3 * ev.accuracy * np.linalg.norm(theta, axis=-1).max()
    row.undecided_if("" if clear.any() else "the trajectory does not move by more than its accuracy")
    return fall, moved, clear


@statement("Theorem 3.12, (51)", "the loss falls by delta ||grad|| ||theta'|| or more")
def angle_condition(ev: Evidence, row: PendingRow) -> Observation:
    """Check (51) with delta = 2 sqrt(a b) / (a + b) for rates between a and b, integrated over intervals."""
    fall, moved, clear = _moves(ev, row)
    gradient, rates = _gradient_and_rates(ev)
    delta = float((2 * np.sqrt(rates.min(-1) * rates.max(-1)) / (rates.min(-1) + rates.max(-1))).min())
    # The length of a curve is at least the distance of its ends.
    least = np.linalg.norm(gradient, axis=-1).reshape(fall.size, -1).min(-1)
    ratio = fall[clear] / (delta * least * moved)[clear]
    return f"delta = {delta:.3g}, least quotient {ratio.min():.4g}", bool(ratio.min() >= 1 - OPTIONS.sampling_tol)


@statement("Theorem 3.12, (52)", "||theta'||^2 <= b |dL/dt|: no motion without descent")
def rest_condition(ev: Evidence, row: PendingRow) -> Observation:
    """Check (52) with its constant: ||theta'||^2 <= -b dL/dt, b the largest rate, integrated over intervals."""
    fall, moved, clear = _moves(ev, row)
    largest = _gradient_and_rates(ev)[1].max(-1).reshape(fall.size, -1).max(-1)
    ratio = (moved**2 / (largest * np.diff(ev.marks)))[clear] / fall[clear]
    worst = float(np.where(fall[clear] > 0, ratio, np.inf).max())
    return at_most("largest quotient", worst, 1 + OPTIONS.sampling_tol)


@statement("Lemma 3.13, (53) corrected", "x' = -(eta_r P_x + eta_u ||x||^2 (I - P_x)) grad L(x)")
def lemma_3_13(ev: Evidence, row: PendingRow) -> Observation:
    """Check (53) with a plus; for ||u|| of any norm the direction moves at eta_u / ||u||^2."""
    row.assume(weight_normalized(ev.form))
    row.undecided_if(ev.no_trajectory)
    x, r = _factor(ev, ev.inner), np.abs(ev.inner.r)[:, None]
    g = _gradient(ev, x)
    along = x * ((x * g).sum(-1, keepdims=True) / r**2)
    velocity = -(np.asarray(ev.network.ratio.f(r)) * along + ev.form.time_scale * r**2 * (g - along))
    return _compare_integral(ev, _factor(ev, ev.trajectory), velocity)


@statement("Corollary 3.14, (54)", "x' = -||x||^2 grad L(x)")
def corollary_3_14(ev: Evidence, row: PendingRow) -> Observation:
    """Check (54)."""
    row.assume(square_law(ev.form))
    row.undecided_if(ev.no_trajectory)
    velocity = -ev.form.time_scale * ev.inner.r[:, None] ** 2 * _gradient(ev, _factor(ev, ev.inner))
    return _compare_integral(ev, _factor(ev, ev.trajectory), velocity)


@statement("local rate", "R' = -K R at the limit")
def local_convergence(ev: Evidence, row: PendingRow) -> Observation:
    """Compare the rate of ||R|| near the limit with the extreme eigenvalues of K in R' = -K R."""
    row.assume(ev.nonzero_limit)
    row.undecided_if(ev.no_trajectory or ev.no_limit)
    path, log_factor = ev.trajectory, ev.log_factor(ev.trajectory)
    change = np.abs(log_factor - log_factor[-1]).max(-1)
    size = np.sqrt(path.loss / max(path.loss[0], 1e-300))
    usable = np.flatnonzero((change <= OPTIONS.near_tol) & (size > 1e2 * ev.accuracy))
    row.undecided_if(
        "" if usable.size > 1 else "no interval is near the limit and above the accuracy of the trajectory"
    )
    first, last = usable[0], usable[-1]
    local = local_rate(ev.reached, ev.network, ev.theta0, ev.solution)
    slope = float(np.log(size[first] / size[last]) / (ev.marks[last] - ev.marks[first]))
    low, high = local.rate * (1 - OPTIONS.local_tol), local.fastest * (1 + OPTIONS.local_tol)
    return f"{slope:.4g} in [{local.rate:.4g}, {local.fastest:.4g}]", bool(low <= slope <= high)
