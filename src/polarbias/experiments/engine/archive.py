"""A reproduction in four small files, to be kept with a text or a repository, and drawn from there.

``spec.json`` as in the results folder, and ``runs.parquet``, ``trajectories.parquet``, ``limits.parquet``: the tables
of all finished tasks, with the task's name in the column ``key``. Of each trajectory some records are left.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments.engine.store import (
    FOLDERS,
    Store,
    read_metadata,
    read_spec,
    verified,
    write_spec,
    write_table,
)
from polarbias.runtime.atomic_file import make_folder

RUN = ["key", "start", "ratio", "r0", "c"]
"""Columns that tell runs apart."""


class Archive:
    """The tables of an archive, under the names of the store's methods.

    Raises
    ------
    StoreMismatch
        A table is missing or damaged.
    """

    def __init__(self, root: Path) -> None:
        """Read everything."""
        self._tables: dict[str, pd.DataFrame] = {}
        for name in FOLDERS:
            path = _path(root, name)
            try:
                verified(path)
                self._tables[name] = pd.read_parquet(path)
            # What a damaged file makes its reader raise depends on where the damage is.
            except (OSError, KeyError, TypeError, ValueError, MemoryError, pa.ArrowException) as reason:
                raise StoreMismatch(f"{path} is missing or damaged: {reason}") from reason
        self._keys = {key for table in self._tables.values() for key in table["key"].unique()}

    def finished(self, key: str) -> bool:
        """Tell whether the task is there."""
        return key in self._keys

    def read(self, keys: Iterable[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the runs and trajectories of those tasks among ``keys`` that are there."""
        return self._of("runs", keys), self._of("trajectories", keys)

    def read_limits(self, keys: Iterable[str]) -> pd.DataFrame:
        """Return their exact limits."""
        return self._of("limits", keys)

    def _of(self, name: str, keys: Iterable[str]) -> pd.DataFrame:
        table = self._tables[name]
        return table[table["key"].isin(set(keys))].drop(columns="key").reset_index(drop=True)


def is_archive(root: Path) -> bool:
    """Tell whether a folder holds an archive."""
    return _path(root, "runs").exists()


def pack(root: Path, target: Path, records: int = 60) -> list[Path]:
    """Write the finished tasks of a reproduction's folder to the archive ``target``; return its files.

    Of a trajectory about ``records`` records are left: the first, the last, and between them some that are evenly
    spaced on a logarithmic axis of steps.

    Raises
    ------
    StoreMismatch
        ``root`` holds no reproduction, or nothing of it is finished.
    InvalidInput
        ``records`` is below 2, or the archive cannot be written.
    """
    if records < 2:
        raise InvalidInput(f"records must be at least 2, got {records}.")
    content = read_spec(root)
    specification = content["specification"]
    if specification.get("kind") != "reproduction":
        raise StoreMismatch(f"{root} holds no reproduction; only those have an archive.")
    store = Store(root, {name: value for name, value in specification.items() if name != "schema"})
    keys = sorted({path.stem for name in FOLDERS for path in (root / name).glob("*.parquet")})
    keys = [key for key in keys if store.finished(key)]
    if not keys:
        raise StoreMismatch(f"{root} holds no finished task yet.")
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in FOLDERS}
    for key in keys:
        for name, table in zip(FOLDERS, (*store.read([key]), store.read_limits([key])), strict=True):
            if not table.empty:
                tables[name].append(table.assign(key=key))
    make_folder(target)
    made_by = _makers(root)
    for name, parts in tables.items():
        whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"key": pd.Series(dtype=str)})
        if name == "trajectories" and parts:
            whole = _thinned(whole, records)
        metadata = {"specification": specification, "made_by": made_by, "records": records}
        write_table(_path(target, name), whole, metadata, compression="zstd")
    write_spec(target, content)
    return [target / "spec.json", *(_path(target, name) for name in FOLDERS)]


def _path(root: Path, name: str) -> Path:
    return root / f"{name}.parquet"


def _makers(root: Path) -> list[dict[str, Any]]:
    """Return what machines and versions the tasks were made with, each once; not how long they took."""
    found: list[dict[str, Any]] = []
    for path in sorted(path for name in ("runs", "limits") for path in (root / name).glob("*.parquet")):
        maker = {
            name: value for name, value in read_metadata(path).items() if name in ("machine", "python", "versions")
        }
        if maker not in found:
            found.append(maker)
    return found


def _thinned(trajectories: pd.DataFrame, records: int) -> pd.DataFrame:
    kept = [
        rows[_evenly(np.log1p(trajectories["step"].to_numpy()[rows]), records)]
        for rows in trajectories.groupby(RUN, dropna=False, sort=False).indices.values()
    ]
    return trajectories.iloc[np.sort(np.concatenate(kept))].reset_index(drop=True)


def _evenly(axis: np.ndarray, records: int) -> np.ndarray:
    """Return indices of values next to evenly spaced ones, both ends included; ``axis`` ascends."""
    wanted = np.linspace(axis[0], axis[-1], records)
    after = np.clip(np.searchsorted(axis, wanted), 1, max(len(axis) - 1, 1))
    if len(axis) == 1:
        return np.zeros(1, int)
    nearer = np.where(wanted - axis[after - 1] < axis[after] - wanted, after - 1, after)
    return np.unique(nearer)
