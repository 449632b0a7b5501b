"""Specifications of experiments: profiles, runs, and tasks, the units that are computed and stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from polarbias.networks.configuration import Configuration, start_direction
from polarbias.problems.ensembles import Truth
from polarbias.problems.linear import LinearProblem
from polarbias.runtime.options import whole_number

LIMIT = "limit"
"""Step rule of tasks of exact limits of the flow."""

SQRT10 = float(np.sqrt(10))
"""Root of the sparse truths' l1 norm: the largest r0 with recovery."""

SCALES = tuple(float(10**exponent) for exponent in np.linspace(-2, 2, 17))
RATIOS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class Profile:
    """Sizes, grids and budget of a reproduction.

    Exact limits are cheap, so every profile has them on the whole grids: ``limit_trials`` trials over ``limit_r0`` and
    ``limit_ratios``, and a map of ``map_size`` values of r0 and of the ratio.
    """

    name: str
    trials: int
    starts: int
    r0: tuple[float, ...]
    ratios: tuple[float, ...]
    max_steps: int
    seed: int = 0
    m: int = 150
    n: int = 1000
    s: int = 10
    ratio: float = 0.1
    scale: float = 1.0
    tol: float = 1e-12
    limit_trials: int = 10
    limit_r0: tuple[float, ...] = SCALES
    limit_ratios: tuple[float, ...] = RATIOS
    map_size: tuple[int, int] = (65, 49)

    def identity(self) -> dict[str, Any]:
        """Return the fields that determine a task's numbers: all but the number of trials."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trials"}

    def for_limits(self, trials: int = 0) -> Profile:
        """Return the profile with the grids of the exact limits, for ``trials`` or their own number of trials."""
        return replace(
            self,
            trials=trials or max(self.trials, self.limit_trials),
            starts=max(self.starts, self.limit_trials),
            r0=self.limit_r0,
            ratios=self.limit_ratios,
        )

    @classmethod
    def restored(cls, identity: dict[str, Any], trials: int) -> Profile:
        """Return the profile of an `identity` that was read from JSON."""
        listed: dict[str, Any] = {name: tuple(value) for name, value in identity.items() if isinstance(value, list)}
        return cls(**{**identity, **listed, "trials": trials})


QUICK = Profile(
    name="quick", trials=1, starts=3, r0=(0.01, 0.1, 1.0, SQRT10, 10.0), ratios=(10.0, 1.0, 0.3, 0.1), max_steps=100_000
)
PAPER = Profile(name="paper", trials=10, starts=10, r0=SCALES, ratios=RATIOS, max_steps=1_000_000)
PROFILES = {profile.name: profile for profile in (QUICK, PAPER)}


@dataclass(frozen=True)
class RunConfiguration:
    """Start and ratio of one run or limit of a task; ``c`` scales the step ``stable``."""

    r0: float
    ratio: float
    start: int
    c: float = 0.5


@dataclass(frozen=True, eq=False)
class Instance:
    """A user's own problem, dense, or own start of a task with one run, in place of random ones."""

    problem: LinearProblem
    configuration: Configuration

    def identity(self) -> dict[str, Any]:
        """Return the settings that determine the numbers besides the fields: a digest of the arrays, and the signs."""
        direction = self.configuration.direction
        state = hashlib.sha256(str(self.problem.A.shape).encode())
        for array in (self.problem.A, self.problem.b, *([] if isinstance(direction, str) else [direction])):
            state.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
        return {"sha256": state.hexdigest(), "signed": self.configuration.signed}


