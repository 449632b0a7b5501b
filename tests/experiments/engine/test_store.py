"""Results folders: complete tables count as finished; other results and other files are refused or kept."""

import json
import logging
import os
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments.engine import store as store_module
from polarbias.experiments.engine.store import SCHEMA, Store, read_metadata, read_spec, verified
from polarbias.runtime import atomic_file

SPEC = {"kind": "reproduction", "profile": {"name": "tiny", "max_steps": 10, "r0": (0.1, 1.0), "tol": 1e-12}}
OTHER = {**SPEC, "profile": {**SPEC["profile"], "max_steps": 20}}
KEY, ABSENT = "figure4-trial00-wn", "figure4-trial01-wn"


def tables(rows=3):
    runs = pd.DataFrame(
        {"r0": np.linspace(0.1, 1, rows), "eps1": np.geomspace(1e-300, 1, rows), "ratio": np.nan, "status": "converged"}
    )
    return runs, pd.DataFrame({"step": np.arange(rows), "loss": [np.nan, *np.geomspace(1, 1e-9, rows - 1)]})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", SPEC)


@pytest.fixture
def filled(store):
    store.write(KEY, *tables(), {"wall_seconds": 1.5})
    return store


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_tables_and_metadata_are_read_as_written(filled):
    for found, written in zip(filled.read([KEY, ABSENT]), tables(), strict=True):
        pd.testing.assert_frame_equal(found, written, check_exact=True)
    assert filled.finished(KEY)
    assert not filled.finished(ABSENT)
    assert all(table.empty for table in filled.read([ABSENT]))
    metadata = read_metadata(filled.root / "runs" / f"{KEY}.parquet")
    assert (metadata["wall_seconds"], metadata["key"]) == (1.5, KEY)
    assert metadata["specification"]["profile"]["r0"] == [0.1, 1.0]
    assert names(filled.root) == [f"runs/{KEY}.parquet", "spec.json", f"trajectories/{KEY}.parquet"]
    filled.write_plan({"figures": [4], "trials": 2})
    assert Store(filled.root, json.loads(json.dumps(SPEC))).finished(KEY)
    assert read_spec(filled.root)["plan"] == {"figures": [4], "trials": 2}


def test_limits_are_a_table_of_their_own(filled):
    keys = [KEY, "figure4-trial00-wn-limit", "figure4-trial01-wn-limit"]
    filled.write_limits(keys[1], tables()[0], {"wall_seconds": 0.5})
    assert [filled.finished(key) for key in keys] == [True, True, False]
    pd.testing.assert_frame_equal(filled.read_limits(keys), tables()[0], check_exact=True)
    pd.testing.assert_frame_equal(filled.read_runs(keys), tables()[0], check_exact=True)
    path = filled.root / "limits" / f"{keys[1]}.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    assert not filled.finished(keys[1])
    assert filled.read_limits(keys).empty


@pytest.mark.parametrize("calls", [0, 1])
def test_an_interrupted_write_leaves_no_finished_task(store, monkeypatch, calls):
    real, done = pq.write_table, []

    def interrupted(table, path):
        if len(done) == calls:
            raise KeyboardInterrupt
        done.append(path)
        real(table, path)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.pq, "write_table", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write(KEY, *tables(), {})
    assert not store.finished(KEY)
    assert list((store.root / "runs").iterdir()) == []
    store.write(KEY, *tables(), {})
    assert store.finished(KEY)


def test_pandas_reads_a_folder_of_runs_without_temporary_files(filled):
    filled.write(ABSENT, *(table.assign(ratio=0.1) for table in tables()), {})
    (filled.root / "runs" / ".figure4-trial02-wn-x1y2z3a4.parquet").write_bytes(b"half")
    whole = pd.read_parquet(filled.root / "runs")
    assert (len(whole), whole["ratio"].dtype) == (6, float)
    assert names(Store(filled.root, SPEC, force=True).root) == ["spec.json"]


# Damage


