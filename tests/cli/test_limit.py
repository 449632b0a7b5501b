"""``polarbias limit``: text, JSON, stored results, exit codes."""

import re
from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
from commands import call, call_json
from polarbias.solution import Status

SIZES = ["--m", "6", "--n", "15"]
FLOW_LIMIT = "polarbias.limit.flow_limit.flow_limit"


@pytest.fixture(scope="module")
def expected():
    problem = pb.gaussian_problem(0, 6, 15)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    return pb.flow_limit(problem, network, network.init(1.0, pb.folded_gaussian_direction(0, 15)))


def test_text_and_json_agree_with_the_library(expected):
    lines = call("limit", *SIZES, "--threshold", 0.3).stdout.splitlines()
    text = dict(re.split(r" {2,}", line, maxsplit=1) for line in lines)
    count = int((expected.x > 0.3 * expected.x.max()).sum())
    assert 0 < count < 15
    assert text["problem"] == "6 x 15, gaussian truth, seed 0"
    assert text["status"] == f"converged: {Status.CONVERGED.message}"
    assert float(text["||X||_1"]) == pytest.approx(np.abs(expected.x).sum(), rel=1e-11)
    assert text["entries above 0.3 max |X|"] == f"{count} of 15"
    assert text["gap"] == f"{float(expected.gap):.6g}"
    record = call_json("limit", *SIZES, "--threshold", 0.3)
    assert record.pop("seconds") >= 0
    assert record.pop("relative_residual") <= 1e-12
    assert record == {
        "status": "converged", "message": Status.CONVERGED.message, "m": 6, "n": 15, "threshold": 0.3,
        "collapse": pb.CollapseStatus(int(expected.collapse_status)).message, "entries_above_threshold": count,
        "l1": pytest.approx(np.abs(expected.x).sum()), "log10_rho": pytest.approx(expected.log_rho / np.log(10)),
        "gap": pytest.approx(expected.gap), "r": pytest.approx(expected.r), "steps": expected.steps, "output": None,
    }  # fmt: skip


def test_stored_results(expected, tmp_path):
    assert call("limit", *SIZES, "-o", tmp_path / "out.npz").stdout.endswith(f"stored in {tmp_path / 'out.npz'}\n")
    names = {"x", "log_x", "dual", "mirror_dual", "gap", "r", "log_rho", "residual", "loss", "status", "steps"}
    with np.load(tmp_path / "out.npz") as stored:
        assert set(stored) == names | {"collapse_status"}
        for name in stored:
            np.testing.assert_array_equal(stored[name], getattr(expected, name), err_msg=name)
    for ending in ("npy", "csv"):
        assert call_json("limit", *SIZES, "--output", tmp_path / f"out.{ending}")["output"].endswith(ending)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected.x)
    assert (tmp_path / "out.csv").read_text().startswith("x,log_x\n")
    columns = np.loadtxt(tmp_path / "out.csv", skiprows=1, delimiter=",")
    np.testing.assert_array_equal(columns, np.column_stack([expected.x, expected.log_x]))
    call("limit", *SIZES, "--signed", "--output", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().startswith("x,log_x_plus,log_x_minus\n")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("ending", "signed"), [("npz", False), ("npy", False), ("csv", False), ("npz", True)])
def test_infeasible_problems_end_with_3_and_store_a_proof(ending, signed, tmp_path):
    A = np.array([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]) if signed else np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    b, given, out = np.array([1.0, -1.0]), tmp_path / "p.npz", tmp_path / f"proof.{ending}"
    np.savez(given, A=A, b=b)
    result = call("limit", "--matrix", given, "--rhs", given, *["--signed"] * signed, "--output", out, code=3)
    assert result.stderr == f"polarbias: {Status.INFEASIBLE.message}.\n"
    y = np.loadtxt(out, skiprows=1) if ending == "csv" else np.load(out)
    y = y["farkas"] if ending == "npz" else y
    assert y @ b > 0
    assert (y @ A <= 1e-9).all()
    assert not signed or np.abs(y @ A).max() <= 1e-9
    record = call_json("limit", "--matrix", given, "--rhs", given, *["--signed"] * signed, code=3)
    assert (record["status"], record["collapse"]) == ("infeasible", None)


def test_collapse_ends_with_1(tmp_path):
    np.savez(tmp_path / "p.npz", A=[[1.0, -1.0]], b=[1.0], u=np.sqrt([0.1, 0.9]))
    arguments = [part for name in ("matrix", "rhs", "direction") for part in (f"--{name}", tmp_path / "p.npz")]
    result = call("limit", *arguments, "--ratio", 1, "--scale", 0.5, "--output", tmp_path / "x.npy", code=1)
    assert "collapse: the integrated flow reaches r = 0" in result.stdout
    assert "none for X = 0" in result.stdout
    assert result.stderr == f"polarbias: {Status.COLLAPSED.message}.\n"
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [0, 0])
    assert call("limit", *arguments, "--ratio", 1, "--scale", 1).stderr == ""


@pytest.mark.parametrize("status", [Status.UNDECIDED, Status.INACCURATE])
def test_uncertain_limits_end_with_1(status, expected, monkeypatch):
    monkeypatch.setattr(FLOW_LIMIT, lambda *given: replace(expected, status=np.array(int(status))))
    assert call("limit", *SIZES, code=1).stderr == f"polarbias: {status.message}.\n"
    assert call_json("limit", *SIZES, code=1)["status"] == status.name.lower()


def test_an_interruption_stores_nothing(monkeypatch, tmp_path):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(FLOW_LIMIT, interrupted)
    result = call("limit", *SIZES, "--output", tmp_path / "x.npy", code=130)
    assert result.stderr == "polarbias: interrupted; nothing is stored.\n"
    assert not list(tmp_path.iterdir())
