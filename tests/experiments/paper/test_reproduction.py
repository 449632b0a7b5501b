"""Tasks, starts and rows of the experiments, recomputed; one small reproduction from profile to verdicts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import polarbias as pb
from polarbias.experiments import FIGURES, PAPER, PROFILES, QUICK, Profile, adjusted, redraw, reproduce
from polarbias.experiments.engine import compute, runner
from polarbias.experiments.engine.spec import RunConfiguration, Task
from polarbias.experiments.engine.store import Store, read_metadata
from polarbias.networks.laws import make_law
from reproductions import quiet

SQRT10 = 10**0.5
# Every task of three runs, so that few programs are compiled.
SMALL = Profile(
    "small", trials=2, starts=1, r0=(0.1, 1.0, SQRT10), ratios=(1.0, 0.3, 0.1), max_steps=300, seed=5, m=12, n=30, s=3,
    limit_trials=3, limit_r0=(0.01, 0.1, 1.0, SQRT10), limit_ratios=(3.0, 1.0, 0.1, 0.03), map_size=(5, 3),
)  # fmt: skip
COLUMNS = [
    "figure",
    "trial",
    "algorithm",
    "truth",
    "depth",
    "ratio",
    "r0",
    "seed",
    "steps",
    "loss",
    "eps1",
    "eps1_cert",
    "eps2",
    "status",
]

PAPERS = (1, 2, 3, 4, 5)


def tasks(profile, number, limits=False):
    return [task for task in FIGURES[number].tasks(profile) if task.is_limit == limits]


def test_profiles():
    assert PROFILES == {"quick": QUICK, "paper": PAPER}
    for profile in (QUICK, PAPER):
        assert (profile.m, profile.n, profile.s, profile.ratio, profile.scale) == (150, 1000, 10, 0.1, 1.0)
        assert (profile.tol, profile.seed) == (1e-12, 0)
        assert np.isclose(profile.r0, SQRT10, rtol=1e-14, atol=0).sum() == 1
    assert (QUICK.trials, QUICK.starts, QUICK.max_steps) == (1, 3, 100_000)
    assert (PAPER.trials, PAPER.starts, PAPER.max_steps) == (10, 10, 1_000_000)
    np.testing.assert_allclose(QUICK.r0, [0.01, 0.1, 1, SQRT10, 10], rtol=1e-15)
    np.testing.assert_allclose(PAPER.r0, np.logspace(-2, 2, 17), rtol=1e-15)
    assert QUICK.ratios == (10, 1, 0.3, 0.1)
    assert PAPER.ratios == (10, 3, 1, 0.3, 0.1, 0.03, 0.01)
    for profile in (QUICK, PAPER):
        assert (profile.limit_trials, profile.limit_r0, profile.limit_ratios) == (10, PAPER.r0, PAPER.ratios)


@pytest.mark.parametrize(("profile", "runs"), [(QUICK, (45, 30, 10, 10, 15)), (PAPER, (442, 1020, 160, 340, 510))])
def test_tasks_of_each_figure(profile, runs):
    everything = [task for number in FIGURES for task in FIGURES[number].tasks(profile)]
    assert len({task.key for task in everything}) == len(everything)
    assert len({task.label for task in everything}) == len(everything)
    for number, count in zip(PAPERS, runs, strict=True):
        mine = tasks(profile, number)
        assert all(task.figure == number for task in mine)
        assert sum(len(task.runs) for task in mine) == count
        assert {task.truth for task in mine} == {{4: "sparse", 5: "signed"}.get(number, "gaussian")}
        assert {task.trial for task in mine} == set(range(1 if number == 1 else profile.trials))
        assert all(task.depth == 2 and task.law == "constant" and task.direction == "gaussian" for task in mine)
        if number != 3:
            assert {run.r0 for task in mine for run in task.runs} == set(profile.r0)
        if number in (2, 4, 5):
            assert {run.ratio for task in mine for run in task.runs} == {0.1}
    assert {(task.step, task.centred) for task in tasks(profile, 2)} == {
        ("armijo", False),
        ("stable", False),
        ("armijo", True),
    }
    assert {task.algorithm for task in tasks(profile, 5)} == {"plain", "wn", "wn-separate"}
    assert {run.r0 for task in tasks(profile, 3) for run in task.runs} == {1.0}
    for task in tasks(profile, 3):
        assert [run.ratio for run in task.runs] == ([0.1] if task.algorithm == "plain" else list(profile.ratios))


@pytest.mark.parametrize("profile", [QUICK, PAPER])
def test_limits_of_the_papers_figures_are_complete_in_every_profile(profile):
    for number in PAPERS:
        mine = tasks(profile, number, limits=True)
        assert {task.algorithm for task in mine} == {"plain", "wn"}
        assert {task.truth for task in mine} == {task.truth for task in tasks(profile, number)}
        assert not any(task.centred for task in mine)
        if number in (2, 4, 5):
            found = {(task.trial, task.algorithm, c.start, c.r0, c.ratio) for task in mine for c in task.runs}
            assert found == {(t, a, t, r0, 0.1) for t in range(10) for a in ("plain", "wn") for r0 in PAPER.r0}
    ratios = {(task.trial, c.ratio) for task in tasks(profile, 3, limits=True) for c in task.runs}
    assert ratios == {(trial, ratio) for trial in range(10) for ratio in PAPER.ratios}
    *swept, plane = tasks(profile, 1, limits=True)
    for task in swept:
        assert {(c.start, c.r0) for c in task.runs} == {(start, r0) for start in range(10) for r0 in PAPER.r0}
    assert {c.start for c in plane.runs} == {0}
    scales, ratios = ({round(np.log10(getattr(c, name)), 9) for c in plane.runs} for name in ("r0", "ratio"))
    np.testing.assert_allclose(sorted(scales), np.linspace(-2, 2, 65), atol=1e-9)
    np.testing.assert_allclose(sorted(ratios), np.linspace(-2, 1, 49), atol=1e-9)
    assert len(plane.runs) == 65 * 49


def test_more_trials_than_the_papers_have_limits_too():
    assert {task.trial for task in tasks(replace(QUICK, trials=12), 4, limits=True)} == set(range(12))


def test_tasks_of_the_new_figures():
    few = replace(SMALL, trials=2)
    assert not tasks(few, 6)
    depths = {(c.trial, c.algorithm, c.depth) for c in tasks(few, 6, limits=True)}
    assert depths == {(t, a, depth) for t in (0, 1) for a in ("plain", "wn") for depth in (1, 2, 3, 4, 6)}
    laws = ("constant", "power:2", "harmonic")
    assert {(c.trial, c.law) for c in tasks(few, 7)} == {(t, law) for t in (0, 1) for law in laws}
    for task in tasks(few, 7):
        assert [(c.r0, c.ratio) for c in task.runs] == [(1.0, ratio) for ratio in few.ratios]
    grids = {(c.law, *sorted({run.r0 for run in c.runs})) for c in tasks(few, 7, limits=True)}
    assert grids == {(law, *grid) for law in laws for grid in ((1.0,), few.limit_r0)}
    steps = {(c.algorithm, c.step) for c in FIGURES[8].tasks(few)}
    assert steps == {
        ("wn", "stable"), ("wn-renormalized", "stable"), ("wn", "armijo"), ("wn-renormalized", "armijo"),
        ("wn", "mirror"), ("wn", "limit"),
    }  # fmt: skip
    assert {(c.r0, c.ratio) for task in FIGURES[8].tasks(few) for c in task.runs} == {(1.0, 1.0)}


@pytest.mark.parametrize("profile", [QUICK, PAPER])
def test_figure_1_covers_the_plane_once(profile):
    plane = [(c.r0, c.ratio) for task in tasks(profile, 1) if task.algorithm == "wn" for c in task.runs if c.start == 0]
    assert sorted(plane) == sorted((r0, ratio) for r0 in profile.r0 for ratio in profile.ratios)
    for algorithm in ("plain", "wn"):
        sweep = [
            (c.r0, c.start)
            for task in tasks(profile, 1)
            if task.algorithm == algorithm
            for c in task.runs
            if c.ratio == profile.ratio
        ]
        assert sorted(sweep) == sorted((r0, start) for r0 in profile.r0 for start in range(profile.starts))


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 8])
def test_more_trials_only_add_tasks(number):
    few, many = (set(FIGURES[number].tasks(replace(SMALL, trials=trials))) for trials in (2, 4))
    assert few < many
    assert {task.trial for task in many - few} == {2, 3}


class Captured(Exception):
    pass


def start_of(task, monkeypatch):
    """Return problem, network and start with which a task calls descent, mirror descent or the limit."""
    seen = []

    def capture(*args, **options):
        seen.append((*args, options))
        raise Captured

    with monkeypatch.context() as patch:
        for name in ("gradient_descent", "mirror_descent", "flow_limit"):
            patch.setattr(compute, name, capture)
        with pytest.raises(Captured):
            (compute.compute_limits if task.is_limit else compute.compute_runs)(task, SMALL)
    return seen[0]


@pytest.mark.parametrize("number", FIGURES)
def test_every_algorithm_starts_at_the_same_point(number, monkeypatch):
    starts = {}
    for task in FIGURES[number].tasks(replace(SMALL, starts=2)):
        problem, network, theta0, options = start_of(task, monkeypatch)
        factor = np.asarray(network.factor(theta0))
        for run, x0 in zip(task.runs, factor, strict=True):
            direction = pb.folded_gaussian_direction(
                SMALL.seed,
                60 if number == 5 else 30,
                experiment=number,
                trial=task.trial if number > 1 else run.start,
            )
            np.testing.assert_allclose(x0, run.r0 * direction, rtol=1e-13)
            starts.setdefault((task.trial, run.r0), []).append(task.algorithm)
        expected = pb.gaussian_problem(
            SMALL.seed, 12, 30, task.truth, s=3, center_rows=task.centred, experiment=number, trial=task.trial
        )
        np.testing.assert_array_equal(problem.A, expected.A)
        np.testing.assert_array_equal(problem.b, expected.b)
        assert task.is_limit or (options["max_steps"], options["tol"]) == (300, 1e-12)
        if task.step in ("stable", "armijo"):
            assert isinstance(options["step"], pb.ConstantStep if task.step == "stable" else pb.Armijo)
    wanted = {5: {"plain", "wn", "wn-separate"}, 7: {"wn"}, 8: {"wn", "wn-renormalized"}}.get(number, {"plain", "wn"})
    shared = [value for (trial, r0), value in starts.items() if trial < 2 and r0 in SMALL.r0]
    assert shared
    assert all(set(algorithms) == wanted for algorithms in shared)


def test_uniform_starts(monkeypatch):
    for truth, entries in (("gaussian", 30), ("signed", 60)):
        task = Task(0, 0, "wn", truth, (RunConfiguration(2.0, 0.1, 0),), direction="uniform")
        _, network, theta0, _ = start_of(task, monkeypatch)
        np.testing.assert_allclose(network.factor(theta0), np.full((1, entries), 2 / entries**0.5), rtol=1e-14)


def references(problem, signed, y):
    """Return Q = min ||z||_1 over solutions, straight from a linear program, once y is known to be an optimal dual.

    The dual of a sparse truth is not unique, so that a second program may end at another one.
    """
    A = np.hstack([problem.A, -problem.A]) if signed else problem.A
    norm = linprog(np.ones(A.shape[1]), A_eq=A, b_eq=problem.b, method="highs").fun
    assert (A.T @ y).max() <= 1 + 1e-10
    assert problem.b @ y == pytest.approx(norm, rel=1e-10)
    return norm


@pytest.mark.parametrize(("number", "index"), [(2, 0), (2, 1), (2, -1), (4, 3), (5, 0), (5, 1), (5, 2)])
def test_rows_recomputed(number, index, monkeypatch):
    task = tasks(SMALL, number)[index]
    solutions = []
    real = compute.gradient_descent
    monkeypatch.setattr(
        compute, "gradient_descent", lambda *args, **kw: solutions.append(real(*args, **kw)) or solutions[0]
    )
    runs, trajectories = compute.compute_runs(task, SMALL)
    problem = pb.gaussian_problem(
        5, 12, 30, task.truth, s=3, center_rows=task.centred, experiment=number, trial=task.trial
    )
    y = compute.problem_of(task, SMALL)[1].dual
    norm = references(problem, number == 5, y)
    [solution] = solutions
    assert len(runs) == len(task.runs) == 3
    for (_, row), run, x, end in zip(runs.iterrows(), task.runs, solution.x, solution.status, strict=True):
        residual = problem.A @ x - problem.b
        eps1 = sum(abs(float(entry)) for entry in x) - norm
        assert row["loss"] == pytest.approx(residual @ residual / 4, rel=1e-9)
        assert row["eps1"] == pytest.approx(eps1, abs=1e-9)
        assert row["eps1_cert"] == pytest.approx(eps1 - y @ residual, abs=1e-9)
        assert row["eps1_cert"] >= -1e-12
        assert row["eps2"] == pytest.approx(np.linalg.norm(x - problem.x_true, 1), rel=1e-12)
        assert row["minimal_l1"] == pytest.approx(norm, rel=1e-9)
        assert row["status"] == pb.Status(end).name.lower()
        assert row["steps"] <= row["trials"]
        named = {"figure": number, "trial": task.trial, "algorithm": task.algorithm, "truth": task.truth, "depth": 2}
        named |= {"seed": 5, "r0": run.r0, "step_rule": task.step, "centred": task.centred, "start": run.start}
        assert {name: row[name] for name in named} == named
        assert np.isnan(row["ratio"]) if task.algorithm == "plain" else row["ratio"] == run.ratio
        track = trajectories[trajectories["r0"] == run.r0]
        assert list(track["step"])[:2] == [0, 1]
        assert track["step"].is_monotonic_increasing
        assert track["step"].iloc[-1] == row["steps"]
        assert track["loss"].iloc[0] == row["loss_start"]
        assert track["loss"].iloc[-1] == pytest.approx(row["loss"], rel=1e-6, abs=1e-20)
        assert track["l1"].iloc[-1] == pytest.approx(row["eps1"] + norm)
        assert track["r"].iloc[0] == pytest.approx(run.r0)
    assert not runs.duplicated(["r0", "ratio", "start"]).any()
    if number == 2:
        assert (np.abs(problem.A.sum(1)).max() < 1e-12) == task.centred


def same(a, b):
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), check_exact=True)


def test_a_trial_can_be_computed_alone(tmp_path):
    profile = replace(SMALL, trials=4)
    store = Store(tmp_path, {"kind": "reproduction", "profile": profile.identity()})
    runner.run_tasks(tasks(profile, 4), profile, store, quiet)
    for task in tasks(profile, 4)[6:]:
        assert task.trial == 3
        compute._problem.cache_clear()
        for alone, stored in zip(compute.compute_runs(task, SMALL), store.read([task.key]), strict=True):
            same(alone, stored)
    firsts = [store.read([task.key])[0]["loss"].iloc[0] for task in tasks(profile, 4)]
    assert len(set(firsts)) == 8


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, reproduce(SMALL, folder, observe=quiet)


def test_a_reproduction_leaves_tables_figures_and_verdicts(whole):
    folder, outcome = whole
    everything = [task for number in FIGURES for task in tasks(SMALL, number)]
    limits = [task for number in FIGURES for task in tasks(SMALL, number, limits=True)]
    assert (outcome.totals.computed, outcome.totals.found) == (len(everything) + len(limits), 0)
    table = pd.read_parquet(folder / "limits")
    assert len(table) == sum(len(task.runs) for task in limits)
    assert {*COLUMNS, "factorizations", "r", "log_rho"} - {"steps"} <= set(table.columns)
    table = pd.read_parquet(folder / "runs")
    assert outcome.totals.run_steps == table["steps"].sum() > 0
    assert set(COLUMNS) <= set(table.columns)
    assert len(table) == sum(len(task.runs) for task in everything)
    assert not table.drop(columns=["ratio", "status", "c"]).isna().any().any()
    assert (table["c"].isna() == (table["step_rule"] != "stable")).all()
    assert (table["steps"] <= 300).all()
    tracks = pd.read_parquet(folder / "trajectories")
    assert {"figure", "trial", "algorithm", "ratio", "r0", "step", "loss", "r", "l1"} <= set(tracks.columns)
    assert [finding.number for finding in outcome.findings] == list(range(1, 17))
    assert [path.name for path in outcome.files[-3:]] == ["overview.png", "statements.md", "report.html"]
    assert all(path.stat().st_size > 500 for path in outcome.files)
    document = (folder / "statements.md").read_text()
    assert all(
        f"| {f.number} | {f.statement} | {f.source} | {f.measured} | **{f.verdict}** |" in document
        for f in outcome.findings
    )


def test_every_file_says_where_it_comes_from(whole):
    folder, _ = whole
    files = [*folder.glob("runs/*"), *folder.glob("trajectories/*"), *folder.glob("limits/*")]
    everything = [task for number in FIGURES for task in FIGURES[number].tasks(SMALL)]
    assert len(files) == sum(1 if task.is_limit else 2 for task in everything) > 66
    seconds = 0.0
    for path in files:
        metadata = read_metadata(path)
        assert metadata["key"] == path.stem
        assert metadata["wall_seconds"] > 0
        assert metadata["host"]
        assert metadata["python"]
        assert metadata["versions"]["polarbias"] == pb.__version__
        assert {"numpy", "scipy", "jax", "jaxlib"} <= metadata["versions"].keys()
        assert metadata["specification"]["profile"]["max_steps"] == 300
        seconds += metadata["wall_seconds"]
    assert seconds < 2 * 600


def test_redrawing_computes_nothing_and_says_the_same(whole, monkeypatch):
    folder, outcome = whole
    document = (folder / "statements.md").read_bytes()
    for name in ("gradient_descent", "mirror_descent", "flow_limit"):
        monkeypatch.setattr(compute, name, None)
    monkeypatch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
    again = redraw(folder)
    assert again.totals is None
    assert again.findings == outcome.findings
    assert (folder / "statements.md").read_bytes() == document


def test_identity_survives_json_and_ignores_only_trials():
    assert Profile.restored(SMALL.identity(), 2) == SMALL
    changes = {
        "name": "x",
        "starts": 9,
        "r0": (1.0,),
        "ratios": (1.0,),
        "max_steps": 9,
        "seed": 9,
        "m": 9,
        "n": 9,
        "s": 9,
    }
    changes |= {"ratio": 9.0, "scale": 9.0, "tol": 9.0}
    changes |= {"limit_trials": 9, "limit_r0": (1.0,), "limit_ratios": (1.0,), "map_size": (9, 9)}
    for name, value in changes.items():
        assert replace(SMALL, **{name: value}).identity() != SMALL.identity(), name
    assert replace(SMALL, trials=9).identity() == SMALL.identity()


def test_bad_input():
    for name, value in (("trials", 0), ("max_steps", 0), ("seed", -1)):
        with pytest.raises(pb.InvalidInput, match=f"{name} must be at least .*, got {value}"):
            adjusted(QUICK, **{"trials": None, "max_steps": None, "seed": None, name: value})
    with pytest.raises(pb.InvalidInput, match=r"figure must be one of 1, 2, 3, 4, 5, 6, 7, 8, got 9"):
        reproduce(SMALL, None, [1, 9], observe=quiet)
    for law in ("quadratic", "power", "power:x", "constant:2", "harmonic:1", "power:nan"):
        with pytest.raises(pb.InvalidInput, match="law must be constant, harmonic or power:K"):
            make_law(law, 1.0)
    with pytest.raises(pb.InvalidInput, match="'wn-separate' needs signed signals"):
        Task(0, 0, "wn-separate", "sparse", (RunConfiguration(1.0, 0.1, 0),)).configuration(SMALL).network()
    for step in ("fast", "-1", "0", "nan"):
        with pytest.raises(pb.InvalidInput):
            compute.compute_runs(Task(0, 0, "wn", "sparse", (RunConfiguration(1.0, 0.1, 0),), step=step), SMALL)
