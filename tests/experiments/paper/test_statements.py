"""Verdicts on invented tables for which the statements are true, false or open."""

import numpy as np
import pandas as pd
import pytest

from polarbias.experiments import QUICK
from polarbias.experiments.engine.results import Results
from polarbias.experiments.paper import statements
from polarbias.experiments.paper.statements import as_markdown, check_all
from statement_rows import ETA4, FAR, LOST, OPEN, R0, SQRT10, cases, check, row


def records(figure, r0, losses, **values):
    base = {"figure": figure, "trial": 0, "algorithm": "wn", "step_rule": "armijo", "centred": False, "start": 0}
    return [{**base, "ratio": 0.1, "r0": r0, "step": k, "loss": loss, **values} for k, loss in enumerate(losses)]


def pairs(figure=2, wn=0.5, plain=1.0, value="eps1_cert", changes=(), **options):
    """Return plain and WN rows over the grid, with ``changes`` as (algorithm, r0, values)."""
    errors = {"plain": plain, "wn": wn}
    rows = [row(figure, name, r0, **{value: errors[name]}, **options) for name in errors for r0 in R0]
    for algorithm, r0, values in changes:
        next(r for r in rows if (r["algorithm"], r["r0"]) == (algorithm, r0)).update(values)
    return rows


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([], "held"),
        ([("wn", 10.0, {"eps1_cert": 7.0})], "held"),  # not below the limit's radius
        ([("wn", 0.1, {"eps1_cert": 1.0})], "failed"),  # equal is not smaller
        ([("wn", 0.1, {"eps1_cert": 1.0, **OPEN})], "not decided"),
        ([("wn", 0.1, {"eps1_cert": 1.0, **OPEN}), ("wn", 1.0, {"eps1_cert": 1.0})], "failed"),
        ([("wn", 0.1, {"eps1_cert": 1.0}), ("wn", 1.0, OPEN)], "failed"),
        ([("wn", 0.1, OPEN)], "held"),  # near a solution more steps help WN
        ([("wn", 0.1, FAR)], "not decided"),  # far from all solutions a small l1 norm proves nothing
        ([("plain", 0.1, FAR)], "not decided"),
        ([("wn", 0.01, LOST)], "failed"),  # X = 0 has no error, and solves nothing
        ([("wn", 0.01, LOST), ("plain", 0.01, FAR)], "failed"),
        ([("plain", 0.01, LOST)], "not decided"),  # nothing to compare with
        ([("wn", 0.01, {"status": "line_search_failed", "loss": 1e-11})], "held"),
        ([("wn", 10.0, LOST)], "held"),
    ],
)
def test_1_wn_has_the_smaller_error(changes, verdict):
    assert check(1, pairs(changes=changes)) == verdict


def test_1_at_the_radius_without_starts_below_it_and_in_a_second_trial():
    edge = [("wn", 10.0, {"eps1_cert": 7.0, "minimal_l1": 100.0}), ("plain", 10.0, {"minimal_l1": 100.0})]
    assert check(1, pairs(changes=edge)) == "held"
    inside = [(name, r0, {**values, "minimal_l1": 100.1}) for name, r0, values in edge]
    assert check(1, pairs(changes=inside)) == "failed"
    assert check(1, pairs(minimal_l1=1e-5)) == "not decided"
    second = [{**r, "trial": 1} for r in pairs(changes=[("wn", 1.0, {"eps1_cert": 2.0})])]
    assert check(1, pairs() + second) == "failed"


@pytest.mark.parametrize(
    ("wn", "values", "verdict"),
    cases(
        held=[(0.01, {}), (0.01, OPEN)],
        failed=[(0.0101, {}), (0.0, LOST)],
        not_decided=[(0.0101, OPEN), (0.001, FAR)],
    ),
)
def test_2_factor_at_one(wn, values, verdict):
    changes = [("wn", 1.0, {"eps1_cert": wn, **values}), *[("wn", r0, {"eps1_cert": 9.0}) for r0 in (0.1, SQRT10)]]
    assert check(2, pairs(changes=changes)) == verdict


def test_2_is_a_ratio_of_means_and_needs_the_start():
    second = [{**r, "trial": 1} for r in pairs(wn=1e-6)]
    assert check(2, pairs(wn=1.0) + second) == "failed"
    assert check(2, [r for r in pairs(wn=1e-6) if r["r0"] != 1]) == "not decided"


