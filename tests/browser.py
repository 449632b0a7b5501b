"""The installed Chromium, and the server of the explorer in its own process."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = bool(os.environ.get("CI"))
"""CI installs a browser, so a missing one is a failure there."""

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

PATIENCE = 600_000
"""Milliseconds: a limit for defects, far above the time of any step on a busy machine."""

needs_chromium = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="no Chromium on this machine")


@contextmanager
def explorer(*options):
    """Start ``polarbias explore`` and yield its URL."""
    command = [sys.executable, "-m", "polarbias", "explore", "--no-browser", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if found := re.search(r"http://\S+", line):
                yield found[0]
                return
        raise AssertionError(f"the explorer did not start: {''.join(seen)}")
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def chromium():
    """Start the browser and yield it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


def refuse_foreign_requests(context, url, refused):
    """Abort requests to other hosts at once, without a look-up of their names; add their URLs to ``refused``."""

    def handle(route):
        refused.append(route.request.url)
        route.abort()

    context.route(lambda address: urlsplit(address).netloc not in ("", urlsplit(url).netloc), handle)
