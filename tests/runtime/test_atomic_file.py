"""Atomic writes: readers see the old file or the new one, and killed writers leave nothing that lasts."""

import errno
import os

import pytest

from polarbias.errors import InvalidInput
from polarbias.runtime import atomic_file
from polarbias.runtime.atomic_file import atomic_write, make_folder


@pytest.mark.parametrize("death", [KeyboardInterrupt, MemoryError, OSError("disk full")])
def test_a_failed_writer_leaves_the_old_file(tmp_path, death):
    path = tmp_path / "table.txt"
    path.write_text("old")

    def half(temporary):
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise death

    with pytest.raises((KeyboardInterrupt, MemoryError, InvalidInput)):
        atomic_write(path, half)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.txt"]


def test_a_write_replaces_the_file_when_it_is_complete(tmp_path):
    path, seen = tmp_path / "table.txt", []
    atomic_write(path, lambda temporary: (temporary.write_text("old"), seen.append(path.exists())))
    assert (seen, path.read_text()) == ([False], "old")
    with path.open() as reader:
        atomic_write(path, lambda temporary: temporary.write_text("new"))
        assert reader.read() == "old"  # an open file keeps its content
    assert path.read_text() == "new"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_sets_the_mode(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        atomic_write(tmp_path / "table.txt", lambda temporary: temporary.write_text("new"))
    finally:
        os.umask(before)
    assert (tmp_path / "table.txt").stat().st_mode & 0o777 == mode


def test_the_next_write_removes_temporary_files_of_a_killed_writer_and_no_others(tmp_path):
    others = {".task-wn-abcd1234.parquet", ".task-abcd1234.png"}
    for name in {".task-abcd1234.parquet", *others}:
        (tmp_path / name).write_text("half")
    atomic_write(tmp_path / "task.parquet", lambda path: path.write_text("whole"))
    assert {path.name for path in tmp_path.iterdir()} == {"task.parquet", *others}


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/tmp/.table-00.txt"), "Read-only file system; choose"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room or choose"),
        (OSError("9 requested and 0 written"), "9 requested and 0 written; make room or choose"),
    ],
)
def test_an_unwritable_file(error, end, tmp_path, monkeypatch):
    def fail(*args):
        raise error

    monkeypatch.setattr(atomic_file.os, "open", fail)
    with pytest.raises(InvalidInput) as refusal:
        atomic_write(tmp_path / "table.txt", lambda path: path.write_text("new"))
    assert str(refusal.value) == f"cannot write '{tmp_path / 'table.txt'}': {end} another folder."


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInput, match=rf"cannot write to '{path}': .*; choose another folder"):
            make_folder(path)
    with pytest.raises(InvalidInput, match="cannot write"):
        atomic_write(tmp_path / "file" / "table.txt", lambda path: path.write_text("new"))


def test_a_parent_removed_between_its_creation_and_that_of_the_folder(tmp_path, monkeypatch):
    mkdir, removed = os.mkdir, []

    def raced(path, mode=0o777):
        mkdir(path, mode)
        if not removed:
            removed.append(path)
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", raced)
    make_folder(tmp_path / "checkpoints" / "task")
    assert removed == [tmp_path / "checkpoints"]
    assert (tmp_path / "checkpoints" / "task").is_dir()
