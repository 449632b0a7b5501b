"""Page of one visitor: settings on the left, views as tabs, the state in the address."""

import html
import io
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models import CustomJSTickFormatter
from panel.io.resources import LOCAL_DIST

from polarbias.errors import InvalidInput, PolarbiasError
from polarbias.explorer import results, scripts
from polarbias.explorer.figures import WIDE, BoundsFigure, LimitsFigure, MapFigure, PlaneFigure, TrajectoryFigure
from polarbias.explorer.geometry import scene
from polarbias.explorer.jobs import QUICK, SLOW, Latest
from polarbias.explorer.options import OPTIONS
from polarbias.explorer.settings import CHOICES, RANGES, Settings

_log = logging.getLogger(__name__)

TABS = {
    "limits": "Limits",
    "trajectory": "Trajectory",
    "map": "Map of (r0, eta)",
    "bounds": "Bounds",
    "plane": "Two or three dimensions",
}

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
_TABLE = (
    "<style>.pb {border-collapse:collapse} .pb td, .pb th {padding:3px 10px;text-align:left;font-size:13px}</style>"
)
_WARNING = "background:#fff3cd;border-left:4px solid #d39e00;padding:4px 10px;margin:2px 0"
_VERDICTS = {"holds": "#1b7f3b", "violated": "#b00020", "hypothesis not met": "#777777", "undecided": "#777777"}


class View(NamedTuple):
    """Contents of a tab: table, arguments of the figure's ``show``, HTML below it, messages above it."""

    table: pd.DataFrame
    shown: tuple[Any, ...]
    text: str
    messages: list[str]


def compute(tab: str, settings: Settings, stopped: Callable[[], bool]) -> View:
    """Return the contents of a tab; ``stopped`` ends flows early."""
    if tab == "plane":
        plane = results.plane(settings)
        return View(plane.table, (scene(plane, settings.signed, settings.azimuth, settings.elevation),), "", [])
    if tab == "limits":
        found = results.limits(settings)
        text = _html(found.summary(), float_format=lambda value: f"{value:.4g}", na_rep="")
        return View(found.table, (found.table,), text, found.warnings())
    if tab == "trajectory":
        end = monotonic() + OPTIONS.max_seconds
        table, messages = results.trajectories(settings, lambda _: stopped() or monotonic() > end)
        return View(table, (table,), "", messages)
    if tab == "map":
        table = results.limit_map(settings)
        missing = int((table["status"] != "converged").sum())
        messages = [f"Grey: {missing} of {len(table)} flows collapse or are undecided."] if missing else []
        return View(table, (table,), "", messages)
    table, rows = results.bounds(settings), results.statements(settings)
    formatters: dict[str, Any] = dict.fromkeys(rows.columns, html.escape)
    formatters["verdict"] = lambda verdict: f'<b style="color:{_VERDICTS[verdict]}">{verdict}</b>'
    text = _html(rows, formatters=formatters, escape=False)
    return View(table, (table, *results.magnified(settings)), text, [])


