"""Lint of English: first sentences of docstrings. ``python tests/test_english.py`` lists every finding.

docs/contributing.md states the rule; Ruff's D401 checks the mood of verbs, codespell (tests/spelling.txt) words.
"""

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from repository import ROOT

BANNED = {"what", "whatever", "wherever", "whether", "who", "says", "tells", "told", "wants"}
"""Not banned are "where" and "how": "0 where b is 0" is a condition."""
FIRST_WORDS = {"keep", "keeps", "let", "lets", "tell", "tells", "when", "which", "why", "how", "where"}


def findings(source: str) -> Iterator[str]:
    """Yield one line for each first paragraph of a docstring that breaks the rule."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = (ast.get_docstring(node) or "").partition("\n\n")[0]
            words = re.findall(r"[a-z]+", re.sub(r"`[^`]*`", "", text).lower())
            bad = BANNED & set(words) | FIRST_WORDS & set(words[:1]) | {"how", "where"} & set(words[1:2])
            if bad:
                yield f"{getattr(node, 'lineno', 1)}: {', '.join(sorted(bad))}: {' '.join(text.split())}"


def report() -> list[str]:
    """Return the findings of all sources, with their places."""
    paths = sorted((ROOT / "src").rglob("*.py"))
    return [f"{path.relative_to(ROOT)}:{found}" for path in paths for found in findings(path.read_text())]


def test_first_sentences_of_docstrings():
    assert report() == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("Return the limit.", []),
        ("Return whether it converged.", ["whether"]),
        ("What a callback gets.", ["what"]),
        ("Tell the time.", ["tell"]),
        ("Return True if `what` is set.", []),
        ("Return r.\n\n    What follows is not a summary.", []),
    ],
)
def test_a_summary(text, bad):
    assert [line.split(": ")[1] for line in findings(f'def f():\n    """{text}"""\n')] == bad


if __name__ == "__main__":
    found = report()
    print("\n".join(found))
    sys.exit(bool(found))
