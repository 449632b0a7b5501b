"""Bokeh figures of the views: created once per page, then only their data change."""

from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column, row
from bokeh.models import BoxAnnotation, ColorBar, ColumnDataSource, HoverTool, LogColorMapper, Range1d, Span
from bokeh.palettes import Viridis256
from bokeh.plotting import figure
from bokeh.plotting.contour import contour_data

from polarbias.explorer.geometry import Scene
from polarbias.explorer.options import OPTIONS
from polarbias.explorer.results import ALGORITHMS
from polarbias.explorer.settings import GRID
from polarbias.plotting.series import FLOOR, SERIES

COLORS = {name: SERIES[name].color for name in ALGORITHMS} | {"minimal_l1": "#2a9d62", "truth": "#555555"}
NAMES = {name: SERIES[name].label for name in ALGORITHMS} | {"minimal_l1": "minimal l1 norm"}
WIDE: Any = {"sizing_mode": "stretch_width"}


def _figure(**options: Any) -> Any:
    made = figure(tools="pan,wheel_zoom,box_zoom,reset,save", **WIDE, **options)
    made.toolbar.logo = None
    made.grid.grid_line_alpha = 0.35
    made.title.text_font_size = "10pt"
    return made


def _log(**options: Any) -> Any:
    return _figure(x_axis_type="log", **{"y_axis_type": "log", **options})


def _source(*columns: str) -> ColumnDataSource:
    return ColumnDataSource({name: [] for name in columns})


def _data(table: pd.DataFrame) -> dict[str, Any]:
    return {str(name): values.to_numpy() for name, values in table.items()}