class Page:
    """Widgets, figures and callbacks of a page."""

    def __init__(self) -> None:
        query = {key: values[0].decode() for key, values in (pn.state.session_args or {}).items() if values}
        tab = query.pop("tab", "limits")
        self._settings, self._refused = Settings.from_query(query)
        if tab not in TABS:
            self._refused.append(f"tab must be one of {', '.join(TABS)}, got {tab!r}.")
            tab = "limits"
        self._document: Any = pn.state.curdoc
        # Without this variable, which Panel sets when it sends the page, models load styles from another server.
        self._document.template_variables["dist_url"] = LOCAL_DIST
        self._pending = False
        self._quick, self._slow = Latest(self._document, QUICK), Latest(self._document, SLOW)
        self._shown: dict[str, tuple[Settings, View]] = {}
        self._widgets = _widgets(self._settings)
        self._figures: dict[str, Any] = {
            "limits": LimitsFigure(),
            "trajectory": TrajectoryFigure(),
            "map": MapFigure(self._move),
            "bounds": BoundsFigure(),
            "plane": PlaneFigure(),
        }
        # Outside the tabs: Panel gives panes of hidden tabs styles from another server when they change.
        self._notice, self._text = pn.pane.HTML(**WIDE), pn.pane.HTML(**WIDE)
        self._address = pn.widgets.TextInput(visible=False)
        self._address.jscallback(value=_ADDRESS)
        views = [(title, self._view(name)) for name, title in TABS.items()]
        self._tabs = pn.Tabs(*views, active=list(TABS).index(tab), dynamic=True, **WIDE)
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
        main = pn.Column(self._notice, self._tabs, self._text, min_width=600, **WIDE)
        # No template: those of Panel load fonts from another server.
        return pn.Column(pn.pane.HTML(_HEADER, margin=0, **WIDE), pn.Row(sidebar, main, **WIDE), **WIDE)

    def _view(self, name: str) -> Any:
        layout = self._figures[name].layout
        png = pn.widgets.Button(label="PNG", width=90)
        png.js_on_click(args={"layout": layout, "name": f"polarbias-{name}.png"}, code=_PNG)
        exports = [
            pn.widgets.FileDownload(
                label=label,
                filename=f"polarbias-{name}.{ending}",
                callback=lambda text=text: io.StringIO(text(name)),
                width=90,
            )
            for label, ending, text in (("Data", "csv", self._data), ("Python", "py", self._script))
        ]
        inputs = [pn.Row(*(self._widgets[key] for key in ("A", "b", "u0", "azimuth", "elevation")))]
        figure = pn.pane.Bokeh(layout, **WIDE)
        return pn.Column(pn.Row(png, *exports), *inputs * (name == "plane"), figure, **WIDE)

    def _data(self, name: str) -> str:
        """Return the table of a view as CSV."""
        if name not in self._shown:
            return "no data yet\n"
        return str(self._shown[name][1].table.to_csv(index=False, float_format="%.17g"))

    def _script(self, name: str) -> str:
        return scripts.script(name, self._shown[name][0] if name in self._shown else self._settings)

    @property
    def _tab(self) -> str:
        active: int = self._tabs.active
        return list(TABS)[active]

    def _leave(self, _: Any) -> None:
        self._quick.stop()
        self._slow.stop()

    def _schedule(self, *_: Any) -> None:
        """Schedule one update for all changes within the delay."""
        if not self._pending:
            self._pending = True
            self._document.add_timeout_callback(self._update, OPTIONS.delay)

    def _move(self, r0: float, ratio: float) -> None:
        """Set r0 and the ratio to the point of a click on the map."""
        step = OPTIONS.slider_step
        for name, value in (("r0", r0), ("ratio", ratio)):
            decade = np.log10(max(value, 1e-300)).clip(*OPTIONS.decades)
            self._widgets[name].value = float(round(decade / step) * step)

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
        for name in ("azimuth", "elevation"):
            self._widgets[name].visible = settings.plane_arrays()[0].shape[1] == 3
        self._figures["map"].point(settings.r0, settings.ratio)
        self._figures["bounds"].point(settings.r0)
        tab = self._tab
        self._text.object = self._shown[tab][1].text if tab in self._shown else ""
        self._address.value = urlencode({**settings.query(), **({} if tab == "limits" else {"tab": tab})})
        self._slow.stop()
        first = "plane" if tab == "plane" else "limits"

        def done(view: Any) -> None:
            self._draw(first, settings, view)
            if tab != first and not isinstance(view, Exception):
                self._show_slow(tab, settings, view.messages)

        self._quick.submit(partial(compute, first, settings), done)

    def _show_slow(self, tab: str, settings: Settings, warnings: list[str]) -> None:
        """Compute a view unless the figure shows it already."""
        key = "map" if tab == "map" else "limits"
        if tab in self._shown and self._shown[tab][0].cache_key(key) == settings.cache_key(key):
            self._notify([*warnings, *self._shown[tab][1].messages])
            return
        self._notify(warnings, "computing ...")
        work = partial(compute, tab, settings)
        self._slow.submit(work, lambda view: self._draw(tab, settings, view, *warnings))

    def _draw(self, name: str, settings: Settings, view: View | Exception, *warnings: str) -> None:
        """Draw a view with its messages, or show the message of an exception."""
        if isinstance(view, Exception):
            if not isinstance(view, PolarbiasError):
                _log.error("a view failed", exc_info=view)
            self._notify([f"{view} The figures show the last valid input."])
            return
        self._figures[name].show(*view.shown)
        self._shown[name] = settings, view
        if name == self._tab:
            self._text.object = view.text
        self._notify([*warnings, *view.messages])

    def _notify(self, sentences: list[str], busy: str = "") -> None:
        warnings = [*self._refused, *sentences]
        self._refused = self._refused if busy else []
        lines = [f'<div style="{_WARNING}" class="warning">{html.escape(one)}</div>' for one in warnings]
        if busy:
            lines.append(f'<div style="padding:4px 10px;color:#555" class="busy">{busy}</div>')
        self._notice.object = "".join(lines)


def _html(table: pd.DataFrame, **options: Any) -> str:
    return _TABLE + str(table.to_html(index=False, border=0, classes="pb", **options))


def _widgets(settings: Settings) -> dict[str, Any]:
    """Return an input for each setting, with its value."""
    power_of_ten = CustomJSTickFormatter(code="return Number(Math.pow(10, tick).toPrecision(3)).toString()")

    low, high = OPTIONS.decades
    decades = {"start": low, "end": high, "step": OPTIONS.slider_step, "format": power_of_ten}
    number, choice, text = pn.widgets.IntInput, pn.widgets.Select, pn.widgets.TextInput
    integers, reals = pn.widgets.IntSlider, pn.widgets.FloatSlider
    kinds: dict[str, tuple[Any, str, dict[str, Any]]] = {
        "r0": (reals, "norm r0 of the start", decades),
        "ratio": (reals, "learning-rate ratio eta", decades),
        "start": (choice, "direction of the start", {}),
        "depth": (integers, "depth L", {}),
        "signed": (pn.widgets.Checkbox, "signed signals u^L - v^L", {}),
        "law": (choice, "ratio law", {}),
        "power": (reals, "power K of eta r^K", {"step": 0.25}),
        "truth": (choice, "true signal", {}),
        "m": (number, "equations M", {"width": 140}),
        "n": (number, "unknowns N", {"width": 140}),
        "s": (number, "nonzeros s", {"width": 140}),
        "seed": (number, "seed", {"width": 140}),
        "A": (text, "A, rows separated by ;", {"width": 170}),
        "b": (text, "b", {"width": 90}),
        "u0": (text, "direction u0", {"width": 120}),
        "azimuth": (integers, "azimuth, degrees", {"width": 200, "visible": False}),
        "elevation": (integers, "elevation, degrees", {"width": 200, "visible": False}),
    }
    made = {}
    for name, (kind, label, options) in kinds.items():
        value = getattr(settings, name)
        if kind is choice:
            options = {"options": list(CHOICES[name])}
        elif options is decades:
            value = float(np.log10(value))
        elif kind in (integers, reals):
            options = dict(zip(("start", "end"), RANGES[name][1:], strict=True)) | options
        made[name] = kind(label=label, value=value, **options)
    return made
