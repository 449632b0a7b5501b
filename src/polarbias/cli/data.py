"""Matrices and vectors from files: .npy, .npz, .mat, .mtx and .csv; FILE:NAME chooses an array in a file."""

import csv
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.problems.linear import check_indices

SUFFIXES = (".npy", ".npz", ".mat", ".csv", ".mtx")

SPARSE_ENTRY, SPARSE_DIMENSION = 24, 512
"""Bytes per stored entry and per row or column: three arrays, and some sixty vectors of a solver."""


def load_matrix(given: str) -> Any:
    """Return the matrix in ``FILE`` or ``FILE:NAME``, dense or sparse as stored, shape ``(M, N)``.

    Without a name, the only array of an .npz or .mat file is taken, or the one named A. Raise `InvalidInput` for a file
    that holds anything but a real, finite matrix that fits into memory.
    """
    value = _load(given, "A")
    if value.ndim != 2 or 0 in value.shape:
        raise InvalidInput(f"{given} holds an array of shape {_shape(value)}, not a matrix (M, N).")
    return _checked(value, given)


def load_vector(given: str, name: str, infinite: bool = False) -> np.ndarray:
    """Return the vector in a file, dense, shape ``(K,)``, from an array with at most one axis longer than 1.

    As `load_matrix`, with ``name`` instead of A; ``infinite`` allows infinite entries.
    """
    value = _load(given, name)
    if hasattr(value, "toarray"):
        require_memory(8 * math.prod(value.shape), given)
        value = value.toarray()
    if value.size == 0 or sum(length > 1 for length in value.shape) > 1:
        raise InvalidInput(f"{given} holds an array of shape {_shape(value)}, not a vector.")
    return np.asarray(_checked(value.reshape(-1), given, infinite))


def require_memory(size: float, subject: str) -> None:
    """Raise `InvalidInput` if ``size`` bytes exceed the memory of this machine."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > available:
        raise InvalidInput(f"{subject} needs {size / 1e9:,.0f} GB of memory; this machine has {available / 1e9:,.0f}.")


def _load(given: str, preferred: str) -> Any:
    path, name = given, ""
    if not os.path.lexists(path) and ":" in given:
        path, _, name = given.rpartition(":")
    if not os.path.isfile(path):  # False for names that the system refuses; Path.is_file would raise
        raise InvalidInput(f"there is no file {path[:200]!r}.")
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has none of the known endings {', '.join(SUFFIXES)}.")
    if name and suffix not in (".npz", ".mat"):
        raise InvalidInput(f"a {suffix} file holds one array without a name; give {path!r} alone, without {name!r}.")
    try:
        value = _read(Path(path), suffix, name, preferred)
        if hasattr(value, "tocsr"):
            check_indices(value)
            _require_sparse_memory(value.nnz, value.shape, path)
    except InvalidInput:
        raise
    except NotImplementedError as newer:  # SciPy's exception for the HDF5 format of version 7.3
        raise InvalidInput(
            f"{path} has a format that cannot be read ({newer}); in MATLAB, save it with -v7."
        ) from newer
    except Exception as broken:  # readers of foreign formats raise many types
        raise InvalidInput(f"{path} cannot be read as {suffix}: {str(broken) or type(broken).__name__}.") from broken
    if not hasattr(value, "dtype"):
        raise InvalidInput(f"{given} holds no array.")
    return value


def _require_sparse_memory(entries: int, shape: tuple[int, ...], path: str) -> None:
    require_memory(SPARSE_ENTRY * entries + SPARSE_DIMENSION * sum(shape), path)


def _read(path: Path, suffix: str, name: str, preferred: str) -> Any:
    if suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".mtx":
        from scipy.io import mminfo, mmread

        rows, columns, entries, layout, *_ = mminfo(path)
        if layout == "coordinate":
            _require_sparse_memory(entries, (rows, columns), str(path))
        else:
            require_memory(8 * rows * columns, str(path))
        return mmread(path)
    if suffix == ".mat":
        from scipy.io import loadmat

        content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
        return content[_member(path, list(content), name, preferred)]
    with zipfile.ZipFile(path) as archive:
        require_memory(sum(entry.file_size for entry in archive.infolist()), str(path))
    with np.load(path, allow_pickle=False) as arrays:
        if "format" in arrays.files and not name:
            from scipy.sparse import load_npz

            return load_npz(path)
        return arrays[_member(path, arrays.files, name, preferred)]


def _member(path: Path, names: list[str], name: str, preferred: str) -> str:
    """Return the name of the array to read."""
    listed = ", ".join(sorted(names)) or "nothing"
    if name and name not in names:
        raise InvalidInput(f"{path} holds no {name!r}; it holds {listed}.")
    if not name and len(names) != 1 and preferred not in names:
        raise InvalidInput(f"{path} holds {listed}; choose one as {path}:NAME.")
    return name or (preferred if preferred in names else names[0])


def _csv(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = {number: row for number, row in enumerate(csv.reader(file), start=1) if row}
    if not rows:
        raise InvalidInput(f"{path} is empty.")
    first = min(rows)
    for number, row in rows.items():
        if len(row) != len(rows[first]):
            raise InvalidInput(f"{path}: line {number} has {len(row)} entries, line {first} has {len(rows[first])}.")
        for column, text in enumerate(row):
            try:
                float(text)
            except ValueError as reason:
                raise InvalidInput(
                    f"{path}: {text!r} in line {number}, column {column + 1} is not a number; give rows of numbers with"
                    " commas between them, without a header."
                ) from reason
    return np.array(list(rows.values()), dtype=float)


def _checked(value: Any, given: str, infinite: bool = False) -> Any:
    """Return the array if its entries are real and finite."""
    if value.dtype.kind not in "fiub":
        raise InvalidInput(f"{given} holds data of type {value.dtype}, not real numbers.")
    entries = value.data if hasattr(value, "tocsr") else value
    if np.isnan(entries).any() or not (infinite or np.isfinite(entries).all()):
        raise InvalidInput(f"{given} holds NaN or infinity; clean the data first.")
    return value


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) or "()"
