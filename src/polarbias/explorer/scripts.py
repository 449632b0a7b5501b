"""Each view of the explorer as a script that anyone can run: the same numbers in ``table``, and a plain picture."""

from __future__ import annotations

from collections.abc import Callable

from polarbias.explorer.settings import Settings
from polarbias.explorer.views import GRID, POINTS

_IMPORTS = """\
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import polarbias as pb
"""


def script(view: str, settings: Settings) -> str:
    """Return the lines that reproduce a view: ``limits``, ``trajectory``, ``map``, ``bounds`` or ``plane``."""
    parts: dict[str, tuple[Callable[[Settings], str], str]] = {
        "limits": (_random, _LIMITS),
        "trajectory": (_random, _TRAJECTORY),
        "map": (_random, _map(settings)),
        "bounds": (_random, _bounds(settings)),
        "plane": (_small, _PLANE),
    }
    setting, lines = parts[view]
    imports = _IMPORTS
    if view in ("trajectory", "plane", "bounds"):
        imports += "from polarbias import theory\n"
    return f"{imports}\n{setting(settings)}{lines}figure.savefig('polarbias-{view}.png', dpi=150)\n"


def _networks(settings: Settings, ratio: str | None = None) -> str:
    plain = f"pb.{'HadamardDifference' if settings.signed else 'HadamardPower'}(depth={settings.depth})"
    value = ratio or repr(settings.ratio)
    law = {
        "constant": f"pb.ConstantRatio({value})",
        "harmonic": f"pb.HarmonicRatio({value})",
        "power": f"pb.PowerRatio({value}, {settings.power!r})",
    }[settings.law]
    return f"plain = {plain}\nwn = pb.WeightNormalization(plain, {law})\n"


def _random(settings: Settings) -> str:
    length = settings.n * (1 + settings.signed)
    direction = (
        f"pb.uniform_direction({length})"
        if settings.start == "uniform"
        else f"pb.folded_gaussian_direction(seed={settings.seed + 1}, n={length})"
    )
    sparsity = "" if settings.truth == "gaussian" else f", s={settings.s}"
    problem = f"seed={settings.seed}, m={settings.m}, n={settings.n}, truth={settings.truth!r}{sparsity}"
    return (
        f"problem = pb.gaussian_problem({problem})\n"
        f"{_networks(settings)}"
        f"direction, r0 = {direction}, {settings.r0!r}\n"
        f"best = pb.basis_pursuit(problem.A, problem.b, nonnegative={not settings.signed})\n\n"
    )


def _small(settings: Settings) -> str:
    A, b, u0 = settings.small()
    halves = " * 2" if settings.signed else ""
    return (
        f"problem = pb.LinearProblem({A.tolist()}, {b.tolist()})\n"
        f"{_networks(settings)}"
        f"direction, r0 = {u0.tolist()}{halves}, {settings.r0!r}\n"
        f"best = pb.basis_pursuit(problem.A, problem.b, nonnegative={not settings.signed})\n\n"
    )


_LIMITS = """\
ends = {name: pb.flow_limit(problem, net, net.init(r0, direction)) for name, net in (("plain", plain), ("wn", wn))}
signals = {"minimal_l1": best.x, **{name: end.x for name, end in ends.items()}}
table = pd.DataFrame({"entry": np.arange(problem.n), "truth": problem.x_true, **signals})
for name, end in ends.items():
    collapse = pb.CollapseStatus(int(end.collapse_status)).message
    print(name, end, abs(end.x).sum() - best.value, end.log_rho / np.log(10), collapse)

figure, axes = plt.subplots(3, sharex=True, sharey=True, figsize=(9, 7), layout="constrained")
for ax, (name, x) in zip(axes, signals.items()):
    ax.vlines(table["entry"], 0, x)
    ax.plot(table["entry"], x, ".")
    ax.set_title(name)
"""

_FLOWS = f"""\
def course(net):
    flow = pb.gradient_flow(problem, net, net.init(r0, direction))
    t = flow.trajectory.time
    if len(t) > 2:
        steps = t[np.unique(np.linspace(1, len(t) - 1, {POINTS // 2}).astype(int))]
        t = np.unique(np.concatenate([np.geomspace(t[1], t[-1], {POINTS // 2}), steps]).clip(t[1], t[-1]))
    states = flow.trajectory.evaluate(t)
    columns = {{
        "t": t,
        "loss": states.loss,
        "r": states.r,
        "excess": abs(states.x).sum(axis=-1) - best.value,
        "drift": theory.flow_drift(problem, net, flow.trajectory, t),
    }}
    return states.x, pd.DataFrame(columns)


"""

