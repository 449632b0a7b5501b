"""What the statements need of one run: its start in polar form, its limit, and minimal l1 norms over S+."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from polarbias.errors import Infeasible, InvalidInput
from polarbias.mirror.reduced_form import ReducedForm, reduced_forms
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference import Minimum, minimal_l1
from polarbias.runtime.arrays import real_array
from polarbias.solution import Solution
from polarbias.theory.statement import Hypothesis

SOLVED = 1e-6  # relative residual up to which a given limit counts as a solution of A X = b


class End(NamedTuple):
    """A limit: its signal, the logarithms of its entries (of both halves, for a signed network), and its radius."""

    x: np.ndarray
    log_x: np.ndarray
    r: float


def start(problem: LinearProblem, network: Any, theta0: Any) -> ReducedForm:
    """Return the polar form of one run; a batch is an error."""
    batch_shape, runs = reduced_forms(problem, network, theta0)
    if batch_shape:
        raise InvalidInput(f"this takes one run, got a batch of shape {batch_shape}; index problem and theta0 first.")
    return next(iter(runs))[2]


def end(network: Any, form: ReducedForm, limit: Solution | ArrayLike) -> End:
    """Read a limit: a solution, or X itself (for a signed network its two halves, one after the other)."""
    if isinstance(limit, Solution):
        if limit.batch_shape:
            raise InvalidInput(f"limit must be one solution, got a batch of shape {limit.batch_shape}; index it first.")
        log_x = limit.log_x
        if log_x is None and form.signed and limit.theta is None:
            raise InvalidInput("a limit of a signed network must have log_x or theta: X alone does not fix its halves.")
        if log_x is None:
            factor = limit.x if limit.theta is None else network.factor(limit.theta)
            power = 1 if limit.theta is None else form.depth
            log_x = power * _log(np.abs(np.asarray(factor, np.float64)))
        r = _radius(form, log_x) if limit.r is None else abs(float(limit.r))
        return End(limit.x, log_x, r)
    x = real_array(limit, "limit").astype(np.float64)
    if x.shape != (form.n,):
        raise InvalidInput(f"limit must be a Solution or an array of shape {(form.n,)}, got shape {x.shape}.")
    if form.depth > 1 and (x < 0).any():
        raise InvalidInput(f"limit must have no negative entry at depth {form.depth}, got {x.min():g}.")
    log_x = _log(np.abs(x))
    return End(signal(x, form), log_x, _radius(form, log_x))


def end_radius(network: Any, form: ReducedForm, limit: Solution | ArrayLike) -> float:
    """Return the radius of a limit, which may also be given as the radius itself."""
    if isinstance(limit, Solution) or np.ndim(limit):
        return end(network, form, limit).r
    r = float(real_array(limit, "limit"))
    if r < 0:
        raise InvalidInput(f"a radius given as the limit must not be negative, got {r:g}.")
    return r


def _radius(form: ReducedForm, log_x: np.ndarray) -> float:
    return float(np.exp(logsumexp(2 / form.depth * log_x) / 2))


def _log(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
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
    """Return log Q, Q the least weighted l1 norm in S+, and the hypothesis that S+ is not empty.

    The linear program sees the weights divided by the largest, so that small starts do not overflow it.
    """
    name = "S+ = {z >= 0, A z = b} is not empty"
    if minimum is None:
        top = log_w.max()
        nonnegative = problem.signed() if form.signed else problem
        try:
            value = minimal_l1(nonnegative, weights=np.exp(log_w - top)).value
        except Infeasible:
            return np.nan, Hypothesis(name, False)
        return float(_log(np.asarray(value))) + float(top), Hypothesis(name, True)
    value = minimum.value if isinstance(minimum, Minimum) else minimum
    Q = real_array(value, "minimum")
    if Q.ndim or Q < 0:
        raise InvalidInput(f"minimum must be one number that is not negative, or the Minimum of one problem, got {Q}.")
    return float(_log(Q)), Hypothesis(name, True)


def solves(problem: LinearProblem, limit: End) -> Hypothesis:
    """Return the hypothesis that the limit is a solution, which excludes collapse."""
    size = float(np.linalg.norm(problem.b))
    return Hypothesis.at_most(
        f"the limit solves A X = b: ||A X - b|| <= {SOLVED:g} ||b||",
        float(np.linalg.norm(problem.residual(limit.x))),
        SOLVED * size,
    )


def stays_away(problem: LinearProblem, form: ReducedForm) -> Hypothesis:
    """Return a sufficient condition for the flow not to collapse that needs no limit: it starts below X = 0's loss."""
    name = "no collapse: ||A X0 - b|| < ||b||"
    lhs, rhs = np.linalg.norm(problem.residual(form.signal(form.log_start))), np.linalg.norm(problem.b)
    if form.depth == 1 or float(form.E(0.0)) == -np.inf:
        return Hypothesis("no collapse: E(0) = -inf, or depth 1", True)
    return Hypothesis(name, bool(lhs < rhs), float(lhs), float(rhs))


def constant_ratio(form: ReducedForm) -> tuple[float, Hypothesis]:
    """Return eta for a unit direction that moves at rate 1, and the hypothesis that the law is constant."""
    constant = form.law.power is not None and form.law.power[1] == 0
    return float(form.f(1.0)) if constant else np.nan, Hypothesis("the learning-rate ratio is constant", constant)


def depth_at_least(form: ReducedForm, least: int) -> Hypothesis:
    """Return the hypothesis L >= least."""
    return Hypothesis.at_most(f"{least} <= L", least, form.depth)
