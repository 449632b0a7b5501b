"""The explorer as its visitors meet it, in a headless Chromium."""

import re
import socket
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import matplotlib.image
import numpy as np
import pandas as pd
import psutil
import pytest

from browser import chromium, explorer, needs_chromium
from commands import call
from polarbias.explorer import views
from polarbias.explorer.settings import Settings

pytestmark = needs_chromium

PATIENCE = 60_000
"""Milliseconds to wait for anything on a busy machine."""

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
    with explorer() as (url, _):
        yield url


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.failures, page.requested = [], []
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("console", lambda message: message.type == "error" and page.failures.append(message.text))
    page.on("request", lambda request: page.requested.append(request.url))
    yield page
    assert not page.failures
    context.close()


def visit(page, url, query=ADDRESS):
    page.goto(f"{url}?{query}")
    page.locator(".bk-tab").first.wait_for()
    return page


def open_tab(page, name):
    page.locator(".bk-tab").filter(has_text=TABS[name]).click()
    page.wait_for_function(
        f"() => new URLSearchParams(location.search).get('tab') === {name!r} || {name!r} === 'limits'"
    )
    settled(page)


def settled(page):
    """Wait until nothing is being computed."""
    page.wait_for_timeout(400)
    page.locator(".busy").wait_for(state="detached")


def push(page, label, key, times=1):
    """Move a slider by its keyboard."""
    slider = page.locator(".bk-input-group").filter(has_text=label).locator(".noUi-handle").first
    slider.focus()
    for _ in range(times):
        slider.press(key)


def wait_for_row(page, settings, signal="wn"):
    """Wait for the table to show what the library computes for these settings."""
    wanted = f"{views.limits(settings).summary().set_index('signal').loc[signal, 'l1']:.4g}"
    page.locator("table.pb tr").filter(has_text=re.compile(rf"^\s*{signal}\s+{re.escape(wanted)}\s")).first.wait_for()


