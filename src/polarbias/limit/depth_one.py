r"""Limit at depth 1, linear regression: the part of x in the null space of A keeps its direction.

.. math:: X = A^+ b + c\, (I - P_A) x_0, \qquad S \left( 1 - k e^{-2 E(\sqrt S)} \right) = \lVert A^+ b \rVert^2,
          \qquad k = e^{2 E(r_0)} \lVert (I - P_A) u_0 \rVert^2,

with S = ||X||^2 and P_A the projection onto the rows of A. The root S is unique; the sign of c is the sign of r at the
end, because at depth 1 the radius can cross zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from polarbias.errors import InvalidInput
from polarbias.linalg import normal_equations
from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem
from polarbias.solution import CollapseStatus


@dataclass(frozen=True)
class Options:
    """Constants of the limit at depth 1."""

    largest_log: float = 695.0
    """Bound on the logarithm of delta in the search for the root: e^695 and e^-695 are floats."""

    null_norm_threshold: float = 1e-14
    """Norm of the part of u0 in the null space of A below which it is rounding."""

    loss_margin: float = 1e-8
    """Relative fall of the squared loss below that of X = 0 after which r cannot return to 0."""

    vanished_threshold: float = 1e-9
    """Share of r0 below which r counts as 0 under laws with f(0) = 0."""

    rtol: float = 1e-10
    """Relative tolerance of the integration, which decides a sign only: `loss_margin` is 100 times as large."""


OPTIONS = Options()


def linear_limit(problem: LinearProblem, form: ReducedForm) -> tuple[np.ndarray, float, CollapseStatus]:
    """Return X (shape ``(n,)``, both halves of a difference), the radius, and the reason why the sign of c is known.

    Raises
    ------
    InvalidInput
        A is not dense.
    InfeasibleSystem
        b is not in the range of A.
    """
    if not isinstance(problem.A, np.ndarray):
        raise InvalidInput("the limit at depth 1 needs a dense matrix: pass A.toarray().")
    A = np.asarray(problem.A, np.float64)
    A = np.concatenate([A, -A], axis=1) if form.signed else A
    b = np.asarray(problem.b, np.float64)
    left, values, right = linalg.svd(A, full_matrices=False)
    kept = values > max(A.shape) * np.finfo(float).eps * values[0]
    left, values, right = left[:, kept], values[kept], right[kept]
    outside = b - left @ (left.T @ b)
    if np.linalg.norm(outside) > normal_equations.OPTIONS.range_tol * np.linalg.norm(b):
        raise InfeasibleSystem(outside)
    least = right.T @ (left.T @ b / values)
    u0 = form.sign * np.exp(form.log_u0)
    null_part = u0 - right.T @ (right @ u0)
    null_part -= right.T @ (right @ null_part)  # the second projection removes rounding
    a, size = float(least @ least), float(np.linalg.norm(null_part))
    if size < OPTIONS.null_norm_threshold:  # the start lies in the rows of A
        return least, float(np.sqrt(a)), CollapseStatus.LOSS
    S, log_share = _square(form, a, 2 * np.log(size))
    reason = _sign_known(form, a, b, A, u0, 2 * np.log(size))
    sign = 1.0
    if reason is None:
        sign, reason = _integrated_sign(form, left, values, right, b, u0, size)
    c = sign * np.sqrt(S) * np.exp(log_share / 2)
    return least + c * null_part / size, float(np.sqrt(S)), reason


def _square(form: ReducedForm, a: float, log_size: float) -> tuple[float, float]:
    """Return S and the logarithm of the share of it in the null space, k e^(-2E) = e^-delta."""
    log_k = 2 * float(form.E(form.r0**2)) + log_size
    low = max(2 * float(form.E(0.0)) - log_k, 0.0)
    if a == 0:
        return (float(form.E_inverse(log_k / 2)), 0.0) if low == 0 else (0.0, 0.0)

    highest = float(form.E(np.inf))

    def S(delta: float) -> float:
        E = (log_k + delta) / 2
        return float(form.E_inverse(E)) if highest > E else np.inf

    def excess(log_t: float) -> float:
        delta = low + float(np.exp(log_t))
        s = S(delta)
        if not 0 < s < np.inf:
            return -1e300 if s == 0 else 1e300
        return float(np.log(s) + np.log(-np.expm1(-delta)) - np.log(a))

    # S rises with delta from 0, where the share in the null space is all.
    high = 2 * float(form.E(a)) - log_k - low
    top = np.log(max(2 * high, 1.0)) + 1.0
    while excess(top) < 0 and top < OPTIONS.largest_log:
        top += 1.0
    root = brentq(excess, -OPTIONS.largest_log, top, xtol=1e-15, rtol=4 * np.finfo(float).eps, maxiter=500)
    delta = low + float(np.exp(root))
    return S(delta), -delta


def _sign_known(
    form: ReducedForm, a: float, b: np.ndarray, A: np.ndarray, u0: np.ndarray, log_size: float
) -> CollapseStatus | None:
    """Return the reason why r cannot cross zero, or None."""
    lowest = float(form.E(0.0))
    if lowest == -np.inf:
        return CollapseStatus.LAW
    if 2 * float(form.E(form.r0**2)) + log_size > 2 * lowest:
        return CollapseStatus.KERNEL
    if np.linalg.norm(A @ (form.r0 * u0) - b) < np.linalg.norm(b) or a == 0:
        return CollapseStatus.LOSS
    return None


def _integrated_sign(
    form: ReducedForm,
    left: np.ndarray,
    values: np.ndarray,
    right: np.ndarray,
    b: np.ndarray,
    u0: np.ndarray,
    size: float,
) -> tuple[float, CollapseStatus]:
    """Integrate r and u, in the coordinates of the rows, until the loss excludes r = 0; return the sign of r."""
    target = left.T @ b

    def rhs(_: float, state: np.ndarray) -> np.ndarray:
        r, inside, outside = state[0], state[1:-1], state[-1]
        g = values * (values * r * inside - target)
        radial = float(inside @ g)
        f = float(form.f(r * r))
        return np.concatenate([[-f * radial], -r * (g - radial * inside), [r * radial * outside]])

    def sign_decided(_: float, state: np.ndarray) -> float:
        misfit = values * state[0] * state[1:-1] - target
        return float(misfit @ misfit) - (1 - OPTIONS.loss_margin) * float(target @ target)

    def vanishes(_: float, state: np.ndarray) -> float:
        return float(state[0]) - OPTIONS.vanished_threshold * form.r0

    sign_decided.terminal = True  # type: ignore[attr-defined]
    # Where f(0) = 0 the radius cannot cross zero, and X = 0 is a stationary point.
    vanishes.terminal = float(form.f(0.0)) == 0  # type: ignore[attr-defined]
    unit = 1 / (values[0] ** 2 * max(form.r0**2, float(form.f(form.r0**2))))
    start = np.concatenate([[form.r0], right @ u0, [size]])
    found = solve_ivp(
        rhs,
        (0.0, 1e9 * unit),
        start,
        method="LSODA",
        events=(sign_decided, vanishes),
        rtol=OPTIONS.rtol,
        atol=1e-3 * OPTIONS.rtol,
    )
    if found.status != 1:
        return 1.0, CollapseStatus.UNDECIDED
    if not found.t_events[0].size:
        falls = (values * found.y_events[1][0][1:-1]) @ target < 0
        return 1.0, CollapseStatus.COLLAPSES if falls else CollapseStatus.UNDECIDED
    return float(np.sign(found.y_events[0][0][0])), CollapseStatus.INTEGRATED
