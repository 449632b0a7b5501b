"""The command line: ``polarbias reproduce``, ``run`` and ``plot``."""

from __future__ import annotations

import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

import click

from polarbias import __version__
from polarbias.errors import InvalidInput, PolarbiasError

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


class _Number(click.ParamType[Any]):
    """A finite number, positive or also zero, or one of some words."""

    def __init__(self, words: tuple[str, ...] = (), zero: bool = False) -> None:
        self._words, self._zero = words, zero
        self.name = "|".join([*words, f"number {'>=' if zero else '>'} 0"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in self._words:
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (0 < number < math.inf or (self._zero and number == 0)):
            allowed = ", ".join([*self._words, f"a finite number {'of at least' if self._zero else 'above'} 0"])
            self.fail(f"{value!r} is not allowed; give {allowed.replace(', a', ' or a')}.", param, ctx)
        # One number, one text: what is stored under 1e-3 is found again under 0.001.
        return repr(number) if self._words else number


class _Integer(click.ParamType[Any]):
    """An integer from ``low``, and up to ``high`` where there is such a bound."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self._low, self._high = low, high
        self.name = f"integer >= {low}" if high is None else f"integer {low}..{high}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = int(value)
        except ValueError:
            number = self._low - 1
        if number < self._low or (self._high is not None and number > self._high):
            allowed = f"of at least {self._low}" if self._high is None else f"from {self._low} to {self._high}"
            self.fail(f"{value!r} is not allowed; give an integer {allowed}.", param, ctx)
        return number


class _Folder(click.Path):
    """A results folder, which need not exist."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not os.fspath(value):
            self.fail("'' is not a folder; give a path, for example results/mine.", param, ctx)
        return super().convert(value, param, ctx)


MOST_STEPS = 10**15  # as in descent, whose import would load jax for a help text
_DEFAULT_RATIO, _DEFAULT_LAW = 0.1, "constant"
FORCE = "Discard the tables that the folder holds, whatever made them."


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


@main.command(epilog="Example: polarbias reproduce --figure 2 --figure 4 --out results/first")
@click.option(
    "--profile", type=click.Choice(["quick", "paper"]), default="quick", show_default=True, help="Size of it all."
)
@click.option(
    "--figure", "figures", type=_Integer(1, 5), multiple=True, help="Figure to make; repeatable.  [default: all]"
)
@click.option("--trials", type=_Integer(1), help="Number of problems, instead of the profile's.")
@click.option("--max-steps", type=_Integer(1, MOST_STEPS), help="Steps per run, instead of the profile's.")
@click.option("--seed", type=_Integer(0), help="Seed of all random draws.  [default: 0]")
@click.option("--out", type=_Folder(), help="Results folder.  [default: results/PROFILE]")
@click.option("--force", is_flag=True, help=FORCE)
def reproduce(
    profile: str,
    figures: tuple[int, ...],
    trials: int | None,
    max_steps: int | None,
    seed: int | None,
    out: Path | None,
    force: bool,
) -> None:
    """Compute, store and draw Figures 1 to 5, and judge the paper's statements about them.

    Finished parts are kept: the same command after an interruption goes on where it stopped. Drawn and judged is all
    that the folder holds of this profile, steps and seed. The exit code is 0 when everything asked for could be
    computed, whatever the verdicts and however single runs ended.
    """
    _after_interruption(f"; the same command{' without --force' if force else ''} goes on where this one stopped")
    from polarbias import experiments

    chosen = experiments.adjusted(experiments.PROFILES[profile], trials, max_steps, seed)
    folder = out or Path("results") / profile
    outcome = experiments.reproduce(
        chosen, folder, figures or tuple(experiments.FIGURES), watching=_watching(), force=force
    )
    _report(outcome, folder)


@main.command(epilog="Example: polarbias plot results/quick")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def plot(folder: Path) -> None:
    """Draw the figures of FOLDER, made by reproduce or run, again from its tables, without computing anything."""
    _after_interruption("; the tables are as they were")
    from polarbias import experiments

    _report(experiments.redraw(folder), folder)


@main.command(epilog="Example: polarbias run --truth sparse --scale 1 --ratio 0.1 --max-steps 20000")
@click.option(
    "--truth",
    type=click.Choice(["gaussian", "sparse", "signed"]),
    default="gaussian",
    show_default=True,
    help="Law of the true solution x*; A x* = b.",
)
@click.option("--m", type=_Integer(1), default=150, show_default=True, help="Equations, rows of A.")
@click.option("--n", type=_Integer(1), default=1000, show_default=True, help="Unknowns, columns of A.")
@click.option("--s", type=_Integer(1), default=10, show_default=True, help="Nonzero entries of a sparse truth.")
@click.option("--center-rows", is_flag=True, help="Make the rows of A sum to zero.")
@click.option("--depth", type=_Integer(1), default=2, show_default=True, help="Depth L of the network.")
@click.option(
    "--network",
    type=click.Choice(["plain", "wn", "wn-separate"]),
    default="wn",
    show_default=True,
    help="Without or with weight normalization; wn-separate: a polar coordinate for each half of a signed signal.",
)
@click.option(
    "--ratio",
    type=_Number(),
    default=_DEFAULT_RATIO,
    show_default=True,
    help="Learning-rate ratio, the law's coefficient.",
)
@click.option("--law", default=_DEFAULT_LAW, show_default=True, help="constant, harmonic, or power:K for c r^K.")
@click.option("--scale", type=_Number(), default=1.0, show_default=True, help="Norm r0 of the start.")
@click.option(
    "--start",
    type=click.Choice(["gaussian", "uniform"]),
    default="gaussian",
    show_default=True,
    help="Law of the start's direction.",
)
@click.option(
    "--step",
    type=_Number(("armijo", "stable")),
    default="armijo",
    show_default=True,
    metavar="armijo|stable|NUMBER > 0",
    help="Line search, a computed constant step, or the constant step given.",
)
@click.option("--seed", type=_Integer(0), default=0, show_default=True, help="Seed of all random draws.")
@click.option(
    "--max-steps", type=_Integer(1, MOST_STEPS), default=100_000, show_default=True, help="Steps at which to stop."
)
@click.option("--tol", type=_Number(zero=True), default=1e-12, show_default=True, help="Loss at which to stop.")
@click.option("--out", type=_Folder(), default=Path("results/run"), show_default=True, help="Results folder.")
@click.option("--force", is_flag=True, help=FORCE)
def run(  # noqa: PLR0913 -- one parameter per option
    *,
    truth: Any,
    m: int,
    n: int,
    s: int,
    center_rows: bool,
    depth: int,
    network: str,
    ratio: float,
    law: str,
    scale: float,
    start: str,
    step: str,
    seed: int,
    max_steps: int,
    tol: float,
    out: Path,
    force: bool,
) -> None:
    """Run gradient descent on one configuration; show and store its trajectory.

    The exit code is 1 for a run that ends as unstable, diverged, collapsed, or line search failed with a loss not
    below --tol; a run that only used up its steps is no failure.
    """
    _after_interruption("; a run that has not ended is not stored, the same command starts it anew")
    from polarbias.experiments.single import run_single
    from polarbias.experiments.spec import Cell, Chain, Profile, make_law
    from polarbias.solution import Status

    if network == "wn-separate" and truth != "signed":
        raise _wrong("--network", f"'wn-separate' needs --truth signed, not {truth}, which has no second half.")
    if truth != "gaussian" and s > n:
        raise _wrong("--s", f"{s} is more than the {n} unknowns; give at most --n.")
    try:
        make_law(law, ratio)
    except InvalidInput as reason:
        raise _wrong("--law", str(reason)) from reason
    if network == "plain":
        # Plain descent has no ratio, so whatever is given for it asks for the same run.
        ratio, law = _DEFAULT_RATIO, _DEFAULT_LAW
    cell = Cell(
        figure=0,
        trial=0,
        algorithm=network,
        truth=truth,
        chains=(Chain(scale, ratio, 0),),
        step=step,
        centred=center_rows,
        depth=depth,
        law=law,
        direction=start,
    )
    profile = Profile(
        "run", 1, 1, (scale,), (ratio,), max_steps, seed=seed, m=m, n=n, s=s, ratio=ratio, scale=scale, tol=tol
    )
    tally, runs, trajectories, figure = run_single(cell, profile, out, _watching(), force)
    _show_trajectory(runs, trajectories)
    click.echo(f"chain-steps computed: {tally.chain_steps:,}; tables and {figure.name} are in {out}")
    status = Status[runs["status"].iloc[0].upper()]
    short = status is Status.LINE_SEARCH_FAILED and not runs["loss"].iloc[0] < tol
    if short or status in (Status.UNSTABLE, Status.DIVERGED, Status.COLLAPSED):
        click.echo(f"polarbias: the run failed: {status.message}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _after_interruption(text: str) -> None:
    """Set what follows the word "interrupted" should Ctrl-C end this command; all contexts share ``meta``."""
    click.get_current_context().meta[_INTERRUPTED] = text


def _wrong(option: str, message: str) -> click.BadParameter:
    return click.BadParameter(message, click.get_current_context(), param_hint=f"'{option}'")


def _watching() -> Any:
    """Return the maker of progress displays for this terminal."""
    from rich.console import Console

    from polarbias.experiments.progress import watching

    console = Console(stderr=True)
    return lambda cells: watching(console, cells)


def _report(outcome: Any, folder: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="The paper's statements", pad_edge=False, collapse_padding=True)
    for name, width in (("#", 2), ("statement", 34), ("where", 11), ("measured", None), ("verdict", 14)):
        table.add_column(name, width=width)
    for finding in outcome.findings:
        table.add_row(str(finding.number), finding.statement, finding.source, finding.measured, str(finding.verdict))
    if outcome.findings:
        # Without a terminal there is no width to fit to.
        Console(width=None if sys.stdout.isatty() else 120).print(table)
    if outcome.tally is not None:
        tally = outcome.tally
        click.echo(
            f"cells computed: {tally.computed}, found: {tally.found}; "
            f"chain-steps computed: {tally.chain_steps:,} in {tally.seconds:.0f} s"
        )
    made = outcome.files[0].name if len(outcome.files) == 1 else "figures, overview.png, statements.md"
    click.echo(f"{made} and the tables are in {folder}")


def _show_trajectory(runs: Any, trajectories: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("step", "loss", "r", "||X||_1")
    rows = len(trajectories)
    for index in sorted({round(position * (rows - 1) / 11) for position in range(12)}):
        record = trajectories.iloc[index]
        table.add_row(f"{record.step:,}", f"{record.loss:.3e}", f"{record.r:.6g}", f"{record.l1:.6g}")
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    end = runs.iloc[0]
    click.echo(
        f"{end.status.replace('_', ' ')} after {end.steps:,} steps ({end.trials:,} trials): loss {end.loss:.3g}, "
        f"||X||_1 - min = {end.eps1:.3g} (certified part {end.eps1_cert:.3g}), ||X - x*||_1 = {end.eps2:.3g}"
    )
