"""Sparse recovery: minimal (weighted) l1 norms, exact or under noise, each answer with a certificate."""
