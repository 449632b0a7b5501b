"""Results as files (``--output``) and as JSON (``--json``)."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from polarbias.cli.parameters import FOLDER, bad_parameter

_ENDINGS = (".npz", ".npy", ".csv")

MAX_NAME = 200
"""Bytes of a file name: file systems allow 255, of which the temporary name of an atomic write adds ten."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def output_file(text: str) -> Callable[[Any], Any]:
    """Return the option for a result file."""
    return click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=text)


def output_folder(text: str, **settings: Any) -> Callable[[Any], Any]:
    """Return the option for a results folder."""
    return click.option("-o", "--output", type=FOLDER, metavar="DIR", help=text, **settings)


def print_result(record: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Print a result as one JSON object or as text."""
    if as_json:
        print_json(record)
    else:
        click.echo(text)


def print_json(record: Mapping[str, Any]) -> None:
    """Print a JSON object on one line; NaN and infinity become null, arrays become lists."""
    click.echo(json.dumps(_plain(record), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value


def check_output(output: Path | None, endings: tuple[str, ...] = _ENDINGS) -> None:
    """Raise `click.BadParameter` for a path that cannot be written."""
    if output is None:
        return
    if endings and output.suffix.lower() not in endings:
        raise bad_parameter("--output", f"{str(output)!r} has none of the known endings {', '.join(endings)}.")
    if not os.path.isdir(output.parent):  # False for names that the system refuses; Path.is_dir would raise
        raise bad_parameter("--output", f"there is no folder {str(output.parent)[:200]!r}.")
    if len(os.fsencode(output.name)) > MAX_NAME:
        raise bad_parameter("--output", f"the name is too long; give at most {MAX_NAME} bytes.")


def store(output: Path, arrays: dict[str, Any], columns: list[str]) -> None:
    """Write all arrays (.npz), the first column (.npy), or the columns (.csv) to a file, atomically."""
    import numpy as np

    from polarbias.runtime.atomic_file import atomic_write

    table: dict[str, Any] = {"fmt": "%.17g", "delimiter": ",", "header": ",".join(columns), "comments": ""}
    writers: dict[str, Callable[[Path], None]] = {
        ".npz": lambda path: np.savez(path, **arrays),
        ".npy": lambda path: np.save(path, arrays[columns[0]], allow_pickle=False),
        ".csv": lambda path: np.savetxt(path, np.column_stack([arrays[name] for name in columns]), **table),
    }
    atomic_write(output, writers[output.suffix.lower()])
