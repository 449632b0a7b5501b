"""What `basis_pursuit` returns, and what it tells on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

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
    r"""A minimal l1 solution with its certificate, or K of them: then each attribute has a leading axis of K.

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
    value: Any
    gap: Any
    residual: Any
    excess: Any
    status: Any
    steps: Any
    history: tuple[Any, ...]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """``()``, or ``(K,)``."""
        return self.x.shape[:-1]

    def __len__(self) -> int:
        """K."""
        if not self.batch_shape:
            raise TypeError("one answer has no length")
        return len(self.x)

    def __getitem__(self, index: int) -> Pursuit:
        """Return one of K answers."""
        if not self.batch_shape:
            raise TypeError("one answer cannot be indexed")
        values = {field.name: getattr(self, field.name)[index] for field in fields(self)}
        values |= {name: values[name].item() for name in ("value", "gap", "residual", "excess", "steps")}
        return Pursuit(**{**values, "status": PursuitStatus(int(values["status"]))})

    def __iter__(self) -> Iterator[Pursuit]:
        """Go through K answers."""
        return (self[index] for index in range(len(self)))

    @property
    def support(self) -> Any:
        """Indices of the entries that are not 0; a tuple of K such arrays."""
        return tuple(answer.support for answer in self) if self.batch_shape else np.flatnonzero(self.x)

    @property
    def message(self) -> Any:
        """The status in a sentence; a tuple of K."""
        return tuple(answer.message for answer in self) if self.batch_shape else self.status.message

    def __repr__(self) -> str:
        """Status, size and certificate; of K answers how many ended how."""
        if self.batch_shape:
            kinds, counts = np.unique(self.status, return_counts=True)
            listed = (
                f"{count} x {PursuitStatus(kind).name.lower()}" for kind, count in zip(kinds, counts, strict=True)
            )
            return f"Pursuit(batch_shape={self.batch_shape}, {', '.join(listed)})"
        return (
            f"Pursuit({self.status.name.lower()}, value={self.value:.6g}, {self.support.size} of {self.x.size} entries,"
            f" gap={self.gap:.1e}, residual={self.residual:.1e}, steps={self.steps})"
        )


def stacked(answers: Sequence[Pursuit]) -> Pursuit:
    """Return answers for one matrix as one object."""
    columns = {field.name: [getattr(answer, field.name) for answer in answers] for field in fields(Pursuit)}
    history = tuple(columns.pop("history"))
    return Pursuit(**{name: np.array(values) for name, values in columns.items()}, history=history)
