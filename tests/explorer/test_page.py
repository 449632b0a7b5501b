"""The explorer in a headless Chromium.

Every wait is for a condition that follows from the action before it, never for a time.
"""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from browser import chromium, explorer, needs_chromium, refuse_foreign_requests
from polarbias.explorer import results
from polarbias.explorer.settings import Settings

pytestmark = needs_chromium

PATIENCE = 300_000
"""Milliseconds: a limit for defects, far above the time of any step on a busy machine."""

ADDRESS = "m=20&n=60&s=3"
SMALL = Settings(m=20, n=60, s=3)
TABS = {
    "limits": "Limits",
    "trajectory": "Trajectory",
    "map": "Map of (r0, eta)",
    "bounds": "Bounds",
    "plane": "Two or three dimensions",
}


@pytest.fixture(scope="module")
def url():
    with explorer() as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visitor(browser, url):
    """Return a function that opens a page; errors on any page fail the test."""
    contexts, failures = [], []

    def open_page():
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.refused = refuse_foreign_requests(context, url)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: message.type == "error" and failures.append(message.text))
        return page

    yield open_page
    seen = list(failures)  # closing a page cuts off what it still loads, which is no failure of the page
    for context in contexts:
        context.close()
    assert not seen


@pytest.fixture
def page(visitor):
    return visitor()


def visit(page, url, query=ADDRESS):
    page.goto(f"{url}?{query}")
    page.locator(".bk-tab").first.wait_for()
    return page


def wait_for_address(page, **values):
    """Wait until the address holds these values, which the page writes before it computes."""
    for name, value in values.items():
        page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value", arg=[name, value]
        )


def open_tab(page, name):
    page.locator(".bk-tab").filter(has_text=TABS[name]).click()
    if name != "limits":
        wait_for_address(page, tab=name)
    page.locator(".busy").wait_for(state="detached")


def push(page, label, times):
    """Move a slider by its keyboard."""
    slider = page.locator(".bk-input-group").filter(has_text=label).locator(".noUi-handle").first
    slider.focus()
    for _ in range(times):
        slider.press("ArrowRight")


def moved(value, times):
    """Return the text in the address after a slider of powers of ten moved by steps of 0.02 from ``value``."""
    return f"{10 ** (np.log10(value) + 0.02 * times):.4g}"


def wait_for_row(page, settings, signal="wn"):
    """Wait until the table shows the library's l1 norm for these settings."""
    norm = f"{results.limits(settings).summary().set_index('signal').loc[signal, 'l1']:.4g}"
    page.locator("table.pb tr").filter(has_text=re.compile(rf"^\s*{signal}\s+{re.escape(norm)}\s")).first.wait_for()


def warning(page, text):
    return page.locator(".warning").filter(has_text=text)


def fill(page, label, text):
    box = page.locator(".bk-input-group").filter(has_text=label).locator("input").first
    box.fill(text)
    box.press("Enter")


def test_limits_need_no_other_server(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    wait_for_row(page, SMALL, "plain")
    assert page.refused == []


def test_a_slider_moves_the_limits_and_the_address(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    push(page, "norm r0", 20)
    wait_for_address(page, r0=moved(1.0, 20))
    query = {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}
    assert Settings.from_query(query) == (replace(SMALL, r0=2.512), [])
    wait_for_row(page, replace(SMALL, r0=2.512))
    page.reload()
    wait_for_row(page, replace(SMALL, r0=2.512))


@pytest.mark.parametrize("name", TABS)
def test_every_tab_draws_and_exports(page, url, name, tmp_path):
    visit(page, url)
    wait_for_row(page, SMALL)
    open_tab(page, name)
    # The data of the plane arrive without a message.
    files, rows = {}, 0
    while rows <= 10:
        for label, ending in (("Data", "csv"), ("Python", "py"), ("PNG", "png")):
            button = page.locator("button:visible, a:visible").filter(has_text=re.compile(rf"^\s*{label}\s*$")).first
            with page.expect_download() as download:
                button.click()
            assert download.value.suggested_filename == f"polarbias-{name}.{ending}"
            files[ending] = tmp_path / download.value.suggested_filename
            download.value.save_as(files[ending])
        rows = len(pd.read_csv(files["csv"]))
    pixels = matplotlib.image.imread(files["png"])[..., :3]
    assert (np.ptp(pixels, axis=-1) > 0.2).sum() > 500  # colored pixels: not an empty frame
    compile(files["py"].read_text(), name, "exec")
    if name == "limits":
        found = pd.read_csv(files["csv"])["wn"].to_numpy()
        assert found == pytest.approx(results.limits(SMALL).wn.x, rel=1e-9, abs=1e-12)


def test_a_click_on_the_map_moves_the_cursor(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    open_tab(page, "map")
    box = page.locator("canvas:visible").first.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function("() => ['ratio', 'r0'].every(name => new URLSearchParams(location.search).has(name))")
    query = parse_qs(urlsplit(page.url).query)
    assert 1 < float(query["ratio"][0]) <= 100
    assert 0.01 <= float(query["r0"][0]) < 1


def test_wrong_input_is_named(page, url):
    few = Settings(m=20, n=24, s=3)  # few columns: with signs b is outside the cone of the columns
    visit(page, url, "m=20&n=24&s=3&r0=huge&colour=<b>red</b>")
    warning(page, "r0 must be a number").wait_for()
    warning(page, "'colour' is not a setting").wait_for()
    wait_for_row(page, few)
    fill(page, "nonzeros s", "100")
    warning(page, "s = 100 nonzero entries do not fit into N = 24").wait_for()
    fill(page, "nonzeros s", "3")
    page.locator(".warning").first.wait_for(state="detached")
    page.locator("select").filter(has_text="sparse").first.select_option("signed")
    warning(page, "tick 'signed signals'").wait_for()
    page.locator("input[type=checkbox]").first.check()
    page.locator(".warning").first.wait_for(state="detached")
    wait_for_row(page, replace(few, truth="signed", signed=True))


def test_wrong_values_in_an_address_are_named_beside_a_slow_view(page, url):
    visit(page, url, f"{ADDRESS}&tab=map&seed=x")
    warning(page, "seed must be an integer").wait_for()
    visit(page, url, f"{ADDRESS}&tab=nowhere")
    warning(page, "tab must be one of").wait_for()
    wait_for_row(page, SMALL)


def test_three_dimensions_and_wrong_matrices(page, url):
    visit(page, url, f"{ADDRESS}&tab=plane")
    fill(page, "A, rows", "1 2 x")
    warning(page, "A must be rows of numbers").wait_for()
    fill(page, "A, rows", "1 2 3")
    warning(page, "u0 must have 3 positive entries").wait_for()
    fill(page, "direction u0", "1 1 1")
    page.locator(".warning").first.wait_for(state="detached")
    push(page, "azimuth", 5)
    wait_for_address(page, azimuth="40")


def test_two_visitors_have_their_own_settings(visitor, url):
    first, second = (visit(visitor(), url) for _ in range(2))
    for page in (first, second):
        wait_for_row(page, SMALL)
    push(first, "norm r0", 30)
    push(second, "learning-rate ratio", 30)
    wait_for_address(first, r0=moved(1.0, 30))
    wait_for_address(second, ratio=moved(0.1, 30))
    wait_for_row(first, replace(SMALL, r0=float(moved(1.0, 30))))
    wait_for_row(second, replace(SMALL, ratio=float(moved(0.1, 30))))
    assert "ratio" not in first.url
    assert "r0" not in second.url