def test_it_shows_limits_and_asks_no_other_server(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    wait_for_row(page, SMALL, "plain")
    host = urlsplit(url).netloc
    assert page.requested
    assert all(urlsplit(one).netloc in (host, "") for one in page.requested if not one.startswith(("data:", "blob:")))


def test_a_slider_moves_the_limits_and_the_address(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    push(page, "norm r0", "ArrowRight", 20)
    page.wait_for_function("() => new URLSearchParams(location.search).has('r0')")
    settled(page)
    query = {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}
    settings, wrong = Settings.from_query(query)
    assert not wrong
    assert settings.r0 > 1
    wait_for_row(page, settings)
    # The address alone brings the same page back.
    page.reload()
    wait_for_row(page, settings)


@pytest.mark.parametrize("name", TABS)
def test_every_tab_draws_and_exports(page, url, name, tmp_path):
    visit(page, url)
    wait_for_row(page, SMALL)
    open_tab(page, name)
    files = {}
    for label, ending in (("Data", "csv"), ("Python", "py"), ("PNG", "png")):
        button = page.locator("button:visible, a:visible").filter(has_text=re.compile(rf"^\s*{label}\s*$")).first
        with page.expect_download() as download:
            button.click()
        assert download.value.suggested_filename == f"polarbias-{name}.{ending}"
        files[ending] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[ending])
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    pixels = matplotlib.image.imread(files["png"])[..., :3]
    # A picture, not an empty frame: some pixels are in color.
    assert (np.ptp(pixels, axis=-1) > 0.2).sum() > 500
    table = pd.read_csv(files["csv"])
    assert len(table) > 10
    compile(files["py"].read_text(), name, "exec")
    if name == "limits":
        assert table["wn"].to_numpy() == pytest.approx(views.limits(SMALL).wn.x, rel=1e-9, abs=1e-12)


def test_a_click_on_the_map_moves_the_cursor(page, url):
    visit(page, url)
    wait_for_row(page, SMALL)
    open_tab(page, "map")
    box = page.locator("canvas:visible").first.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function("() => new URLSearchParams(location.search).has('ratio')")
    query = parse_qs(urlsplit(page.url).query)
    assert 1 < float(query["ratio"][0]) <= 100
    assert 0.01 <= float(query["r0"][0]) < 1


def test_wrong_input_is_named_and_nothing_breaks(page, url):
    few = Settings(m=20, n=24, s=3)  # few columns: with signs b is out of reach of their cone
    visit(page, url, "m=20&n=24&s=3&r0=huge&colour=<b>red</b>")
    warnings = page.locator(".warning")
    warnings.filter(has_text="r0 must be a number").wait_for()
    warnings.filter(has_text="'colour' is not a setting").wait_for()
    wait_for_row(page, few)
    box = page.locator(".bk-input-group").filter(has_text="nonzeros s").locator("input").first
    box.fill("100")
    box.press("Enter")
    warnings.filter(has_text="s = 100 nonzero entries do not fit into N = 24").wait_for()
    box.fill("3")
    box.press("Enter")
    warnings.first.wait_for(state="detached")
    # Signed signals are out of reach of a network with nonnegative ones, until it is allowed signs.
    page.locator("select").filter(has_text="sparse").first.select_option("signed")
    warnings.filter(has_text="Tick 'signed signals'").wait_for()
    page.locator("input[type=checkbox]").first.check()
    warnings.first.wait_for(state="detached")
    wait_for_row(page, replace(few, truth="signed", signed=True))


def test_what_is_wrong_in_an_address_is_said_until_the_picture_is_there(page, url):
    visit(page, url, f"{ADDRESS}&tab=map&seed=x")
    settled(page)
    page.locator(".warning").filter(has_text="seed must be an integer").wait_for()
    visit(page, url, f"{ADDRESS}&tab=nowhere")
    page.locator(".warning").filter(has_text="tab must be one of").wait_for()
    wait_for_row(page, SMALL)


def test_three_dimensions_and_wrong_matrices(page, url):
    visit(page, url, f"{ADDRESS}&tab=plane")
    settled(page)
    inputs = {
        label: page.locator(".bk-input-group").filter(has_text=label).locator("input").first
        for label in ("A, rows", "direction u0")
    }
    inputs["A, rows"].fill("1 2 x")
    inputs["A, rows"].press("Enter")
    page.locator(".warning").filter(has_text="A must be rows of numbers").wait_for()
    inputs["A, rows"].fill("1 2 3")
    inputs["A, rows"].press("Enter")
    page.locator(".warning").filter(has_text="u0 must have 3 positive entries").wait_for()
    inputs["direction u0"].fill("1 1 1")
    inputs["direction u0"].press("Enter")
    page.locator(".warning").first.wait_for(state="detached")
    push(page, "azimuth", "ArrowRight", 5)
    page.wait_for_function("() => Number(new URLSearchParams(location.search).get('azimuth')) === 40")


def test_two_visitors_have_pages_of_their_own(browser, url):
    contexts = [browser.new_context() for _ in range(2)]
    first, second = (context.new_page() for context in contexts)
    for page in (first, second):
        page.set_default_timeout(PATIENCE)
        visit(page, url)
        wait_for_row(page, SMALL)
    push(first, "norm r0", "ArrowRight", 30)
    push(second, "learning-rate ratio", "ArrowRight", 30)
    for page, name, other in ((first, "r0", "ratio"), (second, "ratio", "r0")):
        page.wait_for_function(f"() => new URLSearchParams(location.search).has({name!r})")
        settled(page)
        query = {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}
        assert other not in query
        wait_for_row(page, Settings.from_query(query)[0])
    for context in contexts:
        context.close()


def test_a_slow_visitor_does_not_hold_up_another(browser, url):
    slow, quick = (browser.new_context().new_page() for _ in range(2))
    for page in (slow, quick):
        page.set_default_timeout(PATIENCE)
    visit(quick, url)
    wait_for_row(quick, SMALL)
    visit(slow, url, "truth=gaussian&r0=0.1&ratio=0.01&tab=trajectory")
    slow.locator(".busy").wait_for()
    push(quick, "norm r0", "ArrowRight", 5)
    quick.wait_for_function("() => new URLSearchParams(location.search).has('r0')")
    query = {key: values[0] for key, values in parse_qs(urlsplit(quick.url).query).items()}
    wait_for_row(quick, Settings.from_query(query)[0])
    assert slow.locator(".busy").count()
    for page in (slow, quick):
        page.context.close()


def test_the_port_that_is_taken_and_addresses_that_are_none(url):
    port = str(urlsplit(url).port)
    taken = call("explore", "--no-browser", "--port", port, code=1)
    assert f"cannot listen on 127.0.0.1:{port}" in taken.output
    wrong = call("explore", "--no-browser", "--address", "here", code=2)
    assert "'here' is not an address" in wrong.output


def test_only_this_machine_is_served_unless_told_otherwise(url):
    port = urlsplit(url).port
    listening = {one.laddr.ip for one in psutil.net_connections() if one.laddr.port == port and one.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = ["GET /ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Origin: http://elsewhere.example", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall("\r\n".join(lines).encode())
        assert b" 403 " in raw.recv(200)
