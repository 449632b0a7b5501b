"""Bokeh figures of the views: created once per page, then only their data change."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import BoxAnnotation, ColorBar, ColumnDataSource, HoverTool, LogColorMapper, Range1d, Span
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from polarbias.explorer.geometry import Scene
from polarbias.explorer.results import ALGORITHMS
from polarbias.explorer.settings import DECADES, GRID
from polarbias.plotting.series import FLOOR, SERIES

COLORS = {name: SERIES[name].color for name in ALGORITHMS} | {"minimal_l1": "#2a9d62", "truth": "#555555"}
NAMES = {"plain": "without weight normalization", "wn": "with weight normalization", "minimal_l1": "minimal l1 norm"}
TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
WIDE: Any = {"sizing_mode": "stretch_width"}

VISIBLE = 2e-3
"""Fraction of the largest entry that is a third of a pixel."""


def _figure(**options: Any) -> Any:
    made = figure(tools=TOOLS, **WIDE, **options)
    made.toolbar.logo = None
    made.grid.grid_line_alpha = 0.35
    made.title.text_font_size = "10pt"
    return made


def _log(**options: Any) -> Any:
    return _figure(x_axis_type="log", **{"y_axis_type": "log", **options})


class LimitsFigure:
    """Minimal l1 solution and both limits as stems, the truth as rings."""

    def __init__(self) -> None:
        self._sources = {name: ColumnDataSource({"entry": [], "x": []}) for name in ("minimal_l1", *ALGORITHMS)}
        self._truth = ColumnDataSource({"entry": [], "x": []})
        rows: list[Any] = []
        for name, source in self._sources.items():
            shared = {"x_range": rows[0].x_range, "y_range": rows[0].y_range} if rows else {}
            stems = _figure(height=185, tooltips=[("entry", "@entry"), ("X", "@x")], **shared)
            stems.title.text = (
                f"limit of the flow {NAMES[name]}" if rows else "minimal l1 norm, certified; rings: the truth"
            )
            stems.add_layout(Span(location=0, dimension="width", line_color=COLORS[name], line_width=2))
            stems.segment("entry", 0, "entry", "x", source=source, color=COLORS[name], line_width=1.4)
            stems.scatter("entry", "x", source=source, color=COLORS[name], size=4)
            ring = {"fill_color": None, "line_color": COLORS["truth"], "size": 9}
            stems.scatter("entry", "x", source=self._truth, **ring)
            stems.yaxis.axis_label = "X"
            rows.append(stems)
        rows[-1].xaxis.axis_label = "entry"
        self.layout = column(*rows, **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.limits_table`."""
        for name, source in self._sources.items():
            # Entries that look like 0 are not sent: a thousand points slow the browser down.
            visible = table[table[name].abs() > VISIBLE * table[name].abs().max()]
            source.data = {"entry": visible["entry"].to_numpy(), "x": visible[name].to_numpy()}
        nonzero = table[table["truth"] != 0]
        self._truth.data = {"entry": nonzero["entry"].to_numpy(), "x": nonzero["truth"].to_numpy()}


