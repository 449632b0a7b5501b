"""Records of a run: log-spaced turns, and trajectories padded to one length."""

from __future__ import annotations

import numpy as np

from polarbias.descent.compiled_loop import LoopState
from polarbias.descent.options import DescentOptions
from polarbias.solution import Trajectory


def log_spaced_schedule(max_steps: int, max_rejections: int, options: DescentOptions) -> np.ndarray:
    """Return the log-spaced turns at which records are written, up to the last turn that can happen."""
    last = max_steps * (max_rejections + 1) + max_rejections
    ratio = (max_steps + 1) ** (1 / options.records)
    turns = np.unique(np.rint(ratio ** np.arange(np.ceil(np.log(last + 1) / np.log(ratio)) + 1)).astype(np.int64))
    turns = np.concatenate([[0], turns[turns <= last]])
    # `last + 1` is never reached, so that a next record exists at every turn.
    multiple = options.records_multiple
    return np.pad(turns, (0, multiple - len(turns) % multiple), constant_values=last + 1)


def padded_trajectory(state: LoopState, r: np.ndarray, x: np.ndarray) -> Trajectory:
    """Return the records of all runs, without those that repeat a step, with the final states, padded."""
    records, count = state.records, state.count[..., None]
    final = np.stack([state.loss, r, np.abs(x).sum(-1)], -1)
    # The schedule leaves space after the last record.
    np.put_along_axis(records.step, count, state.steps[..., None], -1)
    np.put_along_axis(records.values, count[..., None], final[..., None, :], -2)
    if records.x is not None:
        np.put_along_axis(records.x, count[..., None], x[..., None, :], -2)
    new = (np.arange(records.step.shape[-1]) <= count) & (np.diff(records.step, prepend=-1) > 0)
    target_index = (*np.nonzero(new)[:-1], new.cumsum(-1)[new] - 1)

    def padded(values: np.ndarray, padding: float) -> np.ndarray:
        table = np.full((*state.count.shape, new.sum(-1).max(), *values.shape[new.ndim :]), padding, values.dtype)
        table[target_index] = values[new]
        return table

    loss, radius, l1 = np.moveaxis(padded(records.values, np.nan), -1, 0)
    return Trajectory(
        padded(records.step, -1), loss, radius, l1, None if records.x is None else padded(records.x, np.nan)
    )
