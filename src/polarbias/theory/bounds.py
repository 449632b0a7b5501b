r"""Bounds on the excess of the (weighted) l1 norm of the limit of a flow, with their hypotheses as data.

With :math:`w = x_0^{2-L}` and :math:`Q = \min_{z \in S_+} \lVert z \rVert_{w,1}`, the start enters through

.. math:: \beta_1 = \lVert X_0 \rVert_{w,1} = r_0^2, \qquad \beta_{\min} = \min_n w_n X_{0,n} = \min_n x_{0,n}^2,
          \qquad \gamma = 1 - 2/L,

and weight normalization multiplies both by :math:`\rho^{-L}`. All sizes are handled as logarithms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum
from polarbias.solution import Solution
from polarbias.theory.endpoint import endpoint, log_minimum, log_weights, reduced_form, solves
from polarbias.theory.magnification import log_rho
from polarbias.theory.statement import Bound, Hypothesis, depth_at_least

_UNIFORM_TOL = 1e-12
"""Spread of log u0 of a uniform direction: rounding of a normalized direction of 1e6 entries."""


def l1_bound(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike | None = None,
    minimum: Minimum | ArrayLike | None = None,
) -> Bound:
    r"""Return the bound of Theorem 2.1 on the relative excess :math:`(\lVert X_\infty \rVert_{w,1} - Q) / Q`.

    .. math:: \varepsilon = \frac{\log(\beta_1/\beta_{\min})}{\log(Q/\beta_1)} \; (L = 2), \qquad
              \varepsilon = \frac{L (\beta_1^\gamma - \beta_{\min}^\gamma)}{2 Q^\gamma - L \beta_1^\gamma} \; (L > 2).

    These are Theorems 2.1 and 2.3 of arXiv:2305.05448v1, equations (14)-(16) and (19). Both :math:`\beta` are
    multiplied by :math:`\rho^{-L}`; without weight normalization, and for the schedule :math:`\eta_r = r^2`,
    :math:`\rho = 1`: Theorem 2.1 of the paper's reference [7] (Chou, Maly, Rauhut, arXiv:2112.11027).

    A batch of runs, a network without a reduced form and a limit of another shape or a missing one raise
    `InvalidInput`; a linear program without a certificate raises `Inaccurate`: give ``minimum``.

    Parameters
    ----------
    problem, network, theta0
        One run; its network is `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them,
        with any ratio law. For a signed network S+ is that of the matrix [A, -A].
    limit
        The limit as a `Solution`, or as X of shape ``(N,)`` (both halves, shape ``(2 N,)``, for a signed network).
        Required if :math:`\rho` is not 1.
    minimum
        Q as a number or a `Minimum` with weights ``x0 ** (2 - L)``; by default a linear program computes it.

    Returns
    -------
    Bound
        Hypotheses: depth at least 2, S+ not empty, a limit that solves A X = b, and
        :math:`\rho^L Q > c_L \beta_1` with :math:`c_2 = 1`, :math:`c_L = (L/2)^{L/(L-2)}`. The rows of A need not sum
        to zero. The printed :math:`Q > c_L \beta_1^{2/L}` does not keep the denominator positive for L > 2.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> bound = l1_bound(problem, network, network.init(0.1, [1.0, 1.0]))
    >>> bound.applies, round(bound.value, 6)
    (True, 0.177184)
    """
    form = reduced_form(problem, network, theta0)
    source = f"{'(14)-(16)' if form.plain else '(14)-(16), (19)'} of arXiv:2305.05448v1"
    return _excess_bound(form, problem, network, limit, minimum, source)


def sharp_l1_bound(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike | None = None,
    minimum: Minimum | ArrayLike | None = None,
) -> Bound:
    r"""Return a sharper bound on the same excess as `l1_bound` for L > 2, under a weaker hypothesis.

    .. math:: \varepsilon = \frac{L (\beta_1^\gamma - \beta_{\min}^\gamma)}{2 (Q^\gamma - \beta_1^\gamma)}
              \quad \text{where } Q > \beta_1 .

    Parameters, result and errors are those of `l1_bound`, with which it agrees at depth 2. The limit
    minimises the Bregman divergence from the start over S+. By Hoelder's inequality its power sum is at most
    :math:`\beta_1^\gamma` times its weighted norm to the power 2/L; with
    :math:`(1 + \varepsilon)^{2/L} \le 1 + 2 \varepsilon / L` the inequality is linear in :math:`\varepsilon`.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(3)
    >>> theta0 = network.init(0.1, [1.0, 1.0])
    >>> bounds = (f(problem, network, theta0).value for f in (l1_bound, sharp_l1_bound))
    >>> [round(value, 6) for value in bounds]
    [0.041767, 0.039126]
    """
    form = reduced_form(problem, network, theta0)
    source = "Hoelder's inequality in place of (14)-(16) of arXiv:2305.05448v1"
    return _excess_bound(form, problem, network, limit, minimum, source, sharp=True)


def uniform_l1_bound(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike | None = None,
    minimum: Minimum | ArrayLike | None = None,
) -> Bound:
    r"""Return the bound (7) or (8) for starts :math:`\alpha \mathbf 1`, on the excess of the plain l1 norm.

    .. math:: \frac{\lVert X_\infty \rVert_1 - Q}{Q} \le \varepsilon(\rho^{-L} \lVert X_0 \rVert_1), \qquad
              \varepsilon = \frac{\log N}{\log(\rho^2 Q / \lVert X_0 \rVert_1)} \text{ at depth 2.}

    For a uniform direction the weights are all equal and :math:`\beta_1 = N \beta_{\min}`, so that the bound depends
    on the start through :math:`\lVert X_0 \rVert_1` alone (remark after Theorem 2.2 of arXiv:2305.05448v1). For other
    directions (7) and (8) hold with the weighted norm only, which is `l1_bound`.

    Parameters, result and errors are those of `l1_bound`, with the minimal l1 norm without weights as ``minimum``. N
    counts both halves of a signed network.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> uniform_l1_bound(problem, network, network.init(0.1, [1.0, 2.0])).applies
    False
    """
    form = reduced_form(problem, network, theta0)
    source = f"{'(7)' if form.plain else '(8)'} of arXiv:2305.05448v1 for starts alpha 1"
    return _excess_bound(form, problem, network, limit, minimum, source, uniform=True)


def _excess_bound(
    form: ReducedForm,
    problem: LinearProblem,
    network: Any,
    limit: Solution | ArrayLike | None,
    minimum: Minimum | ArrayLike | None,
    source: str,
    sharp: bool = False,
    uniform: bool = False,
) -> Bound:
    """Return (16) in terms of log(rho^L Q / beta_1) and log(beta_1 / beta_min), which are free of scale.

    ``sharp`` subtracts 2 in the denominator; ``uniform`` is for uniform directions.
    """
    rho, converged = 0.0, []
    if limit is not None:
        last = endpoint(network, form, limit)
        rho, converged = log_rho(form, last.r), [solves(problem, last)]
    elif not (form.plain or form.square):  # f = r^2: the same curve
        raise InvalidInput("with weight normalization the bound needs limit: rho depends on the limit's radius.")
    if uniform:
        # Relative to the weights, which are equal, Q and beta_1 are those without weights.
        log_w, log_beta = np.zeros(form.n), float(logsumexp(form.log_start))
    else:
        log_w, log_beta = log_weights(form), 2 * float(np.log(form.r0))
    log_q, reachable = log_minimum(problem, form, log_w, minimum)
    depth, gamma = form.depth, 1 - 2 / form.depth
    distance, spread = log_q + depth * rho - log_beta, -2 * float(form.log_u0.min())
    log_c = 0.0 if depth <= 2 or sharp else float(np.log(depth / 2)) / gamma
    subtracted = 2.0 if sharp else float(depth)

    def value() -> float:
        if depth == 2:
            return spread / distance
        with np.errstate(over="ignore"):
            return float(-depth * np.expm1(-gamma * spread) / (2 * np.exp(gamma * distance) - subtracted))

    hypotheses = [depth_at_least(form, 2), reachable, *converged]
    if uniform:
        name = f"the direction is uniform: max log u0 - min log u0 <= {_UNIFORM_TOL:g}"
        hypotheses.insert(1, Hypothesis.at_most(name, float(np.ptp(form.log_u0)), _UNIFORM_TOL))
    name = f"log(rho^L Q / beta_1) > {'0' if sharp else 'log c_L'}"
    hypotheses.append(Hypothesis.above(name, distance, log_c))
    norm = "||X||_1" if uniform else "||X||_{w,1}"
    return Bound.concluded(f"({norm} - Q) / Q <= value", source, hypotheses, value)


def excess(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    limit: Solution | ArrayLike,
    minimum: Minimum | ArrayLike | None = None,
    weighted: bool = True,
) -> float:
    r"""Return the observed relative excess :math:`(\lVert X \rVert_{w,1} - Q) / Q`.

    Parameters are those of `l1_bound`, and ``weighted=False`` for w = 1; for a signed network the norm is that of both
    halves together. Errors are those of `l1_bound`, and `InvalidInput` for an empty S+ or Q = 0.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> round(excess(problem, network, network.init(0.1, [1.0, 1.0]), limit=[0.2, 0.4]), 6)
    0.2
    """
    form = reduced_form(problem, network, theta0)
    log_w = log_weights(form) if weighted else np.zeros(form.n)
    log_q, reachable = log_minimum(problem, form, log_w, minimum)
    if not reachable.held or not np.isfinite(log_q):
        raise InvalidInput("the relative excess needs a nonempty S+ with positive minimal norm.")
    return float(np.expm1(logsumexp(log_w + endpoint(network, form, limit).log_x) - log_q))
