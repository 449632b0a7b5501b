"""Time the start of the explorer, and the delay from a key on a slider to the figure, at the paper's size.

Starts `polarbias explore`, opens its page in a headless Chromium, presses an arrow key on the slider of r0, and waits
until the table below the stems, which is sent after them, has changed and two frames are drawn. Needs the extras
`explore` and `test` and a Chromium: `python benchmarks/explorer.py`. --streamlit times a page of three signals and a
slider as a Streamlit script instead, --panel the same page in Panel (`pip install streamlit`).
"""

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PORT = 5188
MODEL = """
import numpy as np
import polarbias as pb
problem = pb.gaussian_problem(seed=0, m=150, n=1000, truth="sparse", s=10)
best, u0 = pb.basis_pursuit(problem.A, problem.b, nonnegative=True).x, pb.folded_gaussian_direction(seed=1, n=1000)
plain = pb.HadamardPower(2)
wn = pb.WeightNormalization(plain, 0.1)


def signals(decade):
    return [best, *(pb.flow_limit(problem, net, net.init(10**decade, u0)).x for net in (plain, wn))]
"""
STREAMLIT = """
import altair as alt
import pandas as pd
import streamlit as st
from model import np, signals
value = st.slider("log r0", -2.0, 2.0, 0.0, 0.02)
found = signals(value)
for x in found:
    table = pd.DataFrame({"n": np.arange(1000), "x": x})
    stems, tips = alt.Chart(table).mark_rule().encode(x="n", y="x"), alt.Chart(table).mark_circle().encode(x="n", y="x")
    st.altair_chart(stems + tips, width="stretch")
st.markdown(f"norm {abs(found[2]).sum():.12g} at {value:.2f}")
"""
PANEL = """
import panel as pn
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from model import np, signals
pn.extension()


def page():
    slider = pn.widgets.FloatSlider(name="log r0", start=-2, end=2, step=0.02, value=0)
    text, sources, figures = pn.pane.HTML(), [ColumnDataSource({"n": [], "x": []}) for _ in range(3)], []
    for source in sources:
        figures.append(figure(height=200, sizing_mode="stretch_width"))
        figures[-1].segment("n", 0, "n", "x", source=source)
        figures[-1].scatter("n", "x", source=source, size=4)

    def show(*_):
        found = signals(slider.value)
        for source, x in zip(sources, found, strict=True):
            source.data = {"n": np.arange(1000), "x": x}
        text.object = f"<p>norm {abs(found[2]).sum():.12g} at {slider.value:.2f}</p>"

    slider.param.watch(show, "value")
    show()
    return pn.Column(slider, *map(pn.pane.Bokeh, figures), text, sizing_mode="stretch_width")


pn.serve({"/": page}, port=PORT, address="127.0.0.1", show=False)
"""
TRIALS = {
    "explorer": ("table.pb tr:has-text('wn') >> nth=0", ".noUi-handle"),
    "panel": ("p:has-text('norm')", ".noUi-handle"),
}
TRIALS["streamlit"] = ("p:has-text('norm')", "[data-testid=stSlider] [role=slider], [data-testid=stSlider] input")


def command(kind, folder):
    if kind == "explorer":
        return [sys.executable, "-m", "polarbias", "explore", "--no-browser", "--port", str(PORT)]
    (folder / "model.py").write_text(MODEL)
    (folder / "app.py").write_text({"streamlit": STREAMLIT, "panel": PANEL.replace("PORT", str(PORT))}[kind])
    if kind == "panel":
        return [sys.executable, "app.py"]
    options = ["--server.port", str(PORT), "--server.address", "127.0.0.1", "--server.headless", "true"]
    return [sys.executable, "-m", "streamlit", "run", "app.py", *options, "--browser.gatherUsageStats", "false"]


def wait_for_server(url):
    while True:
        try:
            return urllib.request.urlopen(url).read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)


def measure(kind, moves):
    text, handle = TRIALS[kind]
    url = f"http://127.0.0.1:{PORT}/"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        began = time.perf_counter()
        server = subprocess.Popen(
            command(kind, Path(folder)), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for_server(url)
            answers = time.perf_counter() - began
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            began = time.perf_counter()
            page.goto(url)
            page.locator(text).first.wait_for()
            shown = time.perf_counter() - began
            page.wait_for_timeout(2000)
            page.locator(handle).first.focus()
            times = []
            for _ in range(moves):
                before = page.locator(text).first.inner_text()
                began = time.perf_counter()
                page.keyboard.press("ArrowRight")
                while page.locator(text).first.inner_text() == before:
                    pass
                page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                times.append(1e3 * (time.perf_counter() - began))
                page.wait_for_timeout(100)
            browser.close()
        finally:
            server.terminate()
            server.wait()
    worst = sorted(times)[-1]
    print(
        f"{kind}: server answers after {answers:.1f} s, the page shows limits {shown:.1f} s later; from a key on the"
        f" slider to the picture {statistics.median(times):.0f} ms (median of {moves}; worst {worst:.0f} ms)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=re.sub(r"\s+", " ", __doc__))
    parser.add_argument("--moves", type=int, default=30)
    parser.add_argument("--streamlit", action="store_true")
    parser.add_argument("--panel", action="store_true")
    given = parser.parse_args()
    for name in [name for name in ("panel", "streamlit") if getattr(given, name)] or ["explorer"]:
        measure(name, given.moves)
