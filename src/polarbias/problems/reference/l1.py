r"""Minimal l1 solutions, by a linear program and a refinement of its vertex and dual."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog, nnls

from polarbias.errors import Inaccurate
from polarbias.problems.certificate import power_of_two
from polarbias.problems.linear import LinearProblem, require_dense, require_problem
from polarbias.problems.reference.extended import inverse, miss, norm, ratio, scaled, wide
from polarbias.problems.reference.minimum import (
    TOLERANCE,
    Minimum,
    certified,
    each,
    infeasible,
    violations_l1,
    weights_of,
)

_GOAL = 1e-13  # relative gap at which a solution is not improved any more
# What an empty feasible set means, and what to do about it.
_NO_NONNEGATIVE = ("no z >= 0 has A z = b", "change b, drop contradictory rows, or allow signs with nonnegative=False.")
_NOT_IN_RANGE = ("b is not in the range of A", "drop contradictory rows, or project b onto the range.")


def minimal_l1(problem: LinearProblem, *, nonnegative: bool = True, weights: ArrayLike | None = None) -> Minimum:
    r"""Return a minimal (weighted) l1 solution, by a linear program and an independent certificate.

    .. math:: \min_z \sum_n w_n |z_n| \quad \text{subject to} \quad A z = b,\; z \ge 0.

    Parameters
    ----------
    problem
        One problem, A of shape ``(M, N)``, or a batch, solved one by one.
    nonnegative
        Whether z >= 0 is required; if not, the problem is solved as the nonnegative one of ``problem.signed()``.
    weights
        Positive weights w, shape ``(N,)`` or ``(..., N)``; 1 by default. Depth L > 2 from a start x0 favours
        ``x0 ** (2 - L)``.

    Returns
    -------
    Minimum
        Its relative gap is below 1e-12 unless the problem is near singular, and never above 1e-9.

    Raises
    ------
    Infeasible
        S+ = {z >= 0, A z = b} is empty: every point misses b by more than 1e-9, relative, with rows of A scaled
        to one size.
    Inaccurate
        No solution could be certified to 1e-9.
    InvalidInput
        Weights that are not positive or have another shape.

    Notes
    -----
    The minimal l1 solution is what weight normalization and depth 2 aim at (eq. 3 of arXiv:2305.05448v1); the
    weighted one belongs to depth L > 2. Where the minimiser is not unique, x is one vertex of the set.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0, 2.0]], [-2.0])
    >>> pb.minimal_l1(problem, nonnegative=False).x
    array([ 0.,  0., -1.])
    """
    require_problem(problem)
    require_dense(problem, "minimal_l1")
    w = weights_of(problem, weights)

    def solve(at: tuple[int, ...], one: LinearProblem) -> Minimum:
        one = LinearProblem(one.A.astype(np.float64), one.b.astype(np.float64))
        if nonnegative:
            x, y = _minimise(one.A, one.b, w[at], _NO_NONNEGATIVE)
        else:
            halves, y = _minimise(one.signed().A, one.b, np.tile(w[at], 2), _NOT_IN_RANGE)
            x = halves[: one.n] - halves[one.n :]
        value = (wide(w[at]) * np.abs(x)).sum()
        return certified(one, x, y, value, violations_l1(one, x, y, w[at], nonnegative=nonnegative))

    return each(problem, solve)


def _minimise(A: np.ndarray, b: np.ndarray, w: np.ndarray, empty: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, optimal for min w^T x over A x = b, x >= 0; ``empty`` is the message if there is no x."""
    if not b.any():
        return np.zeros(A.shape[1]), np.zeros(A.shape[0])
    column = power_of_two(w)  # of each unknown: all costs, and so all tolerances on the dual, are of size 1
    B, c, row, size = scaled(A / column, b)
    cost = w / column
    best = _Candidate(np.zeros(A.shape[1]), np.zeros(A.shape[0]), np.inf)
    # The smallest tolerances that HiGHS accepts first, then its own, then its other method (with crossover).
    for method, tolerance in (("highs-ds", 1e-10), ("highs-ds", 1e-7), ("highs-ipm", 1e-8)):
        options = {"primal_feasibility_tolerance": tolerance, "dual_feasibility_tolerance": tolerance}
        found = linprog(cost, A_eq=B, b_eq=c, bounds=(0, None), method=method, options=options)
        if found.x is None:
            if found.status == 2:
                _require_reachable(B, c, empty)
            continue
        best = min(best, _refined(B, c, cost, found.x, found.eqlin.marginals), key=lambda candidate: candidate.error)
        if best.error <= _GOAL:
            break
    if best.error > TOLERANCE:
        _require_reachable(B, c, empty)
        raise Inaccurate(
            f"the linear program could be solved to {best.error:.1e} only, not to {TOLERANCE:.0e}: A is near singular, "
            "or its columns or the weights span too many decades; scale them to one size, or drop dependent rows."
        )
    return best.z * size / column, best.y / row


def _require_reachable(B: np.ndarray, c: np.ndarray, empty: tuple[str, str]) -> None:
    """Raise `Infeasible` if c is farther than the tolerance from every B z, z >= 0, by another algorithm."""
    try:
        missed = nnls(B, c)[1] / float(norm(c))
    except RuntimeError:  # its iteration limit; the caller reports what is known without it
        return
    if missed > TOLERANCE:
        raise infeasible(missed, *empty)


class _Candidate(NamedTuple):
    z: np.ndarray
    y: np.ndarray
    error: float  # the larger of the relative residual and the relative gap; y is feasible


def _refined(B: np.ndarray, c: np.ndarray, cost: np.ndarray, z: np.ndarray, y: np.ndarray) -> _Candidate:
    """Improve a vertex and a dual of min cost^T z over B z = c, z >= 0 from solver to rounding accuracy."""
    support = np.flatnonzero(z > 1e-11 * z.max())
    while support.size:
        solve = inverse(B[:, support])
        exact = z[support]
        for _ in range(3):
            exact = exact + solve @ miss(B[:, support], exact, c)
        if (exact > 0).all():
            break
        support = support[exact > 0]
    z = np.zeros_like(z)
    if support.size:
        z[support] = exact
    value = wide(cost) @ wide(z)
    # Slopes that a degenerate vertex pins without using their columns belong to the dual's equations as well.
    active = np.union1d(support, np.flatnonzero(cost - B.T @ y < 1e-9))
    duals = [_feasible(B, cost, _tight(B, cost, y, columns)) for columns in (active, support, support[:0])]
    y = max(duals, key=lambda dual: float(wide(c) @ wide(dual)))
    residual = ratio(norm(miss(B, z, c)), norm(c))
    return _Candidate(z, y, float(max(residual, ratio(abs(value - wide(c) @ wide(y)), value))))


def _tight(B: np.ndarray, cost: np.ndarray, y: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the point nearest to y where the constraints of these columns hold with equality."""
    if not columns.size:
        return y
    solve = inverse(B[:, columns])
    for _ in range(2):
        y = y + solve.T @ miss(B[:, columns].T, y, cost[columns])
    return y


def _feasible(B: np.ndarray, cost: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Shrink y until B^T y <= cost, in extended precision."""
    for _ in range(3):  # rounding the quotient can leave the last bit in excess
        excess = (wide(y) @ wide(B) / wide(cost)).max()
        if excess <= 1:
            break
        y = np.asarray(wide(y) / excess, dtype=np.float64)
    return y
