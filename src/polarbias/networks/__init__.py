"""Networks: maps from trained parameters to the signal, with and without weight normalization."""

from polarbias.networks.base import Factor, FactorNetwork, Network, Pair, Polar
from polarbias.networks.hadamard import Difference, HadamardDifference, HadamardPower
from polarbias.networks.weight_normalization import WeightNormalization

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
