"""Tables of a reproduction in memory, selected by figure and column values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from polarbias.experiments.engine.spec import LIMIT, Profile

LIMIT_LOSS_TOL = 1e-12
"""Largest loss of a limit that counts as a solution of A X = b: the loss at which runs of descent end."""


@dataclass(frozen=True)
class Results:
    """Runs, trajectories and exact limits of the finished tasks, and their profile."""

    profile: Profile
    runs: pd.DataFrame
    trajectories: pd.DataFrame
    limits: pd.DataFrame = field(default_factory=pd.DataFrame)

    def select(self, figure: int, **values: Any) -> pd.DataFrame:
        """Return the runs of a figure with the given column values; Armijo steps and rows as drawn by default."""
        return _select(self.runs, figure, values)

    def select_trajectories(self, figure: int, **values: Any) -> pd.DataFrame:
        """Return the records of a figure; see `select`."""
        return _select(self.trajectories, figure, values)

    def select_limits(self, figure: int, **values: Any) -> pd.DataFrame:
        """Return the exact limits of a figure that solve A X = b; see `select`."""
        chosen = _select(self.limits, figure, {"step_rule": LIMIT, **values})
        return chosen if chosen.empty else chosen[chosen["loss"] <= LIMIT_LOSS_TOL]

    @property
    def figures(self) -> list[int]:
        """Numbers of the figures that have runs."""
        return [] if self.runs.empty else sorted(int(number) for number in self.runs["figure"].unique())


def counted(statuses: pd.Series) -> list[str]:
    """Return the counts of the statuses, the most frequent first, such as ``3 max steps``."""
    return [f"{count} {status.replace('_', ' ')}" for status, count in statuses.value_counts().items()]


def _select(frame: pd.DataFrame, figure: int, values: dict[str, Any]) -> pd.DataFrame:
    if frame.empty:
        return frame
    wanted = {"figure": figure, "step_rule": "armijo", "centred": False, **values}
    return frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
