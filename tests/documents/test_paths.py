"""Files and modules named on pages exist."""

import pkgutil
import re

import pytest

from repository import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "benchmarks/README.md", "pyproject.toml", "Makefile")),
    *sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.py")]),
]
FOLDERS = ("src", "tests", "docs", "benchmarks")
MODULES = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
FILE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w/.-]*\w")
GENERATED = "benchmarks/basis_pursuit/outputs"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_of_a_page_exist(page):
    text = page.read_text()
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists() and not name.startswith(GENERATED)]
    for name in re.findall(r"`([\w/]+\.py)`", text):
        missing += [name] * (not any(path.as_posix().endswith(f"/{name}") for path in MODULES))
    assert not missing
    for name in re.findall(r"`(polarbias(?:\.\w+)+)`", text):
        assert pkgutil.resolve_name(name) is not None
