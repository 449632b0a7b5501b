"""Code blocks of Markdown pages, for tests that run them."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from repository import ROOT

README = ROOT / "README.md"
MARKS = {"setup", "long", "run"}


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    """Line of the page on which the code begins, counted from 1."""
    marks: frozenset[str]
    """Those of MARKS in an HTML comment on the line above the fence."""


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    fence, above = None, ""
    for number, line in enumerate(text.splitlines(), start=1):
        if fence is None and line.startswith("```"):
            comment = re.fullmatch(r"<!--(.*)-->", above)
            marks = MARKS & set(re.findall(r"\w+", comment[1])) if comment else ()
            fence = Block(line[3:].strip(), "", number + 1, frozenset(marks))
        elif fence is not None and line.startswith("```"):
            found.append(fence)
            fence = None
        elif fence is not None:
            fence = Block(fence.language, f"{fence.code}{line}\n", fence.line, fence.marks)
        above = line.strip() or above
    if fence is not None:
        raise ValueError(f"the block that begins on line {fence.line} is never closed")
    return found


def environment() -> dict[str, str]:
    """Return the environment of a reader: this Python first on PATH, no display."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "MPLBACKEND": "Agg", "COLUMNS": "120"}
