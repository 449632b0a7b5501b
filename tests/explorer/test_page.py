"""The page, with its document replaced, and in a headless Chromium.

Every wait in the browser is for a condition that follows from the action before it, never for a time.
"""

import re
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet

from polarbias.explorer import page as module
from polarbias.explorer import results
from polarbias.explorer.options import OPTIONS
from polarbias.explorer.settings import Settings

ADDRESS = "m=20&n=60&s=3"
SMALL = Settings(m=20, n=60, s=3)


@pytest.fixture
def make_page(monkeypatch):
    """Return a function from a query to a page that computes and updates at once."""

    def submit(work, done):
        try:
            done(work(lambda: False))
        except results.InvalidInput as error:
            done(error)

    def make(query):
        arguments = {name: [value.encode() for value in values] for name, values in parse_qs(query).items()}
        document = Document()
        document.add_timeout_callback = lambda function, delay: function()
        state = SimpleNamespace(curdoc=document, session_args=arguments, on_session_destroyed=lambda leave: None)
        monkeypatch.setattr(module.pn, "state", state)
        return module.Page()

    monkeypatch.setattr(module, "Latest", lambda *_: SimpleNamespace(submit=submit, stop=lambda: None))
    return make


def warnings(page):
    return re.findall(r'class="warning">([^<]*)<', page._notice.object)


@pytest.mark.parametrize("tab", module.TABS)
def test_every_tab_has_its_table_script_and_address(make_page, tab):
    page = make_page(f"{ADDRESS}&tab={tab}")
    table = module.compute(tab, SMALL, lambda: False).table
    assert page._data(tab) == table.to_csv(index=False, float_format="%.17g")
    compile(page._script(tab), tab, "exec")
    assert parse_qs(page._address.value).get("tab", ["limits"]) == [tab]
    root = page.served().get_root(page._document)
    page._document.add_root(root)
    page._widgets["r0"].value = 0.5
    assert {urlsplit(sheet.url).netloc for sheet in root.select({"type": ImportedStyleSheet})} == {""}
    assert warnings(page) == []


def test_inputs_change_figures_and_address(make_page):
    page = make_page(ADDRESS)
    inputs = page._widgets
    inputs["r0"].value = np.log10(2.5)
    settings = replace(SMALL, r0=2.5)
    assert parse_qs(page._address.value)["r0"] == ["2.5"]
    row = results.limits(settings).summary().set_index("signal").loc["wn"]
    assert f"<td>{row['||X||_1']:.4g}</td>" in page._text.object
    assert page._data("map") == "no data yet\n"
    assert not inputs["power"].visible
    inputs["law"].value = "power"
    assert inputs["power"].visible
    page._move(0.0, 33.0)
    assert (inputs["r0"].value, inputs["ratio"].value) == (-2.0, 1.52)
    assert page._figures["map"].cursor.data == {"r0": [0.01], "ratio": [33.11]}
    assert page._figures["bounds"].cursors[0].location == 0.01


def test_wrong_input_is_named(make_page):
    page = make_page("m=20&n=24&s=3&r0=huge&tab=nowhere&colour=<b>red</b>")
    first, second, third = warnings(page)
    assert first.startswith("r0 must be a number")
    assert second.startswith("&#x27;colour&#x27; is not a setting")
    assert third.startswith("tab must be one of")
    inputs = page._widgets
    for name, value, part in (
        ("s", 100, "s = 100 nonzero entries do not fit into N = 24. The figures show the last valid input."),
        ("s", None, "s must be an integer."),
        ("A", "1 2 x", "A must be rows of numbers"),
        ("A", "1 2 3", "u0 must have 3 positive entries"),
        ("truth", "signed", "tick &#x27;signed signals&#x27;"),
    ):
        kept, inputs[name].value = inputs[name].value, value
        assert part in warnings(page)[0]
        inputs[name].value = kept
        assert warnings(page) == []
    inputs["signed"].value = True
    inputs["truth"].value = "signed"
    assert warnings(page) == []
    inputs["u0"].value = "1 1 1"
    inputs["A"].value = "1 2 3"
    assert inputs["azimuth"].visible


