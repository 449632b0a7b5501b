"""Tasks of the figures: the grids of the paper, complete and without repetition, and panels as files."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from drawings import PANELS, PROFILE, invented
from polarbias.experiments import FIGURES, PAPER, QUICK, Profile
from polarbias.experiments.engine.figure import draw_all

PAPERS = (1, 2, 3, 4, 5)
SMALL = Profile(
    "small", trials=2, starts=1, r0=(0.1, 1.0), ratios=(1.0, 0.3), max_steps=300, limit_trials=3, limit_r0=(0.1, 10.0)
)


def tasks(profile, number, limits=False):
    return [task for task in FIGURES[number].tasks(profile) if task.is_limit == limits]


@pytest.mark.parametrize(("profile", "runs"), [(QUICK, (45, 30, 10, 10, 15)), (PAPER, (442, 1020, 160, 340, 510))])
def test_tasks_of_the_papers_figures(profile, runs):
    everything = [task for number in FIGURES for task in FIGURES[number].tasks(profile)]
    assert len({task.key for task in everything}) == len(everything)
    assert len({task.label for task in everything}) == len(everything)
    for number, count in zip(PAPERS, runs, strict=True):
        mine = tasks(profile, number)
        assert all(task.figure == number for task in mine)
        assert sum(len(task.runs) for task in mine) == count
        assert {task.truth for task in mine} == {{4: "sparse", 5: "signed"}.get(number, "gaussian")}
        assert {task.trial for task in mine} == set(range(1 if number == 1 else profile.trials))
        assert all(task.depth == 2 and task.law == "constant" and task.direction == "gaussian" for task in mine)
        assert {run.r0 for task in mine for run in task.runs} == ({1.0} if number == 3 else set(profile.r0))
        if number in (2, 4, 5):
            assert {run.ratio for task in mine for run in task.runs} == {0.1}
    rules = {(task.step, task.centred) for task in tasks(profile, 2)}
    assert rules == {("armijo", False), ("stable", False), ("armijo", True)}
    assert {task.algorithm for task in tasks(profile, 5)} == {"plain", "wn", "wn-separate"}
    for task in tasks(profile, 3):
        assert [run.ratio for run in task.runs] == ([0.1] if task.algorithm == "plain" else list(profile.ratios))


@pytest.mark.parametrize("profile", [QUICK, PAPER])
def test_limits_of_the_papers_figures_are_complete_in_every_profile(profile):
    for number in PAPERS:
        mine = tasks(profile, number, limits=True)
        assert {task.algorithm for task in mine} == {"plain", "wn"}
        assert {task.truth for task in mine} == {task.truth for task in tasks(profile, number)}
        assert not any(task.centred for task in mine)
        if number in (2, 4, 5):
            found = {(task.trial, task.algorithm, c.start, c.r0, c.ratio) for task in mine for c in task.runs}
            assert found == {(t, a, t, r0, 0.1) for t in range(10) for a in ("plain", "wn") for r0 in PAPER.r0}
    ratios = {(task.trial, c.ratio) for task in tasks(profile, 3, limits=True) for c in task.runs}
    assert ratios == {(trial, ratio) for trial in range(10) for ratio in PAPER.ratios}
    *swept, plane = tasks(profile, 1, limits=True)
    for task in swept:
        assert {(c.start, c.r0) for c in task.runs} == {(start, r0) for start in range(10) for r0 in PAPER.r0}
    assert {c.start for c in plane.runs} == {0}
    scales, ratios = ({round(np.log10(getattr(c, name)), 9) for c in plane.runs} for name in ("r0", "ratio"))
    np.testing.assert_allclose(sorted(scales), np.linspace(-2, 2, 65), atol=1e-9)
    np.testing.assert_allclose(sorted(ratios), np.linspace(-2, 1, 49), atol=1e-9)
    assert len(plane.runs) == 65 * 49
    assert {task.trial for task in tasks(replace(profile, trials=12), 4, limits=True)} == set(range(12))


@pytest.mark.parametrize("profile", [QUICK, PAPER])
def test_figure_1_covers_the_plane_once(profile):
    mine = tasks(profile, 1)
    plane = [(c.r0, c.ratio) for task in mine if task.algorithm == "wn" for c in task.runs if c.start == 0]
    assert sorted(plane) == sorted((r0, ratio) for r0 in profile.r0 for ratio in profile.ratios)
    for algorithm in ("plain", "wn"):
        runs = [c for task in mine if task.algorithm == algorithm for c in task.runs if c.ratio == profile.ratio]
        grid = [(r0, start) for r0 in profile.r0 for start in range(profile.starts)]
        assert sorted((c.r0, c.start) for c in runs) == sorted(grid)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 8])
def test_more_trials_only_add_tasks(number):
    few, many = (set(FIGURES[number].tasks(replace(SMALL, trials=trials))) for trials in (2, 4))
    assert few < many
    assert {task.trial for task in many - few} == {2, 3}


def test_tasks_of_the_other_figures():
    assert not tasks(SMALL, 6)
    depths = {(c.trial, c.algorithm, c.depth) for c in tasks(SMALL, 6, limits=True)}
    assert depths == {(t, a, depth) for t in (0, 1) for a in ("plain", "wn") for depth in (1, 2, 3, 4, 6)}
    laws = ("constant", "power:2", "harmonic")
    assert {(c.trial, c.law) for c in tasks(SMALL, 7)} == {(t, law) for t in (0, 1) for law in laws}
    for task in tasks(SMALL, 7):
        assert [(c.r0, c.ratio) for c in task.runs] == [(1.0, ratio) for ratio in SMALL.ratios]
    grids = {(c.law, *sorted({run.r0 for run in c.runs})) for c in tasks(SMALL, 7, limits=True)}
    assert grids == {(law, *grid) for law in laws for grid in ((1.0,), SMALL.limit_r0)}
    steps = {(c.algorithm, c.step) for c in FIGURES[8].tasks(SMALL)}
    constant = {(algorithm, rule) for algorithm in ("wn", "wn-renormalized") for rule in ("stable", "armijo")}
    assert steps == constant | {("wn", "mirror"), ("wn", "limit")}
    assert {(c.r0, c.ratio) for task in FIGURES[8].tasks(SMALL) for c in task.runs} == {(1.0, 1.0)}


def test_files_of_all_panels_are_reproducible(tmp_path, monkeypatch):
    monkeypatch.setattr("polarbias.experiments.engine.figure.PNG_DPI", 40)
    results = invented(replace(PROFILE, trials=1, starts=1, r0=(0.1, 10.0), ratios=(1.0, 0.1), limit_trials=1))
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    before = dict(mpl.rcParams)
    files = draw_all(list(FIGURES.values()), results, folders[0])
    assert dict(mpl.rcParams) == before
    names = [f"figure{number}{letter}{suffix}" for number, letter in PANELS for suffix in (".png", ".pdf")]
    assert [path.name for path in files] == [*names, "overview.png"]
    assert sorted(path.name for path in folders[0].iterdir()) == sorted([*names, "overview.png"])
    for path in files:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
        assert path.stat().st_size > 1500
    for path in draw_all([FIGURES[4]], results, folders[1])[:-1]:
        assert path.read_bytes() == (folders[0] / path.name).read_bytes(), path.name
