"""The loop over stages: what it keeps, and when it stops."""

from functools import partial

import numpy as np
import pytest

import polarbias as pb
from polarbias import PursuitStatus as Status
from polarbias.linalg.normal_equations import InfeasibleSystem
from polarbias.recovery import search as module
from polarbias.recovery.search import Search
from pursuit_problems import gaussian, scaled

PROBLEM = scaled(np.array([[1.0, 2.0]]), np.array([2.0]))  # x = (0, 1), y = 1/2


def iterate(error=0.0, *, interior=False, at=1.0):
    return PROBLEM.measure(np.array([0.0, at]), np.array([0.5 - error / 2]), interior=interior)


def search(monkeypatch, *stages, **options):
    chain = [partial(lambda iterates, best: iter(iterates), stage) for stage in stages]
    monkeypatch.setattr(module, "stages", lambda problem, start: iter(chain))
    options = {"tol": 1e-3, "max_steps": 10, "max_time": np.inf, "callback": None, **options}
    state = Search(**options)
    state.run(PROBLEM, None)
    return state


def test_the_first_exact_solution_ends_the_search(monkeypatch):
    found = search(monkeypatch, [None, iterate(0.5), None, iterate(0.4)], [None, iterate(1e-4), None], [None])
    assert [(seen.steps, round(seen.gap, 9)) for seen in found.history] == [(1, 0.5), (2, 0.4), (3, 1e-4)]
    assert (found.steps, found.status, round(found.best.gap, 9)) == (3, None, 1e-4)


def test_interior_solutions_are_accepted_at_the_third_or_at_the_end_of_a_stage(monkeypatch):
    inner = [iterate(error, interior=True) for error in (1e-4, 2e-4, 3e-4, 4e-4)]
    assert len(search(monkeypatch, inner, [None]).history) == 3
    found = search(monkeypatch, inner[:2], [None, iterate()])
    assert (found.steps, found.best) == (0, inner[1])  # of solutions the last


def test_the_best_iterate_is_kept(monkeypatch):
    best = iterate(0.1)
    assert search(monkeypatch, [iterate(0.2), best, iterate(0.3)]).best is best
    bad = PROBLEM.measure(np.array([0.0, np.nan]), np.array([0.5]))
    assert search(monkeypatch, [bad]).best is None


def interrupted(reason):
    yield None
    yield iterate(0.1)
    raise reason


@pytest.mark.parametrize(
    ("stage", "options", "steps", "status"),
    [
        ([None] * 5, {"max_steps": 3}, 3, Status.STEP_LIMIT),
        ([None] * 5, {"max_time": 0.0}, 0, Status.TIME_LIMIT),
        (interrupted(KeyboardInterrupt()), {}, 1, Status.INTERRUPTED),
        ([None, iterate(0.1), None], {"callback": lambda state: True}, 1, Status.INTERRUPTED),
        (interrupted(InfeasibleSystem(np.array([1.0]))), {}, 1, None),
    ],
)
def test_ends_without_a_solution(monkeypatch, stage, options, steps, status):
    found = search(monkeypatch, stage, **options)
    assert (found.steps, found.status) == (steps, status)
    assert found.direction == ([1] if status is None else None)


def test_the_best_pair_at_a_limit():
    A, _, b = gaussian(7, 60, 240, 240)
    seen = []

    def stop(state):
        assert np.geterr()["over"] == "raise"  # the error state of the caller
        seen.append(state)
        return len(seen) == 3

    with np.errstate(over="raise"):
        found = pb.basis_pursuit(A, b, callback=stop)
    assert (found.status, found.history, len(seen)) == (Status.INTERRUPTED, tuple(seen), 3)
    for limits, status in (({"max_steps": 12}, Status.STEP_LIMIT), ({"max_time": 0.0}, Status.TIME_LIMIT)):
        limited = pb.basis_pursuit(A, b, **limits)
        assert limited.status is status
        assert pb.certify(A, b, limited.x, limited.dual)[2:4] == (limited.gap, limited.residual)
