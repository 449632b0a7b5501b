"""Verifications as tables: random true solutions violate nothing, wrong networks do; indexing, printing, input."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polarbias as pb
from polarbias.theory.verdict import Verdict
from polarbias.theory.verify import Verification, verify
from verification import LAWS, WN2, make_run, solved


@st.composite
def configurations(draw):
    m = draw(st.integers(1, 4))
    return make_run(
        draw(st.integers(0, 10**6)), m, m + draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 2, 3, 4])),
        draw(st.sampled_from(sorted(LAWS))), draw(st.booleans()), draw(st.booleans()),
        draw(st.sampled_from([0.1, 0.8, 2.0])),
    )  # fmt: skip


@settings(max_examples=5)
@given(configurations())
def test_true_flows_and_limits_violate_nothing(run):
    limit = pb.flow_limit(*run)
    for solution in (limit, pb.gradient_flow(*run)):
        table = verify(*run, solution)
        assert not table.violated, str(table)
        assert sum(table.counts.values()) == len(table)
        if solution.status == pb.Status.CONVERGED:
            assert table.counts["holds"] >= (4 if solution is limit else 10)


def test_wrong_ratio():
    (problem, _, theta0), flow, limit = solved(WN2)
    other = pb.WeightNormalization(pb.HadamardPower(2), 0.404)
    violated = {row.statement for row in verify(problem, other, theta0, flow).violated}
    assert {"(12), (13)", "Lemma 3.7, (33)", "Lemma 3.8, (40)", "Lemma 3.10", "(17) corrected"} <= violated
    assert "Lemma 3.7, (33)" in {row.statement for row in verify(problem, other, theta0, limit).violated}


def test_flow_without_a_limit():
    run, _, _ = solved(WN2)
    table = verify(*run, pb.gradient_flow(*run, t_end=0.5, tol=0))
    assert not table.violated
    for row in ("Lemma 3.8, (40)", "Theorem 2.1(1) corrected", "dichotomy", "(17) corrected", "radial bound"):
        assert table[row].verdict == Verdict.UNDECIDED
    for row in ("Lemma 3.6, (32)", "Corollary 3.14, (54)", "Lemma 3.17, (56)", "Theorem 2.3(1)", "Lemma 3.9 corrected"):
        assert table[row].verdict == Verdict.NOT_MET


def test_table():
    run, flow, limit = solved(WN2)
    table = verify(*run, flow)
    lines = str(table).splitlines()
    assert lines[0].split() == ["statement", "|", "hypotheses", "|", "predicted", "|", "observed", "|", "verdict"]
    assert len(lines) == len(table) + 2
    assert len({tuple(i for i in range(len(line)) if line[i : i + 3] == " | ")[:4] for line in lines[2:]}) == 1
    assert table[0] == table["(1), (9)"] == next(iter(table))
    assert table[:3] == Verification(table.rows[:3])
    assert table.counts["holds"] == sum(row.verdict == Verdict.HOLDS for row in table)
    with pytest.raises(KeyError, match="Lemma 4"):
        table["Lemma 4"]
    minimum = pb.minimal_l1(run[0], nonnegative=True)
    assert str(verify(*run, limit, minimum=minimum)) == str(verify(*run, limit))


def test_a_pickle_is_equal():
    run, flow, _ = solved(WN2)
    table = verify(*run, flow)
    assert pickle.loads(pickle.dumps(table)) == table


def test_bad_input():
    (problem, network, theta0), flow, _ = solved(WN2)
    starts = network.init([0.5, 0.8], theta0.u)
    batch = pb.flow_limit(problem, network, starts)
    valid = {"problem": problem, "network": network, "theta0": theta0, "solution": flow}
    for change, message in [
        ({"solution": 3}, "Solution"),
        ({"minimum": 3.0}, "Minimum"),
        ({"accuracy": 0.0}, "accuracy"),
        ({"problem": pb.LinearProblem([[1.0, 2.0]], [1.0])}, "unknowns"),
        ({"theta0": starts}, "one run"),
        ({"solution": batch}, "batch"),
        ({"solution": pb.flow_limit(*make_run(1, 2, 5, 2, "plain"))}, "shape"),
    ]:
        with pytest.raises(pb.InvalidInput, match=message):
            verify(**valid | change)


def test_random_directions_have_any_norm():
    run = make_run(2, 2, 5, 3, "harmonic")
    problem, network, theta0 = run
    scaled = theta0._replace(u=np.asarray(theta0.u) * 3)
    assert not verify(problem, network, scaled, pb.gradient_flow(problem, network, scaled)).violated
