"""Verdicts on trends: rank correlations and fits, left open by runs that used up their steps."""

import numpy as np
import pytest

from statement_rows import ETA4, FAR, LOST, OPEN, R0, cases, check, row

ETA7 = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
COLLAPSED = {"status": "collapsed", "loss": 1.0}


def ranked(values, ratios, column, **options):
    return [row(3, "wn", 1.0, ratio, **{column: value}, **options) for ratio, value in zip(ratios, values, strict=True)]


@pytest.mark.parametrize(
    ("values", "ratios", "verdict"),
    cases(
        # Rank correlations -1, -0.96 and -0.9; -0.8, 1 and -0.893.
        held=[((4, 3, 2, 1), ETA4), ((7, 6, 5, 4, 3, 1, 2), ETA7), ((5, 4, 3, 1, 2), ETA7[:5])],
        failed=[((4, 3, 1, 2), ETA4), ((1, 2, 3, 4), ETA4), ((6, 7, 4, 5, 2, 3, 1), ETA7)],
    ),
)
def test_4_error_falls_with_ratio(values, ratios, verdict):
    rows = [*ranked(values, ratios, "eps1_cert"), row(3, "plain", 1.0, eps1_cert=99.0)]
    assert check(4, rows) == verdict


def test_4_with_unfinished_runs_and_means_over_trials():
    for values, state, verdict in (
        ((4, 3, 1, 2), OPEN, "not decided"),
        ((4, 3, 2, 1), OPEN, "held"),
        ((4, 3, 2, 1), FAR, "not decided"),
        ((4, 3, 2, 0), COLLAPSED, "failed"),
    ):
        rows = ranked(values, ETA4, "eps1_cert")
        rows[-1].update(state)
        assert check(4, rows) == verdict
    rows = ranked((4, 3, 2, 1), ETA4, "eps1_cert") + ranked((4, 3, 2, 2.5), ETA4, "eps1_cert", trial=1)
    assert check(4, rows) == "held"
    assert check(4, rows + ranked((4, 3, 2, 9), ETA4, "eps1_cert", trial=2)) == "failed"


@pytest.mark.parametrize(
    ("values", "unfinished", "verdict"),
    cases(
        held=[((10, 20, 30, 40), ()), ((10, 20, 30, 100), (3,))],  # the open run is the last wherever it ends
        failed=[((10, 20, 40, 30), ()), ((40, 30, 20, 10), ()), ((10, 100, 20, 30), (1,))],  # -0.4 at best
        not_decided=[((10, 20, 100, 100), (2, 3)), ((100, 100, 100, 100), (0, 1, 2, 3))],
    ),
)
def test_5_steps_rise_as_ratio_falls(values, unfinished, verdict):
    rows = ranked(values, ETA4, "steps")
    for index in unfinished:
        rows[index].update(OPEN)
    assert check(5, rows) == verdict


def test_5_a_mean_with_an_open_run_is_a_lower_bound_and_no_more():
    rows = ranked((10, 20, 60, 80), ETA4, "steps") + ranked((10, 20, 60, 20), ETA4, "steps", trial=1)
    assert check(5, rows) == "failed"  # the last mean, 50, is below 60
    rows[3].update(OPEN)
    assert check(5, rows) == "not decided"


@pytest.mark.parametrize("number", [5, 14])
def test_5_and_14_bounds_hold_for_all_continuations_of_open_runs(number):
    """No verdict is overturned by any continuation of the open runs."""
    rng = np.random.default_rng(number)
    seen = set()
    for _ in range(20):
        order = np.argsort(rng.standard_normal(5) + np.arange(5))
        steps, unfinished = 10.0 * (1 + np.arange(5))[order], rng.random(5) < 0.3
        seen.add(verdict := _continued(number, steps, unfinished))
        for _ in range(3):
            finished = np.where(unfinished, steps + rng.exponential(20, 5), steps)
            later = _continued(number, finished, np.zeros(5, bool))
            assert verdict in ("not decided", later), (steps, unfinished, finished)
    assert seen == {"held", "failed", "not decided"}


def _continued(number, steps, unfinished):
    status = np.where(unfinished, "max_steps", "converged")
    grid = zip(steps, status, range(5), strict=True)
    if number == 5:
        return check(5, [row(3, "wn", 1.0, 10.0**-i, steps=count, status=s) for count, s, i in grid])
    return check(14, [row(2, "wn", 0.1 ** (i + 1), steps=count, status=s) for count, s, i in grid])


