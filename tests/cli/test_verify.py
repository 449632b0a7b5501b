"""``polarbias verify``: the table for flow, limit and descent, JSON, exit codes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import polarbias as pb
from commands import call, call_json
from polarbias.solution import Status

SIZES = ["--m", "3", "--n", "7", "--ratio", "0.5"]


@pytest.fixture(scope="module")
def start():
    problem = pb.gaussian_problem(0, 3, 7)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    return problem, network, network.init(1.0, pb.folded_gaussian_direction(0, 7))


@pytest.mark.parametrize(
    ("solution", "solve"),
    [
        ("limit", pb.flow_limit),
        ("flow", lambda *start: pb.gradient_flow(*start, tol=1e-12)),
        ("descent", lambda *start: pb.gradient_descent(*start, tol=1e-12, max_steps=100_000)),
    ],
)
def test_the_table_is_that_of_the_library(solution, solve, start):
    found = solve(*start)
    table = pb.verify(*start, found)
    heading, body = call("verify", *SIZES, "--solution", solution).stdout.split("\n\n", 1)
    assert heading == f"3 x 7, gaussian truth, seed 0; {solution}: {found.message}, loss {float(found.loss):.3g}"
    counts = ", ".join(f"{count} {name}" for name, count in table.counts.items())
    assert body == f"{table}\n\n{counts}\n"
    assert table.counts["violated"] == 0


def test_json(start):
    found = pb.gradient_flow(*start, tol=1e-6)
    table = pb.verify(*start, found)
    record = call_json("verify", *SIZES, "--tol", "1e-6")
    assert record["statements"] == [
        {name: getattr(row, name) for name in ("statement", "predicted", "observed")}
        | {"verdict": row.verdict.value, "hypotheses": [{"name": h.name, "held": h.held} for h in row.hypotheses]}
        for row in table
    ]
    assert record["loss"] == pytest.approx(float(found.loss))
    assert [record[name] for name in ("solution", "status", "counts")] == ["flow", "converged", table.counts]
    assert record["message"] == found.message


def test_descent_stops_at_its_steps():
    result = call("verify", *SIZES, "--solution", "descent", "--max-steps", 2)
    assert "; descent: all steps are used" in result.stdout


def test_a_violated_row_ends_with_1(start, monkeypatch):
    found = pb.flow_limit(*start)
    wrong = replace(found, x=found.x * 1.01, r=found.r * 1.01)
    monkeypatch.setattr(pb, "flow_limit", lambda *_: wrong)
    violated = "; ".join(row.statement for row in pb.verify(*start, wrong).violated)
    result = call("verify", *SIZES, "--solution", "limit", code=1)
    assert violated
    assert result.stderr == f"polarbias: violated: {violated}.\n"


def test_sparse_and_infeasible_problems_from_files(tmp_path):
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]))
    np.savez(tmp_path / "b.npz", feasible=[1.0, 1.0], infeasible=[-1.0, 1.0])
    arguments = ["verify", "--matrix", tmp_path / "A.npz", "--solution", "limit", "--rhs"]
    result = call(*arguments, f"{tmp_path / 'b.npz'}:feasible")
    assert result.stdout.startswith("2 x 3, sparse, ")
    assert "0 violated" in result.stdout
    result = call(*arguments, f"{tmp_path / 'b.npz'}:infeasible", code=3)
    assert result.stderr == f"polarbias: {Status.INFEASIBLE.message}.\n"
    assert result.stdout == ""
    record = call_json(*arguments, f"{tmp_path / 'b.npz'}:infeasible", code=3)
    assert (record["status"], record["message"]) == ("infeasible", Status.INFEASIBLE.message)
    assert record["statements"] == []
