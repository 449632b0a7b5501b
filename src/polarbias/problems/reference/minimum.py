"""Minima with their certificates, single and in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from polarbias.errors import Inaccurate
from polarbias.problems.certificate import farkas_certificate
from polarbias.problems.linear import LinearProblem
from polarbias.problems.reference.extended import norm, wide
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
        if self.batch_shape:
            count = int(np.sum(~self.feasible))
            listed = f", {count} infeasible" if count else ""
            return f"Minimum(batch_shape={self.batch_shape}, largest gap={np.nanmax(self.gap, initial=0):.1e}{listed})"
        if not self.feasible:
            return "Minimum(infeasible)"
        return f"Minimum(value={float(self.value):.6g}, gap={float(self.gap):.1e})"


def each(problem: LinearProblem, solve: Callable[[tuple[int, ...], LinearProblem], Minimum]) -> Minimum:
    """Apply ``solve`` to every problem of a batch and stack the minima; errors name the problem."""
    if not problem.batch_shape:
        return solve((), problem)
    minima = []
    for index in np.ndindex(*problem.batch_shape):
        try:
            minima.append(solve(index, problem[index]))
        except Inaccurate as error:
            raise Inaccurate(f"problem {list(index)} of the batch: {error}") from error
    stacked: dict[str, Any] = {}
    for name in (field.name for field in fields(Minimum)):
        leaves = [getattr(minimum, name) for minimum in minima]
        if any(leaf is not None for leaf in leaves):
            array = np.stack([np.full(problem.m, np.nan) if leaf is None else np.asarray(leaf) for leaf in leaves])
            stacked[name] = array.reshape(problem.batch_shape + array.shape[1:])
    return Minimum(**stacked)


def certified(problem: LinearProblem, x: np.ndarray, y: np.ndarray, value: Any, violations: list[Any]) -> Minimum:
    """Return the minimum, or raise `Inaccurate`; the last of its relative violations is the gap."""
    if not np.max(violations) <= TOLERANCE:
        raise _uncertified(np.max(violations))
    residual = np.float64(norm(wide(problem.A) @ wide(x) - wide(problem.b)))
    return Minimum(np.float64(value), x, y, violations[-1], residual)


def infeasible(problem: LinearProblem, nonnegative: bool, error: float) -> Minimum:
    """Return the result for a problem without solution, or raise `Inaccurate` if that cannot be proved."""
    farkas = farkas_certificate(problem, nonnegative)
    if farkas is None:
        raise _uncertified(error)
    nan = np.float64(np.nan)
    return Minimum(np.float64(np.inf), np.full(problem.n, nan), np.full(problem.m, nan), nan, nan, farkas)


def _uncertified(error: float) -> Inaccurate:
    return Inaccurate(
        f"the solution could be certified to {error:.1e} only, not to {TOLERANCE:.0e}: A is near singular, or its"
        " columns or the weights span too many decades; scale them to one size, or drop dependent rows."
    )
