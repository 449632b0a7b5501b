"""Lint of English: first sentences of docstrings. ``python tests/test_english.py`` lists every finding.

docs/contributing.md states the rule; Ruff's D401 checks the mood of verbs, codespell (tests/spelling.txt) words.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT

HINGES = {"what", "whatever", "wherever", "whether", "who"}
"""Banned in summaries. "0 where b is 0" is a condition, so "where" and "how" are banned as hinges only."""
FIRST_WORDS = {"keep", "keeps", "let", "lets", "tell", "tells", "when", "which", "why"}
FIRST_TWO_WORDS = {"how", "where"}
PERSONIFIED = {"says", "tells", "told", "wants"}
PACKAGES = sorted({path.relative_to(ROOT).parts[2] for path in (ROOT / "src").rglob("*.py")})


def summaries(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and first paragraph of each docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), type(node).__name__, text.partition("\n\n")[0]


def findings(source: str) -> Iterator[str]:
    """Yield one line for each summary that breaks the rule."""
    for line, _, text in summaries(source):
        words = re.findall(r"[a-z]+", re.sub(r"`[^`]*`", "", text).lower())
        bad = (HINGES | PERSONIFIED) & set(words) | FIRST_WORDS & set(words[:1]) | FIRST_TWO_WORDS & set(words[:2])
        if bad:
            yield f"{line}: {', '.join(sorted(bad))}: {' '.join(text.split())}"


def report(paths: list[Path]) -> list[str]:
    """Return the findings of files, with their places."""
    return [f"{path.relative_to(ROOT)}:{found}" for path in paths for found in findings(path.read_text())]


def sources(package: str) -> list[Path]:
    """Return the files of a package or the module of this name."""
    place = ROOT / "src" / "polarbias" / package
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


@pytest.mark.parametrize("package", PACKAGES)
def test_first_sentences_of_docstrings(package):
    assert report(sources(package)) == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("Return the limit.", None),
        ("Return whether it converged.", "whether"),
        ("What a callback gets.", "what"),
        ("Tell the time.", "tell"),
        ("Return True if `what` is set.", None),
        ("Return r.\\n\\n    What follows is not a summary.", None),
    ],
)
def test_a_summary(text, bad):
    found = list(findings(f'def f():\n    """{text}"""\n'.replace("\\n", "\n")))
    assert [line.split(": ")[1] for line in found] == ([bad] if bad else [])


if __name__ == "__main__":
    found = report(sorted((ROOT / "src").rglob("*.py")))
    print("\n".join(found))
    sys.exit(bool(found))
