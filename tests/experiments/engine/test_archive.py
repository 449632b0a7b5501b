"""A reproduction in four files says and draws what its folder does."""

import numpy as np
import pandas as pd
import pytest

from commands import call
from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments import Profile, pack, redraw, reproduce
from polarbias.experiments.engine.store import FOLDERS, read_metadata
from reproductions import quiet

pytestmark = pytest.mark.usefixtures("no_drawings")

PROFILE = Profile(
    "small", trials=2, starts=2, r0=(0.1, 1.0), ratios=(1.0, 0.1), max_steps=3000, m=10, n=20, s=2,
    limit_trials=2, limit_r0=(0.1, 1.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    reproduce(PROFILE, folder, [1, 4], observe=quiet)
    return folder


@pytest.fixture
def archive(folder, tmp_path):
    files = pack(folder, tmp_path / "archive", records=20)
    assert [path.name for path in files] == ["spec.json", *(f"{name}.parquet" for name in FOLDERS)]
    assert all(path.parent == tmp_path / "archive" for path in files)
    return tmp_path / "archive"


def test_an_archive_has_the_folders_findings(folder, archive, tmp_path):
    wanted, found = redraw(folder), redraw(archive, tmp_path / "drawn")
    assert found.findings == wanted.findings
    assert len(found.findings) > 3
    assert (tmp_path / "drawn" / "statements.md").read_bytes() == (folder / "statements.md").read_bytes()
    assert {path.name for path in archive.iterdir()} == {"spec.json", *(f"{name}.parquet" for name in FOLDERS)}


def test_tables_are_whole_and_trajectories_thinned(folder, archive):
    for name in FOLDERS:
        packed = pd.read_parquet(archive / f"{name}.parquet")
        keys = sorted(path.stem for path in (folder / name).iterdir())
        assert sorted(packed["key"].unique()) == keys
        for key in keys:
            whole = pd.read_parquet(folder / name / f"{key}.parquet")
            mine = packed[packed["key"] == key].drop(columns="key")
            if name != "trajectories":
                pd.testing.assert_frame_equal(mine.reset_index(drop=True), whole, check_exact=True, check_dtype=False)
                continue
            runs = ["start", "ratio", "r0"]
            for (_, left), (_, right) in zip(
                mine.groupby(runs, dropna=False), whole.groupby(runs, dropna=False), strict=True
            ):
                assert min(len(right), 10) <= len(left) <= 20
                merged = left.merge(right, how="left", indicator=True)
                assert (merged["_merge"] == "both").all()
                for end in (0, -1):
                    assert left["step"].iloc[end] == right["step"].iloc[end]
                gaps = np.diff(np.log1p(left["step"]))
                assert gaps.max() < 3 * np.log1p(right["step"].max()) / 19 + np.log(2)
    metadata = read_metadata(archive / "runs.parquet")
    assert metadata["specification"]["profile"]["max_steps"] == PROFILE.max_steps
    assert len(metadata["made_by"]) == 1
    assert "jax" in metadata["made_by"][0]["versions"]


def test_damage_is_noticed(archive):
    path = archive / "trajectories.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreMismatch, match=r"trajectories\.parquet is missing or damaged"):
        redraw(archive)
    path.unlink()
    with pytest.raises(StoreMismatch, match=r"trajectories\.parquet is missing or damaged"):
        redraw(archive)


def test_what_cannot_be_packed(folder, tmp_path):
    with pytest.raises(InvalidInput, match="records must be at least 2"):
        pack(folder, tmp_path / "a", records=1)
    with pytest.raises(StoreMismatch, match=r"no spec\.json"):
        pack(tmp_path, tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        pack(folder, tmp_path / "file")
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("no_logging_set_up")
def test_commands(folder, tmp_path):
    done = call("pack", folder, tmp_path / "archive", "--records", "30")
    assert "spec.json, runs.parquet, trajectories.parquet, limits.parquet are in" in done.output
    done = call("plot", tmp_path / "archive", "--out", tmp_path / "drawn")
    assert f"are in {tmp_path / 'drawn'}" in done.output.replace("\n", "")
    assert (tmp_path / "drawn" / "statements.md").exists()
