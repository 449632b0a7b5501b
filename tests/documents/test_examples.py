"""Examples of the README and of all pages, run as scripts and commands."""

import re
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, Example, OutputChecker
from pathlib import Path

import pytest

from code_blocks import README, Block, blocks, environment
from repository import ROOT

SHELL = [README, *(ROOT / "docs" / name for name in ("command_line.md", "first_steps.md"))]
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if "```python" in page.read_text()]
SETUP = ("git clone", "cd ", "make", "pip install", "python -m pip install")


def as_script(python_blocks: list[Block]) -> str:
    """Join blocks with blank lines between, so that a traceback shows the README's own line numbers."""
    script = ""
    for block in python_blocks:
        script += "\n" * (block.line - 1 - script.count("\n")) + block.code
    return script


def commands(block: Block) -> list[tuple[str, str | None]]:
    """Return commands, each with the output to expect where the README shows one."""
    if block.language == "console":
        parts = re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]
        return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
    lines = block.code.replace("\\\n", "").splitlines()
    skipped = SETUP if "setup" in block.marks else ()
    return [(line, None) for line in lines if line.strip() and not line.startswith(("#", *skipped))]


def run(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        arguments, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, f"{arguments[-1]} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def wanted(page: Path, language: str, with_long: bool) -> list[Block]:
    return [b for b in blocks(page.read_text()) if b.language == language and (with_long or "long" not in b.marks)]


VERSIONS = [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.full)]


@pytest.mark.parametrize("with_long", VERSIONS)
def test_python_blocks_run(tmp_path, with_long):
    found = wanted(README, "python", with_long)
    assert found, "README.md has no python block"
    script = tmp_path / "README.py"
    script.write_text(as_script(found))
    # Warnings count where the reader's own lines cause them, not inside the packages they load.
    run([sys.executable, "-W", "error:::__main__", str(script)], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_of_pages_run(tmp_path, page):
    script = tmp_path / "page.py"
    script.write_text(as_script([block for block in blocks(page.read_text()) if block.language == "python"]))
    run([sys.executable, "-W", "error:::__main__", str(script)], tmp_path)


@pytest.mark.parametrize("with_long", VERSIONS)
@pytest.mark.parametrize("page", SHELL, ids=lambda page: page.stem)
def test_shell_blocks_run(tmp_path, page, with_long):
    shown = [block for block in wanted(page, "console", with_long) if "run" in block.marks]
    for block in sorted(wanted(page, "sh", with_long) + shown, key=lambda block: block.line):
        for command, expected in commands(block):
            output = run(["bash", "-euo", "pipefail", "-c", command], tmp_path)
            if expected is None:
                continue
            flags = ELLIPSIS | NORMALIZE_WHITESPACE
            difference = OutputChecker().output_difference(Example(command, expected), output, flags)
            assert OutputChecker().check_output(expected, output, flags), f"$ {command}\n{difference}"


SAMPLE = """\
# Title

<!-- setup: executed by CI itself -->
```sh
make
# a remark
one \\
  two
```
```python
x = 1
```

text
<!-- long -->

```python
y = x
```
<!-- run -->
```console
$ echo a
a
$ true
```
"""


def test_blocks_of_a_small_text():
    found = blocks(SAMPLE)
    assert [(b.language, b.line, set(b.marks)) for b in found] == [
        ("sh", 5, {"setup"}),
        ("python", 11, set()),
        ("python", 18, {"long"}),
        ("console", 22, {"run"}),
    ]
    assert commands(found[0]) == [("one   two", None)]
    assert commands(found[3]) == [("echo a", "a\n"), ("true", "")]
    assert as_script(found[1:3]).splitlines()[10::7] == ["x = 1", "y = x"]


def test_setup_lines_run_unless_the_block_says_that_they_are_done():
    (block,) = blocks("```sh\nmake\n```\n")
    assert commands(block) == [("make", None)]


def test_an_open_block_is_an_error():
    with pytest.raises(ValueError, match="line 2 is never closed"):
        blocks("```python\nx\n")
