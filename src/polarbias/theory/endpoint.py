"""Reduced form of one run, its limit, and minimal l1 norms over S+."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm, reduced_forms
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.runtime.arrays import real_array
from polarbias.solution import Solution
from polarbias.theory.statement import Hypothesis

_RESIDUAL_TOL = 1e-6
"""Relative residual of a limit that solves A X = b: a flow stops at 1e-6 by default in double precision."""


class Endpoint(NamedTuple):
    """Signal of a limit, logarithms of its entries (of both halves, for a signed network), and its radius."""

    x: np.ndarray
    log_x: np.ndarray
    r: float


def reduced_form(problem: LinearProblem, network: Any, theta0: Any) -> ReducedForm:
    """Return the reduced form of one run; a batch raises `InvalidInput`."""
    batch_shape, runs = reduced_forms(problem, network, theta0)
    if batch_shape:
        raise InvalidInput(f"this takes one run, got a batch of shape {batch_shape}; index problem and theta0 first.")
    return next(iter(runs))[2]


def endpoint(network: Any, form: ReducedForm, limit: Solution | ArrayLike) -> Endpoint:
    """Return a limit from a solution or from X (for a signed network its two halves, one after the other)."""
    if isinstance(limit, Solution):
        if limit.batch_shape:
            raise InvalidInput(f"limit must be one solution, got a batch of shape {limit.batch_shape}; index it first.")
        log_x = limit.log_x
        if log_x is None and form.signed and limit.theta is None:
            raise InvalidInput("a limit of a signed network must have log_x or theta: X alone does not fix its halves.")
        if log_x is None:
            factor = limit.x if limit.theta is None else network.factor(limit.theta)
            power = 1 if limit.theta is None else form.depth
            log_x = power * log(np.abs(np.asarray(factor, np.float64)))
        r = _radius(form, log_x) if limit.r is None else abs(float(limit.r))
        return Endpoint(limit.x, log_x, r)
    x = real_array(limit, "limit").astype(np.float64)
    if x.shape != (form.n,):
        raise InvalidInput(f"limit must be a Solution or an array of shape {(form.n,)}, got shape {x.shape}.")
    if form.depth > 1 and (x < 0).any():
        raise InvalidInput(f"limit must have no negative entry at depth {form.depth}, got {x.min():g}.")
    log_x = log(np.abs(x))
    return Endpoint(signal(x, form), log_x, _radius(form, log_x))


def limit_radius(network: Any, form: ReducedForm, limit: Solution | ArrayLike) -> float:
    """Return the radius of a limit, which may also be given as the radius itself."""
    if isinstance(limit, Solution) or np.ndim(limit):
        return endpoint(network, form, limit).r
    r = float(real_array(limit, "limit"))
    if r < 0:
        raise InvalidInput(f"a radius given as the limit must not be negative, got {r:g}.")
    return r


def _radius(form: ReducedForm, log_x: np.ndarray) -> float:
    return float(np.exp(logsumexp(2 / form.depth * log_x) / 2))


def log(values: np.ndarray) -> np.ndarray:
    """Return logarithms, -inf for 0 and NaN for negative values, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def signal(x: np.ndarray, form: ReducedForm) -> np.ndarray:
    """Return X, from its two halves if the network is signed and they are given."""
    return x[: form.n // 2] - x[form.n // 2 :] if form.signed and x.size == form.n else x


def halves(x: np.ndarray, form: ReducedForm) -> np.ndarray:
    """Return X as a point of the nonnegative problem: for a signed network its positive and negative parts."""
    if not form.signed or x.size == form.n:
        return x
    return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])


def log_weights(form: ReducedForm) -> np.ndarray:
    """Return the logarithms of the weights ``x0 ** (2 - L)`` of (14), shape ``(n,)``."""
    return np.asarray((2 - form.depth) * (np.log(form.r0) + form.log_u0))


def log_minimum(
    problem: LinearProblem, form: ReducedForm, log_w: np.ndarray, minimum: Minimum | ArrayLike | None
) -> tuple[float, Hypothesis]:
    """Return log Q, Q the least weighted l1 norm in S+, and the hypothesis that S+ is not empty."""
    name = "S+ = {z >= 0, A z = b} is not empty"
    if minimum is None:
        largest = log_w.max()  # weights relative to it do not overflow for small starts
        nonnegative = problem.signed() if form.signed else problem
        least = minimal_l1(nonnegative, nonnegative=True, weights=np.exp(log_w - largest))
        if not least.feasible:
            return np.nan, Hypothesis(name, False)
        return float(log(np.asarray(least.value))) + float(largest), Hypothesis(name, True)
    value = minimum.value if isinstance(minimum, Minimum) else minimum
    Q = real_array(value, "minimum")
    if Q.ndim or Q < 0:
        raise InvalidInput(f"minimum must be one number that is not negative, or the Minimum of one problem, got {Q}.")
    return float(log(Q)), Hypothesis(name, True)


def solves(problem: LinearProblem, limit: Endpoint) -> Hypothesis:
    """Return the hypothesis that the limit is a solution, which excludes collapse."""
    return Hypothesis.at_most(
        f"the limit solves A X = b: ||A X - b|| <= {_RESIDUAL_TOL:g} ||b||",
        float(np.linalg.norm(problem.residual(limit.x))),
        _RESIDUAL_TOL * float(np.linalg.norm(problem.b)),
    )
