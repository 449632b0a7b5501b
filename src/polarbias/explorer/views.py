"""What the explorer shows, as numbers: one function a view, from settings to data, without any drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from polarbias.errors import InvalidInput
from polarbias.explorer.settings import DECADES, Settings
from polarbias.limit.flow_limit import flow_limit
from polarbias.networks import HadamardDifference, HadamardPower, WeightNormalization
from polarbias.networks.laws import make_law
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem, uniform_direction
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.basis_pursuit import basis_pursuit
from polarbias.recovery.result import Pursuit, PursuitStatus
from polarbias.solution import CollapseStatus, Solution, Status

ALGORITHMS = ("plain", "wn")

GRID = np.geomspace(10 ** DECADES[0], 10 ** DECADES[1], 17)
"""Values of r0 and of the ratio on the map, and of r0 for the bounds."""

POINTS = 160
"""Of a trajectory."""

LONGEST = 30.0
"""Seconds after which a flow is shown as far as it has come."""

RELEVANT = 1e-6
"""Entries above this fraction of the largest are counted."""


@dataclass(frozen=True)
class Limits:
    """Both exact limits beside the minimal l1 solution."""

    problem: LinearProblem
    minimum: Pursuit
    plain: Solution
    wn: Solution

    def table(self) -> pd.DataFrame:
        """Return the signals, one row an entry."""
        truth = self.problem.x_true
        columns = {
            "entry": np.arange(self.problem.n),
            "truth": np.full(self.problem.n, np.nan) if truth is None else truth,
            "minimal_l1": self.minimum.x,
            "plain": self.plain.x,
            "wn": self.wn.x,
        }
        return pd.DataFrame(columns)

    def summary(self) -> pd.DataFrame:
        """Return what the three signals have in common and in what they differ, one row a signal."""
        value = float(self.minimum.value)
        rows = []
        for name, x, limit in (
            ("minimal_l1", self.minimum.x, None),
            ("plain", self.plain.x, self.plain),
            ("wn", self.wn.x, self.wn),
        ):
            size = np.abs(x)
            truth = self.problem.x_true
            norm_b = float(np.linalg.norm(self.problem.b)) or 1.0
            rows.append(
                {
                    "signal": name,
                    "l1": size.sum(),
                    "excess": size.sum() - value,
                    "error": np.nan if truth is None else np.abs(x - truth).sum(),
                    "entries": int((size > RELEVANT * size.max()).sum()),
                    "residual": np.linalg.norm(self.problem.apply(x) - self.problem.b) / norm_b,
                    "r": np.nan if limit is None else _number(limit.r),
                    "log10_rho": np.nan if limit is None else round(_number(limit.log_rho) / np.log(10), 6),
                    "state": self.minimum.message if limit is None else limit.message,
                    "collapse": "" if limit is None else CollapseStatus(int(_number(limit.collapse_status))).message,
                }
            )
        return pd.DataFrame(rows)

    def warnings(self) -> list[str]:
        """Return what keeps an end from being the limit, in sentences."""
        found = []
        for name, limit in (("Without weight normalization", self.plain), ("With weight normalization", self.wn)):
            if limit.status == Status.COLLAPSED:
                found.append(f"{name} the flow collapses: r reaches 0 and X = 0, whose loss is not 0. Raise r0 or eta.")
            elif limit.status == Status.UNDECIDED:
                found.append(f"{name} it is not decided whether the flow collapses; shown is its limit if it does not.")
            elif limit.status != Status.CONVERGED:
                found.append(f"{name}: {limit.message}.")
        if self.minimum.status != PursuitStatus.OPTIMAL:
            found.append(f"Minimal l1 norm: {self.minimum.message}.")
        return found


def _number(value: Any) -> float:
    """Return a field that limits always have as a number."""
    return float(value)


def network_of(settings: Settings, algorithm: str, ratio: Any = None) -> Any:
    """Return the plain or the weight-normalized network, for the settings' ratio or others."""
    plain = (HadamardDifference if settings.signed else HadamardPower)(settings.depth)
    if algorithm == "plain":
        return plain
    return WeightNormalization(plain, make_law(settings.law_name(), settings.ratio if ratio is None else ratio))


def direction_of(settings: Settings) -> np.ndarray:
    """Return the direction of the start, of length 2 N for signed signals."""
    length = settings.n * (1 + settings.signed)
    return (
        uniform_direction(length)
        if settings.start == "uniform"
        else folded_gaussian_direction(settings.seed + 1, length)
    )


