"""Ctrl-C during long work."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


@contextmanager
def noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed.

    It raises KeyboardInterrupt as always; but Python drops an exception that comes up in a destructor or a callback of
    its garbage collector, and a run of days should end at the first Ctrl-C.
    """
    pressed = False

    def handler(signum: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(signum, frame)

    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
