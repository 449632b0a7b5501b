"""Ctrl-C during imports and long computations."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from polarbias.runtime.interrupts import handle_ctrl_c, interrupt_flag


@pytest.fixture(params=[signal.default_int_handler, handle_ctrl_c])
def handler(request):
    previous = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, previous)


def test_the_flag_reports_an_interrupt_that_was_dropped(handler):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with interrupt_flag() as interrupted:
        assert not interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_handlers_and_threads_are_left_alone():
    def ignore(signum, frame):
        pass

    previous = signal.signal(signal.SIGINT, ignore)
    try:
        with interrupt_flag():
            assert signal.getsignal(signal.SIGINT) is ignore
    finally:
        signal.signal(signal.SIGINT, previous)

    def enter():
        with interrupt_flag() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(enter).result() is False
