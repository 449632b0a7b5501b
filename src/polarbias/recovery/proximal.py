r"""Proximal point steps for basis pursuit, each by Newton's method on M dual variables.

From a point x a step of length s leads to the minimiser of :math:`\lVert z \rVert_1 + \lVert z - x \rVert_2^2 / (2 s)`
over A z = b, and its dual asks for a root of

.. math:: A\, \mathrm{shrink}_s(x + s A^\top y) = b,

a monotone, piecewise linear system, whose Newton matrix is s A_J A_J^T with J the entries that shrinking leaves. Where
:math:`\lVert A z - b \rVert \le \sigma` is asked for, :math:`\sigma y / \lVert y \rVert` comes in addition on the left.
It is the mirror step of this library with the potential ||.||^2 / 2 in place of the entropy: being polyhedral, it ends
after finitely many steps, and one step from 0 suffices once s is large enough.

References
----------
Rockafellar, Monotone operators and the proximal point algorithm (1976). Li, Sun, Toh, A highly efficient semismooth
Newton augmented Lagrangian method for Lasso problems (2018). Friedlander, Tseng, Exact regularization of convex
programs (2007).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize

from polarbias.linalg.columns import Columns
from polarbias.recovery.task import Point, Task

SOLVED = 1e-11
"""Residual, relative to b, to which a proximal step is solved."""

DAMPING = 1e-6
"""Weight of the identity in Newton's matrix, in units of a column's squared norm times s.

Directions that no active column spans get steps this much longer; the exact line search cuts them where a column
becomes active.
"""


FARTHEST = 1e20
"""A step this long means that nothing bounds it."""


class Unbounded(Exception):
    """The dual is unbounded along ``direction``: no signal solves A x = b."""

    def __init__(self, direction: np.ndarray) -> None:
        super().__init__("no signal solves A x = b")
        self.direction = direction


def proximal_step(
    task: Task, point: Point, length: float, newton_steps: int, stop: Callable[[], bool]
) -> tuple[Point, int, bool]:
    """Make a proximal point step; return its end, Newton's steps, and whether it was solved.

    Parameters
    ----------
    task
        The problem, columns of norm about 1.
    point
        Where it begins; y and slopes are the first guess.
    length
        s.
    newton_steps
        Most steps of Newton's method.
    stop
        Asked before each Newton step.

    Raises
    ------
    Unbounded
        No signal solves A x = b.
    """
    y, slopes = point.y, point.slopes
    scale = float(np.linalg.norm(task.b))
    for made in range(newton_steps + 1):
        v = point.x + length * slopes
        x = task.shrunk(v, length)
        active = np.flatnonzero(x)
        columns = task.columns.take(active)
        residual = task.b - columns.apply(x[active])
        size = float(np.linalg.norm(y))
        if task.sigma:
            residual = residual - (task.sigma / size) * y
        solved = bool(np.linalg.norm(residual) <= SOLVED * scale)
        if solved or made == newton_steps or stop():
            break
        direction = _newton_direction(columns, residual / length, y, size, task.sigma / length)
        along = task.columns.adjoint(direction)
        moved = _exact_step(task, v, length, along, y, direction)
        if moved <= 0:
            break
        y = y + moved * direction
        slopes = slopes + moved * along
    return Point(x, y, slopes), made, solved


def _newton_direction(columns: Columns, residual: np.ndarray, y: np.ndarray, size: float, sigma: float) -> np.ndarray:
    """Return Newton's direction, for the matrix A_J A_J^T + sigma (I - u u^T) / ||y|| + damping I, u = y / ||y||."""
    if not sigma:
        return columns.normal_solver(DAMPING)(residual)
    curvature, unit = sigma / size, y / size
    solved = columns.normal_solver(DAMPING + curvature)(np.stack([residual, unit], axis=-1)).T
    # Sherman and Morrison's formula takes the curvature along y out again.
    along = float(unit @ solved[0]) * curvature / (1 - curvature * float(unit @ solved[1]))
    return np.asarray(solved[0] + along * solved[1])


def _exact_step(
    task: Task, v: np.ndarray, length: float, along: np.ndarray, y: np.ndarray, direction: np.ndarray
) -> float:
    """Return the minimiser of the dual function on a ray: its derivative increases, linearly between kinks.

    The norm of y, if sigma is not 0, makes it curved: then the interval between two kinks is searched.
    """
    gain = float(task.b @ direction)

    def derivative(t: float) -> float:
        slope = float(task.shrunk(v + (length * t) * along, length) @ along) - gain
        if task.sigma:
            there = y + t * direction
            slope += task.sigma * float(there @ direction) / float(np.linalg.norm(there))
        return slope

    threshold = length * task.bound
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = (threshold - v) / (length * along)
        if not task.nonnegative:
            kinks = np.concatenate([kinks, (-threshold - v) / (length * along)])
    kinks = np.sort(kinks[(kinks > 0) & np.isfinite(kinks)])
    low, high = 0, kinks.size
    while low < high:
        middle = (low + high) // 2
        if derivative(kinks[middle]) >= 0:
            high = middle
        else:
            low = middle + 1
    left = kinks[low - 1] if low else 0.0
    right = kinks[low] if low < kinks.size else 2 * left + 1
    if task.sigma:
        return _root(derivative, float(left), float(right), direction)
    at_left, at_right = derivative(left), derivative(right)
    if not at_right > at_left:
        if low == kinks.size:
            raise Unbounded(direction)
        return float(right)
    return float(left - at_left * (right - left) / (at_right - at_left))


def _root(derivative: Callable[[float], float], left: float, right: float, direction: np.ndarray) -> float:
    """Return where the derivative along a direction is 0; beyond ``right`` if need be."""
    if derivative(left) >= 0:
        return left
    while derivative(right) < 0:
        left, right = right, 4 * right
        if right > FARTHEST:
            raise Unbounded(direction)
    root, _ = optimize.brentq(derivative, left, right, rtol=1e-14, xtol=1e-300, full_output=True, disp=False)
    return float(root)
