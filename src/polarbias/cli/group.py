"""The command group: exit codes, one line per error, and the message after an interruption."""

import logging
import os
import sys
import warnings
from typing import Any, NoReturn

import click

from polarbias import __version__
from polarbias.errors import InvalidInput, PolarbiasError, StoreMismatch

EXIT_FAILED, EXIT_WRONG_INPUT, EXIT_INFEASIBLE, EXIT_LIMIT, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

_INTERRUPTED = "polarbias.interrupted"
"""Key of the context's ``meta`` that holds the end of the message after Ctrl-C."""

_log = logging.getLogger("polarbias.cli")


class _Group(click.Group):
    """Turns every error into one line on stderr and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options)
        except click.exceptions.NoArgsIsHelpError as usage:
            click.echo(usage.format_message())
            code = EXIT_WRONG_INPUT
        except click.ClickException as error:
            _echo_line(error.format_message())
            code = error.exit_code
        except click.Abort:  # Ctrl-C before a command begins
            _echo_line("interrupted.")
            code = EXIT_INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                if not sys.warnoptions:  # the status of a result covers overflow and lost accuracy
                    warnings.simplefilter("ignore")
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except PolarbiasError as error:
            from polarbias.runtime.atomic_file import DISK_FULL

            full = isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_FULL
            wrong = isinstance(error, InvalidInput | StoreMismatch) and not full
            fail(str(error), EXIT_WRONG_INPUT if wrong else EXIT_FAILED)
        except KeyboardInterrupt:
            fail(f"interrupted{ctx.meta.get(_INTERRUPTED, '')}.", EXIT_INTERRUPTED)
        except MemoryError:
            fail("the problem does not fit into the memory of this machine.")
        except Exception as error:
            _log.debug("unexpected error", exc_info=error)
            fail(f"unexpected error, {type(error).__name__}: {error} (POLARBIAS_LOG=DEBUG shows the traceback)")


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=_Group, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="polarbias")
def main() -> None:
    """Gradient descent on weight-normalized diagonal linear networks: runs, exact limits and minimal l1 norms.

    After Chou, Rauhut, Ward, "Robust Implicit Regularization via Weight Normalization", arXiv:2305.05448.

    Exit codes: 0 success; 1 failure; 2 wrong option, file or folder; 3 infeasible problem; 4 limit of time or steps
    of solve reached; 130 interrupted by Ctrl-C. The environment variable POLARBIAS_LOG sets the level of logging:
    DEBUG, INFO, WARNING (default) or ERROR.
    """
    level = os.environ.get("POLARBIAS_LOG", "WARNING").upper()
    levels = logging.getLevelNamesMapping()
    if level not in levels:
        raise click.UsageError(f"POLARBIAS_LOG must be one of {', '.join(levels)}, got {level!r}.")
    logging.basicConfig(level=level, format="%(name)s: %(message)s")


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Print one line on stderr and end the command with an exit code."""
    _echo_line(message)
    raise click.exceptions.Exit(code)


def after_interruption(text: str) -> None:
    """Set the end of the message that Ctrl-C prints during this command; all contexts share ``meta``."""
    click.get_current_context().meta[_INTERRUPTED] = text


def _echo_line(message: str) -> None:
    click.echo(f"polarbias: {' '.join(message.split())}", err=True)
