"""Minima with their certificates, and checks of the optimality conditions on the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import Inaccurate, InvalidInput
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.problems.reference.extended import norm, ratio, wide
from polarbias.runtime.arrays import real_array
from polarbias.runtime.batch_axes import selector

TOLERANCE = 1e-9
"""Largest relative violation of an optimality condition by a reference solution."""


@dataclass(frozen=True, eq=False)
class Minimum:
    r"""A minimal solution with its dual certificate; ``(...)`` is the problem's ``batch_shape``.

    Attributes
    ----------
    value
        The minimum: :math:`\sum_n w_n |x_n|` or :math:`\lVert x \rVert_2`, shape ``(...)``; infinity if there is no
        solution.
    x
        A minimizer, shape ``(..., N)``; NaN if there is none.
    dual
        Shape ``(..., M)``. For l1, y with :math:`A^\top y \le w` (nonnegative) or :math:`|A^\top y| \le w`
        (signed) and :math:`b^\top y` = value. For l2, y with :math:`x = A^\top y`. NaN if there is no solution.
    gap
        Relative duality gap, shape ``(...)``: :math:`|1 - b^\top y / \mathrm{value}|` for l1,
        :math:`|1 - b^\top y / \mathrm{value}^2|` for l2; 0 where the value is 0.
    residual
        :math:`\lVert A x - b \rVert_2`, shape ``(...)``.
    farkas
        Proof that there is no solution, shape ``(..., M)``: y with :math:`b^\top y > 0` and :math:`A^\top y \le 0`
        (nonnegative) or :math:`A^\top y = 0`. None, or in a batch NaN, for feasible problems.
    """

    value: Any
    x: np.ndarray
    dual: np.ndarray
    gap: Any
    residual: Any
    farkas: np.ndarray | None = None

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes, ``()`` for one problem."""
        return self.x.shape[:-1]

    @property
    def feasible(self) -> Any:
        """True for problems with a solution, shape ``(...)``."""
        return np.isfinite(self.value)

    def __getitem__(self, index: Any) -> Minimum:
        """Select minima of a batch by indexing its leading axes."""
        take = selector(self.batch_shape, index)
        value = take(self.value)[()]
        farkas = None if self.farkas is None or np.isfinite(value).all() else take(self.farkas)
        return Minimum(value, take(self.x), take(self.dual), take(self.gap)[()], take(self.residual)[()], farkas)

    def __repr__(self) -> str:
        """Return the value and the gap, without data."""
        if self.batch_shape:
            count = int(np.sum(~self.feasible))
            listed = f", {count} infeasible" if count else ""
            return f"Minimum(batch_shape={self.batch_shape}, largest gap={np.nanmax(self.gap, initial=0):.1e}{listed})"
        return (
            f"Minimum(value={float(self.value):.6g}, gap={float(self.gap):.1e})"
            if self.feasible
            else "Minimum(infeasible)"
        )


@dataclass(frozen=True, eq=False)
class Check:
    """Violations of the optimality conditions, all relative, at least 0, each of the problem's ``batch_shape``.

    Attributes
    ----------
    primal
        ``||A x - b||_2 / ||b||_2``.
    sign
        Weighted sum of the negative entries of x, over the value; 0 for signed problems and for l2.
    dual
        Excess of ``A^T y`` (or of its modulus) over w, relative to w; for l2, ``||x - A^T y||_2 / ||x||_2``.
    gap
        As in `Minimum`, from x and y alone.
    """

    primal: Any
    sign: Any
    dual: Any
    gap: Any

    @property
    def worst(self) -> Any:
        """Largest of the four violations."""
        return np.maximum(np.maximum(self.primal, self.sign), np.maximum(self.dual, self.gap))


_Record = TypeVar("_Record", Minimum, Check)


def each(problem: LinearProblem, solve: Callable[[tuple[int, ...], LinearProblem], _Record]) -> _Record:
    """Apply ``solve`` to every problem of a batch and stack the results; errors name the problem."""
    if not problem.batch_shape:
        return solve((), problem)
    records: list[_Record] = []
    for index in np.ndindex(*problem.batch_shape):
        try:
            records.append(solve(index, problem[index]))
        except Inaccurate as error:
            raise Inaccurate(f"problem {list(index)} of the batch: {error}") from error

    def stacked(name: str) -> Any:
        leaves = [getattr(record, name) for record in records]
        if all(leaf is None for leaf in leaves):
            return None
        array = np.stack([np.full(problem.m, np.nan) if leaf is None else np.asarray(leaf) for leaf in leaves])
        return array.reshape(problem.batch_shape + array.shape[1:])

    return type(records[0])(**{field.name: stacked(field.name) for field in fields(records[0])})


