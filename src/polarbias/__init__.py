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
    from polarbias.bibliography import citation as citation
    from polarbias.certificate import Certificate as Certificate
    from polarbias.certificate import certify as certify
    from polarbias.descent import DescentProgress as DescentProgress
    from polarbias.descent import gradient_descent as gradient_descent
    from polarbias.dynamics import vector_field as vector_field
    from polarbias.ensembles import center_rows as center_rows
    from polarbias.ensembles import folded_gaussian_direction as folded_gaussian_direction
    from polarbias.ensembles import gaussian_matrix as gaussian_matrix
    from polarbias.ensembles import gaussian_problem as gaussian_problem
    from polarbias.ensembles import gaussian_truth as gaussian_truth
    from polarbias.ensembles import signed_truth as signed_truth
    from polarbias.ensembles import sparse_truth as sparse_truth
    from polarbias.ensembles import uniform_direction as uniform_direction
    from polarbias.errors import ClusterError as ClusterError
    from polarbias.errors import Inaccurate as Inaccurate
    from polarbias.errors import Infeasible as Infeasible
    from polarbias.errors import InvalidInput as InvalidInput
    from polarbias.errors import InvalidProblem as InvalidProblem
    from polarbias.errors import NotReachable as NotReachable
    from polarbias.errors import PolarbiasError as PolarbiasError
    from polarbias.errors import StoreBusy as StoreBusy
    from polarbias.errors import StoreMismatch as StoreMismatch
    from polarbias.flow import FlowProgress as FlowProgress
    from polarbias.flow import FlowTrajectory as FlowTrajectory
    from polarbias.flow import gradient_flow as gradient_flow
    from polarbias.limit import flow_limit as flow_limit
    from polarbias.mirror_steps import MirrorProgress as MirrorProgress
    from polarbias.mirror_steps import mirror_descent as mirror_descent
    from polarbias.parameterization import Difference as Difference
    from polarbias.parameterization import Factor as Factor
    from polarbias.parameterization import FactorNetwork as FactorNetwork
    from polarbias.parameterization import HadamardDifference as HadamardDifference
    from polarbias.parameterization import HadamardPower as HadamardPower
    from polarbias.parameterization import Network as Network
    from polarbias.parameterization import Pair as Pair
    from polarbias.parameterization import Polar as Polar
    from polarbias.parameterization import WeightNormalization as WeightNormalization
    from polarbias.potential import Potential as Potential
    from polarbias.problem import LinearProblem as LinearProblem
    from polarbias.problem import stack as stack
    from polarbias.pursuit import Pursuit as Pursuit
    from polarbias.pursuit import PursuitProgress as PursuitProgress
    from polarbias.pursuit import PursuitStatus as PursuitStatus
    from polarbias.pursuit import basis_pursuit as basis_pursuit
    from polarbias.pursuit import basis_pursuit_denoise as basis_pursuit_denoise
    from polarbias.ratio import ConstantRatio as ConstantRatio
    from polarbias.ratio import HarmonicRatio as HarmonicRatio
    from polarbias.ratio import PowerRatio as PowerRatio
    from polarbias.ratio import RatioLaw as RatioLaw
    from polarbias.reference import Minimum as Minimum
    from polarbias.reference import minimal_l1 as minimal_l1
    from polarbias.reference import minimal_l2 as minimal_l2
    from polarbias.sensitivity import Sensitivity as Sensitivity
    from polarbias.sensitivity import limit_sensitivity as limit_sensitivity
    from polarbias.solution import Safety as Safety
    from polarbias.solution import Solution as Solution
    from polarbias.solution import Status as Status
    from polarbias.solution import Trajectory as Trajectory
    from polarbias.step_size import Armijo as Armijo
    from polarbias.step_size import ConstantStep as ConstantStep
    from polarbias.step_size import StepSize as StepSize
    from polarbias.theory.verify import Verification as Verification
    from polarbias.theory.verify import verify as verify

__version__ = "0.1.0"

_HOMES = {
    "bibliography": ("citation",),
    "certificate": ("Certificate", "certify"),
    "descent": ("DescentProgress", "gradient_descent"),
    "dynamics": ("vector_field",),
    "ensembles": (
        "center_rows",
        "folded_gaussian_direction",
        "gaussian_matrix",
        "gaussian_problem",
        "gaussian_truth",
        "signed_truth",
        "sparse_truth",
        "uniform_direction",
    ),
    "errors": (
        "ClusterError",
        "Inaccurate",
        "Infeasible",
        "InvalidInput",
        "InvalidProblem",
        "NotReachable",
        "PolarbiasError",
        "StoreBusy",
        "StoreMismatch",
    ),
    "flow": ("FlowProgress", "FlowTrajectory", "gradient_flow"),
    "mirror_steps": ("MirrorProgress", "mirror_descent"),
    "limit": ("flow_limit",),
    "parameterization": (
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
    "potential": ("Potential",),
    "problem": ("LinearProblem", "stack"),
    "pursuit": ("Pursuit", "PursuitProgress", "PursuitStatus", "basis_pursuit", "basis_pursuit_denoise"),
    "ratio": ("ConstantRatio", "HarmonicRatio", "PowerRatio", "RatioLaw"),
    "reference": ("Minimum", "minimal_l1", "minimal_l2"),
    "sensitivity": ("Sensitivity", "limit_sensitivity"),
    "solution": ("Safety", "Solution", "Status", "Trajectory"),
    "step_size": ("Armijo", "ConstantStep", "StepSize"),
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
