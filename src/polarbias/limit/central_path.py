r"""The central path of weighted l1 minimisation, followed by Mehrotra's predictor and corrector.

.. math:: A X = b, \qquad q + A^\top \eta = w, \qquad X \odot q = \mu, \qquad X, q > 0 .

Small initial scales and small ratios put the limit of a flow next to the end of this path, which is reached in fewer
steps than along the flow's own curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polarbias.linalg.normal_equations import NormalEquations


@dataclass(frozen=True)
class Options:
    """Constants of the path following."""

    boundary_share: float = 0.9
    """Share of the distance to the boundary that a step may go; 0.45 gives 6,223 instead of 5,110 factorizations on the
    162 limits of `polarbias.limit.limit_curve`, 0.99 gives 4,953."""


OPTIONS = Options()


@dataclass(frozen=True)
class CentralPoint:
    """A point near the central path.

    Attributes
    ----------
    x, q
        Primal variable and slack, positive, shape ``(n,)``.
    eta
        Dual variable, shape ``(rank,)``.
    steps
        Newton steps taken.
    """

    x: np.ndarray
    q: np.ndarray
    eta: np.ndarray
    steps: int = 0


def central_point(
    op: NormalEquations, w: np.ndarray, log_mu: Callable[[np.ndarray], float], *, graded: bool = False
) -> CentralPoint | None:
    """Return a point near the one with mu = exp(log_mu(X)), or None if there is no progress.

    Its residual is below a percent of b and products X q within a factor of 10 or so of mu: enough for a method
    that refines the point. The slack is that of eta, to rounding. ``graded`` is for weights that span many decades.
    """
    size = float(np.linalg.norm(op.b))
    # Equal products for all weights: a start at q = w is badly centred for weights that span many decades.
    x = np.full_like(w, size / float(np.linalg.norm(op.column_norms())))
    at = CentralPoint(x, np.full_like(w, w.max()), np.zeros(op.m))
    for steps in range(60):
        # Where there is no X >= 0 the iteration diverges, or is driven into the boundary.
        if not (np.isfinite(at.x).all() and at.x.max() < 1e100 * x.max() and at.x.min() > 0 and at.q.min() > 0):
            return None
        products = at.x * at.q
        primal, dual = op.b - op.apply(at.x), w - op.adjoint(at.eta) - at.q
        aim = float(np.exp(log_mu(at.x)))
        off = float(np.abs(np.log(products / aim)).max())
        if np.linalg.norm(primal) < 0.01 * size and off < 2.3 and np.abs(dual / at.q).max() < 0.3:
            return CentralPoint(at.x, at.q + dual, at.eta, steps)
        try:
            solve = op.normal(at.x / at.q, 0.0 if graded else 1e-9, graded=graded)
        except np.linalg.LinAlgError:
            return None

        def direction(
            rho: np.ndarray, at: CentralPoint = at, primal: np.ndarray = primal, dual: np.ndarray = dual
        ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            deta = solve(primal - op.apply(at.x * (rho - dual / at.q)))  # noqa: B023 -- used within this turn
            dq = dual - op.adjoint(deta)
            return at.x * (rho - dq / at.q), dq, deta

        dx, dq, _ = direction(np.full_like(w, -1.0))
        mu = float((products * at.x).sum() / at.x.sum())
        after = (at.x + max_step(at.x, dx) * dx) * (at.q + max_step(at.q, dq) * dq)
        sigma = min(1.0, (float((after * at.x).sum() / at.x.sum()) / mu) ** 3)
        lower = max(sigma * mu, aim) if mu > aim else min(aim, 3 * mu)
        dx, dq, deta = direction(np.clip((lower - dx * dq) / products - 1, -3, 20))
        steps_to_boundary = max_step(at.x, dx), max_step(at.q, dq)
        primal_step, dual_step = (1.0 if a >= 1 else OPTIONS.boundary_share * a for a in steps_to_boundary)
        at = CentralPoint(at.x + primal_step * dx, at.q + dual_step * dq, at.eta + dual_step * deta)
    return None


def max_step(v: np.ndarray, dv: np.ndarray) -> float:
    """Return the largest step, at most 1, that keeps v + step dv >= 0."""
    falling = dv < 0
    return min(1.0, float((-v[falling] / dv[falling]).min())) if falling.any() else 1.0
