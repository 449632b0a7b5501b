"""``polarbias limit``: where the flow of one configuration ends."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from polarbias.cli.configuration import Configuration, configuration_options, read_configuration
from polarbias.cli.display import show
from polarbias.cli.group import EXIT_FAILED, after_interruption
from polarbias.cli.output import check_output, store
from polarbias.cli.parameters import Number


@click.command(epilog="Example: polarbias limit --truth sparse --ratio 0.01 --output limit.npz")
@configuration_options
@click.option(
    "--threshold",
    type=Number(zero=True),
    default=1e-6,
    show_default=True,
    help="Entries above this fraction of the largest are counted.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Store the result: all of it (.npz), X (.npy), or X and log X as columns (.csv).",
)
def limit(*, threshold: float, output: Path | None, **options: Any) -> None:
    """Solve for the limit of the gradient flow of one configuration, without following the flow.

    The problem is random, or comes from files (--matrix and --rhs). The exit code is 0 when the limit is found and is
    where the flow goes, 1 when not: the flow collapses to X = 0, that is not decided, the accuracy is not reached, or
    no signal solves A X = b (--output then stores a vector that proves it); 2 for wrong input.
    """
    after_interruption("; nothing is stored")
    check_output(output)
    configuration = read_configuration(options)
    from polarbias.limit.flow_limit import flow_limit
    from polarbias.solution import Status

    started = perf_counter()
    found = flow_limit(configuration.problem, configuration.network, configuration.theta0)
    seconds = perf_counter() - started
    infeasible = found.status == Status.INFEASIBLE
    if not infeasible:
        _show(configuration, found, threshold, seconds)
    if output is not None:
        store(output, *(({"farkas": found.farkas}, ["farkas"]) if infeasible else _content(found)))
        click.echo(f"stored in {output}")
    if not found.converged:
        click.echo(f"polarbias: {found.message}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _show(configuration: Configuration, found: Any, threshold: float, seconds: float) -> None:
    import numpy as np

    from polarbias.solution import CollapseStatus, Status

    problem = configuration.problem
    size = np.abs(found.x)
    weighted = "" if configuration.network.degree <= 2 else ", weighted l1 norm"
    norm_b = float(np.linalg.norm(problem.b))
    rows = [
        ("problem", configuration.description),
        ("status", f"{Status(int(found.status)).name.lower()}: {found.message}"),
        ("collapse", CollapseStatus(int(found.collapse_status)).message),
        ("||X||_1", f"{float(size.sum()):.12g}"),
        (f"gap{weighted}", "none for X = 0" if found.status == Status.COLLAPSED else _number(float(found.gap))),
        ("relative residual", f"{float(found.residual) / norm_b if norm_b else float(found.residual):.2e}"),
        ("r", f"{float(found.r):.12g}"),
        ("log10 rho", _number(float(found.log_rho) / math.log(10))),
        (f"entries above {threshold:g} max |X|", f"{int((size > threshold * size.max()).sum())} of {problem.n}"),
        ("factorizations", str(int(found.steps))),
        ("time", f"{seconds:.3f} s"),
    ]
    show(rows)


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.6g}"


def _content(found: Any) -> tuple[dict[str, Any], list[str]]:
    """Return all arrays by name, and the names of those with an entry per unknown."""
    arrays = {name: getattr(found, name) for name in ("log_x", "dual", "mirror_dual", "gap", "r", "log_rho")}
    arrays |= {name: getattr(found, name) for name in ("residual", "loss", "status", "collapse_status", "steps")}
    columns = ["x", "log_x"]
    if found.log_x.size > found.x.size:
        arrays["log_x_plus"], arrays["log_x_minus"] = found.log_x.reshape(2, -1)
        del arrays["log_x"]
        columns = ["x", "log_x_plus", "log_x_minus"]
    return {"x": found.x, **arrays}, columns
