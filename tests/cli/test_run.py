"""``polarbias run``: random problems and files, text, JSON, stored tables, exit codes."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import polarbias as pb
from commands import call, call_json
from polarbias.experiments.engine import compute

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

SIZES = ["--m", "12", "--n", "30", "--s", "3", "--max-steps", "200"]


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr("polarbias.experiments.engine.figure.PNG_DPI", 40)  # to save time


def run(out, *arguments, code=0):
    result = call("run", *SIZES, *arguments, "--output", out, code=code)
    [row] = pd.read_parquet(out / "runs").to_dict("records")
    return result, row


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--algorithm", "plain", "--depth", "1"], {"depth": 1, "step_rule": "armijo"}),
        (["--depth", "3", "--law", "power:2", "--step", "stable"], {"law": "power:2", "depth": 3, "truth": "gaussian"}),
        (
            ["--step", "0.001", "--center-rows", "--seed", "7", "--truth", "sparse", "--scale", "2"],
            {"step_rule": "0.001", "centred": True, "seed": 7, "minimal_l1": 3.0, "r0": 2.0},
        ),
        (
            ["--truth", "signed", "--algorithm", "wn-separate", "--direction", "uniform"],
            {"algorithm": "wn-separate", "minimal_l1": 3.0, "direction": "uniform"},
        ),
    ],
)
def test_random_problems(arguments, expected, tmp_path):
    result, row = run(tmp_path / "out", *arguments)
    for name, value in expected.items():
        assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)
    assert row["status"] in ("converged", "max_steps")
    assert row["steps"] > 0
    assert np.isnan(row["ratio"]) == (row["algorithm"] == "plain")
    assert f"{row['status'].replace('_', ' ')} after {row['steps']} steps ({row['trials']} trials)" in result.stdout
    assert f"run-steps computed: {row['steps']}" in result.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"runs", "spec.json", "trajectories", "trajectory.png"}
    track = pd.read_parquet(tmp_path / "out" / "trajectories")
    assert track["step"].iloc[-1] == row["steps"]
    assert track["loss"].iloc[-1] < track["loss"].iloc[0]
    assert len(re.findall(r"^\d+ +\d\.", result.stdout, re.MULTILINE)) == 12


def test_problems_and_directions_from_files(tmp_path):
    problem = pb.gaussian_problem(0, 6, 15)
    u = np.linspace(1, 2, 30)
    np.savez(tmp_path / "p.npz", A=problem.A, b=problem.b, u=u)
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array(problem.A))
    files = ["--rhs", tmp_path / "p.npz", "--direction", tmp_path / "p.npz", "--signed", "--max-steps", 50]
    arguments = ["run", *files, "--output", tmp_path / "out"]
    record = call_json(*arguments, "--matrix", tmp_path / "p.npz")
    network = pb.WeightNormalization(pb.HadamardDifference(2), 0.1)
    found = pb.gradient_descent(problem, network, network.init(1.0, u), max_steps=50, tol=1e-12)
    minimum = pb.minimal_l1(problem, nonnegative=False).value
    expected = {
        "status": "max_steps", "steps": 50, "trials": int(found.stats["trials"]), "loss": float(found.loss),
        "minimal_l1": float(minimum), "eps1": float(np.abs(found.x).sum() - minimum), "eps2": None, "m": 6, "n": 15,
        "r": float(found.trajectory.r[-1]), "run_steps": 50, "output": str(tmp_path / "out"),
        "figure": str(tmp_path / "out" / "trajectory.png"),
    }  # fmt: skip
    assert record.pop("eps1_cert") >= 0
    assert record == {name: pytest.approx(one) if isinstance(one, float) else one for name, one in expected.items()}
    # The same numbers, stored sparse, are the same run; other numbers or signs are another.
    assert call_json(*arguments, "--matrix", tmp_path / "A.npz")["run_steps"] == 0
    np.savez(tmp_path / "p.npz", A=problem.A, b=problem.b, u=u[::-1])
    assert "sha256" in call(*arguments, "--matrix", tmp_path / "A.npz", code=2).stderr
    assert call("plot", tmp_path / "out").stdout.startswith("trajectory.png")


def test_run_again_another_and_by_force(tmp_path):
    plain = ["--algorithm", "plain", "--step", "1e-3"]
    _, first = run(tmp_path, *plain)
    for same in (["--step", "0.001"], ["--step", ".001", "--ratio", "0.5", "--law", "harmonic"]):
        again, second = run(tmp_path, "--algorithm", "plain", *same)
        assert "run-steps computed: 0;" in again.stdout
        assert second == pytest.approx(first, nan_ok=True)
    message = call("run", *SIZES, *plain, "--seed", "1", "--output", tmp_path, code=2).stderr
    assert message.count("\n") == 1
    assert "profile.seed: stored 0, requested 1" in message
    assert "--force" in message
    _, third = run(tmp_path, *plain, "--seed", "1", "--force")
    assert third["loss"] != first["loss"]


def test_exit_codes(tmp_path, monkeypatch):
    result, row = run(tmp_path / "first", "--algorithm", "plain", "--step", "1000", code=1)
    assert (row["status"], row["steps"]) == ("unstable", 0)
    assert "unstable after 0 steps" in result.stdout
    assert "polarbias: the run failed: the loss rose" in result.stderr
    assert (tmp_path / "first" / "trajectory.png").exists()
    computed = compute.compute_runs
    for status, loss, code in (
        ("max_steps", 1.0, 0),
        ("diverged", np.inf, 1),
        ("collapsed", 1.0, 1),
        ("line_search_failed", 1e-12, 1),
        ("line_search_failed", 0.9e-12, 0),
    ):

        def ended(*arguments, status=status, loss=loss):
            runs, trajectories = computed(*arguments)
            return runs.assign(status=status, loss=loss), trajectories

        monkeypatch.setattr(compute, "compute_runs", ended)
        result, _ = run(tmp_path / f"{status}{loss}", "--algorithm", "plain", "--step", "0.001", code=code)
        assert ("polarbias: the run failed: " in result.stderr) == bool(code)