def test_messages_of_slow_views(monkeypatch):
    grey = module.compute("map", Settings(m=3, n=8, s=2, r0=0.01, ratio=100.0), lambda: False)
    missing = (grey.table["status"] != "converged").sum()
    assert grey.messages == [f"Grey: {missing} of 289 flows collapse or are undecided."]
    stopped = module.compute("trajectory", replace(SMALL, r0=0.1), lambda: True)
    assert "wn: interrupted" in stopped.messages[-1]
    assert set(stopped.table["algorithm"]) == {"plain", "wn"}
    monkeypatch.setattr(module, "OPTIONS", replace(OPTIONS, max_seconds=0.0))
    assert "interrupted" in module.compute("trajectory", replace(SMALL, r0=0.2), lambda: False).messages[-1]
    rows = pd.DataFrame({"observed": ["<1"], "verdict": "violated"})
    monkeypatch.setattr(results, "statements", lambda settings: rows)
    text = module.compute("bounds", SMALL, lambda: False).text
    assert "&lt;1" in text
    assert '<b style="color:#b00020">violated</b>' in text


@pytest.fixture
def visit(browser, url):
    """Return a function that opens a page; errors and requests to other servers fail the test."""
    pages, failures = [], []

    def refuse(route):
        failures.append(route.request.url)
        route.abort()

    def open_page():
        page = browser.new_page(viewport={"width": 1400, "height": 1000})  # in a context of its own
        pages.append(page)
        page.route(lambda address: urlsplit(address).netloc not in ("", urlsplit(url).netloc), refuse)
        page.set_default_timeout(600_000)  # a limit for defects, far above the time of any step on a busy machine
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: message.type == "error" and failures.append(message.text))
        page.goto(f"{url}?{ADDRESS}")
        wait_for_row(page, SMALL)
        return page

    yield open_page
    seen = list(failures)  # closing a page cuts off what it still loads, which is no failure of the page
    for page in pages:
        page.close()
    assert not seen


def wait_for_address(page, end):
    """Wait until the address, which the page writes before it computes, has this end."""
    page.wait_for_function("end => location.href.endsWith(end)", arg=end)


def push(page, label):
    """Move a slider by its keyboard."""
    slider = page.locator(".bk-input-group").filter(has_text=label).locator(".noUi-handle").first
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")


def wait_for_row(page, settings):
    """Wait until the table shows the library's l1 norms for these settings."""
    for signal, norm in results.limits(settings).summary().set_index("signal")["||X||_1"].items():
        text = re.compile(rf"^\s*{signal}\s+{re.escape(f'{norm:.4g}')}\s")
        page.locator("table.pb tr").filter(has_text=text).first.wait_for()


def test_two_visitors_move_their_own_sliders(visit):
    first, second = visit(), visit()
    push(first, "norm r0")
    push(second, "learning-rate ratio")
    wait_for_address(first, f"?{ADDRESS}&r0=2.512")
    wait_for_address(second, f"?{ADDRESS}&ratio=0.2512")
    for _ in range(2):
        wait_for_row(first, replace(SMALL, r0=2.512))
        wait_for_row(second, replace(SMALL, ratio=0.2512))
        first.reload()


def test_every_tab_draws_and_exports(visit, tmp_path):
    page = visit()
    for name, title in module.TABS.items():
        page.locator(".bk-tab").filter(has_text=title).click()
        wait_for_address(page, ADDRESS if name == "limits" else f"&tab={name}")
        page.locator(".busy").wait_for(state="detached")
        # The data of the plane arrive without a message.
        files, rows = {}, 0
        while rows <= 10:
            for label, ending in (("Data", "csv"), ("Python", "py"), ("PNG", "png")):
                button = page.locator("button:visible, a:visible").filter(has_text=re.compile(rf"^\s*{label}\s*$"))
                with page.expect_download() as download:
                    button.first.click()
                assert download.value.suggested_filename == f"polarbias-{name}.{ending}"
                files[ending] = tmp_path / download.value.suggested_filename
                download.value.save_as(files[ending])
            rows = len(pd.read_csv(files["csv"]))
        pixels = matplotlib.image.imread(files["png"])[..., :3]
        assert (np.ptp(pixels, axis=-1) > 0.2).sum() > 500  # colored pixels: not an empty frame
        compile(files["py"].read_text(), name, "exec")
        if name == "map":
            box = page.locator("canvas:visible").first.bounding_box()
            page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
            page.wait_for_function("() => ['ratio=', 'r0='].every(text => location.search.includes(text))")
            query = parse_qs(urlsplit(page.url).query)
            assert 1 < float(query["ratio"][0]) <= 100
            assert 0.01 <= float(query["r0"][0]) < 1
