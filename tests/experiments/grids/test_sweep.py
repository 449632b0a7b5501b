"""Sweeps: tables equal to those of the library, reuse of stored tasks, growth of grids."""

import re
from unittest.mock import DEFAULT, Mock

import numpy as np
import pandas as pd
import pytest

import polarbias as pb
from commands import call
from grids import written
from polarbias.experiments.engine import compute
from polarbias.experiments.engine.store import read_spec
from polarbias.experiments.grids.sweep import summary

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


def test_a_sweep_is_stored_summarized_and_reused(tmp_path):
    options = {"truth": ["sparse", "gaussian"], "algorithm": ["plain", "wn"], "step": ["armijo", "limit"]}
    path, out = written(tmp_path, **options), tmp_path / "out"
    first = call("sweep", path, "--output", out)
    assert first.stderr.splitlines()[0].startswith("[1/8] trial 0, plain, sparse-8x20x2-depth2-gaussian: 2 ")
    assert "tasks computed: 8, found: 0;" in first.stdout
    assert re.search(r"truth +s +algorithm +step +runs +status +median eps1 +median eps2", first.stdout)
    assert re.search(r"^ *sparse +2 +wn +limit +4 +4 converged", first.stdout, re.MULTILINE)
    again = call("sweep", path, "--output", out)
    assert "tasks computed: 0, found: 8; run-steps computed: 0" in again.stdout

    # The numbers are those of the library.
    runs = pd.read_parquet(out / "runs")
    [row] = runs.query("truth == 'sparse' and algorithm == 'wn' and r0 == 1 and ratio == 0.1").to_dict("records")
    problem = pb.gaussian_problem(0, 8, 20, "sparse", s=2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    theta0 = network.init(1.0, pb.folded_gaussian_direction(0, 20))
    found = pb.gradient_descent(problem, network, theta0, max_steps=100, tol=1e-12)
    assert row["loss"] == pytest.approx(float(found.loss), rel=1e-6)
    assert (row["m"], row["n"], row["s"], row["depth"], row["steps"]) == (8, 20, 2, 2, found.steps)
    assert np.isnan(runs[runs["truth"] == "gaussian"]["s"]).all()
    assert {"m", "n", "s"} < set(pd.read_parquet(out / "limits").columns)

    # Other sizes and trials add tasks; other scales are another sweep.
    larger = {**options, "step": "limit", "n": [20, 25], "trials": 2}
    assert "tasks computed: 12, found: 4;" in call("sweep", written(tmp_path, **larger), "--output", out).stdout
    assert set(pd.read_parquet(out / "limits")["n"]) == {20, 25}
    assert read_spec(out)["plan"]["n"] == [20, 25]
    refusal = call("sweep", written(tmp_path, **{**options, "scale": 2.0}), "--output", out, code=2).stderr
    assert "(scale: stored [0.1, 1.0], requested [2.0])" in refusal
    assert "which has no figures" in call("plot", out, code=2).stderr


def test_an_interrupted_sweep_resumes(tmp_path, monkeypatch):
    interrupted = Mock(wraps=compute.compute_runs, side_effect=[DEFAULT, compute.Interrupted])
    arguments = ["sweep", written(tmp_path, truth=["sparse", "signed"]), "--output", tmp_path / "out"]
    with monkeypatch.context() as patch:
        patch.setattr(compute, "compute_runs", interrupted)
        message = call(*arguments, code=130).stderr
    assert message.endswith("interrupted; finished tasks and checkpoints are kept, the same command resumes.\n")
    assert "tasks computed: 1, found: 1;" in call(*arguments).stdout


def test_a_summary_has_the_columns_that_differ():
    table = pd.DataFrame({"algorithm": "wn", "truth": "sparse", "m": [5, 5, 6], "n": 9, "s": 2.0, "centred": False})
    table = table.assign(depth=2, law="constant", direction="gaussian", step_rule="armijo", eps2=[3.0, 5.0, 7.0])
    table = table.assign(eps1=[1.0, 2.0, 4.0], status=["max_steps", "converged", "converged"])
    rows = summary(table).to_dict("records")
    assert rows == [
        {"m": 5, "algorithm": "wn", "runs": 2, "status": "1 max steps, 1 converged", "eps1": 1.5, "eps2": 4.0},
        {"m": 6, "algorithm": "wn", "runs": 1, "status": "1 converged", "eps1": 4.0, "eps2": 7.0},
    ]
