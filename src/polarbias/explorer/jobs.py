"""Background work of a page: a new request replaces the previous one."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

QUICK = ThreadPoolExecutor(1, "limits")
"""Thread of the limits, which must follow a moving slider."""

SLOW = ThreadPoolExecutor(1, "flows")
"""Thread of flows, maps and tables, which must not delay the limits of other visitors."""


class Latest:
    """Runs the latest request of one page on a thread; earlier ones are dropped or stopped."""

    def __init__(self, document: Any, pool: ThreadPoolExecutor) -> None:
        self._document, self._pool = document, pool
        self._latest = threading.Event()

    def submit(self, work: Callable[[Callable[[], bool]], Any], done: Callable[[Any], None]) -> None:
        """Run ``work(stopped)`` in the background, then ``done(result or exception)`` in the page's thread."""
        self.stop()
        self._latest = stop = threading.Event()

        def run() -> None:
            if stop.is_set():
                return
            try:
                result = work(stop.is_set)
            except Exception as error:  # the page distinguishes wrong input from defects
                result = error
            self._document.add_next_tick_callback(lambda: None if stop.is_set() else done(result))

        self._pool.submit(run)

    def stop(self) -> None:
        """Drop the latest request."""
        self._latest.set()
