"""The explorer's server in its own process, and the installed Chromium."""

import os
import re
import shutil
import subprocess
import sys

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no look-up of a name leaves this machine
)


@pytest.fixture(scope="session")
def url():
    """Start ``polarbias explore`` and return its URL."""
    command = [sys.executable, "-m", "polarbias", "explore", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            seen = ""
            while not (found := re.search(r"http://\S+", seen)):
                line = process.stdout.readline()
                assert line, f"the explorer did not start: {seen}"
                seen += line
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser():
    """Return a running browser; CI installs one, so that a missing one is a failure there."""
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=0)
        yield browser
        browser.close()
