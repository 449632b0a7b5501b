"""The gradient flow itself, with its whole trajectory."""

from polarbias.flow.integrate import gradient_flow
from polarbias.flow.steps import FlowProgress
from polarbias.flow.trajectory import FlowTrajectory

__all__ = ["FlowProgress", "FlowTrajectory", "gradient_flow"]
