r"""Minimal l1 solutions, by a linear program and a refinement of its vertex and dual."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from polarbias.errors import InvalidInput
from polarbias.problems.certificate import farkas_certificate, power_of_two
from polarbias.problems.linear import LinearProblem, require_dense, require_problem
from polarbias.problems.reference.extended import inverse, norm, ratio, residual, scaled, wide
from polarbias.problems.reference.minimum import TOLERANCE, Minimum, certified, each, infeasible
from polarbias.runtime.arrays import real_array
from polarbias.runtime.options import flag

_ROUNDING = 1e-13  # relative gap at which a solution is not improved any more


def minimal_l1(problem: LinearProblem, *, nonnegative: bool = False, weights: ArrayLike | None = None) -> Minimum:
    r"""Return a minimal (weighted) l1 solution, by a linear program and an independent certificate.

    .. math:: \min_z \sum_n w_n |z_n| \quad \text{subject to} \quad A z = b \quad (\text{and } z \ge 0).

    Parameters
    ----------
    problem
        One problem, A of shape ``(M, N)``, or a batch, solved one by one.
    nonnegative
        If True, z >= 0 is required; otherwise ``problem.signed()`` is solved.
    weights
        Positive weights w, shape ``(N,)`` or ``(..., N)``; 1 by default. Depth L > 2 from a start x0 minimizes the
        norm with weights ``x0 ** (2 - L)`` in the limit of small starts.

    Returns
    -------
    Minimum
        Its relative gap is below 1e-12 unless the problem is near singular, and never above 1e-9. If there is no
        solution, ``farkas`` proves it, x is NaN and the value inf.

    Raises
    ------
    Inaccurate
        No solution could be certified to 1e-9.
    InvalidInput
        Weights that are not positive or have another shape.

    Notes
    -----
    Weight normalization and depth 2 approach the minimal l1 solution (eq. 3 of arXiv:2305.05448v1), depth L > 2 the
    weighted one. If the minimizer is not unique, x is a vertex of the set of minimizers.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0, 2.0]], [-2.0])
    >>> pb.minimal_l1(problem).x
    array([ 0.,  0., -1.])
    >>> pb.minimal_l1(problem, nonnegative=True)
    Minimum(infeasible)
    """
    require_problem(problem)
    require_dense(problem, "minimal_l1")
    nonnegative, shape = flag("nonnegative", nonnegative), (*problem.batch_shape, problem.n)
    w = np.ones(problem.n) if weights is None else real_array(weights, "weights").astype(np.float64)
    if w.shape not in (shape[-1:], shape) or not w.min() > 0:
        raise InvalidInput(f"weights must be positive numbers of shape {shape[-1:]} or {shape}, got {weights!r}.")
    w = np.broadcast_to(w, shape)
    return each(problem, lambda at, one: _minimal_l1(one, nonnegative, w[at]))


def _minimal_l1(problem: LinearProblem, nonnegative: bool, w: np.ndarray) -> Minimum:
    problem = LinearProblem(problem.A.astype(np.float64), problem.b.astype(np.float64))
    if not problem.b.any():
        x, y = np.zeros(problem.n), np.zeros(problem.m)
    else:
        best = _linear_program(problem if nonnegative else problem.signed(), w if nonnegative else np.tile(w, 2))
        if best.error > TOLERANCE:
            return infeasible(problem, nonnegative, best.error)
        x, y = best.z if nonnegative else best.z[: problem.n] - best.z[problem.n :], best.y
    return certified(problem, x, y, (wide(w) * np.abs(x)).sum(), violations(problem, x, y, w, nonnegative))


def violations(problem: LinearProblem, x: np.ndarray, y: np.ndarray, w: np.ndarray, nonnegative: bool) -> list[Any]:
    r"""Return the relative violations of A x = b, x >= 0, the bounds of A^T y, and <w, \|x\|> = b^T y by a pair."""
    A, b, x, y, w = (wide(array) for array in (problem.A, problem.b, x, y, w))
    correlations = y @ A if nonnegative else np.abs(y @ A)
    value = (w * np.abs(x)).sum()
    return [
        ratio(norm(A @ x - b), norm(b)),
        ratio((w * np.maximum(-x, 0)).sum() if nonnegative else 0.0, value),
        np.float64(max((correlations / w).max() - 1, 0.0)),
        ratio(abs(value - b @ y), value),
    ]


class _Candidate(NamedTuple):
    z: np.ndarray
    y: np.ndarray
    error: float  # the larger of the relative residual and the relative gap; y is feasible


def _linear_program(problem: LinearProblem, w: np.ndarray) -> _Candidate:
    """Return the best solution of min w^T z over A z = b, z >= 0 that HiGHS finds, refined."""
    column = power_of_two(w)  # all costs, and so all tolerances on the dual, are of size 1
    B, c, row, size = scaled(problem.A / column, problem.b)
    cost = w / column
    best = _Candidate(np.zeros(problem.n), np.zeros(problem.m), np.inf)
    # The smallest tolerances that HiGHS accepts first, then its own, then its other method (with crossover).
    for method, tolerance in (("highs-ds", 1e-10), ("highs-ds", 1e-7), ("highs-ipm", 1e-8)):
        options = {"primal_feasibility_tolerance": tolerance, "dual_feasibility_tolerance": tolerance}
        found = linprog(cost, A_eq=B, b_eq=c, bounds=(0, None), method=method, options=options)
        if found.x is not None:
            refined = _refined(B, c, cost, found.x, found.eqlin.marginals)
            best = min(best, refined, key=lambda candidate: candidate.error)
            if best.error <= _ROUNDING:
                break
        elif found.status == 2 and farkas_certificate(problem, nonnegative=True) is not None:
            break
    return _Candidate(best.z * size / column, best.y / row, best.error)


def _refined(B: np.ndarray, c: np.ndarray, cost: np.ndarray, z: np.ndarray, y: np.ndarray) -> _Candidate:
    """Refine a vertex and a dual of min cost^T z over B z = c, z >= 0 from solver to rounding accuracy."""
    support = np.flatnonzero(z > 1e-11 * z.max())
    while support.size:
        solve = inverse(B[:, support])
        exact = z[support]
        for _ in range(3):
            exact = exact + solve @ residual(B[:, support], exact, c)
        if (exact > 0).all():
            break
        support = support[exact > 0]
    z = np.zeros_like(z)
    if support.size:
        z[support] = exact
    value = wide(cost) @ wide(z)
    # Dual constraints that are active at a degenerate vertex without using their columns are equations as well.
    active = np.union1d(support, np.flatnonzero(cost - B.T @ y < 1e-9))
    duals = [_feasible(B, cost, _tight(B, cost, y, columns)) for columns in (active, support, support[:0])]
    y = max(duals, key=lambda dual: float(wide(c) @ wide(dual)))
    distance = ratio(norm(residual(B, z, c)), norm(c))
    return _Candidate(z, y, float(max(distance, ratio(abs(value - wide(c) @ wide(y)), value))))


def _tight(B: np.ndarray, cost: np.ndarray, y: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the point nearest to y at which the constraints of these columns are active."""
    if not columns.size:
        return y
    solve = inverse(B[:, columns])
    for _ in range(2):
        y = y + solve.T @ residual(B[:, columns].T, y, cost[columns])
    return y


def _feasible(B: np.ndarray, cost: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return y shrunk, in extended precision, until B^T y <= cost."""
    for _ in range(3):  # rounding of the quotient can leave an excess in the last bit
        excess = (wide(y) @ wide(B) / wide(cost)).max()
        if excess <= 1:
            break
        y = np.asarray(wide(y) / excess, dtype=np.float64)
    return y
