"""``polarbias verify``: the paper's statements, checked on one solution."""

from typing import Any

import click

from polarbias.cli.configuration import configuration_options, describe, read_configuration
from polarbias.cli.group import EXIT_FAILED, EXIT_INFEASIBLE, after_interruption, fail
from polarbias.cli.output import JSON, print_json
from polarbias.cli.parameters import MAX_STEPS, Number


@click.command(epilog="Example: polarbias verify --m 20 --n 60 --ratio 0.5 --solution limit")
@configuration_options
@click.option(
    "--solution",
    type=click.Choice(["limit", "flow", "descent"]),
    default="flow",
    help="Solution to check: the exact limit, the integrated flow, or gradient descent with Armijo steps.",
)
@click.option("--tol", type=Number(), default=1e-12, help="Loss at which flow and descent stop.")
@click.option("--max-steps", type=MAX_STEPS, default=100_000, help="Largest number of steps.")
@JSON
def verify(*, solution: str, tol: float, max_steps: int, as_json: bool, **options: Any) -> None:
    """Check every statement of the paper, and its corrected form, on one solution.

    Each row holds a statement, its hypotheses, the prediction, the observation, and the verdict: holds, violated,
    hypothesis not met, or undecided. Exit codes: 1 a statement is violated; 2 wrong input; 3 no signal solves A X = b.
    """
    after_interruption("; nothing is verified")
    problem, configuration = read_configuration(options)
    description = describe(options, problem)
    from polarbias.problems.linear import LinearProblem
    from polarbias.solution import Status
    from polarbias.theory.verify import Verification
    from polarbias.theory.verify import verify as check_statements

    if not problem.is_dense:  # the statements take dense matrices
        problem = LinearProblem(problem.A.toarray(), problem.b)
    network, theta0 = configuration.network(), configuration.theta0(problem.n)
    found = _solve(solution, (problem, network, theta0), tol, max_steps)
    infeasible = found.status == Status.INFEASIBLE
    table = Verification(()) if infeasible else check_statements(problem, network, theta0, found)
    if as_json:
        print_json(
            {
                "solution": solution,
                "status": Status(int(found.status)).name.lower(),
                "message": found.message,
                "loss": float(found.loss),
                "counts": table.counts,
                "statements": [
                    {
                        "statement": row.statement,
                        "hypotheses": [{"name": one.name, "held": bool(one.held)} for one in row.hypotheses],
                        "predicted": row.predicted,
                        "observed": row.observed,
                        "verdict": row.verdict.value,
                    }
                    for row in table
                ],
            }
        )
    elif not infeasible:
        click.echo(f"{description}; {solution}: {found.message}, loss {float(found.loss):.3g}\n")
        click.echo(str(table))
        click.echo("\n" + ", ".join(f"{count} {name}" for name, count in table.counts.items()))
    if infeasible:
        fail(f"{found.message}.", EXIT_INFEASIBLE)
    if table.violated:
        fail(f"violated: {'; '.join(row.statement for row in table.violated)}.", EXIT_FAILED)


def _solve(solution: str, start: tuple[Any, Any, Any], tol: float, max_steps: int) -> Any:
    import polarbias

    if solution == "limit":
        return polarbias.flow_limit(*start)
    if solution == "flow":
        return polarbias.gradient_flow(*start, tol=tol)
    return polarbias.gradient_descent(*start, tol=tol, max_steps=max_steps)
