"""``polarbias solve``: minimal l1 norms of problems from files."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from polarbias.cli.display import show
from polarbias.cli.group import after_interruption
from polarbias.cli.output import check_output, store
from polarbias.cli.parameters import Number

EXITS = {"optimal": 0, "infeasible": 3, "time_limit": 4, "step_limit": 4, "interrupted": 5, "inaccurate": 6}


@click.command(epilog="Example: polarbias solve A.npz b.npy --nonnegative -o x.npy")
@click.argument("matrix")
@click.argument("rhs")
@click.option("--nonnegative", is_flag=True, help="Ask for x >= 0.")
@click.option("--sigma", type=Number(zero=True), default=0.0, show_default=True, help="Largest ||A x - b||.")
@click.option("--weights", metavar="FILE", help="Weights w of |x|, from 0 to infinity.  [default: 1]")
@click.option(
    "--tol", type=Number(), default=1e-9, show_default=True, help="Gap, residual and dual infeasibility allowed."
)
@click.option("--max-time", type=Number(), help="Seconds after which the best pair so far is given out.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Store x (.npy), x as text (.csv), or x, dual and certificate (.npz).",
)
def solve(
    *,
    matrix: str,
    rhs: str,
    nonnegative: bool,
    sigma: float,
    weights: str | None,
    tol: float,
    max_time: float | None,
    output: Path | None,
) -> None:
    """Find x of minimal l1 norm with A x = b, or ||A x - b|| <= sigma, and a dual vector that proves it.

    MATRIX and RHS are files (.npy, .npz, .mat, .csv, .mtx; FILE:NAME chooses an array in a file). The certificate is
    recomputed from the data and printed. Exit codes: 0 optimal; 1 an error; 2 wrong options; 3 there is no such x, and
    the stored array farkas proves it; 4 time limit; 5 interrupted; 6 tolerance not reached. With 4 to 6 the best pair
    is stored.
    """
    after_interruption("; nothing is stored")
    check_output(output)
    from polarbias.cli.data import load_matrix, load_vector
    from polarbias.recovery.basis_pursuit import basis_pursuit

    A, b = load_matrix(matrix), load_vector(rhs, "b")
    w = None if weights is None else load_vector(weights, "w", infinite=True)
    started = perf_counter()
    found = basis_pursuit(
        A, b, sigma, nonnegative=nonnegative, weights=w, tol=tol, max_time=max_time, callback=_progress()
    )
    seconds = perf_counter() - started
    if sys.stderr.isatty():
        click.echo(err=True)
    m, n = A.shape
    show(
        [
            ("problem", f"{m} x {n}" + (f", sigma {sigma:g}" if sigma else "") + (", x >= 0" if nonnegative else "")),
            ("status", f"{found.status.name.lower().replace('_', ' ')}: {found.message}"),
            ("l1 norm" if w is None else "weighted l1 norm", f"{found.value:.12g}"),
            ("entries that are not 0", f"{found.support.size} of {n}"),
            ("gap", f"{found.gap:.2e}"),
            ("residual" + (" above sigma" if sigma else ""), f"{found.residual:.2e}"),
            ("dual infeasibility", f"{found.dual_infeasibility:.2e}"),
            ("factorizations", str(found.steps)),
            ("time", f"{seconds:.3f} s"),
        ]
    )
    if output is not None:
        names = ["x", "dual", "value", "gap", "residual", "dual_infeasibility", "status", "steps"]
        names += ["farkas"] * (found.farkas is not None)
        store(output, {name: getattr(found, name) for name in names}, ["x"])
        click.echo(f"stored in {output}")
    click.get_current_context().exit(EXITS[found.status.name.lower()])


def _progress() -> Any:
    """Return a callback that rewrites one line of a terminal, or None where there is no terminal."""
    if not sys.stderr.isatty():
        return None

    def show_line(state: Any) -> None:
        line = f"{state.steps} factorizations, {state.seconds:.1f} s: {state.active} active, gap {state.gap:.1e}"
        click.echo(f"\r{line}, residual {state.residual:.1e}\033[K", nl=False, err=True)

    return show_line
