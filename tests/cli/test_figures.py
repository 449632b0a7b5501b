"""``polarbias reproduce``, ``plot``, ``report`` and ``pack``: text, JSON, folders, progress, exit codes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from commands import call, call_json
from polarbias import experiments
from polarbias.experiments.engine import compute, runner

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

TINY = experiments.Profile(
    "tiny", trials=1, starts=1, r0=(0.1, 1.0, 10.0), ratios=(1.0, 0.1), max_steps=200, m=12, n=30, s=3,
    limit_trials=1, limit_r0=(0.1, 1.0), limit_ratios=(1.0, 0.1), map_size=(3, 3),
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(experiments.PROFILES, "quick", TINY)
    monkeypatch.setattr("polarbias.experiments.engine.figure.PNG_DPI", 40)  # to save time


@pytest.mark.parametrize("command", ["run", "reproduce"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_the_message_after_an_interruption(command, force, tmp_path, tiny, monkeypatch):
    def interrupted(*args):
        raise runner.Interrupted

    monkeypatch.setattr(compute, "compute_runs", interrupted)
    message = call(command, *force, "--output", tmp_path / "out", code=130).stderr
    words = "the same command without --force resumes" if force else "the same command resumes"
    assert message == f"polarbias: interrupted; finished tasks and checkpoints are kept, {words}.\n"
    assert not list(tmp_path.glob("out/runs/*"))


def test_reproduce_trials_figures_force_and_plot(tmp_path, tiny):
    out = tmp_path / "results"
    first = call("reproduce", "--figure", 4, "--output", out)
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
    assert all(re.search(rf"^{number} ", first.stdout, re.MULTILINE) for number in (6, 7, 10, 13))
    names = {"runs", "trajectories", "limits", "spec.json", "statements.md", "report.html", "overview.png"}
    names |= {f"figure4{letter}{suffix}" for letter in "ab" for suffix in (".png", ".pdf")}
    assert {path.name for path in out.iterdir()} == names

    # Other trials and figures extend the folder; what is there is kept.
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*")}
    both = ["--figure", 4, "--figure", 5, "--figure", 4, "--trials", 2]
    more = call("reproduce", *both, "--output", out)
    assert "tasks computed: 14, found: 4;" in more.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert set(pd.read_parquet(out / "runs")["trial"]) == {0, 1}
    assert {"figure4a.png", "figure5a.png"} <= {path.name for path in out.iterdir()}
    document = (out / "statements.md").read_bytes()
    for path in [*out.glob("*.p*"), out / "statements.md"]:
        path.unlink()
    same = call("reproduce", *both, "--output", out)
    assert "tasks computed: 0, found: 18; run-steps computed: 0 in " in same.stdout
    assert same.stderr == ""
    assert (out / "statements.md").read_bytes() == document
    assert {"figure4a.png", "figure5b.pdf", "overview.png"} <= {path.name for path in out.iterdir()}

    # Asking for less computes less, and hides nothing of what is there.
    for path in [*out.glob("*.p*"), out / "statements.md"]:
        path.unlink()
    less = call("reproduce", "--figure", 4, "--trials", 1, "--output", out)
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
    message = call("plot", out, code=2).stderr
    assert "holds no finished figure yet" in message
    assert f"polarbias reproduce --output {out}" in message

    # Other settings are refused, or replace what is there.
    refusal = call("reproduce", "--figure", 4, "--max-steps", 100, "--output", out, code=2).stderr
    assert re.fullmatch(r"polarbias: .*profile\.max_steps: stored 200, requested 100.*--force.*\n", refusal)
    forced = call("reproduce", "--figure", 4, "--max-steps", 100, "--force", "--output", out)
    assert "tasks computed: 4, found: 0;" in forced.stdout
    assert pd.read_parquet(out / "runs")["steps"].max() <= 100


def test_json(tmp_path, tiny):
    out = tmp_path / "results"
    record = call_json("reproduce", "--figure", 4, "--output", out)
    assert (record["tasks"]["computed"], record["tasks"]["found"]) == (4, 0)
    assert record["tasks"].keys() == {"computed", "found", "run_steps", "seconds"}
    assert record["tables"] == record["output"] == str(out)
    assert {entry["number"] for entry in record["statements"]} >= {6, 7, 10, 13}
    assert record["statements"][0].keys() == {"number", "statement", "source", "measured", "verdict"}
    assert all(Path(path).exists() for path in record["files"])
    assert call_json("report", out, "-o", out / "page.html") == {"output": str(out / "page.html")}
    packed = call_json("pack", out, tmp_path / "packed")
    assert packed["output"] == str(tmp_path / "packed")
    assert packed["bytes"] == sum(Path(path).stat().st_size for path in packed["files"])


def test_reproduce_writes_to_a_folder_named_like_the_profile(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    made = experiments.Reproduction(None, [], [Path("report.html")])
    monkeypatch.setattr(experiments, "reproduce", lambda *args, **kw: calls.append((args, kw)) or made)
    call("reproduce")
    call("reproduce", "--profile", "paper", "--trials", 3, "--seed", 4, "--force")
    [((profile, folder, figures), options), ((paper, other, _), more)] = calls
    assert (profile, folder, figures, options["force"]) == (TINY, Path("results/quick"), tuple(range(1, 9)), False)
    assert paper == replace(experiments.PAPER, trials=3, seed=4)
    assert (other, more["force"]) == (Path("results/paper"), True)


def test_plot_needs_results(tmp_path):
    message = call("plot", tmp_path, code=2).stderr
    assert message == f"polarbias: {tmp_path} holds no results: there is no spec.json in it.\n"
    assert list(tmp_path.iterdir()) == []


def test_plot_draws_a_run_again(tmp_path, monkeypatch, tiny):
    plain = ["--algorithm", "plain", "--step", "0.001", "--output", tmp_path]
    call("run", "--m", "12", "--n", "30", "--max-steps", "20", *plain)
    (tmp_path / "trajectory.png").unlink()
    monkeypatch.setattr(compute, "compute_runs", None)
    assert call("plot", tmp_path).stdout == f"trajectory.png and the tables are in {tmp_path}\n"
    assert (tmp_path / "trajectory.png").stat().st_size > 500
    record = call_json("plot", tmp_path, "-o", tmp_path / "drawn")
    drawn = str(tmp_path / "drawn")
    assert record == {
        "statements": [], "files": [f"{drawn}/trajectory.png"], "tables": str(tmp_path), "output": drawn,
    }  # fmt: skip
    refusal = call("reproduce", "--output", tmp_path, code=2).stderr
    assert "(kind: stored 'run', requested 'reproduction')" in refusal
    [table] = tmp_path.glob("runs/*")
    table.unlink()
    assert call("plot", tmp_path, code=2).stderr == f"polarbias: {tmp_path} holds no finished run.\n"


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
        {"specification": {"schema": 2, "kind": "run", "task": 3}, "plan": {}},
    ],
)
def test_plot_names_a_damaged_specification(content, tmp_path):
    (tmp_path / "spec.json").write_text(json.dumps(content))
    message = call("plot", tmp_path, code=2).stderr
    assert re.fullmatch(r"polarbias: .*spec\.json .*; delete the folder.*\n", message)
