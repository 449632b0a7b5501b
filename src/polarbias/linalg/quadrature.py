r"""Integrals of positive functions that may be far beyond the range of floats: the logarithm of an integral.

.. math:: \log \left| \int_0^\ell e^{\psi(t)}\, dt \right| .

>>> import numpy as np
>>> log_integral(lambda owner, t: 1e5 * t, np.array([1.0]), np.array([0.0])).round(6)  # e^1e5 / 1e5
array([99988.487075])
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_NODES, _LOG_WEIGHTS = (_NODES + 1) / 2, np.log(_WEIGHTS / 2)
_PANELS = 16  # to begin with, so that no narrow peak hides between the nodes of a long interval
_HALVINGS = 60
_FAR = 100.0  # e^-100 below the other end, a function of s = e^t is its asymptote at s = 0

LogIntegrand = Callable[[np.ndarray, np.ndarray], np.ndarray]


def log_integral(log_integrand: LogIntegrand, lengths: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the logarithms of the moduli of K integrals from 0 to ``lengths``, shape ``(K,)``.

    Intervals are halved until two Gauss-Legendre rules agree to about 1e-14 of the integral, or to ``noise``, the
    relative rounding error of the integrand.

    ``log_integrand`` maps integral numbers, shape ``(I, 1)``, and abscissae, shape ``(I, J)``, to the logarithms of the
    integrand, shape ``(I, J)``. The upper limits may have either sign; at -inf the integrand must behave like an
    exponential, and the integral is infinite unless this decays.
    """
    finite = np.where(np.isneginf(lengths), -_FAR, lengths)
    owner = np.repeat(np.flatnonzero(finite), _PANELS)
    edges = np.arange(_PANELS) / _PANELS
    low = np.outer(finite[finite != 0], edges).ravel()
    high = np.outer(finite[finite != 0], edges + 1 / _PANELS).ravel()
    total = _log_tails(log_integrand, lengths)
    coarse = _gauss(log_integrand, owner, low, high)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        halves = _gauss(log_integrand, owner, low, middle), _gauss(log_integrand, owner, middle, high)
        fine = np.logaddexp(*halves)
        provisional = total.copy()
        np.logaddexp.at(provisional, owner, fine)
        with np.errstate(invalid="ignore"):  # both -inf: nothing there
            error = np.abs(np.exp(coarse - provisional[owner]) - np.exp(fine - provisional[owner]))
        split = error > 1e-14 + 8 * noise[owner]
        np.logaddexp.at(total, owner[~split], fine[~split])
        if not split.any():
            return total
        low, middle, high = low[split], middle[split], high[split]
        low, high, owner = np.concatenate([low, middle]), np.concatenate([middle, high]), np.tile(owner[split], 2)
        coarse = np.concatenate([half[split] for half in halves])
    np.logaddexp.at(total, owner, coarse)
    return total


def _gauss(log_integrand: LogIntegrand, owner: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the logarithm of the 16-point rule on each interval."""
    values = log_integrand(owner[:, None], low[:, None] + np.multiply.outer(high - low, _NODES)) + _LOG_WEIGHTS
    with np.errstate(divide="ignore"):  # halved until its ends are one float
        return np.asarray(np.logaddexp.reduce(values, axis=-1) + np.log(np.abs(high - low)))


def _log_tails(log_integrand: LogIntegrand, lengths: np.ndarray) -> np.ndarray:
    """Return the logarithms of the integrals from -inf to -_FAR, -inf for finite lengths."""
    tails = np.full(lengths.shape, -np.inf)
    owner = np.flatnonzero(np.isneginf(lengths))
    if owner.size:
        there, nearer = log_integrand(owner[:, None], np.array([[-_FAR, 10 - _FAR]])).T
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (nearer - there) / 10
            tails[owner] = np.where(rate > 1e-9, there - np.log(np.maximum(rate, 1e-9)), np.inf)
    return tails
