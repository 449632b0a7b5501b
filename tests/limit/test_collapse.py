"""Collapse against its threshold in two dimensions and against the integrated flow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import polarbias as pb
from oracles import Case, Law, integrate_flow
from polarbias.limit import collapse
from polarbias.linalg.normal_equations import normal_equations
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.solution import CollapseStatus, Status


def two_dimensional(p, eta, r0_squared):
    return Case(np.array([[1.0, -1.0]]), np.ones(1), 2, Law("constant", eta), np.sqrt(r0_squared), np.sqrt([p, 1 - p]))


@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("p", [1e-4, 0.02, 0.1, 0.3, 0.45])
def test_collapse_in_two_dimensions_on_both_sides_of_the_threshold(p, eta):
    """A = [1, -1], b = 1: r falls to 0 exactly if r0^2 <= eta log(1 / (2 sqrt(p (1 - p)))) and p < 1/2."""
    threshold = eta * np.log(1 / (2 * np.sqrt(p * (1 - p))))
    for off in (0.5, 0.1, 1e-2, 1e-3):
        for factor, collapses in ((1 - off, True), (1 + off, False)):
            solution = pb.flow_limit(*two_dimensional(p, eta, factor * threshold).library())
            if collapses:
                assert solution.status == Status.COLLAPSED
                assert solution.collapse_status == CollapseStatus.COLLAPSES
                assert not solution.x.any()
            else:
                assert solution.status == Status.CONVERGED
                assert CollapseStatus(int(solution.collapse_status)).safe
                assert solution.x[0] - solution.x[1] == pytest.approx(1, rel=1e-10)
        mirrored = pb.flow_limit(*two_dimensional(1 - p, eta, (1 - off) * threshold).library())
        assert mirrored.status == Status.CONVERGED


def test_laws_with_an_infinite_barrier_never_collapse():
    p, r0_squared = 1e-3, 1e-2
    for law in (Law("harmonic", 1.0), Law("power", 1.0, 2.0), Law("power", 0.2, 2.0)):
        case = Case(np.array([[1.0, -1.0]]), np.ones(1), 2, law, np.sqrt(r0_squared), np.sqrt([p, 1 - p]))
        solution = pb.flow_limit(*case.library())
        assert solution.status == Status.CONVERGED
        assert solution.collapse_status == CollapseStatus.LAW


@pytest.mark.parametrize("r0", [1e-3, 0.01, 0.1])
def test_collapse_of_sparse_starts_as_the_integrated_flow_tells_it(r0):
    wrong = collapsed = 0
    for trial in range(8):
        problem = pb.gaussian_problem(seed=11, m=30, n=200, truth="sparse", s=3, trial=trial)
        u0 = pb.folded_gaussian_direction(seed=12, n=200, trial=trial)
        case = Case(problem.A, problem.b, 2, Law("constant", 0.1), r0, u0 / np.linalg.norm(u0))
        end = integrate_flow(case, decide=True, rtol=1e-9)
        solution = pb.flow_limit(*case.library())
        assert end.status in ("safe", "collapsed")
        collapsed += end.status == "collapsed"
        wrong += (end.status == "collapsed") != (solution.status == Status.COLLAPSED)
    assert wrong == 0
    assert collapsed > 0 or r0 > 1e-3


SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, r0=st.floats(0.05, 10), eta=st.floats(0.05, 20))
def test_signed_uniform_starts_never_shrink_below_their_radius(seed, r0, eta):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 9))
    network = pb.WeightNormalization(pb.HadamardDifference(2), eta)
    solution = pb.flow_limit(pb.LinearProblem(A, A @ rng.standard_normal(9)), network, network.init(r0, np.ones(18)))
    assert solution.status == Status.CONVERGED
    assert CollapseStatus(int(solution.collapse_status)).safe
    assert float(solution.r) >= r0 * (1 - 1e-12)


def form_of(problem, network, theta0):
    [(_, one, form)] = reduced_forms(problem, network, theta0)[1]
    return one, form


@pytest.mark.parametrize("depth", [2, 3])
def test_the_kernel_point_minimizes_the_radius(depth):
    rng = np.random.default_rng(depth)
    A = rng.standard_normal((2, 6))
    A -= A.mean(1, keepdims=True)
    network = pb.WeightNormalization(pb.HadamardPower(depth), 1.0)
    one, form = form_of(pb.LinearProblem(A, [1.0, 1.0]), network, network.init(1.0, rng.uniform(0.5, 1.5, 6)))
    least, _, log_pi = collapse.kernel_point(normal_equations(one, signed=False), form)
    u0 = np.exp(form.log_u0)

    def total(nu):
        if depth == 2:
            return np.log(u0**2 @ np.exp(A.T @ nu))
        q = 1 / u0 - A.T @ nu
        return np.log((q**-2.0).sum()) if q.min() > 0 else np.inf

    best = minimize(total, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14}).fun
    assert least == pytest.approx(best, abs=1e-10)
    assert np.abs(A @ np.exp(depth / 2 * log_pi)).max() < 1e-10
    positive, form = form_of(pb.LinearProblem(np.abs(A), [1.0, 1.0]), network, network.init(1.0, np.ones(6)))
    assert collapse.kernel_point(normal_equations(positive, signed=False), form) is None


PROOFS = [
    ([1.0, -1.0], 3.0, CollapseStatus.KERNEL),
    ([1.0, -1.0], 0.5, CollapseStatus.COLLAPSES),
    ([-1.0, 1.0], 0.5, CollapseStatus.LOSS),
    ([1.0, 1.0], 3.0, CollapseStatus.INTEGRATED),  # no kernel, and A X = 9 at the start
]


@pytest.mark.parametrize(("row", "r0", "status"), PROOFS)
def test_the_proof_of_each_status(row, r0, status):
    case = Case(np.array([row]), np.ones(1), 2, Law("constant", 1.0), r0, np.sqrt([0.1, 0.9]))
    one, form = form_of(*case.library())
    assert collapse.CollapseTest(one, normal_equations(one, signed=False)).status(form) == status


def test_long_integrations_are_undecided(monkeypatch):
    monkeypatch.setattr(collapse, "OPTIONS", collapse.Options(max_evaluations=20))
    solution = pb.flow_limit(*two_dimensional(0.1, 1.0, 0.5).library())
    assert solution.collapse_status == CollapseStatus.UNDECIDED
    assert solution.status == Status.UNDECIDED