class LimitsFigure:
    """Minimal l1 solution and both limits as stems, the truth as rings."""

    def __init__(self) -> None:
        self.sources = {name: _source("entry", name) for name in ("truth", "minimal_l1", *ALGORITHMS)}
        ring = {"source": self.sources["truth"], "fill_color": None, "line_color": COLORS["truth"], "size": 9}
        rows: list[Any] = []
        for name in ("minimal_l1", *ALGORITHMS):
            shared = {"x_range": rows[0].x_range, "y_range": rows[0].y_range} if rows else {}
            stems = _figure(height=185, tooltips=[("entry", "@entry"), ("X", f"@{name}")], **shared)
            stems.title.text = (
                f"limit of the flow {NAMES[name]}" if rows else "minimal l1 norm, certified; rings: the truth"
            )
            stems.add_layout(Span(location=0, dimension="width", line_color=COLORS[name], line_width=2))
            style = {"source": self.sources[name], "color": COLORS[name]}
            stems.segment("entry", 0, "entry", name, line_width=1.4, **style)
            stems.scatter("entry", name, size=4, **style)
            stems.scatter("entry", "truth", **ring)
            stems.yaxis.axis_label = "X"
            rows.append(stems)
        rows[-1].xaxis.axis_label = "entry"
        self.layout = column(*rows, **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.limits_table`."""
        for name, source in self.sources.items():
            size = table[name].abs()
            source.data = _data(table.loc[size > OPTIONS.visible * size.max(), ["entry", name]])


class TrajectoryFigure:
    """Loss, radius, l1 error and drift of the invariant of both flows against time."""

    def __init__(self) -> None:
        labels = {
            "loss": "loss |AX - b|^2 / (2L)",
            "r": "radius r = |x|",
            "excess": "l1 error, | |X|_1 - minimum |",
            "drift": "relative drift of the invariant",
        }
        self.sources = {name: _source("t", *labels) for name in ALGORITHMS}
        panels: list[Any] = []
        for key, label in labels.items():
            shared = {"x_range": panels[0].x_range} if panels else {}
            panel = _log(height=260, tooltips=[("t", "@t"), (key, f"@{key}")], **shared)
            for name, source in self.sources.items():
                panel.line("t", key, source=source, color=COLORS[name], line_width=2, legend_label=NAMES[name])
            panel.title.text, panel.xaxis.axis_label = label, "time t"
            panel.legend.visible = not panels
            panel.legend.location = "bottom_left"
            panels.append(panel)
        self.layout = column(row(*panels[:2], **WIDE), row(*panels[2:], **WIDE), **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.trajectory_table`."""
        for name, source in self.sources.items():
            flow = table[table["algorithm"] == name]
            # A log axis cannot show 0.
            source.data = _data(flow.assign(excess=flow["excess"].abs(), drift=flow["drift"].clip(lower=1e-17)))


class MapFigure:
    """l1 error of the limits with weight normalization over the plane of r0 and ratio, with a cursor."""

    def __init__(self, move: Any) -> None:
        self._width = width = np.sqrt(GRID[1] / GRID[0])
        self.source = _source("left", "right", "bottom", "top", "shown")
        self.cursor = ColumnDataSource({"r0": [1.0], "ratio": [1.0]})
        ranges = {axis: Range1d(GRID[0] / width, GRID[-1] * width) for axis in ("x_range", "y_range")}
        tips = [("r0", "@r0"), ("eta", "@ratio"), ("l1 error", "@excess"), ("log10 rho", "@log10_rho"), ("", "@status")]
        plot = _log(height=560, tooltips=tips, **ranges)
        plot.title.text = "l1 error of the limit with weight normalization; white: rho = 1; click to move the cursor"
        plot.xaxis.axis_label, plot.yaxis.axis_label = "norm r0 of the start", "learning-rate ratio eta"
        plot.grid.visible = False
        self._mapper = LogColorMapper(palette=Viridis256, low=FLOOR, high=1.0, nan_color="#bbbbbb")
        color = {"field": "shown", "transform": self._mapper}
        plot.quad("left", "right", "top", "bottom", source=self.source, line_color=color, fill_color=color)
        plot.add_layout(ColorBar(color_mapper=self._mapper, title="l1 error"), "right")
        ends = GRID[[0, -1]]
        self.contour = plot.contour(ends, ends, np.ones((2, 2)), levels=[0.0], line_color="white", line_width=1.6)
        plot.scatter("r0", "ratio", source=self.cursor, marker="cross", size=22, line_color="red", line_width=2.5)
        plot.on_event("tap", lambda event: move(event.x, event.y))
        self.layout = column(plot, **WIDE)

    def show(self, table: pd.DataFrame) -> None:
        """Draw the table of `views.map_table`."""
        solved = table["status"] == "converged"
        shown = table["excess"].clip(lower=FLOOR).where(solved)
        self._mapper.high = float(max(shown.max(), 10 * FLOOR)) if solved.any() else 1.0
        sides = {"left": table["r0"] / self._width, "right": table["r0"] * self._width}
        sides |= {"bottom": table["ratio"] / self._width, "top": table["ratio"] * self._width}
        self.source.data = _data(table.assign(shown=shown, **sides))
        rho = table.pivot(index="ratio", columns="r0", values="log10_rho").to_numpy()
        self.contour.set_data(contour_data(GRID, GRID, rho, levels=[0.0], want_fill=False, want_line=True))

    def point(self, r0: float, ratio: float) -> None:
        """Move the cursor."""
        self.cursor.data = {"r0": [r0], "ratio": [ratio]}


class BoundsFigure:
    """Magnification factor, and l1 errors with their bounds, against r0."""

    def __init__(self) -> None:
        self._errors = [f"{name}_{quantity}" for name in ALGORITHMS for quantity in ("excess", "bound")]
        self.source = _source("r0", "wn_log10_rho", *self._errors)
        rho = _log(height=360, y_axis_type="linear", tooltips=[("r0", "@r0"), ("log10 rho", "@wn_log10_rho")])
        rho.xaxis.axis_label, rho.yaxis.axis_label = "norm r0 of the start", "log10 rho"
        self.title = rho.title
        self.ranges = [BoxAnnotation(fill_color=COLORS["wn"], fill_alpha=0.12, visible=False) for _ in range(2)]
        for box in self.ranges:
            rho.add_layout(box)
        rho.add_layout(Span(location=0, dimension="width", line_color="#777777", line_dash="dotted"))
        rho.line("r0", "wn_log10_rho", source=self.source, color=COLORS["wn"], line_width=2)
        error = _log(height=360, x_range=rho.x_range, tooltips=[("r0", "@r0")])
        error.title.text = "relative error of the l1 norm and its proved bound"
        error.xaxis.axis_label = "norm r0 of the start"
        for name in ALGORITHMS:
            for quantity, label, dash in (("excess", "", "solid"), ("bound", "bound, ", "dashed")):
                style = {"color": COLORS[name], "line_width": 2, "line_dash": dash}
                legend = f"{label}{NAMES[name]}"
                error.line("r0", f"{name}_{quantity}", source=self.source, legend_label=legend, **style)
        error.legend.label_text_font_size = "8pt"
        error.legend.ncols = 2
        error.add_layout(error.legend[0], "below")
        self.cursors = [Span(location=1.0, dimension="height", line_color="red") for _ in range(2)]
        for panel, cursor in zip((rho, error), self.cursors, strict=True):
            panel.add_layout(cursor)
        self.layout = row(rho, error, **WIDE)

    def show(self, table: pd.DataFrame, radius: float, magnified: tuple[tuple[float, float], ...]) -> None:
        """Draw the table of `views.bounds_table`, and the intervals of r0 with rho >= 1 for limits of this radius."""
        self.source.data = _data(table.assign(**table[self._errors].clip(lower=1e-16)))  # a log axis cannot show 0
        self.title.text = f"magnification factor; shaded: rho >= 1 for a limit of radius {radius:.4g}"
        for box, ends in zip_longest(self.ranges, magnified):
            box.visible = ends is not None
            if ends is not None:
                box.left, box.right = max(ends[0], GRID[0]), min(ends[1], GRID[-1])

    def point(self, r0: float) -> None:
        """Move the cursors."""
        for cursor in self.cursors:
            cursor.location = r0


class PlaneFigure:
    """Solution set, l1 ball, both flows and their limits, in two dimensions or projected from three."""

    def __init__(self) -> None:
        self.lines = {name: _source("xs", "ys") for name in ("axes", "faces", "ball", "solutions")}
        self.trajectories = {name: _source("x", "y") for name in ALGORITHMS}
        self.points = {name: _source("x", "y", "value") for name in ("start", "minimal_l1", *ALGORITHMS)}
        self.labels = _source("x", "y", "text")
        self.plot = plot = _figure(height=620, match_aspect=True, title="two or three dimensions")
        plot.grid.visible = False
        plot.axis.visible = False
        plot.multi_line("xs", "ys", source=self.lines["axes"], color="#bbbbbb")
        plot.text("x", "y", "text", source=self.labels, text_color="#666666", text_font_size="9pt")
        green, faces = COLORS["minimal_l1"], {"fill_alpha": 0.08, "line_color": None}
        label = "l1 ball of the minimal norm"
        plot.patches("xs", "ys", source=self.lines["faces"], legend_label=label, fill_color=green, **faces)
        plot.multi_line("xs", "ys", source=self.lines["ball"], color=green, line_alpha=0.6)
        dashed = {"color": "#333333", "line_dash": "dashed", "line_width": 1.6, "legend_label": "solutions of A X = b"}
        plot.multi_line("xs", "ys", source=self.lines["solutions"], **dashed)
        for name, source in self.trajectories.items():
            plot.line("x", "y", source=source, color=COLORS[name], line_width=2.5, legend_label=f"flow {NAMES[name]}")
        marks: dict[str, dict[str, Any]] = {
            "start": {"legend_label": "start", "fill_color": "#777777", "marker": "square", "size": 10},
            "minimal_l1": {"legend_label": NAMES["minimal_l1"], "fill_color": green, "marker": "star", "size": 18},
        }
        for name in ALGORITHMS:
            marks[name] = {"legend_label": f"limit {NAMES[name]}", "fill_color": COLORS[name], "size": 11}
        ends = [
            plot.scatter("x", "y", source=self.points[name], line_color="white", **mark) for name, mark in marks.items()
        ]
        plot.add_tools(HoverTool(renderers=ends, tooltips=[("X", "@value")]))
        plot.legend.location = "top_right"
        plot.legend.background_fill_alpha = 0.7
        self.layout = column(plot, **WIDE)

    def show(self, scene: Scene) -> None:
        """Draw a scene."""
        self.plot.title.text = scene.title
        for name, source in self.lines.items():
            lines = getattr(scene, name)
            source.data = {"xs": [line[:, 0] for line in lines], "ys": [line[:, 1] for line in lines]}
        for name, source in self.trajectories.items():
            source.data = dict(zip(("x", "y"), scene.trajectories[name].T, strict=True))
        for name, source in self.points.items():
            point, value = scene.points[name]
            source.data = {"x": point[:1], "y": point[1:], "value": [value]}
        x, y = np.transpose([line[-1] for line in scene.axes])
        self.labels.data = {"x": x, "y": y, "text": [f"X{k + 1}" for k in range(len(x))]}
