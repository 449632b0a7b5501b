"""The results folder: what is written whole, what counts as finished, what is refused, and what is discarded."""

import errno
import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments.engine import store as store_module
from polarbias.experiments.engine.store import SCHEMA, Store, read_metadata, read_spec
from polarbias.runtime import atomic_file
from polarbias.runtime.atomic_file import atomic_write

SPEC = {"kind": "reproduction", "profile": {"name": "tiny", "max_steps": 10, "r0": (0.1, 1.0), "tol": 1e-12}}
KEY = "figure4-trial00-wn"


def spec(**changes):
    return {**SPEC, "profile": {**SPEC["profile"], **changes}}


def tables(offset=0.0):
    runs = pd.DataFrame(
        {"r0": [0.1, 1.0], "eps1": np.array([1 / 3, 1e-300]) + offset, "status": ["converged", "max_steps"]}
    )
    return runs, pd.DataFrame({"step": [0, 1, 5], "loss": [1.0, 0.1, np.nan]})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", SPEC)


@pytest.fixture
def filled(store):
    store.write(KEY, *tables(), {"wall_seconds": 1.5})
    return store


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_written_is_read_again(filled):
    runs, trajectories = filled.read([KEY, "figure4-trial01-wn"])
    pd.testing.assert_frame_equal(runs, tables()[0], check_exact=True)
    pd.testing.assert_frame_equal(trajectories, tables()[1], check_exact=True)
    assert filled.finished(KEY)
    assert not filled.finished("figure4-trial01-wn")
    metadata = read_metadata(filled.root / "runs" / f"{KEY}.parquet")
    assert metadata["wall_seconds"] == 1.5
    assert metadata["key"] == KEY
    assert metadata["specification"]["profile"]["r0"] == [0.1, 1.0]
    assert names(filled.root) == [f"runs/{KEY}.parquet", "spec.json", f"trajectories/{KEY}.parquet"]


def test_without_finished_tasks_tables_are_empty(store):
    runs, trajectories = store.read([KEY])
    assert runs.empty
    assert trajectories.empty


def test_the_same_folder_opens_again(filled):
    again = Store(filled.root, json.loads(json.dumps(SPEC)))
    assert again.finished(KEY)
    filled.write_plan({"figures": [4], "trials": 2})
    assert Store(filled.root, SPEC).finished(KEY)
    assert read_spec(filled.root)["plan"] == {"figures": [4], "trials": 2}


@pytest.mark.parametrize("death", [KeyboardInterrupt, MemoryError, OSError("disk full")])
def test_a_writer_that_dies_half_way_leaves_the_old_file(tmp_path, death):
    path = tmp_path / "table.txt"
    path.write_text("old")

    def half(temporary):
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise death

    with pytest.raises((KeyboardInterrupt, MemoryError, InvalidInput)):
        atomic_write(path, half)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.txt"]


