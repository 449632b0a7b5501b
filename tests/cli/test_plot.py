"""``polarbias plot``: reproductions, runs, and folders that cannot be drawn."""

import json
import re
import shutil

import pytest

from commands import call, call_json
from polarbias.experiments.engine import compute

pytestmark = pytest.mark.usefixtures("small_pictures")


def test_a_reproduction_is_drawn_without_computation(reproduction, tmp_path, monkeypatch):
    monkeypatch.setattr(compute, "compute_runs", None)
    out = tmp_path / "results"
    shutil.copytree(reproduction, out)
    drawn = call("plot", out)
    assert f"figures, overview.png, statements.md, report.html and the tables are in {out}\n" in drawn.stdout
    assert drawn.stdout.endswith(f"open {out / 'report.html'} in a browser\n")
    assert "computed" not in drawn.stdout
    names = {"runs", "trajectories", "limits", "spec.json", "statements.md", "report.html", "overview.png"}
    names |= {f"figure4{letter}{suffix}" for letter in "ab" for suffix in (".png", ".pdf")}
    assert {path.name for path in out.iterdir()} == names
    (out / "runs" / "figure4-trial00-wn.parquet").unlink()
    message = call("plot", out, code=2).stderr
    assert "holds no finished figure yet" in message
    assert f"polarbias reproduce --output {out}" in message


def test_a_run_is_drawn_again(tmp_path, monkeypatch):
    call("run", "--m", 10, "--n", 20, "--max-steps", 20, "--algorithm", "plain", "--step", 0.001, "-o", tmp_path)
    (tmp_path / "trajectory.png").unlink()
    monkeypatch.setattr(compute, "compute_runs", None)
    assert call("plot", tmp_path).stdout == f"trajectory.png and the tables are in {tmp_path}\n"
    assert (tmp_path / "trajectory.png").stat().st_size > 500
    record, drawn = call_json("plot", tmp_path, "-o", tmp_path / "drawn"), str(tmp_path / "drawn")
    files = [f"{drawn}/trajectory.png"]
    assert record == {"statements": [], "files": files, "tables": str(tmp_path), "output": drawn}
    refusal = call("reproduce", "--output", tmp_path, code=2).stderr
    assert "(kind: stored 'run', requested 'reproduction')" in refusal
    [table] = tmp_path.glob("runs/*")
    table.unlink()
    assert call("plot", tmp_path, code=2).stderr == f"polarbias: {tmp_path} holds no finished run.\n"


def test_a_folder_without_results_stays_empty(tmp_path):
    message = call("plot", tmp_path, code=2).stderr
    assert message == f"polarbias: {tmp_path} holds no results: there is no spec.json in it.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "specification", "plan"),
    [
        ("reproduction", {}, None),
        ("reproduction", {}, {}),
        ("reproduction", {"profile": {"name": "x"}}, {}),
        ("reproduction", {"profile": 3}, {}),
        *(("reproduction", {"profile": {}}, plan) for plan in ({"figures": 3}, {"figures": [9]}, {"trials": "x"})),
        ("run", {}, {}),
        ("run", {"task": {"runs": 3}}, {}),
        ("run", {"task": 3}, {}),
    ],
)
def test_a_damaged_specification_is_named(kind, specification, plan, tmp_path):
    content = {"specification": {"schema": 2, "kind": kind, **specification}} | ({} if plan is None else {"plan": plan})
    (tmp_path / "spec.json").write_text(json.dumps(content))
    message = call("plot", tmp_path, code=2).stderr
    assert re.fullmatch(r"polarbias: .*spec\.json .*; delete the folder.*\n", message)
