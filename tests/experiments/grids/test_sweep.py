"""Sweeps: what a specification may say, which tasks it makes, and that they are computed, found again and added to."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import polarbias as pb
from commands import call
from polarbias.experiments import read_grid, sweep
from polarbias.experiments.engine import compute, runner
from polarbias.experiments.engine.store import read_spec
from polarbias.experiments.grids.cost import estimate_cost
from polarbias.experiments.grids.grid import KEYS
from repository import ROOT
from reproductions import quiet

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

PAGE = ROOT / "docs" / "sweep.md"
SMALL = {"m": 8, "n": 20, "s": 2, "scale": [0.1, 1.0], "ratio": [1.0, 0.1], "max_steps": 100}


def written(folder, content=None, **changes):
    path = folder / "grid.toml"
    path.write_text(
        "\n".join(f"{name} = {json.dumps(given)}" for name, given in {**SMALL, **changes}.items())
        if content is None
        else content
    )
    return path


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"truht": "sparse"}, ["'truht'", "did you mean 'truth'", "max_steps"]),
        ({"scales": [1.0]}, ["'scales'", "did you mean 'scale'"]),
        ({"truth": "dense"}, ["truth = 'dense'", "gaussian, sparse or signed"]),
        ({"truth": ["sparse", "dense"]}, ["truth = 'dense'"]),
        ({"truth": []}, ["truth = []", "at least one value"]),
        ({"m": 0}, ["m = 0", "integer of at least 1"]),
        ({"n": [20, 1.5]}, ["n = 1.5", "integer of at least 1"]),
        ({"s": True}, ["s = True", "integer of at least 1"]),
        ({"depth": [[2]]}, ["depth = [2]", "integer of at least 1"]),
        ({"algorithm": "deep"}, ["algorithm = 'deep'", "wn-separate or wn-renormalized"]),
        ({"law": "power:x"}, ["law = 'power:x'", "constant, harmonic or power:K"]),
        ({"law": 3}, ["law = 3", "constant, harmonic or power:K"]),
        ({"law": ["power:2", "power:2.0"]}, ["each value once", "'power:2'"]),
        ({"ratio": [0.1, -1]}, ["ratio = -1", "a finite number above 0"]),
        ({"ratio": 10**400}, ["ratio = 1000", "a finite number above 0"]),
        ({"scale": [1, 1.0]}, ["each value once", "1.0"]),
        ({"direction": "zero"}, ["direction = 'zero'", "gaussian or uniform"]),
        ({"step": "fast"}, ["step = 'fast'", "armijo, stable, mirror, limit or a finite number above 0"]),
        ({"step": [0.0]}, ["step = 0.0"]),
        ({"center_rows": 1}, ["center_rows = 1", "true or false"]),
        ({"trials": [1, 2]}, ["trials = [1, 2]", "one value"]),
        ({"max_steps": 10**16}, ["max_steps = 1000", "1e+15"]),
        ({"tol": -1}, ["tol = -1", "at least 0"]),
        ({"seed": -1}, ["seed = -1", "at least 0"]),
        ({"algorithm": "wn-separate"}, ["no task", "needs a signed truth"]),
        ({"truth": "sparse", "s": 30}, ["no task", "s is more than n"]),
        ({"step": "mirror", "depth": 1}, ["no task", "depth 2 or above"]),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(changes, parts, tmp_path):
    message = call("sweep", written(tmp_path, **changes), "--output", tmp_path / "out", code=2).stderr
    assert message.startswith("polarbias: ")
    assert message.count("\n") == 1
    assert all(part in message for part in parts), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("content", "part"), [("m = ", "is not TOML"), ("m = 1\nm = 2", "is not TOML")])
def test_what_is_no_toml_is_refused(content, part, tmp_path):
    path = written(tmp_path, content)
    assert part in call("sweep", path, "--output", tmp_path / "out", code=2).stderr
    path.write_bytes(b"\xff\xfe")
    assert "is not TOML" in call("sweep", path, "--output", tmp_path / "out", code=2).stderr


def test_tasks_are_the_product_without_what_cannot_be(tmp_path):
    grid = read_grid(
        written(
            tmp_path, truth=["gaussian", "signed"], n=[20, 30], s=[2, 3], depth=[1, 2], law=["constant", "power:2.0"],
            algorithm=["plain", "wn", "wn-separate", "wn-renormalized"], step=["armijo", 0.01, "mirror", "limit"],
            direction=["gaussian", "uniform"], center_rows=[False, True], trials=2,
        )
    )  # fmt: skip
    tasks, left_out = grid.tasks()
    assert len({task.key for task in tasks}) == len(tasks) == len({task.label for task in tasks})
    # Per truth (one of gaussian's sparsities counts), network, law (plain has none): rules that are left.
    networks = {
        "gaussian": 1 * (4 + 3) + 2 * (4 + 3) + 2 * (2 + 2),
        "signed": 2 * (1 * (4 + 3) + 2 * (4 + 3) + 2 * (2 + 2) + 2 * (2 + 2)),
    }
    assert len(tasks) == 2 * 2 * 2 * 2 * sum(networks.values())
    assert {"wn-separate needs a signed truth", "step = 'mirror' needs depth 2 or above"} < set(left_out)
    for task in tasks:
        ratios = [1.0] if task.algorithm == "plain" else [1.0, 0.1]
        assert [(c.r0, c.ratio, c.start) for c in task.runs] == [(r0, f, task.trial) for f in ratios for r0 in (0.1, 1)]
    assert {task.law for task in tasks} == {"constant", "power:2"}
    assert re.fullmatch(r"[-a-z0-9.]+", max(tasks, key=lambda task: len(task.key)).key)


def test_a_sweep_is_stored_summed_up_and_found_again(tmp_path):
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
    [row] = runs[
        (runs["truth"] == "sparse") & (runs["algorithm"] == "wn") & (runs["r0"] == 1) & (runs["ratio"] == 0.1)
    ].to_dict("records")
    problem = pb.gaussian_problem(0, 8, 20, "sparse", s=2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    found = pb.gradient_descent(
        problem, network, network.init(1.0, pb.folded_gaussian_direction(0, 20)), max_steps=100, tol=1e-12
    )
    assert row["loss"] == pytest.approx(float(found.loss), rel=1e-6)
    assert (row["m"], row["n"], row["s"], row["depth"], row["steps"]) == (8, 20, 2, 2, found.steps)
    assert np.isnan(runs[runs["truth"] == "gaussian"]["s"]).all()
    assert {"m", "n", "s"} < set(pd.read_parquet(out / "limits").columns)

    # Other sizes and trials add tasks; other scales are another sweep.
    more = call("sweep", written(tmp_path, **options, n=[20, 25], trials=2), "--output", out)
    assert "tasks computed: 24, found: 8;" in more.stdout
    assert set(pd.read_parquet(out / "runs")["n"]) == {20, 25}
    assert read_spec(out)["plan"]["n"] == [20, 25]
    refusal = call("sweep", written(tmp_path, **{**options, "scale": 2.0}), "--output", out, code=2).stderr
    assert "(scale: stored [0.1, 1.0], requested [2.0])" in refusal
    assert "which has no figures" in call("plot", out, code=2).stderr


def test_an_interrupted_sweep_goes_on(tmp_path, monkeypatch):
    real, calls = compute.compute_runs, []

    def interrupted(*args):
        if calls:
            raise runner.Interrupted
        calls.append(args)
        return real(*args)

    path, out = written(tmp_path, step="limit"), tmp_path / "out"
    monkeypatch.setattr(compute, "compute_runs", interrupted)
    path = written(tmp_path, truth=["sparse", "signed"])
    message = call("sweep", path, "--output", out, code=130).stderr
    assert message.endswith(
        "polarbias: interrupted; finished tasks and checkpoints are kept, the same command resumes.\n"
    )
    monkeypatch.undo()
    assert "tasks computed: 1, found: 1;" in call("sweep", path, "--output", out).stdout


def test_a_dry_run_bounds_the_cost_and_writes_nothing(tmp_path):
    path = written(
        tmp_path, truth=["sparse", "signed"], algorithm=["wn", "wn-separate"], step=["armijo", "limit", "mirror"]
    )
    shown = call("sweep", path, "--output", tmp_path / "out", "--dry-run").stdout
    assert "tasks: 7, 2 of them exact limits; runs: 28\n" in shown
    assert "left out: 3 combinations, because wn-separate needs a signed truth\n" in shown
    assert f"run-steps: at most {5 * 4 * 100:,}\n" in shown
    assert re.search(r"time: at most [\d.]+ (seconds|minutes) in one process, an upper bound", shown)
    assert not (tmp_path / "out").exists()


def test_the_bound_is_one(tmp_path):
    grid = read_grid(written(tmp_path, tol=0.0, max_steps=2000))
    bound = estimate_cost(grid.tasks()[0], grid.profile)
    totals, _ = sweep(grid, tmp_path / "out", observe=quiet)
    assert totals.run_steps <= bound.run_steps == 8000
    assert 0 < bound.seconds < 60


def test_the_page_has_every_key_and_an_example_that_runs(tmp_path):
    text = PAGE.read_text()
    for name, key in KEYS.items():
        default = key.default[0] if key.is_axis else key.default
        shown = str(default).lower() if isinstance(default, bool) else f"{default:,}" if default == 100_000 else default
        assert re.search(rf"^\| `{name}` \|.*\| `?{re.escape(str(shown))}`? \|", text, re.MULTILINE), name
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    grid = read_grid(written(tmp_path, example))
    tasks, left_out = grid.tasks()
    [(count, limits, runs)] = re.findall(r"^tasks: (\d+), (\d+) of them exact limits; runs: (\d+)$", text, re.MULTILINE)
    found = estimate_cost(tasks, grid.profile)
    assert (found.tasks, found.limit_tasks, found.runs) == (int(count), int(limits), int(runs))
    assert all(f"combinations, because {reason}" in text for reason in left_out)
    totals, summary = sweep(grid, tmp_path / "out", observe=quiet)
    assert totals.computed == len(tasks)
    assert summary["runs"].sum() == found.runs
