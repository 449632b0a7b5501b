"""Background work: the latest request, exceptions, two threads."""

import threading
from types import SimpleNamespace

from polarbias.explorer.jobs import QUICK, SLOW, Latest

# Runs callbacks at once, in the thread that adds them.
DOCUMENT = SimpleNamespace(add_next_tick_callback=lambda function: function())


def test_the_latest_request_replaces_earlier_ones():
    jobs, release, results, ended = Latest(DOCUMENT, QUICK), threading.Event(), [], threading.Event()
    seen = []

    def first(stopped):
        release.wait(60)
        seen.append(stopped())

    jobs.submit(first, results.append)
    jobs.submit(lambda stopped: 2, lambda result: (results.append(result), ended.set()))
    release.set()
    assert ended.wait(60)
    assert (seen, results) == ([True], [2])


def test_exceptions_are_results_and_slow_work_does_not_delay_quick_work():
    release, results, ended = threading.Event(), [], threading.Event()
    slow = Latest(DOCUMENT, SLOW)
    slow.submit(lambda stopped: release.wait(60), results.append)
    Latest(DOCUMENT, QUICK).submit(lambda stopped: 1 / 0, lambda result: (results.append(result), ended.set()))
    assert ended.wait(60)
    slow.stop()
    release.set()
    [error] = results
    assert isinstance(error, ZeroDivisionError)
