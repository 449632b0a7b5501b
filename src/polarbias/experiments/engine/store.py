"""Results on disk: tidy Parquet tables, written atomically.

A folder holds ``spec.json``; for a task of runs ``runs/KEY.parquet`` (one row per run) and
``trajectories/KEY.parquet`` (one row per record); for a task of exact limits ``limits/KEY.parquet`` (one row per
run). The file under ``runs`` or ``limits`` is written last and marks the task as finished. Any tool that reads Parquet
reads ``runs`` as one table: ``pandas.read_parquet(DIR / "runs")``.

Each file holds a digest of its rows and its metadata. A file that cannot be read, that differs from its digest or that
belongs to another task counts as missing: its task is computed again.
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
"""Version of the tables: a column that changes its name or meaning increments it."""

FOLDERS = ("runs", "trajectories", "limits")

_METADATA, _DIGEST = b"polarbias", b"polarbias.sha256"

# The exception of a damaged file's reader depends on the place of the damage; absurd sizes give a MemoryError.
UNREADABLE = (OSError, AttributeError, KeyError, TypeError, ValueError, MemoryError, pa.ArrowException)
"""Exceptions that a damaged file's reader raises."""


class Store:
    """Results folder of one specification.

    Parameters
    ----------
    root
        Folder, created if missing.
    specification
        JSON data that determine the numbers.
    force
        Discard results of another specification.

    Raises
    ------
    StoreMismatch
        The folder holds results of another specification or schema version, or other files.
    InvalidInput
        The folder cannot be written.
    """

    def __init__(self, root: Path, specification: dict[str, Any], force: bool = False) -> None:
        """Open or create the folder."""
        self.root = Path(root)
        # JSON turns tuples into lists.
        self.specification: dict[str, Any] = json.loads(json.dumps({"schema": SCHEMA, **specification}))
        self._intact: dict[Path, tuple[int, int]] = {}
        """Time and size of the files that agreed with their digests."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if force:
                self._clear()
            self._claim()
            for folder in ("runs", "trajectories"):
                (self.root / folder).mkdir(exist_ok=True)
        except OSError as reason:
            raise InvalidInput(f"cannot write results to {str(root)!r}: {reason}; choose another folder.") from reason

    def _claim(self) -> None:
        if (self.root / "spec.json").exists():
            found = read_spec(self.root)["specification"]
            if found != self.specification:
                raise StoreMismatch(
                    f"{self.root} holds results of another specification ({_differences(found, self.specification)});"
                    " use another folder, or --force to discard them."
                )
        elif any(any(self.root.glob(f"{folder}/*")) for folder in FOLDERS):
            raise StoreMismatch(
                f"{self.root} holds files under {', '.join(FOLDERS[:-1])} or {FOLDERS[-1]} but no spec.json;"
                " use another folder (--force discards tables, but no other files)."
            )
        else:
            self.write_plan({})

    def _clear(self) -> None:
        """Remove tables, checkpoints and the specification, and no other file."""
        for folder in FOLDERS:
            for path in (self.root / folder).glob("*.parquet"):
                path.unlink()
        shutil.rmtree(self.root / "checkpoints", ignore_errors=True)
        (self.root / "spec.json").unlink(missing_ok=True)

    def _path(self, folder: str, key: str) -> Path:
        return self.root / folder / f"{key}.parquet"

    def finished(self, key: str) -> bool:
        """Check that the task's tables exist, are undamaged and belong to this specification."""
        folders = ("limits",) if self._path("limits", key).exists() else ("runs", "trajectories")
        return self._path(folders[0], key).exists() and all(self._usable(self._path(name, key)) for name in folders)

    def _usable(self, path: Path) -> bool:
        key = path.stem
        try:
            status = path.stat()
            seen = status.st_mtime_ns, status.st_size
            if self._intact.get(path) == seen:
                return True
            metadata = verified(path)
            specification, owner = metadata["specification"], metadata.get("key", key)
            if owner != key:
                raise ValueError(f"it is the table of {owner}")
        except UNREADABLE as reason:
            first_line = next(iter(str(reason).splitlines()), "") or type(reason).__name__
            logger.warning("%s cannot be used (%s); %s is computed again", path, first_line, key)
            return False
        if specification != self.specification:
            raise StoreMismatch(
                f"{path} belongs to another specification ({_differences(specification, self.specification)});"
                " use another folder or --force."
            )
        self._intact[path] = seen
        return True

    def write(self, key: str, tables: dict[str, pd.DataFrame], metadata: dict[str, Any]) -> None:
        """Store a finished task: its tables by their folders, in the order of writing."""
        for folder, table in tables.items():
            path = self._path(folder, key)
            make_folder(path.parent)
            write_table(path, table, {**metadata, "key": key, "specification": self.specification})
        shutil.rmtree(self.checkpoint(key), ignore_errors=True)
        with suppress(OSError):  # there are none, or other tasks have some
            self.checkpoint(key).parent.rmdir()

    def checkpoint(self, key: str) -> Path:
        """Return the folder of a task's intermediate states, which `write` removes."""
        return self.root / "checkpoints" / key

    def read(self, folder: str, keys: Iterable[str]) -> pd.DataFrame:
        """Return the table of the finished tasks among ``keys`` in one of `FOLDERS`."""
        paths = [self._path(folder, key) for key in keys if self.finished(key)]
        tables = [pd.read_parquet(path) for path in paths if path.exists()]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Store the requested part of the specification in ``spec.json``."""
        write_spec(self.root, {"specification": self.specification, "plan": plan})


def write_table(path: Path, frame: pd.DataFrame, metadata: dict[str, Any], **options: Any) -> None:
    """Write a table, its metadata and a digest of both; ``options`` go to Parquet's writer."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, _METADATA: json.dumps(metadata).encode()})
    table = table.replace_schema_metadata({**table.schema.metadata, _DIGEST: _digest(table)})
    atomic_write(path, partial(pq.write_table, table, **options))


