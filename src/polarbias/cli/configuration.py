"""Options that choose a problem, a network and a start, shared by all commands on one configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from polarbias.cli.parameters import SEED, SQUARABLE, Integer, Number, bad_parameter
from polarbias.errors import InvalidInput

if TYPE_CHECKING:
    from polarbias.networks.configuration import Configuration
    from polarbias.problems.linear import LinearProblem

RANDOM = ("truth", "m", "n", "s", "center_rows")
"""Parameters of a random problem, refused for a problem from files."""

_MOST = 10**9

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
        show_default=True,
        help="Random problem: law of the true solution x*; A x* = b.",
    ),
    click.option("--m", type=Integer(1, _MOST), default=150, show_default=True, help="Random problem: rows of A."),
    click.option("--n", type=Integer(1, _MOST), default=1000, show_default=True, help="Random problem: columns of A."),
    click.option("--s", type=Integer(1), default=10, show_default=True, help="Random problem: nonzeros of x*."),
    click.option("--center-rows", is_flag=True, help="Random problem: make the rows of A sum to zero."),
    click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of all random draws."),
    click.option("--depth", type=Integer(1, 1000), default=2, show_default=True, help="Depth L of the network."),
    click.option(
        "--algorithm",
        type=click.Choice(["plain", "wn", "wn-separate", "wn-renormalized"]),
        default="wn",
        show_default=True,
        help="Without or with weight normalization; wn-separate: one radius for each half of a signed signal;"
        " wn-renormalized: descent that keeps the direction at norm 1.",
    ),
    click.option("--signed", is_flag=True, help="Signed signals X = u^L - v^L; --truth signed implies it."),
    click.option(
        "--law", default="constant", show_default=True, help="Learning-rate ratio: constant, harmonic, power:K (c r^K)."
    ),
    click.option(
        "--ratio", type=Number((), *SQUARABLE), default=0.1, show_default=True, help="Coefficient of the law."
    ),
    click.option("--scale", type=Number((), *SQUARABLE), default=1.0, show_default=True, help="Norm r0 of the start."),
    click.option(
        "--direction",
        default="gaussian",
        show_default=True,
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
    """Return the problem and the configuration of network and start that the options describe.

    Raises
    ------
    click.BadParameter
        Values that do not fit together, files that cannot be used.
    """
    from polarbias.networks.configuration import Configuration
    from polarbias.networks.laws import make_law

    try:
        make_law(options["law"], options["ratio"])
    except InvalidInput as reason:
        raise bad_parameter("--law", str(reason)) from reason
    signed = options["signed"] or (options["matrix"] is None and options["truth"] == "signed")
    if options["algorithm"] == "wn-separate" and not signed:
        raise bad_parameter("--algorithm", "'wn-separate' needs --signed or --truth signed: two halves of a signal.")
    problem = _problem(options)
    names = ("algorithm", "depth", "law", "ratio", "scale", "seed")
    configuration = Configuration(
        signed=signed,
        direction=_direction(options, problem.n * (1 + signed)),
        **{name: options[name] for name in names},
    )
    try:
        configuration.theta0(problem.n)
    except InvalidInput as reason:
        raise bad_parameter("--direction", str(reason)) from reason
    return problem, configuration


def describe(options: dict[str, Any], problem: LinearProblem) -> str:
    """Return the problem in words."""
    size = f"{problem.m} x {problem.n}"
    if options["matrix"] is None:
        return f"{size}, {options['truth']} truth, seed {options['seed']}"
    return f"{size}, {'' if problem.is_dense else 'sparse, '}{options['matrix']}"


def _problem(options: dict[str, Any]) -> LinearProblem:
    from polarbias.cli.data import require_memory
    from polarbias.problems.ensembles import gaussian_problem
    from polarbias.problems.linear import LinearProblem

    if (options["matrix"] is None) != (options["rhs"] is None):
        present, missing = ("--matrix", "--rhs") if options["rhs"] is None else ("--rhs", "--matrix")
        raise bad_parameter(present, f"needs {missing} as well.")
    if options["matrix"] is None:
        m, n, s, truth = (options[name] for name in ("m", "n", "s", "truth"))
        if truth != "gaussian" and s > n:
            raise bad_parameter("--s", f"{s} is more than the {n} unknowns; give at most --n.")
        require_memory(3 * 8 * m * n, f"a matrix of --m {m} rows and --n {n} columns")
        return gaussian_problem(options["seed"], m, n, truth, s=s, center_rows=options["center_rows"])
    context = click.get_current_context()
    for name in RANDOM:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise bad_parameter(option, "describes a random problem; leave it out with --matrix.")
    A = _read("--matrix", options["matrix"], None)
    b = _read("--rhs", options["rhs"], "b")
    if b.size != A.shape[0]:
        raise bad_parameter("--rhs", f"{options['rhs']} has {b.size} entries, and A has {A.shape[0]} rows.")
    return LinearProblem(A, b)


def _direction(options: dict[str, Any], length: int) -> Any:
    given = options["direction"]
    if given in ("gaussian", "uniform"):
        return given
    direction = _read("--direction", given, "u")
    if direction.size != length:
        raise bad_parameter("--direction", f"{given} has {direction.size} entries, and the start has {length}.")
    return direction


def _read(option: str, given: str, name: str | None) -> Any:
    """Return the matrix (``name`` None) or the vector in a file."""
    from polarbias.cli.data import load_matrix, load_vector

    try:
        return load_matrix(given) if name is None else load_vector(given, name)
    except InvalidInput as reason:
        raise bad_parameter(option, str(reason)) from reason
