"""Help, exit codes, one line per error, and light imports."""

import errno
import re
import shlex
import tomllib

import pytest
from click.testing import CliRunner

from commands import call, process
from polarbias import __version__
from polarbias.cli import main
from polarbias.errors import ClusterError, InvalidInput, MissingExtra, StoreMismatch
from polarbias.runtime import extras
from repository import ROOT

COMMANDS = ["reproduce", "run", "sweep", "plot", "report", "pack", "limit", "solve", "verify", "explore", "cite"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_every_option_and_has_an_example_that_parses(command, tmp_path, monkeypatch):
    text = call(command, "--help").output
    assert text == call(command, "-h").output
    for option in main.commands[command].params:
        assert all(flag in text for flag in option.opts if flag.startswith("-"))
        assert option.param_type_name == "argument" or option.help
    name, *arguments = shlex.split(re.search(r"Example: polarbias (.*)", " ".join(text.split()))[1])
    assert name == command
    monkeypatch.chdir(tmp_path)
    for folder in ("quick", "paper"):
        (tmp_path / "results" / folder).mkdir(parents=True)
    (tmp_path / "docs" / "paper").mkdir(parents=True)
    (tmp_path / "grid.toml").touch()
    assert main.commands[command].make_context(command, arguments).params


def test_the_group_names_its_commands_and_exit_codes():
    assert main.commands.keys() == set(COMMANDS)
    text = call("--help").output
    assert all(re.search(rf"^  {name} +\w", text, re.MULTILINE) for name in COMMANDS)
    assert "POLARBIAS_LOG" in text
    assert "130 interrupted" in " ".join(text.split())
    assert call("--version").output == f"polarbias, version {__version__}\n"
    assert call(code=2).stdout.startswith("Usage:")


@pytest.mark.parametrize(("name", "without"), [("output", {"pack", "verify", "explore"}), ("json", {"explore"})])
def test_one_word_has_one_meaning(name, without):
    having = {command for command in COMMANDS for option in main.commands[command].params if f"--{name}" in option.opts}
    assert having == set(COMMANDS) - without


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot"], "Missing argument 'FOLDER'."),
        (["plot", "nowhere"], "Invalid value for 'FOLDER': Directory 'nowhere' does not exist."),
        (["run", "--depht", "2"], "No such option '--depht'. (Possible options: --depth, --direction)"),
        (["reproduc"], "No such command 'reproduc'."),
        (["--loud"], "No such option '--loud'."),
    ],
)
def test_usage_errors_are_one_line(arguments, message):
    stderr = call(*arguments, code=2).stderr
    assert stderr.count("\n") == 1
    assert stderr.startswith(f"polarbias: {message.partition('. (')[0]}")


def caused_by(number):
    error = InvalidInput("cannot write")
    error.__cause__ = OSError(number, "")
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (caused_by(errno.ENOSPC), 1, "cannot write"),
        (caused_by(errno.ENOTDIR), 2, "cannot write"),
        (InvalidInput("m is\nwrong."), 2, "m is wrong."),
        (StoreMismatch("another."), 2, "another."),
        (ClusterError("lost."), 1, "lost."),
        (KeyboardInterrupt(), 130, "interrupted; nothing is stored."),
        (MemoryError(), 1, "the problem does not fit into the memory of this machine."),
        (MissingExtra("cite needs x: pip install 'x'"), 1, "cite needs x: pip install 'x'"),
        (OverflowError("too\nlarge"), 1, "unexpected error, OverflowError: too large (POLARBIAS_LOG=DEBUG shows the "),
    ],
)
def test_exceptions_become_one_line_and_an_exit_code(error, code, message, monkeypatch):
    def raising(*used, style):
        raise error

    monkeypatch.setattr("polarbias.bibliography.citation.citation", raising)
    done = CliRunner().invoke(main, ["cite"])
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(f"polarbias: {message}")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_before_a_command_begins(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "make_context", interrupted)
    assert call("cite", code=130).stderr.strip() == "polarbias: interrupted."


def test_wrong_log_level(monkeypatch):
    monkeypatch.setenv("POLARBIAS_LOG", "loud")
    assert "POLARBIAS_LOG must be one of CRITICAL, " in call("plot", ".", code=2).stderr


@pytest.mark.parametrize(
    ("command", "module", "needed"),
    [
        ("explore", "panel", "explore needs Panel: pip install 'polarbias[explore]'"),
        ("run", "pandas", "run needs pandas: pip install 'polarbias[paper]'"),
        ("plot .", "jax", "plot needs JAX: pip install 'polarbias[paper]'"),
    ],
)
def test_a_missing_extra_is_named(command, module, needed, monkeypatch):
    def refuse(name):
        if name == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras, "import_module", refuse)
    assert call(*command.split(), code=1).stderr == f"polarbias: polarbias {needed}\n"


HEAVY = {"jax", "pandas", "pyarrow", "matplotlib", "rich"}
FILES = "--matrix A.csv --rhs b.csv"


@pytest.mark.parametrize(
    ("commands", "heavy"),
    [
        (
            ["--help", "--version", *(f"{name} --help" for name in COMMANDS), "cite", "run --depth 0", "solve"],
            HEAVY | {"numpy", "scipy"},
        ),
        (["solve A.csv b.csv", "limit " + FILES, "verify --solution limit " + FILES, "cite"], HEAVY),
    ],
)
def test_light_commands_import_nothing_heavy(commands, heavy, tmp_path):
    (tmp_path / "A.csv").write_text("1,2\n")
    (tmp_path / "b.csv").write_text("1\n")
    code = f"""
import contextlib, io, sys
from polarbias.cli import main
for command in {commands!r}:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main(command.split())
        except SystemExit as end:
            assert end.code in (0, 2), (command, end.code)
    heavy = {heavy!r} & set(sys.modules)
    assert not heavy, (command, heavy)
"""
    done = process("-W", "error", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("run", ["runpy.run_module('polarbias', run_name='__main__')", "pkgutil.resolve_name({!r})()"])
@pytest.mark.parametrize(
    "interrupt",
    [
        "raise KeyboardInterrupt",
        "with contextlib.suppress(KeyboardInterrupt): signal.raise_signal(signal.SIGINT)",  # as some C extensions do
    ],
)
def test_ctrl_c_during_imports_ends_with_one_line(run, interrupt):
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["polarbias"]
    code = f"""
import contextlib, pkgutil, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class CtrlC:
    def find_spec(name, *_):
        if name == "click":
            {interrupt}
sys.meta_path.insert(0, CtrlC)
{run.format(script)}
"""
    done = process("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "polarbias: interrupted.\n")


def test_the_module_runs_and_fails_with_one_line():
    done = process("-W", "error", "-m", "polarbias", "reproduc")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("polarbias: No such command 'reproduc'.")
