"""The explorer without a browser: settings, the numbers behind the pictures, and the scripts that repeat them."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import polarbias as pb
from polarbias.errors import PolarbiasError
from polarbias.explorer import geometry, scripts, views
from polarbias.explorer.settings import LARGEST_MATRIX, LAWS, STARTS, TRUTHS, Settings

SMALL = Settings(m=20, n=60, s=3)
SPACE = Settings(A="1 2 0.5", b="2", u0="1 1 2", m=20, n=60, s=3)
SIGNED = replace(SMALL, truth="signed", signed=True)
VIEWS = ("limits", "trajectory", "map", "bounds", "plane")


def test_the_address_holds_what_differs_from_the_defaults():
    assert Settings().query() == {}
    changed = Settings(truth="signed", signed=True, r0=0.3162, law="power", power=-0.5, A="1 2; 3 4 5", seed=3)
    settings, wrong = Settings.from_query(changed.query())
    assert settings == replace(changed, A=Settings.A)  # a ragged A is refused
    assert len(wrong) == 1
    changed = replace(changed, A="1 2 3; 4 5 7", b="1 2", u0="1 1 1")
    assert Settings.from_query(changed.query()) == (changed, [])


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"m": "-5"}, "m must be an integer from 1 to 500, got '-5'; the default is used."),
        ({"m": "ten"}, "m must be an integer from 1 to 500, got 'ten'"),
        ({"r0": "nan"}, "r0 must be a number from 0.01 to 100, got 'nan'"),
        ({"truth": "<script>"}, "truth must be one of gaussian, sparse, signed"),
        ({"colour": "red"}, "'colour' is not a setting; there are truth, m"),
        ({"s": "200", "n": "100"}, "s = 200 nonzero entries do not fit into N = 100. All defaults are used."),
        ({"m": "500", "n": "5000"}, f"more than the {LARGEST_MATRIX:,}"),
        ({"A": "1 x"}, "A must be rows of numbers up to 1e6"),
        ({"A": "1 2 3 4"}, "A must be 1 x 2, 1 x 3 or 2 x 3, got 1 x 4"),
        ({"b": "1; 2"}, "b must have 1 entries"),
        ({"A": "1 2 3; 2 4 6", "b": "1 2", "u0": "1 1 1"}, "independent rows"),
        ({"u0": "1 -1"}, "u0 must have 2 positive entries"),
    ],
)
def test_wrong_input_is_named_and_replaced(query, sentence):
    settings, wrong = Settings.from_query(query)
    assert settings == Settings()
    assert len(wrong) == 1
    assert sentence in wrong[0]


def test_limits_agree_with_a_linear_program_and_with_descent():
    for settings in (SMALL, SIGNED):
        found = views.limits(settings)
        A = found.problem.A
        both = np.hstack([A, -A]) if settings.signed else A
        value = linprog(np.ones(both.shape[1]), A_eq=both, b_eq=found.problem.b, method="highs").fun
        summary = found.summary().set_index("signal")
        assert summary.loc["minimal_l1", "l1"] == pytest.approx(value, rel=1e-8)
        assert (summary["excess"] >= -1e-9 * value).all()
        assert summary.loc["wn", "excess"] < summary.loc["plain", "excess"]
        assert not found.warnings()
    network = views.network_of(SMALL, "wn")
    theta0 = network.init(SMALL.r0, views.direction_of(SMALL))
    run = pb.gradient_descent(views.limits(SMALL).problem, network, theta0, tol=1e-14, max_steps=100_000)
    assert run.x == pytest.approx(views.limits(SMALL).wn.x, abs=2e-3)


def test_a_collapse_is_announced():
    # A start that is small in units of the square root of the ratio.
    settings = Settings(m=3, n=8, s=2, r0=0.01, ratio=100.0)
    collapsed = 0
    for seed in range(40):
        found = views.limits(replace(settings, seed=seed))
        for limit, name in ((found.plain, "Without"), (found.wn, "With")):
            announced = any(text.startswith(f"{name} ") for text in found.warnings())
            assert announced == (limit.status != pb.Status.CONVERGED)
        if found.wn.status == pb.Status.COLLAPSED:
            collapsed += 1
            assert "collapses" in found.warnings()[0]
            table = views.effect(replace(settings, seed=seed))
            assert table.loc[(table["r0"] == 0.01) & (table["ratio"] == 100.0), "status"].item() == "collapsed"
    assert 0 < collapsed < 40


def test_what_is_out_of_reach_is_an_error():
    with pytest.raises(pb.InvalidInput, match="HadamardDifference"):
        views.limits(replace(SMALL, n=24, truth="signed"))


def test_the_map_is_the_limits_one_by_one():
    table = views.effect(SMALL)
    assert len(table) == len(views.GRID) ** 2
    for at in (0, 40, 150, 288):
        row = table.iloc[at]
        one = views.limits(replace(SMALL, r0=row["r0"], ratio=row["ratio"])).summary().set_index("signal").loc["wn"]
        assert row["excess"] == pytest.approx(one["excess"], abs=1e-9)
        assert row["log10_rho"] == pytest.approx(one["log10_rho"], abs=1e-6)
    assert views.effect(replace(SMALL, r0=3.0, ratio=0.5)) is table


def test_trajectories_end_at_the_limits_and_keep_the_invariant():
    table, ends = views.trajectories(SMALL, lambda _: False)
    assert not ends
    summary = views.limits(SMALL).summary().set_index("signal")
    for name, own in table.groupby("algorithm"):
        assert (np.diff(own["t"]) > 0).all()
        assert (np.diff(own["loss"]) < 0).all()
        assert own["drift"].max() < 1e-7
        assert own["excess"].iloc[-1] == pytest.approx(summary.loc[name, "excess"], abs=1e-4)
        assert own["r"].iloc[-1] == pytest.approx(summary.loc[name, "r"], abs=1e-4)


def test_a_trajectory_that_is_stopped_says_so():
    asked = []
    slow = Settings(truth="gaussian", r0=0.1, ratio=0.01)
    table, ends = views.trajectories(slow, lambda state: asked.append(state) or True)
    assert asked
    assert ends
    assert "wn: interrupted" in ends[-1]
    assert set(table["algorithm"]) == {"plain", "wn"}


@pytest.mark.parametrize("settings", [SMALL, SIGNED, replace(SMALL, depth=3)])
def test_bounds_hold_where_they_claim_something(settings):
    table = views.bounds(settings)
    for name in views.ALGORITHMS:
        claimed = table[[f"{name}_excess", f"{name}_bound"]].dropna()
        assert len(claimed) >= 3
        assert (claimed[f"{name}_excess"] <= claimed[f"{name}_bound"] + 1e-9).all()
    radius, intervals = views.magnified(settings)
    network = views.network_of(settings, "wn")
    if settings.depth == 2:
        for low, high in intervals:
            for r0 in np.geomspace(max(low, 1e-2), min(high, 1e2), 5):
                log_rho = np.log(r0 / radius) + network.ratio.E(radius) - network.ratio.E(r0)
                assert log_rho >= -1e-9


def test_statements_have_their_verdicts():
    table = views.statements(SMALL)
    assert "violated" not in set(table["verdict"])
    assert {"holds", "hypothesis not met"} <= set(table["verdict"])


def executed(view, settings, folder):
    """Run a script as its reader would, and return its table."""
    script = folder / f"{view}.py"
    script.write_text(scripts.script(view, settings) + "table.to_csv('table.csv', index=False, float_format='%.17g')\n")
    done = subprocess.run(
        [sys.executable, "-W", "error:::__main__", script.name],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / f"polarbias-{view}.png").stat().st_size > 5000
    return pd.read_csv(folder / "table.csv")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SMALL, id="default"),
        pytest.param(
            replace(SIGNED, depth=3, law="power", power=1.5, start="uniform"), id="signed", marks=pytest.mark.full
        ),
        pytest.param(replace(SPACE, law="harmonic", truth="gaussian", r0=0.5), id="space", marks=pytest.mark.full),
    ],
)
def test_exported_lines_reproduce_exported_data(tmp_path, view, settings):
    data = {
        "limits": lambda: views.limits(settings).table(),
        "trajectory": lambda: views.trajectories(settings, lambda _: False)[0],
        "map": lambda: views.effect(settings),
        "bounds": lambda: views.bounds(settings),
        "plane": lambda: views.small(settings).table,
    }[view]()
    expected = pd.read_csv(StringIO(data.to_csv(index=False, float_format="%.17g")))
    found = executed(view, settings, tmp_path)
    pd.testing.assert_frame_equal(found[expected.columns], expected, rtol=1e-6, atol=1e-9)


@given(data=st.data())
def test_every_allowed_setting_gives_limits_or_a_documented_error(data):
    draw = data.draw
    n = draw(st.integers(2, 40))
    settings = Settings(
        truth=draw(st.sampled_from(TRUTHS)),
        m=draw(st.integers(1, 40)),
        n=n,
        s=draw(st.integers(1, n)),
        signed=draw(st.booleans()),
        depth=draw(st.integers(2, 6)),
        law=draw(st.sampled_from(LAWS)),
        power=draw(st.floats(-2, 4)),
        ratio=10 ** draw(st.floats(-2, 2)),
        r0=10 ** draw(st.floats(-2, 2)),
        start=draw(st.sampled_from(STARTS)),
        seed=draw(st.integers(0, 1000)),
    )
    settings.check()
    assert Settings.from_query(settings.query())[1] == []
    try:
        found = views.limits(settings)
    except PolarbiasError:
        return
    assert len(found.summary()) == 3
    for limit in (found.plain, found.wn):
        if limit.status == pb.Status.CONVERGED:
            # From large starts b is a small difference of large terms, whose rounding is left.
            halves = np.exp(limit.log_x).reshape(1 + settings.signed, -1).sum(axis=0)
            terms = np.linalg.norm(np.abs(found.problem.A) @ halves)
            assert limit.residual <= 1e-8 * np.linalg.norm(found.problem.b) + 1e-13 * terms


def test_every_setting_has_a_reader():
    for field in fields(Settings):
        assert Settings.from_query({field.name: "?"})[1]


def test_what_a_view_does_not_depend_on_is_not_computed_again():
    assert views.small(replace(SPACE, azimuth=80, seed=5)) is views.small(SPACE)
    assert views.limits(replace(SMALL, A="1 3", elevation=0)) is views.limits(SMALL)
    assert views.instance(replace(SMALL, r0=2.0, depth=3, law="harmonic")) is views.instance(SMALL)


def test_solutions_in_a_box():
    line = geometry.solution_set(np.array([[1.0, 2.0]]), np.array([2.0]), 0.0, 4.0)
    assert sorted(map(tuple, line[0])) == [(0.0, 1.0), (2.0, 0.0)]
    triangle = geometry.solution_set(np.ones((1, 3)), np.array([1.0]), 0.0, 4.0)
    assert len(triangle) == 3
    assert {tuple(corner) for edge in triangle for corner in edge} == {
        (1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 1.0),
    }
    hexagon = geometry.solution_set(np.ones((1, 3)), np.array([0.0]), -1.0, 1.0)
    assert len(hexagon) == 6
    assert all(abs(corner.sum()) < 1e-12 for edge in hexagon for corner in edge)
    (segment,) = geometry.solution_set(np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([0.5, 0.25]), 0.0, 1.0)
    assert sorted(map(tuple, segment)) == [(0.5, 0.25, 0.0), (0.5, 0.25, 1.0)]


@pytest.mark.parametrize("settings", [SMALL, SIGNED, SPACE, replace(SPACE, signed=True)])
def test_the_scene_touches_the_ball_where_the_norm_is_least(settings):
    small = views.small(settings)
    seen = geometry.scene(small, settings.signed, 30.0, 20.0)
    assert np.abs(small.minimum.x).sum() == pytest.approx(float(small.minimum.value))
    n = small.problem.n
    for name, course in seen.courses.items():
        assert course.shape[1] == 2
        assert course[-1] == pytest.approx(seen.points[name][0], abs=1e-3)
    assert len(seen.axes) == n
    faces = {2: 1, 3: 8 if settings.signed else 1}[n]
    assert len(seen.faces) == faces
    assert len(seen.ball) == {(2, False): 1, (2, True): 4, (3, False): 3, (3, True): 12}[n, settings.signed]


def test_the_projection_keeps_lengths_that_lie_in_its_plane():
    flat = geometry.view(40.0, -15.0)
    assert flat @ flat.T == pytest.approx(np.eye(2))
    assert geometry.view(0.0, 90.0) @ np.array([0.0, 0.0, 1.0]) == pytest.approx([0.0, 0.0], abs=1e-12)
