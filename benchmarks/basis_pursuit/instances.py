"""What the data sets have in common: matrices, and truths that are optimal because a dual vector says so."""

import numpy as np


def truth(rng, n, s, nonnegative=False, decades=0.0):
    """Return a signal with s entries that are not 0, normal or, over ``decades``, log-uniform in size."""
    x = np.zeros(n)
    support = rng.permutation(n)[:s]
    size = 10 ** rng.uniform(-decades, 0, s) if decades else np.abs(rng.standard_normal(s))
    x[support] = size * (1 if nonnegative else rng.choice([-1.0, 1.0], s))
    return x


def certified(rng, A, s, margin, nonnegative=False):
    r"""Return A changed by a matrix of rank one, and x with a dual y: \|a^T y\| = 1 on the support, less elsewhere.

    Half of the other entries come as close as ``margin``.
    """
    m, n = A.shape
    y = rng.standard_normal(m)
    slopes = A.T @ y
    signs = np.ones(n) if nonnegative else np.sign(slopes)
    order = rng.permutation(n)
    wanted = signs * np.where(rng.random(n) < 0.5, 1 - margin, rng.uniform(0, 1 - margin, n))
    wanted[order[:s]] = signs[order[:s]]
    A = A + np.outer(y, wanted - slopes) / (y @ y)
    x = np.zeros(n)
    x[order[:s]] = signs[order[:s]] * rng.uniform(0.5, 2, s)
    return A, x
