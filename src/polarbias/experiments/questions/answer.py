"""A question with the table that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill


@dataclass(frozen=True)
class Answer:
    """What was measured about one open question.

    Attributes
    ----------
    number
        Number of the question in section 5 of arXiv:2305.05448v1.
    question
        The question in a few words.
    columns, rows
        The table: names of the columns, and tasks as text.
    verdict
        What the table shows, in one sentence.
    held
        Whether the table is as the proofs in ``docs/open_questions.md`` predict.

    Examples
    --------
    >>> print(Answer(1, "Is 1 below 2?", ("x", "below"), (("1", "yes"),), "it is", True))
    1. Is 1 below 2?
    <BLANKLINE>
    x  below
    1  yes
    <BLANKLINE>
    As proved: it is.
    """

    number: int
    question: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    verdict: str
    held: bool

    def __str__(self) -> str:
        """Question, aligned table and verdict."""
        table = [self.columns, *self.rows]
        widths = [max(len(row[at]) for row in table) for at in range(len(self.columns))]
        lines = ["  ".join(task.ljust(w) for task, w in zip(row, widths, strict=True)).rstrip() for row in table]
        outcome = "As proved" if self.held else "NOT as proved"
        verdict = fill(f"{outcome}: {self.verdict}.", 100)
        return "\n".join([f"{self.number}. {self.question}", "", *lines, "", verdict])
