r"""Stagewise matching pursuit: a guess of the support, many columns at a time, and dual vectors for it.

If few entries are nonzero, the columns with large correlations to the residual soon include the support, and least
squares on them gives the exact signal. The dual vector of least norm with A_S^T y = sign(x_S) often violates few
bounds; the correlations that do are fixed inside their bounds, and y is computed again.

References
----------
Donoho, Tsaig, Drori, Starck, Sparse solution of underdetermined systems of linear equations by stagewise orthogonal
matching pursuit (2012). Fuchs, On sparse representations in arbitrary redundant bases (2004).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
from scipy import linalg

from polarbias.recovery.options import OPTIONS
from polarbias.recovery.scaled_problem import Iterate, ScaledProblem
from polarbias.recovery.support import ZERO_TOL


def greedy(problem: ScaledProblem) -> Iterator[Iterate | None]:
    """Yield iterates that share one signal, with better and better dual vectors, and None before factorizations."""
    try:
        found = yield from _matching_pursuit(problem)
        if found is not None:
            yield from _dual_vectors(problem, *found)
    except linalg.LinAlgError:  # dependent columns
        pass


def _matching_pursuit(problem: ScaledProblem) -> Generator[None, None, tuple[np.ndarray, np.ndarray] | None]:
    """Return the support and the signs of a solution of A x = b, or None."""
    chosen, x, residual = np.zeros(0, int), np.zeros(0), problem.b
    most = 3 * problem.m // 4
    rounds = OPTIONS.greedy_rounds
    while rounds:
        correlations = problem.columns.adjoint(residual)
        size = problem.sizes(correlations).copy()
        unsolved = float(np.abs(correlations[chosen]).max(initial=0.0))  # by conjugate gradients
        size[chosen] = 0.0
        level = OPTIONS.outlier * float(np.linalg.norm(residual)) / problem.m**0.5
        new = np.flatnonzero(size >= min(level, max(unsolved, float(size.max()))))
        rounds -= bool(new.size)
        chosen = np.concatenate([chosen, new[np.argsort(-size[new])][: most - chosen.size]])
        columns = problem.columns.take(chosen)
        yield None
        # A rough solution by conjugate gradients is enough to choose columns; factorizations are exact anyway.
        x = np.pad(x, (0, chosen.size - x.size)) + columns.gram_solver(1e-2)(columns.adjoint(residual))
        before, residual = float(np.linalg.norm(residual)), problem.b - columns.apply(x)
        distance = float(np.linalg.norm(residual))
        if distance <= OPTIONS.greedy_residual:
            kept = np.abs(x) > ZERO_TOL * np.abs(x).max()
            return None if problem.nonnegative and (x[kept] < 0).any() else (chosen[kept], np.sign(x[kept]))
        if chosen.size == most or (not new.size and distance > before / 2):
            return None
    return None


def _dual_vectors(problem: ScaledProblem, support: np.ndarray, signs: np.ndarray) -> Iterator[Iterate | None]:
    columns, wanted = problem.columns.take(support), problem.bound[support] * signs
    yield None
    solve = columns.gram_solver()
    x = np.zeros(problem.n)
    x[support] = solve(columns.adjoint(problem.b))
    residual_norm = float(np.linalg.norm(problem.b - columns.apply(x[support])))
    held = support
    while True:
        iterate = problem.measure(x, columns.apply(solve(wanted)), residual_norm=residual_norm)
        yield iterate
        violated = problem.sizes(iterate.correlations) > problem.bound
        violated[held] = False
        new = np.flatnonzero(violated)
        if not new.size or held.size + new.size > OPTIONS.held_share * problem.m:
            return
        held = np.concatenate([held, new])
        inside = OPTIONS.held_correlation * problem.bound[new] * np.sign(iterate.correlations[new])
        wanted = np.concatenate([wanted, inside])
        columns = problem.columns.take(held)
        yield None
        solve = columns.gram_solver()
