"""Checks of option values, shared by all public functions: type and range, before any work."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from numbers import Real
from operator import index
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput

MAX_STEPS = 10**15
"""Upper bound of every ``max_steps``: counts of steps and trials stay far below the range of int64."""


def number(
    name: str,
    value: object,
    *,
    above: float = -inf,
    least: float = -inf,
    most: float = inf,
    below: float = inf,
) -> float:
    """Return ``value`` as a float, or raise `InvalidInput` unless it is in [least, most] and (above, below).

    >>> number("sigma", 1, least=0)
    1.0
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    try:
        converted = float(value) if real else np.nan  # type: ignore[arg-type]
    except OverflowError:  # an integer beyond the range of floats
        converted = np.nan
    if not (np.isfinite(converted) and above < converted < below and least <= converted <= most):
        raise InvalidInput(f"{name} must be {_range('a finite number', above, least, most, below)}, got {value!r}.")
    return converted


def positive_number(name: str, value: object, most: float = inf) -> float:
    """Return ``value`` as a float, or raise `InvalidInput` unless 0 < value <= most."""
    return number(name, value, above=0, most=most)


def tolerance(name: str, value: object, most: float = inf) -> float:
    """Return ``value`` as a float, or raise `InvalidInput` unless 0 <= value <= most."""
    return number(name, value, least=0, most=most)


def whole_number(name: str, value: object, least: int = 1, most: float = inf) -> int:
    """Return ``value`` as an int, or raise `InvalidInput` unless it is an integer (no bool) in [least, most].

    >>> whole_number("max_steps", np.int64(5))
    5
    """
    try:
        converted = index(None if isinstance(value, bool | np.bool_) else value)  # type: ignore[arg-type]
    except TypeError:
        converted = None
    if converted is None or not least <= converted <= most:
        raise InvalidInput(f"{name} must be {_range('an integer', -inf, least, most, inf)}, got {value!r}.")
    return converted


def depth_number(value: object) -> int:
    """Return the depth of a network, or raise `InvalidInput` unless it is an integer from 1 to 1000."""
    return whole_number("depth", value, 1, 1000)


def step_limit(name: str, value: object) -> int:
    """Return the largest number of steps of a run, or raise `InvalidInput` unless it is from 1 to `MAX_STEPS`."""
    return whole_number(name, value, 1, MAX_STEPS)


def flag(name: str, value: object) -> bool:
    """Return ``value`` as a bool, or raise `InvalidInput` unless it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def optional_callback(name: str, value: Any) -> Callable[..., Any] | None:
    """Return ``value``, or raise `InvalidInput` unless it is None or callable."""
    if value is not None and not callable(value):
        raise InvalidInput(f"{name} must be a function of one argument or None, got {value!r}.")
    return value  # type: ignore[no-any-return]


def choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """Return ``value``, or raise `InvalidInput` unless it is one of the ``allowed`` strings."""
    if not (isinstance(value, str) and value in allowed):
        raise InvalidInput(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}.")
    return value


def _range(kind: str, above: float, least: float, most: float, below: float) -> str:
    """Return the description of an allowed range."""
    if np.isfinite([least, most]).all():
        return f"{kind} from {least:g} to {most:g}"
    bounds = {"above": above, "of at least": least, "of at most": most, "below": below}
    text = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if np.isfinite(bound))
    return f"{kind} {text}".rstrip()
