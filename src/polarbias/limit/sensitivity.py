r"""Derivatives of the limit of gradient flow in the initial radius and in the learning-rate ratio.

Along the curve of limits, :math:`dX / d\tau` follows from one linear solve with the matrix A diag(dX/dz) A^T, and the
law gives the change of tau. At depth 2 with a constant ratio, for example, with
:math:`\theta = (A\,\mathrm{diag}(X) A^\top)^{-1} b`, :math:`g = \langle b, \theta \rangle` and s = ||X||_1,

.. math:: dX = s X (1 - A^\top \theta)\, \frac{d\sigma}{s (s - g) + \eta g}, \qquad
          d\sigma = d(r_0^2) + \frac{s - r_0^2}{\eta}\, d\eta .

The distance to the minimal l1 norm does not decrease with r0; it increases with eta if and only if the radius grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.linalg.normal_equations import normal_equations
from polarbias.mirror.reduced_form import ReducedForm, reduced_forms
from polarbias.problems.linear import LinearProblem
from polarbias.solution import Solution


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Derivatives of the limit X.

    Attributes
    ----------
    r0
        dX / d r0 at fixed direction, shape ``(..., N)``.
    ratio
        dX with respect to the coefficient of the ratio law (eta, or c), shape ``(..., N)``; zero without weight
        normalization.
    """

    r0: np.ndarray
    ratio: np.ndarray


def limit_sensitivity(problem: LinearProblem, network: Any, theta0: Any, limit: Solution) -> Sensitivity:
    """Return the derivatives of `flow_limit` in r0 and in the coefficient of the law.

    Parameters
    ----------
    problem, network, theta0
        As for `flow_limit`, depth 2 and above.
    limit
        Result of `flow_limit` for them; every run converged.

    Raises
    ------
    InvalidInput
        Depth 1, a limit of other arguments, that did not converge or has no ``log_x``, a law with another number of
        coefficients than one.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [4.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=1.0)
    >>> theta0 = network.init(1.0, [1.0, 1.0])
    >>> moved = pb.limit_sensitivity(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    >>> moved.r0.round(4), moved.ratio.round(4)
    (array([ 0.585 , -0.2925]), array([ 0.396, -0.198]))
    """
    if not isinstance(limit, Solution) or limit.log_x is None or not np.all(limit.converged):
        raise InvalidInput("limit must be a converged result of flow_limit for these arguments.")
    batch_shape, runs = reduced_forms(problem, network, theta0)
    if limit.batch_shape != batch_shape:
        raise InvalidInput(f"limit has batch shape {limit.batch_shape}, theta0 has {batch_shape}.")
    if network.degree < 2:
        raise InvalidInput("sensitivities of the limit need depth 2 or above.")
    entries = 2 * problem.n if network.signed else problem.n
    if limit.x.shape[-1] != problem.n or limit.log_x.shape[-1] != entries:
        raise InvalidInput(f"limit has {limit.x.shape[-1]} entries and belongs to another problem or network.")
    r0 = np.empty((*batch_shape, problem.n))
    ratio = np.empty_like(r0)
    with limit_blas_threads(problem.m):
        for at, one, form in runs:
            r0[at], ratio[at] = _moved(one, form, limit.log_x[at])
    return Sensitivity(r0, ratio)


def _moved(problem: LinearProblem, form: ReducedForm, log_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    op, L = normal_equations(problem, form.signed), form.depth
    x = np.exp(log_x)
    s = float(np.exp(2 / L * log_x).sum())
    # log X moves by p for tau and by `rate` for A^T nu; only ratios of rates matter to dX / dtau.
    p = 1.0 if L == 2 else L / (L - 2)
    log_rate = (L - 2) / L * log_x
    rate = np.exp(log_rate - log_rate.max())
    theta = op.normal(x * rate, graded=L > 2)(p * op.apply(x))
    dlog = p - rate * op.adjoint(theta)
    half = 1.0 if L == 2 else (L - 2) / 2
    ds = 2 / L * float(np.exp(2 / L * log_x) @ dlog)
    slope = 1 - half * (1 / s - 1 / float(form.f(s))) * ds
    dtau_r0 = half * 2 * form.r0 / float(form.f(form.r0**2)) / slope
    dtau_ratio = half * 2 * (_law_slope(form, form.r0) - _law_slope(form, np.sqrt(s))) / slope
    dx = x * dlog
    if form.signed:
        dx = dx[: problem.n] - dx[problem.n :]
    return dtau_r0 * dx, dtau_ratio * dx


def _law_slope(form: ReducedForm, r: float) -> float:
    """Return the derivative of E(r) in the law's coefficient."""
    return 0.0 if form.plain else form.time_scale * form.law.coefficient_slope(r)
