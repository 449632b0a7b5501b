"""Checkpoints of a long run: NumPy archives of plain arrays, written atomically and verified when they are read."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.runtime.atomic_file import atomic_write, make_folder

logger = logging.getLogger(__name__)


def fingerprint(parts: Iterable[Any]) -> str:
    """Return a hash of arrays, by their bytes, and of other objects, by their representation."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the fingerprint of named arrays."""
    return fingerprint(part for name in sorted(arrays) for part in (name, arrays[name]))


class Checkpoint:
    """Files of one run in a folder; files of another run, and files that are no checkpoints, count as missing.

    ``identity`` is the `fingerprint` of all that determines the run's numbers, ``min_interval`` the least time in
    seconds between two files of one name.
    """

    def __init__(self, folder: Path, identity: str, min_interval: float) -> None:
        """Create the folder, and check before the run that it can be written."""
        if folder.exists() and not folder.is_dir():
            raise InvalidInput(f"checkpoint must name a folder, and {str(folder)!r} is a file.")
        self._folder, self._identity, self._min_interval = folder, identity, min_interval
        make_folder(folder)
        probe = folder / "writable"
        atomic_write(probe, lambda path: path.write_bytes(b""))
        probe.unlink()
        self._started = monotonic()
        self._written: dict[str, float] = {}

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays stored under ``name``, or None."""
        self._written[name] = monotonic()
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                # Compressed members, which `save` never writes, could unpack to any size.
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.zip.infolist()):
                    raise ValueError("compressed")
                arrays = {key: archive[key] for key in archive.files}
            header = json.loads(str(arrays.pop("header")[()]))
            identity, content = header["identity"], header["content"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError, zipfile.BadZipFile):
            identity, content, arrays = None, None, {}
        if content is None or content != _digest(arrays):
            logger.warning("%s is damaged or no checkpoint, and is not used", path)
        elif identity != self._identity:
            logger.warning("%s belongs to another run and is not used", path)
        else:
            return arrays
        return None

    def save(
        self, name: str, state: Callable[[], Mapping[str, np.ndarray]], *, last: bool = False, now: bool = False
    ) -> None:
        """Write the arrays that ``state`` returns if enough time has passed since the file was written, or ``now``.

        The ``last`` state is written unless the whole run took less than that time.
        """
        since = self._started if last else self._written[name]
        if not now and monotonic() - since < self._min_interval:
            return
        arrays = state()
        header = json.dumps({"identity": self._identity, "content": _digest(arrays)})
        named: dict[str, Any] = {"header": np.array(header), **arrays}

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, **named)

        atomic_write(self._folder / f"{name}.npz", write)
        self._written[name] = monotonic()
