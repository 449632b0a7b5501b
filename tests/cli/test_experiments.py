"""The commands as users type them: what they print and store, and with which exit code they end."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from commands import call, process
from polarbias import experiments
from polarbias.experiments.engine import compute, runner

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

TINY = experiments.Profile(
    "tiny", trials=1, starts=1, r0=(0.1, 1.0, 10.0), ratios=(1.0, 0.1), max_steps=200, m=12, n=30, s=3,
    limit_trials=1, limit_r0=(0.1, 1.0), limit_ratios=(1.0, 0.1), map_size=(3, 3),
)  # fmt: skip
SIZES = ["--m", "12", "--n", "30", "--s", "3", "--max-steps", "200"]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(experiments.PROFILES, "quick", TINY)
    monkeypatch.setattr("polarbias.experiments.engine.figure.PNG_DPI", 40)  # to save time


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
    assert f"run-steps computed: {row['steps']}" in result.stdout
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
    assert "run-steps computed: 0;" in again.stdout
    assert second == pytest.approx(first, nan_ok=True)
    message = call("run", *SIZES, "--network", "plain", "--seed", "1", "--out", tmp_path, code=1).stderr
    assert message.startswith("polarbias: ")
    assert message.count("\n") == 1
    assert "profile.seed: stored 0, requested 1" in message
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


@pytest.mark.parametrize(
    ("status", "loss", "code"),
    [
        ("converged", 1e-13, 0),
        ("max_steps", 1.0, 0),
        ("unstable", 1.0, 1),
        ("diverged", np.inf, 1),
        ("collapsed", 1.0, 1),
        ("line_search_failed", 1e-12, 1),
        ("line_search_failed", 0.9e-12, 0),
    ],
)
def test_the_exit_code_tells_how_the_run_ended(status, loss, code, tmp_path, monkeypatch):
    compute_runs = compute.compute_runs

    def ended(*arguments):
        runs, trajectories = compute_runs(*arguments)
        return runs.assign(status=status, loss=loss), trajectories

    monkeypatch.setattr(compute, "compute_runs", ended)
    result, _ = run(tmp_path, "--network", "plain", code=code)
    assert ("polarbias: the run failed: " in result.stderr) == bool(code)


def test_equal_runs_have_one_specification(tmp_path):
    run(tmp_path, "--network", "plain", "--step", "1e-3")
    for same in (["--step", "0.001"], ["--step", "0.001", "--ratio", "0.5"], ["--step", ".001", "--law", "harmonic"]):
        assert "run-steps computed: 0;" in run(tmp_path, "--network", "plain", *same)[0].stdout
    message = call("run", *SIZES, "--network", "plain", "--step", "0.002", "--out", tmp_path, code=1).stderr
    assert "(task.step: stored '0.001', requested '0.002')" in message


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("run", [], "a run that has not ended is not stored, the same command starts it anew"),
        ("run", ["--force"], "a run that has not ended is not stored, the same command starts it anew"),
        ("reproduce", [], "the same command goes on where this one stopped"),
        ("reproduce", ["--force"], "the same command without --force goes on where this one stopped"),
    ],
)
def test_after_an_interruption_the_message_is_true(command, arguments, words, tmp_path, tiny, monkeypatch):
    def interrupted(*args):
        raise runner.Interrupted

    monkeypatch.setattr(compute, "compute_runs", interrupted)
    message = call(command, *arguments, "--out", tmp_path / "out", code=1).stderr
    assert message == f"polarbias: interrupted; {words}.\n"
    assert not list(tmp_path.glob("out/runs/*"))


# Reproductions


def test_reproduce_trials_figures_force_and_plot(tmp_path, tiny):
    out = tmp_path / "results"
    first = call("reproduce", "--figure", 4, "--out", out)
    lines = first.stderr.splitlines()
    assert [re.sub(r": .*", "", line) for line in lines] == [
        "[1/4] Figure 4, trial 0, plain",
        "[2/4] Figure 4, trial 0, wn",
        "[3/4] Figure 4, trial 0, plain, exact limits",
        "[4/4] Figure 4, trial 0, wn, exact limits",
    ]
    for work, line in zip(["run-steps"] * 2 + ["factorizations"] * 2, lines, strict=True):
        assert re.search(rf": (\d+ [a-z ]+(, )?)+; [\d,]+ {work} in [\d.]+ s$", line)
    assert "\x1b" not in first.stderr + first.stdout
    assert "tasks computed: 4, found: 0; run-steps computed: " in first.stdout
    assert "The paper's statements" in first.stdout
    assert all(re.search(rf"^ {number} ", first.stdout, re.MULTILINE) for number in (6, 7, 10, 13))
    names = {"runs", "trajectories", "limits", "spec.json", "statements.md", "report.html", "overview.png"}
    names |= {f"figure4{letter}{suffix}" for letter in "ab" for suffix in (".png", ".pdf")}
    assert {path.name for path in out.iterdir()} == names

    # Other trials and figures extend the folder; what is there is kept.
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*")}
    both = ["--figure", 4, "--figure", 5, "--figure", 4, "--trials", 2]
    more = call("reproduce", *both, "--out", out)
    assert "tasks computed: 14, found: 4;" in more.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert set(pd.read_parquet(out / "runs")["trial"]) == {0, 1}
    assert {"figure4a.png", "figure5a.png"} <= {path.name for path in out.iterdir()}
    document = (out / "statements.md").read_bytes()
    for path in [*out.glob("*.p*"), out / "statements.md"]:
        path.unlink()
    same = call("reproduce", *both, "--out", out)
    assert "tasks computed: 0, found: 18; run-steps computed: 0 in 0 s" in same.stdout
    assert same.stderr == ""
    assert (out / "statements.md").read_bytes() == document
    assert {"figure4a.png", "figure5b.pdf", "overview.png"} <= {path.name for path in out.iterdir()}

    # Asking for less computes less, and hides nothing of what is there.
    for path in [*out.glob("*.p*"), out / "statements.md"]:
        path.unlink()
    less = call("reproduce", "--figure", 4, "--trials", 1, "--out", out)
    assert "tasks computed: 0, found: 4;" in less.stdout
    assert (out / "statements.md").read_bytes() == document
    assert (out / "figure5a.png").exists()
    assert json.loads((out / "spec.json").read_text())["plan"] == {"figures": [4, 5], "trials": 2}

    # Redrawing needs the tables only, and draws the trials without a gap.
    (out / "runs" / "figure5-trial01-wn.parquet").unlink()
    call("plot", out)
    assert "2 trials, at most 200 steps, seed 0. Trials of Figure 5 so far: 1." in (out / "statements.md").read_text()
    for path in [*out.glob("*.p*"), out / "runs" / "figure5-trial00-wn.parquet"]:
        path.unlink()
    drawn = call("plot", out)
    assert "overview.png" in drawn.stdout
    assert "computed" not in drawn.stdout
    assert {path.name for path in out.glob("*.png")} == {"figure4a.png", "figure4b.png", "overview.png"}
    (out / "runs" / "figure4-trial00-wn.parquet").unlink()
    message = call("plot", out, code=1).stderr
    assert "holds no finished figure yet" in message
    assert f"polarbias reproduce --out {out}" in message

    # Other settings are refused, or replace what is there.
    refusal = call("reproduce", "--figure", 4, "--max-steps", 100, "--out", out, code=1).stderr
    assert re.fullmatch(r"polarbias: .*profile\.max_steps: stored 200, requested 100.*--force.*\n", refusal)
    forced = call("reproduce", "--figure", 4, "--max-steps", 100, "--force", "--out", out)
    assert "tasks computed: 4, found: 0;" in forced.stdout
    assert pd.read_parquet(out / "runs")["steps"].max() <= 100


def test_reproduce_writes_to_a_folder_named_like_the_profile(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(
        experiments, "reproduce", lambda *args, **kw: calls.append((args, kw)) or experiments.Reproduction(None, [], [])
    )
    call("reproduce")
    call("reproduce", "--profile", "paper", "--trials", 3, "--seed", 4, "--force")
    [((profile, folder, figures), options), ((paper, other, _), more)] = calls
    assert (profile, folder, figures, options["force"]) == (TINY, Path("results/quick"), tuple(range(1, 9)), False)
    assert paper == replace(experiments.PAPER, trials=3, seed=4)
    assert (other, more["force"]) == (Path("results/paper"), True)


def test_plot_needs_results(tmp_path):
    message = call("plot", tmp_path, code=1).stderr
    assert message == f"polarbias: {tmp_path} holds no results: there is no spec.json in it.\n"
    assert list(tmp_path.iterdir()) == []


def test_plot_redraws_a_run(tmp_path, monkeypatch):
    run(tmp_path, "--network", "plain", "--step", "stable")
    (tmp_path / "trajectory.png").unlink()
    monkeypatch.setattr(compute, "compute_runs", None)
    drawn = call("plot", tmp_path)
    assert drawn.stdout == f"trajectory.png and the tables are in {tmp_path}\n"
    assert (tmp_path / "trajectory.png").stat().st_size > 500
    refusal = call("reproduce", "--out", tmp_path, code=1).stderr
    assert "(kind: stored 'run', requested 'reproduction')" in refusal
    [table] = tmp_path.glob("runs/*")
    table.unlink()
    assert call("plot", tmp_path, code=1).stderr == f"polarbias: {tmp_path} holds no finished run.\n"


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
    assert "[1/" not in text
    assert "tasks computed: 8, found: 0" in text
