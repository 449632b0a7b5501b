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
from math import fsum

import numpy as np

_SPLITTER = 134217729.0  # 2^27 + 1 (Veltkamp)
_DIGITS = 60
_PARTS = 3


def powers(base: np.ndarray, exponent: float) -> np.ndarray:
    """Return positive floats to a power, shape ``(3, k)``: three floats each, to about 48 digits."""
    found = {value: _power(value, exponent) for value in set(base.tolist())}
    return np.array([found[value] for value in base.tolist()]).reshape(-1, _PARTS).T


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
    parts = [w.T]
    for term in terms:
        parts += _products(columns, -term)
    return np.array([fsum(row) for row in np.concatenate(parts, axis=1).tolist()])


def summed(terms: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return vectors with the same sum, to three floats an entry, of shape ``(m,)`` each."""
    rest, parts = np.array(terms).T.tolist(), []
    for _ in range(_PARTS):
        total = [fsum(row) for row in rest]
        parts.append(np.array(total))
        rest = [[*row, -value] for row, value in zip(rest, total, strict=True)]
    return parts


def _products(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return products and their rounding errors (Dekker)."""
    product = a * b
    a_high, b_high = (_SPLITTER * v - (_SPLITTER * v - v) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