@pytest.mark.parametrize("folder", ["runs", "trajectories"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "foreign", "no specification"])
def test_a_damaged_table_is_computed_again(filled, caplog, folder, damage):
    path = filled.root / folder / f"{KEY}.parquet"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("foreign", "no specification"):
        metadata = {"polarbias": "{}"} if damage == "no specification" else None
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), path)
    else:
        path.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"r0,eps1\n"}[damage])
    with caplog.at_level(logging.WARNING, "polarbias"):
        assert not filled.finished(KEY)
    # A missing file of runs is no damage: the task is not finished.
    assert (f"{folder}/{path.name}" in caplog.text) == ((folder, damage) != ("runs", "missing"))
    assert filled.read([KEY])[0].empty
    filled.write(KEY, *tables(), {})
    assert filled.finished(KEY)


@pytest.mark.parametrize("part", ["pages", "footer"])
def test_every_flipped_bit_that_changes_the_data_is_detected(store, part):
    store.write(KEY, *tables(50), {})
    path = store.root / "runs" / f"{KEY}.parquet"
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = range(4, footer) if part == "pages" else range(footer, len(whole))
    rng = np.random.default_rng(0)
    detected = 0
    for place in rng.choice(places, 60, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        if Store(store.root, SPEC).finished(KEY):
            # The statistics of a column and the name of the writer are no data.
            pd.testing.assert_frame_equal(pd.read_parquet(path), tables(50)[0], check_exact=True)
        else:
            detected += 1
    assert detected > (50 if part == "pages" else 15)


def test_changed_values_under_unchanged_metadata_are_detected(filled, caplog):
    path = filled.root / "trajectories" / f"{KEY}.parquet"
    table = pq.read_table(path)
    loss = table["loss"].to_numpy().copy()
    loss[1] *= 1 + 1e-15
    changed = table.set_column(1, "loss", pa.array(loss)).cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    assert not filled.finished(KEY)
    assert re.search(rf"{path.name} cannot be used \(its content .* digest\); .* is computed again", caplog.text)


def test_a_table_copied_over_that_of_another_task_is_computed_again(filled, caplog):
    filled.write(ABSENT, *tables(4), {})
    runs = filled.root / "runs"
    (runs / f"{ABSENT}.parquet").write_bytes((runs / f"{KEY}.parquet").read_bytes())
    assert not filled.finished(ABSENT)
    assert f"it is the table of {KEY}" in caplog.text
    assert filled.finished(KEY)


def test_a_file_is_verified_once_until_it_changes(filled, monkeypatch):
    seen = []
    monkeypatch.setattr(store_module, "verified", lambda path: seen.append(path.parent.name) or verified(path))
    assert all(filled.finished(KEY) for _ in range(3))
    filled.read([KEY])
    assert seen == ["runs", "trajectories"]
    path = filled.root / "runs" / f"{KEY}.parquet"
    os.utime(path, ns=(0, 0))
    assert filled.finished(KEY)
    assert seen == ["runs", "trajectories", "runs"]
    path.write_bytes(path.read_bytes()[:-1])
    assert not filled.finished(KEY)


def test_tables_of_releases_without_digests_are_read(filled):
    for folder in ("runs", "trajectories"):
        path = filled.root / folder / f"{KEY}.parquet"
        table = pq.read_table(path)
        entries = {name: text for name, text in table.schema.metadata.items() if name != b"polarbias.sha256"}
        pq.write_table(table.replace_schema_metadata(entries), path)
    assert filled.finished(KEY)
    pd.testing.assert_frame_equal(filled.read_runs([KEY]), tables()[0], check_exact=True)


# Other specifications and other files


def test_another_specification_is_refused_with_the_difference(filled, tmp_path):
    before = names(filled.root), (filled.root / "spec.json").read_bytes()
    with pytest.raises(StoreMismatch) as refusal:
        Store(filled.root, OTHER)
    message = str(refusal.value)
    assert "(profile.max_steps: stored 10, requested 20)" in message
    assert all(part in message for part in (str(filled.root), "--force", "another folder"))
    assert (names(filled.root), (filled.root / "spec.json").read_bytes()) == before
    with pytest.raises(StoreMismatch, match=r"\(kind: stored 'reproduction', requested 'run'\)"):
        Store(filled.root, {"kind": "run", "profile": SPEC["profile"]})
    # One table of another specification is refused as well.
    other = Store(tmp_path / "other", OTHER)
    (other.root / "runs" / f"{KEY}.parquet").write_bytes((filled.root / "runs" / f"{KEY}.parquet").read_bytes())
    with pytest.raises(StoreMismatch, match=r"profile\.max_steps: stored 10, requested 20.*--force"):
        other.finished(KEY)


def test_another_schema_version_is_refused(filled):
    content = json.loads((filled.root / "spec.json").read_text())
    content["specification"]["schema"] = SCHEMA + 1
    (filled.root / "spec.json").write_text(json.dumps(content))
    for opening in (lambda: Store(filled.root, SPEC), lambda: read_spec(filled.root)):
        with pytest.raises(StoreMismatch, match=f"schema version {SCHEMA + 1}, this is version {SCHEMA}.*--force"):
            opening()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"{}", b'{"specification": 3}', b"\xff\xfe\x00", b"null",
        b'{"specification": {"schema": 1}}', b'{"specification": {"schema": 1}, "plan": []}',
    ],
)  # fmt: skip
def test_an_unreadable_spec_is_refused(filled, content):
    (filled.root / "spec.json").write_bytes(content)
    with pytest.raises(StoreMismatch, match=r"spec\.json cannot be read.*--force"):
        Store(filled.root, SPEC)
    assert (filled.root / "spec.json").read_bytes() == content
    assert Store(filled.root, SPEC, force=True).read([KEY])[0].empty


