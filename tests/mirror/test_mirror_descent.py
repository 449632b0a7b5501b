"""Mirror descent: its invariant, its guaranteed decrease, and that its limit is the flow's whatever the steps."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import minimize

import polarbias as pb
from flow_cases import M, N, random_problem
from polarbias.mirror import mirror_descent
from polarbias.mirror.mirror_descent import _Steps
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.mirror.state import MirrorState


def objective(problem, u0, r0, eta):
    """Psi of depth 2 and a constant ratio, whose gradient is the residual."""

    def value(nu):
        log_v = 2 * np.log(u0) + problem.A.T @ nu
        top = log_v.max()
        s = r0**2 + eta * (top + np.log(np.exp(log_v - top).sum()))
        return max(s, 0) ** 2 / (2 * eta) - problem.b @ nu

    return value


def one_chain(problem, network, theta0):
    [(_, one, form)] = reduced_forms(problem, network, theta0)[1]
    return form, MirrorState.start(one, form)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("depth", "law"),
    [(2, pb.ConstantRatio(0.4)), (2, pb.HarmonicRatio(0.4)), (4, pb.PowerRatio(2.0, 1)), (2, None), (3, None)],
)
def test_the_limit_is_that_of_the_flow(depth, law, signed):
    problem, direction = random_problem(7, signed)
    inner = (pb.HadamardDifference if signed else pb.HadamardPower)(depth)
    network = inner if law is None else pb.WeightNormalization(inner, law, direction_rate=1.6)
    theta0 = network.init(1.1, direction, **({} if law is None else {"direction_norm": 1.4}))
    if depth > 2:  # descent is slow there towards entries that vanish
        kept = np.random.default_rng(1).uniform(0.5, 2.0, N)
        problem = pb.LinearProblem(problem.A, problem.A @ (network.signal(theta0) * kept))
    run = pb.mirror_descent(problem, network, theta0, max_steps=100_000, tol=1e-22)
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-20, accuracy=1e-10)
    assert run.status == flow.status == pb.Status.CONVERGED
    np.testing.assert_allclose(run.x, flow.x, atol=1e-6 * np.abs(flow.x).max())
    np.testing.assert_allclose(np.linalg.norm(getattr(run.theta, "u", [1.4])), 1.4, rtol=1e-12)
    np.testing.assert_allclose(network.signal(run.theta), run.x, atol=1e-12)


def test_any_length_of_the_steps_gives_the_minimiser_of_the_dual_objective():
    problem, direction = random_problem(11)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    psi = objective(problem, direction / np.linalg.norm(direction), 1.0, 0.5)
    best = minimize(psi, np.zeros(M), method="BFGS", options={"gtol": 1e-9}).x
    for step in (None, 0.03, 0.06):
        start = network.init(1.0, direction)
        run = pb.mirror_descent(problem, network, start, step=step, tol=1e-20, max_steps=100_000)
        assert run.status == pb.Status.CONVERGED
        # The better of the two: an ordinary minimiser stops where differences of Psi are lost in rounding.
        assert psi(run.mirror_dual) <= psi(best) + 1e-12 * abs(psi(best))
        assert run.stats["trials"] == run.steps


@pytest.mark.parametrize(("depth", "step"), [(2, None), (2, 0.05), (3, None)])
def test_the_invariant_is_exact(depth, step):
    problem, direction = random_problem(13)
    eta, r0 = (0.3, 2.0)[depth - 2], 1.2
    network = pb.WeightNormalization(pb.HadamardPower(depth), eta)
    run = pb.mirror_descent(problem, network, network.init(r0, direction), step=step, max_steps=300, tol=0)
    off = np.eye(N) - np.linalg.pinv(problem.A) @ problem.A
    start, end = direction / np.linalg.norm(direction), run.theta.u * np.exp((run.theta.r**2 - r0**2) / (2 * eta))
    before, after = (off @ (np.log(v) if depth == 2 else 1 / v) for v in (start, end))
    np.testing.assert_allclose(after, before, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("r0", "eta"), [(1.0, 0.1), (0.2, 20.0), (5.0, 1.0), (0.05, 0.5)])
def test_the_guaranteed_decrease(r0, eta):
    problem, direction = random_problem(3)
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    psi = objective(problem, direction / np.linalg.norm(direction), r0, eta)
    form, state = one_chain(problem, network, network.init(r0, direction))
    rule = _Steps(form)
    for _ in range(100):
        moved = rule.next(state)
        R = problem.A @ state.x - problem.b
        np.testing.assert_allclose(state.residual, R, atol=1e-12)
        h = (state.nu - moved.nu) @ R / (R @ R)
        scale = 1e-13 * (abs(psi(state.nu)) + abs(problem.b @ state.nu) + 1)
        assert psi(moved.nu) <= psi(state.nu) - h / 2 * (R @ R) + scale
        state = moved


@pytest.mark.parametrize(("depth", "law"), [(2, pb.HarmonicRatio(0.4)), (3, pb.ConstantRatio(4.0)), (2, None)])
def test_searched_steps_keep_half_of_the_residual(depth, law):
    problem, direction = random_problem(5)
    inner = pb.HadamardPower(depth)
    network = inner if law is None else pb.WeightNormalization(inner, law)
    form, state = one_chain(problem, network, network.init(1.0, direction))
    rule, lengths = _Steps(form), []
    for _ in range(60):
        moved = rule.next(state)
        assert moved.residual @ state.residual >= state.residual @ state.residual / 2
        lengths.append(rule.length)
        state = moved
    assert max(lengths) > 4 * lengths[0] or rule.trials > 60


def test_steps_pass_through_the_zero_signal():
    """The flow from here collapses; the discrete scheme enters X = 0 and leaves it again."""
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    theta0 = network.init(0.4, np.sqrt([0.1, 0.9]))
    run = pb.mirror_descent(problem, network, theta0, tol=1e-20)
    assert run.status == pb.Status.CONVERGED
    assert run.trajectory.r.min() == 0
    psi = objective(problem, np.sqrt([0.1, 0.9]), 0.4, 1.0)
    best = minimize(psi, [5.0], method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(run.mirror_dual, best, rtol=1e-6)


def test_batches_sparse_matrices_and_trajectories():
    problems = [random_problem(seed)[0] for seed in (1, 2)]
    direction = random_problem(1)[1]
    network = pb.WeightNormalization(pb.HadamardPower(2), np.array([0.3, 1.0]))
    batch = pb.mirror_descent(pb.stack(problems), network, network.init(np.full((2, 2), 0.8), direction), tol=1e-9)
    assert batch.batch_shape == (2, 2)
    for i, j in np.ndindex(2, 2):
        ratio = pb.WeightNormalization(pb.HadamardPower(2), [0.3, 1.0][j])
        sparse = pb.LinearProblem(scipy.sparse.csr_array(problems[i].A), problems[i].b)
        one = pb.mirror_descent(sparse, ratio, ratio.init(0.8, direction), tol=1e-9)
        assert one.steps == batch[i, j].steps
        np.testing.assert_allclose(batch[i, j].x, one.x, rtol=1e-9)
        path = batch.trajectory[i, j]
        np.testing.assert_allclose(path.loss, one.trajectory.loss, rtol=1e-6)
        assert (path.step[0], path.step[-1]) == (0, one.steps)
        assert (np.diff(path.step) > 0).all()
        np.testing.assert_allclose([path.loss[-1], path.r[-1]], [one.loss, one.r], rtol=1e-6)
        np.testing.assert_allclose(path.l1, path.r**2, rtol=1e-9)
    long = pb.mirror_descent(problems[0], ratio, ratio.init(0.8, direction), tol=0, max_steps=3000)
    assert len(long.trajectory) < 1000


def test_ends(monkeypatch):
    problem, direction = random_problem(2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    theta0 = network.init(np.ones(2), direction)
    assert set(pb.mirror_descent(problem, network, theta0, max_steps=7).status) == {pb.Status.MAX_STEPS}
    cubic = pb.WeightNormalization(pb.HadamardPower(2), pb.PowerRatio(0.5, 3))
    far = pb.mirror_descent(problem, cubic, theta0, step=1e6)
    assert set(far.status) == {pb.Status.DIVERGED}
    assert np.isfinite(far.x).all()
    relative = pb.mirror_descent(problem, network, theta0, tol=0, rtol=1e-3).residual / np.linalg.norm(problem.b)
    assert ((relative > 1e-4) & (relative < 1e-3)).all()
    zero = pb.mirror_descent(pb.LinearProblem(problem.A, np.zeros(M)), network, theta0, tol=1e-9)
    assert set(zero.status) == {pb.Status.CONVERGED}
    monkeypatch.setattr(mirror_descent, "OPTIONS", replace(mirror_descent.OPTIONS, seconds_per_call=0.0))
    run = pb.mirror_descent(problem, network, theta0, callback=lambda progress: progress.steps >= 5)
    assert list(run.status) == [pb.Status.INTERRUPTED] * 2
    assert list(run.steps) == [5, 0]


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (pb.HadamardPower(2), {"step": 0.0}, "step must be"),
        (pb.HadamardPower(2), {"step": "x"}, "step must be a positive number, ConstantStep or None"),
        (pb.HadamardPower(2), {"max_steps": 0}, "max_steps"),
        (pb.HadamardPower(2), {"tol": -1.0}, "tol"),
        (pb.HadamardPower(2), {"callback": 3}, "callback"),
        (pb.Difference(pb.WeightNormalization(pb.HadamardPower(2), 0.5)), {}, "two time scales"),
        (pb.HadamardPower(1), {}, "depth 2"),
    ],
)
def test_bad_input(network, options, message):
    problem = random_problem(2)[0]
    theta0 = network.init(1.0, np.ones(2 * N if network.signed and network.degree > 1 else N))
    with pytest.raises(pb.InvalidInput, match=message):
        pb.mirror_descent(problem, network, theta0, **options)
