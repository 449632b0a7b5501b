"""Exact limits of gradient flow by convex duality, decisions on collapse, derivatives of limits."""
