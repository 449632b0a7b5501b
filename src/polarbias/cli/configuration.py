"""Options that choose a problem, a network and a start, shared by the commands that take one configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
from click.core import ParameterSource

from polarbias.cli.parameters import DEFAULT_LAW, DEFAULT_RATIO, Integer, Number, wrong
from polarbias.errors import InvalidInput

_RANDOM = {"truth": "--truth", "m": "--m", "n": "--n", "s": "--s", "center_rows": "--center-rows"}
"""Options that describe a random problem, and mean nothing for one from files."""

_OPTIONS = (
    click.option(
        "--truth",
        type=click.Choice(["gaussian", "sparse", "signed"]),
        default="gaussian",
        show_default=True,
        help="Random problem: law of the true solution x*; A x* = b.",
    ),
    click.option("--m", type=Integer(1), default=150, show_default=True, help="Random problem: rows of A."),
    click.option("--n", type=Integer(1), default=1000, show_default=True, help="Random problem: columns of A."),
    click.option("--s", type=Integer(1), default=10, show_default=True, help="Random problem: nonzeros of the truth."),
    click.option("--center-rows", is_flag=True, help="Random problem: make the rows of A sum to zero."),
    click.option("--seed", type=Integer(0), default=0, show_default=True, help="Seed of all random draws."),
    click.option(
        "--matrix",
        metavar="FILE[:NAME]",
        help="A from an .npy, .npz, .mat, .csv or .mtx file, sparse or dense as it is; NAME chooses within .npz, .mat.",
    ),
    click.option("--rhs", metavar="FILE[:NAME]", help="b, from such a file."),
    click.option("--depth", type=Integer(1), default=2, show_default=True, help="Depth L of the network."),
    click.option(
        "--algorithm",
        type=click.Choice(["plain", "wn"]),
        default="wn",
        show_default=True,
        help="Without or with weight normalization.",
    ),
    click.option(
        "--ratio",
        type=Number(),
        default=DEFAULT_RATIO,
        show_default=True,
        help="Learning-rate ratio, the law's coefficient.",
    ),
    click.option("--law", default=DEFAULT_LAW, show_default=True, help="constant, harmonic, or power:K for c r^K."),
    click.option("--scale", type=Number(), default=1.0, show_default=True, help="Norm r0 of the start."),
    click.option(
        "--direction",
        default="gaussian",
        show_default=True,
        metavar="gaussian|uniform|FILE[:NAME]",
        help="Direction u0 of the start: law of its entries, or a file of positive numbers (N; 2 N if signed).",
    ),
    click.option("--signed", is_flag=True, help="Signed signals X = u^L - v^L; --truth signed implies it."),
)


@dataclass(frozen=True)
class Configuration:
    """One configuration: what the limit, the flow and descent take, and the problem in words."""

    problem: Any
    network: Any
    theta0: Any
    description: str


def configuration_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_configuration(options: dict[str, Any]) -> Configuration:
    """Return the configuration that the options describe.

    Raises
    ------
    click.BadParameter
        Values that do not fit together, files that cannot be used; the exit code is 2.
    """
    from polarbias.networks import HadamardDifference, HadamardPower, WeightNormalization
    from polarbias.networks.laws import make_law

    try:
        law = make_law(options["law"], options["ratio"])
    except InvalidInput as reason:
        raise wrong("--law", str(reason)) from reason
    problem, description = _problem(options)
    signed = options["signed"] or (options["matrix"] is None and options["truth"] == "signed")
    plain = (HadamardDifference if signed else HadamardPower)(options["depth"])
    network = plain if options["algorithm"] == "plain" else WeightNormalization(plain, law)
    direction = _direction(options, problem.n * (1 + signed))
    try:
        theta0 = network.init(options["scale"], direction)
    except InvalidInput as reason:
        raise wrong("--direction", str(reason)) from reason
    return Configuration(problem, network, theta0, description)


def _problem(options: dict[str, Any]) -> tuple[Any, str]:
    from polarbias.problems.ensembles import gaussian_problem
    from polarbias.problems.linear import LinearProblem

    if (options["matrix"] is None) != (options["rhs"] is None):
        present, missing = ("--matrix", "--rhs") if options["rhs"] is None else ("--rhs", "--matrix")
        raise wrong(present, f"needs {missing} as well.")
    if options["matrix"] is None:
        m, n, s, truth = (options[name] for name in ("m", "n", "s", "truth"))
        if truth != "gaussian" and s > n:
            raise wrong("--s", f"{s} is more than the {n} unknowns; give at most --n.")
        problem = gaussian_problem(options["seed"], m, n, truth, s=s, center_rows=options["center_rows"])
        return problem, f"{m} x {n}, {truth} truth, seed {options['seed']}"
    context = click.get_current_context()
    for name, flag in _RANDOM.items():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise wrong(flag, "describes a random problem; leave it out with --matrix.")
    A = _read("--matrix", options["matrix"], None)
    b = _read("--rhs", options["rhs"], "b")
    if b.size != A.shape[0]:
        raise wrong("--rhs", f"{options['rhs']} has {b.size} entries, and A has {A.shape[0]} rows.")
    sparse = ", sparse" if hasattr(A, "toarray") else ""
    return LinearProblem(A, b), f"{A.shape[0]} x {A.shape[1]}{sparse}, {options['matrix']}"


def _direction(options: dict[str, Any], length: int) -> Any:
    from polarbias.problems.ensembles import folded_gaussian_direction, uniform_direction

    given = options["direction"]
    if given == "gaussian":
        return folded_gaussian_direction(options["seed"], length)
    if given == "uniform":
        return uniform_direction(length)
    direction = _read("--direction", given, "u")
    if direction.size != length:
        raise wrong("--direction", f"{given} has {direction.size} entries, and the start has {length}.")
    return direction


def _read(option: str, given: str, name: str | None) -> Any:
    """Return the matrix, or the vector with this name, from a file."""
    from polarbias.cli.data import load_matrix, load_vector

    try:
        return load_matrix(given) if name is None else load_vector(given, name)
    except InvalidInput as reason:
        raise wrong(option, str(reason)) from reason
