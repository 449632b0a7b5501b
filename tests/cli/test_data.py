"""Matrices and vectors from files: formats, names, and files that are refused."""

import zipfile

import numpy as np
import pytest
from scipy import io, sparse

from polarbias.cli import data
from polarbias.cli.data import load_matrix, load_vector
from polarbias.errors import InvalidInput

A = np.array([[1.0, 0.0, 2.5], [0.0, -1.0, 3.0]])
B = np.array([1.0, 2.0])
CSR, COLUMN = sparse.csr_array(A), B[:, None]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


FORMATS = {
    "npy": (lambda: (np.save("A.npy", A), np.save("b:b.npy", B)), "A.npy", "b:b.npy"),
    "csv": (lambda: [np.savetxt(*one, delimiter=",") for one in (("A.csv", A), ("b.csv", B[None]))], "A.csv", "b.csv"),
    "npz": (lambda: np.savez("both.npz", A=A, b=B, other=np.ones(3)), "both.npz", "both.npz"),
    "names in npz": (lambda: np.savez("both.npz", first=A, second=COLUMN), "both.npz:first", "both.npz:second"),
    "mat": (lambda: io.savemat("both.mat", {"A": A, "b": B}), "both.mat", "both.mat:b"),
    "sparse mat": (lambda: io.savemat("both.mat", {"P": CSR, "q": B}), "both.mat:P", "both.mat:q"),
    "mtx": (lambda: (io.mmwrite("A.mtx", A), io.mmwrite("b.mtx", COLUMN)), "A.mtx", "b.mtx"),
    "sparse": (
        lambda: (io.mmwrite("A.mtx", CSR), sparse.save_npz("b.npz", sparse.csr_array(COLUMN))),
        "A.mtx",
        "b.npz",
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name):
    write, matrix, rhs = FORMATS[name]
    write()
    found = load_matrix(matrix)
    assert sparse.issparse(found) == ("sparse" in name)
    np.testing.assert_array_equal(found.toarray() if sparse.issparse(found) else found, A)
    np.testing.assert_array_equal(load_vector(rhs, "b"), B)


PAIR = {"P": A, "Q": A}
HEADER = "%%MatrixMarket matrix {} real general\n1000000000 1000000000 "


@pytest.mark.parametrize(
    ("given", "content", "part"),
    [
        ("none.npy", None, "no file 'none.npy'"),
        ("x" * 5000, None, "no file 'xxx"),
        ("text.txt", "1", "text.txt has none of the known endings .npy, .npz, .mat, .csv, .mtx"),
        ("b.npy", B, "shape 2, not a matrix"),
        ("A.npy:A", A, "holds one array without a name"),
        ("two.npz", PAIR, "holds P, Q; choose one as two.npz:NAME"),
        ("two.npz:R", PAIR, "two.npz holds no 'R'; it holds P, Q"),
        ("two.mat:R", PAIR, "two.mat holds no 'R'; it holds P, Q"),
        ("head.csv", "1,x\n2,3\n", "'x' in line 1, column 2 is not a number"),
        ("ragged.csv", "1,2\n3,4\n5\n", "line 3 has 1 entries, line 1 has 2"),
        ("empty.csv", "\n", "empty.csv is empty"),
        ("nan.csv", "1\nnan\n2\n", "nan.csv holds NaN or infinity"),
        ("complex.npy", 1j * A, "complex128, not real numbers"),
        ("words.npy", np.array([["a", "b"]]), "not real numbers"),
        ("objects.npy", np.array([[None]]), "objects.npy cannot be read as .npy"),
        ("broken.mat", "MATLAB 5.0 no", "broken.mat cannot be read as .mat"),
        ("broken.mtx", "1 2 3", "broken.mtx cannot be read as .mtx"),
        ("huge.mtx", HEADER.format("coordinate") + "1\n1 1 1.0\n", "needs 1,024 GB of memory"),
        ("vast.mtx", HEADER.format("array") + "\n1.0\n", "needs 8,000,000,000 GB of memory"),
        ("notes.npz:notes.txt", b"no array", "notes.npz:notes.txt holds no array"),
        ("two.npz:P", PAIR, "needs 0 GB of memory; this machine has 0"),
    ],
)
def test_files_that_are_refused(given, content, part, folder, monkeypatch):
    path = folder / given.partition(":")[0]
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes.txt", content)
    elif isinstance(content, dict):
        write = io.savemat if path.suffix == ".mat" else lambda path, arrays: np.savez(path, **arrays)
        write(path, content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    if "this machine has 0" in part:
        monkeypatch.setattr(data.os, "sysconf", lambda name: 1)
    with pytest.raises(InvalidInput) as refusal:
        load_matrix(given)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("indices", indices) for indices in ([0, 10**6, 1, 2], [0, -1, 1, 2])),
        *(("indptr", ends) for ends in ([0, 3, 2], [0, 2, 10**6])),
        *(("shape", shape) for shape in ((2, 2), (10**9, 3))),
    ],
)
def test_indices_out_of_range_are_refused(name, value):
    arrays = {"format": b"csr", **{name: getattr(CSR, name) for name in ("data", "indices", "indptr", "shape")}}
    np.savez("csr.npz", **arrays)
    np.testing.assert_array_equal(load_matrix("csr.npz").toarray(), A)
    np.savez("csr.npz", **arrays | {name: value})
    for load in (load_matrix, lambda given: load_vector(given, "b")):
        with pytest.raises(InvalidInput, match=r"csr\.npz|out of range"):
            load("csr.npz")


def test_vectors_have_one_axis_and_weights_alone_may_be_infinite():
    np.save("A.npy", A)
    with pytest.raises(InvalidInput, match="shape 2 x 3, not a vector"):
        load_vector("A.npy", "b")
    np.save("w.npy", [1.0, np.inf])
    assert load_vector("w.npy", "w", infinite=True)[1] == np.inf
    with pytest.raises(InvalidInput, match="NaN or infinity"):
        load_vector("w.npy", "w")


def test_a_file_of_matlab_7_3_is_named(monkeypatch, folder):
    def newer(path):
        raise NotImplementedError("Please use HDF reader for matlab v7.3 files")

    monkeypatch.setattr(io, "loadmat", newer)
    (folder / "A.mat").touch()
    with pytest.raises(InvalidInput, match="in MATLAB, save it with -v7"):
        load_matrix("A.mat")
