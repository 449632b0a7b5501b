"""Exact limits of the gradient flow by convex duality, whether it collapses, and derivatives of the limits."""
