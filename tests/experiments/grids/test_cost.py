"""Upper bounds of the cost of a sweep."""

import re

import pytest

from commands import call
from grids import written
from polarbias.experiments import read_grid, sweep
from polarbias.experiments.grids import cost
from reproductions import quiet

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


def test_a_dry_run_prints_the_bound_and_writes_nothing(tmp_path):
    path = written(
        tmp_path, truth=["sparse", "signed"], algorithm=["wn", "wn-separate"], step=["armijo", "limit", "mirror"]
    )
    shown = call("sweep", path, "--output", tmp_path / "out", "--dry-run").stdout
    assert "tasks: 7, 2 of them exact limits; runs: 28\n" in shown
    assert "left out: 3 combinations, because wn-separate needs a signed truth\n" in shown
    assert f"run-steps: at most {5 * 4 * 100:,}\n" in shown
    assert re.search(r"time: at most [\d.]+ (seconds|minutes) in one process, an upper bound", shown)
    assert not (tmp_path / "out").exists()


def test_run_steps_are_bounded(tmp_path):
    grid = read_grid(written(tmp_path, tol=0.0, max_steps=300))
    bound = cost.estimate_cost(grid.tasks()[0], grid.profile)
    totals, _ = sweep(grid, tmp_path / "out", observe=quiet)
    assert 0 < totals.run_steps <= bound.run_steps == 1200


def test_the_seconds_of_descent_are_the_sum_of_the_model(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(cost, "_products", lambda *shape: asked.append(shape) or 1e-3)
    grid = read_grid(written(tmp_path, truth=["sparse", "signed"], trials=3, max_steps=1000))
    bound = cost.estimate_cost(grid.tasks()[0], grid.profile)
    # Two programs, six tasks of four runs, and one measurement per shape.
    assert bound.seconds == pytest.approx(2 * 3.0 + 6 * (0.3 + 1000 * (4.0 * 1e-3 + 5e-6)))
    assert asked == [(8, 20, 4), (8, 40, 4)]


@pytest.mark.parametrize(("step", "factor"), [("limit", 4), ("mirror", 4 * 1000 / 3)])
def test_limits_and_mirror_descent_are_extrapolated_from_one_run(tmp_path, monkeypatch, step, factor):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(cost, "perf_counter", lambda: next(clock))
    grid = read_grid(written(tmp_path, step=step, max_steps=1000))
    bound = cost.estimate_cost(grid.tasks()[0], grid.profile)
    assert bound.seconds == pytest.approx(0.3 + 2.0 * factor)
