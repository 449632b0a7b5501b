"""Results on disk: tidy Parquet tables, each written whole or not at all.

A folder holds ``spec.json``; for a task of runs ``runs/KEY.parquet`` (one row per run) and
``trajectories/KEY.parquet`` (one row per record); for a task of exact limits ``limits/KEY.parquet`` (one row per
run). A task is finished when its file under ``runs`` or ``limits`` exists: it is written last. Any tool that reads
Parquet reads ``runs`` as one table: ``pandas.read_parquet(DIR / "runs")``.

Each file holds a digest of its rows and of what it says of its making. A file that does not agree with its digest, or
cannot be read, counts as missing: its task is computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.runtime.atomic_file import atomic_write, make_folder

logger = logging.getLogger(__name__)

SCHEMA = 2
"""Version of the tables; raised when a column changes its name or meaning."""

FOLDERS = ("runs", "trajectories", "limits")

_METADATA, _DIGEST = b"polarbias", b"polarbias.sha256"


class Store:
    """A results folder that belongs to one specification.

    Parameters
    ----------
    root
        The folder; made if missing.
    specification
        What decides the numbers, as JSON data.
    force
        Discard results of another specification instead of refusing the folder.

    Raises
    ------
    StoreMismatch
        The folder holds results of another specification or schema version, or files that are not ours.
    InvalidInput
        The folder cannot be written.
    """

    def __init__(self, root: Path, specification: dict[str, Any], force: bool = False) -> None:
        """Open or make the folder."""
        self.root = Path(root)
        self.specification = _plain({"schema": SCHEMA, **specification})
        self._intact: dict[Path, tuple[int, int]] = {}
        """Time and size of the files when they were last compared with their digests."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if force:
                self._clear()
            self._claim()
            for folder in ("runs", "trajectories"):
                (self.root / folder).mkdir(exist_ok=True)
        except OSError as reason:
            raise InvalidInput(f"cannot write results to {str(root)!r}: {reason}; choose another folder.") from reason

    def finished(self, key: str) -> bool:
        """Tell whether the task's tables are there and belong to this specification."""
        if self._path("limits", key).exists():
            folders: tuple[str, ...] = ("limits",)
        elif self._path("runs", key).exists():
            folders = ("runs", "trajectories")
        else:
            return False
        return all(self._usable(self._path(folder, key), key) for folder in folders)

    def _usable(self, path: Path, key: str) -> bool:
        """Tell whether a table is there, whole and of this specification."""
        try:
            status = path.stat()
            seen = status.st_mtime_ns, status.st_size
            if self._intact.get(path) == seen:
                return True
            specification = verified(path)["specification"]
        # What a damaged file makes its reader raise depends on where the damage is; absurd sizes make a MemoryError.
        except (OSError, KeyError, TypeError, ValueError, MemoryError, pa.ArrowException) as reason:
            logger.warning("%s cannot be used (%s); without it %s counts as not computed", path, _short(reason), key)
            return False
        if specification != self.specification:
            raise StoreMismatch(
                f"{path} belongs to another specification ({_differences(specification, self.specification)});"
                " use another folder or --force."
            )
        self._intact[path] = seen
        return True

    def write(self, key: str, runs: pd.DataFrame, trajectories: pd.DataFrame, metadata: dict[str, Any]) -> None:
        """Store a finished task; the file that marks it as finished comes last."""
        self._write_table("trajectories", key, trajectories, metadata)
        self._write_table("runs", key, runs, metadata)
        shutil.rmtree(self.checkpoint(key), ignore_errors=True)
        with suppress(OSError):  # as long as other tasks have theirs
            self.checkpoint(key).parent.rmdir()

    def checkpoint(self, key: str) -> Path:
        """Return the folder for intermediate states of a task; they are removed once it is finished."""
        return self.root / "checkpoints" / key

    def write_limits(self, key: str, limits: pd.DataFrame, metadata: dict[str, Any]) -> None:
        """Store a finished task of exact limits; their folder is made for the first."""
        self._write_table("limits", key, limits, metadata)

    def read(self, keys: Iterable[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the runs and trajectories of the tasks among ``keys`` that are finished."""
        there = self._with("runs", keys)
        return self._read_tables("runs", there), self._read_tables("trajectories", there)

    def read_runs(self, keys: Iterable[str]) -> pd.DataFrame:
        """Return the runs alone."""
        return self._read_tables("runs", self._with("runs", keys))

    def read_limits(self, keys: Iterable[str]) -> pd.DataFrame:
        """Return the exact limits of the tasks among ``keys`` that are finished."""
        return self._read_tables("limits", self._with("limits", keys))

    def _with(self, folder: str, keys: Iterable[str]) -> list[str]:
        """Return the keys of finished tasks that have a table in the folder."""
        return [key for key in keys if self.finished(key) and self._path(folder, key).exists()]

    def _read_tables(self, folder: str, keys: list[str]) -> pd.DataFrame:
        if not keys:
            return pd.DataFrame()
        return pd.concat([pd.read_parquet(self._path(folder, key)) for key in keys], ignore_index=True)

    def _write_table(self, folder: str, key: str, frame: pd.DataFrame, metadata: dict[str, Any]) -> None:
        path = self._path(folder, key)
        make_folder(path.parent)
        write_table(path, frame, {**metadata, "key": key, "specification": self.specification})

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Remember which part of the specification was asked for; `read_spec` returns it."""
        self._write_json({"specification": self.specification, "plan": _plain(plan)})

    def _path(self, folder: str, key: str) -> Path:
        return self.root / folder / f"{key}.parquet"

    def _claim(self) -> None:
        path = self.root / "spec.json"
        if path.exists():
            found = read_spec(self.root)["specification"]
            if found != self.specification:
                raise StoreMismatch(
                    f"{self.root} holds results of another specification ({_differences(found, self.specification)});"
                    " use another folder, or --force to discard them."
                )
        elif any(any(self.root.glob(f"{folder}/*")) for folder in FOLDERS):
            raise StoreMismatch(
                f"{self.root} holds files under {', '.join(FOLDERS[:-1])} or {FOLDERS[-1]} that no spec.json explains;"
                " use another folder"
                " (--force discards tables, but no other files)."
            )
        else:
            self._write_json({"specification": self.specification, "plan": {}})

    def _clear(self) -> None:
        """Remove tables and their specification, and nothing else."""
        for folder in FOLDERS:
            for path in (self.root / folder).glob("*.parquet"):
                path.unlink()
        shutil.rmtree(self.root / "checkpoints", ignore_errors=True)
        (self.root / "spec.json").unlink(missing_ok=True)

    def _write_json(self, content: dict[str, Any]) -> None:
        write_spec(self.root, content)


def write_table(path: Path, frame: pd.DataFrame, metadata: dict[str, Any], **options: Any) -> None:
    """Write a table with what is to be known of its making, and a digest; ``options`` are those of Parquet's writer."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, _METADATA: json.dumps(metadata).encode()})
    table = table.replace_schema_metadata({**table.schema.metadata, _DIGEST: _digest(table)})
    atomic_write(path, partial(pq.write_table, table, **options))


def write_spec(root: Path, content: dict[str, Any]) -> None:
    """Write ``spec.json``."""
    atomic_write(root / "spec.json", lambda path: path.write_text(json.dumps(content, indent=1) + "\n"))


def read_spec(root: Path) -> dict[str, Any]:
    """Return the content of ``spec.json``: the specification and the plan.

    Raises
    ------
    StoreMismatch
        There is none, it cannot be read, or it belongs to another schema version.
    """
    path = Path(root) / "spec.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        schema = content["specification"]["schema"]
        content["plan"] = {**content["plan"]}
    except FileNotFoundError as missing:
        raise StoreMismatch(f"{root} holds no results: there is no spec.json in it.") from missing
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise StoreMismatch(f"{path} cannot be read; delete the folder or use --force.") from broken
    if schema != SCHEMA:
        raise StoreMismatch(
            f"{root} holds tables of schema version {schema}, this is version {SCHEMA}; use another folder, --force,"
            " or the release of polarbias that made them."
        )
    return content


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what a table's file says of its making: specification, versions, host, wall time."""
    content: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_METADATA])
    return content


