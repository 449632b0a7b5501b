"""Figures: the data that they send to the browser."""

from dataclasses import replace

import numpy as np
import pandas as pd

from polarbias.explorer import figures, results
from polarbias.explorer.geometry import scene
from polarbias.explorer.settings import GRID, Settings

SMALL = Settings(m=20, n=60, s=3)


def test_limits_without_entries_that_look_like_0():
    table, drawn = results.limits(SMALL).table, figures.LimitsFigure()
    drawn.show(table)
    for name, source in drawn.sources.items():
        wanted = table.loc[table[name].abs() > 2e-3 * table[name].abs().max(), ["entry", name]]
        np.testing.assert_array_equal(pd.DataFrame(source.data)[["entry", name]], wanted)
    assert len(drawn.sources["truth"].data["entry"]) == 3


def test_trajectories_on_log_axes():
    drawn = figures.TrajectoryFigure()
    columns = {"t": [1.0, 2.0], "loss": [2.0, 1.0], "r": [1.0, 1.5], "excess": [-1.0, 0.5], "drift": [0.0, 1e-9]}
    drawn.show(pd.DataFrame(columns).assign(algorithm="wn"))
    sent = drawn.sources["wn"].data
    assert {name: list(sent[name]) for name in columns} == {**columns, "excess": [1.0, 0.5], "drift": [1e-17, 1e-9]}
    assert not len(drawn.sources["plain"].data["t"])


def test_the_map_with_undecided_points_and_clicks():
    ratio, r0 = (values.ravel() for values in np.meshgrid(GRID, GRID, indexing="ij"))
    table = pd.DataFrame({"ratio": ratio, "r0": r0, "excess": r0, "log10_rho": np.log10(r0), "status": "converged"})
    table.loc[0, "status"] = "undecided"
    clicks = []
    drawn = figures.MapFigure(lambda *point: clicks.append(point))
    drawn.show(table)
    sent = drawn.source.data
    np.testing.assert_array_equal(np.isnan(sent["shown"]), np.arange(len(table)) == 0)
    np.testing.assert_allclose(sent["left"] * sent["right"], r0**2)
    np.testing.assert_allclose(sent["top"] / sent["bottom"], GRID[1] / GRID[0])
    [line] = drawn.contour.line_renderer.data_source.data["xs"]
    np.testing.assert_allclose(line, 1.0)
    drawn.point(2.0, 3.0)
    assert drawn.cursor.data == {"r0": [2.0], "ratio": [3.0]}


def test_bounds_and_the_intervals_with_magnification():
    drawn = figures.BoundsFigure()
    errors = {f"{name}_{kind}": [-1e-18, np.nan] for name in ("plain", "wn") for kind in ("excess", "bound")}
    drawn.show(pd.DataFrame({"r0": [0.1, 1.0], "wn_log10_rho": [1.0, -1.0], **errors}), 2.0, ((1e-5, 3.0),))
    np.testing.assert_array_equal(drawn.source.data["wn_excess"], [1e-16, np.nan])
    np.testing.assert_array_equal(drawn.source.data["wn_log10_rho"], [1.0, -1.0])
    assert [box.visible for box in drawn.ranges] == [True, False]
    assert (drawn.ranges[0].left, drawn.ranges[0].right) == (GRID[0], 3.0)
    drawn.point(0.5)
    assert [cursor.location for cursor in drawn.cursors] == [0.5, 0.5]


def test_two_and_three_dimensions():
    drawn = figures.PlaneFigure()
    for settings in (SMALL, replace(SMALL, A="1 2 0.5", b="2", u0="1 1 2")):
        plane = results.plane(settings)
        shown = scene(plane, False, 30.0, 20.0)
        drawn.show(shown)
        for name, source in drawn.lines.items():
            for k, axis in enumerate(("xs", "ys")):
                assert all(map(np.array_equal, source.data[axis], [line[:, k] for line in getattr(shown, name)]))
        for name, source in drawn.points.items():
            point, value = shown.points[name]
            assert (source.data["x"], source.data["y"], source.data["value"]) == (*point, [value])
        np.testing.assert_array_equal(drawn.trajectories["wn"].data["y"], shown.trajectories["wn"][:, 1])
        assert drawn.labels.data["text"] == ["X1", "X2", "X3"][: plane.problem.n]
        assert drawn.plot.title.text == shown.title
