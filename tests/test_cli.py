"""The commands as users type them: what they print, store, refuse, and with which exit code they end."""

import logging
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from polarbias import __version__, experiments
from polarbias.cli import main

TINY = experiments.Profile(
    "tiny", trials=1, starts=1, r0=(0.1, 1.0, 10.0), ratios=(1.0, 0.1), max_steps=200, m=12, n=30, s=3
)
SIZES = ["--m", "12", "--n", "30", "--s", "3", "--max-steps", "200"]


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(autouse=True)
def no_logging_set_up(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(experiments.PROFILES, "quick", TINY)
    monkeypatch.setattr("polarbias.experiments.figure.PNG_DPI", 40)  # to save time


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


# Help


@pytest.mark.parametrize("command", ["reproduce", "run", "plot"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_has_an_example_that_parses(command, flag, tmp_path, monkeypatch):
    text = " ".join(call(command, flag).output.split())
    example = re.search(r"Example: polarbias (.*)", text)[1]
    name, *arguments = shlex.split(example)
    assert name == command
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "quick").mkdir(parents=True)
    assert main.commands[command].make_context(command, arguments).params


def test_help_names_every_command_and_option():
    assert main.commands.keys() == {"reproduce", "run", "plot"}
    text = call("--help").output
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE)
        described = call(name, "--help").output
        for option in command.params:
            assert all(flag in described for flag in option.opts if flag.startswith("-"))
    assert call("--version").output == f"polarbias, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["run", "--depth", "0"]])
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
        ("run", "--depth", "0", "x>=1"),
        ("run", "--m", "0", "x>=1"),
        ("run", "--n", "1.5", "integer"),
        ("run", "--s", "0", "x>=1"),
        ("run", "--seed", "-1", "x>=0"),
        ("run", "--max-steps", "0", "1<=x<="),
        ("run", "--truth", "dense", "'gaussian', 'sparse', 'signed'"),
        ("run", "--network", "deep", "'plain', 'wn', 'wn-separate'"),
        ("run", "--start", "zero", "'gaussian', 'uniform'"),
        ("reproduce", "--figure", "6", "1<=x<=5"),
        ("reproduce", "--figure", "0", "1<=x<=5"),
        ("reproduce", "--profile", "huge", "'quick', 'paper'"),
        ("reproduce", "--trials", "0", "x>=1"),
        ("reproduce", "--max-steps", "0", "1<=x<="),
        ("reproduce", "--max-steps", "1e6", "integer"),
        ("reproduce", "--seed", "-1", "x>=0"),
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
def test_folders_that_cannot_be(command, tmp_path, tiny, monkeypatch):
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


# One run


def run(out, *arguments, code=0):
    result = call("run", *SIZES, *arguments, "--out", out, code=code)
    [row] = pd.read_parquet(out / "runs").to_dict("records")
    return result, row


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--network", "plain"], {"algorithm": "plain", "depth": 2, "truth": "gaussian"}),
        (["--network", "plain", "--depth", "1", "--step", "stable"], {"depth": 1, "step_rule": "stable"}),
        (["--network", "plain", "--depth", "3", "--scale", "2"], {"depth": 3, "r0": 2.0}),
        (["--depth", "1", "--ratio", "0.5"], {"algorithm": "wn", "depth": 1, "ratio": 0.5}),
        (["--law", "harmonic", "--truth", "sparse"], {"law": "harmonic", "truth": "sparse", "minimal_l1": 3.0}),
        (["--depth", "3", "--law", "power:2", "--step", "stable"], {"law": "power:2", "depth": 3}),
        (["--step", "0.001", "--center-rows", "--seed", "7"], {"step_rule": "0.001", "centred": True, "seed": 7}),
        (["--truth", "signed", "--start", "uniform"], {"truth": "signed", "algorithm": "wn"}),
        (["--truth", "signed", "--network", "wn-separate"], {"algorithm": "wn-separate", "minimal_l1": 3.0}),
    ],
)
def test_run(arguments, expected, tmp_path):
    result, row = run(tmp_path / "out", *arguments)
    for name, value in expected.items():
        assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)
    assert row["status"] in ("converged", "max_steps")
    assert row["steps"] > 0
    assert np.isnan(row["ratio"]) == (row["algorithm"] == "plain")
    assert f"{row['status'].replace('_', ' ')} after {row['steps']} steps ({row['trials']} trials)" in result.stdout
    assert f"chain-steps computed: {row['steps']}" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "runs",
        "spec.json",
        "trajectories",
        "trajectory.png",
    }
    track = pd.read_parquet(tmp_path / "out" / "trajectories")
    assert track["step"].iloc[-1] == row["steps"]
    assert track["loss"].iloc[-1] < track["loss"].iloc[0]
    shown = [line for line in result.stdout.splitlines() if re.match(r"[│|] *\d", line)]
    assert len(shown) == 12


