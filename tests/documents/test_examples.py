"""Examples of the README and of all pages, run as scripts and commands."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, Example, OutputChecker
from pathlib import Path

import pytest

from code_blocks import README, Block, blocks
from commands import call
from repository import ROOT

SHELL = [README, *(ROOT / "docs" / name for name in ("command_line.md", "first_steps.md"))]
PAGES = [README, *(page for page in sorted((ROOT / "docs").glob("*.md")) if "```python" in page.read_text())]
SETUP = ("git clone", "cd ", "make", "pip install", "python -m pip install")


def as_script(python_blocks: list[Block]) -> str:
    """Join blocks with blank lines between, so that a traceback shows the page's own line numbers."""
    script = ""
    for block in python_blocks:
        script += "\n" * (block.line - 1 - script.count("\n")) + block.code
    return script


def commands(block: Block) -> list[tuple[str, str | None]]:
    """Return commands, each with the output to expect where the page shows one."""
    if block.language == "console":
        parts = re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]
        return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]
    lines = block.code.replace("\\\n", "").splitlines()
    skipped = SETUP if "setup" in block.marks else ()
    return [(line, None) for line in lines if line.strip() and not line.startswith(("#", *skipped))]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Examples run in an empty folder, with this Python first on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(tmp_path, page):
    script = tmp_path / "page.py"
    script.write_text(as_script([block for block in blocks(page.read_text()) if block.language == "python"]))
    with warnings.catch_warnings():
        # Warnings count where the reader's own lines cause them, not inside the packages they load.
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="__main__")
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize(
    "with_long", [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.full)]
)
@pytest.mark.parametrize("page", SHELL, ids=lambda page: page.stem)
def test_shell_blocks_run(no_logging_set_up, page, with_long):
    found = [block for block in blocks(page.read_text()) if with_long or "long" not in block.marks]
    for block in found:
        if block.language != "sh" and not (block.language == "console" and "run" in block.marks):
            continue
        for command, expected in commands(block):
            # Commands run in this process, which saves their imports, unless they start others or need the shell.
            if command.startswith("polarbias ") and "--dask" not in command:
                output = call(*shlex.split(command)[1:]).output
            else:
                shell = ["bash", "-euo", "pipefail", "-c", command]
                done = subprocess.run(shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                output = done.stdout
                assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{output}"
            if expected is not None:
                flags = ELLIPSIS | NORMALIZE_WHITESPACE
                difference = OutputChecker().output_difference(Example(command, expected), output, flags)
                assert OutputChecker().check_output(expected, output, flags), f"$ {command}\n{difference}"


def test_blocks_of_a_small_text():
    text = "<!-- setup: CI does it -->\n```sh\nmake\n# a remark\none \\\n  two\n```\n```python\nx = 1\n```\n"
    text += "<!-- run -->\n```console\n$ echo a\na\n$ true\n```\n"
    shell, python, console = blocks(text)
    assert [block.marks for block in (shell, python, console)] == [{"setup"}, set(), {"run"}]
    assert commands(shell) == [("one   two", None)]
    assert as_script([python]).splitlines()[8:] == ["x = 1"]
    assert commands(console) == [("echo a", "a\n"), ("true", "")]
