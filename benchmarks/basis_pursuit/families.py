"""The families of the race: a name and its size give a problem."""

import numpy as np
from instances import certified, truth
from scipy import fft, sparse
from scipy.sparse.linalg import LinearOperator


def gaussian(rng, m, n, share=0.2, nonnegative=False, decades=0.0):
    A = rng.standard_normal((m, n)) / m**0.5
    s = n if share is None else max(1, round(share * m))
    return A, A @ truth(rng, n, s, nonnegative, decades), nonnegative


def correlated(rng, m, n, share=0.2, rho=0.9):
    """Columns are an autoregressive process along n."""
    A = np.empty((m, n))
    A[:, 0] = rng.standard_normal(m)
    for k in range(1, n):
        A[:, k] = rho * A[:, k - 1] + (1 - rho**2) ** 0.5 * rng.standard_normal(m)
    A /= m**0.5
    return A, A @ truth(rng, n, max(1, round(share * m))), False


def thin(rng, m, n, share=0.2, density=0.01):
    A = sparse.random_array((m, n), density=density, rng=rng, data_sampler=rng.standard_normal).tocsc()
    return A, A @ truth(rng, n, max(1, round(share * m))), False


def cosine(rng, m, n, share=0.05):
    """Rows of the cosine transform, never formed."""
    rows = np.sort(rng.permutation(n)[:m])

    def adjoint(y):
        whole = np.zeros(n)
        whole[rows] = y.ravel()
        return fft.idct(whole, norm="ortho")

    A = LinearOperator(
        (m, n), matvec=lambda x: fft.dct(x.ravel(), norm="ortho")[rows], rmatvec=adjoint, dtype=np.float64
    )
    return A, A @ truth(rng, n, max(1, round(share * m))), False


def known(rng, m, n, share=0.3, margin=1e-5):
    A, x = certified(rng, rng.standard_normal((m, n)) / m**0.5, max(1, round(share * m)), margin)
    return A, A @ x, False


FAMILIES = {
    "gaussian .05": lambda rng, m, n: gaussian(rng, m, n, 0.05),
    "gaussian .2": lambda rng, m, n: gaussian(rng, m, n, 0.2),
    "gaussian .3": lambda rng, m, n: gaussian(rng, m, n, 0.3),
    "gaussian .5": lambda rng, m, n: gaussian(rng, m, n, 0.5),
    "gaussian dense": lambda rng, m, n: gaussian(rng, m, n, None),
    "nonnegative .2": lambda rng, m, n: gaussian(rng, m, n, 0.2, nonnegative=True),
    "nonnegative dense": lambda rng, m, n: gaussian(rng, m, n, None, nonnegative=True),
    "correlated .2": correlated,
    "sparse A": thin,
    "certified": known,
    "dynamic range": lambda rng, m, n: gaussian(rng, m, n, 0.2, decades=4.0),
    "partial DCT": cosine,
}
"""Problems of ``(rng, m, n)``: A, b and whether x >= 0 is asked for."""


def optimum(A, b, nonnegative):
    """Return a lower bound of the minimal norm, certified to 1e-9, or None; `certify` recomputes it from the data."""
    import polarbias as pb

    found = pb.basis_pursuit(A, b, nonnegative=nonnegative)
    proof = pb.certify(A, b, found.x, found.dual, nonnegative=nonnegative)
    return proof.bound if proof.within(1e-9) else None
