"""The tables of exact limits, against long integrations of the flow that share nothing with the library."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

import polarbias as pb
from oracles import PLAIN, Case, Law, integrate_flow
from polarbias.experiments import FIGURES, Profile
from polarbias.experiments.engine import compute
from polarbias.experiments.engine.spec import RunConfiguration, Task

PROFILE = Profile(
    "small", trials=1, starts=1, r0=(0.3, 1.0), ratios=(1.0, 0.3), max_steps=20_000, seed=3, m=6, n=14, s=2,
    ratio=0.3, limit_trials=2, limit_r0=(0.3, 1.0, 3.0), limit_ratios=(1.0, 0.3), map_size=(3, 2),
)  # fmt: skip
LAWS = {"constant": lambda c: Law("constant", c), "power:2": lambda c: Law("power", c), "harmonic": None}
LAWS["harmonic"] = lambda c: Law("harmonic", c)


def integrated(task, run):
    """Return the problem and where the flow of one run ends, by integration."""
    problem = pb.gaussian_problem(3, 6, 14, task.truth, s=2, experiment=task.figure, trial=task.trial)
    signed = task.truth == "signed"
    A = np.hstack([problem.A, -problem.A]) if signed else problem.A
    direction = pb.folded_gaussian_direction(3, A.shape[1], experiment=task.figure, trial=run.start)
    law = PLAIN if task.algorithm == "plain" else LAWS[task.law](run.ratio)
    end = integrate_flow(Case(A, problem.b, task.depth, law, run.r0, direction))
    assert end.status in ("converged", "collapsed")
    return problem, end, end.x[:14] - end.x[14:] if signed else end.x


def picked(number):
    """Return the limits of a figure that are worth an integration: the last trial's, and few of each task."""
    mine = [task for task in FIGURES[number].tasks(PROFILE) if task.is_limit]
    last = max(task.trial for task in mine)
    return [replace(task, runs=task.runs[-3:]) for task in mine if task.trial == last and task.depth <= 3]


@pytest.mark.parametrize("number", FIGURES)
def test_limits_are_where_the_integrated_flow_ends(number):
    converged = 0
    for task in picked(number):
        table = compute.compute_limits(task, PROFILE)
        assert len(table) == len(task.runs)
        for (_, row), run in zip(table.iterrows(), task.runs, strict=True):
            problem, end, x = integrated(task, run)
            A, size = problem.A, np.abs(x).sum()
            least = linprog(
                np.ones(28), A_eq=np.hstack([A, -A]), b_eq=problem.b
            ).fun if task.truth == "signed" else linprog(np.ones(14), A_eq=A, b_eq=problem.b).fun  # fmt: skip
            assert row["status"] == end.status
            if end.status == "collapsed":
                assert (row["r"], row["eps1_cert"]) == (0, 0)
                assert row["loss"] == pytest.approx(problem.b @ problem.b / (2 * task.depth))
                continue
            converged += 1
            assert row["eps1"] == pytest.approx(size - least, abs=1e-7 * size)
            assert row["eps1_cert"] == pytest.approx(size - least, abs=1e-7 * size)
            assert row["eps2"] == pytest.approx(np.abs(x - problem.x_true).sum(), abs=1e-7 * size)
            assert row["r"] == pytest.approx(np.exp(end.log_r), rel=1e-7)
            assert row["loss"] < 1e-20
            assert row["factorizations"] >= (task.depth > 1)
            named = {"figure": number, "trial": task.trial, "algorithm": task.algorithm, "truth": task.truth}
            named |= {"depth": task.depth, "law": task.law, "step_rule": "limit", "part": task.part, "r0": run.r0}
            assert {name: row[name] for name in named} == named
            assert np.isnan(row["ratio"]) if task.algorithm == "plain" else row["ratio"] == run.ratio
    assert converged


def test_log_rho_is_the_magnification_factor():
    runs = tuple(RunConfiguration(r0, 0.3, 0) for r0 in (0.3, 1.0, 3.0))
    table = compute.compute_limits(Task(2, 0, "wn", "gaussian", runs, step="limit"), PROFILE)
    for (_, row), run in zip(table.iterrows(), runs, strict=True):
        rho = run.r0 / row["r"] * np.exp((row["r"] ** 2 - run.r0**2) / (2 * 0.3))
        assert row["log_rho"] == pytest.approx(np.log(rho), rel=1e-9)


def test_runs_with_small_steps_end_near_the_limit_and_mirror_descent_nearer():
    made = {}
    for task in FIGURES[8].tasks(PROFILE):
        if task.is_limit:
            limit = compute.compute_limits(task, PROFILE)["eps1_cert"].iloc[0]
        else:
            made[task.algorithm, task.step] = compute.compute_runs(task, PROFILE)[0]
    stepped, fixed = (made[name, "stable"] for name in ("wn", "wn-renormalized"))
    assert list(stepped["c"]) == list(fixed["c"]) == [16, 32, 64, 128, 256]
    apart = (stepped["eps1_cert"] - limit).abs()
    assert (stepped["status"][:2] == "converged").all()
    # The direction's norm grows in proportion to the step, and with it the error.
    assert apart[1] == pytest.approx(2 * apart[0], rel=0.3)
    assert (fixed["eps1_cert"] - stepped["eps1_cert"]).abs()[0] > 0.5 * apart[0]  # the norm of u matters
    assert abs(made["wn", "mirror"]["eps1_cert"].iloc[0] - limit) < 0.1 * apart[0]


def test_computed_steps_are_scaled_by_c(monkeypatch):
    seen = []
    monkeypatch.setattr(compute, "gradient_descent", lambda *args, step, **kw: seen.append((args, step)) or 1 / 0)
    runs = tuple(RunConfiguration(1.0, 0.3, 0, c) for c in (0.5, 4.0))
    with pytest.raises(ZeroDivisionError):
        compute.compute_runs(Task(8, 0, "wn", "gaussian", runs, step="stable"), PROFILE)
    [(arguments, step)] = seen
    np.testing.assert_allclose(step.dt[0], pb.ConstantStep.stable(*arguments).dt[0], rtol=1e-15)
    np.testing.assert_allclose(step.dt[1], 8 * step.dt[0], rtol=1e-15)
