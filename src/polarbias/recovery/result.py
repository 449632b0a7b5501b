"""Result and progress of `basis_pursuit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from polarbias.solution import Outcome


class PursuitStatus(Outcome):
    """The end of a pursuit; ``message`` is a sentence.

    >>> PursuitStatus.OPTIMAL.message
    'certified: gap, residual and dual infeasibility are within tol'
    """

    OPTIMAL = 0, "certified: gap, residual and dual infeasibility are within tol"
    INFEASIBLE = 1, "no signal satisfies the constraints; the vector farkas proves it"
    TIME_LIMIT = 2, "max_time is reached; x and dual are the best pair found"
    STEP_LIMIT = 3, "max_steps is reached; x and dual are the best pair found"
    INTERRUPTED = 4, "interrupted; x and dual are the best pair found"
    INACCURATE = 5, "tolerance not reached; see gap, residual and dual_infeasibility"


class PursuitProgress(NamedTuple):
    """The state of a pursuit that its callback receives.

    Attributes
    ----------
    steps, seconds
        Number of factorizations, and time since the start.
    active
        Number of nonzero entries of the signal.
    gap, residual, dual_infeasibility
        As in `Pursuit`, of the current pair.
    """

    steps: int
    seconds: float
    active: int
    gap: float
    residual: float
    dual_infeasibility: float


@dataclass(frozen=True, eq=False)
class Pursuit:
    r"""A minimal l1 solution with its certificate, or K of them: then each attribute has a leading axis of length K.

    Attributes
    ----------
    x
        The signal, shape ``(N,)``; NaN if the problem is infeasible.
    dual
        y with \|A^T y\| <= w (A^T y <= w for nonnegative signals), shape ``(M,)``: b^T y - sigma \|\|y\|\| is a lower
        bound for the norm of every signal. NaN if the problem is infeasible.
    value
        The weighted l1 norm of x; infinity if the problem is infeasible.
    gap
        (value - bound) / value with the bound from ``dual``; see `certify`.
    residual
        Excess of \|\|A x - b\|\| over sigma, relative to sigma or, if that is 0, to \|\|b\|\|.
    dual_infeasibility
        Largest relative excess of ``dual`` over its bounds.
    status
        See `PursuitStatus`.
    steps, history
        Number of factorizations, and progress at each iterate.
    farkas
        Proof of infeasibility: y of norm 1, shape ``(M,)``, with b^T y > sigma \|\|y\|\| and A^T y = 0 (A^T y <= 0 for
        nonnegative signals) where w is finite. None, or in a batch NaN, without such a proof.
    """

    x: np.ndarray
    dual: np.ndarray
    value: Any
    gap: Any
    residual: Any
    dual_infeasibility: Any
    status: Any
    steps: Any
    history: tuple[Any, ...]
    farkas: np.ndarray | None = None

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """``()``, or ``(K,)``."""
        return self.x.shape[:-1]

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("one solution has no length")
        return len(self.x)

    def __getitem__(self, index: int) -> Pursuit:
        """Return one of K solutions."""
        if not self.batch_shape:
            raise TypeError("one solution cannot be indexed")
        values = {field.name: getattr(self, field.name)[index] for field in fields(self)}
        values |= {name: values[name].item() for name in ("value", "gap", "residual", "dual_infeasibility", "steps")}
        values["status"] = PursuitStatus(int(values["status"]))
        if values["status"] is not PursuitStatus.INFEASIBLE:
            values["farkas"] = None
        return Pursuit(**values)

    def __iter__(self) -> Iterator[Pursuit]:
        return (self[index] for index in range(len(self)))

    @property
    def support(self) -> Any:
        """Indices of the nonzero entries; a tuple of K such arrays."""
        return tuple(one.support for one in self) if self.batch_shape else np.flatnonzero(np.nan_to_num(self.x))

    @property
    def message(self) -> Any:
        """The status in a sentence; a tuple of K."""
        return tuple(one.message for one in self) if self.batch_shape else self.status.message

    def __repr__(self) -> str:
        if self.batch_shape:
            counts = Counter(one.status.name.lower() for one in self)
            listed = ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))
            return f"Pursuit(batch_shape={self.batch_shape}, {listed})"
        return (
            f"Pursuit({self.status.name.lower()}, value={self.value:.6g}, {self.support.size} of {self.x.size} entries,"
            f" gap={self.gap:.1e}, residual={self.residual:.1e}, steps={self.steps})"
        )


def stacked(solutions: Sequence[Pursuit]) -> Pursuit:
    """Return solutions for one matrix as one object."""
    columns = {field.name: [getattr(one, field.name) for one in solutions] for field in fields(Pursuit)}
    history = tuple(columns.pop("history"))
    missing = np.full(solutions[0].dual.shape, np.nan)
    columns["farkas"] = [missing if one is None else one for one in columns["farkas"]]
    return Pursuit(**{name: np.array(values) for name, values in columns.items()}, history=history)
