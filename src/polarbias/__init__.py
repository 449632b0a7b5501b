r"""polarbias: the sparse bias of gradient descent in polar coordinates, made runnable.

A diagonal linear network trained with weight normalization prefers sparse solutions of :math:`A X = b` even from
large starts (Chou, Rauhut, Ward, arXiv:2305.05448). A problem, seen through a network, gives a dynamics;
`gradient_descent` runs it and returns a `Solution`.

Names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polarbias.bibliography.citation import citation as citation
    from polarbias.descent.gradient_descent import DescentProgress as DescentProgress
    from polarbias.descent.gradient_descent import gradient_descent as gradient_descent
    from polarbias.descent.step_size import Armijo as Armijo
    from polarbias.descent.step_size import ConstantStep as ConstantStep
    from polarbias.descent.step_size import StepSize as StepSize
    from polarbias.descent.vector_field import vector_field as vector_field
    from polarbias.errors import ClusterError as ClusterError
    from polarbias.errors import Inaccurate as Inaccurate
    from polarbias.errors import Infeasible as Infeasible
    from polarbias.errors import InvalidInput as InvalidInput
    from polarbias.errors import InvalidProblem as InvalidProblem
    from polarbias.errors import MissingExtra as MissingExtra
    from polarbias.errors import NotReachable as NotReachable
    from polarbias.errors import PolarbiasError as PolarbiasError
    from polarbias.errors import StoreBusy as StoreBusy
    from polarbias.errors import StoreMismatch as StoreMismatch
    from polarbias.flow.gradient_flow import gradient_flow as gradient_flow
    from polarbias.flow.steps import FlowProgress as FlowProgress
    from polarbias.flow.trajectory import FlowTrajectory as FlowTrajectory
    from polarbias.limit.flow_limit import flow_limit as flow_limit
    from polarbias.limit.sensitivity import Sensitivity as Sensitivity
    from polarbias.limit.sensitivity import limit_sensitivity as limit_sensitivity
    from polarbias.mirror.mirror_descent import MirrorProgress as MirrorProgress
    from polarbias.mirror.mirror_descent import mirror_descent as mirror_descent
    from polarbias.mirror.potential import Potential as Potential
    from polarbias.networks import Difference as Difference
    from polarbias.networks import Factor as Factor
    from polarbias.networks import FactorNetwork as FactorNetwork
    from polarbias.networks import HadamardDifference as HadamardDifference
    from polarbias.networks import HadamardPower as HadamardPower
    from polarbias.networks import Network as Network
    from polarbias.networks import Pair as Pair
    from polarbias.networks import Polar as Polar
    from polarbias.networks import WeightNormalization as WeightNormalization
    from polarbias.networks.laws import ConstantRatio as ConstantRatio
    from polarbias.networks.laws import HarmonicRatio as HarmonicRatio
    from polarbias.networks.laws import PowerRatio as PowerRatio
    from polarbias.networks.ratio_law import RatioLaw as RatioLaw
    from polarbias.problems.certificate import Certificate as Certificate
    from polarbias.problems.certificate import certify as certify
    from polarbias.problems.ensembles import center_rows as center_rows
    from polarbias.problems.ensembles import folded_gaussian_direction as folded_gaussian_direction
    from polarbias.problems.ensembles import gaussian_matrix as gaussian_matrix
    from polarbias.problems.ensembles import gaussian_problem as gaussian_problem
    from polarbias.problems.ensembles import gaussian_truth as gaussian_truth
    from polarbias.problems.ensembles import signed_truth as signed_truth
    from polarbias.problems.ensembles import sparse_truth as sparse_truth
    from polarbias.problems.ensembles import uniform_direction as uniform_direction
    from polarbias.problems.linear import LinearProblem as LinearProblem
    from polarbias.problems.linear import stack as stack
    from polarbias.problems.reference import Minimum as Minimum
    from polarbias.problems.reference import minimal_l1 as minimal_l1
    from polarbias.problems.reference import minimal_l2 as minimal_l2
    from polarbias.recovery.basis_pursuit import basis_pursuit as basis_pursuit
    from polarbias.recovery.result import Pursuit as Pursuit
    from polarbias.recovery.result import PursuitProgress as PursuitProgress
    from polarbias.recovery.result import PursuitStatus as PursuitStatus
    from polarbias.solution import CollapseStatus as CollapseStatus
    from polarbias.solution import Solution as Solution
    from polarbias.solution import Status as Status
    from polarbias.solution import Trajectory as Trajectory
    from polarbias.theory.verify import Verification as Verification
    from polarbias.theory.verify import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "bibliography.citation": ("citation",),
    "descent.gradient_descent": ("DescentProgress", "gradient_descent"),
    "descent.step_size": ("Armijo", "ConstantStep", "StepSize"),
    "descent.vector_field": ("vector_field",),
    "errors": (
        "ClusterError",
        "Inaccurate",
        "Infeasible",
        "InvalidInput",
        "InvalidProblem",
        "MissingExtra",
        "NotReachable",
        "PolarbiasError",
        "StoreBusy",
        "StoreMismatch",
    ),
    "flow.gradient_flow": ("gradient_flow",),
    "flow.steps": ("FlowProgress",),
    "flow.trajectory": ("FlowTrajectory",),
    "limit.flow_limit": ("flow_limit",),
    "limit.sensitivity": ("Sensitivity", "limit_sensitivity"),
    "mirror.mirror_descent": ("MirrorProgress", "mirror_descent"),
    "mirror.potential": ("Potential",),
    "networks": (
        "Difference",
        "Factor",
        "FactorNetwork",
        "HadamardDifference",
        "HadamardPower",
        "Network",
        "Pair",
        "Polar",
        "WeightNormalization",
    ),
    "networks.laws": ("ConstantRatio", "HarmonicRatio", "PowerRatio"),
    "networks.ratio_law": ("RatioLaw",),
    "problems.certificate": ("Certificate", "certify"),
    "problems.ensembles": (
        "center_rows",
        "folded_gaussian_direction",
        "gaussian_matrix",
        "gaussian_problem",
        "gaussian_truth",
        "signed_truth",
        "sparse_truth",
        "uniform_direction",
    ),
    "problems.linear": ("LinearProblem", "stack"),
    "problems.reference": ("Minimum", "minimal_l1", "minimal_l2"),
    "recovery.basis_pursuit": ("basis_pursuit",),
    "recovery.result": ("Pursuit", "PursuitProgress", "PursuitStatus"),
    "solution": ("CollapseStatus", "Solution", "Status", "Trajectory"),
    "theory.verify": ("Verification", "verify"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f"module 'polarbias' has no attribute {name!r}")
    value = getattr(import_module(f"polarbias.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return [*__all__, "__version__"]