def test_run_again_another_and_by_force(tmp_path):
    _, first = run(tmp_path, "--network", "plain")
    again, second = run(tmp_path, "--network", "plain")
    assert "chain-steps computed: 0;" in again.stdout
    assert second == pytest.approx(first, nan_ok=True)
    message = call("run", *SIZES, "--network", "plain", "--seed", "1", "--out", tmp_path, code=1).stderr
    assert message.startswith("polarbias: ")
    assert message.count("\n") == 1
    assert "profile.seed: 0 there, 1 asked for" in message
    assert "--force" in message
    _, third = run(tmp_path, "--network", "plain", "--seed", "1", "--force")
    assert third["loss"] != first["loss"]


def test_a_run_that_fails_is_stored_shown_and_ends_with_1(tmp_path):
    result, row = run(tmp_path / "out", "--step", "1000", code=1)
    assert row["status"] == "unstable"
    assert row["steps"] == 0
    assert "unstable after 0 steps" in result.stdout
    assert "polarbias: the run failed: the loss rose" in result.stderr
    assert (tmp_path / "out" / "trajectory.png").exists()


# Reproductions


def test_reproduce_trials_figures_force_and_plot(tmp_path, tiny):
    out = tmp_path / "results"
    first = call("reproduce", "--figure", 4, "--out", out)
    lines = first.stderr.splitlines()
    assert [re.sub(r": .*", "", line) for line in lines] == [
        "[1/2] Figure 4, trial 0, plain",
        "[2/2] Figure 4, trial 0, wn",
    ]
    assert all(re.search(r": (\d+ [a-z ]+(, )?)+; [\d,]+ chain-steps in [\d.]+ s$", line) for line in lines)
    assert "\x1b" not in first.stderr + first.stdout
    assert "cells computed: 2, found: 0; chain-steps computed: " in first.stdout
    assert "The paper's statements" in first.stdout
    assert all(re.search(rf"^ {number} ", first.stdout, re.MULTILINE) for number in (6, 7, 10, 13))
    names = {"runs", "trajectories", "spec.json", "statements.md", "overview.png"}
    names |= {f"figure4{letter}{suffix}" for letter in "ab" for suffix in (".png", ".pdf")}
    assert {path.name for path in out.iterdir()} == names

    # Other trials and figures extend the folder; what is there is kept.
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*")}
    both = ["--figure", 4, "--figure", 5, "--figure", 4, "--trials", 2]
    more = call("reproduce", *both, "--out", out)
    assert "cells computed: 8, found: 2;" in more.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert set(pd.read_parquet(out / "runs")["trial"]) == {0, 1}
    assert {"figure4a.png", "figure5a.png"} <= {path.name for path in out.iterdir()}
    document = (out / "statements.md").read_bytes()
    for path in [*out.glob("*.p*"), out / "statements.md"]:
        path.unlink()
    same = call("reproduce", *both, "--out", out)
    assert "cells computed: 0, found: 10; chain-steps computed: 0 in 0 s" in same.stdout
    assert same.stderr == ""
    assert (out / "statements.md").read_bytes() == document
    assert {"figure4a.png", "figure5b.pdf", "overview.png"} <= {path.name for path in out.iterdir()}

    # Redrawing needs the tables only; of a figure with a missing cell nothing is drawn.
    for path in [*out.glob("*.p*"), out / "runs" / "figure5-trial01-wn.parquet"]:
        path.unlink()
    drawn = call("plot", out)
    assert "overview.png" in drawn.stdout
    assert "computed" not in drawn.stdout
    assert {path.name for path in out.glob("*.png")} == {"figure4a.png", "figure4b.png", "overview.png"}
    (out / "runs" / "figure4-trial01-wn.parquet").unlink()
    message = call("plot", out, code=1).stderr
    assert "holds no finished figure yet" in message
    assert f"polarbias reproduce --out {out}" in message

    # Other settings are refused, or replace what is there.
    refusal = call("reproduce", "--figure", 4, "--max-steps", 100, "--out", out, code=1).stderr
    assert re.fullmatch(r"polarbias: .*profile\.max_steps: 200 there, 100 asked for.*--force.*\n", refusal)
    forced = call("reproduce", "--figure", 4, "--max-steps", 100, "--force", "--out", out)
    assert "cells computed: 2, found: 0;" in forced.stdout
    assert pd.read_parquet(out / "runs")["steps"].max() <= 100


