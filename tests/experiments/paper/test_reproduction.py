"""Reproductions from profile to verdicts: tables, metadata, and drawing without computation."""

import json

import pandas as pd
import pytest

import polarbias as pb
from polarbias.errors import StoreMismatch
from polarbias.experiments import FIGURES, redraw, reproduce
from polarbias.experiments.engine import compute
from polarbias.experiments.engine.archive import table_files
from polarbias.experiments.engine.store import read_metadata
from reproductions import quiet, small

PROFILE = small(seed=5, limit_r0=(0.01, 0.1, 1.0, 10**0.5), limit_ratios=(3.0, 1.0, 0.1, 0.03))
NUMBERS = [1, 2, 3, 4, 5]
TASKS = [task for number in NUMBERS for task in FIGURES[number].tasks(PROFILE)]
COLUMNS = {"figure", "trial", "algorithm", "truth", "depth", "ratio", "r0", "seed", "loss"}
COLUMNS |= {"eps1", "eps1_cert", "eps2", "status"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, no_drawings):
    folder = tmp_path_factory.mktemp("whole")
    return folder, reproduce(PROFILE, folder, NUMBERS, observe=quiet)


def test_tables_and_verdicts(whole):
    folder, result = whole
    assert (result.totals.computed, result.totals.found) == (len(TASKS), 0)
    limits, runs, records = (pd.read_parquet(folder / name) for name in ("limits", "runs", "trajectories"))
    assert len(limits) == sum(len(task.runs) for task in TASKS if task.is_limit)
    assert len(runs) == sum(len(task.runs) for task in TASKS if not task.is_limit)
    assert COLUMNS | {"factorizations", "r", "log_rho"} <= set(limits.columns)
    assert COLUMNS | {"steps", "trials", "loss_start"} <= set(runs.columns)
    assert {"figure", "trial", "algorithm", "ratio", "r0", "step", "loss", "r", "l1"} <= set(records.columns)
    assert result.totals.run_steps == runs["steps"].sum() > 0
    assert not runs.drop(columns=["ratio", "status", "c"]).isna().any().any()
    assert (runs["c"].isna() == (runs["step_rule"] != "stable")).all()
    assert (runs["steps"] <= 300).all()
    assert [finding.number for finding in result.findings] == list(range(1, 17))
    assert [path.name for path in result.files] == ["statements.md", "report.html"]
    document = (folder / "statements.md").read_text()
    for f in result.findings:
        assert f"| {f.number} | {f.statement} | {f.source} | {f.measured} | **{f.verdict}** |" in document


def test_every_file_records_its_origin(whole):
    files = table_files(whole[0])
    assert len(files) == len(TASKS)
    for path in files:
        metadata = read_metadata(path)
        assert metadata["key"] == path.stem
        assert all(metadata[name] for name in ("wall_seconds", "host", "python"))
        assert metadata["versions"]["polarbias"] == pb.__version__
        assert {"numpy", "scipy", "jax", "jaxlib"} <= metadata["versions"].keys()
        assert metadata["specification"]["profile"]["max_steps"] == 300


def test_drawing_again_computes_nothing(whole, monkeypatch):
    folder, result = whole
    document = (folder / "statements.md").read_bytes()
    for name in ("gradient_descent", "mirror_descent", "flow_limit"):
        monkeypatch.setattr(compute, name, None)
    again = redraw(folder)
    assert (again.totals, again.findings) == (None, result.findings)
    assert (folder / "statements.md").read_bytes() == document


def test_unknown_figures_and_damaged_plans(tmp_path):
    with pytest.raises(pb.InvalidInput, match=r"figure must be one of 1, 2, 3, 4, 5, 6, 7, 8, got 9"):
        reproduce(PROFILE, None, [1, 9], observe=quiet)
    plan = '{"specification": {"schema": 2, "kind": "reproduction"%s}, "plan": {"figures": [%s]}}'
    whole = f', "profile": {json.dumps(PROFILE.identity())}'
    for profile, figures, message in (
        ("", "9", r"spec\.json cannot be read"),
        ("", "4", "does not describe"),
        (whole, "4", "holds no finished figure yet"),
    ):
        (tmp_path / "spec.json").write_text(plan % (profile, figures))
        with pytest.raises(StoreMismatch, match=message):
            redraw(tmp_path)
