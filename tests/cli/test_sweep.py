"""``polarbias sweep``: text and JSON; the grids themselves are tested in tests/experiments/grids."""

import sys

import pandas as pd
import pytest

from commands import call, call_json

sweep = sys.modules["polarbias.cli.sweep"]  # polarbias.cli.sweep itself is the command

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "grid.toml").write_text('m = 5\nn = [9, 10]\nstep = "limit"\nratio = [1.0, 0.1]\n')
    return [tmp_path / "grid.toml", "--output", tmp_path / "out"]


def test_a_plan_and_a_summary(grid, tmp_path):
    assert "tasks: 2, 2 of them exact limits; runs: 4" in call("sweep", *grid, "--dry-run").stdout
    record = call_json("sweep", *grid, "--dry-run")
    assert record["plan"]["tasks"] == record["plan"]["limit_tasks"] == 2
    assert record["left_out"] == {}
    assert not (tmp_path / "out").exists()
    record = call_json("sweep", *grid)
    assert record["tasks"]["computed"] == 2
    assert [(row["n"], row["runs"], row["status"]) for row in record["summary"]] == [
        (9, 2, "2 converged"),
        (10, 2, "2 converged"),
    ]
    text = call("sweep", *grid).stdout
    assert text.splitlines()[0].split() == ["n", "algorithm", "runs", "status", "median", "eps1", "median", "eps2"]
    assert "tasks computed: 0, found: 2;" in text
    assert len(pd.read_parquet(tmp_path / "out" / "limits")) == 4


def test_long_summaries_are_cut(grid, monkeypatch):
    monkeypatch.setattr(sweep, "MAX_ROWS", 1)
    assert "and 1 more rows" in call("sweep", *grid).stdout


def test_wrong_files_end_with_2(tmp_path):
    for content, part in (
        ("m = ", "is not TOML"),
        ("m = 0", "m = 0 is not allowed"),
        ("start = 'x'", "no key 'start'"),
        ("trials = 1000000000", "1,000,000,000 combinations; at most 100,000"),
    ):
        (tmp_path / "grid.toml").write_text(content)
        assert part in call("sweep", tmp_path / "grid.toml", "--output", tmp_path / "out", code=2).stderr
    assert "does not exist" in call("sweep", tmp_path / "none.toml", "--output", tmp_path / "out", code=2).stderr


def test_durations():
    units = {30: "30 seconds", 600: "10.0 minutes", 9000: "2.5 hours", 900_000: "10.4 days"}
    assert {seconds: sweep._duration(seconds) for seconds in units} == units
