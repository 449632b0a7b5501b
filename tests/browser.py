"""A real browser for tests: a Chromium that the machine has, and the explorer's server in a process of its own."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from time import monotonic

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = bool(os.environ.get("CI"))
"""CI installs a browser, so that a missing one is a failure there and no reason to skip."""

needs_chromium = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium on this machine")


@contextmanager
def explorer(*options):
    """Start ``polarbias explore``; yield its URL and the seconds that it took."""
    began = monotonic()
    command = [sys.executable, "-m", "polarbias", "explore", "--no-browser", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if found := re.search(r"http://\S+", line):
                yield found[0], monotonic() - began
                return
        raise AssertionError(f"the explorer did not start: {''.join(seen)}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def chromium():
    """Start the browser; yield what makes visitors."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()
