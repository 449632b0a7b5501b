"""``polarbias solve``: text, JSON, stored results, exit codes."""

import re
from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
from commands import call, call_json
from polarbias.recovery import basis_pursuit as module
from polarbias.recovery.result import PursuitStatus

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((6, 20)) * (rng.random((6, 20)) < 0.7)
    b = A @ np.where(np.arange(20) % 9 == 0, 1.5, 0.0)
    np.save(tmp_path / "A.npy", A)
    np.save(tmp_path / "b.npy", b)
    return tmp_path, A, b


def test_text_json_and_stored_results(data):
    folder, A, b = data
    files, wanted = [folder / "A.npy", folder / "b.npy"], pb.basis_pursuit(A, b)
    shown = call("solve", *files, "-o", folder / "x.npy").stdout
    np.testing.assert_array_equal(np.load(folder / "x.npy"), wanted.x)
    for text in ("6 x 20", "optimal: certified", f"{wanted.value:.12g}", f"{wanted.support.size} of 20", "stored in"):
        assert text in shown
    record = call_json("solve", *files, "--output", folder / "all.npz", "--sigma", 0.1)
    assert record.keys() == {
        "status", "message", "m", "n", "sigma", "nonnegative", "value", "nonzeros", "gap", "residual",
        "dual_infeasibility", "steps", "seconds", "output",
    }  # fmt: skip
    assert (record["status"], record["m"], record["n"], record["sigma"]) == ("optimal", 6, 20, 0.1)
    with np.load(folder / "all.npz") as stored:
        proof = pb.certify(A, b, stored["x"], stored["dual"], sigma=0.1)
        assert proof.within(1e-9)
        assert stored["gap"] == proof.gap == record["gap"]
        assert np.abs(stored["x"]).sum() == pytest.approx(record["value"])
    call("solve", *files, "-o", folder / "x.csv")
    np.testing.assert_array_equal(np.loadtxt(folder / "x.csv", skiprows=1), wanted.x)


def test_nonnegative_and_weighted(data):
    folder, A, b = data
    files = [folder / "A.npy", folder / "b.npy"]
    shown = call("solve", *files, "--nonnegative").stdout
    assert f"{pb.basis_pursuit(A, b, nonnegative=True).value:.12g}" in shown
    assert "x >= 0" in shown
    weights = np.where(np.arange(20) == 0, np.inf, 1.0)
    np.save(folder / "w.npy", weights)
    shown = call("solve", *files, "--weights", folder / "w.npy").stdout
    assert re.search(rf"weighted l1 norm +{pb.basis_pursuit(A, b, weights=weights).value:.12g}\n", shown)


def test_exit_codes(data, monkeypatch):
    folder, A, b = data
    files = [folder / "A.npy", folder / "b.npy"]
    np.savez(folder / "twice.npz", A=np.vstack([A, A]), b=np.concatenate([b, -b]))
    twice = [folder / "twice.npz", folder / "twice.npz"]
    record = call_json("solve", *twice, "-o", folder / "proof.npz", code=3)
    assert record["status"] == "infeasible"
    with np.load(folder / "proof.npz") as stored:
        np.testing.assert_allclose(np.vstack([A, A]).T @ stored["farkas"], 0, atol=1e-12)
    assert "max_time" in call("solve", *files, "--max-time", 1e-9, code=4).stderr
    assert "there is no file" in call("solve", folder / "none.npy", folder / "b.npy", code=2).stderr
    assert "known endings" in call("solve", *files, "-o", folder / "x.txt", code=2).stderr
    assert "--sigma" in call("solve", *files, "--sigma", -1, code=2).stderr
    found = pb.basis_pursuit(A, b)
    for status, code in ((PursuitStatus.INTERRUPTED, 130), (PursuitStatus.INACCURATE, 1)):
        monkeypatch.setattr(module, "basis_pursuit", lambda *_, s=status, **__: replace(found, status=s))
        result = call("solve", *files, "-o", folder / "best.npy", code=code)
        assert result.stderr == f"polarbias: {status.message}.\n"
        np.testing.assert_array_equal(np.load(folder / "best.npy"), found.x)
        (folder / "best.npy").unlink()