_TRAJECTORY = (
    _FLOWS
    + """\
tables = [course(net)[1].assign(algorithm=name) for name, net in (("plain", plain), ("wn", wn))]
table = pd.concat(tables, ignore_index=True)

figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
for ax, key in zip(axes.flat, ("loss", "r", "excess", "drift")):
    for name, own in table.groupby("algorithm"):
        ax.loglog(own["t"], abs(own[key]), label=name)
    ax.set_xlabel("time t")
    ax.set_title(key)
axes[0, 0].legend()
"""
)

_PLANE = (
    _FLOWS
    + """\
tables = []
for name, net in (("plain", plain), ("wn", wn)):
    X, own = course(net)
    start = net.signal(net.init(r0, direction))
    names = [f"x{k + 1}" for k in range(problem.n)]
    first = pd.DataFrame([{"t": 0.0, **dict(zip(names, map(float, start)))}])
    own = pd.concat([first, own.assign(**dict(zip(names, X.T)))], ignore_index=True)
    tables.append(own.assign(algorithm=name))
table = pd.concat(tables, ignore_index=True)

figure, ax = plt.subplots(subplot_kw={"projection": "3d"} if problem.n == 3 else {}, layout="constrained")
for name, own in table.groupby("algorithm"):
    ax.plot(*(own[f"x{k + 1}"] for k in range(problem.n)), label=name)
ax.plot(*([value] for value in best.x), "*", markersize=12, label="minimal l1 norm")
ax.legend()
"""
)


def _grid() -> str:
    return f"np.geomspace({float(GRID[0])!r}, {float(GRID[-1])!r}, {len(GRID)})"


def _map(settings: Settings) -> str:
    return (
        f"grid = {_grid()}\n"
        "ratios, scales = (values.ravel() for values in np.meshgrid(grid, grid, indexing='ij'))\n"
        f"{_networks(settings, 'ratios')}"
        """\
ends = pb.flow_limit(problem, wn, wn.init(scales, direction))
columns = {
    "ratio": ratios,
    "r0": scales,
    "excess": abs(ends.x).sum(axis=-1) - best.value,
    "log10_rho": ends.log_rho / np.log(10),
    "status": [pb.Status(int(status)).name.lower() for status in ends.status],
}
table = pd.DataFrame(columns)

figure, ax = plt.subplots(layout="constrained")
errors = table.pivot(index="ratio", columns="r0", values="excess").clip(lower=1e-12)
image = ax.pcolormesh(errors.columns, errors.index, np.log10(errors), shading="nearest")
figure.colorbar(image, label="log10 of the l1 error")
ax.set(xscale="log", yscale="log", xlabel="r0", ylabel="eta")
"""
    )


def _bounds(settings: Settings) -> str:
    matrix = "np.hstack([problem.A, -problem.A])" if settings.signed else "problem.A"
    exponent = 2.0 - settings.depth
    return (
        f"grid = {_grid()}\n"
        "u0 = np.asarray(direction) / np.linalg.norm(direction)\n"
        f"weights = u0 ** {exponent!r}\n"
        f"least = pb.basis_pursuit({matrix}, problem.b, nonnegative=True, weights=weights).value\n"
        'columns = {"r0": grid}\n'
        'for name, net in (("plain", plain), ("wn", wn)):\n'
        "    ends = pb.flow_limit(problem, net, net.init(grid, u0))\n"
        "    solved = ends.status == pb.Status.CONVERGED\n"
        f'    columns[f"{{name}}_excess"] = np.where(solved, np.exp(ends.log_x) @ weights / least - 1, np.nan)\n'
        '    columns[f"{name}_bound"] = [\n'
        f"        theory.l1_bound(problem, net, net.init(r, u0), end, least * r ** {exponent!r}).value\n"
        "        for r, end in zip(grid, (ends[k] for k in range(len(grid))))\n"
        "    ]\n"
        '    columns[f"{name}_log10_rho"] = np.where(solved, ends.log_rho / np.log(10), np.nan)\n'
        "table = pd.DataFrame(columns)\n"
        "theta0 = wn.init(r0, direction)\n"
        "print(pb.verify(problem, wn, theta0, pb.flow_limit(problem, wn, theta0)))\n"
        """
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
left.semilogx(grid, table["wn_log10_rho"])
left.set(xlabel="r0", ylabel="log10 rho")
for name in ("plain", "wn"):
    (line,) = right.loglog(grid, table[f"{name}_excess"].clip(lower=1e-16), label=name)
    right.loglog(grid, table[f"{name}_bound"], "--", color=line.get_color(), label=f"bound, {name}")
right.set(xlabel="r0", ylabel="relative error of the l1 norm")
right.legend()
"""
    )
