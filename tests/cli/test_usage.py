"""The commands' help, and how they refuse wrong values and damaged folders."""

import json
import re
import shlex

import pytest

from commands import call, process
from polarbias import __version__
from polarbias.cli import main

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


# Help


@pytest.mark.parametrize("command", ["reproduce", "run", "sweep", "plot", "limit", "verify", "explore", "cite"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_has_an_example_that_parses(command, flag, tmp_path, monkeypatch):
    text = " ".join(call(command, flag).output.split())
    example = re.search(r"Example: polarbias (.*)", text)[1]
    name, *arguments = shlex.split(example)
    assert name == command
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "quick").mkdir(parents=True)
    (tmp_path / "grid.toml").touch()
    assert main.commands[command].make_context(command, arguments).params


def test_help_names_every_command_and_option():
    names = ["reproduce", "run", "sweep", "plot", "report", "pack", "limit", "solve", "verify", "explore"]
    assert main.commands.keys() == {*names, "cite"}
    text = call("--help").output
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE)
        described = call(name, "--help").output
        for option in command.params:
            assert all(flag in described for flag in option.opts if flag.startswith("-"))
            assert option.param_type_name == "argument" or option.help
    assert "POLARBIAS_LOG" in text
    described = call("run", "--help").output
    assert all(f"--{name} NUMBER > 0" in described for name in ("ratio", "scale"))
    assert "--step armijo|stable|NUMBER > 0" in described
    assert "The exit code is 1 for a run that ends as unstable, diverged, collapsed" in " ".join(described.split())
    assert call("--version").output == f"polarbias, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["sweep", "--help"],
        ["reproduce", "--help"],
        ["limit", "--help"],
        ["verify", "--help"],
        ["cite", "--help"],
        ["explore", "--help"],
        ["cite"],
        ["run", "--depth", "0"],
        ["limit", "--depth", "0"],
    ],
)
def test_help_and_usage_load_nothing_heavy(arguments):
    code = f"""
import sys
from polarbias.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == (2 if "0" in {arguments!r} else 0), end.code
heavy = {{"jax", "pandas", "matplotlib", "scipy", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = process("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr


# Wrong values


@pytest.mark.parametrize(
    ("command", "option", "value", "allowed"),
    [
        ("run", "--ratio", "0", "a finite number above 0"),
        ("run", "--ratio", "-0.1", "a finite number above 0"),
        ("run", "--ratio", "nan", "a finite number above 0"),
        ("run", "--ratio", "much", "a finite number above 0"),
        ("run", "--scale", "-1", "a finite number above 0"),
        ("run", "--scale", "0", "a finite number above 0"),
        ("run", "--scale", "inf", "a finite number above 0"),
        ("run", "--tol", "-1", "a finite number of at least 0"),
        ("run", "--tol", "nan", "a finite number of at least 0"),
        ("run", "--step", "fast", "armijo, stable or a finite number above 0"),
        ("run", "--step", "0", "armijo, stable or a finite number above 0"),
        ("run", "--step", "../../x", "armijo, stable or a finite number above 0"),
        ("run", "--law", "quadratic", "constant, harmonic or power:K"),
        ("run", "--law", "power:x", "constant, harmonic or power:K"),
        ("run", "--depth", "0", "give an integer of at least 1"),
        ("run", "--m", "0", "give an integer of at least 1"),
        ("run", "--n", "1.5", "give an integer of at least 1"),
        ("run", "--s", "0", "give an integer of at least 1"),
        ("run", "--seed", "-1", "give an integer of at least 0"),
        ("run", "--max-steps", "0", "give an integer from 1 to 1000000000000000"),
        ("run", "--truth", "dense", "'gaussian', 'sparse', 'signed'"),
        ("run", "--network", "deep", "'plain', 'wn', 'wn-separate'"),
        ("run", "--start", "zero", "'gaussian', 'uniform'"),
        ("reproduce", "--figure", "9", "give an integer from 1 to 8"),
        ("reproduce", "--figure", "0", "give an integer from 1 to 8"),
        ("reproduce", "--figure", "two", "give an integer from 1 to 8"),
        ("run", "--max-steps", "x", "give an integer from 1 to 1000000000000000"),
        ("reproduce", "--profile", "huge", "'quick', 'paper'"),
        ("reproduce", "--trials", "0", "give an integer of at least 1"),
        ("reproduce", "--max-steps", "0", "give an integer from 1 to 1000000000000000"),
        ("reproduce", "--max-steps", "1e6", "give an integer from 1 to"),
        ("reproduce", "--seed", "-1", "give an integer of at least 0"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_written(command, option, value, allowed, tmp_path):
    out = tmp_path / "out"
    message = call(command, "--out", out, option, value, code=2).stderr
    assert f"Invalid value for '{option}'" in message
    assert value in message
    assert allowed in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--network", "wn-separate"], ["'--network'", "wn-separate", "--truth signed", "gaussian"]),
        (["--truth", "sparse", "--network", "wn-separate"], ["'--network'", "wn-separate", "--truth signed", "sparse"]),
        (["--truth", "sparse", "--n", "5"], ["'--s'", "10", "5"]),
        (["--truth", "signed", "--n", "30", "--s", "31"], ["'--s'", "31", "30"]),
    ],
)
def test_values_that_do_not_fit_together(arguments, parts, tmp_path):
    message = call("run", *arguments, "--out", tmp_path / "out", code=2).stderr
    assert all(part in message for part in parts), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_folders_that_cannot_be(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "'' is not a folder; give a path" in call(command, "--out", "", code=2).stderr
    (tmp_path / "file").write_text("mine")
    assert "Directory 'file' is a file" in call(command, "--out", "file", code=2).stderr
    message = call(command, "--out", "file/below", code=1).stderr
    assert re.fullmatch(r"polarbias: cannot write results to 'file/below': .*; choose another folder\.\n", message)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_log_level(monkeypatch):
    monkeypatch.setenv("POLARBIAS_LOG", "loud")
    assert "POLARBIAS_LOG must be one of CRITICAL, " in call("plot", ".", code=2).stderr


def test_missing_and_unknown(tmp_path):
    assert "Missing argument 'FOLDER'" in call("plot", code=2).stderr
    assert "does not exist" in call("plot", tmp_path / "nowhere", code=2).stderr
    assert "No such option '--depht'" in call("run", "--depht", "2", code=2).stderr
    assert "No such command 'reproduc'" in call("reproduc", code=2).stderr


@pytest.mark.parametrize(
    "content",
    [
        {"specification": {"schema": 2, "kind": "reproduction"}},
        {"specification": {"schema": 2, "kind": "reproduction"}, "plan": {}},
        {"specification": {"schema": 2, "kind": "reproduction", "profile": {"name": "x"}}, "plan": {}},
        {"specification": {"schema": 2, "kind": "reproduction", "profile": 3}, "plan": {}},
        {"specification": {"schema": 2, "kind": "reproduction", "profile": {}}, "plan": {"figures": 3}},
        {"specification": {"schema": 2, "kind": "reproduction", "profile": {}}, "plan": {"figures": [9]}},
        {"specification": {"schema": 2, "kind": "reproduction", "profile": {}}, "plan": {"trials": "x"}},
        {"specification": {"schema": 2, "kind": "run"}, "plan": {}},
        {"specification": {"schema": 2, "kind": "run", "task": {"runs": 3}}, "plan": {}},
    ],
)
def test_plot_names_a_damaged_specification(content, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(content))
    message = call("plot", tmp_path, code=1).stderr
    assert re.fullmatch(r"polarbias: .*spec\.json .*; delete the folder.*\n", message)