@lru_cache(maxsize=16)
def _instance(settings: Settings) -> tuple[LinearProblem, Pursuit]:
    problem = gaussian_problem(settings.seed, settings.m, settings.n, settings.truth, s=settings.s)
    return problem, basis_pursuit(problem.A, problem.b, nonnegative=not settings.signed)


def instance(settings: Settings) -> tuple[LinearProblem, Pursuit]:
    """Return the random problem and its minimal l1 solution."""
    return _instance(settings.problem_only())


def _limit(problem: LinearProblem, network: Any, theta0: Any) -> Solution:
    """Return `flow_limit`, or raise `InvalidInput` if no signal of the network's kind solves A X = b."""
    found = flow_limit(problem, network, theta0)
    if found.status == Status.INFEASIBLE:
        raise InvalidInput("no signal X >= 0 solves A X = b: change b, or allow both signs with HadamardDifference.")
    return found


@lru_cache(maxsize=64)
def _limits(settings: Settings) -> Limits:
    problem, minimum = instance(settings)
    ends = {}
    for algorithm in ALGORITHMS:
        network = network_of(settings, algorithm)
        ends[algorithm] = _limit(problem, network, network.init(settings.r0, direction_of(settings)))
    return Limits(problem, minimum, **ends)


def limits(settings: Settings) -> Limits:
    """Return where both flows end.

    Raises
    ------
    InvalidInput
        No signal of the network's kind solves A X = b.
    """
    return _limits(settings.random_only())


