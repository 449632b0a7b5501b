"""Elements of panels on tables with known means, statuses and edges."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from drawings import hollow, legend_texts, lines
from polarbias.plotting import panels
from polarbias.plotting.panels import error_curve, legend, limit_curve
from polarbias.plotting.series import FLOOR, SERIES


def axes():
    return Figure().add_subplot()


def runs(**values):
    """Return two trials at r0 = 0.1, 1 and 10, with errors 1, 2, 3 and 3, 4, 5."""
    base = {"trial": [0, 0, 0, 1, 1, 1], "start": 0, "r0": [0.1, 1, 10] * 2, "error": [1.0, 2, 3, 3, 4, 5]}
    base |= {"loss": 1e-13, "loss_start": 1.0, "status": "converged"}
    return pd.DataFrame({**base, **values})


def error_axes(table):
    ax = axes()
    error_curve(ax, table, "r0", "error", SERIES["wn"])
    legend(ax, table)
    return ax


def test_error_curves_are_means_with_quartiles_as_a_band():
    ax = error_axes(runs())
    [line] = lines(ax, SERIES["wn"].label)
    np.testing.assert_allclose(line.get_xydata(), [[0.1, 2], [1, 3], [10, 4]])
    corners = ax.collections[0].get_paths()[0].vertices
    heights = corners[np.isclose(corners[:, 0], 1), 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [2.5, 3.5])
    assert (line.get_color(), ax.get_xscale(), ax.get_yscale()) == (SERIES["wn"].color, "log", "log")
    assert not error_axes(runs()[:3]).collections  # one trial


@pytest.mark.parametrize("status", ["max_steps", "converged", "collapsed"])
def test_means_with_a_run_out_of_steps_are_hollow(status):
    ax = error_axes(runs(status=["converged"] * 5 + [status]))
    found = [line.get_xydata().tolist() for line in hollow(ax)]
    assert found == ([[[10, 4]]] if status == "max_steps" else [])
    assert ("steps used up" in legend_texts(ax)) == (status == "max_steps")


@pytest.mark.parametrize("share", [0.0101, 0.0099])
def test_means_with_a_run_far_from_solutions_are_crossed(share):
    ax = error_axes(runs(loss_start=2.0, loss=[1e-13] * 3 + [2 * share] + [1e-13] * 2))
    crosses = [point for line in ax.get_lines() if line.get_marker() == "x" for point in line.get_xydata().tolist()]
    assert crosses == ([[0.1, 2]] if share > 0.01 else [])
    assert ("loss above 1% of its start" in legend_texts(ax)) == bool(crosses)


def test_errors_that_a_log_axis_cannot_show():
    ax = error_axes(runs(error=[-1e-16, 1, 1] * 2))
    assert list(lines(ax, SERIES["wn"].label)[0].get_xdata()) == [1, 10]
    ax = axes()
    error_curve(ax, runs()[:0], "r0", "error", SERIES["wn"])
    limit_curve(ax, runs()[:0], "r0", "error", "red")
    assert not ax.get_lines()


def test_limits_below_the_floor_are_drawn_at_it_and_marked():
    ax, table = axes(), runs(error=[3e-13, 1e-13, 1e-3] * 2)
    limit_curve(ax, table, "r0", "error", "red")
    legend(ax, runs(), table, " of something")
    curve, marks = ax.get_lines()
    np.testing.assert_allclose(curve.get_ydata(), [FLOOR, FLOOR, 1e-3])
    assert curve.is_dashed()
    np.testing.assert_allclose(marks.get_xydata(), [[0.1, FLOOR], [1, FLOOR]])
    assert legend_texts(ax) == ["flow limit, mean of 2 of something", "flow limit below $10^{-12}$"]
    ax = axes()
    limit_curve(ax, runs(), "r0", "error", "red")
    legend(ax, runs(), runs()[:3])
    assert legend_texts(ax) == ["flow limit"]


@pytest.mark.parametrize("edge", [0.3, 3.0])
def test_the_region_of_large_magnification_is_hatched(edge):
    """The line is at the sign change of log rho, and the positive side is hatched."""
    grid = [(r0, ratio) for r0 in np.geomspace(0.01, 100, 41) for ratio in (0.1, 1.0, 10.0)]
    limits = pd.DataFrame([{"r0": r0, "ratio": eta, "eps": 1.0, "log_rho": np.log(edge / r0)} for r0, eta in grid])
    ax = axes()
    panels.limit_map(ax, limits.iloc[::-1], "eps", "error")
    line, hatched = (item for item in ax.collections if isinstance(item, ContourSet))
    points = np.concatenate([path.vertices for path in line.get_paths() if len(path.vertices)])
    np.testing.assert_allclose(np.log(points[:, 0]), np.log(edge), atol=0.12)
    assert hatched.hatches == ["//"]
    inside = np.concatenate([path.vertices for path in hatched.get_paths() if len(path.vertices)])
    assert inside[:, 0].min() == pytest.approx(0.01)
    assert inside[:, 0].max() < edge * 1.13


@pytest.mark.parametrize("log_rho", [-1.0, 1.0])
def test_a_map_of_rounding_errors_on_one_side_of_rho(log_rho):
    grid = [(r0, eta, eps) for r0 in (0.1, 1.0) for eta, eps in ((1.0, -1e-16), (0.1, 1e-3))]
    limits = pd.DataFrame(grid, columns=["r0", "ratio", "eps"]).assign(log_rho=log_rho)
    ax = axes()
    panels.limit_map(ax, limits, "eps", "error")
    ax.figure.draw_without_rendering()
    [mesh] = [item for item in ax.collections if isinstance(item, QuadMesh)]
    assert sorted(np.asarray(mesh.get_array()).ravel()) == [FLOOR, FLOOR, 1e-3, 1e-3]
    edges = mesh.get_coordinates()
    np.testing.assert_allclose(edges[0, :, 0], np.geomspace(0.1 / 10**0.5, 10**0.5, 3))
    assert any(isinstance(item, ContourSet) for item in ax.collections) == (log_rho > 0)
    assert ax.figure.axes[1].get_ylabel() == "error"


def test_losses_are_geometric_means_and_keep_the_last_loss_of_a_run():
    tracks = pd.DataFrame({"r0": 10**0.5, "trial": [0, 0, 0, 1, 1, 1], "start": 0, "step": [0, 1, 10, 0, 1, 1000]})
    tracks["loss"] = [1.0, 1e-2, 1e-4, 1.0, 1.0, 1e-6]
    ax = axes()
    panels.loss_curves(ax, tracks, "r0", "r")
    [curve] = ax.get_lines()
    steps, values = curve.get_data()
    assert (steps[0], steps[-1]) == (1, 1000)
    assert values[0] == pytest.approx(1e-1)  # sqrt(1e-2 * 1)
    assert values[-1] == pytest.approx(1e-5)  # sqrt(1e-4 * 1e-6): the first run ended at step 10
    assert (np.diff(values) <= 0).all()
    assert legend_texts(ax) == ["r = 3.16"]


def test_many_loss_curves_have_a_color_bar():
    scales = np.logspace(-2, 2, 17)
    tracks = pd.DataFrame({"r0": [*scales, *scales], "trial": 0, "start": 0, "step": [0] * 17 + [9] * 17, "loss": 0.5})
    ax = axes()
    panels.loss_curves(ax, tracks, "r0", "$r_0$")
    assert len({to_hex(line.get_color()) for line in ax.get_lines()}) == 17
    assert ax.get_legend() is None
    assert ax.figure.axes[1].get_ylabel() == "$r_0$"


def test_steps_that_are_lower_bounds():
    statuses = ["converged"] * 3 + ["max_steps"]
    table = pd.DataFrame({"ratio": [1.0, 1.0, 0.1, 0.1], "steps": [10, 30, 50, 1000], "status": statuses})
    ax = axes()
    panels.steps_curve(ax, table, "ratio")
    shown = {line.get_label(): list(line.get_ydata()) for line in ax.get_lines()[1:]}
    assert shown == {"converged": [20], "at least": [525]}
    low, high = ax.get_ylim()
    assert low < 20 < 525 < high


@pytest.mark.parametrize("rows", [1, 50])
def test_panels_of_a_single_run(rows):
    track = pd.DataFrame({"step": range(rows), "loss": 0.5 ** np.arange(rows), "r": np.ones(rows), "l1": np.ones(rows)})
    three = Figure().subplots(1, 3)
    panels.trajectory_panels(three, track, 2.0)
    three[0].figure.draw_without_rendering()
    for ax, column in zip(three, ("loss", "r", "l1"), strict=True):
        assert ax.get_title()
        assert ax.get_xlabel()
        assert list(ax.get_lines()[0].get_ydata()) == list(track[column][min(1, rows - 1) :])
    assert three[0].get_yscale() == "log"
    assert three[2].get_lines()[1].get_ydata()[0] == 2.0
