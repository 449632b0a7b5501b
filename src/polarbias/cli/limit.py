"""``polarbias limit``: the limit of the gradient flow of one configuration."""

import math
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from polarbias.cli.configuration import configuration_options, describe, read_configuration
from polarbias.cli.display import show_values
from polarbias.cli.group import EXIT_FAILED, EXIT_INFEASIBLE, after_interruption, fail
from polarbias.cli.output import JSON, check_output, output_file, print_json, store
from polarbias.cli.parameters import Number


@click.command(epilog="Example: polarbias limit --truth sparse --ratio 0.01 --output limit.npz")
@configuration_options
@click.option(
    "--threshold", type=Number(low=0), default=1e-6, help="Count the entries above this fraction of the largest."
)
@output_file("Store the result: all of it (.npz), X (.npy), or X and log X as columns (.csv).")
@JSON
def limit(*, threshold: float, output: Path | None, as_json: bool, **options: Any) -> None:
    """Compute the limit of the gradient flow of one configuration by one convex solve, without integrating the flow.

    The problem is random, or comes from files (--matrix and --rhs). Exit codes: 0 the flow converges to this limit; 1
    the flow collapses to X = 0, collapse is undecided, or the accuracy is not reached; 2 wrong input; 3 no signal
    solves A X = b (--output then stores a vector that certifies it).
    """
    after_interruption("; nothing is stored")
    check_output(output)
    problem, configuration = read_configuration(options)
    from polarbias.limit.flow_limit import flow_limit
    from polarbias.solution import Status

    network = configuration.network()
    started = perf_counter()
    found = flow_limit(problem, network, configuration.theta0(problem.n))
    infeasible = found.status == Status.INFEASIBLE
    record = _record(problem, found, threshold, perf_counter() - started)
    if output is not None:
        store(output, *(({"farkas": found.farkas}, ["farkas"]) if infeasible else _content(found)))
    if as_json:
        print_json({**record, "output": output})
    elif not infeasible:
        _show(describe(options, problem), record, "" if network.degree <= 2 else ", weighted l1 norm")
        if output is not None:
            click.echo(f"stored in {output}")
    if not found.converged:
        fail(f"{found.message}.", EXIT_INFEASIBLE if infeasible else EXIT_FAILED)


def _record(problem: Any, found: Any, threshold: float, seconds: float) -> dict[str, Any]:
    import numpy as np

    from polarbias.solution import CollapseStatus, Status

    size, norm_b = np.abs(found.x), float(np.linalg.norm(problem.b))
    return {
        "status": Status(int(found.status)).name.lower(),
        "message": found.message,
        "collapse": None if found.status == Status.INFEASIBLE else CollapseStatus(int(found.collapse_status)).message,
        "m": problem.m,
        "n": problem.n,
        "l1": float(size.sum()),
        "gap": float(found.gap),
        "relative_residual": float(found.residual) / (norm_b or 1.0),
        "r": float(found.r),
        "log10_rho": float(found.log_rho) / math.log(10),
        "threshold": threshold,
        "entries_above_threshold": int((size > threshold * size.max()).sum()),
        "steps": int(found.steps),
        "seconds": seconds,
    }


def _show(description: str, record: dict[str, Any], norm: str) -> None:
    gap, log10_rho = (
        "not known" if math.isnan(record[name]) else f"{record[name]:.6g}" for name in ("gap", "log10_rho")
    )
    show_values(
        {
            "problem": description,
            "status": f"{record['status']}: {record['message']}",
            "collapse": record["collapse"],
            "||X||_1": f"{record['l1']:.12g}",
            f"gap{norm}": "none for X = 0" if record["status"] == "collapsed" else gap,
            "relative residual": f"{record['relative_residual']:.2e}",
            "r": f"{record['r']:.12g}",
            "log10 rho": log10_rho,
            f"entries above {record['threshold']:g} max |X|": f"{record['entries_above_threshold']} of {record['n']}",
            "factorizations": str(record["steps"]),
            "time": f"{record['seconds']:.3f} s",
        }
    )


def _content(found: Any) -> tuple[dict[str, Any], list[str]]:
    """Return all arrays by name, and the names of those with an entry per unknown."""
    arrays = {"x": found.x, "log_x": found.log_x}
    if found.log_x.size > found.x.size:
        plus, minus = arrays.pop("log_x").reshape(2, -1)
        arrays |= {"log_x_plus": plus, "log_x_minus": minus}
    columns = list(arrays)
    names = ("dual", "mirror_dual", "gap", "r", "log_rho", "residual", "loss", "status", "collapse_status", "steps")
    return arrays | {name: getattr(found, name) for name in names}, columns
