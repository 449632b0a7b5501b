"""The statements of arXiv:2305.05448v1 and their sharper forms as functions: invariants, bounds, rates.

Examples
--------
>>> import polarbias as pb
>>> from polarbias import theory
>>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
>>> bound = theory.l1_bound(problem, network, network.init(0.1, [1.0, 1.0]))
>>> [hypothesis.held for hypothesis in bound.hypotheses]
[True, True, True]
"""

from polarbias.theory.bounds import excess, l1_bound, sharp_l1_bound, uniform_l1_bound
from polarbias.theory.invariants import Invariant, direction_norm, drift, flow_drift, invariant, norm_drift, signs_kept
from polarbias.theory.magnification import (
    log_magnification,
    magnification,
    magnification_bound,
    magnifying_radii,
    radius_bound,
)
from polarbias.theory.radial import radial_l1_bound, radius_band
from polarbias.theory.rates import LocalRate, local_rate, loss_rate
from polarbias.theory.statement import Bound, Hypothesis

__all__ = [
    "Bound",
    "Hypothesis",
    "Invariant",
    "LocalRate",
    "direction_norm",
    "drift",
    "excess",
    "flow_drift",
    "invariant",
    "l1_bound",
    "local_rate",
    "log_magnification",
    "loss_rate",
    "magnification",
    "magnification_bound",
    "magnifying_radii",
    "norm_drift",
    "radial_l1_bound",
    "radius_band",
    "radius_bound",
    "sharp_l1_bound",
    "signs_kept",
    "uniform_l1_bound",
]
