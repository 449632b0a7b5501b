"""The drawn panels, looked at through their axes: what is where, labelled, and marked."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from polarbias.experiments import FIGURES, QUICK
from polarbias.experiments.engine.figure import draw_all
from polarbias.experiments.engine.results import Results
from polarbias.experiments.grids.single import draw_single
from polarbias.plotting.panels import STYLE, error_curve, limit_map, loss_curves, steps_curve, trajectory_panels
from polarbias.plotting.series import SERIES

PROFILE = replace(QUICK, trials=4, starts=2, max_steps=1000, limit_trials=5, map_size=(5, 4))
PANELS = [(number, panel.letter) for number, figure in FIGURES.items() for panel in figure.panels]


def invented(profile):
    """Return results with numbers that follow no theory, but differ from run to run."""
    rng = np.random.default_rng(1)
    runs, records, limits = [], [], []
    for figure in FIGURES.values():
        for task in figure.tasks(profile):
            for run in task.runs:
                named = {
                    "figure": task.figure, "trial": task.trial, "algorithm": task.algorithm, "truth": task.truth,
                    "step_rule": task.step, "centred": task.centred, "start": run.start, "r0": run.r0,
                    "depth": task.depth, "law": task.law, "part": task.part, "c": run.c,
                    "ratio": np.nan if task.algorithm == "plain" else run.ratio,
                }  # fmt: skip
                steps = int(rng.integers(50, 900))
                row = {"steps": steps, "loss": 1e-13, "loss_start": 1.0, "minimal_l1": 40.0, "status": "converged"}
                row |= {"eps1_cert": float(rng.lognormal()), "eps2": float(rng.lognormal())}
                if task.is_limit:
                    limits.append(named | row | {"log_rho": float(rng.standard_normal())})
                    continue
                runs.append(named | row)
                records += [{**named, "step": step, "loss": 10.0**-k} for k, step in enumerate((0, 1, 10, steps))]
    return Results(profile, pd.DataFrame(runs), pd.DataFrame(records), pd.DataFrame(limits))


RESULTS = invented(PROFILE)


def drawn(number, letter, results=RESULTS):
    panel = next(panel for panel in FIGURES[number].panels if panel.letter == letter)
    with mpl.rc_context(STYLE):
        ax = Figure(layout="constrained").add_subplot()
        panel.draw(ax, results)
        ax.figure.draw_without_rendering()
    return ax


def changed(change, **where):
    runs = RESULTS.runs.copy()
    mask = np.logical_and.reduce([np.isclose(runs[k], v) if k == "r0" else runs[k] == v for k, v in where.items()])
    assert mask.any()
    for column, value in change.items():
        runs.loc[mask, column] = value
    return replace(RESULTS, runs=runs)


def lines(ax, label):
    return [line for line in ax.get_lines() if line.get_label() == label]


def hollow(ax):
    return [line for line in ax.get_lines() if line.get_markerfacecolor() == "white" and line.get_xdata().size]


def test_every_panel_as_files_and_twice_the_same(tmp_path):
    one = replace(PROFILE, trials=1, starts=1, r0=(0.1, 10.0), ratios=(1.0, 0.1), limit_trials=1)
    results = invented(one)
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    files = draw_all(list(FIGURES.values()), results, folders[0])
    names = [f"figure{number}{letter}{suffix}" for number, letter in PANELS for suffix in (".png", ".pdf")]
    assert [path.name for path in files] == [*names, "overview.png"]
    assert sorted(path.name for path in folders[0].iterdir()) == sorted([*names, "overview.png"])
    for path in files:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
        assert path.stat().st_size > 5000
    again = draw_all([FIGURES[4]], results, folders[1])
    for path in again[:-1]:
        assert path.read_bytes() == (folders[0] / path.name).read_bytes(), path.name


def test_drawing_leaves_the_settings_alone(tmp_path):
    before = dict(mpl.rcParams)
    track = pd.DataFrame({"step": [0, 1, 2], "loss": [1.0, 0.1, 0.01], "r": [1.0, 1.1, 1.2], "l1": [1.0, 1.2, 1.4]})
    draw_single(pd.DataFrame({"minimal_l1": [1.0]}), track, tmp_path)
    assert dict(mpl.rcParams) == before
    assert (tmp_path / "trajectory.png").stat().st_size > 5000


@pytest.mark.parametrize(("number", "letter"), PANELS)
def test_labels_legends_and_scales(number, letter):
    ax = drawn(number, letter)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.get_title()
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == ("linear" if (number, letter) == (8, "a") else "log")
    if (number, letter) == (1, "b"):
        return
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(set(texts)) == len(texts)
    if number > 5:
        return
    if letter == "a" or (number, letter) == (2, "c"):
        wanted = {"plain", "wn"} | ({"wn-separate"} if number == 5 else set())
        assert {SERIES[name].label for name in wanted} <= set(texts)
        assert "steps used up" not in texts
    if number in (4, 5) and letter == "a":
        mark = next(line for line in ax.get_lines() if line.get_label() == r"$r_0=\sqrt{10}$")
        assert mark.get_xdata()[0] == pytest.approx(10**0.5)
    if letter == "b":
        values = PROFILE.ratios if number == 3 else PROFILE.r0
        symbol = r"$\eta$" if number == 3 else "$r_0$"
        assert texts == [f"{symbol} = {value:.3g}" for value in sorted(values)]
    if (number, letter) == (2, "c"):
        assert "constant" in ax.get_title()


ERRORS = [
    (1, "a", "armijo"),
    (2, "a", "armijo"),
    (2, "c", "stable"),
    (3, "a", "armijo"),
    (4, "a", "armijo"),
    (5, "a", "armijo"),
]


@pytest.mark.parametrize(("number", "letter", "rule"), ERRORS)
def test_error_curves_are_means_and_bands_quartiles(number, letter, rule):
    ax = drawn(number, letter)
    runs, x, y = RESULTS.runs, "ratio" if number == 3 else "r0", "eps2" if number > 3 else "eps1_cert"
    runs = runs[(runs["figure"] == number) & (runs["step_rule"] == rule) & ~runs["centred"]]
    if number == 1:
        runs = runs[(runs["algorithm"] == "plain") | (runs["ratio"] == PROFILE.ratio)]
    names = ["plain", "wn", "wn-separate"][: 3 if number == 5 else 2]
    bands = {to_hex(band.get_facecolor()[0]): band for band in ax.collections}
    for name in names:
        [line] = lines(ax, SERIES[name].label)
        part = runs[runs["algorithm"] == name]
        if number == 3 and name == "plain":
            assert line.get_ydata()[0] == pytest.approx(np.mean(part[y]))
            continue
        grid = sorted(part[x].unique())
        assert list(line.get_xdata()) == grid
        groups = [part[y][part[x] == value].to_numpy() for value in grid]
        assert {len(group) for group in groups} == {PROFILE.starts if number == 1 else PROFILE.trials}
        np.testing.assert_allclose(line.get_ydata(), [group.mean() for group in groups])
        corners = bands[SERIES[name].color].get_paths()[0].vertices
        for value, group in zip(grid, groups, strict=True):
            heights = corners[np.isclose(corners[:, 0], value), 1]
            np.testing.assert_allclose([heights.min(), heights.max()], np.percentile(group, [25, 75]))


def test_one_trial_has_no_band():
    ax = drawn(2, "a", invented(replace(PROFILE, trials=1)))
    assert not ax.collections


@pytest.mark.parametrize("name", ["plain", "wn"])
def test_hollow_markers_where_a_run_used_up_its_steps(name):
    where = {"figure": 4, "trial": 2, "algorithm": name, "r0": 0.1}
    ax = drawn(4, "a", changed({"status": "max_steps"}, **where))
    [line] = hollow(ax)
    assert list(line.get_xdata()) == [0.1]
    assert line.get_color() == SERIES[name].color
    full = lines(ax, SERIES[name].label)[0]
    assert line.get_ydata()[0] == full.get_ydata()[list(full.get_xdata()).index(0.1)]
    assert "steps used up" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("status", ["converged", "collapsed", "unstable", "line_search_failed"])
def test_no_hollow_marker_for_another_end(status):
    ax = drawn(4, "a", changed({"status": status}, figure=4, algorithm="wn"))
    assert hollow(ax) == []
    assert "steps used up" not in [text.get_text() for text in ax.get_legend().get_texts()]


def test_crosses_where_the_loss_stayed_high():
    high = changed({"loss": 0.02, "status": "max_steps"}, figure=2, algorithm="wn", step_rule="stable", r0=1.0, trial=0)
    ax = drawn(2, "c", high)
    crosses = [line for line in ax.get_lines() if line.get_marker() == "x" and line.get_xdata().size]
    assert [list(line.get_xdata()) for line in crosses] == [[1.0]]
    assert "loss above 1% of its start" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert not [line for line in drawn(2, "a", high).get_lines() if line.get_marker() == "x" and line.get_xdata().size]


def test_centred_rows_are_not_drawn():
    far = changed({"eps1_cert": 1e9, "steps": 10**9}, centred=True)
    for number, letter in ((2, "a"), (2, "c"), (3, "a"), (3, "c")):
        assert drawn(number, letter, far).get_ylim()[1] < 1e6


def test_map_of_the_exact_limits():
    ax = drawn(1, "b")
    [mesh] = [item for item in ax.collections if isinstance(item, QuadMesh)]
    limits = RESULTS.limits
    limits = limits[(limits["figure"] == 1) & (limits["part"] == "map")]
    scales, ratios = np.geomspace(0.01, 100, 5), np.geomspace(0.01, 10, 4)
    edges = mesh.get_coordinates()
    assert edges.shape == (len(ratios) + 1, len(scales) + 1, 2)
    for axis, centres, borders in ((0, scales, edges[0, :, 0]), (1, ratios, edges[:, 0, 1])):
        assert (borders[:-1] < centres).all(), axis
        assert (centres < borders[1:]).all(), axis
    colors = np.asarray(mesh.get_array()).reshape(len(ratios), len(scales))
    for i, ratio in enumerate(ratios):
        for j, r0 in enumerate(scales):
            near = np.isclose(limits["ratio"], ratio) & np.isclose(limits["r0"], r0)
            [error] = limits["eps1_cert"][near]
            assert colors[i, j] == pytest.approx(max(error, 1e-12))
    [mark] = ax.get_lines()
    assert mark.get_xdata()[0] == pytest.approx(40**0.5)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any("rho" in text for text in texts)
    assert len(ax.figure.axes) == 2  # with a colour bar
    assert ax.figure.axes[1].get_ylabel()
    assert "our reading" in ax.get_title().lower()


@pytest.mark.parametrize("edge", [0.3, 3.0])
def test_region_of_the_magnification_factor(edge):
    """The line is where log rho changes its sign; the hatched side is the positive one."""
    grid = [(r0, ratio) for r0 in np.geomspace(0.01, 100, 41) for ratio in (0.1, 1.0, 10.0)]
    limits = pd.DataFrame([{"r0": r0, "ratio": eta, "eps": 1.0, "log_rho": np.log(edge / r0)} for r0, eta in grid])
    ax = Figure().add_subplot()
    limit_map(ax, limits.iloc[::-1], "eps", "error")
    line, hatched = (item for item in ax.collections if isinstance(item, ContourSet))
    points = np.concatenate([path.vertices for path in line.get_paths() if len(path.vertices)])
    np.testing.assert_allclose(np.log(points[:, 0]), np.log(edge), atol=0.12)
    assert hatched.hatches == ["//"]
    inside = np.concatenate([path.vertices for path in hatched.get_paths() if len(path.vertices)])
    assert inside[:, 0].min() == pytest.approx(0.01)
    assert inside[:, 0].max() < edge * 1.13


@pytest.mark.parametrize("log_rho", [-1.0, 1.0])
def test_map_of_errors_at_the_rounding_level_and_of_one_side_of_rho(log_rho):
    limits = pd.DataFrame(
        [
            {"r0": r0, "ratio": eta, "eps": eps, "log_rho": log_rho}
            for r0 in (0.1, 1.0)
            for eta, eps in ((1.0, -1e-16), (0.1, 1e-3))
        ]
    )
    ax = Figure().add_subplot()
    limit_map(ax, limits, "eps", "error")
    ax.figure.draw_without_rendering()
    [mesh] = [item for item in ax.collections if isinstance(item, QuadMesh)]
    assert sorted(np.asarray(mesh.get_array()).ravel()) == [1e-12, 1e-12, 1e-3, 1e-3]
    hatched = [item for item in ax.collections if isinstance(item, ContourSet)]
    assert bool(hatched) == (log_rho > 0)


LIMITS = [(1, "a"), (2, "a"), (2, "c"), (3, "a"), (4, "a"), (5, "a")]


def dashed(ax):
    return [line for line in ax.get_lines() if line.is_dashed() and line.get_linestyle() == "--"]


@pytest.mark.parametrize(("number", "letter"), LIMITS)
def test_flow_limits_are_means_over_their_own_trials(number, letter):
    ax = drawn(number, letter)
    x, y = "ratio" if number == 3 else "r0", "eps2" if number > 3 else "eps1_cert"
    rows = RESULTS.limits
    rows = rows[(rows["figure"] == number) & (rows["part"] == "")]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sum("flow limit" in text for text in texts) == 1
    assert any("flow limit, mean of 5" in text for text in texts)
    assert any("not per half" in text for text in texts) == (number == 5)
    curves = {line.get_color(): line for line in dashed(ax)}
    assert set(curves) == {SERIES["plain"].color, SERIES["wn"].color}
    for name in ("plain", "wn"):
        part = rows[rows["algorithm"] == name]
        line = curves[SERIES[name].color]
        if number == 3 and name == "plain":
            assert line.get_ydata()[0] == pytest.approx(part[y].mean())
            continue
        grid = sorted(part[x].unique())
        assert list(line.get_xdata()) == grid
        assert len(grid) == (7 if number == 3 else 17)
        np.testing.assert_allclose(line.get_ydata(), [part[y][part[x] == value].mean() for value in grid])


def test_limits_at_the_rounding_level_are_drawn_at_the_floor_and_marked():
    limits = RESULTS.limits.copy()
    where = (limits["figure"] == 4) & (limits["algorithm"] == "wn")
    small = where & (limits["r0"] < 0.5)
    limits.loc[small, "eps2"] = 3e-13
    ax = drawn(4, "a", replace(RESULTS, limits=limits))
    [curve] = [line for line in dashed(ax) if line.get_color() == SERIES["wn"].color]
    below = curve.get_xdata() < 0.5
    assert below.any()
    np.testing.assert_array_equal(curve.get_ydata() == 1e-12, below)
    marks = [line for line in ax.get_lines() if line.get_marker() == "v" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in marks] == [list(curve.get_xdata()[below])]
    assert ax.get_ylim()[0] < 1e-12
    assert any("below" in text.get_text() for text in ax.get_legend().get_texts())
    assert not any("below" in text.get_text() for text in drawn(5, "a").get_legend().get_texts())


def test_what_is_no_limit_is_not_drawn():
    limits = RESULTS.limits.copy()
    gone = (limits["figure"] == 2) & (limits["r0"] == limits["r0"].min())
    limits.loc[gone, "loss"] = 1e-3
    for line in dashed(drawn(2, "a", replace(RESULTS, limits=limits))):
        assert len(line.get_xdata()) == 16


@pytest.mark.parametrize(("letter", "name"), [("a", "plain"), ("b", "wn")])
def test_depths(letter, name):
    ax = drawn(6, letter)
    rows = RESULTS.limits
    rows = rows[(rows["figure"] == 6) & (rows["algorithm"] == name)]
    for depth in (1, 2, 3, 4, 6):
        [line] = lines(ax, f"L = {depth}")
        means = rows[rows["depth"] == depth].groupby("r0")["eps1_cert"].mean()
        np.testing.assert_allclose(line.get_ydata(), means)
    assert SERIES[name].label in ax.get_title()


def test_laws():
    labels = {"constant": "$f = c$", "power:2": r"$f = c\,r^2$", "harmonic": "$1/f = 1/c + 1/r^2$"}
    rows, runs = RESULTS.limits, RESULTS.runs
    results = changed({"status": "max_steps"}, figure=7, law="harmonic", ratio=0.1, trial=1)
    for law, label in labels.items():
        for letter, part, x in (("a", "r0", "r0"), ("b", "c", "ratio")):
            [line] = lines(drawn(7, letter), label)
            mine = rows[(rows["figure"] == 7) & (rows["law"] == law) & rows["part"].str.endswith(f"-{part}")]
            means = mine.groupby(x)["eps1_cert"].mean()
            assert list(line.get_xdata()) == list(means.index)
            np.testing.assert_allclose(line.get_ydata(), means)
        [line] = lines(drawn(7, "c", results), label)
        steps = runs[(runs["figure"] == 7) & (runs["law"] == law)].groupby("ratio")["steps"].mean()
        np.testing.assert_allclose(line.get_ydata(), steps)
        np.testing.assert_allclose(line.get_xdata(), means[steps.index])
    [open_one] = hollow(drawn(7, "c", results))
    [whole] = lines(drawn(7, "c", results), labels["harmonic"])
    assert list(open_one.get_ydata()) == [whole.get_ydata()[0]]
    assert "at least" in [text.get_text() for text in drawn(7, "c", results).get_legend().get_texts()]
    assert hollow(drawn(7, "c")) == []


def test_discretization():
    runs, limits = RESULTS.runs[RESULTS.runs["figure"] == 8], RESULTS.limits[RESULTS.limits["figure"] == 8]
    limit = limits.set_index("trial")["eps1_cert"]
    apart = runs.assign(eps1_cert=(runs["eps1_cert"] - runs["trial"].map(limit)).abs())
    for letter, table in (("a", runs), ("b", apart)):
        ax = drawn(8, letter)
        for name, label in (("wn", "constant steps"), ("wn-renormalized", "constant steps, $u$ renormalized")):
            [line] = lines(ax, label)
            mine = table[(table["algorithm"] == name) & (table["step_rule"] == "stable")]
            assert list(line.get_xdata()) == [16, 32, 64, 128, 256]
            np.testing.assert_allclose(line.get_ydata(), mine.groupby("c")["eps1_cert"].mean())
        levels = {
            "Armijo steps": ("wn", "armijo"),
            "Armijo steps, $u$ renormalized": ("wn-renormalized", "armijo"),
            "mirror descent": ("wn", "mirror"),
        }
        for label, (name, rule) in levels.items():
            [line] = lines(ax, label)
            mine = table[(table["algorithm"] == name) & (table["step_rule"] == rule)]
            assert line.get_ydata()[0] == pytest.approx(mine["eps1_cert"].mean())
        assert len(lines(ax, "flow limit")) == (letter == "a")
    assert lines(drawn(8, "a"), "flow limit")[0].get_ydata()[0] == pytest.approx(limit.mean())


def test_losses_are_geometric_means_and_keep_a_runs_end():
    tracks = pd.DataFrame(
        [
            {"r0": 1.0, "trial": trial, "start": 0, "step": step, "loss": loss}
            for trial, points in enumerate([((0, 1.0), (1, 1e-2), (10, 1e-4)), ((0, 1.0), (1, 1.0), (1000, 1e-6))])
            for step, loss in points
        ]
    )
    ax = Figure().add_subplot()
    loss_curves(ax, tracks, "r0", "r")
    [curve] = ax.get_lines()
    steps, values = curve.get_data()
    assert (steps[0], steps[-1]) == (1, 1000)
    assert values[0] == pytest.approx(1e-1)  # sqrt(1e-2 * 1)
    assert values[-1] == pytest.approx(1e-5)  # sqrt(1e-4 * 1e-6): the first run ended at step 10
    assert (np.diff(values) <= 0).all()


def test_many_losses_get_a_colour_bar():
    scales = np.logspace(-2, 2, 17)
    tracks = pd.DataFrame(
        [{"r0": r0, "trial": 0, "start": 0, "step": s, "loss": 1 / (1 + s)} for r0 in scales for s in (0, 9)]
    )
    ax = Figure().add_subplot()
    loss_curves(ax, tracks, "r0", "$r_0$")
    assert len({to_hex(line.get_color()) for line in ax.get_lines()}) == 17
    assert ax.get_legend() is None
    assert ax.figure.axes[1].get_ylabel() == "$r_0$"


def test_steps_that_are_lower_bounds():
    runs = pd.DataFrame(
        {"ratio": [1.0, 1.0, 0.1, 0.1], "steps": [10, 30, 50, 1000], "status": ["converged"] * 3 + ["max_steps"]}
    )
    ax = Figure().add_subplot()
    steps_curve(ax, runs, "ratio")
    assert {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()[1:]} == {
        "converged": [20],
        "at least": [525],
    }
    low, high = ax.get_ylim()
    assert low < 20 < 525 < high


def test_errors_that_a_log_axis_cannot_show():
    runs = RESULTS.runs[(RESULTS.runs["figure"] == 2) & (RESULTS.runs["algorithm"] == "wn")]
    ax = Figure().add_subplot()
    error_curve(ax, runs.assign(eps1_cert=np.where(runs["r0"] < 1, -1e-16, 1.0)), "r0", "eps1_cert", SERIES["wn"])
    assert lines(ax, SERIES["wn"].label)[0].get_xdata().min() == 1.0


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_a_run_of_its_own(rows):
    track = pd.DataFrame({"step": range(rows), "loss": 0.5 ** np.arange(rows), "r": np.ones(rows), "l1": np.ones(rows)})
    axes = Figure().subplots(1, 3)
    trajectory_panels(axes, track, 2.0)
    axes[0].figure.draw_without_rendering()
    for ax, column in zip(axes, ("loss", "r", "l1"), strict=True):
        assert ax.get_title()
        assert ax.get_xlabel()
        assert list(ax.get_lines()[0].get_ydata()) == list(track[column][min(1, rows - 1) :])
    assert axes[0].get_yscale() == "log"
    assert axes[2].get_lines()[1].get_ydata()[0] == 2.0
