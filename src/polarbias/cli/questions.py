"""``polarbias questions``: the paper's open questions, measured."""

from __future__ import annotations

import click

from polarbias.cli.group import EXIT_FAILED, after_interruption
from polarbias.cli.parameters import Integer


@click.command(epilog="Example: polarbias questions --question 4 --quick")
@click.option(
    "--question",
    "chosen",
    type=Integer(1, 5),
    multiple=True,
    help="Question to take up; repeatable.  [default: all]",
)
@click.option("--quick", is_flag=True, help="Smaller problems and fewer of them.")
def questions(chosen: tuple[int, ...], quick: bool) -> None:
    """Measure what the paper leaves open: losses, convergence above depth 2, rates, ratio laws, step sizes.

    All seeds are fixed, and all five take about two minutes. The proofs behind the verdicts are in
    docs/open_questions.md. The exit code is 1 if a table is not as proved.
    """
    after_interruption("; nothing is stored")
    from polarbias.experiments.questions import QUESTIONS

    failed = []
    for number in sorted(set(chosen)) or QUESTIONS:
        answer = QUESTIONS[number](quick)
        click.echo(f"{answer}\n")
        if not answer.held:
            failed.append(str(number))
    if failed:
        click.echo(f"polarbias: not as proved: question {', '.join(failed)}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)
