"""Results folders: complete tables count as finished; other results and other files are refused or kept."""

import json
import os
import re
from unittest.mock import DEFAULT, Mock

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
LIMIT = f"{KEY}-limit"


def tables(rows=3):
    runs = pd.DataFrame(
        {"r0": np.linspace(0.1, 1, rows), "eps1": np.geomspace(1e-300, 1, rows), "ratio": np.nan, "status": "converged"}
    )
    records = pd.DataFrame({"step": np.arange(rows), "loss": [np.nan, *np.geomspace(1, 1e-9, rows - 1)]})
    return {"trajectories": records, "runs": runs}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", SPEC)


@pytest.fixture
def filled(store):
    store.write(KEY, tables(), {"wall_seconds": 1.5})
    return store


def file_of(store, folder, key=KEY):
    return store.root / folder / f"{key}.parquet"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_tables_and_metadata_are_read_as_written(filled):
    for folder, written in tables().items():
        pd.testing.assert_frame_equal(filled.read(folder, [KEY, ABSENT, LIMIT]), written, check_exact=True)
        assert filled.read(folder, [ABSENT]).empty
    metadata = read_metadata(file_of(filled, "runs"))
    assert (metadata["wall_seconds"], metadata["key"]) == (1.5, KEY)
    assert metadata["specification"]["profile"]["r0"] == [0.1, 1.0]
    assert names(filled.root) == [f"runs/{KEY}.parquet", "spec.json", f"trajectories/{KEY}.parquet"]
    filled.write_plan({"figures": [4], "trials": 2})
    assert read_spec(filled.root)["plan"] == {"figures": [4], "trials": 2}
    again = Store(filled.root, json.loads(json.dumps(SPEC)))
    again.write(LIMIT, {"limits": tables()["runs"]}, {})
    assert [again.finished(key) for key in (KEY, LIMIT, ABSENT)] == [True, True, False]
    pd.testing.assert_frame_equal(again.read("limits", [KEY, LIMIT, ABSENT]), tables()["runs"], check_exact=True)


@pytest.mark.parametrize("calls", [0, 1])
def test_an_interrupted_write_leaves_no_finished_task(store, monkeypatch, calls):
    interrupted = Mock(wraps=pq.write_table, side_effect=[*[DEFAULT] * calls, KeyboardInterrupt])
    with monkeypatch.context() as patch:
        patch.setattr(store_module.pq, "write_table", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write(KEY, tables(), {})
    assert not store.finished(KEY)
    assert list((store.root / "runs").iterdir()) == []


def test_pandas_reads_a_folder_of_runs_without_temporary_files(filled):
    filled.write(ABSENT, {name: table.assign(ratio=0.1) for name, table in tables().items()}, {})
    (filled.root / "runs" / ".figure4-trial02-wn-x1y2z3a4.parquet").write_bytes(b"half")
    whole = pd.read_parquet(filled.root / "runs")
    assert (len(whole), whole["ratio"].dtype) == (6, float)
    assert names(Store(filled.root, SPEC, force=True).root) == ["spec.json"]


@pytest.mark.parametrize("folder", ["runs", "trajectories", "limits"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text", "foreign", "no specification"])
def test_a_damaged_table_is_computed_again(filled, caplog, folder, damage):
    filled.write(LIMIT, {"limits": tables()["runs"]}, {})
    key = LIMIT if folder == "limits" else KEY
    path = file_of(filled, folder, key)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("foreign", "no specification"):
        metadata = {"polarbias": "{}"} if damage == "no specification" else None
        pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), path)
    else:
        path.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"r0,eps1\n"}[damage])
    assert not filled.finished(key)
    # A missing last file is no damage: the task is not finished.
    assert (f"{folder}/{path.name}" in caplog.text) == (damage != "missing" or folder == "trajectories")
    assert filled.read(folder, [key]).empty
    filled.write(KEY, tables(), {})
    assert filled.finished(KEY)


