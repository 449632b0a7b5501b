"""Code blocks of Markdown pages, for tests that run them."""

import re
from typing import NamedTuple

from repository import ROOT

README = ROOT / "README.md"
FENCE = re.compile(r"(?:^<!--(.*)-->\n+)?^```(.*)\n((?s:.*?))^```", re.MULTILINE)


class Block(NamedTuple):
    """Language and code of a block, the line of its page on which the code begins, and the words of the comment above.

    Lines are counted from 1; of words, only ``setup``, ``long`` and ``run`` count.
    """

    language: str
    code: str
    line: int
    marks: set[str]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [
        Block(
            found[2].strip(),
            found[3],
            text.count("\n", 0, found.start(3)) + 1,
            {"setup", "long", "run"} & set(re.findall(r"\w+", found[1] or "")),
        )
        for found in FENCE.finditer(text)
    ]
