"""Folders, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from polarbias.errors import InvalidInput


def make_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises
    ------
    InvalidInput
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise InvalidInput(f"cannot write to {str(path)!r}: {reason}; make room or choose another folder.") from reason


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file under a temporary name, then move it to ``path`` in one step.

    Raises
    ------
    InvalidInput
        The file cannot be written.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        # What a killed writer of the same file left; the pattern has mkstemp's eight random letters.
        for litter in path.parent.glob(f".{path.stem}-????????{path.suffix}"):
            litter.unlink(missing_ok=True)
    except OSError as reason:
        raise InvalidInput(f"cannot write {str(path)!r}: {reason}; make room or choose another folder.") from reason
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
