r"""Bounds at depth 2 with a constant ratio that follow from the Bregman divergence itself, for starts of any size.

Twice the divergence of a point z of S+ from the start is

.. math:: Z\, \mathrm{KL}(z / Z \,\|\, u_0^2) + \frac{(Z - r_0^2)^2}{2 \eta}, \qquad Z = \lVert z \rVert_1 .
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.runtime.arrays import real_array
from polarbias.solution import Solution
from polarbias.theory.endpoint import endpoint, halves, log_minimum, reduced_form, signal, solves
from polarbias.theory.statement import Bound, Hypothesis, constant_ratio, depth_two, no_collapse

_RESIDUAL_TOL = 1e-9
"""Relative residual of a point of S+: that of minima of a linear program, which HiGHS certifies to 1e-10."""


def radial_l1_bound(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike | None = None,
    minimum: Minimum | None = None,
) -> Bound:
    r"""Return a bound on :math:`\lVert X_\infty \rVert_1 - Q` at depth 2, for any start and without :math:`\rho`.

    .. math:: \lVert X_\infty \rVert_1 - Q \le \tfrac12 \Big( \sqrt{(Q - r_0^2)^2 + 4 \eta Q K} - (Q - r_0^2) \Big),
              \qquad K = \mathrm{KL}(z^* / Q \,\|\, u_0^2),

    for a constant ratio and any minimiser :math:`z^*` of the l1 norm over S+, :math:`Q = \lVert z^* \rVert_1`.

    Parameters
    ----------
    problem, network, theta0
        As for `l1_bound`, depth 2 with weight normalization.
    limit
        The limit, with the hypothesis that it solves A X = b. Without it, the hypothesis is a sufficient condition:
        the start has a smaller loss than X = 0.
    minimum
        A minimal l1 solution, for the matrix [A, -A] if the network is signed; computed if not given.

    Notes
    -----
    The limit minimises the divergence over S+. Along the segment to :math:`z^*` its derivative at the limit is not
    negative, which gives :math:`(S - Q)(S - r_0^2) \le \eta Q K` for :math:`S = \lVert X_\infty \rVert_1`.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.01)
    >>> round(radial_l1_bound(problem, network, network.init(0.2, [1.0, 1.0])).value, 6)
    0.007415
    """
    form = reduced_form(problem, network, theta0)
    eta, constant = constant_ratio(form)
    if minimum is not None and not isinstance(minimum, Minimum):
        raise InvalidInput(f"minimum must be a Minimum, because the bound needs a minimiser, got {minimum!r}.")
    log_q, reachable = log_minimum(problem, form, np.zeros(form.n), minimum)
    hypotheses = [
        depth_two(form),
        constant,
        reachable,
        Hypothesis.above("Q > 0", np.exp(log_q), 0.0),
        no_collapse(problem, form) if limit is None else solves(problem, endpoint(network, form, limit)),
    ]

    def value() -> float:
        best = minimum or minimal_l1(problem.signed() if form.signed else problem, nonnegative=True)
        Q = float(best.value)
        excess = Q - form.r0**2
        product = 4 * eta * Q * _divergence(halves(best.x, form) / Q, form)
        root = float(np.hypot(excess, np.sqrt(product)))
        # Both forms are equal; each avoids cancellation for one sign.
        return product / (2 * (root + excess)) if excess > 0 else (root - excess) / 2

    return Bound.concluded(
        "||X||_1 - Q <= value", "first-order condition of the Bregman projection on S+", hypotheses, value
    )


def radius_band(problem: LinearProblem, network: Any, theta0: Any, z: ArrayLike) -> Bound:
    r"""Return a bound on :math:`|r(t)^2 - Z|` at all times at depth 2, for :math:`Z = \lVert z \rVert_1` and z in S+.

    .. math:: |r(t)^2 - Z| \le \sqrt{(Z - r_0^2)^2 + 2 \eta Z\, \mathrm{KL}(z / Z \,\|\, u_0^2)} .

    The right-hand side squared is :math:`4 \eta` times the Bregman divergence from the start to z, which the flow
    does not increase, also in a collapse.

    Parameters
    ----------
    problem, network, theta0
        As for `l1_bound`, depth 2 with weight normalization and a constant ratio.
    z
        A point of S+, shape ``(N,)``; for a signed network its two halves, shape ``(2 N,)``, or a signed solution.
        Another shape raises `InvalidInput`.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.01)
    >>> round(radius_band(problem, network, network.init(0.2, [1.0, 1.0]), [0.0, 0.5]).value, 6)
    0.467474
    """
    form = reduced_form(problem, network, theta0)
    eta, constant = constant_ratio(form)
    point = real_array(z, "z").astype(np.float64)
    if point.shape not in ((problem.n,), (form.n,)):
        raise InvalidInput(f"z must have shape ({form.n},), got {point.shape}.")
    parts = halves(point, form)
    lowest = float(parts.min())
    residual = float(np.linalg.norm(problem.residual(signal(point, form))))
    allowed, Z = _RESIDUAL_TOL * float(np.linalg.norm(problem.b)), float(np.abs(parts).sum())
    hypotheses = [
        depth_two(form),
        constant,
        Hypothesis.at_most("0 <= min z", 0.0, lowest),
        Hypothesis.at_most(f"||A z - b|| <= {_RESIDUAL_TOL:g} ||b||", residual, allowed),
        Hypothesis.above("||z||_1 > 0", Z, 0.0),
    ]
    return Bound.concluded(
        "|r(t)^2 - ||z||_1| <= value",
        "the Bregman divergence to a point of S+ does not increase",
        hypotheses,
        lambda: np.hypot(Z - form.r0**2, np.sqrt(2 * eta * Z * _divergence(parts / Z, form))),
    )


def _divergence(p: np.ndarray, form: ReducedForm) -> float:
    """Return KL(p || u0^2)."""
    p = np.maximum(p, 0)
    return max(float((xlogy(p, p) - 2 * p * form.log_u0).sum()), 0.0)
