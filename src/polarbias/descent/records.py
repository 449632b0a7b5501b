"""Records of a run: log-spaced turns, and trajectories padded to one length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polarbias.descent.options import DescentOptions
from polarbias.descent.worker_state import RunState
from polarbias.solution import Trajectory


def log_spaced_schedule(max_steps: int, max_rejections: int, options: DescentOptions) -> np.ndarray:
    """Return the log-spaced turns at which records are written, up to the last turn that can happen."""
    last = max_steps * (max_rejections + 1) + max_rejections
    ratio = (max_steps + 1) ** (1 / options.records)
    turns = np.unique(np.rint(ratio ** np.arange(np.ceil(np.log(last + 1) / np.log(ratio)) + 1)).astype(np.int64))
    turns = np.concatenate([[0], turns[turns <= last]])
    # `last + 1` is never reached, so that a next record exists at every turn.
    room = options.records_multiple
    return np.pad(turns, (0, room - len(turns) % room), constant_values=last + 1)


def padded_trajectory(ends: Sequence[RunState], r: np.ndarray, x: np.ndarray) -> Trajectory:
    """Return the padded records of all runs, without records that repeat a step, and with the final states."""
    batch_shape = r.shape
    last = zip(ends, r.ravel(), x.reshape((-1, x.shape[-1])), strict=True)
    runs: list[tuple[np.ndarray | None, ...]] = []
    for end, radius, signal in last:
        rows = end.records
        final = (end.steps, end.loss, radius, np.abs(signal).sum(), signal)
        columns = (rows.step, *rows.values.T, rows.x)
        new = np.append(np.diff(rows.step, prepend=-1) > 0, end.steps > rows.step[-1])
        runs.append(
            tuple(
                None if old is None else np.append(old, np.asarray(value, old.dtype)[None], axis=0)[new]
                for old, value in zip(columns, final, strict=True)
            )
        )
    most = max(len(run[0]) for run in runs)  # type: ignore[arg-type]

    def padded(index: int, padding: float) -> np.ndarray | None:
        columns = [run[index] for run in runs]
        if columns[0] is None:
            return None
        whole = np.full((len(columns), most, *columns[0].shape[1:]), padding, columns[0].dtype)
        for row, column in zip(whole, columns, strict=True):
            row[: len(column)] = column  # type: ignore[arg-type]
        return whole.reshape((*batch_shape, *whole.shape[1:]))

    return Trajectory(padded(0, -1), *(padded(index, np.nan) for index in range(1, 5)))  # type: ignore[arg-type]