@pytest.mark.parametrize("part", ["pages", "footer"])
def test_every_flipped_bit_that_changes_the_data_is_detected(store, part):
    store.write(KEY, tables(50), {})
    path = file_of(store, "runs")
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
            pd.testing.assert_frame_equal(pd.read_parquet(path), tables(50)["runs"], check_exact=True)
        else:
            detected += 1
    assert detected > (50 if part == "pages" else 15)


def test_changed_values_and_copied_tables_are_computed_again(filled, caplog):
    path = file_of(filled, "trajectories")
    table = pq.read_table(path)
    loss = table["loss"].to_numpy().copy()
    loss[1] *= 1 + 1e-15
    changed = table.set_column(1, "loss", pa.array(loss)).cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    assert not filled.finished(KEY)
    assert re.search(rf"{path.name} cannot be used \(its content .* digest\); .* is computed again", caplog.text)
    filled.write(KEY, tables(), {})
    filled.write(ABSENT, tables(4), {})
    file_of(filled, "runs", ABSENT).write_bytes(file_of(filled, "runs").read_bytes())
    assert [filled.finished(key) for key in (KEY, ABSENT)] == [True, False]
    assert f"it is the table of {KEY}" in caplog.text


def test_a_file_is_verified_once_until_it_changes(filled, monkeypatch):
    seen = []
    monkeypatch.setattr(store_module, "verified", lambda path: seen.append(path.parent.name) or verified(path))
    assert all(filled.finished(KEY) for _ in range(3))
    filled.read("runs", [KEY])
    assert seen == ["runs", "trajectories"]
    path = file_of(filled, "runs")
    os.utime(path, ns=(0, 0))
    assert filled.finished(KEY)
    assert seen == ["runs", "trajectories", "runs"]
    path.write_bytes(path.read_bytes()[:-1])
    assert not filled.finished(KEY)


def test_another_specification_is_refused_with_the_difference(filled, tmp_path):
    before = names(filled.root), (filled.root / "spec.json").read_bytes()
    with pytest.raises(StoreMismatch) as refusal:
        Store(filled.root, OTHER)
    for part in ("(profile.max_steps: stored 10, requested 20)", str(filled.root), "--force", "another folder"):
        assert part in str(refusal.value)
    assert (names(filled.root), (filled.root / "spec.json").read_bytes()) == before
    with pytest.raises(StoreMismatch, match=r"\(kind: stored 'reproduction', requested 'run'\)"):
        Store(filled.root, {"kind": "run", "profile": SPEC["profile"]})
    # One table of another specification is refused as well.
    other = Store(tmp_path / "other", OTHER)
    file_of(other, "runs").write_bytes(file_of(filled, "runs").read_bytes())
    with pytest.raises(StoreMismatch, match=r"profile\.max_steps: stored 10, requested 20.*--force"):
        other.finished(KEY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, r"spec\.json cannot be read.*--force") for content in (b"", b"{", b"[]", b"null", b"\xff\xfe")),
        (b'{"specification": 3}', r"spec\.json cannot be read.*--force"),
        (b'{"specification": {"schema": 2}, "plan": []}', r"spec\.json cannot be read.*--force"),
        (b'{"specification": {"schema": 3}, "plan": {}}', f"schema version 3, this is version {SCHEMA}.*--force"),
    ],
)
def test_an_unreadable_spec_is_refused(filled, content, message):
    (filled.root / "spec.json").write_bytes(content)
    for opening in (lambda: Store(filled.root, SPEC), lambda: read_spec(filled.root)):
        with pytest.raises(StoreMismatch, match=message):
            opening()
    assert (filled.root / "spec.json").read_bytes() == content
    assert Store(filled.root, SPEC, force=True).read("runs", [KEY]).empty


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
    with pytest.raises(InvalidInput, match=r"cannot write .*limits.*: File exists; choose another folder"):
        filled.write(LIMIT, {"limits": tables()["runs"]}, {})
    monkeypatch.setattr(atomic_file.os, "open", Mock(side_effect=OSError("the reason")))
    for write in (lambda: filled.write(KEY, tables(), {}), lambda: filled.write_plan({})):
        with pytest.raises(InvalidInput, match=r"cannot write .*results.*the reason.*another folder"):
            write()
    assert filled.finished(KEY)
