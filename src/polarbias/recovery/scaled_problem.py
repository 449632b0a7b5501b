"""The scaled problem that all stages solve, and its iterates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polarbias.linalg.columns import Columns


@dataclass(frozen=True, eq=False)
class Iterate:
    """A primal-dual pair with ``correlations`` A^T y, ``value`` bound^T |x| and its accuracy, as in `Pursuit`.

    ``interior`` is True for an interior point, all of whose entries are nonzero.
    """

    x: np.ndarray
    y: np.ndarray
    correlations: np.ndarray
    value: float
    gap: float
    residual: float
    dual_infeasibility: float
    interior: bool = False

    @property
    def error(self) -> float:
        """The largest of gap, residual and dual infeasibility."""
        return max(abs(self.gap), self.residual, self.dual_infeasibility)


@dataclass(frozen=True, eq=False)
class ScaledProblem:
    r"""min bound^T \|x\| subject to \|\|A x - b\|\| <= sigma, with b and the columns of A of norm about 1.

    Its dual is max b^T y - sigma \|\|y\|\| subject to \|A^T y\| <= bound; the N entries of bound are 1 or 0. If
    ``nonnegative``, x >= 0 is required, and the dual's constraint is A^T y <= bound.
    """

    columns: Columns
    b: np.ndarray
    bound: np.ndarray
    nonnegative: bool
    sigma: float = 0.0

    @property
    def m(self) -> int:
        """Number of rows."""
        return int(self.b.size)

    @property
    def n(self) -> int:
        """Number of columns."""
        return int(self.bound.size)

    @property
    def radius(self) -> float:
        """The largest computed distance from b whose rounding error stays within sigma."""
        return max(self.sigma / 2, self.sigma - 2e-15 * float(np.linalg.norm(self.b)))

    def sizes(self, correlations: np.ndarray) -> np.ndarray:
        """Return the left-hand sides of the dual constraints, shape ``(N,)``."""
        return correlations if self.nonnegative else np.abs(correlations)

    def excess(self, correlations: np.ndarray) -> float:
        """Return the largest violation of a dual constraint, negative in the interior."""
        return float((self.sizes(correlations) - self.bound).max())

    def soft_threshold(self, v: np.ndarray, by: float) -> np.ndarray:
        """Return v moved by ``by * bound`` towards 0, the proximal map of the l1 norm."""
        threshold = by * self.bound
        if self.nonnegative:
            return np.asarray(np.maximum(v - threshold, 0.0))
        return np.asarray(v - np.clip(v, -threshold, threshold))

    def measure(
        self,
        x: np.ndarray,
        y: np.ndarray,
        correlations: np.ndarray | None = None,
        residual_norm: float | None = None,
        *,
        interior: bool = False,
    ) -> Iterate:
        """Return a pair with its accuracy; A^T y and ||A x - b|| are computed unless given."""
        if correlations is None:
            correlations = self.columns.adjoint(y)
        if residual_norm is None:
            support = np.flatnonzero(x)
            residual_norm = float(np.linalg.norm(self.b - self.columns.take(support).apply(x[support])))
        value = float(self.bound @ np.abs(x))
        infeasibility = max(self.excess(correlations), 0.0)
        lower = float(self.b @ y - self.sigma * np.linalg.norm(y)) / (1 + infeasibility)
        gap = (value - lower) / value if value else (np.inf if lower else 0.0)
        residual = max(residual_norm - self.sigma, 0.0) / (self.sigma or float(np.linalg.norm(self.b)))
        return Iterate(x, y, correlations, value, gap, residual, infeasibility, interior)
