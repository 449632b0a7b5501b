"""Parameters that the commands share, and the error for a bad one."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

MOST_STEPS = 10**15  # equals that of runtime.options, which loads NumPy
MOST_SEED = 2**63 - 1
"""Largest seed: the results hold it as int64."""

SQUARABLE = 1e-150, 1e150
"""Range of radii and ratios: their squares and quotients are float64 numbers."""


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A finite number from ``low`` (by default above 0) to ``high``, or one of some words."""

    def __init__(
        self,
        low: float = math.ulp(0),
        high: float = math.inf,
        words: tuple[str, ...] = (),
        kind: Callable[[Any], float] = float,
    ) -> None:
        self._low, self._high, self._words, self._kind = low, high, words, kind
        symbols, text = (f"{low}..{high}", f"from {low} to {high}")
        if high == math.inf:
            symbols, text = (">= 0", "of at least 0") if low == 0 else ("> 0", "above 0")
        noun, article = ("integer", "an") if kind is int else ("number", "a finite")
        self.name = "|".join([*words, f"{noun} {symbols}"])
        self._allowed = " or ".join([*filter(None, [", ".join(words)]), f"{article} {noun} {text}"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or its text if the type has words."""
        if value in self._words:
            return value
        try:
            number = self._kind(value)
        except ValueError:
            number = math.nan
        if not self._low <= number <= self._high or number == math.inf:
            self.fail(f"{shortened(value)} is not allowed; give {self._allowed}.", param, ctx)
        # Normalize the text so that 1e-3 and 0.001 name the same stored run.
        return repr(number) if self._words else number


def integer(low: int, high: int = 10**9) -> Number:
    """Return the type of integers from ``low`` to ``high``."""
    return Number(low, high, kind=int)


class Folder(click.Path):
    """A results folder, existing or not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value):
            self.fail("'' is not a folder; give a path, for example results/mine.", param, ctx)
        return super().convert(value, param, ctx)


MAX_STEPS = integer(1, MOST_STEPS)
SEED = integer(0, MOST_SEED)
FOLDER = Folder(file_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def bad_parameter(option: str, message: str) -> click.BadParameter:
    """Return the error for an option's value."""
    return click.BadParameter(message, click.get_current_context(), param_hint=f"'{option}'")


def shortened(value: Any) -> str:
    """Return the representation of a value, at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-10:]}"