def test_missing_specs_and_folders_named_spec(filled, tmp_path):
    (filled.root / "spec.json").unlink()
    with pytest.raises(StoreMismatch, match=r"no spec\.json;.*another folder"):
        Store(filled.root, SPEC)
    assert len(names(filled.root)) == 2
    with pytest.raises(StoreMismatch, match=r"holds no results: there is no spec\.json"):
        read_spec(tmp_path)
    (tmp_path / "spec.json").mkdir()
    with pytest.raises(StoreMismatch, match=r"spec\.json cannot be read"):
        Store(tmp_path, SPEC)


def test_force_discards_tables_and_no_other_file(filled, tmp_path):
    (filled.root / "notes.txt").write_text("mine")
    (filled.root / "sub").mkdir()
    (filled.root / "sub" / "x.parquet").write_text("mine")
    assert not Store(filled.root, OTHER, force=True).finished(KEY)
    assert names(filled.root) == ["notes.txt", "spec.json", "sub/x.parquet"]
    assert read_spec(filled.root)["specification"]["profile"]["max_steps"] == 20
    mine = tmp_path / "runs" / "marathon" / "times.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("3:15")
    for force in (False, True):
        with pytest.raises(StoreMismatch, match="another folder"):
            Store(tmp_path, SPEC, force=force)
    assert mine.read_text() == "3:15"


def test_unwritable_folders(filled, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "results"):
        with pytest.raises(InvalidInput, match=r"cannot write results to .*file.*choose another folder"):
            Store(folder, SPEC)
    (filled.root / "limits").write_text("in the way")
    with pytest.raises(InvalidInput, match=r"cannot write .*limits.*; make room or choose another folder"):
        filled.write_limits("figure4-trial00-wn-limit", tables()[0], {})

    def fail(*args):
        raise OSError("the reason")

    monkeypatch.setattr(atomic_file.os, "open", fail)
    for write in (lambda: filled.write(KEY, *tables(), {}), lambda: filled.write_plan({})):
        with pytest.raises(InvalidInput, match=r"cannot write .*results.*the reason.*another folder"):
            write()
    assert filled.finished(KEY)
