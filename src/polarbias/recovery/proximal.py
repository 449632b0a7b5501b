r"""Proximal point steps for basis pursuit, each by a semismooth Newton method on M dual variables.

A step of length s from x leads to the minimizer of :math:`\lVert z \rVert_1 + \lVert z - x \rVert_2^2 / (2 s)` over
A z = b. Its dual is a monotone, piecewise linear system,

.. math:: A\, \mathrm{shrink}_s(x + s A^\top y) = b,

with the Newton matrix s A_J A_J^T, where J is the support of the soft-thresholded vector. For a constraint
:math:`\lVert A z - b \rVert \le \sigma`, the left-hand side gains :math:`\sigma y / \lVert y \rVert`. The objective
is polyhedral, so finitely many steps suffice, and one step from 0 if s is large enough.

References
----------
Rockafellar, Monotone operators and the proximal point algorithm (1976). Li, Sun, Toh, A highly efficient semismooth
Newton augmented Lagrangian method for Lasso problems (2018). Friedlander, Tseng, Exact regularization of convex
programs (2007).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator

import numpy as np
from scipy import optimize

from polarbias.linalg.columns import Columns
from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.recovery.options import OPTIONS
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem

_LONGEST_RAY = 1e20  # a minimizer farther away than this does not exist


def proximal_step(
    problem: ScaledProblem, start: Iterate, length: float, newton_steps: int
) -> Generator[Iterate | None, None, tuple[Iterate, int, bool]]:
    """Make a step of ``length`` s from ``start.x``; return its end, the Newton steps, and True if it is solved.

    The generator yields the iterates of Newton's method, from ``start.y`` on, and None before each factorization. It
    raises `InfeasibleSystem` if the dual is unbounded.
    """
    y, correlations, scale = start.y, start.correlations, float(np.linalg.norm(problem.b))
    made = 0
    while True:
        v = start.x + length * correlations
        x = problem.soft_threshold(v, length)
        support = np.flatnonzero(x)
        columns = problem.columns.take(support)
        residual = problem.b - columns.apply(x[support])
        iterate = problem.measure(x, y, correlations, float(np.linalg.norm(residual)))
        size = float(np.linalg.norm(y))
        if problem.sigma:
            residual = residual - (problem.sigma / size) * y
        solved = bool(np.linalg.norm(residual) <= OPTIONS.proximal_residual * scale)
        if solved or made == newton_steps:
            return iterate, made, solved
        yield iterate
        yield None
        made += 1
        direction = _newton_direction(columns, residual / length, y, size, problem.sigma / length)
        change = problem.columns.adjoint(direction)
        moved = _exact_step(problem, v, length, change, y, direction)
        if moved <= 0:
            return iterate, made, False
        y = y + moved * direction
        correlations = correlations + moved * change


def _newton_direction(columns: Columns, residual: np.ndarray, y: np.ndarray, size: float, sigma: float) -> np.ndarray:
    """Return Newton's direction, for the matrix A_J A_J^T + sigma (I - u u^T) / ||y|| + damping I, u = y / ||y||."""
    if not sigma:
        return columns.normal_solver(OPTIONS.damping)(residual)
    curvature, unit = sigma / size, y / size
    solved = columns.normal_solver(OPTIONS.damping + curvature)(np.stack([residual, unit], axis=-1)).T
    # The formula of Sherman and Morrison removes the curvature along y.
    along = float(unit @ solved[0]) * curvature / (1 - curvature * float(unit @ solved[1]))
    return np.asarray(solved[0] + along * solved[1])


def _exact_step(
    problem: ScaledProblem, v: np.ndarray, length: float, change: np.ndarray, y: np.ndarray, direction: np.ndarray
) -> float:
    """Return the minimizer of the dual function on a ray; its derivative increases and is linear between kinks.

    For sigma > 0 the derivative is nonlinear, and the interval between two kinks is searched.
    """
    gain = float(problem.b @ direction)

    def derivative(t: float) -> float:
        slope = float(problem.soft_threshold(v + (length * t) * change, length) @ change) - gain
        if problem.sigma:
            there = y + t * direction
            slope += problem.sigma * float(there @ direction) / float(np.linalg.norm(there))
        return slope

    threshold = length * problem.bound
    kinks = (threshold - v) / (length * change)
    if not problem.nonnegative:
        kinks = np.concatenate([kinks, (-threshold - v) / (length * change)])
    kinks = np.sort(kinks[(kinks > 0) & np.isfinite(kinks)])
    low = bisect_left(kinks, 0.0, key=derivative)
    left = kinks[low - 1] if low else 0.0
    right = kinks[low] if low < kinks.size else 2 * left + 1
    if problem.sigma:
        return _root(derivative, float(left), float(right), direction)
    at_left, at_right = derivative(left), derivative(right)
    if not at_right > at_left:
        if low == kinks.size:
            raise InfeasibleSystem(direction)
        return float(right)
    return float(left - at_left * (right - left) / (at_right - at_left))


def _root(derivative: Callable[[float], float], left: float, right: float, direction: np.ndarray) -> float:
    """Return the root of the derivative along a direction, right of ``left``."""
    if derivative(left) >= 0:
        return left
    while derivative(right) < 0:
        left, right = right, 4 * right
        if right > _LONGEST_RAY:
            raise InfeasibleSystem(direction)
    root, _ = optimize.brentq(derivative, left, right, rtol=1e-14, xtol=1e-300, full_output=True, disp=False)
    return float(root)
