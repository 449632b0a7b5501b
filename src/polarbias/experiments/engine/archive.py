"""Archive of a reproduction: four small files that can be drawn again.

``spec.json`` as in the results folder, and ``runs.parquet``, ``trajectories.parquet``, ``limits.parquet``: the tables
of all finished tasks, with the task's key in the column ``key``, and trajectories thinned to a few records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from polarbias.errors import StoreMismatch
from polarbias.experiments.engine.store import (
    FOLDERS,
    UNREADABLE,
    Store,
    read_metadata,
    read_spec,
    verified,
    write_spec,
    write_table,
)
from polarbias.runtime.atomic_file import make_folder
from polarbias.runtime.options import whole_number

_RUN = ["key", "start", "ratio", "r0", "c"]
"""Columns that identify a run."""


class Archive:
    """Tables of an archive, with the reading methods of a `Store`.

    Raises
    ------
    StoreMismatch
        A table is missing or damaged.
    """

    def __init__(self, root: Path) -> None:
        """Read and verify all tables."""
        self._tables: dict[str, pd.DataFrame] = {}
        for name in FOLDERS:
            path = _path(root, name)
            try:
                verified(path)
                self._tables[name] = pd.read_parquet(path)
            except UNREADABLE as reason:
                raise StoreMismatch(f"{path} is missing or damaged: {reason}") from reason
        self._keys = {key for table in self._tables.values() for key in table["key"].unique()}

    def finished(self, key: str) -> bool:
        """Check that the archive has tables of the task."""
        return key in self._keys

    def read(self, keys: Iterable[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the runs and trajectories of the archived tasks among ``keys``."""
        return self._of("runs", keys), self._of("trajectories", keys)

    def read_limits(self, keys: Iterable[str]) -> pd.DataFrame:
        """Return the exact limits of the archived tasks among ``keys``."""
        return self._of("limits", keys)

    def _of(self, name: str, keys: Iterable[str]) -> pd.DataFrame:
        table = self._tables[name]
        return table[table["key"].isin(set(keys))].drop(columns="key").reset_index(drop=True)


def is_archive(root: Path) -> bool:
    """Check that a folder holds an archive."""
    return _path(root, "runs").exists()


def pack(root: Path, target: Path, records: int = 60) -> list[Path]:
    """Write the finished tasks of a reproduction's folder to the archive ``target``; return its files.

    About ``records`` records of each trajectory are kept, evenly spaced in the logarithm of the step, with both ends.

    Raises
    ------
    StoreMismatch
        ``root`` holds no reproduction, or nothing of it is finished.
    InvalidInput
        ``records`` is below 2, or the archive cannot be written.
    """
    whole_number("records", records, least=2)
    content = read_spec(root)
    specification = content["specification"]
    if specification.get("kind") != "reproduction":
        raise StoreMismatch(f"{root} holds no reproduction; other results cannot be archived.")
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
    """Return the distinct machines and versions of the tasks."""
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
        for rows in trajectories.groupby(_RUN, dropna=False, sort=False).indices.values()
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
