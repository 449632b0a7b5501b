"""Settings of the explorer: names, ranges, defaults, and their form in the address of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Self, get_args

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.networks.configuration import DIRECTIONS, Configuration
from polarbias.problems.ensembles import Truth

TRUTHS, LAWS = get_args(Truth), ("constant", "harmonic", "power")

DECADES = (-2.0, 2.0)
"""Smallest and largest power of ten of r0 and the ratio."""

GRID = np.geomspace(10 ** DECADES[0], 10 ** DECADES[1], 17)
"""Values of r0 and of the ratio on the map, and of r0 for the bounds."""

MAX_ENTRIES = 500_000
"""Entries of A; larger matrices slow the sliders down."""

MIN_START = 1e-6
"""Smallest entry of the start in two or three dimensions, relative to the largest."""


def _choice(allowed: tuple[str, ...], text: str) -> str:
    if text not in allowed:
        raise InvalidInput(f"must be one of {', '.join(allowed)}, got {text!r}")
    return text


def _bounded(kind: type[int] | type[float], low: float, high: float, text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        named = "an integer" if kind is int else "a number"
        raise InvalidInput(f"must be {named} from {low:.10g} to {high:.10g}, got {text!r}")
    return value


def _matrix(text: str) -> str:
    _numbers_in_rows(text)
    return text


_SCALE = partial(_bounded, float, 10 ** DECADES[0], 10 ** DECADES[1])

_READERS: dict[str, Any] = {
    "truth": partial(_choice, TRUTHS),
    "m": partial(_bounded, int, 1, 500),
    "n": partial(_bounded, int, 2, 5000),
    "s": partial(_bounded, int, 1, 5000),
    "signed": lambda text: _choice(("yes", "no"), text) == "yes",
    "depth": partial(_bounded, int, 2, 6),
    "law": partial(_choice, LAWS),
    "power": partial(_bounded, float, -2.0, 4.0),
    "ratio": _SCALE,
    "r0": _SCALE,
    "start": partial(_choice, DIRECTIONS),
    "seed": partial(_bounded, int, 0, 2**31 - 1),
    "A": _matrix,
    "b": _matrix,
    "u0": _matrix,
    "azimuth": partial(_bounded, int, -180, 180),
    "elevation": partial(_bounded, int, -90, 90),
}


@dataclass(frozen=True)
class Settings:
    """One configuration, which determines all views.

    Attributes
    ----------
    truth, m, n, s, seed
        The random problem, as in `gaussian_problem`; its start is drawn with seed + 1.
    signed
        True for signals u^L - v^L, False for x^L.
    depth, law, power, ratio
        The network and its learning-rate-ratio law; ``power`` is K of c r^K.
    r0, start
        Norm and law of the start.
    A, b, u0
        The problem in two or three dimensions and the direction of its start: rows separated by semicolons.
    azimuth, elevation
        Angles of the view of three dimensions, in degrees.
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
        found: dict[str, Any] = {}
        wrong = []
        for name, text in query.items():
            if name not in _READERS:
                wrong.append(f"{name!r} is not a setting; there are {', '.join(_READERS)}.")
                continue
            try:
                found[name] = _READERS[name](text)
            except InvalidInput as reason:
                wrong.append(f"{name} {reason}; the default is used.")
        settings = cls(**found)
        try:
            settings.check()
        except InvalidInput as reason:
            return cls(), [*wrong, f"{reason} All defaults are used."]
        return settings, wrong

    def query(self) -> dict[str, str]:
        """Return the values that differ from the defaults, as texts for an address."""
        texts = {field.name: self._text(field.name) for field in fields(self)}
        return {name: text for name, text in texts.items() if getattr(self, name) != getattr(Settings, name)}

    def _text(self, name: str) -> str:
        value = getattr(self, name)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:.12g}" if isinstance(value, float) else str(value)

    def check(self) -> None:
        """Raise `InvalidInput` for a value outside its range, or values that do not fit together."""
        for field in fields(self):
            try:
                _READERS[field.name](self._text(field.name))
            except InvalidInput as reason:
                raise InvalidInput(f"{field.name} {reason}.") from reason
        if self.s > self.n:
            raise InvalidInput(f"s = {self.s} nonzero entries do not fit into N = {self.n}.")
        if self.m * self.n > MAX_ENTRIES:
            raise InvalidInput(f"M N = {self.m * self.n:,} is more than {MAX_ENTRIES:,}.")
        self.plane_arrays()

    def plane_arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return A, b and the direction of the start in two or three dimensions.

        Raises
        ------
        InvalidInput
            Other dimensions, shapes that do not fit, a start with entries that are not positive.
        """
        A, b, u0 = (_numbers_in_rows(text) for text in (self.A, self.b, self.u0))
        m, n = A.shape
        if n not in (2, 3) or m >= n:
            raise InvalidInput(f"A must be 1 x 2, 1 x 3 or 2 x 3, got {m} x {n}; write rows as '1 2 3; 4 5 6'.")
        if b.size != m:
            raise InvalidInput(f"b must have {m} entries, one for each row of A, got {b.size}.")
        if np.linalg.matrix_rank(A) < m or not b.any():
            raise InvalidInput("A must have independent rows and b a nonzero entry.")
        if u0.size != n or u0.min() < MIN_START * u0.max() or u0.min() <= 0:
            raise InvalidInput(f"u0 must have {n} positive entries within six decades, got {self.u0!r}.")
        return A, b.ravel(), u0.ravel()

    def problem_arguments(self) -> dict[str, Any]:
        """Return the arguments of `gaussian_problem`."""
        return {name: getattr(self, name) for name in ("seed", "m", "n", "truth", "s")}

    def configuration(self) -> Configuration:
        """Return network and start with weight normalization; the seed of the start is that of the problem plus 1."""
        law = f"power:{self.power:g}" if self.law == "power" else self.law
        return Configuration(
            depth=self.depth,
            signed=self.signed,
            law=law,
            ratio=self.ratio,
            scale=self.r0,
            direction=self.start,
            seed=self.seed + 1,
        )

    def plane_configuration(self) -> Configuration:
        """Return network and start in two or three dimensions, both halves of a signed start equal."""
        direction = self.plane_arrays()[2].tolist() * (1 + self.signed)
        return replace(self.configuration(), direction=direction, seed=0)

    # The settings that a view depends on, the others at their defaults: keys of the caches.

    def of_limits(self) -> Settings:
        """Return the settings of the limits of the random problem."""
        return self._with_default("A", "b", "u0", "azimuth", "elevation")

    def of_map(self) -> Settings:
        """Return the settings of the map over r0 and the ratio."""
        return self.of_limits()._with_default("ratio", "r0")

    def of_problem(self) -> Settings:
        """Return the settings of the random problem and its minimal l1 solution."""
        return self.of_map()._with_default("depth", "law", "power", "start")

    def of_plane(self) -> Settings:
        """Return the settings of the flows in two or three dimensions."""
        return self._with_default("truth", "m", "n", "s", "seed", "start", "azimuth", "elevation")

    def _with_default(self, *names: str) -> Settings:
        return replace(self, **{name: getattr(Settings, name) for name in names})


def _numbers_in_rows(text: str) -> np.ndarray:
    """Return the matrix in a text, rows separated by semicolons."""
    try:
        rows = [[float(entry) for entry in row.replace(",", " ").split()] for row in text.split(";")]
        found = np.array(rows)
    except ValueError:
        found = np.empty(0)
    if found.ndim != 2 or not found.size or not (np.abs(found) <= 1e6).all():
        raise InvalidInput(f"must be rows of numbers up to 1e6, such as '1 2; 3 4', got {text!r}")
    return found
