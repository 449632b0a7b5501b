"""How families of runs look in every figure: names, colors, markers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """How a family of runs looks in every figure."""

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
"""Errors of exact limits below this are rounding, and are drawn at it."""
