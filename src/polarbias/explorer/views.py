"""Tables of the explorer's views.

The exported scripts contain the source of these functions, which therefore use only their arguments, each other, and
the names imported here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

import polarbias as pb
from polarbias import theory
from polarbias.networks.configuration import Configuration, start_direction
from polarbias.problems.linear import LinearProblem


def both_flows(configuration: Configuration) -> dict[str, Configuration]:
    """Return the configuration without and with weight normalization."""
    return {name: replace(configuration, algorithm=name) for name in ("plain", "wn")}


def both_limits(problem: LinearProblem, configuration: Configuration) -> dict[str, Any]:
    """Return the limits of both flows."""
    flows = both_flows(configuration)
    return {name: pb.flow_limit(problem, flow.network(), flow.theta0(problem.n)) for name, flow in flows.items()}


def limits_table(problem: LinearProblem, minimum: Any, limits: dict[str, Any]) -> pd.DataFrame:
    """Return the true signal, the minimal l1 solution and both limits, one row per entry."""
    signals = {"truth": problem.x_true, "minimal_l1": minimum.x, **{name: limit.x for name, limit in limits.items()}}
    return pd.DataFrame({"entry": np.arange(problem.n), **signals})


def sample_times(time: np.ndarray, count: int = 160) -> np.ndarray:
    """Return times of a flow, half of them uniform on a log axis and half of them at steps of the integrator."""
    if len(time) < 3:
        return time
    steps = time[np.unique(np.linspace(1, len(time) - 1, count // 2).astype(int))]
    return np.unique(np.concatenate([np.geomspace(time[1], time[-1], count // 2), steps]).clip(time[1], time[-1]))


def integrate_flow(
    problem: LinearProblem, minimum: Any, configuration: Configuration, callback: Callable[[Any], bool] | None = None
) -> tuple[Any, np.ndarray, pd.DataFrame]:
    """Return a flow, its signals at the sampled times, and its loss, radius, l1 error and drift of the invariant."""
    network = configuration.network()
    flow = pb.gradient_flow(problem, network, configuration.theta0(problem.n), callback=callback)
    t = sample_times(flow.trajectory.time)
    states = flow.trajectory.evaluate(t)
    columns = {
        "t": t,
        "loss": states.loss,
        "r": states.r,
        "excess": np.abs(states.x).sum(axis=-1) - float(minimum.value),
        "drift": theory.flow_drift(problem, network, flow.trajectory, t),
    }
    return flow, states.x, pd.DataFrame(columns)


def trajectory_table(
    problem: LinearProblem, minimum: Any, configuration: Configuration, callback: Callable[[Any], bool] | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return both flows, and their table with one row per sampled time."""
    flows, tables = {}, []
    for name, flow in both_flows(configuration).items():
        flows[name], _, table = integrate_flow(problem, minimum, flow, callback)
        tables.append(table.assign(algorithm=name))
    return flows, pd.concat(tables, ignore_index=True)


def map_table(problem: LinearProblem, minimum: Any, configuration: Configuration, grid: np.ndarray) -> pd.DataFrame:
    """Return the limits with weight normalization over the plane of r0 and ratio, one row per point."""
    ratio, r0 = (values.ravel() for values in np.meshgrid(grid, grid, indexing="ij"))
    flow = replace(configuration, algorithm="wn", ratio=ratio, scale=r0)
    limits = pb.flow_limit(problem, flow.network(), flow.theta0(problem.n))
    columns = {
        "ratio": ratio,
        "r0": r0,
        "excess": np.abs(limits.x).sum(axis=-1) - float(minimum.value),
        "log10_rho": limits.log_rho / np.log(10),
        "status": [pb.Status(int(status)).name.lower() for status in limits.status],
    }
    return pd.DataFrame(columns)


def bounds_table(problem: LinearProblem, configuration: Configuration, grid: np.ndarray) -> pd.DataFrame:
    """Return log10 rho, and the relative excess of both limits with its bound, one row per r0.

    At depth L > 2 the norm has the weights u0^(2 - L), which the flow minimizes.
    """
    u0 = start_direction(str(configuration.direction), problem.n * (1 + configuration.signed), configuration.seed)
    u0, exponent = u0 / np.linalg.norm(u0), 2.0 - configuration.depth
    A = np.hstack([problem.A, -problem.A]) if configuration.signed else problem.A
    least = float(pb.basis_pursuit(A, problem.b, nonnegative=True, weights=u0**exponent).value)
    columns = {"r0": grid}
    for name, flow in both_flows(replace(configuration, scale=grid)).items():
        network = flow.network()
        limits: Any = pb.flow_limit(problem, network, flow.theta0(problem.n))
        solved = limits.status == pb.Status.CONVERGED
        excess = np.exp(limits.log_x) @ u0**exponent / least - 1
        bounds = [
            theory.l1_bound(problem, network, network.init(r0, u0), limits[k], least * r0**exponent).value
            for k, r0 in enumerate(grid)
        ]
        columns[f"{name}_excess"] = np.where(solved, excess, np.nan)
        columns[f"{name}_bound"] = np.array(bounds)
        columns[f"{name}_log10_rho"] = np.where(solved, limits.log_rho / np.log(10), np.nan)
    return pd.DataFrame(columns)


def plane_table(problem: LinearProblem, minimum: Any, configuration: Configuration) -> pd.DataFrame:
    """Return both flows from their start with the entries of X, one row per sampled time."""
    tables = []
    for name, flow in both_flows(configuration).items():
        _, X, table = integrate_flow(problem, minimum, flow)
        start = flow.network().signal(flow.theta0(problem.n))
        first = pd.DataFrame([{"t": 0.0, **{f"x{k + 1}": float(value) for k, value in enumerate(start)}}])
        table = table.assign(**{f"x{k + 1}": X[:, k] for k in range(problem.n)})
        tables.append(pd.concat([first, table], ignore_index=True).assign(algorithm=name))
    return pd.concat(tables, ignore_index=True)
