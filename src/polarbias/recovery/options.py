"""Numerical parameters of basis pursuit, each with the measurement behind its value.

Names in parentheses are those of the problems of ``tests/recovery/test_options.py``, with 40 to 300 rows and
100 to 7000 columns. Steps are counts of factorizations. That test fails if a parameter changes by a factor of 2 to 10.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PursuitOptions:
    """Parameters of presolve, greedy start, interior point method and proximal steps."""

    sparse_entries: int = 500_000
    """Entries of A from which on sparse products pay. Seconds at 10% nonzero entries, sparse and dense: 0.063 and 0.045
    with 200,000 entries, 0.098 and 0.083 with 500,000, 0.136 and 0.159 with 1,200,000, 0.31 and 0.36 with 3,200,000."""

    sparse_share: float = 0.1
    """Share of nonzero entries up to which they pay. With 1,200,000 entries, at 2%: 0.09 and 0.14 s; at 20%: 0.23 and
    0.18 s."""

    outlier: float = 3.0
    """Columns enter the support if their correlation is this multiple of a random column's. At 4.5, 18 steps instead of
    9 (operator); at 2, the greedy start no longer finds the signal (sparse)."""

    greedy_rounds: int = 10
    """Largest number of rounds. 5 miss the signal (sparse); each further round costs a step (dense, weights)."""

    greedy_residual: float = 1e-11
    """Residual, relative to b, of a solution: a step more at 1e-13 and less at 1e-10 (operator)."""

    held_correlation: float = 0.95
    """Share of its bound to which a violating correlation is fixed. Of 80 sparse signals in 60 x 240, 63 are certified,
    43 at 0.75 and 67 at 0.98 (violated bounds: 12 steps instead of 16)."""

    held_share: float = 0.95
    """Largest number of fixed correlations, in units of M. Of the same signals 60 are certified at 0.75, 51 at 0.5."""

    newton_columns: int = 3
    """Columns of Newton matrices, in units of M. With 1, 26 steps instead of 17 (dense); with 2, 21 instead of 18
    (weights); 4 and 6 save at most one step."""

    boundary_share: float = 0.995
    """Share of the step to the boundary. 14 steps instead of 12 at 0.99 and at 0.998 (sparse matrix)."""

    negligible_weight: float = 1e-3
    """Weights below this multiple of the M-th largest are left out of Newton matrices. 14 steps instead of 12 at 0.01
    and 20 at 0.1 (sparse matrix); smaller values change no count."""

    refined_gap: float = 1e-4
    """Gap below which Newton systems are refined once, at the cost of a solve. Counts change from 1e-3 on (six decades,
    1 iterate more)."""

    corrections: int = 2
    """Largest number of Gondzio's corrections, of a solve each. With 1, 19 steps instead of 12 (sparse matrix) and one
    more on most problems; with 3, two fewer (six decades) or two more (sparse matrix)."""

    correction_reach: float = 0.3
    """Increase of the step length that a correction aims at. At 0.1 one more step on most problems, at 0.9 five more
    (sparse matrix)."""

    correction_gain: float = 0.05
    """Least increase of the two step lengths by a correction. 16 steps instead of 12 at 0.03 and 17 at 0.15 (sparse
    matrix)."""

    patience: int = 4
    """Steps without progress after which more columns are used, or the method ends at rounding level. With 3, one step
    more (sparse matrix); each further one costs a step (infeasible)."""

    last_patience: int = 15
    """Further such steps with all columns, after which the method ends; each costs a step (infeasible)."""

    cheap_gap: float = 0.1
    """Gap up to which supports of up to M / 2 entries are tried. At 0.3, seven problems have one more failing trial."""

    expensive_gap: float = 1e-4
    """The same for larger supports and vertices, of the cost of a step. At 1e-5 one step more (nonnegative dense), at
    1e-3 two failing trials more (nonnegative dense)."""

    vertex_share: float = 0.9
    """Entries above their slack, in units of M, from which on a vertex is tried. At 0.97 one step more (nonnegative
    dense)."""

    completion_residual: float = 1e-6
    """Residual of a polished support below which a linear program looks for missing small entries. A trial costs a
    program of up to 1000 columns. At 1e-5 one step fewer (six decades)."""

    first_length: float = 30.0
    """Length of the first proximal step, in units of b / M^(1/2). At 90, 88 steps instead of 58 (noise, operator); at
    10, 40, and 70 instead of 75 (dense signal, operator)."""

    length_factor: float = 10.0
    """Growth of this length. At 30, 79 steps instead of 58 (noise, operator)."""

    newton_steps: int = 500
    """Newton steps of all proximal steps. A matrix of condition 1e7 uses them all and ends with a gap of 2e-10."""

    proximal_residual: float = 1e-11
    """Residual, relative to b, of a solved proximal step. 1e-13 is below rounding level (noise, operator: no end)."""

    damping: float = 1e-6
    """Multiple of the identity in semismooth Newton matrices, in units of a column's squared norm. Seconds (noise,
    operator): 1.7 at 1e-4, 0.75 at 1e-5, 0.54 at 1e-6, 0.71 at 1e-7."""


OPTIONS = PursuitOptions()
