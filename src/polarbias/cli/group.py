"""The group that all commands belong to: errors become one line, an interruption says what it leaves."""

from __future__ import annotations

import logging
import os
from typing import Any

import click

from polarbias import __version__
from polarbias.errors import PolarbiasError

EXIT_FAILED = 1

_INTERRUPTED = "polarbias.interrupted"
"""Where a command leaves what follows the word "interrupted" after Ctrl-C: what a second call finds."""


class _Group(click.Group):
    """Turns the library's errors into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolarbiasError as error:
            click.echo(f"polarbias: {error}", err=True)
            ctx.exit(EXIT_FAILED)
        except KeyboardInterrupt:
            click.echo(f"polarbias: interrupted{ctx.meta.get(_INTERRUPTED, '')}.", err=True)
            ctx.exit(EXIT_FAILED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="polarbias")
def main() -> None:
    """Sparse bias of gradient descent with weight normalization, made runnable.

    After Chou, Rauhut, Ward, "Robust Implicit Regularization via Weight Normalization", arXiv:2305.05448.

    The environment variable POLARBIAS_LOG sets how much is logged: DEBUG, INFO, WARNING (default) or ERROR.
    """
    level = os.environ.get("POLARBIAS_LOG", "WARNING").upper()
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise click.UsageError(f"POLARBIAS_LOG must be one of {', '.join(levels)}, got {level!r}.")
    logging.basicConfig(level=level, format="%(name)s: %(message)s")


def after_interruption(text: str) -> None:
    """Set what follows the word "interrupted" should Ctrl-C end this command; all contexts share ``meta``."""
    click.get_current_context().meta[_INTERRUPTED] = text
