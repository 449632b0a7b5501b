"""Labels, colors and markers of families of runs, the same in every figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """Style of a family of runs."""

    label: str
    color: str
    marker: str


SERIES = {
    "plain": Series("without weight normalization", "#c1440e", "s"),
    "wn": Series("with weight normalization", "#1f5fa8", "o"),
    "wn-separate": Series("with, a coordinate per half", "#2a9d62", "^"),
    "wn-renormalized": Series("with, $u$ renormalized", "#2a9d62", "^"),
}

FLOOR = 1e-12
"""Smallest drawn error of exact limits; smaller ones are rounding."""
