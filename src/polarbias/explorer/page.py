"""Page of one visitor: settings on the left, views as tabs, the state in the address."""

from __future__ import annotations

import html
import io
import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import CustomJSTickFormatter

from polarbias.errors import InvalidInput, PolarbiasError
from polarbias.explorer import results, scripts
from polarbias.explorer.figures import BoundsFigure, LimitsFigure, MapFigure, PlaneFigure, TrajectoryFigure
from polarbias.explorer.geometry import scene
from polarbias.explorer.jobs import Latest
from polarbias.explorer.settings import DECADES, LAWS, TRUTHS, Settings
from polarbias.networks.configuration import DIRECTIONS

_log = logging.getLogger(__name__)

TABS = ("limits", "trajectory", "map", "bounds", "plane")
TITLES = ("Limits", "Trajectory", "Map of (r0, eta)", "Bounds", "Two or three dimensions")
_ANGLES = ("azimuth", "elevation")
_DELAY = 12
"""Milliseconds during which movements of a slider are collected into one update."""

_MAX_SECONDS = 30.0
"""Time limit of a flow."""

_ADDRESS = "history.replaceState(null, '', window.location.pathname + '?' + cb_obj.value);"
_HEADER = (
    '<div style="background:#1f3b57;color:white;padding:8px 18px;font:600 18px sans-serif">polarbias explorer'
    '<span style="font:14px sans-serif;padding-left:18px">limits of gradient flow with and without weight'
    " normalization, and the minimal l1 norm</span></div>"
)
_PNG = """
const view = Bokeh.index.find_one(layout);
const link = document.createElement('a');
view.export('png', true).to_blob().then((blob) => {
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
});
"""


_View = tuple[pd.DataFrame, Callable[[], list[str]]]
"""Table of a slow view, and a function that draws it and returns messages."""


