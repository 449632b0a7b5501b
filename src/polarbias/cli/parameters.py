"""Kinds of parameters that the commands share, and how a wrong one is refused."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import click

MOST_STEPS = 10**15  # as in descent, whose import would load jax for a help text
DEFAULT_RATIO, DEFAULT_LAW = 0.1, "constant"
FORCE = "Discard the tables that the folder holds, whatever made them."


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A finite number, positive or also zero, or one of some words."""

    def __init__(self, words: tuple[str, ...] = (), zero: bool = False) -> None:
        self._words, self._zero = words, zero
        self.name = "|".join([*words, f"number {'>=' if zero else '>'} 0"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or the text of it where words are allowed too."""
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


class Integer(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """An integer from ``low``, and up to ``high`` where there is such a bound."""

    def __init__(self, low: int, high: int | None = None) -> None:
        self._low, self._high = low, high
        self.name = f"integer >= {low}" if high is None else f"integer {low}..{high}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the integer."""
        try:
            number = int(value)
        except ValueError:
            number = self._low - 1
        if number < self._low or (self._high is not None and number > self._high):
            allowed = f"of at least {self._low}" if self._high is None else f"from {self._low} to {self._high}"
            self.fail(f"{value!r} is not allowed; give an integer {allowed}.", param, ctx)
        return number


class Folder(click.Path):
    """A results folder, which need not exist."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value):
            self.fail("'' is not a folder; give a path, for example results/mine.", param, ctx)
        return super().convert(value, param, ctx)


class Cluster(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """Workers to compute tasks on: ``local``, ``local:N`` or a scheduler's ``tcp://HOST:PORT``."""

    name = "local[:N]|tcp://HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text."""
        if not re.fullmatch(r"local(:[1-9]\d*)?|tcp://(\[[^\]]+\]|[^\s:/]+):\d+", value):
            self.fail(
                f"{value!r} is not allowed; give local, local:N for N processes, or a scheduler as tcp://HOST:PORT.",
                param,
                ctx,
            )
        return value


CLUSTER = click.option(
    "--dask",
    "cluster",
    type=Cluster(),
    metavar=Cluster.name,
    help="Compute on several workers: N processes here (default: one per core), or those of a Dask scheduler.",
)


DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "gpu"]),
    default="cpu",
    show_default=True,
    help="What descent runs on. A GPU needs JAX's package for it.",
)


def backend(cluster: str | None, device: str) -> Any:
    """Return where tasks are computed: on the cluster, if one is given, or None for this process.

    Raises
    ------
    ClusterError
        Dask is not installed.
    """
    if cluster is None:
        return None
    from polarbias.experiments.engine.cluster import DaskBackend

    return DaskBackend(cluster, device=device)


def wrong(option: str, message: str) -> click.BadParameter:
    """Return the refusal of an option's value."""
    return click.BadParameter(message, click.get_current_context(), param_hint=f"'{option}'")
