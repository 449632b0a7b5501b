"""Results in the file that --output names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from polarbias.cli.parameters import wrong

_ENDINGS = (".npz", ".npy", ".csv")


def check_output(output: Path | None) -> None:
    """Refuse a path that cannot be written to before any work is done."""
    if output is None:
        return
    if output.suffix.lower() not in _ENDINGS:
        raise wrong("--output", f"{str(output)!r} has none of the known endings {', '.join(_ENDINGS)}.")
    if not output.parent.is_dir():
        raise wrong("--output", f"there is no folder {str(output.parent)!r}.")


def store(output: Path, arrays: dict[str, Any], columns: list[str]) -> None:
    """Write a file whole or not at all: all arrays, the first column, or the columns."""
    import numpy as np

    from polarbias.runtime.atomic_file import atomic_write

    writers: dict[str, Callable[[Path], None]] = {
        ".npz": lambda path: np.savez(path, allow_pickle=False, **arrays),
        ".npy": lambda path: np.save(path, arrays[columns[0]], allow_pickle=False),
        ".csv": partial(
            np.savetxt,
            X=np.column_stack([arrays[name] for name in columns]),
            fmt="%.17g",
            delimiter=",",
            header=",".join(columns),
            comments="",
        ),
    }
    atomic_write(output, writers[output.suffix.lower()])
