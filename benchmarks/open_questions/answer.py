"""An open question with the table that answers it."""

from dataclasses import dataclass
from textwrap import fill


@dataclass(frozen=True)
class Answer:
    """Table and finding for one question of section 5; ``as_proved`` compares both with docs/open_questions.md."""

    number: int
    question: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    finding: str
    as_proved: bool

    def __str__(self) -> str:
        """Return question, aligned table and finding."""
        table = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in table]
        finding = fill(f"{'As proved' if self.as_proved else 'NOT as proved'}: {self.finding}.", 100)
        return "\n".join([f"{self.number}. {self.question}", "", *lines, "", finding])
