"""Tables of a reproduction in memory, as figures and statements ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from polarbias.experiments.spec import Profile


@dataclass(frozen=True)
class Results:
    """Runs and trajectories of the finished cells, and the profile they belong to."""

    profile: Profile
    runs: pd.DataFrame
    trajectories: pd.DataFrame

    def select(self, figure: int, **values: Any) -> pd.DataFrame:
        """Return the runs of a figure with the given column values; Armijo steps and rows as drawn by default."""
        return _select(self.runs, figure, values)

    def select_trajectories(self, figure: int, **values: Any) -> pd.DataFrame:
        """Return the records of a figure likewise."""
        return _select(self.trajectories, figure, values)

    @property
    def figures(self) -> list[int]:
        """Numbers of the figures that have data."""
        return [] if self.runs.empty else sorted(int(number) for number in self.runs["figure"].unique())


def _select(frame: pd.DataFrame, figure: int, values: dict[str, Any]) -> pd.DataFrame:
    if frame.empty:
        return frame
    wanted = {"figure": figure, "step_rule": "armijo", "centred": False, **values}
    mask = pd.Series(True, index=frame.index)
    for column, value in wanted.items():
        mask &= frame[column] == value
    return frame[mask]
