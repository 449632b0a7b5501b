"""Exported scripts give the tables of the page; they run the views and the plots."""

import runpy
from dataclasses import replace

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
def test_scripts_repeat_the_tables(tmp_path, monkeypatch, view, settings):
    monkeypatch.chdir(tmp_path)
    expected = compute(view, settings, lambda: False).table
    (tmp_path / "view.py").write_text(scripts.script(view, settings))
    found = runpy.run_path("view.py", run_name="__main__")["table"]
    assert (tmp_path / f"polarbias-{view}.png").stat().st_size > 5000
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-6, atol=1e-9)
