"""Derived quantities of a solution: kind, intervals of a trajectory, quadrature, the problem that its end solves."""

from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
from polarbias.theory.evidence import OPTIONS
from verification import CENTRED, WN1, WN2, evidence, solved


@pytest.fixture(scope="module")
def flow():
    run, flow, _ = solved(WN2)
    return evidence(run, flow)


def test_kinds(flow):
    run, _, limit = solved(WN2)
    descent = evidence(run, pb.gradient_descent(*run, max_steps=5))
    limit = evidence(run, limit)
    assert [ev.kind for ev in (flow, limit, descent)] == ["flow", "limit", "descent"]
    assert [bool(ev.no_trajectory) for ev in (flow, limit, descent)] == [False, True, True]
    assert [bool(ev.no_limit) for ev in (flow, limit, descent)] == [False, False, True]
    assert [ev.tolerance for ev in (flow, limit)] == [1e-6, OPTIONS.limit_tol]
    assert "no limit" in evidence(run, pb.gradient_flow(*run, t_end=0.1, tol=0)).no_limit


def test_quadrature_of_the_velocity_gives_the_change(flow):
    loss = flow.inner.loss
    assert flow.marks[0] == 0
    np.testing.assert_allclose(np.cumsum(flow.integral(np.ones_like(loss))), flow.marks[1:], rtol=1e-12)
    fall = flow.integral(flow.potential.kappa(flow.inner.log_x) * 4 * loss).sum()
    z = np.log(np.maximum(flow.least.x, 1e-300))
    divergence = flow.potential.bregman(z, flow.trajectory.log_x[[0, -1]])
    assert fall == pytest.approx(divergence[0] - divergence[1], rel=1e-4)
    assert loss.shape == ((flow.marks.size - 1) * OPTIONS.nodes,)


def test_invariant_drift(flow):
    assert flow.invariant_drift() < 1e-7
    run, path, limit = solved(CENTRED)
    assert evidence(run, limit).invariant_drift() < 1e-9
    moved = replace(limit, log_x=limit.log_x + 0.01 * np.arange(7))
    assert evidence(run, moved).invariant_drift() > 1e-4
    run, path, _ = solved(WN1)
    assert evidence(run, path).invariant_drift() < 1e-6


def test_end(flow):
    np.testing.assert_allclose(flow.reached.A @ flow.x, flow.reached.b, rtol=1e-14)
    size = np.linalg.norm(flow.problem.residual(flow.x))
    assert flow.residual == pytest.approx(size / np.linalg.norm(flow.problem.b))
    assert flow.distance(flow.projection) < 1e-6
    assert np.isnan(flow.distance(None))
    assert flow.least.value <= flow.least_reached.value + 1e-3
    assert (flow.nonzero.held, flow.reachable.held) == (True, True)
    assert flow.nonzero_limit.lhs == flow.end.r
