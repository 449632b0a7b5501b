"""Layout of the source tree, and the record of public names.

``python tests/test_layout.py --write`` rewrites the record after an intended change.
"""

import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from importlib import metadata
from pathlib import Path

import pytest

import polarbias
from repository import ROOT

SNAPSHOT = ROOT / "tests" / "public_api.txt"
MACHINE_PATH = "(^|[^a-zA-Z0-9_.~/-])/(home|root|work|Users)([^a-zA-Z0-9_]|$)"  # for Python and for grep


def test_source_files_are_short_and_named_by_the_concept_that_they_are_about():
    sources = sorted((ROOT / "src").rglob("*.py"))
    assert [path for path in sources if len(path.read_text().splitlines()) > 400 or path.name == "utils.py"] == []


def test_no_path_of_one_machine_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing says which files are tracked")
    command = ["git", "grep", "--untracked", "-nIE", MACHINE_PATH]
    hits = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (hits.returncode, hits.stdout) == (1, "")


def test_machine_paths_are_seen_and_other_paths_left_alone():
    assert all(re.search(MACHINE_PATH, text) for text in ("/" + "home/me/x", "at '/" + "root'", "file:/" + "Users/me"))
    assert not re.search(MACHINE_PATH, "https://host.org/home/x, see ~/home/x, docs/home/x, and/or")


def signature(value: object) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    text = re.sub(r"ForwardRef\(('[^']*').*?\)", r"\1", text)
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"(: |-> )'([^']*)'", r"\1\2", text))


def describe(name: str) -> Iterator[str]:
    value = getattr(polarbias, name)
    if not inspect.isclass(value):
        yield name + (signature(value) if callable(value) else "")
        return
    # How exceptions and enumerations are constructed is Python's business.
    constructor = "" if issubclass(value, Exception | Enum) else signature(value)
    yield f"class {name}{constructor}"
    bases = [base for base in value.__mro__ if base.__module__.partition(".")[0] == "polarbias"]
    for member in sorted({key for base in bases for key in vars(base) if not key.startswith("_")}):
        attribute = getattr(value, member, None)
        if callable(attribute) or f"{member}: " not in constructor:
            yield f"    {member}" + (signature(attribute) if callable(attribute) else "")


def public_api() -> str:
    return "".join(f"{line}\n" for name in sorted(polarbias.__all__) for line in describe(name))


def test_public_names_and_signatures_are_those_on_record():
    recorded = SNAPSHOT.read_text()
    assert public_api() == recorded, "run `python tests/test_layout.py --write` if the change is meant"


def test_every_line_of_the_stub_is_one_public_name():
    text = Path(polarbias.__file__).with_suffix(".pyi").read_text()
    names = [line for line in text.splitlines() if line and not line.startswith(('"""', "__version__"))]
    assert names == sorted(f"from {module} import {name} as {name}" for name, module in polarbias._MODULES.items())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        polarbias.nothing  # noqa: B018


def test_version_is_the_same_everywhere():
    version = polarbias.__version__
    assert version == metadata.version("polarbias")
    released = re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    cited = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited == released[:1], "CITATION.cff names the last release, if there is one"


def test_conda_recipe_has_the_same_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "recipe" / "meta.yaml").read_text()
    run = re.search(r"  run:\n(.*?)  run_constrained:", recipe, re.DOTALL)[1]
    found = {line.replace(" ", "") for line in re.findall(r"- (.*)", run)}
    assert found == {"python" + project["requires-python"], *project["dependencies"]}


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    SNAPSHOT.write_text(public_api())
