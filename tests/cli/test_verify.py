"""``polarbias verify``: the table for flow, limit and descent, and the exit code."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

import polarbias as pb
from commands import call

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

SIZES = ["--m", "3", "--n", "7", "--ratio", "0.5"]


@pytest.fixture(scope="module")
def configuration():
    problem = pb.gaussian_problem(0, 3, 7)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    return problem, network, network.init(1.0, pb.folded_gaussian_direction(0, 7))


SOLVERS = {
    "limit": lambda start: pb.flow_limit(*start),
    "flow": lambda start: pb.gradient_flow(*start, tol=1e-12),
    "descent": lambda start: pb.gradient_descent(*start, tol=1e-12, max_steps=100_000),
}


@pytest.mark.parametrize("solution", SOLVERS)
def test_the_table_is_that_of_the_library(solution, configuration):
    found = SOLVERS[solution](configuration)
    table = pb.verify(*configuration, found)
    result = call("verify", *SIZES, "--solution", solution)
    heading, body = result.stdout.split("\n\n", 1)
    assert heading == f"3 x 7, gaussian truth, seed 0; {solution}: {found.message}, loss {float(found.loss):.3g}"
    assert body.startswith(str(table))
    assert body[len(str(table)) :] == f"\n\n{', '.join(f'{count} {name}' for name, count in table.counts.items())}\n"
    assert table.counts["violated"] == 0
    assert result.stderr == ""


def test_the_flow_is_the_default_and_stops_at_tol(configuration):
    loss = float(pb.gradient_flow(*configuration, tol=1e-6).loss)
    assert f"; flow: the stopping criterion is met, loss {loss:.3g}\n" in call("verify", *SIZES, "--tol", "1e-6").stdout


def test_descent_stops_at_its_steps():
    result = call("verify", *SIZES, "--solution", "descent", "--max-steps", 2)
    assert "; descent: all steps are used" in result.stdout


def test_a_violated_row_ends_with_1(configuration, monkeypatch):
    solve = pb.flow_limit

    def wrong(*start):
        found = solve(*start)
        return replace(found, x=found.x * 1.01, r=found.r * 1.01)

    monkeypatch.setattr("polarbias.limit.flow_limit.flow_limit", wrong)
    result = call("verify", *SIZES, "--solution", "limit", code=1)
    rows = [line for line in result.stdout.splitlines() if line.endswith("| violated")]
    assert rows
    names = "; ".join(row.split(" | ")[0].strip() for row in rows)
    assert result.stderr == f"polarbias: violated: {names}.\n"


def test_files_and_sparse_matrices(tmp_path):
    A = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array(A))
    np.save(tmp_path / "b.npy", [1.0, 1.0])
    result = call("verify", "--matrix", tmp_path / "A.npz", "--rhs", tmp_path / "b.npy", "--solution", "limit")
    assert result.stdout.startswith("2 x 3, sparse, ")
    assert "0 violated" in result.stdout


def test_infeasible_and_wrong(tmp_path):
    np.save(tmp_path / "A.npy", [[1.0, 2.0]])
    np.save(tmp_path / "b.npy", [-1.0])
    files = ["--matrix", tmp_path / "A.npy", "--rhs", tmp_path / "b.npy"]
    assert call("verify", *files, "--solution", "limit", code=1).stderr.startswith("polarbias: no X >= 0")
    assert "'limit', 'flow', 'descent'" in call("verify", "--solution", "path", code=2).stderr
    assert "'--tol'" in call("verify", "--tol", "0", code=2).stderr
    assert "'--max-steps'" in call("verify", "--max-steps", "0", code=2).stderr
