"""Intermediate states of a long run on disk: each written whole or not at all, and checked when it is read."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.runtime.atomic_file import atomic_write, make_folder

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 15.0
"""A killed run loses at most this much work, and one call of the compiled loop."""

_HEAD = 64
"""Length of a hexadecimal SHA-256."""


def fingerprint(parts: Iterable[Any]) -> str:
    """Return a hash of arrays, by their bytes, and of other objects, by what they print."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


class Checkpoint:
    """Files of one run in a folder; those of another run, or damaged ones, count as missing.

    Parameters
    ----------
    folder
        Made when the first state is written.
    identity
        `fingerprint` of all that decides the run's numbers.

    Raises
    ------
    InvalidInput
        ``folder`` is something else than a folder.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        """Keep the arguments."""
        if folder.exists() and not folder.is_dir():
            raise InvalidInput(f"checkpoint must name a folder, and {str(folder)!r} is a file.")
        self._folder, self._identity = folder, identity
        self._began = monotonic()
        self._written: dict[str, float] = {}

    def load(self, name: str) -> Any:
        """Return the state ``name``, or None."""
        self._written[name] = monotonic()
        path = self._path(name)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        head, body = content[: 2 * _HEAD], content[2 * _HEAD :]
        if head[_HEAD:] != self._identity.encode():
            logger.warning("%s belongs to another run and is not used", path)
        elif head[:_HEAD] != hashlib.sha256(body).hexdigest().encode():
            logger.warning("%s is damaged and is not used", path)
        else:
            return pickle.loads(body)
        return None

    def save(self, name: str, state: Any, *, last: bool = False, now: bool = False) -> None:
        """Write a state unless one was written a moment ago, or it is the ``last`` one but the run is young.

        Raises
        ------
        InvalidInput
            It cannot be written.
        """
        since = self._began if last else self._written[name]
        if not now and monotonic() - since < SECONDS_BETWEEN:
            return
        body = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
        head = hashlib.sha256(body).hexdigest().encode() + self._identity.encode()
        make_folder(self._folder)
        atomic_write(self._path(name), lambda path: path.write_bytes(head + body))
        self._written[name] = monotonic()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.state"
