"""Rows of section 2: true solutions hold, corrupted ones are violations; collapse."""

from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
import verification as v
from polarbias.theory import theorems
from polarbias.theory.verdict import Verdict


def bound(name):
    """Return the row of this name among the bounds on the l1 norm."""
    return next(row for row in theorems.THEOREMS if row.name == name)


def orthogonal(b):
    """Return a vector that changes A^T y and not <b, y>."""
    return np.cross(b, [1.0, 2.0, 3.0])


def test_corrupted_trajectories():
    v.assert_detects_trajectory(theorems.theorem_2_1_1, v.WN2, loss=lambda value, t: value * 0 + 1.0)
    v.assert_detects_trajectory(theorems.band, v.WN2, r=v.times(3.0))


@pytest.mark.parametrize(
    ("row", "key", "corrupt"),
    [
        (theorems.theorem_2_1_1, v.WN2, lambda run, limit: replace(limit, x=v.first_entry(1.01)(limit.x, 0))),
        (bound("Theorem 2.1(2) corrected, (19)"), v.WN2, v.largest(keep_radius=True)),
        (bound("Theorem 2.3(2) corrected, (16)"), (*v.SQUARE, False, False, 0.1), v.largest(keep_radius=False)),
        (bound("Theorem 2.1 of [7] corrected, (14)-(16)"), (*v.PLAIN, False, False, 0.1), v.largest(keep_radius=False)),
        (bound("(16), sharper"), (4, 2, 6, 3, "plain", False, False, 0.1), v.largest(keep_radius=False)),
        (theorems.theorem_2_2, v.WN2, v.other_start),
        (theorems.theorem_2_3_1, v.SQUARE, v.other_start),
        (theorems.dichotomy, v.WN2, v.other_start),
        (theorems.plain_start, v.WN2, {"r": 1.01}),
        (theorems.reported_rho, v.WN2, {"log_rho": 1.01}),
        (theorems.sufficient_range, v.WN2, {"log_rho": -1}),
        (theorems.exact_range, v.WN2, {"log_rho": -1}),
        (theorems.radius, v.WN2, {"r": 0.5}),
        (theorems.radial, v.WN2, v.largest(keep_radius=False)),
        (theorems.certificate, v.WN2, {"dual": 1.01}),
        (theorems.certificate, v.WN2, {"gap": 2.0}),
        (theorems.certificate, v.WN2, lambda run, limit: replace(limit, dual=limit.dual + orthogonal(run[0].b))),
    ],
)
def test_corrupted_limits(row, key, corrupt):
    v.assert_detects_limit(row, key, corrupt)


def test_uniform_starts():
    problem, network, _ = v.make_run(6, 3, 7, 2, "plain")
    run = problem, network, network.init(0.1, np.ones(7))
    limit = pb.flow_limit(*run)
    v.assert_detects(bound("(7), (8) corrected"), run, limit, v.largest(keep_radius=False)(run, limit))


def test_collapse():
    """A = [1, -1], b = 1, u0^2 = (0.1, 0.9), eta = 1: r tends to 0 from r0 = 0.5."""
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    run = problem, network, network.init(0.5, np.sqrt([0.1, 0.9]))
    safe = pb.gradient_flow(problem, network, network.init(1.0, np.sqrt([0.1, 0.9])))
    for solution in (pb.gradient_flow(*run), pb.flow_limit(*run)):
        table = pb.verify(*run, solution)
        assert not table.violated, str(table)
        v.assert_detects(theorems.dichotomy, run, solution, safe)
        for row in ("Theorem 2.1(1) corrected", "(17) corrected", "(21) corrected", "radial bound"):
            assert table[row].verdict == Verdict.NOT_MET
            assert "r_inf > 0" in {one.name for one in table[row].unmet}


def test_impossible_collapse():
    run, _, limit = v.solved(v.WN2)
    collapsed = np.asarray(int(pb.Status.COLLAPSED))
    zero = replace(limit, status=collapsed, x=0 * limit.x, log_x=limit.log_x - np.inf, r=np.float64(0.0))
    v.assert_detects(theorems.dichotomy, run, limit, zero)


@pytest.mark.parametrize("law", [0.5, pb.PowerRatio(1.0, 2)])
def test_flow_that_stops_early(law):
    problem = pb.gaussian_problem(seed=0, m=3, n=7)
    network = pb.WeightNormalization(pb.HadamardPower(2), law)
    run = problem, network, network.init(1.0, pb.folded_gaussian_direction(seed=0, n=7))
    flow = pb.gradient_flow(*run, tol=1e-3)
    assert flow.converged
    row = theorems.theorem_2_3_1 if isinstance(law, pb.PowerRatio) else theorems.theorem_2_1_1
    assert row(v.evidence(run, flow)).verdict == Verdict.UNDECIDED
    assert not pb.verify(*run, flow).violated


def test_direction_norm_with_rounding():
    problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), pb.PowerRatio(1.0, 2))
    run = problem, network, network.init(0.1, [1.0, 1.0])
    assert np.linalg.norm(run[2].u) != 1
    assert theorems.theorem_2_3_1(v.evidence(run, pb.flow_limit(*run))).verdict == Verdict.HOLDS
