"""Gradient flow: solvers for its differential equations, and the trajectory as functions of time."""
