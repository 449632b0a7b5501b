r"""An interior point method: Newton's method on the logarithmic barrier, which is the potential of infinite depth.

Mehrotra's predictor and corrector for :math:`\min \langle c, p \rangle,\ B p = b,\ p \ge 0` with its dual
:math:`B^\top y + s = c,\ s \ge 0`; B is A, or [A, -A] for signals of both signs, which is never formed.

References
----------
Mehrotra, On the implementation of a primal-dual interior point method (1992).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polarbias.operator import DenseOperator

BACK = 0.995
"""Share of the way to the boundary that a step goes."""


@dataclass
class Iterate:
    """Where the method is: p and s of shape ``(n,)``, y of shape ``(rank,)``, and its measures."""

    p: np.ndarray
    s: np.ndarray
    y: np.ndarray
    gap: float
    residual: float


def barrier_steps(
    operator: DenseOperator, cost: np.ndarray, most: int, look: Callable[[Iterate], bool], graded: bool
) -> tuple[Iterate, int]:
    """Iterate until ``look`` says that it is enough, or nothing improves; return the last iterate and the steps.

    Parameters
    ----------
    operator
        B.
    cost
        c, nonnegative, shape ``(n,)``.
    most
        Most steps.
    look
        Shown every iterate.
    graded
        Whether Newton's matrices are factored so that weights of very different sizes keep their digits.
    """
    p, s, y = _start(operator, cost)
    scale = np.linalg.norm(operator.b)
    best = np.inf
    for step in range(most + 1):
        residual = operator.b - operator.forward(p)
        missing = cost - operator.adjoint(y) - s
        mu = float(p @ s) / p.size
        value = float(cost @ p)
        iterate = Iterate(
            p, s, y, abs(value - float(operator.b @ y)) / max(value, 1e-300), float(np.linalg.norm(residual) / scale)
        )
        merit = max(iterate.gap, iterate.residual)
        if look(iterate) or step == most or not np.isfinite(merit) or merit > 1e3 * best:
            break
        best = min(best, merit)
        solve = operator.normal(p / s, graded=graded)

        def direction(centring: np.ndarray, solve=solve, s=s, p=p, residual=residual, missing=missing):  # type: ignore[no-untyped-def]
            # s dp + p ds = centring, B^T dy + ds = missing, B dp = residual.
            dy = solve(residual - operator.forward((centring - p * missing) / s))
            ds = missing - operator.adjoint(dy)
            return (centring - p * ds) / s, ds, dy

        dp, ds, _ = direction(-p * s)
        to_p, to_s = _room(p, dp), _room(s, ds)
        ahead = float((p + to_p * dp) @ (s + to_s * ds)) / p.size
        dp, ds, dy = direction((ahead / mu) ** 3 * mu - p * s - dp * ds)
        to_p, to_s = min(1.0, BACK * _room(p, dp, np.inf)), min(1.0, BACK * _room(s, ds, np.inf))
        p, s, y = p + to_p * dp, s + to_s * ds, y + to_s * dy
    return iterate, step


def _start(operator: DenseOperator, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a point with p, s > 0: the least squares solution, lifted; the dual's is y = 0."""
    p = operator.adjoint(operator.normal(np.ones(operator.n))(operator.b))
    size = max(float(np.abs(p).max()), 1e-300)
    return np.maximum(p, 0) + 0.1 * size, np.maximum(cost, 0.1), np.zeros(operator.m)


def _room(values: np.ndarray, change: np.ndarray, most: float = 1.0) -> float:
    """Return how far along ``change`` the values stay nonnegative."""
    falling = change < 0
    return min(most, float((-values[falling] / change[falling]).min())) if falling.any() else most
