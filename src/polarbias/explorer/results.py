"""Results of the views, cached by the settings that they depend on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from polarbias.errors import InvalidInput
from polarbias.explorer import views
from polarbias.explorer.options import OPTIONS
from polarbias.explorer.settings import GRID, Settings
from polarbias.problems.ensembles import gaussian_problem
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.basis_pursuit import basis_pursuit
from polarbias.recovery.result import Pursuit, PursuitStatus
from polarbias.solution import CollapseStatus, Solution, Status
from polarbias.theory import magnifying_radii
from polarbias.theory.verify import verify

ALGORITHMS = ("plain", "wn")

T = TypeVar("T")


def _cached(result: str) -> Callable[[Callable[[Settings], T]], Callable[[Settings], T]]:
    """Return a decorator that caches a function by `Settings.key`."""

    def decorate(compute: Callable[[Settings], T]) -> Callable[[Settings], T]:
        cached = lru_cache(OPTIONS.cached)(compute)
        return wraps(compute)(lambda settings: cached(settings.cache_key(result)))

    return decorate


@dataclass(frozen=True)
class Limits:
    """A problem, its minimal l1 solution, the limits of both flows, and the table of their view."""

    problem: LinearProblem
    minimum: Pursuit
    table: pd.DataFrame
    plain: Solution
    wn: Solution

    def summary(self) -> pd.DataFrame:
        """Return norms, errors and states of the three signals, one row per signal."""
        norm_b, rows = float(np.linalg.norm(self.problem.b)) or 1.0, []
        for name, found in (("minimal_l1", self.minimum), ("plain", self.plain), ("wn", self.wn)):
            size = np.abs(found.x)
            limit: Any = found if isinstance(found, Solution) else None
            rows.append(
                {
                    "signal": name,
                    "||X||_1": size.sum(),
                    "above the minimum": size.sum() - float(self.minimum.value),
                    "||X - truth||_1": np.abs(found.x - self.problem.x_true).sum(),
                    f"entries above {OPTIONS.threshold:g} max": int((size > OPTIONS.threshold * size.max()).sum()),
                    "relative residual": np.linalg.norm(self.problem.apply(found.x) - self.problem.b) / norm_b,
                    "r": float(limit.r) if limit else np.nan,
                    "log10 rho": round(float(limit.log_rho) / np.log(10), 6) if limit else np.nan,
                    "state": found.message,
                    "collapse": CollapseStatus(int(limit.collapse_status)).message if limit else "",
                }
            )
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


def _both_limits(problem: LinearProblem, configuration: Any) -> dict[str, Solution]:
    limits: dict[str, Solution] = views.both_limits(problem, configuration)
    if any(limit.status == Status.INFEASIBLE for limit in limits.values()):
        raise InvalidInput("No signal of this kind solves A X = b: change b, or tick 'signed signals'.")
    return limits


@_cached("problem")
def instance(settings: Settings) -> tuple[LinearProblem, Pursuit]:
    """Return the random problem and its minimal l1 solution."""
    problem = gaussian_problem(**settings.problem_arguments())
    return problem, basis_pursuit(problem.A, problem.b, nonnegative=not settings.signed)


@_cached("limits")
def limits(settings: Settings) -> Limits:
    """Return the limits of both flows, or raise `InvalidInput` if no signal of the network's kind solves A X = b."""
    problem, minimum = instance(settings)
    found = _both_limits(problem, settings.configuration())
    return Limits(problem, minimum, views.limits_table(problem, minimum, found), **found)


def trajectories(settings: Settings, stop: Callable[[Any], bool]) -> tuple[pd.DataFrame, list[str]]:
    """Return both flows as a table, and messages of flows that did not converge; ``stop`` ends them early."""
    flows, table = views.trajectory_table(*instance(settings), settings.configuration(), stop)
    return table, [f"{name}: {flow.message}." for name, flow in flows.items() if flow.status != Status.CONVERGED]


@_cached("map")
def limit_map(settings: Settings) -> pd.DataFrame:
    """Return the limits with weight normalization over the plane of r0 and ratio."""
    return views.map_table(*instance(settings), settings.configuration(), GRID)


def bounds(settings: Settings) -> pd.DataFrame:
    """Return log10 rho, and the relative excess of both limits with its bounds, for all r0 of the grid."""
    return views.bounds_table(instance(settings)[0], settings.configuration(), GRID)


def magnified(settings: Settings) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the radius of the limit with weight normalization, and the r0 with rho >= 1 for limits of this radius."""
    limit: Any = limits(settings).wn
    network: Any = settings.configuration().network()
    solved = limit.status == Status.CONVERGED
    return float(limit.r), magnifying_radii(network.ratio, float(limit.r)) if solved else ()


def statements(settings: Settings) -> pd.DataFrame:
    """Return the paper's statements about the limit with weight normalization, in the paper's order."""
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


@_cached("plane")
def plane(settings: Settings) -> Limits:
    """Return limits and flows of the problem in two or three dimensions, or raise `InvalidInput` as `limits`."""
    A, b, _ = settings.plane_arrays()
    problem, minimum = LinearProblem(A, b), basis_pursuit(A, b, nonnegative=not settings.signed)
    configuration = settings.plane_configuration()
    found = _both_limits(problem, configuration)
    return Limits(problem, minimum, views.plane_table(problem, minimum, configuration), **found)
