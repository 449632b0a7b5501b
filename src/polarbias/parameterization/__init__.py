"""Networks: maps from trained parameters to the signal, with and without weight normalization."""

from polarbias.parameterization.base import Factor, FactorNetwork, Network, Pair, Polar
from polarbias.parameterization.hadamard import Difference, HadamardDifference, HadamardPower
from polarbias.parameterization.weight_normalization import WeightNormalization

__all__ = [
    "Difference",
    "Factor",
    "FactorNetwork",
    "HadamardDifference",
    "HadamardPower",
    "Network",
    "Pair",
    "Polar",
    "WeightNormalization",
]
