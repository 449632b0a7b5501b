"""``polarbias reproduce``: text, JSON, folders, progress, exit codes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from commands import call, call_json
from polarbias import experiments


def test_figures_trials_and_force(tmp_path, tiny, no_drawings):
    out = tmp_path / "results"
    first = call("reproduce", "--figure", 4, "--output", out)
    tasks = ("plain", "wn", "plain, exact limits", "wn, exact limits")
    for number, (task, line) in enumerate(zip(tasks, first.stderr.splitlines(), strict=True), start=1):
        ended = rf": (\d+ [a-z ]+(, )?)+; [\d,]+ {'factorizations' if 'limits' in task else 'run-steps'} in [\d.]+ s"
        assert re.fullmatch(rf"\[{number}/4\] Figure 4, trial 0, {task}{ended}", line)
    assert "tasks computed: 4, found: 0; run-steps computed: " in first.stdout
    assert "The paper's statements" in first.stdout
    assert all(re.search(rf"^{number} ", first.stdout, re.MULTILINE) for number in (6, 7, 10, 13))
    assert {path.name for path in out.iterdir()} == {"runs", "trajectories", "limits", "spec.json", "statements.md"}

    # Other trials and figures extend the folder; what is there is kept.
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*")}
    both = ["--figure", 4, "--figure", 5, "--figure", 4, "--trials", 2]
    assert "tasks computed: 14, found: 4;" in call("reproduce", *both, "--output", out).stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert set(pd.read_parquet(out / "runs")["trial"]) == {0, 1}
    document = (out / "statements.md").read_bytes()
    same = call("reproduce", *both, "--output", out)
    assert "tasks computed: 0, found: 18; run-steps computed: 0 in " in same.stdout
    assert same.stderr == ""

    # Asking for less computes less, and hides nothing of what is there.
    (out / "statements.md").unlink()
    record = call_json("reproduce", "--figure", 4, "--trials", 1, "--output", out)
    assert record["tasks"] == {"computed": 0, "found": 4, "run_steps": 0, "seconds": record["tasks"]["seconds"]}
    assert record["tables"] == record["output"] == str(out)
    assert {entry["number"] for entry in record["statements"]} >= {6, 7, 10, 13}
    assert record["statements"][0].keys() == {"number", "statement", "source", "measured", "verdict"}
    assert record["files"] == [str(out / "statements.md"), str(out / "report.html")]
    assert (out / "statements.md").read_bytes() == document
    assert json.loads((out / "spec.json").read_text())["plan"] == {"figures": [4, 5], "trials": 2}

    # Other settings are refused, or replace what is there.
    other = ["reproduce", "--figure", 4, "--max-steps", 100, "--output", out]
    refusal = call(*other, code=2).stderr
    assert re.fullmatch(r"polarbias: .*profile\.max_steps: stored 200, requested 100.*--force.*\n", refusal)
    assert "tasks computed: 4, found: 0;" in call(*other, "--force").stdout
    assert pd.read_parquet(out / "runs")["steps"].max() <= 100


def test_the_folder_is_named_like_the_profile(tmp_path, tiny, profile, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    made = experiments.Reproduction(None, [], [Path("report.html")])
    monkeypatch.setattr(experiments, "reproduce", lambda *args, **kw: calls.append((args, kw)) or made)
    call("reproduce")
    call("reproduce", "--profile", "paper", "--trials", 3, "--seed", 4, "--force")
    [((quick, folder, figures), options), ((paper, other, _), more)] = calls
    assert (quick, folder, figures, options["force"]) == (profile, Path("results/quick"), tuple(range(1, 9)), False)
    assert paper == replace(experiments.PAPER, trials=3, seed=4)
    assert (other, more["force"]) == (Path("results/paper"), True)
