"""Descent with small steps against the flow: conserved quantities and signals differ by a multiple of dt."""

import numpy as np
import pytest

import polarbias as pb
from flow_oracle import integrate

M, N = 3, 6
HALVINGS = np.array([1.0, 0.5, 0.25])
# For each ratio law f, an antiderivative E of r / f(r).
LAWS = {
    "constant": (0.5, lambda r: 0.5, lambda r: r**2 / (2 * 0.5)),
    "square": (pb.PowerRatio(c=0.8, k=2), lambda r: 0.8 * r**2, lambda r: np.log(r) / 0.8),
    "harmonic": (pb.HarmonicRatio(0.5), lambda r: 1 / (1 / r**2 + 2), lambda r: np.log(r) + r**2),
}
DIRECTION = np.abs(np.random.default_rng(1).standard_normal(N)) + 0.3
UNIT = DIRECTION / np.linalg.norm(DIRECTION)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, A @ (0.3 + np.abs(rng.standard_normal(N))))


def network_of(depth, law, **options):
    inner = pb.HadamardPower(depth)
    return inner if law is None else pb.WeightNormalization(inner, LAWS[law][0], **options)


def halved(problem, network, theta0, dt=0.01, **options):
    """Return three runs, at dt, dt/2 and dt/4."""
    options = {"max_steps": 100_000, "tol": 1e-16, "keep_x": True, **options}
    return pb.gradient_descent(problem, network, theta0, step=pb.ConstantStep(dt * HALVINGS), **options)


def assert_first_order(errors, small):
    """Check that the errors at dt, dt/2, dt/4 are proportional to dt, the last one below ``small``."""
    sizes = np.linalg.norm(errors, axis=-1) if np.ndim(errors) > 1 else np.abs(errors)
    np.testing.assert_allclose(sizes[:-1] / sizes[1:], 2.0, rtol=0.2)
    assert 1e-9 < sizes[-1] < small


@pytest.mark.parametrize(("depth", "law"), [(2, None), (3, None), (3, "constant"), (2, "square"), (2, "harmonic")])
def test_lemmas_3_2_to_3_7(problem, depth, law):
    network = network_of(depth, law)
    run = halved(problem, network, network.init(np.full(3, 1.2), DIRECTION))
    assert run.converged.all()
    x = run.trajectory.x
    assert (x[~np.isnan(x)] > 0).all()
    for one in (run[0], run[1], run[2]):
        assert (np.diff(one.trajectory.loss) < 0).all()
    start, end = np.log(1.2 * UNIT), np.log(run.theta[-1])
    if law is not None:
        E = LAWS[law][2]
        start, end = np.log(UNIT) + E(1.2), end + E(run.theta.r)[:, None]
        growth = np.linalg.norm(run.theta.u, axis=-1) - 1
        assert (growth > 0).all()  # steps along the tangent increase the norm
        assert_first_order(growth, small=0.01)
    start, end = (v if depth == 2 else np.exp((2 - depth) * v) for v in (start, end))
    P = np.eye(N) - np.linalg.pinv(problem.A) @ problem.A
    assert_first_order((end - start) @ P, small=0.05 * np.linalg.norm(end[2] - start))


@pytest.mark.parametrize("law", ["constant", "harmonic"])
def test_depth_1(problem, law):
    """Plain descent is exact at any stable step; with weight normalization the error is of first order."""
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    plain = pb.HadamardPower(1)
    theta0 = plain.init(np.full(3, 2.5), DIRECTION * signs)
    P = np.eye(N) - np.linalg.pinv(problem.A) @ problem.A
    limit = np.linalg.pinv(problem.A) @ problem.b + P @ theta0.x[0]
    np.testing.assert_allclose(halved(problem, plain, theta0, 0.2).x, np.broadcast_to(limit, (3, N)), atol=1e-6)
    network = network_of(1, law)
    theta0 = network.init(np.full(3, 1.5), UNIT)
    errors = halved(problem, network, theta0).x - pb.flow_limit(problem, network, network.init(1.5, UNIT)).x
    assert_first_order(errors, small=0.02)
    extrapolated = (8 * errors[2] - 6 * errors[1] + errors[0]) / 3  # cancels the terms in dt and dt^2
    np.testing.assert_allclose(extrapolated, 0, atol=1e-5)


@pytest.mark.parametrize(("depth", "law"), [(3, None), (2, "harmonic"), (3, "constant")])
def test_signals_approach_the_flow(problem, depth, law):
    """Equations (10), (12) and (13)."""
    network = network_of(depth, law)
    run = halved(problem, network, network.init(np.full(3, 1.2), DIRECTION), 2e-3, max_steps=500, tol=0.0)
    errors = []
    for c, dt in enumerate(2e-3 * HALVINGS):
        record = run[c].trajectory
        kept = record.step * dt <= 500 * 2e-3 * HALVINGS[-1]  # the time of the shortest run
        f = None if law is None else LAWS[law][1]
        flow = integrate(problem.A, problem.b, depth, f, 1.2, UNIT, paper_time=True, times=record.step[kept] * dt)
        errors.append(np.abs(record.x[kept] - flow.X).max())
    assert_first_order(np.array(errors), small=1e-2)
