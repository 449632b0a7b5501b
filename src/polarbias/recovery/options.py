"""Numerical parameters of basis pursuit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PursuitOptions:
    """Parameters."""

    # presolve
    sparse_entries: int = 500_000
    sparse_share: float = 0.1
    dense_entries: int = 100_000_000
    # stages
    first_length: float = 30.0
    length_factor: float = 10.0
    proximal_steps: int = 8
    newton_steps: int = 500
    interior_steps: int = 60
    newton_columns: int = 3
    cheap_gap: float = 0.1
    expensive_gap: float = 1e-4
    vertex_share: float = 0.9
    completion_residual: float = 1e-6
    support_tol: float = 1e-10
    # interior point
    boundary_share: float = 0.995
    negligible_weight: float = 1e-3
    refined_gap: float = 1e-4
    corrections: int = 2
    correction_reach: float = 0.3
    correction_gain: float = 0.05
    patience: int = 4
    last_patience: int = 15
    # greedy
    outlier: float = 3.0
    greedy_support: float = 0.75
    greedy_rounds: int = 10
    greedy_residual: float = 1e-11
    held_correlation: float = 0.95
    held_share: float = 0.95
    # proximal
    proximal_residual: float = 1e-11
    damping: float = 1e-6
    # support
    candidates_per_entry: int = 4
    most_candidates: int = 1000
    dependence_tol: float = 1e-12


OPTIONS = PursuitOptions()
