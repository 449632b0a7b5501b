"""Folders, and files that are written atomically."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from polarbias.errors import InvalidInput

DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)


def make_folder(path: Path) -> None:
    """Create a folder unless it exists; raise `InvalidInput` if it cannot be created."""
    try:
        for _ in range(20):  # another task may remove an empty parent meanwhile
            with suppress(FileNotFoundError):
                path.mkdir(parents=True, exist_ok=True)
                return
        path.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise _refusal(f"cannot write to {str(path)!r}", reason) from reason


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file by ``write(temporary path)``, then rename it to ``path``; the umask sets its mode.

    An error of the file system becomes `InvalidInput`.
    """
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        # Remove the temporary files of killed writers; the pattern has eight characters for the token.
        for leftover in path.parent.glob(f".{path.stem}-????????{path.suffix}"):
            leftover.unlink(missing_ok=True)
    except OSError as reason:
        raise _refusal(f"cannot write {str(path)!r}", reason) from reason
    finally:
        with suppress(OSError):  # a parent that is no folder
            temporary.unlink(missing_ok=True)


def _refusal(text: str, reason: OSError) -> InvalidInput:
    """Return the error with the system's reason, without its file name: the temporary one."""
    room = "make room or " * (reason.errno in (None, *DISK_FULL))  # NumPy gives no number
    return InvalidInput(f"{text}: {reason.strerror or reason}; {room}choose another folder.")
