"""Grids of experiments, read from TOML files and checked before any work."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from polarbias.errors import InvalidInput
from polarbias.experiments.engine.spec import LIMIT, Profile, Task, configurations
from polarbias.networks.configuration import ALGORITHMS, DIRECTIONS
from polarbias.networks.laws import make_law
from polarbias.runtime.options import choice, flag, positive_number, step_limit, tolerance, whole_number

MAX_COMBINATIONS = 100_000
"""Largest number of combinations of a sweep; the plan of this many takes seconds."""

RULES = ("armijo", "stable", "mirror", LIMIT)


class _Key(NamedTuple):
    """Default of a key; ``convert`` takes name and value, and raises InvalidInput for a value that is not allowed."""

    default: Any
    convert: Callable[[str, Any], Any]
    is_axis: bool = True


def _law(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be constant, harmonic or power:K with a number K.")
    make_law(value, 1.0)
    name, _, exponent = value.partition(":")
    # Normalize the text so that power:2.0 and power:2 name the same stored tasks.
    return f"{name}:{float(exponent):.17g}" if exponent else name


def _rule(name: str, value: Any) -> str:
    if value in RULES:
        return str(value)
    if isinstance(value, str):
        raise InvalidInput(f"{name} must be {', '.join(RULES)} or a finite number above 0.")
    return repr(positive_number(name, value))


KEYS = {
    "truth": _Key(["gaussian"], partial(choice, allowed=("gaussian", "sparse", "signed"))),
    "m": _Key([150], whole_number),
    "n": _Key([1000], whole_number),
    "s": _Key([10], whole_number),
    "center_rows": _Key([False], flag),
    "depth": _Key([2], partial(whole_number, most=1000)),
    "algorithm": _Key(["wn"], partial(choice, allowed=ALGORITHMS)),
    "law": _Key(["constant"], _law),
    "ratio": _Key([0.1], positive_number),
    "scale": _Key([1.0], positive_number),
    "direction": _Key(["gaussian"], partial(choice, allowed=DIRECTIONS)),
    "step": _Key(["armijo"], _rule),
    "trials": _Key(1, whole_number, is_axis=False),
    "max_steps": _Key(100_000, step_limit, is_axis=False),
    "tol": _Key(1e-12, tolerance, is_axis=False),
    "seed": _Key(0, partial(whole_number, least=0, most=2**63 - 1), is_axis=False),
}
"""Keys of a sweep; an axis takes one value or a list of them, and the grid is the product of the axes."""


@dataclass(frozen=True)
class Grid:
    """Checked sweep; ``values`` has a tuple for each axis, and a single value for every other key of `KEYS`."""

    values: dict[str, Any]

    @property
    def profile(self) -> Profile:
        """Budget and seed of all tasks; their sizes are their own."""
        scales, ratios, trials = (self.values[name] for name in ("scale", "ratio", "trials"))
        options = {name: self.values[name] for name in ("max_steps", "seed", "tol")}
        return Profile("sweep", trials, trials, scales, ratios, **options)

    def specification(self) -> dict[str, Any]:
        """Return the values that determine a task's numbers beside its key; a grid may grow along all other axes."""
        return {"kind": "sweep", **{name: self.values[name] for name in ("scale", "ratio", "max_steps", "tol", "seed")}}

    def tasks(self) -> tuple[list[Task], Counter[str]]:
        """Return the tasks, and the number of impossible combinations by reason.

        A task has one run per scale and ratio. Combinations that differ in an unused value are one task.

        Raises
        ------
        InvalidInput
            All combinations are impossible, or there are more than `MAX_COMBINATIONS`.
        """
        axes = [name for name, key in KEYS.items() if key.is_axis and name not in ("scale", "ratio")]
        count = self.values["trials"] * prod(len(self.values[name]) for name in axes)
        if count > MAX_COMBINATIONS:
            raise InvalidInput(f"the sweep has {count:,} combinations; at most {MAX_COMBINATIONS:,} are allowed.")
        found: dict[str, Task] = {}
        left_out: Counter[str] = Counter()
        for trial in range(self.values["trials"]):
            for values in product(*(self.values[name] for name in axes)):
                chosen = dict(zip(axes, values, strict=True))
                reason = _impossible(**chosen)
                if reason:
                    left_out[reason] += 1
                    continue
                task = self._task(trial, **chosen)
                found.setdefault(task.key, task)
        if not found:
            reasons = "; ".join(left_out)
            raise InvalidInput(f"the sweep has no task, because in every combination {reasons}.")
        return list(found.values()), left_out

    def _task(self, trial: int, *, m: int, n: int, s: int, center_rows: bool, law: str, **chosen: Any) -> Task:
        # Plain descent does not use the law, nor a dense truth the sparsity.
        is_plain = chosen["algorithm"] == "plain"
        size = f"{m}x{n}" if chosen["truth"] == "gaussian" else f"{m}x{n}x{s}"
        named = [chosen["truth"], size, f"depth{chosen['depth']}", "" if is_plain else law.replace(":", "")]
        return Task(
            figure=0,
            trial=trial,
            runs=configurations(self.values["scale"], self.values["ratio"][: 1 if is_plain else None], [trial]),
            centred=center_rows,
            law="constant" if is_plain else law,
            part="-".join(filter(None, [*named, chosen["direction"]])),
            size=(m, n, s),
            **chosen,
        )


def _impossible(**chosen: Any) -> str:
    """Return the reason for which a combination is impossible, or an empty string."""
    truth, algorithm, step = chosen["truth"], chosen["algorithm"], chosen["step"]
    if truth != "gaussian" and chosen["s"] > chosen["n"]:
        return "s is more than n"
    if algorithm == "wn-separate" and truth != "signed":
        return "wn-separate needs a signed truth"
    if step in ("mirror", LIMIT) and algorithm not in ("plain", "wn"):
        return f"{algorithm} has no step = {step!r} of its own"
    if step == "mirror" and chosen["depth"] < 2:
        return "step = 'mirror' needs depth 2 or above"
    return ""


def read_grid(path: Path) -> Grid:
    """Read a sweep from a TOML file; missing keys have the defaults of `KEYS`.

    Raises
    ------
    InvalidInput
        The file cannot be read or is not TOML; a key is unknown; a value is not allowed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise InvalidInput(f"{path} cannot be read: {reason}.") from reason
    except ValueError as reason:  # TOML's and UTF-8's errors
        raise InvalidInput(f"{path} is not TOML: {reason}.") from reason
    for name in content:
        if name not in KEYS:
            [closest] = get_close_matches(name, KEYS, n=1, cutoff=0.0)
            raise InvalidInput(f"{path}: there is no key {name!r}; did you mean {closest!r}? Keys: {', '.join(KEYS)}.")
    return Grid({name: _checked(path, name, content.get(name, key.default), key) for name, key in KEYS.items()})


def _checked(path: Path, name: str, given: Any, key: _Key) -> Any:
    """Return the converted value, or a tuple of all values of an axis."""

    def fail(value: Any, reason: object) -> InvalidInput:
        return InvalidInput(f"{path}: {name} = {value!r} is not allowed; {reason}")

    if isinstance(given, list) and not key.is_axis:
        raise fail(given, "give one value.")
    values: list[Any] = []
    for value in given if isinstance(given, list) else [given]:
        try:
            values.append(key.convert(name, value))
        except InvalidInput as reason:
            raise fail(value, reason) from reason
    if not values:
        raise fail(given, "give at least one value.")
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise fail(given, f"give each value once: {twice[0]!r} is repeated.")
    return tuple(values) if key.is_axis else values[0]
