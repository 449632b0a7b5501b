"""Archives: four files with the tables of a folder and thinned trajectories."""

import numpy as np
import pandas as pd
import pytest

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments import pack, redraw, reproduce
from polarbias.experiments.engine.archive import is_archive, table_files
from polarbias.experiments.engine.store import FOLDERS, read_metadata
from repository import ROOT
from reproductions import quiet, small

pytestmark = pytest.mark.usefixtures("no_drawings")

PROFILE = small(trials=2, max_steps=3000)
NAMES = {"spec.json", *(f"{name}.parquet" for name in FOLDERS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    reproduce(PROFILE, folder, [4], observe=quiet)
    return folder


@pytest.fixture
def archive(folder, tmp_path):
    target = tmp_path / "archive"
    assert {path.relative_to(target).as_posix() for path in pack(folder, target, records=20)} == NAMES
    return target


def test_an_archive_has_the_findings_of_its_folder(folder, archive, tmp_path):
    wanted, found = redraw(folder), redraw(archive, tmp_path / "drawn")
    assert found.findings == wanted.findings
    assert len(found.findings) > 3
    assert (tmp_path / "drawn" / "statements.md").read_bytes() == (folder / "statements.md").read_bytes()
    assert {path.name for path in archive.iterdir()} == NAMES
    assert is_archive(archive) > is_archive(folder)
    assert [path.name for path in table_files(archive)] == ["limits.parquet", "runs.parquet"]
    assert {path.parent.name for path in table_files(folder)} == {"limits", "runs"}


def test_tables_are_complete_and_trajectories_thinned(folder, archive):
    for name in FOLDERS:
        packed = pd.read_parquet(archive / f"{name}.parquet")
        keys = sorted(path.stem for path in (folder / name).iterdir())
        assert sorted(packed["key"].unique()) == keys
        for key in keys:
            whole = pd.read_parquet(folder / name / f"{key}.parquet")
            kept = packed[packed["key"] == key].drop(columns="key")
            if name == "trajectories":
                assert_thinned(kept, whole)
            else:
                pd.testing.assert_frame_equal(kept.reset_index(drop=True), whole, check_exact=True, check_dtype=False)
    metadata = read_metadata(archive / "runs.parquet")
    assert metadata["specification"]["profile"]["max_steps"] == PROFILE.max_steps
    [made_by] = metadata["made_by"]
    assert "jax" in made_by["versions"]


def assert_thinned(kept, whole):
    for (_, some), (_, records) in zip(kept.groupby("r0"), whole.groupby("r0"), strict=True):
        assert min(len(records), 10) <= len(some) <= 20
        assert (some.merge(records, how="left", indicator=True)["_merge"] == "both").all()
        assert list(some["step"].iloc[[0, -1]]) == list(records["step"].iloc[[0, -1]])
        assert np.diff(np.log1p(some["step"])).max() < 3 * np.log1p(records["step"].max()) / 19 + np.log(2)


def test_damaged_and_missing_tables(archive):
    path = archive / "trajectories.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreMismatch, match=r"trajectories\.parquet is missing or damaged"):
            redraw(archive)
        path.unlink(missing_ok=True)


def test_folders_that_cannot_be_packed(folder, tmp_path):
    for records in (1, 2.5):
        with pytest.raises(InvalidInput, match="records must be an integer of at least 2"):
            pack(folder, tmp_path / "a", records=records)
    with pytest.raises(StoreMismatch, match=r"no spec\.json"):
        pack(tmp_path, tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        pack(folder, tmp_path / "file")
    assert not (tmp_path / "a").exists()


def test_the_archive_of_the_documentation_is_read(tmp_path):
    findings = redraw(ROOT / "docs" / "paper", tmp_path).findings
    assert [finding.number for finding in findings] == list(range(1, 17))
    assert sum(str(finding.verdict) == "held" for finding in findings) == 9
