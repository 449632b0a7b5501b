"""``polarbias verify``: the paper's statements, held against one solution."""

from __future__ import annotations

from typing import Any

import click

from polarbias.cli.configuration import Configuration, configuration_options, read_configuration
from polarbias.cli.group import EXIT_FAILED, after_interruption
from polarbias.cli.parameters import MOST_STEPS, Integer, Number


@click.command(epilog="Example: polarbias verify --m 20 --n 60 --ratio 0.5 --solution limit")
@configuration_options
@click.option(
    "--solution",
    type=click.Choice(["limit", "flow", "descent"]),
    default="flow",
    show_default=True,
    help="What is verified: the exact limit, the integrated flow, or gradient descent with Armijo steps.",
)
@click.option("--tol", type=Number(), default=1e-12, show_default=True, help="Loss at which flow and descent stop.")
@click.option(
    "--max-steps", type=Integer(1, MOST_STEPS), default=100_000, show_default=True, help="Steps of descent at most."
)
def verify(*, solution: str, tol: float, max_steps: int, **options: Any) -> None:
    """Hold every statement of the paper, and its corrected form, against one solution.

    Printed are, row by row, the statement, its hypotheses, what it predicts, what was observed, and the verdict:
    holds, violated, hypothesis not met, or undecided. The exit code is 1 if a row is violated or no signal solves
    A X = b, 2 for wrong input.
    """
    after_interruption("; the solution was not verified")
    configuration = _dense(read_configuration(options))
    from polarbias.theory.verify import verify as verification

    problem, network, theta0 = configuration.problem, configuration.network, configuration.theta0
    found = _solved(configuration, solution, tol, max_steps)
    table = verification(problem, network, theta0, found)
    click.echo(f"{configuration.description}; {solution}: {found.message}, loss {float(found.loss):.3g}\n")
    click.echo(str(table))
    click.echo("\n" + ", ".join(f"{count} {name}" for name, count in table.counts.items()))
    if table.violated:
        names = "; ".join(row.statement for row in table.violated)
        click.echo(f"polarbias: violated: {names}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _dense(configuration: Configuration) -> Configuration:
    """Return the configuration with a dense matrix, which the statements are judged with."""
    from dataclasses import replace

    from polarbias.problems.linear import LinearProblem

    problem = configuration.problem
    if problem.is_dense:
        return configuration
    return replace(configuration, problem=LinearProblem(problem.A.toarray(), problem.b))


def _solved(configuration: Configuration, solution: str, tol: float, max_steps: int) -> Any:
    start = configuration.problem, configuration.network, configuration.theta0
    if solution == "limit":
        from polarbias.limit.flow_limit import flow_limit

        return flow_limit(*start)
    if solution == "flow":
        from polarbias.flow.gradient_flow import gradient_flow

        return gradient_flow(*start, tol=tol)
    from polarbias.descent.gradient_descent import gradient_descent

    return gradient_descent(*start, tol=tol, max_steps=max_steps)
