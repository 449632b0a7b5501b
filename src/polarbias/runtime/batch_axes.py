"""Leading batch axes of problems, solutions and trajectories."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput


def selector(batch_shape: tuple[int, ...], index: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that applies ``index`` to the leading ``batch_shape`` axes of an array only.

    >>> take = selector((2, 3), (slice(None), 0))
    >>> take(np.zeros((2, 3, 7))).shape
    (2, 7)
    """
    if not batch_shape:
        raise InvalidInput("this is a single item, not a batch, and cannot be indexed.")
    # Indexing item numbers, not the data, restricts `...` and masks to the batch axes.
    numbers = np.arange(prod(batch_shape)).reshape(batch_shape)[index]

    def take(array: np.ndarray) -> np.ndarray:
        return np.asarray(np.asarray(array).reshape((-1, *np.shape(array)[len(batch_shape) :]))[numbers])

    return take


def over_runs(array: np.ndarray, batch_ndim: int, extra: int) -> np.ndarray:
    """Return values per problem with ``extra`` axes of length 1 after the batch axes, to broadcast over runs.

    >>> over_runs(np.zeros((2, 7)), batch_ndim=1, extra=2).shape
    (2, 1, 1, 7)
    """
    return np.reshape(array, array.shape[:batch_ndim] + (1,) * extra + array.shape[batch_ndim:])
