"""Matrices and vectors from files: .npy, .npz, .mat, .mtx and .csv; FILE:NAME chooses an array within a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput

SUFFIXES = (".npy", ".npz", ".mat", ".csv", ".mtx")


def load_matrix(given: str) -> Any:
    """Return the matrix in a file, dense or sparse as it is stored, shape ``(M, N)``.

    Parameters
    ----------
    given
        ``FILE`` or ``FILE:NAME``. Without a name, the only array of an .npz or .mat file is taken, or the one named A.

    Raises
    ------
    InvalidInput
        A file that is missing or cannot be read, a name that it does not hold, anything but a real, finite matrix.
    """
    value = _load(given, "A")
    if value.ndim != 2 or 0 in value.shape:
        raise InvalidInput(f"{given} holds an array of shape {_shape(value)}, not a matrix (M, N).")
    return _checked(value, given)


def load_vector(given: str, name: str, infinite: bool = False) -> np.ndarray:
    """Return the vector in a file, dense, shape ``(K,)``; a matrix with one row or one column is one.

    Parameters
    ----------
    given
        As for `load_matrix`.
    name
        Which of several arrays in a file is taken when no name is given.
    infinite
        Whether it may hold infinity.

    Raises
    ------
    InvalidInput
        As for `load_matrix`, for vectors.
    """
    value = _load(given, name)
    if hasattr(value, "toarray"):
        value = value.toarray()
    if value.size == 0 or sum(length > 1 for length in value.shape) > 1:
        raise InvalidInput(f"{given} holds an array of shape {_shape(value)}, not a vector.")
    return np.asarray(_checked(value.reshape(-1), given, infinite))


def _load(given: str, preferred: str) -> Any:
    path, name = Path(given), ""
    if not path.exists() and ":" in given:
        before, _, name = given.rpartition(":")
        path = Path(before)
    if not path.is_file():
        raise InvalidInput(f"there is no file {str(path)!r}.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has none of the known endings {', '.join(SUFFIXES)}.")
    if name and suffix not in (".npz", ".mat"):
        raise InvalidInput(
            f"a {suffix} file holds one array without a name; give {str(path)!r} alone, without {name!r}."
        )
    try:
        if suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if suffix == ".csv":
            return _csv(path)
        if suffix == ".mtx":
            from scipy.io import mmread

            return mmread(path, spmatrix=False)
        return (_npz if suffix == ".npz" else _mat)(path, name, preferred)
    except InvalidInput:
        raise
    except NotImplementedError as newer:  # SciPy's word for the HDF5 format of version 7.3
        raise InvalidInput(
            f"{path} has a format that cannot be read ({newer}); in MATLAB, save it with -v7."
        ) from newer
    except Exception as broken:  # the readers of foreign files raise whatever comes up
        raise InvalidInput(f"{path} cannot be read as {suffix}: {str(broken) or type(broken).__name__}.") from broken


def _npz(path: Path, name: str, preferred: str) -> Any:
    with np.load(path, allow_pickle=False) as content:
        if "format" in content.files and not name:
            from scipy.sparse import load_npz

            return load_npz(path)
        return content[_chosen(path, content.files, name, preferred)]


def _mat(path: Path, name: str, preferred: str) -> Any:
    from scipy.io import loadmat

    content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    return content[_chosen(path, list(content), name, preferred)]


def _chosen(path: Path, names: list[str], name: str, preferred: str) -> str:
    """Return the name of the array to take."""
    listed = ", ".join(sorted(names)) or "nothing"
    if name and name not in names:
        raise InvalidInput(f"{path} holds no {name!r}; it holds {listed}.")
    if not name and len(names) != 1 and preferred not in names:
        raise InvalidInput(f"{path} holds {listed}; choose one as {path}:NAME.")
    return name or (preferred if preferred in names else names[0])


def _csv(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8-sig") as file:
        numbered = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if row]
    if not numbered:
        raise InvalidInput(f"{path} is empty.")
    first, width = numbered[0][0], len(numbered[0][1])
    rows = []
    for number, row in numbered:
        if len(row) != width:
            raise InvalidInput(f"{path}: line {number} has {len(row)} entries, line {first} has {width}.")
        rows.append([_number(path, number, column, text) for column, text in enumerate(row, start=1)])
    return np.array(rows)


def _number(path: Path, line: int, column: int, text: str) -> float:
    try:
        return float(text)
    except ValueError as reason:
        raise InvalidInput(
            f"{path}: {text!r} in line {line}, column {column} is not a number; give rows of numbers with commas"
            " between them, without a header."
        ) from reason


def _checked(value: Any, given: str, infinite: bool = False) -> Any:
    """Return real, finite data."""
    if value.dtype.kind not in "fiub":
        raise InvalidInput(f"{given} holds data of type {value.dtype}, not real numbers.")
    entries = value.data if hasattr(value, "toarray") else value
    if np.isnan(entries).any() or not (infinite or np.isfinite(entries).all()):
        raise InvalidInput(f"{given} holds NaN or infinity; clean the data first.")
    return value


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) or "()"
