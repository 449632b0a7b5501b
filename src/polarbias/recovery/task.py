r"""One problem as its solvers see it: weights 1, b and the columns of A of size 1.

With columns a_n / w_n in place of a_n the problem

.. math:: \min_x \sum_n w_n |x_n| \quad \text{subject to} \quad A x = b

has weights 1 and the solution w_n x_n. Columns of weight 0 stay as they are, with the bound 0 on a_n^T y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polarbias.linalg.columns import Columns

ROUNDING = 2e-15
"""Share of b by which rounding may change a residual."""


@dataclass(frozen=True)
class Task:
    r"""min sum bound \|x\| subject to A x = b; its dual is max b^T y subject to \|A^T y\| <= bound.

    Attributes
    ----------
    columns
        Those of A.
    b
        Right-hand side, shape ``(M,)``.
    bound
        Bounds of A^T y, shape ``(N,)``, 1 or 0.
    nonnegative
        Whether x >= 0 is required; the dual is A^T y <= bound then.
    sigma
        Largest \|\|A x - b\|\|; where it is not 0, the dual's objective is b^T y - sigma \|\|y\|\|.
    """

    columns: Columns
    b: np.ndarray
    bound: np.ndarray
    nonnegative: bool
    sigma: float = 0.0

    @property
    def radius(self) -> float:
        """The largest distance from b at which rounding does not lead beyond sigma."""
        return max(self.sigma / 2, self.sigma - ROUNDING * float(np.linalg.norm(self.b)))

    @property
    def m(self) -> int:
        """Number of equations."""
        return int(self.b.size)

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return int(self.bound.size)

    def shrunk(self, v: np.ndarray, by: float) -> np.ndarray:
        """Return the point next to v in the l1 norm's proximal sense: v moved by ``by * bound`` towards 0."""
        threshold = by * self.bound
        if self.nonnegative:
            return np.asarray(np.maximum(v - threshold, 0.0))
        return np.asarray(v - np.clip(v, -threshold, threshold))

    def image(self, x: np.ndarray) -> np.ndarray:
        """Return A x, from those columns that count."""
        support = np.flatnonzero(x)
        return self.columns.take(support).apply(x[support])

    def excess(self, slopes: np.ndarray) -> float:
        """Return how far A^T y is above its bounds, at most; negative inside."""
        size = slopes if self.nonnegative else np.abs(slopes)
        return float((size - self.bound).max())


@dataclass
class Point:
    """A primal and a dual vector, with what was computed of them."""

    x: np.ndarray
    y: np.ndarray
    slopes: np.ndarray  # A^T y
    missed: float | None = None  # ||b - A x||

    def measure(self, task: Task) -> tuple[float, float, float]:
        """Return relative gap, residual above sigma (relative to it, or to b if it is 0), and excess of the bounds."""
        value = float(task.bound @ np.abs(self.x))
        excess = max(task.excess(self.slopes), 0.0)
        lower = float(task.b @ self.y - task.sigma * np.linalg.norm(self.y)) / (1 + excess)
        if self.missed is None:
            self.missed = float(np.linalg.norm(task.b - task.image(self.x)))
        residual = max(self.missed - task.sigma, 0.0) / (task.sigma or float(np.linalg.norm(task.b)))
        gap = (value - lower) / value if value else (np.inf if lower else 0.0)
        return gap, residual, excess
