r"""Proximal point steps for basis pursuit, each by Newton's method on M dual variables.

From a point x a step of length s leads to the minimiser of :math:`\lVert z \rVert_1 + \lVert z - x \rVert_2^2 / (2 s)`
over A z = b, and its dual asks for a root of

.. math:: A\, \mathrm{shrink}_s(x + s A^\top y) = b,

a monotone, piecewise linear system, whose Newton matrix is s A_J A_J^T with J the entries that shrinking leaves. It is
the mirror step of this library with the potential ||.||^2 / 2 in place of the entropy: being polyhedral, it ends after
finitely many steps, and one step from 0 suffices once s is large enough.

References
----------
Rockafellar, Monotone operators and the proximal point algorithm (1976). Li, Sun, Toh, A highly efficient semismooth
Newton augmented Lagrangian method for Lasso problems (2018). Friedlander, Tseng, Exact regularization of convex
programs (2007).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg

from polarbias.pursuit.task import Point, Task

SOLVED = 1e-11
"""Residual, relative to b, to which a proximal step is solved."""

DAMPING = 1e-6
"""Weight of the identity in Newton's matrix, in units of a column's squared norm times s.

Directions that no active column spans get steps this much longer; the exact line search cuts them where a column
becomes active.
"""


class Unbounded(Exception):
    """The dual is unbounded along ``direction``: no signal solves A x = b."""

    def __init__(self, direction: np.ndarray) -> None:
        super().__init__("no signal solves A x = b")
        self.direction = direction


def proximal_step(
    task: Task, point: Point, length: float, newton_steps: int, most_active: int, stop: Callable[[], bool]
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
    most_active
        Give up where more entries are active.
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
        columns = task.columns[active]
        residual = task.b - x[active] @ columns
        solved = bool(np.linalg.norm(residual) <= SOLVED * scale)
        if solved or made == newton_steps or active.size > most_active or stop():
            break
        direction = _newton_direction(columns, residual / length)
        along = task.columns @ direction
        moved = _exact_step(task, v, length, along, direction)
        if moved <= 0:
            break
        y = y + moved * direction
        slopes = slopes + moved * along
    return Point(x, y, slopes), made, solved


def _newton_direction(columns: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return (A_J A_J^T + damping I)^-1 residual, by the smaller of two Gram matrices."""
    k, m = columns.shape
    if not k:
        return residual
    if k <= m:
        factor = _factor(columns @ columns.T)
        return np.asarray(
            (residual - linalg.cho_solve(factor, columns @ residual, check_finite=False) @ columns) / DAMPING
        )
    return np.asarray(linalg.cho_solve(_factor(columns.T @ columns), residual, check_finite=False))


def _factor(gram: np.ndarray) -> tuple[np.ndarray, bool]:
    gram[np.diag_indices_from(gram)] += DAMPING
    return linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)  # type: ignore[no-any-return]


def _exact_step(task: Task, v: np.ndarray, length: float, along: np.ndarray, direction: np.ndarray) -> float:
    """Return the minimiser of the dual function on a ray: its derivative is piecewise linear and increases."""
    gain = float(task.b @ direction)

    def derivative(t: float) -> float:
        return float(task.shrunk(v + (length * t) * along, length) @ along) - gain

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
    at_left, at_right = derivative(left), derivative(right)
    if not at_right > at_left:
        if low == kinks.size:
            raise Unbounded(direction)
        return float(right)
    return float(left - at_left * (right - left) / (at_right - at_left))
