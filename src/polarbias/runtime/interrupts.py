"""Ctrl-C during imports and long computations."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any


def handle_ctrl_c(signum: int, frame: Any) -> None:
    """Raise KeyboardInterrupt, or during an import end the process: C extensions crash after an exception there."""
    caller = frame
    while caller is not None:
        if caller.f_globals.get("__name__") == "importlib._bootstrap":
            sys.stderr.write("polarbias: interrupted.\n")
            os._exit(130)
        caller = caller.f_back
    signal.default_int_handler(signum, frame)


@contextmanager
def interrupt_flag() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after Ctrl-C.

    Ctrl-C raises KeyboardInterrupt as usual, but Python drops exceptions in destructors and in callbacks of its garbage
    collector; the flag reports such an interrupt as well.
    """
    pressed = False

    def handler(signum: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(signum, frame)

    previous = signal.getsignal(signal.SIGINT)
    ours = current_thread() is main_thread() and previous in (signal.default_int_handler, handle_ctrl_c)
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, previous)