def test_who_reads_the_old_file_goes_on_reading_it(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("old")
    with path.open() as reader:
        atomic_write(path, lambda temporary: temporary.write_text("new"))
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_new_file_appears_only_whole(tmp_path):
    seen = []

    def write(temporary):
        temporary.write_text("half")
        seen.append((tmp_path / "table.txt").exists())
        temporary.write_text("whole")

    atomic_write(tmp_path / "table.txt", write)
    assert seen == [False]
    assert (tmp_path / "table.txt").read_text() == "whole"


@pytest.mark.parametrize("calls", [0, 1])
def test_a_task_counts_only_when_both_tables_are_there(store, monkeypatch, calls):
    real, done = pq.write_table, []

    def dies(table, where, *args):
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(where)
        real(table, where, *args)

    monkeypatch.setattr(store_module.pq, "write_table", dies)
    with pytest.raises(KeyboardInterrupt):
        store.write(KEY, *tables(), {})
    monkeypatch.undo()
    assert not store.finished(KEY)
    assert list((store.root / "runs").iterdir()) == []
    assert store.read([KEY])[0].empty
    store.write(KEY, *tables(), {})
    assert store.finished(KEY)


def test_limits_are_a_table_of_their_own(filled):
    limits = pd.DataFrame({"r0": [0.1, 1.0], "eps1": [1 / 3, 1e-300]})
    filled.write_limits("figure4-trial00-wn-limit", limits, {"wall_seconds": 0.5})
    keys = [KEY, "figure4-trial00-wn-limit", "figure4-trial01-wn-limit"]
    assert [filled.finished(key) for key in keys] == [True, True, False]
    pd.testing.assert_frame_equal(filled.read_limits(keys), limits, check_exact=True)
    pd.testing.assert_frame_equal(filled.read(keys)[0], tables()[0], check_exact=True)
    path = filled.root / "limits" / f"{keys[1]}.parquet"
    assert read_metadata(path)["wall_seconds"] == 0.5
    path.write_bytes(path.read_bytes()[:-10])
    assert not filled.finished(keys[1])
    assert filled.read_limits(keys).empty
    assert names(Store(filled.root, SPEC, force=True).root) == ["spec.json"]


def test_litter_of_a_killed_writer_is_no_task(filled):
    for folder in ("runs", "trajectories"):
        whole = (filled.root / folder / f"{KEY}.parquet").read_bytes()
        (filled.root / folder / ".figure4-trial01-wn-x1y2z3.parquet").write_bytes(whole[: len(whole) // 2])
    again = Store(filled.root, SPEC)
    assert not again.finished("figure4-trial01-wn")
    assert len(again.read([KEY, "figure4-trial01-wn"])[0]) == 2
    assert len(pd.read_parquet(filled.root / "runs")) == 2
    assert names(Store(filled.root, SPEC, force=True).root) == ["spec.json"]


def test_runs_read_as_one_data_set(store):
    for trial in range(3):
        runs, trajectories = tables(trial)
        ratio = np.nan if trial == 0 else 0.1
        store.write(f"figure4-trial{trial:02d}-wn", runs.assign(trial=trial, ratio=ratio), trajectories, {})
    whole = pd.read_parquet(store.root / "runs")
    assert list(whole["trial"]) == [0, 0, 1, 1, 2, 2]
    assert whole["ratio"].dtype == float


@pytest.mark.parametrize("folder", ["runs", "trajectories"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "foreign", "no specification"])
def test_a_damaged_table_is_computed_again(filled, caplog, folder, damage):
    path = filled.root / folder / f"{KEY}.parquet"
    whole = path.read_bytes()
    if damage in ("foreign", "no specification"):
        table = pa.table({"a": [1]})
        pq.write_table(
            table.replace_schema_metadata({"polarbias": "{}"} if damage == "no specification" else None), path
        )
    else:
        path.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"r0,eps1\n"}[damage])
    with caplog.at_level(logging.WARNING, "polarbias"):
        assert not filled.finished(KEY)
    assert path.name in caplog.text
    assert folder in caplog.text
    assert filled.read([KEY])[0].empty
    filled.write(KEY, *tables(), {})
    assert filled.finished(KEY)


def test_a_table_copied_over_that_of_another_task_is_computed_again(filled, caplog):
    other = KEY.replace("wn", "plain")
    filled.write(other, *tables(1.0), {})
    runs = filled.root / "runs"
    (runs / f"{other}.parquet").write_bytes((runs / f"{KEY}.parquet").read_bytes())
    assert not filled.finished(other)
    assert f"it is the table of {KEY}" in caplog.text
    assert filled.finished(KEY)


def test_a_lost_trajectory_is_computed_again(filled, caplog):
    (filled.root / "trajectories" / f"{KEY}.parquet").unlink()
    assert not filled.finished(KEY)
    assert KEY in caplog.text


def test_another_specification_is_refused_and_the_difference_named(filled):
    before = names(filled.root), (filled.root / "spec.json").read_bytes()
    with pytest.raises(StoreMismatch) as refusal:
        Store(filled.root, spec(max_steps=20))
    message = str(refusal.value)
    assert "profile.max_steps: stored 10, requested 20" in message
    assert "tol" not in message
    assert "r0" not in message
    assert str(filled.root) in message
    assert "--force" in message
    assert "another folder" in message
    assert (names(filled.root), (filled.root / "spec.json").read_bytes()) == before


def test_another_kind_is_refused(filled):
    with pytest.raises(StoreMismatch, match=r"\(kind: stored 'reproduction', requested 'run'\)"):
        Store(filled.root, {"kind": "run", "task": {"figure": 0}, "profile": SPEC["profile"]})


def test_a_spec_that_cannot_be_opened_is_refused(tmp_path):
    (tmp_path / "spec.json").mkdir()
    for opening in (lambda: Store(tmp_path, SPEC), lambda: read_spec(tmp_path)):
        with pytest.raises(StoreMismatch, match=r"spec\.json cannot be read"):
            opening()


def test_another_schema_version_is_refused(filled):
    content = json.loads((filled.root / "spec.json").read_text())
    content["specification"]["schema"] = SCHEMA + 1
    (filled.root / "spec.json").write_text(json.dumps(content))
    for opening in (lambda: Store(filled.root, SPEC), lambda: read_spec(filled.root)):
        with pytest.raises(StoreMismatch, match=f"schema version {SCHEMA + 1}, this is version {SCHEMA}.*--force"):
            opening()
    assert filled.finished(KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"{}", b'{"specification": 3}', b"\xff\xfe\x00", b"null",
        b'{"specification": {"schema": 1}}', b'{"specification": {"schema": 1}, "plan": []}',
    ],
)  # fmt: skip
def test_a_spec_that_is_not_ours_is_refused(filled, content):
    (filled.root / "spec.json").write_bytes(content)
    with pytest.raises(StoreMismatch, match=r"spec\.json cannot be read.*--force"):
        Store(filled.root, SPEC)
    assert (filled.root / "spec.json").read_bytes() == content
    assert Store(filled.root, SPEC, force=True).read([KEY])[0].empty