def write_spec(root: Path, content: dict[str, Any]) -> None:
    """Write ``spec.json``."""
    atomic_write(root / "spec.json", lambda path: path.write_text(json.dumps(content, indent=1) + "\n"))


def read_spec(root: Path) -> dict[str, Any]:
    """Return the content of ``spec.json``: the specification and the plan.

    A missing or damaged file, and another schema version, raise `StoreMismatch`.
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
    """Return the metadata of a table's file: specification, versions, host, wall time."""
    content: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_METADATA])
    return content


def verified(path: Path) -> dict[str, Any]:
    """Return the metadata of a file, or raise one of `UNREADABLE` if it is damaged or differs from its digest."""
    # With partitioning, a parent folder named like "a=1" would add a column.
    table = pq.read_table(path, partitioning=None)
    # Parquet holds the metadata twice, and readers differ in which copy they take.
    found = table.schema.metadata or {}
    if found != pq.read_schema(path).metadata or found.get(_DIGEST) != _digest(table):
        raise ValueError("its content differs from its digest")
    return read_metadata(path)


def _digest(table: pa.Table) -> bytes:
    """Return a digest of names, types, values and metadata, independent of their layout in memory or on disk."""
    entries = {name: text for name, text in (table.schema.metadata or {}).items() if name != _DIGEST}
    state = hashlib.sha256(repr(sorted(entries.items())).encode())
    for field, column in zip(table.schema, table.columns, strict=True):
        values = column.combine_chunks()
        state.update(f"{field.name}: {field.type}, {len(values)}".encode())
        state.update(values.is_null().to_numpy(zero_copy_only=False).tobytes())
        filled = values.drop_null()
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            coded = filled.dictionary_encode()  # most of these columns repeat one string
            state.update(json.dumps(coded.dictionary.to_pylist()).encode())
            filled = coded.indices
        state.update(filled.to_numpy(zero_copy_only=False).tobytes())
    return state.hexdigest().encode()


def _differences(found: Any, wanted: Any, name: str = "") -> str:
    """Return the entries in which nested specifications differ, as text."""
    if not name and found.get("kind") != wanted.get("kind"):
        return _differences(found.get("kind"), wanted.get("kind"), "kind")
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return f"{name}: stored {found!r}, requested {wanted!r}"
    parts = [
        _differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
        for key in {**found, **wanted}
        if found.get(key) != wanted.get(key)
    ]
    return "; ".join(parts)
