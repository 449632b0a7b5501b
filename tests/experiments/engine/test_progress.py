"""Displays of progress: numbered lines, and one bar over all tasks."""

import io
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from polarbias.experiments import FIGURES, QUICK
from polarbias.experiments.engine import progress
from polarbias.experiments.engine.progress import BarObserver, LineObserver, terminal_observer

FIRST, SECOND, THIRD = FIGURES[4].tasks(replace(QUICK, trials=2))[:3]
RUNS = pd.DataFrame({"status": ["converged", "max_steps", "converged"], "steps": [3, 1000, 5]})
STATE = SimpleNamespace(
    status=np.array([-1, -1, 0, -1]),
    steps=np.array([50, 0, 70, 10]),
    max_steps=100,
    loss=np.array([1e-3, np.nan, 1e-12, 1e-5]),
)


def test_lines_are_numbered_in_the_order_of_completion():
    stream = io.StringIO()
    lines = LineObserver(Console(file=stream, width=200), [FIRST, SECOND, THIRD])
    for task in (FIRST, SECOND, FIRST):  # the worker of the first task died
        lines.started(task)
    for task in (SECOND, FIRST):
        lines.finished(task, RUNS, 1.0)
    lines.started(THIRD)
    lines.finished(THIRD, RUNS, 1.0)
    shown = re.findall(r"^(\[\d/3\]) (.*?): (.*)$", stream.getvalue(), re.MULTILINE)
    text = "2 converged, 1 max steps; 1,008 run-steps in 1.0 s"
    assert shown == [("[1/3]", SECOND.label, text), ("[2/3]", FIRST.label, text), ("[3/3]", THIRD.label, text)]


def test_a_line_of_progress_is_printed_at_intervals(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    lines = LineObserver(Console(file=stream, width=200), [FIRST])
    lines.started(FIRST)
    lines.progress(FIRST, STATE)
    assert stream.getvalue() == ""
    clock[0] = progress.SECONDS_BETWEEN_LINES + 1
    for _ in range(2):
        lines.progress(FIRST, STATE)
    # Queued runs have no loss yet, and ended ones are complete.
    assert stream.getvalue() == f"[1/1] {FIRST.label}: 40%, loss 1.0e-05 .. 1.0e-03\n"


def test_one_bar_covers_all_tasks():
    shown = {}
    bar = SimpleNamespace(
        add_task=lambda text, **fields: shown.update(fields), update=lambda task, **fields: shown.update(fields)
    )
    observer = BarObserver(bar, [FIRST, SECOND, THIRD])
    observer.started(FIRST)
    assert shown["description"] == FIRST.label
    observer.started(SECOND)
    assert shown["description"] == f"{FIRST.label} and 1 more"
    observer.progress(FIRST, STATE)
    assert shown["losses"] == "loss 1.0e-05 .. 1.0e-03"
    assert shown["completed"] == pytest.approx(0.4 * progress.weight(FIRST))
    observer.finished(SECOND, RUNS, 1.0)
    assert (shown["description"], 0 < shown["completed"] < shown["total"]) == (FIRST.label, True)
    observer.finished(FIRST, RUNS, 1.0)
    observer.started(THIRD)
    observer.finished(THIRD, RUNS, 1.0)
    assert shown["completed"] == pytest.approx(shown["total"])


@pytest.mark.parametrize(("terminal", "kind"), [(True, BarObserver), (False, LineObserver)])
def test_a_terminal_has_a_bar(terminal, kind):
    with terminal_observer(Console(file=io.StringIO(), force_terminal=terminal), [FIRST]) as observer:
        assert isinstance(observer, kind)
