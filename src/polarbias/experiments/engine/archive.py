"""Archive of a reproduction: four small files that can be drawn again.

``spec.json`` as in the results folder, and ``runs.parquet``, ``trajectories.parquet``, ``limits.parquet``: the tables
of all finished tasks, with the task's key in the column ``key``, and trajectories thinned to a few records.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from polarbias.errors import StoreMismatch
from polarbias.experiments.engine import store
from polarbias.experiments.engine.store import FOLDERS, Store, read_metadata
from polarbias.runtime.atomic_file import make_folder
from polarbias.runtime.options import whole_number


class Archive:
    """Tables of an archive, with the reading methods of a `Store`; a missing or damaged one raises `StoreMismatch`."""

    def __init__(self, root: Path) -> None:
        """Read and verify all tables."""
        self._tables: dict[str, pd.DataFrame] = {}
        for name in FOLDERS:
            path = archived(root, name)
            try:
                store.verified(path)
                self._tables[name] = pd.read_parquet(path)
            except store.UNREADABLE as reason:
                raise StoreMismatch(f"{path} is missing or damaged: {reason}") from reason
        self._keys = {key for table in self._tables.values() for key in table["key"].unique()}

    def finished(self, key: str) -> bool:
        """Check that the archive has tables of the task."""
        return key in self._keys

    def read(self, folder: str, keys: Iterable[str]) -> pd.DataFrame:
        """Return the table of the archived tasks among ``keys`` that `Store` has in ``folder``."""
        table = self._tables[folder]
        return table[table["key"].isin(set(keys))].drop(columns="key").reset_index(drop=True)


def archived(root: Path, name: str) -> Path:
    """Return the file of an archive with the tables of one of `FOLDERS`."""
    return root / f"{name}.parquet"


def is_archive(root: Path) -> bool:
    """Check that a folder holds an archive."""
    return archived(root, "runs").exists()


def table_files(root: Path) -> list[Path]:
    """Return the files of a folder or an archive with one row per run or limit."""
    pattern = "{}.parquet" if is_archive(root) else "{}/*.parquet"
    return sorted(path for name in ("runs", "limits") for path in root.glob(pattern.format(name)))


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
    content = store.read_spec(root)
    specification = content["specification"]
    if specification.get("kind") != "reproduction":
        raise StoreMismatch(f"{root} holds no reproduction; other results cannot be archived.")
    source = Store(root, specification)
    keys = [key for key in sorted({path.stem for path in table_files(root)}) if source.finished(key)]
    if not keys:
        raise StoreMismatch(f"{root} holds no finished task yet.")
    makers = [
        {name: value for name, value in read_metadata(path).items() if name in ("machine", "python", "versions")}
        for path in table_files(root)
    ]
    made_by = [maker for index, maker in enumerate(makers) if maker not in makers[:index]]
    make_folder(target)
    for name in FOLDERS:
        parts = [table.assign(key=key) for key in keys if not (table := source.read(name, [key])).empty]
        whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"key": pd.Series(dtype=str)})
        if name == "trajectories" and parts:
            whole = _thinned(whole, records)
        metadata = {"specification": specification, "made_by": made_by, "records": records}
        store.write_table(archived(target, name), whole, metadata, compression="zstd")
    store.write_spec(target, content)
    return [target / "spec.json", *(archived(target, name) for name in FOLDERS)]


def _thinned(trajectories: pd.DataFrame, records: int) -> pd.DataFrame:
    """Return the records next to evenly spaced values of the logarithm of the step, and both ends of each run."""
    kept = []
    for rows in trajectories.groupby(["key", "start", "ratio", "r0", "c"], dropna=False, sort=False).indices.values():
        logs = np.log1p(trajectories["step"].to_numpy()[rows])
        wanted = np.linspace(logs[0], logs[-1], records)
        kept.append(rows[np.unique(np.abs(logs[:, None] - wanted).argmin(axis=0))])
    return trajectories.iloc[np.sort(np.concatenate(kept))].reset_index(drop=True)