def checked_weights(problem: LinearProblem, weights: ArrayLike | None) -> np.ndarray:
    """Return positive weights of shape ``(..., N)``, 1 by default."""
    shape = (*problem.batch_shape, problem.n)
    w = np.ones(problem.n) if weights is None else real_array(weights, "weights").astype(np.float64)
    if w.shape not in ((problem.n,), shape) or (w <= 0).any():
        raise InvalidInput(
            f"weights must be positive numbers of shape {(problem.n,)} or {shape}, got shape {w.shape}"
            + (f" with smallest entry {w.min()}." if w.size else ".")
        )
    return np.broadcast_to(w, shape)


def check_l1(
    problem: LinearProblem, minimum: Minimum, *, nonnegative: bool = False, weights: ArrayLike | None = None
) -> Check:
    r"""Return the violations of the optimality conditions by ``minimum``, computed from the data alone.

    By weak duality :math:`b^\top y \le Q \le \sum w_n |x_n|` for every feasible x and y, so small violations prove
    the value.

    Parameters
    ----------
    problem, nonnegative, weights
        As in `minimal_l1`.
    minimum
        The result to check; only its ``x`` and ``dual`` are used.

    Examples
    --------
    >>> import polarbias as pb
    >>> from polarbias.problems.reference import check_l1
    >>> problem = pb.gaussian_problem(seed=0, m=5, n=20)
    >>> bool(check_l1(problem, pb.minimal_l1(problem)).worst < 1e-12)
    True
    """
    require_dense(problem, "check_l1")
    w = checked_weights(problem, weights)
    return each(
        problem, lambda at, one: violations_l1(one, minimum.x[at], minimum.dual[at], w[at], nonnegative=nonnegative)
    )


def check_l2(problem: LinearProblem, minimum: Minimum) -> Check:
    r"""Return the violations of :math:`A x = b`, :math:`x = A^\top y` by ``minimum``, computed from the data alone.

    Examples
    --------
    >>> import polarbias as pb
    >>> from polarbias.problems.reference import check_l2
    >>> problem = pb.gaussian_problem(seed=0, m=5, n=20)
    >>> bool(check_l2(problem, pb.minimal_l2(problem)).worst < 1e-12)
    True
    """
    require_dense(problem, "check_l2")
    return each(problem, lambda at, one: violations_l2(one, minimum.x[at], minimum.dual[at]))


def violations_l1(problem: LinearProblem, x: np.ndarray, y: np.ndarray, w: np.ndarray, *, nonnegative: bool) -> Check:
    """Return `check_l1` of one problem and one pair."""
    A, b, x, y, w = (wide(array) for array in (problem.A, problem.b, x, y, w))
    correlations = y @ A if nonnegative else np.abs(y @ A)
    value = (w * np.abs(x)).sum()
    return Check(
        primal=ratio(norm(A @ x - b), norm(b)),
        sign=ratio((w * np.maximum(-x, 0)).sum() if nonnegative else 0.0, value),
        dual=np.float64(max((correlations / w).max() - 1, 0.0)),
        gap=ratio(abs(value - b @ y), value),
    )


def violations_l2(problem: LinearProblem, x: np.ndarray, y: np.ndarray) -> Check:
    """Return `check_l2` of one problem and one pair."""
    A, b, x, y = (wide(array) for array in (problem.A, problem.b, x, y))
    value = norm(x)
    return Check(
        primal=ratio(norm(A @ x - b), norm(b)),
        sign=np.float64(0),
        dual=ratio(norm(x - y @ A), value),
        gap=ratio(abs(value - b @ y / (value or 1)), value),
    )


def certified(problem: LinearProblem, x: np.ndarray, y: np.ndarray, value: Any, violations: Check) -> Minimum:
    """Return the minimum with its gap and residual, or raise `Inaccurate`."""
    if not violations.worst <= TOLERANCE:
        raise uncertified(violations.worst)
    residual = np.float64(norm(wide(problem.A) @ wide(x) - wide(problem.b)))
    return Minimum(np.float64(value), x, y, violations.gap, residual)


def uncertified(error: float) -> Inaccurate:
    """Return the error of a problem whose best solution violates its conditions by ``error``."""
    return Inaccurate(
        f"the solution could be certified to {error:.1e} only, not to {TOLERANCE:.0e}: A is near singular, or its"
        " columns or the weights span too many decades; scale them to one size, or drop dependent rows."
    )


def infeasible(problem: LinearProblem, farkas: np.ndarray) -> Minimum:
    """Return the result for a problem without solution."""
    nan = np.float64(np.nan)
    return Minimum(np.float64(np.inf), np.full(problem.n, nan), np.full(problem.m, nan), nan, nan, farkas)