def with_losses(number, losses, status="converged", r0=1.0, figure=2):
    rows = [row(figure, "wn", scale, status=status if scale == r0 else "converged") for scale in {*R0, r0}]
    tracks = [record for scale in R0 for record in records(figure, scale, [2.0, 1.0, 1e-13]) if scale != r0]
    return check(number, rows, tracks + records(figure, r0, losses))


@pytest.mark.parametrize(
    ("status", "losses", "verdict"),
    cases(
        held=[("converged", [1.0, 1e-13]), ("converged", [1.0, 1.0 + 5e-13, 1e-13]), ("max_steps", [1.999e-6])],
        failed=[
            ("converged", [1.0, 1.0 + 3e-12, 1e-13]),
            ("max_steps", [1.0, 1.0 + 3e-12, 1e-3]),
            ("line_search_failed", [2.001e-6]),
            *((stopped, [1e-7]) for stopped in ("unstable", "diverged")),  # descent rejects the step of higher loss
        ],
        not_decided=[("max_steps", [2.001e-6])],
    ),
)
def test_3_losses_fall_to_zero(losses, status, verdict):
    assert with_losses(3, [2.0, *losses], status) == verdict


@pytest.mark.parametrize(("share", "status", "verdict"), [(1e-3, "max_steps", "held"), (1e-7, "unstable", "failed")])
def test_3_asks_constant_steps_for_monotonicity_only(share, status, verdict):
    """Panel 2b, whose ends are checked, shows runs with a line search."""
    rows = [row(2, "wn", 1.0), row(2, "wn", 1.0, step_rule="stable", status=status)]
    tracks = records(2, 1.0, [2.0, 1e-13]) + records(2, 1.0, [2.0, 2.0 * share], step_rule="stable")
    assert check(3, rows, tracks) == verdict


def recoveries(figure, gains, **options):
    rows = [row(figure, "plain", r0, eps2=gain, **options) for r0, gain in zip(R0, gains, strict=True)]
    return rows + [row(figure, "wn", r0, eps2=1.0, **options) for r0 in R0]


@pytest.mark.parametrize(
    ("gains", "changes", "verdict"),
    cases(
        held=[((9, 9, 9, 1.01, 0.5), {}), ((9, 9, 9, 1.01, 2.0), {}), ((9, 9, 9, 9, 1.0), {5: OPEN})],
        failed=[
            ((9, 9, 9, 1.0, 1.0), {}),  # sqrt(10) belongs to the lower part, where the gain must exceed 1
            *(((low, 9, 9, 9, high), {}) for low, high in ((1.0, 1.0), (9, 2.01), (9, 0.49))),
            ((1.0, 9, 9, 9, 1.0), {6: OPEN}),  # another run's steps change nothing
            ((1.0, 1.0, 9, 9, 1.0), {5: OPEN}),
            *(((9, 9, 9, 9, 1.0), {index: LOST}) for index in (5, 9)),
        ],
        not_decided=[
            ((1.0, 9, 9, 9, 1.0), {5: OPEN}),
            ((9, 9, 9, 9, 1.0), {5: FAR}),
            ((9, 9, 9, 9, 1.0), {9: OPEN}),  # could leave [0.5, 2]
        ],
    ),
)
def test_6_recovery(gains, changes, verdict):
    rows = recoveries(4, gains)
    for index, values in changes.items():
        rows[index].update(values)
    assert check(6, rows) == verdict


def test_6_is_a_ratio_of_means():
    second = [{**r, "trial": 1, "eps2": r["eps2"] * 100} for r in recoveries(4, (0.5, 9, 9, 9, 1))]
    assert check(6, recoveries(4, (9, 9, 9, 9, 1)) + second) == "failed"


@pytest.mark.parametrize(
    ("r0", "losses", "verdict"),
    cases(
        held=[(100.0, [2.0, 1.0]), (100.0, [2.0, 2e-6])],
        failed=[(100.0, [2.0, 1e-13]), (100.0, [2.0, 1.0, 1.1, 1.0]), (1.0, [2.0, 1.0, 1.1, 1e-13])],
        not_decided=[(1.0, [2.0, 1e-13])],  # no start at 100 in the profile
    ),
)
def test_7_sparse_losses(losses, r0, verdict):
    assert with_losses(7, losses, "max_steps", r0, figure=4) == verdict
    assert with_losses(7, losses, "unstable", r0, figure=4) == "failed"


