"""``polarbias solve``: text, JSON, stored results, exit codes."""

import re
from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
from commands import call, call_json
from polarbias.recovery import basis_pursuit as module
from polarbias.recovery.result import PursuitStatus

RNG = np.random.default_rng(2)
A = RNG.standard_normal((6, 20)) * (RNG.random((6, 20)) < 0.7)
B = A @ np.where(np.arange(20) % 9 == 0, 1.5, 0.0)


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "p.npz", A=A, b=B, w=np.where(np.arange(20) == 0, np.inf, 1.0))
    return [tmp_path / "p.npz"] * 2


def test_text_json_and_stored_results(files, tmp_path):
    wanted = pb.basis_pursuit(A, B)
    shown = call("solve", *files, "-o", tmp_path / "x.npy").stdout
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), wanted.x)
    for text in ("6 x 20", "optimal: certified", f"{wanted.value:.12g}", f"{wanted.support.size} of 20", "stored in"):
        assert text in shown
    record = call_json("solve", *files, "--output", tmp_path / "all.npz", "--sigma", 0.1)
    assert record.keys() == {
        "status", "message", "m", "n", "sigma", "nonnegative", "value", "nonzeros", "gap", "residual",
        "dual_infeasibility", "steps", "seconds", "output",
    }  # fmt: skip
    assert (record["status"], record["m"], record["n"], record["sigma"]) == ("optimal", 6, 20, 0.1)
    with np.load(tmp_path / "all.npz") as stored:
        proof = pb.certify(A, B, stored["x"], stored["dual"], sigma=0.1)
        assert proof.within(1e-9)
        assert stored["gap"] == proof.gap == record["gap"]
        assert np.abs(stored["x"]).sum() == pytest.approx(record["value"])
    call("solve", *files, "-o", tmp_path / "x.csv")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "x.csv", skiprows=1), wanted.x)


def test_nonnegative_and_weighted(files):
    shown = call("solve", *files, "--nonnegative").stdout
    assert f"{pb.basis_pursuit(A, B, nonnegative=True).value:.12g}" in shown
    assert "x >= 0" in shown
    shown = call("solve", *files, "--weights", files[0]).stdout
    wanted = pb.basis_pursuit(A, B, weights=np.where(np.arange(20) == 0, np.inf, 1.0))
    assert re.search(rf"weighted l1 norm +{wanted.value:.12g}\n", shown)


@pytest.mark.parametrize("ending", ["npz", "npy", "csv"])
def test_infeasible_problems_end_with_3_and_store_a_proof(ending, tmp_path):
    twice, b, out = np.vstack([A, A]), np.concatenate([B, -B]), tmp_path / f"proof.{ending}"
    np.savez(tmp_path / "p.npz", A=twice, b=b)
    assert call_json("solve", *[tmp_path / "p.npz"] * 2, "-o", out, code=3)["status"] == "infeasible"
    y = np.loadtxt(out, skiprows=1) if ending == "csv" else np.load(out)
    y = y["farkas"] if ending == "npz" else y
    np.testing.assert_allclose(twice.T @ y, 0, atol=1e-12)
    assert y @ b > 0


def test_exit_codes(files, tmp_path, monkeypatch):
    assert "max_time" in call("solve", *files, "--max-time", 1e-9, code=4).stderr
    assert "there is no file" in call("solve", tmp_path / "none.npy", files[1], code=2).stderr
    assert "known endings" in call("solve", *files, "-o", tmp_path / "x.txt", code=2).stderr
    assert "--sigma" in call("solve", *files, "--sigma", -1, code=2).stderr
    found = pb.basis_pursuit(A, B)
    for status, code in (
        (PursuitStatus.INTERRUPTED, 130), (PursuitStatus.INACCURATE, 1), (PursuitStatus.STEP_LIMIT, 4),
    ):  # fmt: skip
        monkeypatch.setattr(module, "basis_pursuit", lambda *_, s=status, **__: replace(found, status=s))
        result = call("solve", *files, "-o", tmp_path / f"{code}.npy", code=code)
        assert result.stderr == f"polarbias: {status.message}.\n"
        np.testing.assert_array_equal(np.load(tmp_path / f"{code}.npy"), found.x)
