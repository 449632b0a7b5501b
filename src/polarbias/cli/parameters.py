"""Types of parameters that the commands share, and the error for a bad one."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import click

MOST_STEPS = 10**15  # equals that of runtime.options, which loads NumPy
MOST_SEED = 2**63 - 1
"""Largest seed: the results hold it as int64."""

SQUARABLE = 1e-150, 1e150
"""Range of radii and ratios: their squares and quotients are float64 numbers."""


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A finite number in [low, high] or above 0, or one of some words."""

    def __init__(self, words: tuple[str, ...] = (), low: float = math.ulp(0), high: float = math.inf) -> None:
        self._words, self._low, self._high = words, low, high
        bounds = {(0, math.inf): "number >= 0", (math.ulp(0), math.inf): "number > 0"}
        self.name = "|".join([*words, bounds.get((low, high), f"number {low:g}..{high:g}")])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or its text if the type has words."""
        if value in self._words:
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (self._low <= number <= self._high and math.isfinite(number)):
            kind = "above 0" if self._low == math.ulp(0) else f"of at least {self._low:g}"
            if self._high < math.inf:
                kind = f"from {self._low:g} to {self._high:g}"
            allowed = " or ".join(filter(None, [", ".join(self._words), f"a finite number {kind}"]))
            self.fail(f"{_short(value)} is not allowed; give {allowed}.", param, ctx)
        # Normalize the text so that 1e-3 and 0.001 name the same stored run.
        return repr(number) if self._words else number


class Integer(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """An integer from ``low`` to ``high``."""

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
            self.fail(f"{_short(value)} is not allowed; give an integer {allowed}.", param, ctx)
        return number


class Folder(click.Path):
    """A results folder, existing or not."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value):
            self.fail("'' is not a folder; give a path, for example results/mine.", param, ctx)
        return super().convert(value, param, ctx)


class Cluster(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """Dask workers: ``local``, ``local:N`` or a scheduler's ``tcp://HOST:PORT``."""

    name = "local[:N]|tcp://HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text."""
        if not re.fullmatch(r"local(:[1-9]\d*)?|tcp://(\[[^\]]+\]|[^\s:/]+):\d+", value):
            self.fail(
                f"{_short(value)} is not allowed; give local, local:N for N processes, or a scheduler as"
                " tcp://HOST:PORT.",
                param,
                ctx,
            )
        return value


CLUSTER = click.option(
    "--dask",
    "cluster",
    type=Cluster(),
    metavar=Cluster.name,
    help="Compute on several workers: N local processes (default: one per core), or those of a Dask scheduler.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "gpu"]),
    default="cpu",
    show_default=True,
    help="Device of gradient descent. A GPU needs the JAX package for it.",
)
FORCE = click.option("--force", is_flag=True, help="Overwrite existing results in the folder.")
MAX_STEPS = Integer(1, MOST_STEPS)
SEED = Integer(0, MOST_SEED)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def require_paper() -> None:
    """Raise `MissingExtra` for this command unless the extra ``paper`` is installed."""
    from polarbias.runtime.extras import require

    for module in ("jax", "pandas", "pyarrow", "matplotlib", "rich"):
        require(module, "paper", f"polarbias {click.get_current_context().info_name}")


def backend(cluster: str | None, device: str) -> Any:
    """Return the backend of tasks: Dask workers if a cluster is given, None for this process.

    Raises
    ------
    MissingExtra
        Dask is not installed.
    """
    if cluster is None:
        return None
    from polarbias.experiments.engine.cluster import DaskBackend

    return DaskBackend(cluster, device=device)


def bad_parameter(option: str, message: str) -> click.BadParameter:
    """Return the error for an option's value."""
    return click.BadParameter(message, click.get_current_context(), param_hint=f"'{option}'")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-10:]}"