def verified(path: Path) -> dict[str, Any]:
    """Return what `read_metadata` does, after a comparison of the whole file with its digest.

    Raises
    ------
    ValueError
        The file does not agree with its digest; reading one that is damaged can raise other exceptions as well.
    """
    # Without partitioning the names of the folders above mean nothing, whatever they look like.
    table = pq.read_table(path, partitioning=None)
    found = table.schema.metadata or {}
    # Parquet holds the metadata twice, and readers differ in which copy they take.
    whole = found == pq.read_schema(path).metadata and found.get(_DIGEST) == _digest(table)
    if not whole and not _without_digest(found):
        raise ValueError("its content does not agree with its digest")
    result: dict[str, Any] = json.loads(found[_METADATA])
    return result


def _digest(table: pa.Table) -> bytes:
    """Return a digest of names, types, values and metadata, whatever their layout in memory or on disk."""
    entries = {name: text for name, text in (table.schema.metadata or {}).items() if name != _DIGEST}
    state = hashlib.sha256(repr(sorted(entries.items())).encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        values = column.combine_chunks()
        state.update(f"{field.name}: {field.type}, {len(values)}".encode())
        state.update(values.is_null().to_numpy(zero_copy_only=False).tobytes())
        filled = values.drop_null()
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            coded = filled.dictionary_encode()  # most of these columns repeat one text
            state.update(json.dumps(coded.dictionary.to_pylist()).encode())
            filled = coded.indices
        state.update(filled.to_numpy(zero_copy_only=False).tobytes())
    return state.hexdigest().encode()


def _without_digest(found: dict[bytes, bytes]) -> bool:
    """Tell whether a release before digests made the file: a damaged name of an entry is none of these two."""
    return found.keys() == {_METADATA, b"pandas"}


def _short(reason: BaseException) -> str:
    """Return the first line of a reader's message, or what stands for it."""
    return next(iter(str(reason).splitlines()), "") or type(reason).__name__


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content as JSON gives it back (tuples become lists), so that it compares with what was read."""
    result: dict[str, Any] = json.loads(json.dumps(content))
    return result


def _differences(found: Any, wanted: Any, name: str = "") -> str:
    """Name the entries of nested specifications that differ, and nothing that agrees."""
    if not name and found.get("kind") != wanted.get("kind"):
        # Two kinds have hardly an entry in common.
        return _differences(found.get("kind"), wanted.get("kind"), "kind")
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return f"{name}: {found!r} there, {wanted!r} asked for"
    parts = [
        _differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
        for key in {**found, **wanted}
        if found.get(key) != wanted.get(key)
    ]
    return "; ".join(parts)
