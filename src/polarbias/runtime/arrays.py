"""Checks of array data given by callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.runtime.pytree import is_tracer


def real_array(value: ArrayLike, name: str, error: type[InvalidInput] = InvalidInput) -> np.ndarray:
    """Return ``value`` as a finite, real floating-point array, or raise ``error`` naming the argument.

    Integers and booleans become float64; float32 stays float32; complex, object and text data are refused.

    >>> real_array([1, 2], "b").dtype
    dtype('float64')
    """
    if not isinstance(value, np.ndarray | np.generic | Sequence | int | float | complex) and not hasattr(
        value, "__array__"
    ):
        raise error(f"{name} must be a dense array of real numbers, got {type(value).__name__}.")
    if np.ma.is_masked(value):
        raise error(f"{name} has masked entries; fill or drop them first.")
    try:
        array = np.asarray(value)
    except ValueError as ragged:
        raise error(f"{name} must be a rectangular array of real numbers: {ragged}.") from ragged
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise error(f"{name} must hold real numbers, got dtype {array.dtype}; take the real part or convert it first.")
    if array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise error(f"{name} holds NaN or infinity; clean the data first.")
    return array


def positive_array(value: ArrayLike, name: str) -> Any:
    """Return ``value`` as a read-only float64 copy of positive numbers, or raise `InvalidInput`; tracers pass.

    >>> positive_array([1, 2], "eta")
    array([1., 2.])
    """
    if is_tracer(value):
        return value
    array = np.array(real_array(value, name), dtype=np.float64)
    if not array.size or np.asarray(value).dtype == bool:
        raise InvalidInput(f"{name} must be a positive number or an array of such numbers, got {value!r}.")
    if not (array > 0).all():
        raise InvalidInput(f"{name} must be positive, got {array.min():g}.")
    array.flags.writeable = False
    return array
