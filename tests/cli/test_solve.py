"""``polarbias solve``: files in and out, what is printed, exit codes."""

import re

import numpy as np
import pytest
from scipy import io, sparse

import polarbias as pb
from commands import call, process

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((6, 20)) * (rng.random((6, 20)) < 0.7)
    b = A @ np.where(np.arange(20) % 9 == 0, 1.5, 0.0)
    np.save(tmp_path / "A.npy", A)
    np.save(tmp_path / "b.npy", b)
    return tmp_path, A, b


def test_what_is_printed_and_stored(data):
    folder, A, b = data
    wanted = pb.basis_pursuit(A, b)
    done = call("solve", folder / "A.npy", folder / "b.npy", "-o", folder / "x.npy")
    np.testing.assert_array_equal(np.load(folder / "x.npy"), wanted.x)
    for text in ("6 x 20", "optimal: certified", f"{wanted.value:.12g}", f"{wanted.support.size} of 20", "stored in"):
        assert text in done.output
    call("solve", folder / "A.npy", folder / "b.npy", "--output", folder / "all.npz", "--sigma", 0.1)
    with np.load(folder / "all.npz") as stored:
        proof = pb.certify(A, b, stored["x"], stored["dual"], sigma=0.1)
        assert proof.within(1e-9)
        assert stored["gap"] == proof.gap
    call("solve", folder / "A.npy", folder / "b.npy", "-o", folder / "x.csv")
    np.testing.assert_array_equal(np.loadtxt(folder / "x.csv", skiprows=1), wanted.x)


def test_formats_and_options(data):
    folder, A, b = data
    sparse.save_npz(folder / "A.npz", sparse.csr_array(A))
    io.savemat(folder / "both.mat", {"A": A, "b": b})
    io.mmwrite(folder / "A.mtx", sparse.coo_array(A))
    np.savetxt(folder / "b.csv", b, delimiter=",")
    wanted = pb.basis_pursuit(A, b, nonnegative=True)
    for matrix, rhs in (("A.npz", "b.npy"), ("both.mat", "both.mat:b"), ("A.mtx", "b.csv")):
        done = call("solve", folder / matrix, folder / rhs, "--nonnegative")
        assert f"{wanted.value:.12g}" in done.output
        assert "x >= 0" in done.output
    weights = np.where(np.arange(20) == 0, np.inf, 1.0)
    np.save(folder / "w.npy", weights)
    done = call("solve", folder / "A.npy", folder / "b.npy", "--weights", folder / "w.npy")
    assert re.search(rf"weighted l1 norm +{pb.basis_pursuit(A, b, weights=weights).value:.12g} ", done.output)


def test_exit_codes(data):
    folder, A, b = data
    np.save(folder / "twice.npy", np.vstack([A, A]))
    np.save(folder / "b2.npy", np.concatenate([b, -b]))
    done = call("solve", folder / "twice.npy", folder / "b2.npy", "-o", folder / "proof.npz", code=3)
    assert "infeasible: no signal" in done.output
    with np.load(folder / "proof.npz") as stored:
        np.testing.assert_allclose(np.vstack([A, A]).T @ stored["farkas"], 0, atol=1e-12)
    call("solve", folder / "A.npy", folder / "b.npy", "--max-time", 1e-9, code=4)
    assert "there is no file" in call("solve", folder / "none.npy", folder / "b.npy", code=1).output
    assert "known endings" in call("solve", folder / "A.npy", folder / "b.npy", "-o", folder / "x.txt", code=2).output
    call("solve", folder / "A.npy", folder / "b.npy", "--sigma", -1, code=2)


def test_no_jax_is_loaded(data):
    folder, _, _ = data
    code = (
        "import sys; from polarbias.cli import main;"
        f"main(['solve', {str(folder / 'A.npy')!r}, {str(folder / 'b.npy')!r}], standalone_mode=False);"
        "print('jax' in sys.modules)"
    )
    done = process("-c", code)
    assert done.stdout.strip().endswith("False"), done.stderr
