"""Rows of a verification: a statement, its hypotheses, its prediction, an observation, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

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
    """One row of a verification.

    Attributes
    ----------
    statement
        Name in arXiv:2305.05448v1; "corrected" if the printed form is wrong.
    hypotheses
        All hypotheses, met or not.
    predicted
        The conclusion, in symbols.
    observed
        The measured quantities; the reason of a row that is undecided.
    verdict
        The `Verdict`.

    Examples
    --------
    >>> row = judge("Lemma 3.4", [], "loss does not rise", lambda: ("largest rise 0", True))
    >>> row.verdict.value, row.observed
    ('holds', 'largest rise 0')
    """

    statement: str
    hypotheses: tuple[Hypothesis, ...]
    predicted: str
    observed: str
    verdict: Verdict

    @property
    def unmet(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that are not met."""
        return tuple(one for one in self.hypotheses if not one.held)


Observation = tuple[str, bool | None]
"""Measured quantities as text, and True if they agree with the statement; None if they decide nothing."""


def at_most(quantity: str, value: float, bound: float) -> Observation:
    """Return value <= bound as an observation; NaN is a violation."""
    return f"{quantity} {value:.3g}", bool(value <= bound)


def judge(
    statement: str,
    hypotheses: Iterable[Hypothesis],
    predicted: str,
    observe: Callable[[], Observation],
    missing: str = "",
) -> VerificationRow:
    """Return the row; ``observe`` is called only if the hypotheses are met and nothing is ``missing``."""
    given = tuple(hypotheses)
    if not all(one.held for one in given):
        return VerificationRow(statement, given, predicted, "", Verdict.NOT_MET)
    text, agrees = (missing, None) if missing else observe()
    verdict = Verdict.UNDECIDED if agrees is None else Verdict.HOLDS if agrees else Verdict.VIOLATED
    return VerificationRow(statement, given, predicted, text, verdict)
