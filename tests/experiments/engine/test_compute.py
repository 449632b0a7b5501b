"""Tables of tasks: problems, starts and errors, recomputed; exact limits against integrations of the flow."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import polarbias as pb
from oracles import PLAIN, Case, Law, integrate_flow
from polarbias.experiments import FIGURES
from polarbias.experiments.engine import compute
from polarbias.experiments.engine.spec import RunConfiguration, Task
from reproductions import small

PROFILE = small(trials=2, seed=5)
SMALLER = small(
    max_steps=20_000, seed=3, m=6, n=14, ratio=0.3, r0=(0.3, 1.0), ratios=(1.0, 0.3), limit_trials=2,
    limit_r0=(0.3, 1.0, 3.0), limit_ratios=(1.0, 0.3), map_size=(3, 2),
)  # fmt: skip


class Captured(Exception):
    pass


def arguments_of(task, monkeypatch):
    """Return problem, network, start and options of the task's call of descent, mirror descent or the limit."""
    called = Mock(side_effect=Captured)
    with monkeypatch.context() as patch:
        for name in ("gradient_descent", "mirror_descent", "flow_limit"):
            patch.setattr(compute, name, called)
        with pytest.raises(Captured):
            compute.compute_task(task, PROFILE)
    return *called.call_args.args, called.call_args.kwargs


@pytest.mark.parametrize("number", FIGURES)
def test_all_algorithms_have_the_same_problems_and_starts(number, monkeypatch):
    starts = {}
    for task in FIGURES[number].tasks(replace(PROFILE, starts=2)):
        problem, network, theta0, options = arguments_of(task, monkeypatch)
        for run, x0 in zip(task.runs, np.asarray(network.factor(theta0)), strict=True):
            trial = task.trial if number > 1 else run.start
            u0 = pb.folded_gaussian_direction(5, 40 if number == 5 else 20, experiment=number, trial=trial)
            np.testing.assert_allclose(x0, run.r0 * u0, rtol=1e-13)
            starts.setdefault((task.trial, run.r0), set()).add(task.algorithm)
        stream = {"experiment": number, "trial": task.trial}
        expected = pb.gaussian_problem(5, 10, 20, task.truth, s=2, center_rows=task.centred, **stream)
        np.testing.assert_array_equal(problem.A, expected.A)
        np.testing.assert_array_equal(problem.b, expected.b)
        assert task.is_limit or (options["max_steps"], options["tol"]) == (300, 1e-12)
        if task.step in ("stable", "armijo"):
            assert isinstance(options["step"], pb.ConstantStep if task.step == "stable" else pb.Armijo)
    wanted = {5: {"plain", "wn", "wn-separate"}, 7: {"wn"}, 8: {"wn", "wn-renormalized"}}.get(number, {"plain", "wn"})
    shared = [value for (trial, r0), value in starts.items() if trial < 2 and r0 in PROFILE.r0]
    assert shared
    assert all(algorithms == wanted for algorithms in shared)


def minimal_norm(problem, signed, y):
    """Return the value of the linear program, and check that y is an optimal dual: it need not be unique."""
    A = np.hstack([problem.A, -problem.A]) if signed else problem.A
    norm = linprog(np.ones(A.shape[1]), A_eq=A, b_eq=problem.b, method="highs").fun
    assert (A.T @ y).max() <= 1 + 1e-10
    assert problem.b @ y == pytest.approx(norm, rel=1e-10)
    return norm


@pytest.mark.parametrize(("number", "index"), [(2, 0), (2, 1), (2, -1), (4, 3), (5, 0), (5, 1), (5, 2)])
def test_rows_and_records_of_runs(number, index, monkeypatch):
    task = [task for task in FIGURES[number].tasks(PROFILE) if not task.is_limit][index]
    solutions, real = [], compute.gradient_descent
    monkeypatch.setattr(
        compute, "gradient_descent", lambda *args, **kw: solutions.append(real(*args, **kw)) or solutions[0]
    )
    runs, trajectories = compute.compute_runs(task, PROFILE)
    problem, minimum = compute.problem_of(task, PROFILE)
    y = minimum.dual
    norm = minimal_norm(problem, number == 5, y)
    [solution] = solutions
    assert len(runs) == len(task.runs) == 3
    for (_, row), run, x, end in zip(runs.iterrows(), task.runs, solution.x, solution.status, strict=True):
        residual = problem.A @ x - problem.b
        eps1 = np.abs(x).sum() - norm
        wanted = {"loss": residual @ residual / 4, "eps2": np.abs(x - problem.x_true).sum(), "minimal_l1": norm}
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)
        assert [row["eps1"], row["eps1_cert"]] == pytest.approx([eps1, eps1 - y @ residual], abs=1e-9)
        assert row["eps1_cert"] >= -1e-12
        assert row["status"] == pb.Status(end).name.lower()
        assert row["steps"] <= row["trials"]
        assert_columns(row, task, run)
        assert (row["seed"], row["centred"], row["start"]) == (5, task.centred, run.start)
        track = trajectories[trajectories["r0"] == run.r0]
        assert list(track["step"])[:2] == [0, 1]
        assert track["step"].is_monotonic_increasing
        first, last = track.iloc[0], track.iloc[-1]
        assert (last["step"], first["loss"]) == (row["steps"], row["loss_start"])
        assert last["loss"] == pytest.approx(row["loss"], rel=1e-6, abs=1e-20)
        assert (last["l1"], first["r"]) == pytest.approx((row["eps1"] + norm, run.r0))
    if number == 2:
        assert (np.abs(problem.A.sum(1)).max() < 1e-12) == task.centred


