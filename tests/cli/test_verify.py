"""``polarbias verify``: the table for flow, limit and descent, JSON, exit codes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import polarbias as pb
from commands import call, call_json

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

SIZES = ["--m", "3", "--n", "7", "--ratio", "0.5"]


@pytest.fixture(scope="module")
def start():
    problem = pb.gaussian_problem(0, 3, 7)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    return problem, network, network.init(1.0, pb.folded_gaussian_direction(0, 7))


SOLVERS = {
    "limit": lambda start: pb.flow_limit(*start),
    "flow": lambda start: pb.gradient_flow(*start, tol=1e-12),
    "descent": lambda start: pb.gradient_descent(*start, tol=1e-12, max_steps=100_000),
}


@pytest.mark.parametrize("solution", SOLVERS)
def test_the_table_is_that_of_the_library(solution, start):
    found = SOLVERS[solution](start)
    table = pb.verify(*start, found)
    result = call("verify", *SIZES, "--solution", solution)
    heading, body = result.stdout.split("\n\n", 1)
    assert heading == f"3 x 7, gaussian truth, seed 0; {solution}: {found.message}, loss {float(found.loss):.3g}"
    counts = ", ".join(f"{count} {name}" for name, count in table.counts.items())
    assert body == f"{table}\n\n{counts}\n"
    assert table.counts["violated"] == 0


def test_json(start):
    found = pb.gradient_flow(*start, tol=1e-6)
    table = pb.verify(*start, found)
    record = call_json("verify", *SIZES, "--tol", "1e-6")
    assert record["solution"] == "flow"
    assert record["loss"] == pytest.approx(float(found.loss))
    assert record["counts"] == table.counts
    names = ("statement", "predicted", "observed")
    assert [[row[name] for name in names] for row in record["statements"]] == [
        [getattr(row, name) for name in names] for row in table
    ]
    assert {row["verdict"] for row in record["statements"]} <= {"holds", "undecided", "hypothesis not met"}
    assert record["statements"][1]["hypotheses"][0].keys() == {"name", "held"}


def test_descent_stops_at_its_steps():
    result = call("verify", *SIZES, "--solution", "descent", "--max-steps", 2)
    assert "; descent: all steps are used" in result.stdout


def test_a_violated_row_ends_with_1(start, monkeypatch):
    found = pb.flow_limit(*start)
    wrong = replace(found, x=found.x * 1.01, r=found.r * 1.01)
    monkeypatch.setattr(pb, "flow_limit", lambda *_: wrong)
    result = call("verify", *SIZES, "--solution", "limit", code=1)
    rows = [line for line in result.stdout.splitlines() if line.endswith("| violated")]
    assert rows
    names = "; ".join(row.split(" | ")[0].strip() for row in rows)
    assert result.stderr == f"polarbias: violated: {names}.\n"


def test_sparse_and_infeasible_problems_from_files(tmp_path):
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]))
    np.save(tmp_path / "b.npy", [1.0, 1.0])
    np.save(tmp_path / "minus.npy", [-1.0, 1.0])
    arguments = ["--matrix", tmp_path / "A.npz", "--solution", "limit", "--rhs"]
    result = call("verify", *arguments, tmp_path / "b.npy")
    assert result.stdout.startswith("2 x 3, sparse, ")
    assert "0 violated" in result.stdout
    assert call("verify", *arguments, tmp_path / "minus.npy", code=3).stderr.startswith(
        "polarbias: no signal of the network's kind"
    )
