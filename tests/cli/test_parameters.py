"""Types of parameters: allowed values, and messages for others."""

import pytest

from commands import call
from polarbias.cli import parameters
from polarbias.runtime import options


@pytest.mark.parametrize(
    ("command", "option", "values", "allowed"),
    [
        ("run", "--ratio", ["0", "-0.1", "nan", "much", "1e308", "1e-200"], "a finite number from 1e-150 to 1e+150"),
        ("limit", "--scale", ["0", "inf", "1e308", "1e-200"], "a finite number from 1e-150 to 1e+150"),
        ("run", "--tol", ["-1", "nan"], "a finite number of at least 0"),
        ("verify", "--tol", ["0", "x"], "a finite number above 0"),
        ("run", "--step", ["fast", "0", "../../x"], "armijo, stable or a finite number above 0"),
        ("run", "--law", ["quadratic", "power:x"], "constant, harmonic or power:K"),
        ("run", "--depth", ["0", "1001"], "give an integer from 1 to 1000"),
        ("run", "--m", ["0", "1.5", "9" * 12], "give an integer from 1 to 1000000000"),
        ("run", "--seed", ["-1", "9" * 60], f"give an integer from 0 to {parameters.MOST_SEED}"),
        ("verify", "--max-steps", ["0", "x", "1e6"], "give an integer from 1 to 1000000000000000"),
        ("limit", "--algorithm", ["deep"], "'plain', 'wn', 'wn-separate', 'wn-renormalized'"),
        ("reproduce", "--figure", ["9", "0", "two"], "give an integer from 1 to 8"),
        ("reproduce", "--profile", ["huge"], "'quick', 'paper'"),
        ("reproduce", "--trials", ["0"], "give an integer from 1 to 1000000"),
        ("verify", "--solution", ["path"], "'limit', 'flow', 'descent'"),
    ],
)
def test_a_wrong_value_is_named_before_any_work(command, option, values, allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in values:
        message = call(command, option, value, code=2).stderr
        assert message.startswith(f"polarbias: Invalid value for '{option}'")
        assert value[:60] in message
        assert allowed in message
        assert len(message) < 300
    assert not list(tmp_path.iterdir())


def test_bounds_are_those_of_the_library():
    assert options.MAX_STEPS == parameters.MOST_STEPS


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_folders_that_cannot_be(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    for folder, message in (
        ("", "'' is not a folder; give a path"),
        ("file", "Directory 'file' is a file"),
        ("file/below", "cannot write results to 'file/below': "),
        ("x" * 5000, "cannot write results to 'xxx"),
    ):
        assert message in call(command, "--output", folder, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
