"""Exported scripts give the tables of the page; they run the views and the plots."""

import os
import subprocess
import sys
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest

from polarbias.explorer import scripts
from polarbias.explorer.page import compute
from polarbias.explorer.settings import Settings

SMALL = Settings(m=20, n=60, s=3)
SIGNED = replace(SMALL, truth="signed", signed=True, depth=3, law="power", power=1.5, start="uniform")
SPACE = replace(SMALL, A="1 2 0.5", b="2", u0="1 1 2", law="harmonic", truth="gaussian", r0=0.5)


@pytest.mark.parametrize("view", scripts.VIEWS)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SMALL, id="default"),
        pytest.param(SIGNED, id="signed", marks=pytest.mark.full),
        pytest.param(SPACE, id="space", marks=pytest.mark.full),
    ],
)
def test_scripts_repeat_the_tables(tmp_path, view, settings):
    table = compute(view, settings, lambda: False).table
    expected = pd.read_csv(StringIO(table.to_csv(index=False, float_format="%.17g")))
    path = tmp_path / f"{view}.py"
    path.write_text(scripts.script(view, settings) + "table.to_csv('table.csv', index=False, float_format='%.17g')\n")
    done = subprocess.run(
        [sys.executable, "-W", "error:::__main__", path.name],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"polarbias-{view}.png").stat().st_size > 5000
    found = pd.read_csv(tmp_path / "table.csv")
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-6, atol=1e-9)