def test_a_task_of_another_specification_is_refused(filled, tmp_path):
    other = Store(tmp_path / "other", spec(max_steps=20))
    path = other.root / "runs" / f"{KEY}.parquet"
    path.write_bytes((filled.root / "runs" / f"{KEY}.parquet").read_bytes())
    with pytest.raises(StoreMismatch, match=r"profile\.max_steps: stored 10, requested 20.*--force"):
        other.finished(KEY)


def test_tables_without_spec_are_refused(filled):
    (filled.root / "spec.json").unlink()
    with pytest.raises(StoreMismatch, match=r"no spec\.json;.*another folder"):
        Store(filled.root, SPEC)
    assert len(names(filled.root)) == 2


def test_no_spec_to_read(tmp_path):
    with pytest.raises(StoreMismatch, match=r"holds no results: there is no spec\.json"):
        read_spec(tmp_path)


def test_force_discards_tables_and_nothing_else(filled):
    (filled.root / "notes.txt").write_text("mine")
    (filled.root / "sub").mkdir()
    (filled.root / "sub" / "x.parquet").write_text("mine")
    again = Store(filled.root, spec(max_steps=20), force=True)
    assert not again.finished(KEY)
    assert names(filled.root) == ["notes.txt", "spec.json", "sub/x.parquet"]
    assert read_spec(filled.root)["specification"]["profile"]["max_steps"] == 20


def test_force_never_deletes_files_that_are_no_tables(tmp_path):
    mine = tmp_path / "runs" / "marathon" / "times.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("3:15")
    for force in (False, True):
        with pytest.raises(StoreMismatch, match="another folder"):
            Store(tmp_path, SPEC, force=force)
    assert names(tmp_path) == ["runs/marathon/times.csv"]


def test_a_path_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "results"):
        with pytest.raises(InvalidInput, match=r"cannot write results to .*file.*choose another folder"):
            Store(folder, SPEC)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_became_unwritable(filled, monkeypatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, "the reason")

    monkeypatch.setattr(atomic_file.os, "open", refuse)
    for write in (lambda: filled.write(KEY, *tables(), {}), lambda: filled.write_plan({})):
        with pytest.raises(InvalidInput, match=r"cannot write .*results.*the reason.*another folder"):
            write()
    assert filled.finished(KEY)
    with pytest.raises(InvalidInput, match="cannot write"):
        Store(filled.root.parent / "new", SPEC)


def test_what_a_killed_writer_left_goes_with_the_next_write_and_nothing_else_does(tmp_path):
    for name in (".task-abcd1234.parquet", ".task-wn-abcd1234.parquet", ".task-abcd1234.png"):
        (tmp_path / name).write_text("half")
    atomic_write(tmp_path / "task.parquet", lambda path: path.write_text("whole"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"task.parquet", ".task-wn-abcd1234.parquet", ".task-abcd1234.png"}