class Page:
    """Widgets, figures and callbacks of a page."""

    def __init__(self) -> None:
        query = {key: values[0].decode() for key, values in (pn.state.session_args or {}).items() if values}
        tab = query.pop("tab", TABS[0])
        self._settings, self._refused = Settings.from_query(query)
        if tab not in TABS:
            self._refused.append(f"tab must be one of {', '.join(TABS)}, got {tab!r}.")
            tab = TABS[0]
        document = pn.state.curdoc
        self._quick, self._slow = Latest(document, slow=False), Latest(document, slow=True)
        self._document, self._pending = document, False
        self._shown: dict[str, tuple[Settings, pd.DataFrame]] = {}
        self._widgets = _widgets(self._settings)
        self._figures: dict[str, Any] = {
            "limits": LimitsFigure(),
            "trajectory": TrajectoryFigure(),
            "map": MapFigure(self._move),
            "bounds": BoundsFigure(),
            "plane": PlaneFigure(),
        }
        self._tables = {name: pn.pane.HTML(sizing_mode="stretch_width") for name in ("limits", "bounds")}
        self._notice = pn.pane.HTML(sizing_mode="stretch_width")
        self._address = pn.widgets.TextInput(visible=False)
        self._address.jscallback(value=_ADDRESS)
        self._tabs = pn.Tabs(
            *((title, self._view(name)) for name, title in zip(TABS, TITLES, strict=True)),
            active=TABS.index(tab),
            dynamic=True,
            sizing_mode="stretch_width",
        )
        for widget in self._widgets.values():
            widget.param.watch(self._schedule, "value")
        self._tabs.param.watch(self._schedule, "active")
        pn.state.on_session_destroyed(self._leave)
        self._update()

    def served(self) -> Any:
        """Return the layout that the server sends."""
        w = self._widgets
        sidebar = pn.Column(
            pn.pane.Markdown("### Start and ratio", margin=0),
            *(w[name] for name in ("r0", "ratio", "start")),
            pn.pane.Markdown("### Network", margin=0),
            *(w[name] for name in ("depth", "signed", "law", "power")),
            pn.pane.Markdown("### Problem", margin=0),
            w["truth"],
            pn.Row(w["m"], w["n"]),
            pn.Row(w["s"], w["seed"]),
            self._address,
            width=330,
            styles={"background": "#f6f7f9", "padding": "6px 12px", "border-radius": "6px"},
        )
        main = pn.Column(self._notice, self._tabs, sizing_mode="stretch_width", min_width=600)
        # No template: those of Panel load fonts from another server.
        return pn.Column(
            pn.pane.HTML(_HEADER, sizing_mode="stretch_width", margin=0),
            pn.Row(sidebar, main, sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
        )

    def _view(self, name: str) -> Any:
        layout = self._figures[name].layout
        png = pn.widgets.Button(name="PNG", width=90)
        png.js_on_click(args={"layout": layout, "name": f"polarbias-{name}.png"}, code=_PNG)
        files: tuple[tuple[str, str, Callable[[], str]], ...] = (
            ("Data", "csv", lambda: self._data(name)),
            ("Python", "py", lambda: scripts.script(name, self._shown.get(name, (self._settings,))[0])),
        )
        exports = [png] + [
            pn.widgets.FileDownload(
                label=label,
                filename=f"polarbias-{name}.{ending}",
                callback=lambda text=text: io.StringIO(text()),
                button_type="default",
                width=90,
            )
            for label, ending, text in files
        ]
        parts: list[Any] = [pn.Row(*exports)]
        if name == "plane":
            parts.append(pn.Row(*(self._widgets[key] for key in ("A", "b", "u0", *_ANGLES))))
        parts.append(pn.pane.Bokeh(layout, sizing_mode="stretch_width"))
        if name in self._tables:
            parts.append(self._tables[name])
        return pn.Column(*parts, sizing_mode="stretch_width")

    @property
    def _tab(self) -> str:
        return TABS[self._tabs.active]

    def _leave(self, _: Any) -> None:
        self._quick.stop()
        self._slow.stop()

    def _schedule(self, *_: Any) -> None:
        """Schedule one update for all changes within `_DELAY`."""
        if not self._pending:
            self._pending = True
            self._document.add_timeout_callback(self._update, _DELAY)

    def _move(self, r0: float, ratio: float) -> None:
        """Set r0 and the ratio to the point of a click on the map."""
        for name, value in (("r0", r0), ("ratio", ratio)):
            decade = np.log10(max(value, 1e-300)).clip(*DECADES)
            self._widgets[name].value = float(round(decade / 0.02) * 0.02)

    def _read_widgets(self) -> Settings:
        values = {name: widget.value for name, widget in self._widgets.items()}
        for name in ("r0", "ratio"):
            values[name] = float(f"{10.0 ** values[name]:.4g}")
        for name in ("m", "n", "s", "seed"):
            if values[name] is None:
                raise InvalidInput(f"{name} must be an integer.")
        settings = replace(self._settings, **values)
        settings.check()
        return settings

    def _update(self) -> None:
        self._pending = False
        self._widgets["power"].visible = self._widgets["law"].value == "power"
        try:
            self._settings = settings = self._read_widgets()
        except InvalidInput as reason:
            self._notify([f"{reason} The figures show the last valid input."])
            return
        self._figures["map"].point(settings.r0, settings.ratio)
        self._figures["bounds"].point(settings.r0)
        query = {**settings.query(), **({} if self._tab == TABS[0] else {"tab": self._tab})}
        self._address.value = urlencode(query)
        self._slow.stop()
        if self._tab == "plane":
            self._quick.submit(lambda _: results.plane(settings), self._show_plane)
        else:
            self._quick.submit(lambda _: results.limits(settings), self._show_limits)

    def _show_limits(self, found: Any) -> None:
        if not self._succeeded(found):
            return
        self._figures["limits"].show(found.table)
        self._tables["limits"].object = _summary(found.summary())
        settings, tab = self._settings, self._tab
        self._shown["limits"] = settings, found.table
        if tab == "limits" or (tab in self._shown and _needed(tab, self._shown[tab][0]) == _needed(tab, settings)):
            self._notify(found.warnings())
            return
        self._notify(found.warnings(), "computing ...")
        work = {"trajectory": self._trajectory, "map": self._map, "bounds": self._bounds}[tab]

        def done(result: Any) -> None:
            if self._succeeded(result):
                self._shown[tab] = settings, result[0]
                self._notify([*found.warnings(), *result[1]()])

        self._slow.submit(lambda stopped: work(settings, stopped), done)

    def _trajectory(self, settings: Settings, stopped: Callable[[], bool]) -> _View:
        end = monotonic() + _MAX_SECONDS
        table, ends = results.trajectories(settings, lambda _: stopped() or monotonic() > end)

        def show() -> list[str]:
            self._figures["trajectory"].show(table)
            return [f"{one}." for one in ends]

        return table, show

    def _map(self, settings: Settings, _: Callable[[], bool]) -> _View:
        table = results.limit_map(settings)

        def show() -> list[str]:
            self._figures["map"].show(table)
            missing = int((table["status"] != "converged").sum())
            return [f"Grey: {missing} of {len(table)} flows collapse or are undecided."] if missing else []

        return table, show

    def _bounds(self, settings: Settings, stopped: Callable[[], bool]) -> _View:
        table = results.bounds(settings)
        radius, magnified = results.magnified(settings)
        rows = None if stopped() else results.statements(settings)

        def show() -> list[str]:
            self._figures["bounds"].show(table, radius, magnified)
            self._tables["bounds"].object = _statements(rows)
            return []

        return table, show

    def _show_plane(self, found: Any) -> None:
        if self._succeeded(found):
            settings = self._settings
            self._figures["plane"].show(scene(found, settings.signed, settings.azimuth, settings.elevation))
            self._shown["plane"] = self._settings, found.table
            for name in _ANGLES:
                self._widgets[name].visible = found.problem.n == 3
            self._notify([])

    def _data(self, name: str) -> str:
        """Return the table of a view as CSV."""
        if name not in self._shown:
            return "no data yet\n"
        return str(self._shown[name][1].to_csv(index=False, float_format="%.17g"))

    def _succeeded(self, result: Any) -> bool:
        """Return True for a result; show the message of an exception."""
        if not isinstance(result, Exception):
            return True
        if not isinstance(result, PolarbiasError):
            _log.error("a view failed", exc_info=result)
        self._notify([f"{result} The figures show the last valid input."])
        return False

    def _notify(self, sentences: list[str], busy: str = "") -> None:
        warnings = [*self._refused, *sentences]
        self._refused = self._refused if busy else []
        style = "background:#fff3cd;border-left:4px solid #d39e00;padding:4px 10px;margin:2px 0"
        lines = [f'<div style="{style}" class="warning">{html.escape(one)}</div>' for one in warnings]
        if busy:
            lines.append(f'<div style="padding:4px 10px;color:#555" class="busy">{busy}</div>')
        self._notice.object = "".join(lines)


def _needed(tab: str, settings: Settings) -> Settings:
    """Return the settings that the view of a tab depends on."""
    return settings.of_map() if tab == "map" else settings


def _widgets(settings: Settings) -> dict[str, Any]:
    """Return an input for each setting, with its value."""
    power_of_ten = CustomJSTickFormatter(code="return Number(Math.pow(10, tick).toPrecision(3)).toString()")
    scale = {"start": DECADES[0], "end": DECADES[1], "step": 0.02, "format": power_of_ten}
    small = {"width": 140}
    return {
        "r0": pn.widgets.FloatSlider(name="norm r0 of the start", value=float(np.log10(settings.r0)), **scale),
        "ratio": pn.widgets.FloatSlider(name="learning-rate ratio eta", value=float(np.log10(settings.ratio)), **scale),
        "start": pn.widgets.Select(name="direction of the start", options=list(DIRECTIONS), value=settings.start),
        "depth": pn.widgets.IntSlider(name="depth L", start=2, end=6, value=settings.depth),
        "signed": pn.widgets.Checkbox(name="signed signals u^L - v^L", value=settings.signed),
        "law": pn.widgets.Select(name="ratio law", options=list(LAWS), value=settings.law),
        "power": pn.widgets.FloatSlider(
            name="power K of eta r^K", start=-2.0, end=4.0, step=0.25, value=settings.power
        ),
        "truth": pn.widgets.Select(name="true signal", options=list(TRUTHS), value=settings.truth),
        "m": pn.widgets.IntInput(name="equations M", value=settings.m, **small),
        "n": pn.widgets.IntInput(name="unknowns N", value=settings.n, **small),
        "s": pn.widgets.IntInput(name="nonzeros s", value=settings.s, **small),
        "seed": pn.widgets.IntInput(name="seed", value=settings.seed, **small),
        "A": pn.widgets.TextInput(name="A, rows separated by ;", value=settings.A, width=170),
        "b": pn.widgets.TextInput(name="b", value=settings.b, width=90),
        "u0": pn.widgets.TextInput(name="direction u0", value=settings.u0, width=120),
        "azimuth": pn.widgets.IntSlider(
            name="azimuth, degrees", start=-180, end=180, value=settings.azimuth, width=200, visible=False
        ),
        "elevation": pn.widgets.IntSlider(
            name="elevation, degrees", start=-90, end=90, value=settings.elevation, width=200, visible=False
        ),
    }


_TABLE = (
    "<style>.pb {border-collapse:collapse} .pb td, .pb th {padding:3px 10px;text-align:left;font-size:13px}</style>"
)
_VERDICTS = {"holds": "#1b7f3b", "violated": "#b00020", "hypothesis not met": "#777777", "undecided": "#777777"}


def _summary(table: pd.DataFrame) -> str:
    heads = {
        "signal": "signal",
        "l1": "||X||_1",
        "excess": "above the minimum",
        "error": "||X - truth||_1",
        "entries": "entries above 1e-6 max",
        "residual": "relative residual",
        "r": "r",
        "log10_rho": "log10 rho",
        "state": "state",
        "collapse": "collapse",
    }
    shown = table.rename(columns=heads)
    return _TABLE + str(
        shown.to_html(index=False, float_format=lambda value: f"{value:.4g}", na_rep="", border=0, classes="pb")
    )


def _statements(table: pd.DataFrame) -> str:
    shown = table.assign(
        verdict=[f'<b style="color:{_VERDICTS[one]}">{one}</b>' for one in table["verdict"]],
        **{name: [html.escape(text) for text in table[name]] for name in table.columns if name != "verdict"},
    )
    return _TABLE + str(shown.to_html(index=False, border=0, classes="pb", escape=False))
