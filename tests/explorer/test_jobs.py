"""Background work: the latest request, exceptions, two threads."""

import threading

import pytest

from polarbias.explorer.jobs import Latest


class Document:
    """Runs callbacks at once, in the thread that adds them."""

    def add_next_tick_callback(self, function):
        function()


def test_the_latest_request_replaces_earlier_ones():
    jobs, release, results, ended = Latest(Document(), slow=False), threading.Event(), [], threading.Event()
    seen = []

    def first(stopped):
        release.wait(60)
        seen.append(stopped())

    jobs.submit(first, results.append)
    jobs.submit(lambda stopped: 2, lambda result: (results.append(result), ended.set()))
    release.set()
    assert ended.wait(60)
    assert (seen, results) == ([True], [2])


@pytest.mark.parametrize("slow", [False, True])
def test_exceptions_are_results(slow):
    results, ended = [], threading.Event()
    Latest(Document(), slow=slow).submit(lambda stopped: 1 / 0, lambda result: (results.append(result), ended.set()))
    assert ended.wait(60)
    assert isinstance(results[0], ZeroDivisionError)


def test_slow_work_does_not_delay_quick_work():
    release, ended = threading.Event(), threading.Event()
    slow = Latest(Document(), slow=True)
    slow.submit(lambda stopped: release.wait(60), lambda result: None)
    Latest(Document(), slow=False).submit(lambda stopped: None, lambda result: ended.set())
    assert ended.wait(60)
    slow.stop()
    release.set()
