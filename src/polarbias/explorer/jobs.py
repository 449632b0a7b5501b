"""Work off the server's loop: one that is asked for anew takes the place of the one before, for each visitor."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_QUICK = ThreadPoolExecutor(1, "limits")
"""Limits, which a moving slider waits for."""

_SLOW = ThreadPoolExecutor(1, "courses")
"""Flows, maps and tables; no visitor's flow keeps another's slider waiting."""


class Latest:
    """Runs the latest of the jobs that a visitor asks for in one place; those before it are dropped or stopped.

    Parameters
    ----------
    document
        The visitor's page: an object with ``add_next_tick_callback``.
    slow
        Whether the jobs may take long.
    """

    def __init__(self, document: Any, *, slow: bool) -> None:
        self._document = document
        self._pool = _SLOW if slow else _QUICK
        self._latest: threading.Event | None = None

    def ask(self, work: Callable[[Callable[[], bool]], Any], done: Callable[[Any], None]) -> None:
        """Run ``work(stopped)`` in another thread, then ``done(result or exception)`` in the page's."""
        self.stop()
        stop = threading.Event()
        self._latest = stop

        def run() -> None:
            if stop.is_set():
                return
            try:
                result = work(stop.is_set)
            except Exception as error:  # handed on to the page, which knows which ones a visitor can cause
                result = error
            if not stop.is_set():
                self._document.add_next_tick_callback(lambda: None if stop.is_set() else done(result))

        self._pool.submit(run)

    def stop(self) -> None:
        """Drop what was asked for last."""
        if self._latest is not None:
            self._latest.set()