def assert_columns(row, task, run):
    wanted = {"figure": task.figure, "trial": task.trial, "algorithm": task.algorithm, "truth": task.truth}
    wanted |= {"depth": task.depth, "law": task.law, "step_rule": task.step, "part": task.part, "r0": run.r0}
    assert {name: row[name] for name in wanted} == wanted
    assert np.isnan(row["ratio"]) if task.algorithm == "plain" else row["ratio"] == run.ratio


def test_a_trial_can_be_computed_alone():
    many = replace(PROFILE, trials=4)
    tasks = FIGURES[4].tasks(many)[4:8]
    results = [compute.compute_task(task, many) for task in tasks]
    assert len({result.ends["loss"].iloc[0] for result in results}) == 4
    assert results[0].made_by["versions"]["polarbias"] == pb.__version__
    for task, result in zip(tasks, results, strict=True):
        compute._problem.cache_clear()
        for name, table in zip(("runs", "trajectories"), compute.compute_runs(task, PROFILE), strict=True):
            pd.testing.assert_frame_equal(table, result.tables[name], check_exact=True)


def integrated(task, run):
    """Return the problem, the end of the integrated flow of one run, and its signal."""
    problem = pb.gaussian_problem(3, 6, 14, task.truth, s=2, experiment=task.figure, trial=task.trial)
    A = np.hstack([problem.A, -problem.A]) if task.signed else problem.A
    direction = pb.folded_gaussian_direction(3, A.shape[1], experiment=task.figure, trial=run.start)
    law = PLAIN if task.algorithm == "plain" else Law(task.law.partition(":")[0], run.ratio)
    end = integrate_flow(Case(A, problem.b, task.depth, law, run.r0, direction))
    assert end.status in ("converged", "collapsed")
    return problem, end, end.x[:14] - end.x[14:] if task.signed else end.x


@pytest.mark.parametrize("number", FIGURES)
def test_limits_are_the_ends_of_the_integrated_flow(number):
    mine = [task for task in FIGURES[number].tasks(SMALLER) if task.is_limit]
    last, converged = max(task.trial for task in mine), 0
    for task in mine:
        if task.trial != last or task.depth > 3:
            continue
        task = replace(task, runs=task.runs[-3:])
        table = compute.compute_limits(task, SMALLER)
        for (_, row), run in zip(table.iterrows(), task.runs, strict=True):
            problem, end, x = integrated(task, run)
            assert row["status"] == end.status
            if end.status == "collapsed":
                assert (row["r"], row["eps1_cert"]) == (0, 0)
                assert row["loss"] == pytest.approx(problem.b @ problem.b / (2 * task.depth))
                continue
            converged += 1
            size = np.abs(x).sum()
            norm = minimal_norm(problem, task.signed, compute.problem_of(task, SMALLER)[1].dual)
            found = [row[name] for name in ("eps1", "eps1_cert", "eps2")]
            eps2 = np.abs(x - problem.x_true).sum()
            assert found == pytest.approx([size - norm, size - norm, eps2], abs=1e-7 * size)
            assert row["r"] == pytest.approx(np.exp(end.log_r), rel=1e-7)
            if task.law == "constant" and task.algorithm == "wn":
                log_rho = np.log(run.r0 / row["r"]) + (row["r"] ** 2 - run.r0**2) / (2 * run.ratio)
                assert row["log_rho"] == pytest.approx(log_rho, rel=1e-9, abs=1e-12)
            assert row["loss"] < 1e-20
            assert row["factorizations"] >= (task.depth > 1)
            assert_columns(row, task, run)
    assert converged


def test_runs_with_small_steps_end_near_the_limit_and_mirror_descent_nearer():
    made = {(task.algorithm, task.step): compute.compute_task(task, SMALLER).ends for task in FIGURES[8].tasks(SMALLER)}
    limit = made["wn", "limit"]["eps1_cert"].iloc[0]
    stepped, fixed = (made[name, "stable"] for name in ("wn", "wn-renormalized"))
    assert list(stepped["c"]) == list(fixed["c"]) == [16, 32, 64, 128, 256]
    error = (stepped["eps1_cert"] - limit).abs()
    assert (stepped["status"][:2] == "converged").all()
    # The norm of the direction grows in proportion to the step, and the error with it.
    assert error[1] == pytest.approx(2 * error[0], rel=0.3)
    assert (fixed["eps1_cert"] - stepped["eps1_cert"]).abs()[0] > 0.5 * error[0]
    assert abs(made["wn", "mirror"]["eps1_cert"].iloc[0] - limit) < 0.1 * error[0]


def test_stable_steps_are_scaled_by_c(monkeypatch):
    runs = tuple(RunConfiguration(1.0, 0.3, 0, c) for c in (0.5, 4.0))
    *arguments, options = arguments_of(Task(8, 0, "wn", "gaussian", runs, step="stable"), monkeypatch)
    dt = options["step"].dt
    np.testing.assert_allclose(dt[0], pb.ConstantStep.stable(*arguments).dt[0], rtol=1e-15)
    np.testing.assert_allclose(dt[1], 8 * dt[0], rtol=1e-15)


@pytest.mark.parametrize("step", ["fast", "-1", "0", "nan"])
def test_wrong_steps(step):
    with pytest.raises(pb.InvalidInput):
        compute.compute_runs(Task(0, 0, "wn", "sparse", (RunConfiguration(1.0, 0.1, 0),), step=step), PROFILE)