@dataclass(frozen=True)
class Task:
    """Batch of runs on one problem: the unit that is computed, stored and resumed.

    Attributes
    ----------
    figure
        Number of the figure, 0 for a run of its own.
    trial
        Number of the problem; with the seed it fixes A and the truth.
    truth, direction
        ``gaussian``, ``sparse`` or ``signed``; ``gaussian`` or ``uniform``; ``file`` for those of a user's own.
    runs
        Starts and ratios; ``RunConfiguration.start`` numbers the direction u0.
    step
        ``armijo``, ``stable`` (constant, computed), a number (constant), ``mirror`` for mirror descent, or ``limit``
        for the exact limit of the flow.
    centred
        True if the rows of A are centred to sum to zero.
    algorithm, depth, law
        As in `Configuration`; a run's ratio is eta or c.
    part
        Distinguishes tasks that differ only in their runs.
    size
        M, N and s, instead of the profile's.
    instance
        A user's own problem and start.
    """

    figure: int
    trial: int
    algorithm: str
    truth: Truth | Literal["file"]
    runs: tuple[RunConfiguration, ...]
    step: str = "armijo"
    centred: bool = False
    depth: int = 2
    law: str = "constant"
    direction: str = "gaussian"
    part: str = ""
    size: tuple[int, int, int] | None = None
    instance: Instance | None = None

    def identity(self) -> dict[str, Any]:
        """Return the fields that determine the task's numbers, beside its profile."""
        found = asdict(replace(self, instance=None))
        found["instance"] = self.instance and self.instance.identity()
        return {name: value for name, value in found.items() if value is not None}

    @property
    def key(self) -> str:
        """Name of the task's files."""
        origin = f"figure{self.figure}" if self.size is None else "sweep"  # only a sweep has sizes of its own
        step, centred = self.step if self.step != "armijo" else "", "centred" * self.centred
        return "-".join(filter(None, [origin, f"trial{self.trial:02d}", self.algorithm, step, centred, self.part]))

    @property
    def label(self) -> str:
        """Name of the task in messages."""
        named = {"armijo": "", "stable": "constant step", "mirror": "mirror descent", LIMIT: "exact limits"}
        step = named.get(self.step, f"constant step {self.step}")
        figure = f"Figure {self.figure}" if self.figure else ""
        trial = f"trial {self.trial}" if self.figure or self.size is not None else ""
        return ", ".join(filter(None, [figure, trial, self.algorithm, step, "centred rows" * self.centred, self.part]))

    @property
    def is_limit(self) -> bool:
        """True for exact limits, False for runs."""
        return self.step == LIMIT

    @property
    def signed(self) -> bool:
        """True for signed signals."""
        return self.truth == "signed" if self.instance is None else self.instance.configuration.signed

    def dimensions(self, profile: Profile) -> tuple[int, int, int]:
        """Return M, N and s of the problem."""
        return self.size or (profile.m, profile.n, profile.s)

    def configuration(self, profile: Profile) -> Configuration:
        """Return the networks and starts of the batch, one entry per run."""
        signed = self.signed
        length = self.dimensions(profile)[1] * (1 + signed)
        if self.instance is not None:
            one = self.instance.configuration
            direction = one.direction
            if isinstance(direction, str):
                direction = start_direction(direction, length, one.seed)
            directions = np.array(direction)[None]
        else:
            one = Configuration(algorithm=self.algorithm, depth=self.depth, signed=signed, law=self.law)
            drawn = {
                start: start_direction(self.direction, length, profile.seed, experiment=self.figure, trial=start)
                for start in {run.start for run in self.runs}
            }
            directions = np.stack([drawn[run.start] for run in self.runs])
        ratio, scale = (np.array([getattr(run, name) for run in self.runs]) for name in ("ratio", "r0"))
        return replace(one, ratio=ratio, scale=scale, direction=directions)


def configurations(r0: Iterable[float], ratios: Sequence[float], starts: Iterable[int]) -> tuple[RunConfiguration, ...]:
    """Return the product of starts, ratios and scales."""
    scales = tuple(r0)
    return tuple(RunConfiguration(scale, ratio, start) for start in starts for ratio in ratios for scale in scales)


def scale_sweep(profile: Profile, figure: int, truth: Truth, algorithms: Sequence[str], **options: Any) -> list[Task]:
    """Return the tasks of an experiment over r0 at the profile's fixed ratio, one per trial and algorithm."""
    return [
        Task(figure, trial, algorithm, truth, configurations(profile.r0, [profile.ratio], [trial]), **options)
        for trial in range(profile.trials)
        for algorithm in algorithms
    ]


def limit_sweep(profile: Profile, figure: int, truth: Truth) -> list[Task]:
    """Return the tasks of exact limits over r0, plain and weight-normalized, one of each per trial."""
    return scale_sweep(profile.for_limits(), figure, truth, ("plain", "wn"), step=LIMIT)


def adjusted(profile: Profile, trials: int | None, max_steps: int | None, seed: int | None) -> Profile:
    """Return the profile with the numbers that are not None.

    >>> adjusted(QUICK, trials=2, max_steps=None, seed=None).trials
    2
    """
    given = (("trials", trials, 1), ("max_steps", max_steps, 1), ("seed", seed, 0))
    changes: dict[str, Any] = {name: whole_number(name, value, low) for name, value, low in given if value is not None}
    return replace(profile, **changes)
