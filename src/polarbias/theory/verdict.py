"""One row of a verification: a statement, what it needs, what it predicts, what was observed, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from polarbias.theory.statement import Hypothesis


class Outcome(StrEnum):
    """What an observation says about a statement.

    >>> print(Outcome.NOT_MET)
    hypothesis not met
    """

    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_MET = "hypothesis not met"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Verdict:
    """One row of a verification.

    Attributes
    ----------
    statement
        Name in arXiv:2305.05448v1; "corrected" where the printed form is wrong.
    hypotheses
        All hypotheses, met or not.
    predicted
        What follows from them, in symbols.
    observed
        What the solution shows; where nothing is decided, why.
    verdict
        The `Outcome`.

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
    verdict: Outcome

    @property
    def unmet(self) -> tuple[Hypothesis, ...]:
        """The hypotheses that are not met."""
        return tuple(one for one in self.hypotheses if not one.held)


Observation = tuple[str, bool | None]
"""What was measured, in words, and whether it agrees; None where it decides nothing."""


def judge(
    statement: str,
    hypotheses: Iterable[Hypothesis],
    predicted: str,
    observe: Callable[[], Observation],
    missing: str = "",
) -> Verdict:
    """Return the row; ``observe`` is called only where the hypotheses are met and nothing is ``missing``."""
    given = tuple(hypotheses)
    if not all(one.held for one in given):
        return Verdict(statement, given, predicted, "", Outcome.NOT_MET)
    if missing:
        return Verdict(statement, given, predicted, missing, Outcome.UNDECIDED)
    text, agrees = observe()
    outcome = Outcome.UNDECIDED if agrees is None else Outcome.HOLDS if agrees else Outcome.VIOLATED
    return Verdict(statement, given, predicted, text, outcome)
