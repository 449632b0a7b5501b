r"""The magnification factor of weight normalization, and the radii of the start that make it at least 1.

With :math:`E'(r) = r / f(r)` for a ratio law f,

.. math:: \rho = \frac{r_0}{r_\infty}\, e^{E(r_\infty) - E(r_0)},

and the limit with weight normalization is that of the plain flow from :math:`x_0 / \rho`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks.ratio_law import RatioLaw
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.problems.reference import Minimum
from polarbias.runtime.options import positive_number
from polarbias.solution import Solution
from polarbias.theory.endpoint import endpoint, limit_radius, log_minimum, reduced_form, solves
from polarbias.theory.statement import Bound, Hypothesis, constant_ratio


def log_magnification(problem: LinearProblem, network: Any, theta0: Any, limit: Solution | ArrayLike) -> float:
    r"""Return :math:`\log \rho` for any ratio law (eq. 17 of arXiv:2305.05448v1 for the constant one).

    It is 0 without weight normalization, and -inf or inf for a limit of radius 0, depending on the law. A batch of
    runs, a network without a reduced form and a limit of another shape raise `InvalidInput`.

    Parameters
    ----------
    problem, network, theta0
        One run; its network is `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them.
    limit
        The limit as a `Solution`, as X of shape ``(N,)`` (both halves, shape ``(2 N,)``, for a signed network), or
        its radius, a positive number: that of the factor, :math:`r_\infty^2 = \sum_n |X_n|^{2/L}`.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> theta0 = network.init(1.0, [1.0, 1.0])
    >>> round(log_magnification(problem, network, theta0, limit=2.0), 6)
    14.306853
    """
    form = reduced_form(problem, network, theta0)
    return log_rho(form, limit_radius(network, form, limit))


def log_rho(form: ReducedForm, r: float) -> float:
    """Return log rho for a limit of radius r."""
    if form.plain:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return form.law.log_magnification(form.r0, r, form.time_scale)


def magnification(problem: LinearProblem, network: Any, theta0: Any, limit: Solution | ArrayLike) -> float:
    r"""Return :math:`\rho`, or inf if it overflows, with the parameters and errors of `log_magnification`.

    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), pb.HarmonicRatio(0.5))
    >>> round(magnification(problem, network, network.init(1.0, [1.0, 1.0]), limit=2.0), 6)
    20.085537
    """
    with np.errstate(over="ignore"):
        return float(np.exp(log_magnification(problem, network, theta0, limit)))


def magnification_bound(problem: LinearProblem, network: Any, theta0: Any, limit: Solution | ArrayLike) -> Bound:
    r"""Return the lower bound 1 on :math:`\rho` under the sufficient condition (20).

    .. math:: \min(\eta, r_\infty^2) \le r_0^2 \le \max(\eta, r_\infty^2) .

    It has the radius of the factor for the norm of the signal printed in arXiv:2305.05448v1. Parameters and errors are
    those of `log_magnification`; the exact condition is `magnifying_radii`.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> magnification_bound(problem, network, network.init(1.0, [1.0, 1.0]), limit=2.0).applies
    True
    """
    form = reduced_form(problem, network, theta0)
    eta, constant = constant_ratio(form)
    r2, r0 = limit_radius(network, form, limit) ** 2, form.r0**2
    low, high = (min(eta, r2), max(eta, r2)) if constant.held else (np.nan, np.nan)
    hypotheses = [
        constant,
        Hypothesis.above("r_inf > 0", r2, 0.0),
        Hypothesis.at_most("min(eta, r_inf^2) <= r0^2", low, r0),
        Hypothesis.at_most("r0^2 <= max(eta, r_inf^2)", r0, high),
    ]
    return Bound.concluded("rho >= value", "(20) of arXiv:2305.05448v1", hypotheses, lambda: 1.0)


def magnifying_radii(law: RatioLaw, limit_radius: float, time_scale: float = 1.0) -> tuple[tuple[float, float], ...]:
    r"""Return the exact set of radii :math:`r_0` with :math:`\rho \ge 1`, as closed intervals in rising order.

    For a constant ratio it is the interval between :math:`r_\infty` and the other root of
    :math:`r e^{-r^2/(2\eta)} = r_\infty e^{-r_\infty^2/(2\eta)}`,

    .. math:: r^2 = -\eta\, W_k(-y e^{-y}), \; y = r_\infty^2 / \eta, \; k = -1 \text{ for } y < 1, \text{ else } 0 .

    For :math:`f = c\, r^k` the same holds for :math:`r^{2-k}` and c in the places of :math:`r^2` and :math:`\eta`; for
    k > 2 the interval is the complement. For :math:`f = c\, r^2` it is one side of :math:`r_\infty`, and for the
    harmonic law :math:`r_0 \le r_\infty`. Ends of unbounded intervals are 0 and inf.

    Parameters
    ----------
    law
        `ConstantRatio`, `PowerRatio` or `HarmonicRatio` with one set of parameters; others raise `InvalidInput`.
    limit_radius
        Radius of the factor at the limit, positive.
    time_scale
        ``direction_rate / ||u0||^2``, positive, by which f is divided (Lemma 3.1).

    Examples
    --------
    >>> import polarbias as pb
    >>> ((low, high),) = magnifying_radii(pb.ConstantRatio(1.0), 2.0)
    >>> round(low, 6), high
    (0.28162, 2.0)
    >>> magnifying_radii(pb.HarmonicRatio(1.0), 2.0)
    ((0.0, 2.0),)
    """
    if not isinstance(law, RatioLaw):
        raise InvalidInput(f"law must be a RatioLaw, got {law!r}.")
    radius = positive_number("limit_radius", limit_radius)
    return law.magnifying_radii(radius, positive_number("time_scale", time_scale))


def radius_bound(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike,
    minimum: Minimum | ArrayLike | None = None,
) -> Bound:
    r"""Return the lower bound (21) of arXiv:2305.05448v1 on the squared radius of a limit that solves :math:`A X = b`.

    .. math:: r_\infty^2 = \lVert X_\infty \rVert_{2/L}^{2/L} \ge \min_{z \in S_+} \lVert z \rVert_{2/L}^{2/L}
              \ge Q^{2/L}, \qquad Q = \min_{z \in S_+} \lVert z \rVert_1 .

    At depth 2 the last step is an equality; at depth 1 the bound is the square of the minimal l2 norm.

    Parameters and errors are those of `l1_bound`, with Q (at depth 1 the minimal l2 norm) as ``minimum``.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> radius_bound(problem, network, network.init(1.0, [1.0, 1.0]), limit=[0.2, 0.4]).value
    0.5
    """
    form = reduced_form(problem, network, theta0)
    last = endpoint(network, form, limit)
    if form.depth == 1 and minimum is None:
        require_dense(problem, "the minimal l2 norm")
        minimum = float(np.linalg.norm(np.linalg.lstsq(problem.A, problem.b, rcond=None)[0]))
        minimum /= np.sqrt(2.0) if form.signed else 1.0
    log_q, reachable = log_minimum(problem, form, np.zeros(form.n), minimum)
    hypotheses = [reachable, solves(problem, last)]
    source = "(21) of arXiv:2305.05448v1"
    return Bound.concluded("r_inf^2 >= value", source, hypotheses, lambda: np.exp(2 / form.depth * log_q))
