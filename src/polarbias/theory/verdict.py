"""Rows of a verification: a statement, its hypotheses, its prediction, an observation, and the verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from polarbias.errors import PolarbiasError
from polarbias.theory.statement import Hypothesis


class Verdict(StrEnum):
    """Agreement of an observation with a statement.

    >>> print(Verdict.NOT_MET)
    hypothesis not met
    """

    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_MET = "hypothesis not met"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class VerificationRow:
    """One row of a verification, with all hypotheses, met or not.

    ``statement`` is the name in arXiv:2305.05448v1, with "corrected" if the printed form is wrong; ``predicted`` the
    conclusion in symbols; ``observed`` the measured quantities, or the reason of a row that is undecided.
    """

    statement: str
    hypotheses: tuple[Hypothesis, ...]
    predicted: str
    observed: str
    verdict: Verdict

    @property
    def unmet(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that are not met."""
        return tuple(hypothesis for hypothesis in self.hypotheses if not hypothesis.held)


Observation = tuple[str, bool | None]
"""Measured quantities as text, and True if they agree with the statement; None if they decide nothing."""


def at_most(quantity: str, value: float, bound: float) -> Observation:
    """Return value <= bound as an observation; NaN is a violation."""
    return f"{quantity} {value:.3g}", bool(value <= bound)


class _NoObservation(Exception):
    """End of a row without an observation."""


@dataclass
class PendingRow:
    """A row before its verdict; a check can change the name and the prediction."""

    statement: str
    predicted: str
    hypotheses: list[Hypothesis] = field(default_factory=list)

    def assume(self, *hypotheses: Hypothesis) -> None:
        """Add hypotheses; the row ends here unless they are met."""
        self.hypotheses += hypotheses
        if not all(hypothesis.held for hypothesis in hypotheses):
            raise _NoObservation(Verdict.NOT_MET, "")

    def undecided_if(self, reason: str) -> None:
        """End the row as undecided if there is a reason."""
        if reason:
            raise _NoObservation(Verdict.UNDECIDED, reason)


Check = Callable[[Any, PendingRow], Observation]


@dataclass(frozen=True)
class Statement:
    """A statement with the function that observes it, which takes the evidence and the row.

    >>> row = Statement("Lemma 3.4", "the loss does not rise", lambda evidence, row: ("largest rise 0", True))(None)
    >>> row.verdict.value, row.observed
    ('holds', 'largest rise 0')
    """

    name: str
    predicted: str
    check: Check

    def __call__(self, evidence: Any) -> VerificationRow:
        """Return the row for one solution; an error of a computation leaves it undecided."""
        pending = PendingRow(self.name, self.predicted)
        try:
            text, agrees = self.check(evidence, pending)
            verdict = Verdict.UNDECIDED if agrees is None else Verdict.HOLDS if agrees else Verdict.VIOLATED
        except _NoObservation as end:
            verdict, text = end.args
        except PolarbiasError as failure:
            verdict, text = Verdict.UNDECIDED, str(failure)
        return VerificationRow(pending.statement, tuple(pending.hypotheses), pending.predicted, text, verdict)


def register_check(rows: list[Statement], name: str, predicted: str) -> Callable[[Check], Statement]:
    """Return a decorator that makes a function the check of a statement and appends the statement to ``rows``."""

    def decorate(check: Check) -> Statement:
        rows.append(Statement(name, predicted, check))
        return rows[-1]

    return decorate
