"""Single runs: stored, drawn, and drawn again from the stored specification."""

import json

import pandas as pd
import pytest

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments import redraw
from polarbias.experiments.engine.spec import Profile, RunConfiguration, Task
from polarbias.experiments.grids.single import draw_single, run_single
from reproductions import quiet

TASK = Task(0, 0, "wn", "sparse", (RunConfiguration(1.0, 0.1, 0),))
PROFILE = Profile("run", 1, 1, (1.0,), (0.1,), 20, m=5, n=9, s=2)


def test_a_run_is_stored_and_drawn_again(tmp_path):
    totals, runs, trajectories, path = run_single(TASK, PROFILE, tmp_path, quiet)
    assert (totals.computed, totals.run_steps) == (1, runs["steps"].iloc[0])
    assert trajectories["loss"].iloc[-1] == pytest.approx(runs["loss"].iloc[0])
    again, stored, *_ = run_single(TASK, PROFILE, tmp_path, quiet)
    assert (again.computed, again.found) == (0, 1)
    pd.testing.assert_frame_equal(stored, runs, check_exact=True)
    [copy] = redraw(tmp_path, tmp_path / "drawn").files
    assert (copy.parent, copy.read_bytes()) == (tmp_path / "drawn", path.read_bytes())


def test_folders_without_a_finished_run(tmp_path):
    with pytest.raises(InvalidInput, match="signed"):
        run_single(Task(0, 0, "wn-separate", "sparse", TASK.runs), PROFILE, tmp_path / "none", quiet)
    assert not (tmp_path / "none").exists()
    specification = {"schema": 2, "kind": "run", "task": TASK.identity(), "profile": PROFILE.identity()}
    for content, message in ((specification, "no finished run"), ({"schema": 2, "kind": "run"}, "not describe a run")):
        (tmp_path / "spec.json").write_text(json.dumps({"specification": content, "plan": {}}))
        with pytest.raises(StoreMismatch, match=message):
            redraw(tmp_path)


def test_the_drawing_of_a_run_without_steps(tmp_path):
    track = pd.DataFrame({"step": [0], "loss": [1.0], "r": [1.0], "l1": [1.0]})
    assert draw_single(pd.DataFrame({"minimal_l1": [1.0]}), track, tmp_path).stat().st_size > 5000
