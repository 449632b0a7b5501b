"""Figures 6 to 8: their tasks, and panels of the right columns and runs."""

import numpy as np
import pytest

from drawings import RESULTS, changed, draw, drawn, hollow, legend_texts, lines, matches_means
from polarbias.experiments import FIGURES
from polarbias.plotting.series import SERIES
from reproductions import small

DEPTHS, LAWS = (1, 2, 3, 4, 6), {"constant": "$f = c$", "power:2": r"$f = c\,r^2$", "harmonic": "$1/f = 1/c + 1/r^2$"}


def test_tasks():
    profile = small(trials=2)
    found = {number: FIGURES[number].tasks(profile) for number in (6, 7, 8)}
    assert {(c.trial, c.algorithm, c.depth, c.step) for c in found[6]} == {
        (t, a, depth, "limit") for t in (0, 1) for a in ("plain", "wn") for depth in DEPTHS
    }
    grids = {(c.trial, c.law, c.step, *[(run.r0, run.ratio) for run in c.runs]) for c in found[7]}
    assert grids == {
        (trial, law, step, *grid)
        for trial in (0, 1)
        for law in LAWS
        for step, grid in (
            ("armijo", [(1.0, ratio) for ratio in profile.ratios]),
            ("limit", [(1.0, ratio) for ratio in profile.limit_ratios]),
            ("limit", [(r0, 0.1) for r0 in profile.limit_r0]),
        )
    }
    constant = {(algorithm, rule) for algorithm in ("wn", "wn-renormalized") for rule in ("stable", "armijo")}
    assert {(c.algorithm, c.step) for c in found[8]} == constant | {("wn", "mirror"), ("wn", "limit")}
    assert {(c.r0, c.ratio) for task in found[8] for c in task.runs} == {(1.0, 1.0)}


@pytest.mark.parametrize(("letter", "name"), [("a", "plain"), ("b", "wn")])
def test_depths(letter, name):
    ax = drawn(6, letter)
    rows = RESULTS.limits[(RESULTS.limits["figure"] == 6) & (RESULTS.limits["algorithm"] == name)]
    for depth in DEPTHS:
        matches_means(lines(ax, f"L = {depth}")[0], rows[rows["depth"] == depth], "r0", "eps1_cert")
    assert SERIES[name].label in ax.get_title()


def test_laws():
    limits, runs = (table[table["figure"] == 7] for table in (RESULTS.limits, RESULTS.runs))
    panels = {letter: drawn(7, letter) for letter in "abc"}
    unfinished = draw(7, "c", changed({"status": "max_steps"}, figure=7, law="harmonic", ratio=0.1, trial=1))
    for law, label in LAWS.items():
        for letter, part, x in (("a", "r0", "r0"), ("b", "c", "ratio")):
            mine = limits[(limits["law"] == law) & limits["part"].str.endswith(f"-{part}")]
            matches_means(lines(panels[letter], label)[0], mine, x, "eps1_cert")
        means = mine.groupby("ratio")["eps1_cert"].mean()
        steps = runs[runs["law"] == law].groupby("ratio")["steps"].mean()
        [line] = lines(panels["c"], label)
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([means[steps.index], steps]))
    assert hollow(panels["c"]) == []
    [open_one] = hollow(unfinished)
    [whole] = lines(unfinished, LAWS["harmonic"])
    assert list(open_one.get_ydata()) == [whole.get_ydata()[0]]
    assert "at least" in legend_texts(unfinished)


@pytest.mark.parametrize("letter", "ab")
def test_discretization(letter):
    runs, limits = (table[table["figure"] == 8] for table in (RESULTS.runs, RESULTS.limits))
    limit = limits.set_index("trial")["eps1_cert"]
    if letter == "b":
        runs = runs.assign(eps1_cert=(runs["eps1_cert"] - runs["trial"].map(limit)).abs())
    ax = drawn(8, letter)
    for name, suffix in (("wn", ""), ("wn-renormalized", ", $u$ renormalized")):
        mine = runs[runs["algorithm"] == name]
        [line] = lines(ax, f"constant steps{suffix}")
        matches_means(line, mine[mine["step_rule"] == "stable"], "c", "eps1_cert")
        assert list(line.get_xdata()) == [16, 32, 64, 128, 256]
        rules = {f"Armijo steps{suffix}": "armijo"} | ({"mirror descent": "mirror"} if name == "wn" else {})
        for label, rule in rules.items():
            level = mine["eps1_cert"][mine["step_rule"] == rule].mean()
            assert lines(ax, label)[0].get_ydata()[0] == pytest.approx(level)
    levels = [line.get_ydata()[0] for line in lines(ax, "flow limit")]
    assert levels == ([pytest.approx(limit.mean())] if letter == "a" else [])
