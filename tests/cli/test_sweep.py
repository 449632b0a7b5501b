"""``polarbias sweep``: text and JSON; the grids themselves are tested in tests/experiments/grids."""

import sys

import pytest

from commands import call, call_json

sweep = sys.modules["polarbias.cli.sweep"]  # polarbias.cli.sweep itself is the command


def test_a_plan_and_a_summary(tmp_path, monkeypatch):
    path, out = tmp_path / "grid.toml", tmp_path / "out"
    path.write_text('m = 5\nn = [9, 10]\nstep = "limit"\nratio = [1.0, 0.1]\n')
    arguments = ["sweep", path, "--output", out]
    assert "tasks: 2, 2 of them exact limits; runs: 4" in call(*arguments, "--dry-run").stdout
    record = call_json(*arguments, "--dry-run")
    assert record["plan"]["tasks"] == record["plan"]["limit_tasks"] == 2
    assert record["left_out"] == {}
    assert not out.exists()
    record = call_json(*arguments)
    assert record["tasks"]["computed"] == 2
    rows = [(row["n"], row["runs"], row["status"]) for row in record["summary"]]
    assert rows == [(9, 2, "2 converged"), (10, 2, "2 converged")]
    text = call(*arguments).stdout
    assert text.splitlines()[0].split() == ["n", "algorithm", "runs", "status", "median", "eps1", "median", "eps2"]
    assert "tasks computed: 0, found: 2;" in text
    monkeypatch.setattr(sweep, "MAX_ROWS", 1)
    assert "and 1 more rows" in call(*arguments).stdout


def test_missing_and_wrong_files_end_with_2(tmp_path):
    path = tmp_path / "grid.toml"
    assert "does not exist" in call("sweep", path, "--output", tmp_path / "out", code=2).stderr
    for content, part in (("m = 0", "m = 0 is not allowed"), ("trials = 1000000000", "at most 100,000")):
        path.write_text(content)
        assert part in call("sweep", path, "--output", tmp_path / "out", code=2).stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(30, "30 seconds"), (600, "10.0 minutes"), (9000, "2.5 hours"), (900_000, "10.4 days")]
)
def test_durations(seconds, text):
    assert sweep._duration(seconds) == text
