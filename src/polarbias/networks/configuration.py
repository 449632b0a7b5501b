"""Network and start of a run, as experiments, commands and estimators specify them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.networks.base import FactorNetwork
from polarbias.networks.hadamard import Difference, HadamardDifference, HadamardPower
from polarbias.networks.laws import make_law
from polarbias.networks.weight_normalization import WeightNormalization
from polarbias.problems.ensembles import folded_gaussian_direction, uniform_direction

ALGORITHMS = ("plain", "wn", "wn-separate", "wn-renormalized")
"""Without weight normalization; with it; with a coordinate for each half of a signed signal; with u kept at norm 1."""

DIRECTIONS = ("gaussian", "uniform")


@dataclass(frozen=True, kw_only=True, eq=False)
class Configuration:
    """Network and start theta0; scales, ratios and directions broadcast over a batch.

    Attributes
    ----------
    algorithm, depth
        One of `ALGORITHMS`, and L.
    signed
        True for signals u^L - v^L, False for x^L.
    law
        Learning-rate-ratio law: ``constant``, ``harmonic``, or ``power:K`` for c r^K.
    ratio
        Coefficient of the law, eta or c: a positive number or an array of shape ``batch``.
    scale
        Norm r0 of the start: a positive number or an array of shape ``batch``.
    direction
        Direction u0 of the start: one of `DIRECTIONS`, or an array of shape ``(..., n)``, ``(..., 2 n)`` if signed.
    seed
        Seed of a ``gaussian`` direction.

    Examples
    --------
    >>> configuration = Configuration(ratio=0.5, scale=2.0, direction="uniform")
    >>> configuration.network().signal(configuration.theta0(n=4))
    array([1., 1., 1., 1.])
    """

    algorithm: str = "wn"
    depth: int = 2
    signed: bool = False
    law: str = "constant"
    ratio: Any = 0.1
    scale: Any = 1.0
    direction: str | ArrayLike = "gaussian"
    seed: int = 0

    def network(self) -> FactorNetwork:
        """Return the network; raise `InvalidInput` for names or numbers that specify none."""
        if self.algorithm not in ALGORITHMS:
            raise InvalidInput(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}.")
        plain = HadamardDifference(self.depth) if self.signed else HadamardPower(self.depth)
        if self.algorithm == "plain":
            return plain
        law = make_law(self.law, self.ratio)
        if self.algorithm != "wn-separate":
            return WeightNormalization(plain, law, renormalize=self.algorithm == "wn-renormalized")
        if not self.signed:
            raise InvalidInput("'wn-separate' needs signed signals.")
        return Difference(WeightNormalization(HadamardPower(self.depth), law))

    def theta0(self, n: int) -> Any:
        """Return the start for signals of n entries; raise `InvalidInput` if scale and direction give none."""
        direction = self.direction
        if isinstance(direction, str):
            direction = start_direction(direction, n * (1 + self.signed), self.seed)
        return self.network().init(self.scale, direction)


def start_direction(law: str, length: int, seed: int, *, experiment: int = 0, trial: int = 0) -> np.ndarray:
    """Return a direction u0 of the given length, drawn from a law of `DIRECTIONS`.

    ``experiment`` and ``trial`` choose the random stream as in `folded_gaussian_direction`.
    """
    if law == "uniform":
        return uniform_direction(length)
    if law == "gaussian":
        return folded_gaussian_direction(seed, length, experiment=experiment, trial=trial)
    raise InvalidInput(f"direction must be one of {', '.join(DIRECTIONS)}, got {law!r}.")
