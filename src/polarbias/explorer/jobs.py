"""Background work of a page: a new request replaces the previous one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_QUICK = ThreadPoolExecutor(1, "limits")
"""Thread of the limits, which must follow a moving slider."""

_SLOW = ThreadPoolExecutor(1, "flows")
"""Thread of flows, maps and tables, which must not delay the limits of other visitors."""


class Latest:
    """Runs the latest request of one page; earlier ones are dropped or stopped.

    Parameters
    ----------
    document
        The page: an object with ``add_next_tick_callback``.
    slow
        True for the thread of slow work.
    """

    def __init__(self, document: Any, *, slow: bool) -> None:
        self._document = document
        self._pool = _SLOW if slow else _QUICK
        self._latest: threading.Event | None = None

    def submit(self, work: Callable[[Callable[[], bool]], Any], done: Callable[[Any], None]) -> None:
        """Run ``work(stopped)`` in the background, then ``done(result or exception)`` in the page's thread."""
        self.stop()
        stop = threading.Event()
        self._latest = stop

        def run() -> None:
            if stop.is_set():
                return
            try:
                result = work(stop.is_set)
            except Exception as error:  # the page distinguishes wrong input from defects
                result = error
            if not stop.is_set():
                self._document.add_next_tick_callback(lambda: None if stop.is_set() else done(result))

        self._pool.submit(run)

    def stop(self) -> None:
        """Drop the latest request."""
        if self._latest is not None:
            self._latest.set()
