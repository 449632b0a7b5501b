"""Minima, and the checks of their optimality conditions."""

import ast
import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import polarbias as pb
import polarbias.problems.reference
from polarbias.problems.reference import check_l1, check_l2

PROBLEM = pb.gaussian_problem(0, 5, 20)


def changed(**changes):
    best = pb.minimal_l1(PROBLEM, nonnegative=True)
    leaves = {"value": best.value, "x": best.x, "dual": best.dual, "gap": best.gap, "residual": best.residual}
    return pb.Minimum(**{name: changes.get(name, lambda leaf: leaf)(leaf) for name, leaf in leaves.items()})


def violations(**changes):
    return check_l1(PROBLEM, changed(**changes), nonnegative=True)


def test_each_condition_is_checked():
    assert violations().worst < 1e-14
    assert violations(x=lambda x: 1.01 * x).primal == pytest.approx(0.01)
    negative = violations(x=lambda x: -x)
    assert negative.sign == pytest.approx(1)
    assert negative.primal == pytest.approx(2)
    larger = violations(dual=lambda y: 1.01 * y)
    assert larger.dual == pytest.approx(0.01)
    assert larger.gap == pytest.approx(0.01)
    assert violations(dual=lambda y: 0.5 * y).gap == pytest.approx(0.5)


def test_value_and_gap_are_not_used():
    assert violations(value=lambda v: 2 * v, gap=lambda g: 1.0).worst < 1e-14


def test_signed_duals_have_two_bounds():
    problem = pb.LinearProblem([[1.0, -2.0]], [1.0])
    assert check_l1(problem, pb.minimal_l1(problem, nonnegative=True)).dual == 1
    assert check_l1(problem, pb.minimal_l1(problem)).worst == 0


def test_l2():
    best = pb.minimal_l2(PROBLEM)
    other = pb.Minimum(best.value, best.x, 1.01 * best.dual, best.gap, best.residual)
    assert check_l2(PROBLEM, other).dual == pytest.approx(0.01)
    assert check_l2(PROBLEM, other).gap == pytest.approx(0.01)
    shifted = pb.Minimum(best.value, pb.minimal_l1(PROBLEM).x, best.dual, best.gap, best.residual)
    assert check_l2(PROBLEM, shifted).dual > 0.1


def test_one_minimum():
    best = pb.minimal_l1(pb.LinearProblem([[1.0, 2.0]], [1.0]))
    with pytest.raises(AttributeError):
        best.value = 1.0
    assert repr(best) == "Minimum(value=0.5, gap=0.0e+00)"
    assert best.feasible
    for other in (copy.deepcopy(best), pickle.loads(pickle.dumps(best))):
        assert other.value == best.value
        assert np.array_equal(other.x, best.x)
    with pytest.raises(pb.InvalidInput, match="single item"):
        best[0]


def test_a_batch_with_infeasible_problems():
    batch = pb.minimal_l1(pb.LinearProblem(np.ones((2, 1, 3)), [[1.0], [-1.0]]), nonnegative=True)
    assert repr(batch) == "Minimum(batch_shape=(2,), largest gap=0.0e+00, 1 infeasible)"
    assert batch.feasible.tolist() == [True, False]
    assert repr(batch[1]) == "Minimum(infeasible)"
    assert batch[0].farkas is None
    np.testing.assert_allclose(batch[1].farkas, [-1])
    np.testing.assert_allclose(batch.farkas, [[np.nan], [-1]])
    feasible = pb.minimal_l1(pb.LinearProblem(np.ones((2, 1, 3)), [[1.0], [-1.0]]))
    assert feasible.farkas is None
    assert repr(feasible) == "Minimum(batch_shape=(2,), largest gap=0.0e+00)"


def test_the_oracles_import_no_solver():
    allowed = {"polarbias.errors", "polarbias.problems.certificate", "polarbias.problems.linear"}
    for path in Path(polarbias.problems.reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("polarbias"):
                inside = node.module.startswith(("polarbias.problems.reference.", "polarbias.runtime."))
                assert inside or node.module in allowed, path
