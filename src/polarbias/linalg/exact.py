r"""Sums of products without rounding, for differences :math:`w - A^\top \nu` that cancel.

Numbers that need more digits than a float has are unevaluated sums of floats, which the first axis of an array counts.

>>> import numpy as np
>>> third = powers(np.array([3.0]), -1.0)
>>> float(residual(third, np.array([[1.0]]), [np.array([1 / 3])])[0])  # 1/3 less the float next to it
1.850371707708594e-17
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from functools import lru_cache
from math import fsum

import numpy as np

_DIGITS = 60
_PARTS = 3


def powers(base: np.ndarray, exponent: float) -> np.ndarray:
    """Return positive floats to a power, shape ``(3, k)``: three floats each, to about 48 digits."""
    return np.array([_power(value, exponent) for value in base.tolist()]).reshape(-1, _PARTS).T


@lru_cache(maxsize=100_000)
def _power(value: float, exponent: float) -> list[float]:
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = _DIGITS, MAX_EMAX, MIN_EMIN
        whole = float(exponent).is_integer()
        rest = Decimal(value) ** (Decimal(int(exponent)) if whole else Decimal(float(exponent)))
        parts = []
        for _ in range(_PARTS):
            parts.append(float(rest))
            rest -= Decimal(parts[-1])
    return parts


def residual(w: np.ndarray, columns: np.ndarray, terms: Sequence[np.ndarray]) -> np.ndarray:
    """Return w - A^T nu, rounded once, shape ``(k,)``; exact unless a product leaves the range of floats.

    Parameters
    ----------
    w
        Shape ``(p, k)``: sums of p floats.
    columns
        Columns of A, shape ``(k, m)``.
    terms
        Vectors of shape ``(m,)``, the sum of which is nu.
    """
    bits = (53 - columns.shape[1].bit_length()) // 2  # the sum of so many products of two slices is exact
    slices = np.reshape([part for term in terms for part in _slices(-term, bits)], (-1, columns.shape[1]))
    parts = [w.T, *(part @ slices.T for part in _slices(columns, bits))]
    return np.array([fsum(row) for row in np.concatenate(parts, axis=1).tolist()])


def summed(terms: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return vectors with the same sum, to three floats an entry, of shape ``(m,)`` each."""
    rest, parts = np.array(terms).T.tolist(), []
    for _ in range(_PARTS):
        total = [fsum(row) for row in rest]
        parts.append(np.array(total))
        rest = [[*row, -value] for row, value in zip(rest, total, strict=True)]
    return parts


def _slices(values: np.ndarray, bits: int) -> list[np.ndarray]:
    """Return arrays with the given sum, in each row multiples of one unit, up to 2^bits of them."""
    parts = []
    while values.any():
        exponents = np.frexp(np.abs(values).max(-1, keepdims=True))[1]
        rounding = np.ldexp(1.5, exponents - bits + 52)
        parts.append((values + rounding) - rounding)
        values = values - parts[-1]
    return parts
