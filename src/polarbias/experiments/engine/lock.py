"""Lock of a results folder."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from polarbias.errors import InvalidInput, StoreBusy

logger = logging.getLogger(__name__)


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
    path = Path(folder) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while (handle := _acquired(path)) is None:
            pass
    except OSError as reason:
        raise InvalidInput(f"cannot write results to {str(folder)!r}: {reason}; choose another folder.") from reason
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquired(path: Path) -> int | None:
    """Return the handle of the locked file, which names this process; None if its last holder has removed it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise StoreBusy(
                f"{path.parent} is in use by {_holder(handle)}; wait until it ends, or use another folder."
            ) from busy
        except OSError as reason:
            # Some network file systems have no locks.
            logger.warning("%s cannot be locked (%s): nothing keeps a second run out of the folder", path, reason)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                since = datetime.now().astimezone().isoformat(" ", "seconds")
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}).encode())
                return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _holder(handle: int) -> str:
    try:
        content = json.loads(os.pread(handle, 4096, 0))
        return f"process {content['pid']} on {content['host']} since {content['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
