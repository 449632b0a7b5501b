"""``polarbias run``: random problems and files, text, JSON, stored tables, exit codes."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import polarbias as pb
from commands import call, call_json
from polarbias.experiments.engine import compute

pytestmark = pytest.mark.usefixtures("small_pictures")

SIZES = ["--m", "10", "--n", "20", "--s", "2", "--max-steps", "200"]
PLAIN = "--algorithm plain --step 1e-3"


def run(out, arguments, code=0):
    result = call("run", *SIZES, *arguments.split(), "--output", out, code=code)
    [row] = pd.read_parquet(out / "runs").to_dict("records")
    return result, row


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--algorithm plain --depth 1", {"depth": 1, "step_rule": "armijo"}),
        ("--depth 3 --law power:2 --step stable", {"law": "power:2", "depth": 3, "truth": "gaussian"}),
        (
            "--step 0.001 --center-rows --seed 7 --truth sparse --scale 2",
            {"step_rule": "0.001", "centred": True, "seed": 7, "minimal_l1": pytest.approx(2), "r0": 2.0},
        ),
        (
            "--truth signed --algorithm wn-separate --direction uniform",
            {"algorithm": "wn-separate", "minimal_l1": pytest.approx(2), "direction": "uniform"},
        ),
    ],
)
def test_random_problems(arguments, expected, tmp_path):
    result, row = run(tmp_path, arguments)
    assert {name: row[name] for name in expected} == expected
    assert row["status"] in ("converged", "max_steps")
    assert row["steps"] > 0
    assert np.isnan(row["ratio"]) == (row["algorithm"] == "plain")
    assert f"{row['status'].replace('_', ' ')} after {row['steps']} steps ({row['trials']} trials)" in result.stdout
    assert f"run-steps computed: {row['steps']}" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "spec.json", "trajectories", "trajectory.png"}
    track = pd.read_parquet(tmp_path / "trajectories")
    assert track["step"].iloc[-1] == row["steps"]
    assert track["loss"].iloc[-1] < track["loss"].iloc[0]
    assert len(re.findall(r"^\d+ +\d\.", result.stdout, re.MULTILINE)) == 12


def test_problems_and_directions_from_files(tmp_path):
    problem, u = pb.gaussian_problem(0, 6, 15), np.linspace(1, 2, 30)
    given, out = tmp_path / "p.npz", tmp_path / "out"
    np.savez(given, A=problem.A, b=problem.b, u=u)
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array(problem.A))
    arguments = ["run", "--rhs", given, "--direction", given, "--signed", "--max-steps", 50, "--output", out]
    record = call_json(*arguments, "--matrix", given)
    network = pb.WeightNormalization(pb.HadamardDifference(2), 0.1)
    found = pb.gradient_descent(problem, network, network.init(1.0, u), max_steps=50, tol=1e-12)
    minimum = pb.minimal_l1(problem, nonnegative=False).value
    assert record.pop("eps1_cert") >= 0
    assert record == {
        "status": "max_steps", "steps": 50, "trials": found.stats["trials"], "loss": pytest.approx(float(found.loss)),
        "minimal_l1": pytest.approx(minimum), "eps1": pytest.approx(np.abs(found.x).sum() - minimum), "eps2": None,
        "m": 6, "n": 15, "r": pytest.approx(found.trajectory.r[-1]), "run_steps": 50, "output": str(out),
        "figure": str(out / "trajectory.png"),
    }  # fmt: skip
    # The same numbers, stored sparse, are the same run; other numbers or signs are another.
    assert call_json(*arguments, "--matrix", tmp_path / "A.npz")["run_steps"] == 0
    np.savez(given, A=problem.A, b=problem.b, u=u[::-1])
    assert "sha256" in call(*arguments, "--matrix", tmp_path / "A.npz", code=2).stderr


def test_run_again_another_and_by_force(tmp_path):
    _, first = run(tmp_path, PLAIN)
    for same in ("--step 0.001", "--step .001 --ratio 0.5 --law harmonic"):
        again, second = run(tmp_path, f"--algorithm plain {same}")
        assert "run-steps computed: 0;" in again.stdout
        assert second == pytest.approx(first, nan_ok=True)
    message = call("run", *SIZES, *PLAIN.split(), "--seed", "1", "--output", tmp_path, code=2).stderr
    assert re.fullmatch(r"polarbias: .*profile\.seed: stored 0, requested 1.*--force.*\n", message)
    _, third = run(tmp_path, f"{PLAIN} --seed 1 --force")
    assert third["loss"] != first["loss"]


def test_a_failed_run_is_stored_and_drawn(tmp_path):
    result, row = run(tmp_path, "--algorithm plain --step 1000", code=1)
    assert (row["status"], row["steps"]) == ("unstable", 0)
    assert "unstable after 0 steps" in result.stdout
    assert "polarbias: the run failed: the loss rose" in result.stderr
    assert (tmp_path / "trajectory.png").exists()


@pytest.mark.parametrize(
    ("status", "loss", "code"),
    [
        ("max_steps", 1.0, 0),
        ("diverged", np.inf, 1),
        ("collapsed", 1.0, 1),
        ("line_search_failed", 1e-12, 1),
        ("line_search_failed", 0.9e-12, 0),
    ],
)
def test_exit_codes(status, loss, code, tmp_path, monkeypatch):
    computed = compute.compute_runs

    def ended(*arguments):
        runs, trajectories = computed(*arguments)
        return runs.assign(status=status, loss=loss), trajectories

    monkeypatch.setattr(compute, "compute_runs", ended)
    result, _ = run(tmp_path, PLAIN, code=code)
    assert ("polarbias: the run failed: " in result.stderr) == bool(code)
