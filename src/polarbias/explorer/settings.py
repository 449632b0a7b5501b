"""Settings of the explorer: one configuration, and its text in the address of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, get_args

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.explorer.options import OPTIONS
from polarbias.networks.configuration import DIRECTIONS, Configuration
from polarbias.problems.ensembles import Truth

GRID = np.geomspace(10 ** OPTIONS.decades[0], 10 ** OPTIONS.decades[1], OPTIONS.points)
"""Values of r0 and of the ratio on the map, and of r0 for the bounds."""

RANGES: dict[str, tuple[type[int] | type[float], float, float]] = {
    "m": (int, 1, 500),
    "n": (int, 2, 5000),
    "s": (int, 1, 5000),
    "seed": (int, 0, 2**31 - 1),
    "depth": (int, 2, 6),
    "power": (float, -2.0, 4.0),
    "ratio": (float, GRID[0], GRID[-1]),
    "r0": (float, GRID[0], GRID[-1]),
    "azimuth": (int, -180, 180),
    "elevation": (int, -90, 90),
}
CHOICES = {
    "truth": get_args(Truth),
    "law": ("constant", "harmonic", "power"),
    "start": DIRECTIONS,
    "signed": ("no", "yes"),
}

_UNUSED: dict[str, tuple[str, ...]] = {"limits": ("A", "b", "u0", "azimuth", "elevation")}
_UNUSED["map"] = (*_UNUSED["limits"], "ratio", "r0")
_UNUSED["problem"] = (*_UNUSED["map"], "depth", "law", "power", "start")
_UNUSED["plane"] = ("truth", "m", "n", "s", "seed", "start", "azimuth", "elevation")


@dataclass(frozen=True)
class Settings:
    """One configuration, which determines all views.

    The random problem is that of `gaussian_problem`; its start is drawn with seed + 1. ``signed`` is True for signals
    u^L - v^L, False for x^L; ``power`` is K of the law c r^K; ``r0`` and ``start`` are norm and law of the start. A, b
    and u0 are the problem in two or three dimensions and the direction of its start, rows separated by semicolons;
    azimuth and elevation are the angles of the view in degrees.
    """

    truth: Truth = "sparse"
    m: int = 150
    n: int = 1000
    s: int = 10
    signed: bool = False
    depth: int = 2
    law: str = "constant"
    power: float = 1.0
    ratio: float = 0.1
    r0: float = 1.0
    start: str = "gaussian"
    seed: int = 0
    A: str = "1 2"
    b: str = "3"
    u0: str = "1 1"
    azimuth: int = 35
    elevation: int = 25

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> tuple[Self, list[str]]:
        """Return the settings in an address, and a sentence for each value replaced by its default."""
        values, messages = {}, []
        names = [field.name for field in fields(cls)]
        for name, text in query.items():
            try:
                if name in names:
                    values[name] = _read(name, text)
                else:
                    messages.append(f"{name!r} is not a setting; the settings are {', '.join(names)}.")
            except InvalidInput as reason:
                messages.append(f"{name} {reason}; the default is used.")
        settings = cls(**values)
        try:
            settings.check()
        except InvalidInput as reason:
            return cls(), [*messages, f"{reason} All defaults are used."]
        return settings, messages

    def query(self) -> dict[str, str]:
        """Return the values that differ from the defaults, as texts for an address."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _text(value) for name, value in values.items() if value != getattr(Settings, name)}

    def check(self) -> None:
        """Raise `InvalidInput` for a value outside its range, or values that do not fit together."""
        for name, text in self.query().items():
            try:
                _read(name, text)
            except InvalidInput as reason:
                raise InvalidInput(f"{name} {reason}.") from reason
        if self.s > self.n:
            raise InvalidInput(f"s = {self.s} nonzero entries do not fit into N = {self.n}.")
        if self.m * self.n > OPTIONS.max_entries:
            raise InvalidInput(f"M N = {self.m * self.n:,} is more than {OPTIONS.max_entries:,}.")
        self.plane_arrays()

    def plane_arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return A, b and the direction of the start in two or three dimensions, or raise `InvalidInput`."""
        A, b, u0 = (_numbers_in_rows(text) for text in (self.A, self.b, self.u0))
        m, n = A.shape
        if n not in (2, 3) or m >= n:
            raise InvalidInput(f"A must be 1 x 2, 1 x 3 or 2 x 3, got {m} x {n}; write rows as '1 2 3; 4 5 6'.")
        if b.size != m:
            raise InvalidInput(f"b must have {m} entries, one for each row of A, got {b.size}.")
        if np.linalg.matrix_rank(A) < m or not b.any():
            raise InvalidInput("A must have independent rows and b a nonzero entry.")
        if u0.size != n or u0.min() <= 0 or u0.min() < OPTIONS.min_start * u0.max():
            raise InvalidInput(f"u0 must have {n} positive entries within six decades, got {self.u0!r}.")
        return A, b.ravel(), u0.ravel()

    def problem_arguments(self) -> dict[str, Any]:
        """Return the arguments of `gaussian_problem`."""
        return {name: getattr(self, name) for name in ("seed", "m", "n", "truth", "s")}

    def configuration(self) -> Configuration:
        """Return network and start with weight normalization; the seed of the start is that of the problem plus 1."""
        return Configuration(
            depth=self.depth,
            signed=self.signed,
            law=f"power:{self.power:g}" if self.law == "power" else self.law,
            ratio=self.ratio,
            scale=self.r0,
            direction=self.start,
            seed=self.seed + 1,
        )

    def plane_configuration(self) -> Configuration:
        """Return network and start in two or three dimensions, both halves of a signed start equal."""
        direction = self.plane_arrays()[2].tolist() * (1 + self.signed)
        return replace(self.configuration(), direction=direction, seed=0)

    def cache_key(self, result: str) -> Settings:
        """Return the settings that ``limits``, ``map``, ``problem`` or ``plane`` depend on, the others at defaults."""
        return replace(self, **{name: getattr(Settings, name) for name in _UNUSED[result]})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _read(name: str, text: str) -> Any:
    """Return the value of a setting from its text."""
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise InvalidInput(f"must be one of {', '.join(CHOICES[name])}, got {text!r}")
        return text == "yes" if name == "signed" else text
    if name not in RANGES:
        _numbers_in_rows(text)
        return text
    kind, low, high = RANGES[name]
    try:
        value: float = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        named = "an integer" if kind is int else "a number"
        raise InvalidInput(f"must be {named} from {low:.10g} to {high:.10g}, got {text!r}")
    return value


def _numbers_in_rows(text: str) -> np.ndarray:
    """Return the matrix in a text, rows separated by semicolons."""
    try:
        found = np.array([[float(entry) for entry in row.replace(",", " ").split()] for row in text.split(";")])
    except ValueError:
        found = np.empty(0)
    if found.ndim != 2 or not found.size or not (np.abs(found) <= 1e6).all():
        raise InvalidInput(f"must be rows of numbers up to 1e6, such as '1 2; 3 4', got {text!r}")
    return found
