"""``polarbias solve``: minimal l1 norms of problems from files."""

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from polarbias.cli.display import show_values
from polarbias.cli.group import EXIT_FAILED, EXIT_INFEASIBLE, EXIT_INTERRUPTED, EXIT_LIMIT, after_interruption, fail
from polarbias.cli.output import JSON, check_output, output_file, print_json, store
from polarbias.cli.parameters import Number

EXITS = {
    "optimal": 0,
    "infeasible": EXIT_INFEASIBLE,
    "time_limit": EXIT_LIMIT,
    "step_limit": EXIT_LIMIT,
    "interrupted": EXIT_INTERRUPTED,
    "inaccurate": EXIT_FAILED,
}


@click.command(epilog="Example: polarbias solve A.npz b.npy --nonnegative -o x.npy")
@click.argument("matrix")
@click.argument("rhs")
@click.option("--nonnegative", is_flag=True, help="Require x >= 0.")
@click.option("--sigma", type=Number(low=0), default=0.0, help="Largest ||A x - b||.")
@click.option("--weights", metavar="FILE", help="Weights w of |x|, from 0 to infinity.  [default: 1]")
@click.option("--tol", type=Number(), default=1e-9, help="Largest relative gap, residual and dual infeasibility.")
@click.option("--max-time", type=Number(), help="Time limit in seconds.")
@output_file("Store x (.npy), x as text (.csv), or x, dual and certificate (.npz).")
@JSON
def solve(
    *,
    matrix: str,
    rhs: str,
    sigma: float,
    nonnegative: bool,
    weights: str | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute x of minimal l1 norm with A x = b, or ||A x - b|| <= sigma, and a dual vector that certifies it.

    MATRIX and RHS are files (.npy, .npz, .mat, .csv, .mtx; FILE:NAME chooses an array in a file). The certificate is
    recomputed from the data. Exit codes: 0 optimal; 1 tol not reached; 2 wrong input; 3 infeasible: the vector
    farkas, stored instead of x, certifies it; 4 limit of time or steps reached; 130 interrupted. With 1, 4 and 130 the
    best pair found is printed and stored.
    """
    after_interruption("; nothing is stored")
    check_output(output)
    from polarbias.cli.data import load_matrix, load_vector
    from polarbias.recovery.basis_pursuit import basis_pursuit

    A, b = load_matrix(matrix), load_vector(rhs, "b")
    w = None if weights is None else load_vector(weights, "w", infinite=True)
    terminal = sys.stderr.isatty()
    started = perf_counter()
    found = basis_pursuit(
        A, b, sigma, nonnegative=nonnegative, weights=w, callback=_show_state if terminal else None, **options
    )
    seconds = perf_counter() - started
    if terminal:
        click.echo(err=True)
    status, (m, n) = found.status.name.lower(), A.shape
    names = ("value", "gap", "residual", "dual_infeasibility", "steps")
    numbers = {name: getattr(found, name) for name in names}
    if output is not None:
        farkas = {} if found.farkas is None else {"farkas": found.farkas}
        arrays = {"x": found.x, "dual": found.dual, "status": found.status, **numbers, **farkas}
        store(output, arrays, list(farkas) or ["x"])
    if as_json:
        problem = {"m": m, "n": n, "sigma": sigma, "nonnegative": nonnegative}
        result = {"status": status, "message": found.message, "nonzeros": found.support.size, **numbers}
        print_json({**problem, **result, "seconds": seconds, "output": output})
    else:
        text = f"{m} x {n}" + (f", sigma {sigma:g}" if sigma else "") + (", x >= 0" if nonnegative else "")
        show_values(
            {
                "problem": text,
                "status": f"{status.replace('_', ' ')}: {found.message}",
                "l1 norm" if w is None else "weighted l1 norm": f"{found.value:.12g}",
                "nonzero entries": f"{found.support.size} of {n}",
                "gap": f"{found.gap:.2e}",
                "residual" + (" above sigma" if sigma else ""): f"{found.residual:.2e}",
                "dual infeasibility": f"{found.dual_infeasibility:.2e}",
                "factorizations": str(found.steps),
                "time": f"{seconds:.3f} s",
                **({} if output is None else {"stored in": str(output)}),
            }
        )
    if EXITS[status]:
        fail(f"{found.message}.", EXITS[status])


def _show_state(state: Any) -> None:
    """Rewrite one line of the terminal."""
    line = f"{state.steps} factorizations, {state.seconds:.1f} s: {state.active} active, gap {state.gap:.1e}"
    click.echo(f"\r{line}, residual {state.residual:.1e}\033[K", nl=False, err=True)