@pytest.mark.parametrize(
    ("sparse", "signed", "verdict"),
    [
        ((8, 8, 8, 8, 1), (2, 2, 2, 2, 99), "held"),
        ((8, 8, 8, 8, 1), (2, 0.5, 4, 4, 1), "held"),  # geometric mean 2
        ((8, 8, 8, 8, 1), (8, 8, 8, 8, 1), "failed"),
        ((8, 8, 8, 8, 1), (2, 0.5, 4, 0.25, 99), "failed"),  # geometric mean 1, arithmetic mean 1.7
    ],
)
def test_8_signed_gain(sparse, signed, verdict):
    other = [row(5, "wn-separate", r0, eps2=1e-3, **FAR) for r0 in R0]
    rows = recoveries(4, sparse) + recoveries(5, signed) + other
    assert check(8, rows) == verdict
    rows[16].update(OPEN)
    assert rows[16]["figure"] == 5
    assert rows[16]["algorithm"] == "wn"
    assert check(8, rows) == "not decided"  # more steps move the middle term, up
    rows[19].update(LOST)  # r0 = 10
    assert check(8, rows) == "not decided"
    rows[17].update(LOST)
    assert check(8, rows) == "failed"


@pytest.mark.parametrize(
    ("states", "verdict"),
    cases(
        held=[({},), ({4: "collapsed"},)],  # r0 = 10 is not below the limit's radius
        failed=[({0: "collapsed"},), ({0: "max_steps", 1: "collapsed"},)],
        not_decided=[({0: "max_steps"},)],
    ),
)
@pytest.mark.parametrize("figure", [1, 4])
def test_10_converges(states, verdict, figure):
    rows = [row(number, "wn", r0) for number in (figure, 5) for r0 in R0]
    rows += [row(2, "plain", 1.0, status="collapsed"), row(2, "wn", 1.0, status="unstable", step_rule="stable")]
    for index, status in states.items():
        rows[index]["status"] = status
    assert check(10, rows) == verdict
    assert check(10, [row(4, "wn", 10.0)]) == "not decided"  # no case, no verdict
    assert check(10, [*rows, row(8, "wn", 1.0, status="unstable")]) == verdict  # not one of the paper's figures


def plane(changes=()):
    """Return limits' errors of 1 at r0 nearest to sqrt(eta) and above, with ``changes`` as (eta, r0, values)."""
    grid = [(r0, ratio) for ratio in (10.0, 1.0, 0.01) for r0 in (0.1, 1.0, SQRT10, 10.0)]
    rows = [{**row(1, "wn", r0, ratio, step_rule="limit"), "part": "map"} for r0, ratio in grid]
    for ratio, r0, values in changes:
        next(r for r in rows if (r["ratio"], r["r0"]) == (ratio, r0)).update(values)
    # The sweep from other starts is not the map.
    return [*rows, {**row(1, "wn", 0.1, 0.1, start=1, eps1_cert=1e-9, step_rule="limit"), "part": ""}]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([], "held"),
        ([(10.0, 0.1, {"eps1_cert": 0.5})], "held"),
        ([(10.0, 0.1, {"eps1_cert": 0.49})], "failed"),
        ([(0.01, 10.0, {"eps1_cert": 0.49})], "failed"),
        ([(10.0, SQRT10, {"eps1_cert": 2.01})], "failed"),
        ([(10.0, 0.1, {"eps1_cert": 0.1, "loss": 1e-3, "status": "inaccurate"})], "held"),  # not a limit at all
        ([(10.0, SQRT10, {"loss": 1.0, "status": "collapsed"})], "not decided"),  # none at the chosen start
        ([(10.0, SQRT10, {"eps1_cert": 9e-13}), (10.0, 0.1, {"eps1_cert": -1e-14})], "held"),  # both are rounding
        ([(10.0, SQRT10, {"eps1_cert": 2.1e-12}), (10.0, 0.1, {"eps1_cert": -1e-14})], "failed"),
    ],
)
def test_11_start_near_root_of_ratio(changes, verdict):
    runs = [row(1, "wn", r0, 0.1, eps1_cert=r0) for r0 in R0]  # runs do not matter
    assert check(11, runs, limits=plane(changes)) == verdict
    assert check(11, runs) == "not decided"


@pytest.mark.parametrize(("deviation", "verdict"), [(0.9e-9, "held"), (-1.1e-9, "failed"), (0.5, "failed")])
def test_13_minimal_norm(deviation, verdict):
    rows = [row(4, "wn", 1.0, minimal_l1=QUICK.s), row(4, "wn", 1.0, trial=1, minimal_l1=QUICK.s * (1 + deviation))]
    assert check(13, rows) == verdict