def _times(t: np.ndarray) -> np.ndarray:
    """Return `POINTS` times: half of them even on a log axis, half where the integrator needed its steps."""
    if len(t) < 3:
        return t
    even = np.geomspace(t[1], t[-1], POINTS // 2)
    steps = t[np.unique(np.linspace(1, len(t) - 1, POINTS // 2).astype(int))]
    return np.unique(np.concatenate([even, steps]).clip(t[1], t[-1]))


def _flow(problem: LinearProblem, network: Any, theta0: Any, value: float, stop: Callable[[Any], bool]) -> Any:
    from polarbias.flow.gradient_flow import gradient_flow
    from polarbias.theory import flow_drift

    flow = gradient_flow(problem, network, theta0, callback=stop)
    times = _times(flow.trajectory.time)
    states = flow.trajectory.evaluate(times)
    table = pd.DataFrame(
        {
            "t": times,
            "loss": states.loss,
            "r": states.r,
            "excess": np.abs(states.x).sum(axis=-1) - value,
            "drift": flow_drift(problem, network, flow.trajectory, times),
        }
    )
    return flow, states.x, table


def trajectories(settings: Settings, stop: Callable[[Any], bool]) -> tuple[pd.DataFrame, list[str]]:
    """Return both flows as a table, and how they ended if not at a solution; ``stop`` ends them early."""
    problem, minimum = instance(settings)
    tables, ends = [], []
    for algorithm in ALGORITHMS:
        network = network_of(settings, algorithm)
        theta0 = network.init(settings.r0, direction_of(settings))
        flow, _, table = _flow(problem, network, theta0, float(minimum.value), stop)
        tables.append(table.assign(algorithm=algorithm))
        if flow.status != Status.CONVERGED:
            ends.append(f"{algorithm}: {flow.message}")
    return pd.concat(tables, ignore_index=True), ends


@lru_cache(maxsize=16)
def _effect(settings: Settings) -> pd.DataFrame:
    problem, minimum = instance(settings)
    ratios, scales = (grid.ravel() for grid in np.meshgrid(GRID, GRID, indexing="ij"))
    network = network_of(settings, "wn", ratios)
    found = flow_limit(problem, network, network.init(scales, direction_of(settings)))
    return pd.DataFrame(
        {
            "ratio": ratios,
            "r0": scales,
            "excess": np.abs(found.x).sum(axis=-1) - float(minimum.value),
            "log10_rho": found.log_rho / np.log(10),
            "status": [Status(int(status)).name.lower() for status in found.status],
        }
    )


def effect(settings: Settings) -> pd.DataFrame:
    """Return the limits with weight normalization over the plane of r0 and ratio."""
    return _effect(settings.without_start())


def bounds(settings: Settings) -> pd.DataFrame:
    """Return rho, and the relative excess of both limits beside its bounds, for all r0 of the grid.

    Norms are those that the flow prefers: at depth L > 2 with the weights x0^(2 - L).
    """
    from polarbias.theory import l1_bound

    problem, _ = instance(settings)
    u0 = direction_of(settings)
    u0 = u0 / np.linalg.norm(u0)
    weights = u0 ** (2.0 - settings.depth)
    least = _least(problem, weights, settings.signed)
    columns: dict[str, Any] = {"r0": GRID}
    for algorithm in ALGORITHMS:
        network = network_of(settings, algorithm)
        found = flow_limit(problem, network, network.init(GRID, u0))
        halves = np.exp(np.asarray(found.log_x))
        excess, bound = np.empty(len(GRID)), np.empty(len(GRID))
        for at, r0 in enumerate(GRID):
            excess[at] = halves[at] @ weights / least - 1
            theta0 = network.init(r0, u0)
            Q = least * r0 ** (2.0 - settings.depth)
            bound[at] = l1_bound(problem, network, theta0, found[at], Q).value
        solved = found.status == Status.CONVERGED
        columns |= {f"{algorithm}_excess": np.where(solved, excess, np.nan), f"{algorithm}_bound": bound}
        columns[f"{algorithm}_log10_rho"] = np.where(solved, found.log_rho / np.log(10), np.nan)
    return pd.DataFrame(columns)


def _least(problem: LinearProblem, weights: np.ndarray, signed: bool) -> float:
    """Return the minimal weighted norm over both halves of a signal, or over nonnegative signals."""
    A = np.hstack([problem.A, -problem.A]) if signed else problem.A
    return float(basis_pursuit(A, problem.b, nonnegative=True, weights=weights).value)


def magnified(settings: Settings) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the radius of the limit with weight normalization, and the r0 with rho >= 1 for limits of this radius."""
    from polarbias.theory import magnifying_radii

    limit = limits(settings).wn
    radius = _number(limit.r)
    if limit.status != Status.CONVERGED:
        return radius, ()
    return radius, magnifying_radii(network_of(settings, "wn").ratio, radius)


def statements(settings: Settings) -> pd.DataFrame:
    """Return the paper's statements about the limit with weight normalization, in the paper's order."""
    from polarbias.theory.verify import verify

    problem, _ = instance(settings)
    network = network_of(settings, "wn")
    rows = verify(problem, network, network.init(settings.r0, direction_of(settings)), limits(settings).wn)
    return pd.DataFrame(
        {
            "statement": row.statement,
            "hypotheses": "; ".join(f"{'not met: ' if not one.held else ''}{one.name}" for one in row.hypotheses),
            "predicted": row.predicted,
            "observed": row.observed,
            "verdict": row.verdict.value,
        }
        for row in rows
    )


@dataclass(frozen=True)
class Small:
    """A problem in two or three dimensions: both courses of X, their ends, and the minimal l1 solution."""

    problem: LinearProblem
    minimum: Pursuit
    table: pd.DataFrame
    """Columns algorithm, t, loss, r, excess, drift, x1, x2 and, in three dimensions, x3."""
    plain: np.ndarray
    wn: np.ndarray


@lru_cache(maxsize=64)
def _small(settings: Settings) -> Small:
    A, b, u0 = settings.small()
    problem = LinearProblem(A, b)
    minimum = basis_pursuit(A, b, nonnegative=not settings.signed)
    tables, ends = [], {}
    for algorithm in ALGORITHMS:
        network = network_of(settings, algorithm)
        theta0 = network.init(settings.r0, np.tile(u0, 1 + settings.signed))
        ends[algorithm] = _limit(problem, network, theta0).x
        _, X, table = _flow(problem, network, theta0, float(minimum.value), lambda _: False)
        start = network.signal(theta0)
        coordinates = {f"x{k + 1}": X[:, k] for k in range(A.shape[1])}
        first = {"t": 0.0, **{f"x{k + 1}": float(start[k]) for k in range(A.shape[1])}}
        table = pd.concat([pd.DataFrame([first]), table.assign(**coordinates)], ignore_index=True)
        tables.append(table.assign(algorithm=algorithm))
    return Small(problem, minimum, pd.concat(tables, ignore_index=True), **ends)


def small(settings: Settings) -> Small:
    """Return both flows of the problem in two or three dimensions.

    Raises
    ------
    InvalidInput
        See `Settings.small`.
    InvalidInput
        No signal of the network's kind solves A X = b.
    """
    return _small(settings.small_only())
