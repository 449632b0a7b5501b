"""Results: limits, bounds and statements against independent computations; the caches."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import polarbias as pb
from polarbias.errors import PolarbiasError
from polarbias.explorer import results
from polarbias.explorer.settings import CHOICES, GRID, Settings

SMALL = Settings(m=20, n=60, s=3)
SIGNED = replace(SMALL, truth="signed", signed=True)
SPACE = replace(SMALL, A="1 2 0.5", b="2", u0="1 1 2")


@pytest.mark.parametrize("settings", [SMALL, SIGNED])
def test_limits_agree_with_a_linear_program(settings):
    found = results.limits(settings)
    A = found.problem.A
    both = np.hstack([A, -A]) if settings.signed else A
    value = linprog(np.ones(both.shape[1]), A_eq=both, b_eq=found.problem.b, method="highs").fun
    summary = found.summary().set_index("signal")
    excess = summary["above the minimum"]
    assert summary.loc["minimal_l1", "||X||_1"] == pytest.approx(value, rel=1e-8)
    assert (excess >= -1e-9 * value).all()
    assert excess["wn"] < excess["plain"]
    assert not found.warnings()


def test_a_collapse_gives_a_warning():
    # A start that is small in units of the square root of the ratio.
    collapsed = []
    for seed in range(12):
        settings = Settings(m=3, n=8, s=2, r0=0.01, ratio=100.0, seed=seed)
        found = results.limits(settings)
        for limit, name in ((found.plain, "Without"), (found.wn, "With")):
            warned = any(text.startswith(f"{name} ") for text in found.warnings())
            assert warned == (limit.status != pb.Status.CONVERGED)
        if found.wn.status == pb.Status.COLLAPSED:
            collapsed.append(settings)
            assert "collapses" in found.warnings()[0]
    assert 0 < len(collapsed) < 12
    table = results.limit_map(collapsed[0])
    assert table.loc[(table["r0"] == 0.01) & (table["ratio"] == 100.0), "status"].item() == "collapsed"


def test_infeasible_problems_are_errors():
    for compute in (results.limits, results.plane):
        with pytest.raises(pb.InvalidInput, match="tick 'signed signals'"):
            compute(replace(SMALL, n=24, truth="signed", b="-1"))


def test_points_of_the_map_are_limits():
    table = results.limit_map(SMALL)
    assert len(table) == len(GRID) ** 2
    for at in (0, 40, 150, 288):
        row = table.iloc[at]
        one = results.limits(replace(SMALL, r0=row["r0"], ratio=row["ratio"])).summary().set_index("signal").loc["wn"]
        assert row["excess"] == pytest.approx(one["above the minimum"], abs=1e-9)
        assert row["log10_rho"] == pytest.approx(one["log10 rho"], abs=1e-6)


def test_trajectories_end_at_the_limits_and_keep_the_invariant():
    table, messages = results.trajectories(SMALL, lambda _: False)
    assert not messages
    summary = results.limits(SMALL).summary().set_index("signal")
    for name, flow in table.groupby("algorithm"):
        assert (np.diff(flow["t"]) > 0).all()
        assert (np.diff(flow["loss"]) < 0).all()
        assert flow["drift"].max() < 1e-7
        for column, of_limit in (("excess", "above the minimum"), ("r", "r")):
            assert flow[column].iloc[-1] == pytest.approx(summary.loc[name, of_limit], abs=1e-4)


@pytest.mark.parametrize("settings", [SMALL, SIGNED, replace(SMALL, depth=3)])
def test_errors_are_below_their_bounds(settings):
    table = results.bounds(settings)
    for name in results.ALGORITHMS:
        excess, bound = table[[f"{name}_excess", f"{name}_bound"]].dropna().to_numpy().T
        assert len(excess) >= 3
        assert (excess <= bound + 1e-9).all()
    assert {"holds"} < set(results.statements(settings)["verdict"]) <= {"holds", "hypothesis not met", "undecided"}
    radius, intervals = results.magnified(settings)
    ratio = settings.configuration().network().ratio
    if settings.depth == 2:
        for low, high in intervals:
            for r0 in np.geomspace(max(low, 1e-2), min(high, 1e2), 5):
                assert np.log(r0 / radius) + ratio.E(radius) - ratio.E(r0) >= -1e-9


def test_results_are_cached_by_the_settings_that_they_depend_on():
    assert results.plane(replace(SPACE, azimuth=80, seed=5)) is results.plane(SPACE)
    assert results.limits(replace(SMALL, A="1 3", elevation=0)) is results.limits(SMALL)
    assert results.instance(replace(SMALL, r0=2.0, depth=3, law="harmonic")) is results.instance(SMALL)
    assert results.limit_map(replace(SMALL, r0=3.0, ratio=0.5)) is results.limit_map(SMALL)


@given(data=st.data())
def test_all_settings_give_limits_or_a_documented_error(data):
    n = data.draw(st.integers(2, 40))
    values = {name: st.sampled_from(CHOICES[name]) for name in ("truth", "law", "start")}
    values |= {name: st.integers(*ends) for name, ends in {"m": (1, 40), "s": (1, n), "depth": (2, 6)}.items()}
    values |= {"signed": st.booleans(), "power": st.floats(-2, 4), "seed": st.integers(0, 1000)}
    values |= dict.fromkeys(("ratio", "r0"), st.floats(-2, 2).map(lambda decades: 10**decades))
    settings = Settings(n=n, **{name: data.draw(strategy) for name, strategy in values.items()})
    assert Settings.from_query(settings.query())[1] == []
    try:
        found = results.limits(settings)
    except PolarbiasError:
        return
    for limit in (found.plain, found.wn):
        if limit.status == pb.Status.CONVERGED:
            # From large starts b is a small difference of large terms, whose rounding remains.
            halves = np.exp(limit.log_x).reshape(1 + settings.signed, -1).sum(axis=0)
            terms = np.linalg.norm(np.abs(found.problem.A) @ halves)
            assert limit.residual <= 1e-8 * np.linalg.norm(found.problem.b) + 1e-13 * terms
