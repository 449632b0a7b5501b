"""Lock of a results folder."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from polarbias.errors import InvalidInput, StoreBusy

logger = logging.getLogger(__name__)

NAME = ".lock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if missing, for the duration of the block.

    The operating system's lock of the file ``.lock`` ends with its process, so a file that a killed process left is not
    locked.

    Raises
    ------
    StoreBusy
        Another process holds the lock; the message names it.
    InvalidInput
        The folder cannot be written.
    """
    path = Path(folder) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _acquired(path)
    except OSError as reason:
        raise InvalidInput(f"cannot write results to {str(folder)!r}: {reason}; choose another folder.") from reason
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquired(path: Path) -> int:
    """Return the handle of the locked file, which names this process."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, path)
            if _is_at(handle, path):
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_this_process()).encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Check that the open file is the one at ``path``: its last holder may have removed it after it was opened."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        raise StoreBusy(
            f"{path.parent} is in use by {_holder(handle)}; wait until it ends, or use another folder."
        ) from busy
    except OSError as reason:
        # Some network file systems have no locks.
        logger.warning("%s cannot be locked (%s): nothing keeps a second run out of the folder", path, reason)


def _this_process() -> dict[str, object]:
    return {"pid": os.getpid(), "host": platform.node(), "since": datetime.now().astimezone().isoformat(" ", "seconds")}


def _holder(handle: int) -> str:
    try:
        content = json.loads(os.pread(handle, 4096, 0))
        return f"process {content['pid']} on {content['host']} since {content['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