def test_reproduce_writes_to_a_folder_named_like_the_profile(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(
        experiments, "reproduce", lambda *args, **kw: calls.append((args, kw)) or experiments.Outcome(None, [], [])
    )
    call("reproduce")
    call("reproduce", "--profile", "paper", "--trials", 3, "--seed", 4, "--force")
    [((profile, folder, figures), options), ((paper, other, _), more)] = calls
    assert (profile, folder, figures, options["force"]) == (TINY, Path("results/quick"), (1, 2, 3, 4, 5), False)
    assert paper == replace(experiments.PAPER, trials=3, seed=4)
    assert (other, more["force"]) == (Path("results/paper"), True)


def test_plot_needs_a_reproduction(tmp_path):
    message = call("plot", tmp_path, code=1).stderr
    assert message == f"polarbias: {tmp_path} holds no results: there is no spec.json in it.\n"
    assert list(tmp_path.iterdir()) == []
    run(tmp_path / "one", "--network", "plain")
    message = call("plot", tmp_path / "one", code=1).stderr
    assert message == f"polarbias: {tmp_path / 'one'} does not hold a reproduction of the figures.\n"


# Real processes


def test_the_module_runs_and_fails_with_one_line(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").write_text("mine")
    done = process("-W", "error", "-m", "polarbias", "run", *SIZES, "--out", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"polarbias: .* no spec\.json explains; .*\n", done.stderr)
    assert done.stdout == ""


def test_a_terminal_gets_one_bar(tmp_path):
    profile = replace(TINY, trials=2, max_steps=30_000, tol=0.0, m=40, n=120)
    driver = tmp_path / "driver.py"
    driver.write_text(
        "from polarbias import experiments\nfrom polarbias.cli import main\n"
        f"experiments.PROFILES['quick'] = experiments.Profile(**{asdict(profile)!r})\nmain()\n"
    )
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "40"}
    command = [sys.executable, driver, "reproduce", "--figure", "4", "--out", tmp_path / "out"]
    shown, deadline = b"", time.monotonic() + 120
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment) as started:
        os.close(child)
        while time.monotonic() < deadline:
            if select.select([parent], [], [], 0.1)[0]:
                try:
                    shown += os.read(parent, 65536)
                except OSError:  # the other end is closed
                    break
        assert started.wait(10) == 0, shown.decode()
    os.close(parent)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    frames = [frame for frame in re.split(r"[\r\n]+", text) if "━" in frame and " left " in frame]
    assert len(frames) > 3
    assert all(frame.startswith(("starting", "Figure 4, trial ")) and frame.count(" left ") == 1 for frame in frames)
    assert any(re.search(r"left \d:\d\d:\d\d", frame) for frame in frames)
    assert any(re.search(r"loss \d\.\de[-+]\d\d \.\. \d\.\de[-+]\d\d", frame) for frame in frames)
    assert "100%" in frames[-1]
    assert "[1/4]" not in text
    assert "cells computed: 4, found: 0" in text