@pytest.mark.parametrize(
    ("ratio", "status", "verdict"),
    cases(
        held=[(0.01, "unstable"), (0.01, "diverged"), (0.001, "line_search_failed")],
        failed=[(0.01, "converged")],
        not_decided=[(0.03, "unstable")],  # not very small
    ),
)
def test_15_small_ratio(ratio, status, verdict):
    rows = [row(3, "wn", 1.0, 0.1, status="unstable"), row(3, "wn", 1.0, ratio, status=status), row(1, "wn", 1.0, 1.0)]
    assert check(15, rows) == verdict


@pytest.mark.parametrize(
    ("wn", "errors", "state", "verdict"),
    [
        (0.5, (4, 3, 2, 1), {}, "held"),
        (2.0, (4, 3, 2, 1), {}, "failed"),
        (0.5, (1, 2, 3, 4), {}, "failed"),
        (0.5, (4, 3, 1, 2), OPEN, "not decided"),
        (2.0, (4, 3, 1, 2), OPEN, "failed"),  # one part that failed is enough
    ],
)
def test_16_centred_rows(wn, errors, state, verdict):
    rows = pairs(wn=wn, centred=True) + pairs(wn=3.0 - wn)
    steps = (10, 20, 30, 40)
    for ratio, error, count in zip(ETA4, errors, steps, strict=True):
        rows.append(row(3, "wn", 1.0, ratio, eps1_cert=error, steps=count, centred=True))
        rows.append(row(3, "wn", 1.0, ratio, eps1_cert=-error, steps=-count))
    rows[-2].update(state)
    assert check(16, rows) == verdict


@pytest.mark.parametrize("number", [1, 2, 4, 6, 8, 9, 16])
def test_lost_runs_are_counted_in_what_was_measured(number):
    runs = everything().runs
    for index in runs.index[(runs["algorithm"] == "wn") & (runs["r0"] == 1.0) & (runs["trial"] == 0)]:
        runs.loc[index, list(LOST)] = list(LOST.values())
    measured, verdict = statements._STATEMENTS[number - 1].check(Results(QUICK, runs, pd.DataFrame()))
    assert verdict == "failed"
    assert "collapsed" in measured


def everything():
    rows = pairs() + pairs(centred=True) + [row(1, "wn", r0) for r0 in R0]
    rows += recoveries(4, (8, 8, 8, 8, 1), minimal_l1=10.0) + recoveries(5, (2, 2, 2, 2, 1))
    for centred in (False, True):
        rows += [row(3, "wn", 1.0, ratio, eps1_cert=ratio, steps=int(100 / ratio), centred=centred) for ratio in ETA4]
    tracks = [record for figure in (2, 4) for r0 in R0 for record in records(figure, r0, [2.0, 1e-13])]
    for scale, entry in zip(R0 + R0, rows, strict=False):  # figure 2
        entry["eps1_cert"] = scale**0.5 if entry["algorithm"] == "plain" else 1e-6 * np.exp(scale**2)
        entry["steps"] = int(100 / scale)
    limits = plane() + [{**entry, "step_rule": "limit", "part": ""} for entry in rows[: 2 * len(R0)]]
    return Results(QUICK, pd.DataFrame(rows), pd.DataFrame(tracks), pd.DataFrame(limits))


def test_every_statement_is_checked_once():
    results = everything()
    findings = check_all(results)
    assert [finding.number for finding in findings] == list(range(1, 17))
    document = as_markdown(findings, results)
    for finding in findings:
        assert document.count(f"\n| {finding.number} | {finding.statement} | {finding.source} |") == 1
    assert document.count("**held**") == sum(str(finding.verdict) == "held" for finding in findings) == 13
    assert "Profile quick: 1 trials, at most 100,000 steps, seed 0." in document


@pytest.mark.parametrize(
    ("figures", "numbers"),
    [
        ((), []),
        ((1,), [10, 11]),
        ((2,), [1, 2, 3, 9, 10, 12, 14]),
        ((3,), [4, 5, 10]),
        ((4,), [6, 7, 10, 13]),
        ((5,), [10]),
        ((4, 5), [6, 7, 8, 10, 13]),
        ((1, 3), [4, 5, 10, 11, 15]),
        ((2, 3), [1, 2, 3, 4, 5, 9, 10, 12, 14, 16]),
    ],
)
def test_only_figures_with_data_are_checked(figures, numbers):
    whole = everything()
    part = (table[table["figure"].isin(figures)] for table in (whole.runs, whole.trajectories))
    assert [finding.number for finding in check_all(Results(QUICK, *part))] == numbers
