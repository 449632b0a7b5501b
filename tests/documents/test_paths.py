"""Files and modules named on pages exist."""

import importlib
import re
import subprocess

import pytest

from repository import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "benchmarks/README.md", "pyproject.toml", "Makefile")),
    *sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.py")]),
]
FILE = re.compile(r"(?<![\w/.-])(?:src|tests|docs|benchmarks)/[\w/.-]*\w")
MODULE = re.compile(r"`(polarbias(?:\.\w+)+)`")
NAME = re.compile(r"`([\w/]+\.py)`")
GENERATED = re.compile(r"benchmarks/basis_pursuit/outputs")


@pytest.fixture(scope="module")
def files():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so no list of files")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return [f"/{name}" for name in listing.stdout.splitlines() if (ROOT / name).exists()]


def is_importable(name: str) -> bool:
    """Return True if a dotted name is a module, or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(name) is not None
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_of_a_page_exist(page, files):
    text = page.read_text()
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists() and not GENERATED.match(name)]
    missing += [name for name in NAME.findall(text) if not any(path.endswith(f"/{name}") for path in files)]
    missing += [name for name in MODULE.findall(text) if not is_importable(name)]
    assert not missing
