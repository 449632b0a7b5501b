"""Figures 1 to 5: the grids of the paper, complete and without repetition; panels of the right columns and runs."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from drawings import PANELS, PROFILE, RESULTS, draw, drawn, legend_texts, lines, matches_means
from polarbias.experiments import FIGURES, PAPER, QUICK
from polarbias.plotting.series import SERIES
from reproductions import small

NUMBERS = (1, 2, 3, 4, 5)


def tasks(profile, number, limits=False):
    return [task for task in FIGURES[number].tasks(profile) if task.is_limit == limits]


@pytest.mark.parametrize(("profile", "runs"), [(QUICK, (45, 30, 10, 10, 15)), (PAPER, (442, 1020, 160, 340, 510))])
def test_runs_of_the_papers_figures(profile, runs):
    everything = [task for number in FIGURES for task in FIGURES[number].tasks(profile)]
    assert len({task.key for task in everything}) == len({task.label for task in everything}) == len(everything)
    for number, count in zip(NUMBERS, runs, strict=True):
        mine = tasks(profile, number)
        assert all(task.figure == number for task in mine)
        assert sum(len(task.runs) for task in mine) == count
        assert {task.truth for task in mine} == {{4: "sparse", 5: "signed"}.get(number, "gaussian")}
        assert {task.trial for task in mine} == set(range(1 if number == 1 else profile.trials))
        assert {(task.depth, task.law, task.direction) for task in mine} == {(2, "constant", "gaussian")}
        assert {run.r0 for task in mine for run in task.runs} == ({1.0} if number == 3 else set(profile.r0))
        if number in (2, 4, 5):
            assert {run.ratio for task in mine for run in task.runs} == {0.1}
    rules = {(task.step, task.centred) for task in tasks(profile, 2)}
    assert rules == {("armijo", False), ("stable", False), ("armijo", True)}
    assert {task.algorithm for task in tasks(profile, 5)} == {"plain", "wn", "wn-separate"}
    for task in tasks(profile, 3):
        assert [run.ratio for run in task.runs] == ([0.1] if task.algorithm == "plain" else list(profile.ratios))
    # Figure 1 covers the plane once.
    plane = [(c.r0, c.ratio) for task in tasks(profile, 1) if task.algorithm == "wn" for c in task.runs if not c.start]
    assert sorted(plane) == sorted((r0, ratio) for r0 in profile.r0 for ratio in profile.ratios)
    for name in ("plain", "wn"):
        mine = [c for task in tasks(profile, 1) if task.algorithm == name for c in task.runs if c.ratio == 0.1]
        grid = [(r0, start) for r0 in profile.r0 for start in range(profile.starts)]
        assert sorted((c.r0, c.start) for c in mine) == sorted(grid)


@pytest.mark.parametrize("profile", [QUICK, PAPER])
def test_limits_are_complete_in_every_profile(profile):
    for number in NUMBERS:
        mine = tasks(profile, number, limits=True)
        assert {task.algorithm for task in mine} == {"plain", "wn"}
        assert {(task.truth, False) for task in tasks(profile, number)} == {(task.truth, task.centred) for task in mine}
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


@pytest.mark.parametrize("number", list(FIGURES)[1:])
def test_more_trials_only_add_tasks(number):
    few, many = (set(FIGURES[number].tasks(small(trials=trials, limit_trials=3))) for trials in (2, 4))
    assert few < many
    assert {task.trial for task in many - few} == {2, 3}


@pytest.mark.parametrize(("number", "letter"), PANELS)
def test_labels_legends_and_scales(number, letter):
    ax = drawn(number, letter)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.get_title()
    assert "{" not in ax.get_title()
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == ("linear" if (number, letter) == (8, "a") else "log")
    texts = legend_texts(ax)
    assert len(set(texts)) == len(texts)
    assert ("constant" in ax.get_title()) == ((number, letter) == (2, "c"))


@pytest.mark.parametrize(
    ("number", "letter", "rule"),
    [(1, "a", "armijo"), (2, "a", "armijo"), (2, "c", "stable"), *((n, "a", "armijo") for n in (3, 4, 5))],
)
def test_error_panels_show_runs_and_limits_of_their_figure(number, letter, rule):
    """Without centred rows, other step rules, other ratios, and the map of Figure 1."""
    ax = drawn(number, letter)
    x, y = "ratio" if number == 3 else "r0", "eps2" if number > 3 else "eps1_cert"
    runs, limits = (
        table[(table["figure"] == number) & (table["part"] == "")] for table in (RESULTS.runs, RESULTS.limits)
    )
    runs = runs[(runs["step_rule"] == rule) & ~runs["centred"]]
    dashed = {line.get_color(): line for line in ax.get_lines() if line.get_linestyle() == "--"}
    assert set(dashed) == {SERIES["plain"].color, SERIES["wn"].color}
    for name in ["plain", "wn", "wn-separate"][: 3 if number == 5 else 2]:
        [line] = lines(ax, SERIES[name].label)
        for table, curve in ((runs, line), (limits, dashed.get(SERIES[name].color))):
            part = table[table["algorithm"] == name]
            if number == 3 and name == "plain":
                assert curve.get_ydata()[0] == pytest.approx(part[y].mean())
            elif curve is not None:
                matches_means(curve, part, x, y)
    assert [text for text in legend_texts(ax) if "flow limit" in text or "steps used up" in text] == [
        f"flow limit, mean of 5{' (not per half)' * (number == 5)}"
    ]
    if number != 3:
        label, r0 = (r"$r_0=\sqrt{10}$", 10**0.5) if number > 3 else (r"$r_0^2=\min\|z\|_1$", 40**0.5)
        assert lines(ax, label)[0].get_xdata()[0] == pytest.approx(r0)


@pytest.mark.parametrize(("number", "letter"), [(2, "b"), (3, "b"), (3, "c"), (4, "b"), (5, "b")])
def test_losses_and_steps_are_those_with_weight_normalization(number, letter):
    ax = drawn(number, letter)
    runs = RESULTS.select(number, algorithm="wn")
    by, symbol = ("ratio", r"$\eta$") if number == 3 else ("r0", "$r_0$")
    if letter == "c":
        matches_means(ax.get_lines()[0], runs, by, "steps")
        return
    last = runs.groupby(by)["steps"].max()
    assert [line.get_xdata()[-1] for line in ax.get_lines()] == list(last)
    assert legend_texts(ax) == [f"{symbol} = {value:.3g}" for value in last.index]


def test_limits_that_are_no_solutions_are_not_drawn():
    limits = RESULTS.limits.copy()
    limits.loc[(limits["figure"] == 2) & (limits["r0"] == limits["r0"].min()), "loss"] = 1e-3
    dashed = [one for one in draw(2, "a", replace(RESULTS, limits=limits)).get_lines() if one.get_linestyle() == "--"]
    assert [len(line.get_xdata()) for line in dashed] == [16, 16]


def test_the_map_of_the_exact_limits():
    ax = drawn(1, "b")
    [mesh] = [item for item in ax.collections if isinstance(item, QuadMesh)]
    limits = RESULTS.limits[(RESULTS.limits["figure"] == 1) & (RESULTS.limits["part"] == "map")]
    table = limits.pivot(index="ratio", columns="r0", values="eps1_cert")
    np.testing.assert_allclose(table.columns, np.geomspace(0.01, 100, 5))
    np.testing.assert_allclose(mesh.get_array(), table.clip(lower=1e-12))
    [mark] = ax.get_lines()
    assert mark.get_xdata()[0] == pytest.approx(40**0.5)
    assert any("rho" in text for text in legend_texts(ax))
    assert ax.figure.axes[1].get_ylabel()
    assert PROFILE.map_size == mesh.get_array().shape[::-1]
