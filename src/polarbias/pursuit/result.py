"""What `basis_pursuit` returns, and what it tells on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from polarbias.solution import Outcome


class PursuitStatus(Outcome):
    """How a pursuit ended; every member carries a sentence for people in ``message``.

    >>> PursuitStatus.OPTIMAL.message
    'certified: gap, residual and excess are within tol'
    """

    OPTIMAL = 0, "certified: gap, residual and excess are within tol"
    INFEASIBLE = 1, "no signal solves A x = b; dual is a separating vector"
    TIME_LIMIT = 2, "max_time is over; this is the best pair so far"
    STEP_LIMIT = 3, "max_steps are used; this is the best pair so far"
    INTERRUPTED = 4, "interrupted; this is the best pair so far"
    INACCURATE = 5, "nothing that was tried reaches tol; gap, residual and excess say what is reached"


class PursuitProgress(NamedTuple):
    """What a callback sees after each step.

    Attributes
    ----------
    steps
        Factorizations so far.
    seconds
        Time since the beginning.
    active
        Entries of the signal that are not 0; of an interior point those that may stay.
    gap, residual, excess
        As in `Pursuit`, of the present pair.
    """

    steps: int
    seconds: float
    active: int
    gap: float
    residual: float
    excess: float


@dataclass(frozen=True, eq=False)
class Pursuit:
    r"""A minimal l1 solution with its certificate.

    Attributes
    ----------
    x
        The signal, shape ``(N,)``.
    dual
        y with \|A^T y\| <= w (A^T y <= w for nonnegative signals), shape ``(M,)``: b^T y is a lower bound for every
        signal's norm. If there is no signal: y with A^T y = 0 (<= 0) and b^T y > 0.
    value
        The norm of x.
    gap
        (value - bound) / value with the bound from ``dual``; see `certify`.
    residual
        How far \|\|A x - b\|\| is above sigma, relative to sigma; of `basis_pursuit`, \|\|A x - b\|\| / \|\|b\|\|.
    excess
        How far ``dual`` is above its bounds, relative to them.
    status
        See `PursuitStatus`.
    steps
        Factorizations.
    history
        Progress after each step.
    """

    x: np.ndarray
    dual: np.ndarray
    value: float
    gap: float
    residual: float
    excess: float
    status: PursuitStatus
    steps: int
    history: tuple[PursuitProgress, ...]

    @property
    def support(self) -> np.ndarray:
        """Indices of the entries that are not 0."""
        return np.flatnonzero(self.x)

    @property
    def message(self) -> str:
        """The status in a sentence."""
        return self.status.message

    def __repr__(self) -> str:
        """Status, size and certificate."""
        return (
            f"Pursuit({self.status.name.lower()}, value={self.value:.6g}, {self.support.size} of {self.x.size} entries,"
            f" gap={self.gap:.1e}, residual={self.residual:.1e}, steps={self.steps})"
        )
