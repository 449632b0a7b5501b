"""Options that choose a problem, a network and a start, shared by all commands on one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from polarbias.cli.parameters import SEED, SQUARABLE, Number, bad_parameter, integer
from polarbias.errors import InvalidInput

if TYPE_CHECKING:
    from polarbias.networks.configuration import Configuration
    from polarbias.problems.linear import LinearProblem

RANDOM = ("truth", "m", "n", "s", "center_rows")
"""Parameters of a random problem, refused for a problem from files."""

_OPTIONS = (
    click.option(
        "--matrix",
        metavar="FILE[:NAME]",
        help="A from an .npy, .npz, .mat, .csv or .mtx file, dense or sparse; NAME chooses an array of .npz, .mat.",
    ),
    click.option("--rhs", metavar="FILE[:NAME]", help="b, from such a file."),
    click.option(
        "--truth",
        type=click.Choice(["gaussian", "sparse", "signed"]),
        default="gaussian",
        help="Random problem: law of the true solution x*; A x* = b.",
    ),
    click.option("--m", type=integer(1), default=150, help="Random problem: rows of A."),
    click.option("--n", type=integer(1), default=1000, help="Random problem: columns of A."),
    click.option("--s", type=integer(1), default=10, help="Random problem: nonzeros of x*."),
    click.option("--center-rows", is_flag=True, help="Random problem: make the rows of A sum to zero."),
    click.option("--seed", type=SEED, default=0, help="Seed of all random draws."),
    click.option("--depth", type=integer(1, 1000), default=2, help="Depth L of the network."),
    click.option(
        "--algorithm",
        type=click.Choice(["plain", "wn", "wn-separate", "wn-renormalized"]),
        default="wn",
        help="Without or with weight normalization; wn-separate: one radius for each half of a signed signal;"
        " wn-renormalized: descent that keeps the direction at norm 1.",
    ),
    click.option("--signed", is_flag=True, help="Signed signals X = u^L - v^L; --truth signed implies it."),
    click.option("--law", default="constant", help="Learning-rate ratio: constant, harmonic, power:K (c r^K)."),
    click.option("--ratio", type=Number(*SQUARABLE), default=0.1, help="Coefficient of the law."),
    click.option("--scale", type=Number(*SQUARABLE), default=1.0, help="Norm r0 of the start."),
    click.option(
        "--direction",
        default="gaussian",
        metavar="gaussian|uniform|FILE[:NAME]",
        help="Direction u0 of the start: law of its entries, or a file of N positive numbers (2 N if signed).",
    ),
)


def configuration_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_configuration(options: dict[str, Any]) -> tuple[LinearProblem, Configuration]:
    """Return the problem and the configuration that the options describe, or raise `click.BadParameter`."""
    from polarbias.cli.data import load_vector
    from polarbias.networks.configuration import DIRECTIONS, Configuration
    from polarbias.networks.laws import make_law

    with _named("--law"):
        make_law(options["law"], options["ratio"])
    signed = options["signed"] or (options["matrix"] is None and options["truth"] == "signed")
    if options["algorithm"] == "wn-separate" and not signed:
        raise bad_parameter("--algorithm", "'wn-separate' needs --signed or --truth signed: two halves of a signal.")
    problem = _random_problem(options) if options["matrix"] is options["rhs"] is None else _problem(options)
    direction, length = options["direction"], problem.n * (1 + signed)
    with _named("--direction"):
        if direction not in DIRECTIONS:
            direction = load_vector(options["direction"], "u")
            if direction.size != length:
                raise InvalidInput(f"{options['direction']} has {direction.size} entries, and the start has {length}.")
        names = ("algorithm", "depth", "law", "ratio", "scale", "seed")
        fixed = {name: options[name] for name in names}
        configuration = Configuration(signed=signed, direction=direction, **fixed)
        configuration.theta0(problem.n)  # raises InvalidInput for a direction with entries at or below 0
    return problem, configuration


def describe(options: dict[str, Any], problem: LinearProblem) -> str:
    """Return the problem in words."""
    size = f"{problem.m} x {problem.n}"
    if options["matrix"] is None:
        return f"{size}, {options['truth']} truth, seed {options['seed']}"
    return f"{size}, {'' if problem.is_dense else 'sparse, '}{options['matrix']}"


def _random_problem(options: dict[str, Any]) -> LinearProblem:
    from polarbias.cli.data import require_memory
    from polarbias.problems.ensembles import gaussian_problem

    m, n, s, truth = (options[name] for name in ("m", "n", "s", "truth"))
    if truth != "gaussian" and s > n:
        raise bad_parameter("--s", f"{s} is more than the {n} unknowns; give at most --n.")
    require_memory(3 * 8 * m * n, f"a matrix of --m {m} rows and --n {n} columns")
    return gaussian_problem(options["seed"], m, n, truth, s=s, center_rows=options["center_rows"])


def _problem(options: dict[str, Any]) -> LinearProblem:
    from polarbias.cli.data import load_matrix, load_vector
    from polarbias.problems.linear import LinearProblem

    for given, missing in (("matrix", "rhs"), ("rhs", "matrix")):
        if options[missing] is None:
            raise bad_parameter(f"--{given}", f"needs --{missing} as well.")
    context = click.get_current_context()
    for name in RANDOM:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise bad_parameter(option, "describes a random problem; leave it out with --matrix.")
    with _named("--matrix"):
        A = load_matrix(options["matrix"])
    with _named("--rhs"):
        b = load_vector(options["rhs"], "b")
        if b.size != A.shape[0]:
            raise InvalidInput(f"{options['rhs']} has {b.size} entries, and A has {A.shape[0]} rows.")
    return LinearProblem(A, b)


@contextmanager
def _named(option: str) -> Iterator[None]:
    """Name the option in the message of an `InvalidInput`."""
    try:
        yield
    except InvalidInput as reason:
        raise bad_parameter(option, str(reason)) from reason