def test_14_steps_grow():
    for steps, unfinished, verdict in (
        ((40, 30, 20, 10, 99), (), "held"),  # r0 = 10 is not below the limit's radius
        ((10, 20, 30, 40, 1), (), "failed"),
        ((99, 30, 20, 10, 1), (0,), "held"),
        ((99, 99, 20, 10, 1), (0, 1), "not decided"),
    ):
        rows = [row(2, "wn", r0, steps=count) for r0, count in zip(R0, steps, strict=True)]
        for index in unfinished:
            rows[index].update(OPEN)
        assert check(14, rows) == verdict


@pytest.mark.parametrize(
    ("errors", "state", "verdict"),
    [
        ((8, 4, 2, 1, 99), OPEN, "not decided"),
        ((8, 4, 2, 1, 99), {}, "failed"),  # it falls, but no run ran out of steps
        ((1, 2, 4, 8, 0), {}, "failed"),  # it does not fall
        ((1, 2, 4, 8, 0), OPEN, "failed"),  # runs out of steps explain nothing without a fall
        ((8, 4, 2, 1, 99), LOST, "failed"),
        ((8, 4, 0, 1, 99), {}, "not decided"),  # an error without a logarithm leaves three
        ((8, 4, 0, 1, 99), LOST, "failed"),
    ],
)
def test_9_budget_slope(errors, state, verdict):
    rows = [row(2, "wn", r0, eps1_cert=error) for r0, error in zip(R0, errors, strict=True)]
    rows[0].update(state)
    assert check(9, rows) == verdict


def limits(algorithm, error, scales=R0, **values):
    """Return rows of exact limits with the error that a function of r0 gives."""
    return [row(2, algorithm, r0, step_rule="limit", eps1_cert=error(r0), **values) for r0 in scales]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (lambda r0: 1 + r0, "held"),  # the limit's error rises: the runs' fall is the budget's
        (lambda r0: 1.0, "held"),
        (lambda r0: 1 / r0, "failed"),  # the flow itself falls
        (lambda r0: 1 / r0 if r0 < 10 else 1e9, "failed"),  # r0 = 10 is not below the limit's radius
        (lambda r0: 1 + r0 if r0 > 0.01 else -1e-15, "not decided"),  # three are too few
    ],
)
def test_9_with_the_limits_own_slope(error, verdict):
    rows = [row(2, "wn", r0, eps1_cert=err) for r0, err in zip(R0, (8, 4, 2, 1, 99), strict=True)]
    other = limits("plain", lambda r0: r0**-3) + limits("wn", lambda r0: r0**-3, centred=True)
    assert check(9, rows, (), limits("wn", error) + other) == "failed"  # no run ran out of steps
    rows[0].update(OPEN)
    assert check(9, rows, (), limits("wn", error) + other) == verdict
    rows[0].update(LOST)
    assert check(9, rows, (), limits("wn", error) + other) == "failed"


@pytest.mark.parametrize(
    ("plain", "wn", "verdict"),
    [
        (lambda r0: r0**0.5, lambda r0: np.exp(2 * r0**2), "held"),
        (lambda r0: r0**-0.5, lambda r0: np.exp(2 * r0**2), "failed"),
        (lambda r0: r0**0.5, lambda r0: np.exp(-(r0**2)), "failed"),
        (lambda r0: r0**0.5, lambda r0: r0**0.5, "failed"),  # no exponential of r0^2: R2 is low
        (lambda r0: 1 + (r0 == 0.1) + r0 / 1e3, lambda r0: np.exp(2 * r0**2), "failed"),
        # Above the limit's radius nothing is claimed.
        (lambda r0: r0**0.5 if r0 < 10 else 1e-9, lambda r0: np.exp(2 * r0**2) if r0 < 10 else 1e-9, "held"),
    ],
)
def test_12_rates(plain, wn, verdict):
    runs = [row(2, name, r0, eps1_cert=1 / r0, **COLLAPSED) for name in ("plain", "wn") for r0 in R0]
    assert check(12, runs, (), limits("plain", plain) + limits("wn", wn)) == verdict  # runs do not matter
    twice = limits("wn", lambda r0: 0.5 * wn(r0)) + limits("wn", lambda r0: 1.5 * wn(r0), trial=1)
    assert check(12, runs, (), limits("plain", plain) + twice) == verdict  # means over trials
    assert check(12, runs) == "not decided"


@pytest.mark.parametrize("name", ["plain", "wn"])
@pytest.mark.parametrize("spoiled", [{"eps1_cert": 0.0}, {"loss": 1e-11, "status": "inaccurate"}])
def test_12_needs_four_limits_with_positive_errors(name, spoiled):
    rows = limits("plain", lambda r0: r0) + limits("wn", lambda r0: np.exp(r0**2))
    assert check(12, [row(2, "wn", 1.0)], (), rows) == "held"
    next(r for r in rows if (r["algorithm"], r["r0"]) == (name, 0.1)).update(spoiled)
    assert check(12, [row(2, "wn", 1.0)], (), rows) == "not decided"