class TrajectoryFigure:
    """Loss, radius, l1 error and drift of the invariant of both flows against time."""

    _PANELS = (
        ("loss", "loss |AX - b|^2 / (2L)"),
        ("r", "radius r = |x|"),
        ("excess", "l1 error, | |X|_1 - minimum |"),
        ("drift", "relative drift of the invariant"),
    )

    def __init__(self) -> None:
        self._sources = {name: ColumnDataSource({"t": [], **{key: [] for key, _ in self._PANELS}}) for name in NAMES}
        panels: list[Any] = []
        for key, label in self._PANELS:
            shared = {"x_range": panels[0].x_range} if panels else {}
            panel = _log(height=260, tooltips=[("t", "@t"), (key, f"@{key}")], **shared)
            for name in ALGORITHMS:
                style = {"color": COLORS[name], "line_width": 2, "legend_label": NAMES[name]}
                panel.line("t", key, source=self._sources[name], **style)
            panel.title.text, panel.xaxis.axis_label = label, "time t"
            panel.legend.visible = not panels
            panel.legend.location = "bottom_left"
            panels.append(panel)
        self.layout = column(row(*panels[:2], **WIDE), row(*panels[2:], **WIDE), **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.trajectory_table`."""
        for name in ALGORITHMS:
            flow = table[table["algorithm"] == name]
            data = {key: flow[key].to_numpy() for key in ("t", *(key for key, _ in self._PANELS))}
            data["excess"] = np.abs(data["excess"])
            data["drift"] = np.maximum(data["drift"], 1e-17)  # a log axis cannot show 0
            self._sources[name].data = data


class MapFigure:
    """l1 error of the limits with weight normalization over the plane of r0 and ratio, with a cursor."""

    def __init__(self, move: Any) -> None:
        width = np.sqrt(GRID[1] / GRID[0])
        self._points = ColumnDataSource({"left": [], "right": [], "bottom": [], "top": [], "excess": []})
        self._cursor = ColumnDataSource({"r0": [1.0], "ratio": [1.0]})
        self._width = width
        ends = tuple(10.0**decade for decade in DECADES)
        limits = {
            "x_range": Range1d(ends[0] / width, ends[1] * width),
            "y_range": Range1d(ends[0] / width, ends[1] * width),
        }
        tips = [("r0", "@r0"), ("eta", "@ratio"), ("l1 error", "@true"), ("log10 rho", "@log10_rho"), ("", "@status")]
        self._plot = _log(height=560, tooltips=tips, **limits)
        self._plot.title.text = (
            "l1 error of the limit with weight normalization; white: rho = 1; click to move the cursor"
        )
        self._plot.xaxis.axis_label, self._plot.yaxis.axis_label = "norm r0 of the start", "learning-rate ratio eta"
        self._plot.grid.visible = False
        self._mapper = LogColorMapper(palette=Viridis256, low=FLOOR, high=1.0, nan_color="#bbbbbb")
        fill = {"field": "excess", "transform": self._mapper}
        quad = {"left": "left", "right": "right", "bottom": "bottom", "top": "top", "line_color": fill}
        self._plot.quad(source=self._points, fill_color=fill, **quad)
        self._plot.add_layout(ColorBar(color_mapper=self._mapper, title="l1 error"), "right")
        one = np.ones((2, 2))
        grid = np.array([GRID[0], GRID[-1]])
        line = {"levels": [0.0], "line_color": "white", "line_width": 1.6}
        self._contour = self._plot.contour(grid, grid, one, **line)
        mark = {"marker": "cross", "size": 22, "line_color": "red", "line_width": 2.5}
        self._plot.scatter("r0", "ratio", source=self._cursor, **mark)
        self._plot.on_event("tap", lambda event: move(event.x, event.y))
        self.layout = column(self._plot, **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.map_table`."""
        from bokeh.plotting.contour import contour_data

        solved = table["status"] == "converged"
        shown = table["excess"].clip(lower=FLOOR).where(solved)
        self._mapper.high = float(max(shown.max(), 10 * FLOOR)) if solved.any() else 1.0
        self._points.data = {
            "left": table["r0"] / self._width,
            "right": table["r0"] * self._width,
            "bottom": table["ratio"] / self._width,
            "top": table["ratio"] * self._width,
            "excess": shown,
            "true": table["excess"],
            "r0": table["r0"],
            "ratio": table["ratio"],
            "log10_rho": table["log10_rho"],
            "status": table["status"],
        }
        rho = table.pivot(index="ratio", columns="r0", values="log10_rho").to_numpy()
        self._contour.set_data(contour_data(GRID, GRID, rho, levels=[0.0], want_fill=False, want_line=True))

    def point(self, r0: float, ratio: float) -> None:
        """Move the cursor."""
        self._cursor.data = {"r0": [r0], "ratio": [ratio]}


class BoundsFigure:
    """Magnification factor, and l1 errors with their bounds, against r0."""

    def __init__(self) -> None:
        names = ("rho", *(f"{name}_{quantity}" for name in ALGORITHMS for quantity in ("excess", "bound")))
        self._source = ColumnDataSource({"r0": [], **{name: [] for name in names}})
        rho = _log(height=360, y_axis_type="linear", tooltips=[("r0", "@r0"), ("log10 rho", "@rho")])
        rho.xaxis.axis_label, rho.yaxis.axis_label = "norm r0 of the start", "log10 rho"
        self._rho = rho
        self._ranges = [BoxAnnotation(fill_color=COLORS["wn"], fill_alpha=0.12, visible=False) for _ in range(2)]
        for box in self._ranges:
            rho.add_layout(box)
        rho.add_layout(Span(location=0, dimension="width", line_color="#777777", line_dash="dotted"))
        rho.line("r0", "rho", source=self._source, color=COLORS["wn"], line_width=2)
        error = _log(height=360, x_range=rho.x_range, tooltips=[("r0", "@r0")])
        error.title.text = "relative error of the l1 norm and its proved bound"
        error.xaxis.axis_label = "norm r0 of the start"
        for name in ALGORITHMS:
            style = {"color": COLORS[name], "line_width": 2}
            error.line("r0", f"{name}_excess", source=self._source, legend_label=NAMES[name], **style)
            dashed = {**style, "line_dash": "dashed", "legend_label": f"bound, {NAMES[name]}"}
            error.line("r0", f"{name}_bound", source=self._source, **dashed)
        error.legend.label_text_font_size = "8pt"
        error.legend.ncols = 2
        error.add_layout(error.legend[0], "below")
        self._cursors = [Span(location=1.0, dimension="height", line_color="red") for _ in range(2)]
        for panel, cursor in zip((rho, error), self._cursors, strict=True):
            panel.add_layout(cursor)
        self.layout = row(rho, error, **WIDE)

    def show(self, table: pd.DataFrame, radius: float, magnified: tuple[tuple[float, float], ...]) -> None:
        """Draw the table of `views.bounds_table`, and the intervals of r0 with rho >= 1 for limits of this radius."""
        data = {name: table[name].to_numpy() for name in table.columns if name != "plain_log10_rho"}
        data["rho"] = data.pop("wn_log10_rho")
        for name in data:
            if name.endswith(("excess", "bound")):
                data[name] = np.maximum(data[name], 1e-16)
        self._source.data = data
        self._rho.title.text = f"magnification factor; shaded: rho >= 1 for a limit of radius {radius:.4g}"
        for box, ends in zip_longest(self._ranges, magnified):
            box.visible = ends is not None
            if ends is not None:
                box.left, box.right = max(ends[0], GRID[0]), min(ends[1], GRID[-1])

    def point(self, r0: float) -> None:
        """Move the cursors."""
        for cursor in self._cursors:
            cursor.location = r0


class PlaneFigure:
    """Solution set, l1 ball, both flows and their limits, in two dimensions or projected from three."""

    _MARKS: ClassVar[dict[str, tuple[str, str, dict[str, Any]]]] = {
        "start": ("start", "#777777", {"marker": "square", "size": 10, "line_color": "white"}),
        "minimal_l1": (
            NAMES["minimal_l1"],
            COLORS["minimal_l1"],
            {"marker": "star", "size": 18, "line_color": "white"},
        ),
        "plain": (f"limit {NAMES['plain']}", COLORS["plain"], {"size": 11, "line_color": "white"}),
        "wn": (f"limit {NAMES['wn']}", COLORS["wn"], {"size": 11, "line_color": "white"}),
    }

    def __init__(self) -> None:
        empty: dict[str, Any] = {"xs": [], "ys": []}
        self._faces, self._ball, self._axes = (ColumnDataSource(empty) for _ in range(3))
        self._set = ColumnDataSource(empty)
        self._trajectories = {name: ColumnDataSource({"x": [], "y": []}) for name in ALGORITHMS}
        self._points = {name: ColumnDataSource({"x": [], "y": [], "value": []}) for name in self._MARKS}
        self._labels = ColumnDataSource({"x": [], "y": [], "text": []})
        plot = _figure(height=620, match_aspect=True, title="two or three dimensions")
        plot.grid.visible = False
        plot.axis.visible = False
        plot.multi_line("xs", "ys", source=self._axes, color="#bbbbbb")
        plot.text("x", "y", "text", source=self._labels, text_color="#666666", text_font_size="9pt")
        ball = {"fill_color": COLORS["minimal_l1"], "fill_alpha": 0.08, "line_color": None}
        plot.patches("xs", "ys", source=self._faces, legend_label="l1 ball of the minimal norm", **ball)
        plot.multi_line("xs", "ys", source=self._ball, color=COLORS["minimal_l1"], line_alpha=0.6)
        sets = {"color": "#333333", "line_dash": "dashed", "line_width": 1.6, "legend_label": "solutions of A X = b"}
        plot.multi_line("xs", "ys", source=self._set, **sets)
        for name, source in self._trajectories.items():
            plot.line("x", "y", source=source, color=COLORS[name], line_width=2.5, legend_label=f"flow {NAMES[name]}")
        ends = [
            plot.scatter("x", "y", source=self._points[name], legend_label=label, fill_color=color, **style)
            for name, (label, color, style) in self._MARKS.items()
        ]
        plot.add_tools(HoverTool(renderers=ends, tooltips=[("X", "@value")]))
        plot.legend.location = "top_right"
        plot.legend.background_fill_alpha = 0.7
        self._plot = plot
        self.layout = column(plot, **WIDE)

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self._plot.title.text = scene.title
        for source, lines in (
            (self._faces, scene.faces),
            (self._ball, scene.ball),
            (self._axes, scene.axes),
            (self._set, scene.solutions),
        ):
            source.data = {"xs": [line[:, 0] for line in lines], "ys": [line[:, 1] for line in lines]}
        for name, source in self._trajectories.items():
            source.data = {"x": scene.trajectories[name][:, 0], "y": scene.trajectories[name][:, 1]}
        for name, source in self._points.items():
            point, value = scene.points[name]
            source.data = {"x": point[:1], "y": point[1:], "value": [value]}
        corners = [line[-1] for line in scene.axes]
        self._labels.data = {
            "x": [corner[0] for corner in corners],
            "y": [corner[1] for corner in corners],
            "text": [f"X{k + 1}" for k in range(len(corners))],
        }
