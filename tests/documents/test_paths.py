"""Files and modules named on pages exist."""

import importlib.util
import re
import subprocess

import pytest

from repository import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "benchmarks/README.md", "pyproject.toml", "Makefile")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.py")),
]
FILE = re.compile(r"(?<![\w/.-])(?:src|tests|docs|benchmarks)/[\w/.-]*\w")
MODULE = re.compile(r"`(polarbias(?:\.\w+)+)`")
NAME = re.compile(r"`([\w/]+\.py)`")
GENERATED = re.compile(r"benchmarks/basis_pursuit/outputs")


def tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return [f"/{name}" for name in listing.stdout.splitlines() if (ROOT / name).exists()]


def is_importable(name: str) -> bool:
    """Return True if a dotted name is a module, or an attribute of one."""
    import polarbias

    module, _, attribute = name.rpartition(".")
    try:
        if importlib.util.find_spec(name):
            return True
    except ModuleNotFoundError:
        pass
    owner = polarbias if module == "polarbias" else importlib.import_module(module)
    return hasattr(owner, attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_modules_of_a_page_exist(page):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so no list of files")
    text, files = page.read_text(), tracked()
    missing = [name for name in FILE.findall(text) if not (ROOT / name).exists() and not GENERATED.match(name)]
    missing += [name for name in NAME.findall(text) if not any(path.endswith(f"/{name}") for path in files)]
    missing += [name for name in MODULE.findall(text) if not is_importable(name)]
    assert not missing
