"""Results of the views, cached by the settings that they depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from polarbias.errors import InvalidInput
from polarbias.explorer import views
from polarbias.explorer.settings import GRID, Settings
from polarbias.problems.ensembles import gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.basis_pursuit import basis_pursuit
from polarbias.recovery.result import Pursuit, PursuitStatus
from polarbias.solution import CollapseStatus, Solution, Status

ALGORITHMS = ("plain", "wn")

THRESHOLD = 1e-6
"""Fraction of the largest entry above which entries are counted."""


@dataclass(frozen=True)
class Limits:
    """Minimal l1 solution and limits of both flows of the random problem."""

    problem: LinearProblem
    minimum: Pursuit
    table: pd.DataFrame
    plain: Solution
    wn: Solution

    def summary(self) -> pd.DataFrame:
        """Return norms, errors and states of the three signals, one row per signal."""
        truth, norm_b = self.problem.x_true, float(np.linalg.norm(self.problem.b)) or 1.0
        rows = []
        for name, found in (("minimal_l1", self.minimum), ("plain", self.plain), ("wn", self.wn)):
            size = np.abs(found.x)
            row = {
                "signal": name,
                "l1": size.sum(),
                "excess": size.sum() - float(self.minimum.value),
                "error": np.nan if truth is None else np.abs(found.x - truth).sum(),
                "entries": int((size > THRESHOLD * size.max()).sum()),
                "residual": np.linalg.norm(self.problem.apply(found.x) - self.problem.b) / norm_b,
                "r": np.nan,
                "log10_rho": np.nan,
                "state": found.message,
                "collapse": "",
            }
            if isinstance(found, Solution):
                row |= {"r": _number(found.r), "log10_rho": round(_number(found.log_rho) / np.log(10), 6)}
                row["collapse"] = CollapseStatus(int(_number(found.collapse_status))).message
            rows.append(row)
        return pd.DataFrame(rows)

    def warnings(self) -> list[str]:
        """Return sentences on limits that are not certain."""
        found = []
        for name, limit in (("Without weight normalization", self.plain), ("With weight normalization", self.wn)):
            if limit.status == Status.COLLAPSED:
                found.append(f"{name} the flow collapses to X = 0, which does not solve A X = b. Raise r0 or eta.")
            elif limit.status == Status.UNDECIDED:
                found.append(f"{name} collapse of the flow is undecided; this is the limit without collapse.")
            elif limit.status != Status.CONVERGED:
                found.append(f"{name}: {limit.message}.")
        if self.minimum.status != PursuitStatus.OPTIMAL:
            found.append(f"Minimal l1 norm: {self.minimum.message}.")
        return found


def _number(value: Any) -> float:
    return float(value)


def _require_feasible(limits: dict[str, Solution]) -> None:
    if any(limit.status == Status.INFEASIBLE for limit in limits.values()):
        raise InvalidInput("No signal of this kind solves A X = b: change b, or tick 'signed signals'.")


@lru_cache(maxsize=16)
def _instance(settings: Settings) -> tuple[LinearProblem, Pursuit]:
    problem = gaussian_problem(**settings.problem_arguments())
    return problem, basis_pursuit(problem.A, problem.b, nonnegative=not settings.signed)


def instance(settings: Settings) -> tuple[LinearProblem, Pursuit]:
    """Return the random problem and its minimal l1 solution."""
    return _instance(settings.of_problem())


@lru_cache(maxsize=64)
def _limits(settings: Settings) -> Limits:
    problem, minimum = instance(settings)
    found = views.both_limits(problem, settings.configuration())
    _require_feasible(found)
    return Limits(problem, minimum, views.limits_table(problem, minimum, found), **found)


def limits(settings: Settings) -> Limits:
    """Return the limits of both flows.

    Raises
    ------
    InvalidInput
        No signal of the network's kind solves A X = b.
    """
    return _limits(settings.of_limits())


def trajectories(settings: Settings, stop: Callable[[Any], bool]) -> tuple[pd.DataFrame, list[str]]:
    """Return both flows as a table, and messages of flows that did not converge; ``stop`` ends them early."""
    flows, table = views.trajectory_table(*instance(settings), settings.configuration(), stop)
    return table, [f"{name}: {flow.message}" for name, flow in flows.items() if flow.status != Status.CONVERGED]


@lru_cache(maxsize=16)
def _limit_map(settings: Settings) -> pd.DataFrame:
    return views.map_table(*instance(settings), settings.configuration(), GRID)


def limit_map(settings: Settings) -> pd.DataFrame:
    """Return the limits with weight normalization over the plane of r0 and ratio."""
    return _limit_map(settings.of_map())


def bounds(settings: Settings) -> pd.DataFrame:
    """Return log10 rho, and the relative excess of both limits with its bounds, for all r0 of the grid."""
    return views.bounds_table(instance(settings)[0], settings.configuration(), GRID)


def magnified(settings: Settings) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the radius of the limit with weight normalization, and the r0 with rho >= 1 for limits of this radius."""
    from polarbias.theory import magnifying_radii

    limit = limits(settings).wn
    radius = _number(limit.r)
    if limit.status != Status.CONVERGED:
        return radius, ()
    network: Any = settings.configuration().network()
    return radius, magnifying_radii(network.ratio, radius)


def statements(settings: Settings) -> pd.DataFrame:
    """Return the paper's statements about the limit with weight normalization, in the paper's order."""
    from polarbias.theory.verify import verify

    problem, _ = instance(settings)
    configuration = settings.configuration()
    rows = verify(problem, configuration.network(), configuration.theta0(problem.n), limits(settings).wn)
    return pd.DataFrame(
        {
            "statement": row.statement,
            "hypotheses": "; ".join(f"{'' if one.held else 'not met: '}{one.name}" for one in row.hypotheses),
            "predicted": row.predicted,
            "observed": row.observed,
            "verdict": row.verdict.value,
        }
        for row in rows
    )


@dataclass(frozen=True)
class Plane:
    """A problem in two or three dimensions: table of both flows, limits, and the minimal l1 solution."""

    problem: LinearProblem
    minimum: Pursuit
    table: pd.DataFrame
    plain: np.ndarray
    wn: np.ndarray


@lru_cache(maxsize=64)
def _plane(settings: Settings) -> Plane:
    A, b, _ = settings.plane_arrays()
    problem, minimum = LinearProblem(A, b), basis_pursuit(A, b, nonnegative=not settings.signed)
    configuration = settings.plane_configuration()
    found = views.both_limits(problem, configuration)
    _require_feasible(found)
    table = views.plane_table(problem, minimum, configuration)
    return Plane(problem, minimum, table, **{name: limit.x for name, limit in found.items()})


def plane(settings: Settings) -> Plane:
    """Return both flows of the problem in two or three dimensions.

    Raises
    ------
    InvalidInput
        See `Settings.plane_arrays`; or no signal of the network's kind solves A X = b.
    """
    return _plane(settings.of_plane())
