"""Panels of the figures: the right columns of the right runs, labels and marks."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from drawings import PANELS, PROFILE, drawn, hollow, invented, legend_texts, lines
from polarbias.plotting.series import SERIES

RESULTS = invented(PROFILE)
ERRORS = [(1, "a", "armijo"), (2, "a", "armijo"), (2, "c", "stable"), *((n, "a", "armijo") for n in (3, 4, 5))]


def changed(change, **where):
    runs = RESULTS.runs.copy()
    mask = np.logical_and.reduce([np.isclose(runs[k], v) if k == "r0" else runs[k] == v for k, v in where.items()])
    assert mask.any()
    runs.loc[mask, list(change)] = list(change.values())
    return replace(RESULTS, runs=runs)


def dashed(ax):
    return {line.get_color(): line for line in ax.get_lines() if line.is_dashed() and line.get_linestyle() == "--"}


@pytest.mark.parametrize(("number", "letter"), PANELS)
def test_labels_legends_and_scales(number, letter):
    ax = drawn(number, letter, RESULTS)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.get_title()
    assert "{" not in ax.get_title()
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == ("linear" if (number, letter) == (8, "a") else "log")
    texts = legend_texts(ax)
    assert len(set(texts)) == len(texts)
    if (number, letter) in ((2, "b"), (3, "b"), (4, "b"), (5, "b")):
        values, symbol = (PROFILE.ratios, r"$\eta$") if number == 3 else (PROFILE.r0, "$r_0$")
        assert texts == [f"{symbol} = {value:.3g}" for value in sorted(values)]
    if (number, letter) == (2, "c"):
        assert "constant" in ax.get_title()


@pytest.mark.parametrize(("number", "letter", "rule"), ERRORS)
def test_error_panels_show_runs_and_limits_of_their_figure(number, letter, rule):
    """Without centred rows, other step rules, other ratios, and the map of Figure 1."""
    ax = drawn(number, letter, RESULTS)
    x, y = "ratio" if number == 3 else "r0", "eps2" if number > 3 else "eps1_cert"
    runs, limits = (table[table["figure"] == number] for table in (RESULTS.runs, RESULTS.limits))
    runs = runs[(runs["step_rule"] == rule) & ~runs["centred"] & (runs["part"] == "")]
    limits = limits[limits["part"] == ""]
    curves = dashed(ax)
    assert set(curves) == {SERIES["plain"].color, SERIES["wn"].color}
    for name in ["plain", "wn", "wn-separate"][: 3 if number == 5 else 2]:
        [line] = lines(ax, SERIES[name].label)
        for table, curve in ((runs, line), (limits, curves.get(SERIES[name].color))):
            part = table[table["algorithm"] == name]
            if name == "wn-separate" and table is limits:
                assert part.empty
            elif number == 3 and name == "plain":
                assert curve.get_ydata()[0] == pytest.approx(part[y].mean())
            else:
                means = part.groupby(x)[y].mean()
                np.testing.assert_allclose(curve.get_xydata(), np.column_stack([means.index, means]))
    texts = legend_texts(ax)
    assert sum("flow limit" in text for text in texts) == 1
    assert f"flow limit, mean of 5{' (not per half)' * (number == 5)}" in texts
    assert "steps used up" not in texts
    if number != 3:
        label, r0 = (r"$r_0=\sqrt{10}$", 10**0.5) if number > 3 else (r"$r_0^2=\min\|z\|_1$", 40**0.5)
        assert lines(ax, label)[0].get_xdata()[0] == pytest.approx(r0)
    assert drawn(number, letter, changed({"eps1_cert": 1e9}, figure=2, centred=True)).get_ylim()[1] < 1e6


@pytest.mark.parametrize(("number", "letter"), [(2, "b"), (3, "b"), (3, "c"), (4, "b"), (5, "b")])
def test_losses_and_steps_are_those_with_weight_normalization(number, letter):
    ax = drawn(number, letter, RESULTS)
    runs = RESULTS.select(number, algorithm="wn")
    if letter == "c":
        np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), runs.groupby("ratio")["steps"].mean())
        return
    by = "ratio" if number == 3 else "r0"
    last = runs.groupby(by)["steps"].max()
    assert [line.get_xdata()[-1] for line in ax.get_lines()] == list(last)


def test_limits_that_are_no_solutions_are_not_drawn():
    limits = RESULTS.limits.copy()
    limits.loc[(limits["figure"] == 2) & (limits["r0"] == limits["r0"].min()), "loss"] = 1e-3
    for line in dashed(drawn(2, "a", replace(RESULTS, limits=limits))).values():
        assert len(line.get_xdata()) == 16


def test_the_map_of_the_exact_limits():
    ax = drawn(1, "b", RESULTS)
    [mesh] = [item for item in ax.collections if isinstance(item, QuadMesh)]
    limits = RESULTS.limits[(RESULTS.limits["figure"] == 1) & (RESULTS.limits["part"] == "map")]
    scales, ratios = np.geomspace(0.01, 100, 5), np.geomspace(0.01, 10, 4)
    edges = mesh.get_coordinates()
    for centres, borders in ((scales, edges[0, :, 0]), (ratios, edges[:, 0, 1])):
        assert (borders[:-1] < centres).all()
        assert (centres < borders[1:]).all()
    table = limits.pivot(index="ratio", columns="r0", values="eps1_cert")
    np.testing.assert_allclose(mesh.get_array(), table.clip(lower=1e-12))
    [mark] = ax.get_lines()
    assert mark.get_xdata()[0] == pytest.approx(40**0.5)
    assert any("rho" in text for text in legend_texts(ax))
    assert ax.figure.axes[1].get_ylabel()
    assert "our reading" in ax.get_title().lower()


@pytest.mark.parametrize(("letter", "name"), [("a", "plain"), ("b", "wn")])
def test_depths(letter, name):
    ax = drawn(6, letter, RESULTS)
    rows = RESULTS.limits[(RESULTS.limits["figure"] == 6) & (RESULTS.limits["algorithm"] == name)]
    for depth in (1, 2, 3, 4, 6):
        [line] = lines(ax, f"L = {depth}")
        np.testing.assert_allclose(line.get_ydata(), rows[rows["depth"] == depth].groupby("r0")["eps1_cert"].mean())
    assert SERIES[name].label in ax.get_title()


def test_laws():
    labels = {"constant": "$f = c$", "power:2": r"$f = c\,r^2$", "harmonic": "$1/f = 1/c + 1/r^2$"}
    rows, runs = RESULTS.limits, RESULTS.runs
    panels = {letter: drawn(7, letter, RESULTS) for letter in "abc"}
    unfinished = drawn(7, "c", changed({"status": "max_steps"}, figure=7, law="harmonic", ratio=0.1, trial=1))
    for law, label in labels.items():
        for letter, part, x in (("a", "r0", "r0"), ("b", "c", "ratio")):
            [line] = lines(panels[letter], label)
            mine = rows[(rows["figure"] == 7) & (rows["law"] == law) & rows["part"].str.endswith(f"-{part}")]
            means = mine.groupby(x)["eps1_cert"].mean()
            np.testing.assert_allclose(line.get_xydata(), np.column_stack([means.index, means]))
        [line] = lines(panels["c"], label)
        steps = runs[(runs["figure"] == 7) & (runs["law"] == law)].groupby("ratio")["steps"].mean()
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([means[steps.index], steps]))
    assert hollow(panels["c"]) == []
    [open_one] = hollow(unfinished)
    [whole] = lines(unfinished, labels["harmonic"])
    assert list(open_one.get_ydata()) == [whole.get_ydata()[0]]
    assert "at least" in legend_texts(unfinished)


@pytest.mark.parametrize("letter", "ab")
def test_discretization(letter):
    runs, limits = RESULTS.runs[RESULTS.runs["figure"] == 8], RESULTS.limits[RESULTS.limits["figure"] == 8]
    limit = limits.set_index("trial")["eps1_cert"]
    if letter == "b":
        runs = runs.assign(eps1_cert=(runs["eps1_cert"] - runs["trial"].map(limit)).abs())
    ax = drawn(8, letter, RESULTS)
    for name, suffix in (("wn", ""), ("wn-renormalized", ", $u$ renormalized")):
        [line] = lines(ax, f"constant steps{suffix}")
        means = runs[(runs["algorithm"] == name) & (runs["step_rule"] == "stable")].groupby("c")["eps1_cert"].mean()
        assert list(means.index) == [16, 32, 64, 128, 256]
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([means.index, means]))
        rules = {f"Armijo steps{suffix}": "armijo"} | ({"mirror descent": "mirror"} if name == "wn" else {})
        for label, rule in rules.items():
            [line] = lines(ax, label)
            mine = runs[(runs["algorithm"] == name) & (runs["step_rule"] == rule)]
            assert line.get_ydata()[0] == pytest.approx(mine["eps1_cert"].mean())
    levels = [line.get_ydata()[0] for line in lines(ax, "flow limit")]
    assert levels == ([pytest.approx(limit.mean())] if letter == "a" else [])
