"""``polarbias limit``: problems from options and files, what is printed and stored, exit codes."""

import re

import numpy as np
import pytest
from scipy import io, sparse

import polarbias as pb
from commands import call
from polarbias.solution import Status

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

SIZES = ["--m", "6", "--n", "15", "--s", "2"]


def shown(result):
    """Return the printed table as a dictionary."""
    lines = [line.strip() for line in result.stdout.splitlines() if re.match(r" \S", line)]
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in lines if re.search(r" {2,}", line))


def loaded(path):
    """Return the arrays of an .npz file by name."""
    with np.load(path) as content:
        return dict(content)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    A = rng.standard_normal((4, 9)) * (rng.random((4, 9)) < 0.8)
    return A, A @ np.abs(rng.standard_normal(9))


def expected(A, b, network=None, direction=None, scale=1.0):
    network = network or pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    length = A.shape[1] * (1 + network.signed)
    direction = pb.folded_gaussian_direction(0, length) if direction is None else direction
    return pb.flow_limit(pb.LinearProblem(A, b), network, network.init(scale, direction))


# Random problems


@pytest.mark.parametrize(
    ("arguments", "truth", "network", "uniform", "scale"),
    [
        ([], "gaussian", pb.WeightNormalization(pb.HadamardPower(2), 0.1), False, 1.0),
        (["--algorithm", "plain", "--ratio", 7], "gaussian", pb.HadamardPower(2), False, 1.0),
        (["--depth", 3, "--ratio", 0.5], "gaussian", pb.WeightNormalization(pb.HadamardPower(3), 0.5), False, 1.0),
        (["--depth", 1], "gaussian", pb.WeightNormalization(pb.HadamardPower(1), 0.1), False, 1.0),
        (
            ["--law", "harmonic", "--scale", 0.01, "--direction", "uniform"],
            "gaussian", pb.WeightNormalization(pb.HadamardPower(2), pb.HarmonicRatio(0.1)), True, 0.01,
        ),
        (
            ["--law", "power:2", "--truth", "sparse"],
            "sparse", pb.WeightNormalization(pb.HadamardPower(2), pb.PowerRatio(0.1, 2)), False, 1.0,
        ),
        (["--truth", "signed"], "signed", pb.WeightNormalization(pb.HadamardDifference(2), 0.1), False, 1.0),
        (["--signed"], "gaussian", pb.WeightNormalization(pb.HadamardDifference(2), 0.1), False, 1.0),
    ],
)  # fmt: skip
def test_random_problems(arguments, truth, network, uniform, scale, tmp_path):
    problem = pb.gaussian_problem(3, 6, 15, truth, s=2)
    length = 30 if "--signed" in arguments or truth == "signed" else 15
    direction = pb.uniform_direction(length) if uniform else pb.folded_gaussian_direction(3, length)
    wanted = pb.flow_limit(problem, network, network.init(scale, direction))
    out = tmp_path / "x.npz"
    result = call("limit", *SIZES, "--seed", 3, *arguments, "--output", out)
    stored = loaded(out)
    np.testing.assert_array_equal(stored["x"], wanted.x)
    table = shown(result)
    assert table["problem"] == f"6 x 15, {truth} truth, seed 3"
    assert table["status"].startswith("converged: ")
    assert float(table["||X||_1"]) == pytest.approx(np.abs(wanted.x).sum(), rel=1e-11)
    assert float(table["r"]) == pytest.approx(float(wanted.r), rel=1e-11)
    assert float(table["relative residual"]) < 1e-12
    assert float(table["log10 rho"]) == pytest.approx(float(wanted.log_rho) / np.log(10), rel=1e-5)
    assert table["factorizations"] == str(int(wanted.steps))
    assert table["collapse"] == pb.CollapseStatus(int(wanted.collapse_status)).message
    gap = next(value for name, value in table.items() if name.startswith("gap"))
    assert gap == ("not known" if np.isnan(wanted.gap) else f"{float(wanted.gap):.6g}")
    assert re.fullmatch(r"\d+\.\d{3} s", table["time"])


def test_entries_above_a_threshold():
    problem = pb.gaussian_problem(0, 6, 15)
    x = expected(problem.A, problem.b).x
    for threshold in (0, 0.3, 0.9999):
        table = shown(call("limit", *SIZES, "--threshold", threshold))
        count = int((x > threshold * x.max()).sum())
        assert table[f"entries above {threshold:g} max |X|"] == f"{count} of 15"
    assert count == 1


def test_centred_rows(tmp_path):
    call("limit", *SIZES, "--center-rows", "--output", tmp_path / "x.npy")
    problem = pb.gaussian_problem(0, 6, 15, center_rows=True)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected(problem.A, problem.b).x)


# Files


def write(path, A, b, kind):
    """Write both arrays; return what --matrix and --rhs take."""
    if kind == "npy":
        np.save(path / "A.npy", A)
        np.save(path / "b.npy", b)
        return path / "A.npy", path / "b.npy"
    if kind == "csv":
        np.savetxt(path / "A.csv", A, delimiter=",", fmt="%.17g")
        np.savetxt(path / "b.csv", b, fmt="%.17g")
        return path / "A.csv", path / "b.csv"
    if kind == "csv row":
        np.savetxt(path / "A.csv", A, delimiter=",", fmt="%.17g")
        np.savetxt(path / "b.csv", b[None], delimiter=",", fmt="%.17g")
        return path / "A.csv", path / "b.csv"
    if kind == "npz":
        np.savez(path / "both.npz", A=A, b=b, other=np.ones(3))
        return path / "both.npz", path / "both.npz"
    if kind == "npz names":
        np.savez(path / "both.npz", first=A, second=b)
        return f"{path / 'both.npz'}:first", f"{path / 'both.npz'}:second"
    if kind == "mat":
        io.savemat(path / "both.mat", {"A": A, "b": b})
        return path / "both.mat", path / "both.mat"
    if kind == "mat names":
        io.savemat(path / "both.mat", {"P": sparse.csc_array(A), "q": b[:, None]})
        return f"{path / 'both.mat'}:P", f"{path / 'both.mat'}:q"
    if kind == "mtx":
        io.mmwrite(path / "A.mtx", A)
        io.mmwrite(path / "b.mtx", b[:, None])
        return path / "A.mtx", path / "b.mtx"
    io.mmwrite(path / "A.mtx", sparse.coo_array(A))
    sparse.save_npz(path / "b.npz", sparse.csr_array(b[:, None]))
    return path / "A.mtx", path / "b.npz"


@pytest.mark.parametrize(
    "kind", ["npy", "csv", "csv row", "npz", "npz names", "mat", "mat names", "mtx", "sparse mtx and npz"]
)
def test_problems_from_files(kind, data, tmp_path):
    A, b = data
    matrix, rhs = write(tmp_path, A, b, kind)
    result = call("limit", "--matrix", matrix, "--rhs", rhs, "--output", tmp_path / "out.npz")
    np.testing.assert_allclose(loaded(tmp_path / "out.npz")["x"], expected(A, b).x, rtol=1e-9, atol=1e-12)
    assert shown(result)["problem"].startswith(
        "4 x 9, sparse," if kind in ("mat names", "sparse mtx and npz") else "4 x 9"
    )


def test_sparse_matrices_stay_sparse(data, tmp_path, monkeypatch):
    A, b = data
    sparse.save_npz(tmp_path / "A.npz", sparse.csr_array(A))
    np.save(tmp_path / "b.npy", b)
    seen = []
    solve = pb.flow_limit
    monkeypatch.setattr(
        "polarbias.limit.flow_limit.flow_limit", lambda problem, *rest: seen.append(problem) or solve(problem, *rest)
    )
    call("limit", "--matrix", tmp_path / "A.npz", "--rhs", tmp_path / "b.npy")
    assert sparse.issparse(seen[0].A)
    np.testing.assert_array_equal(seen[0].A.toarray(), A)


@pytest.mark.parametrize("signed", [False, True])
def test_direction_from_a_file(signed, data, tmp_path):
    A, b = data
    matrix, rhs = write(tmp_path, A, b, "npy")
    direction = np.arange(1.0, 10 * (1 + signed) - signed)
    np.savetxt(tmp_path / "u.csv", direction)
    flag = ["--signed"] if signed else []
    arguments = ["--matrix", matrix, "--rhs", rhs, "--direction", tmp_path / "u.csv", "--scale", 2, *flag]
    call("limit", *arguments, "--output", tmp_path / "x.npy")
    inner = pb.HadamardDifference(2) if signed else pb.HadamardPower(2)
    wanted = expected(A, b, pb.WeightNormalization(inner, 0.1), direction, scale=2.0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), wanted.x)


def test_file_names_may_hold_colons(data, tmp_path):
    A, b = data
    np.save(tmp_path / "a:b.npy", A)
    np.save(tmp_path / "b.npy", b)
    call("limit", "--matrix", tmp_path / "a:b.npy", "--rhs", tmp_path / "b.npy")


# Output


def test_npz_holds_everything(data, tmp_path):
    A, b = data
    matrix, rhs = write(tmp_path, A, b, "npy")
    result = call("limit", "--matrix", matrix, "--rhs", rhs, "--output", tmp_path / "out.npz")
    assert result.stdout.endswith(f"stored in {tmp_path / 'out.npz'}\n")
    stored, wanted = loaded(tmp_path / "out.npz"), expected(A, b)
    assert set(stored) == {
        "x", "log_x", "dual", "mirror_dual", "gap", "r", "log_rho", "residual", "loss", "status",
        "collapse_status", "steps",
    }  # fmt: skip
    for name in stored:
        np.testing.assert_array_equal(stored[name], getattr(wanted, name), err_msg=name)
    assert (stored["dual"] @ A <= 1 + 1e-12).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.npy", "b.npy", "out.npz"]


def test_csv_has_named_columns(data, tmp_path):
    A, b = data
    matrix, rhs = write(tmp_path, A, b, "npy")
    arguments = ["--matrix", matrix, "--rhs", rhs, "--output", tmp_path / "out.csv"]
    call("limit", *arguments)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "x,log_x"
    wanted = expected(A, b)
    np.testing.assert_array_equal(
        np.array([line.split(",") for line in lines[1:]], float), np.column_stack([wanted.x, wanted.log_x])
    )
    call("limit", *arguments, "--signed")
    assert (tmp_path / "out.csv").read_text().startswith("x,log_x_plus,log_x_minus\n")


@pytest.mark.parametrize(("ending", "flag"), [("npz", []), ("npy", []), ("csv", []), ("npz", ["--signed"])])
def test_infeasible_problems_store_a_proof(ending, flag, tmp_path):
    A = np.array([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]) if flag else np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    b = np.array([1.0, -1.0])
    matrix, rhs = write(tmp_path, A, b, "npy")
    out = tmp_path / f"proof.{ending}"
    result = call("limit", "--matrix", matrix, "--rhs", rhs, *flag, "--output", out, code=1)
    assert result.stderr.startswith("polarbias: ")
    assert result.stderr.count("\n") == 1
    y = loaded(out)["farkas"] if ending == "npz" else np.load(out) if ending == "npy" else np.loadtxt(out, skiprows=1)
    assert y @ b > 0
    assert (y @ A <= 1e-9).all()
    if flag:
        np.testing.assert_allclose(y @ A, 0, atol=1e-9)


def test_collapse_ends_with_1(tmp_path):
    np.save(tmp_path / "A.npy", [[1.0, -1.0]])
    np.save(tmp_path / "b.npy", [1.0])
    np.save(tmp_path / "u.npy", np.sqrt([0.1, 0.9]))
    arguments = ["--matrix", tmp_path / "A.npy", "--rhs", tmp_path / "b.npy", "--direction", tmp_path / "u.npy"]
    result = call("limit", *arguments, "--ratio", 1, "--scale", 0.5, "--output", tmp_path / "x.npy", code=1)
    assert "collapsed" in result.stdout
    assert "collapse: the integrated flow reaches r = 0" in result.stdout
    assert "none for X = 0" in result.stdout
    assert result.stderr == f"polarbias: {Status.COLLAPSED.message}.\n"
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [0, 0])
    assert call("limit", *arguments, "--ratio", 1, "--scale", 1).stderr == ""


@pytest.mark.parametrize("status", [Status.UNDECIDED, Status.INACCURATE])
def test_what_is_not_certain_ends_with_1(status, monkeypatch):
    from dataclasses import replace

    solve = pb.flow_limit
    monkeypatch.setattr(
        "polarbias.limit.flow_limit.flow_limit", lambda *given: replace(solve(*given), status=np.array(int(status)))
    )
    result = call("limit", *SIZES, code=1)
    assert result.stderr == f"polarbias: {status.message}.\n"
    assert f"{status.name.lower()}: " in result.stdout


# Wrong input


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--matrix", "A.npy"], ["'--matrix'", "needs --rhs"]),
        (["--rhs", "b.npy"], ["'--rhs'", "needs --matrix"]),
        (["--matrix", "none.npy", "--rhs", "b.npy"], ["'--matrix'", "no file 'none.npy'"]),
        (["--matrix", "text.txt", "--rhs", "b.npy"], ["'--matrix'", "text.txt", ".npy, .npz, .mat, .csv, .mtx"]),
        (["--matrix", "b.npy", "--rhs", "b.npy"], ["'--matrix'", "shape 4, not a matrix"]),
        (["--matrix", "A.npy", "--rhs", "A.npy"], ["'--rhs'", "shape 4 x 9, not a vector"]),
        (["--matrix", "A.npy", "--rhs", "short.npy"], ["'--rhs'", "3 entries", "A has 4 rows"]),
        (["--matrix", "two.npz", "--rhs", "b.npy"], ["'--matrix'", "holds P, Q; choose one as two.npz:NAME"]),
        (["--matrix", "two.npz:R", "--rhs", "b.npy"], ["'--matrix'", "two.npz holds no 'R'; it holds P, Q"]),
        (["--matrix", "two.mat:R", "--rhs", "b.npy"], ["'--matrix'", "two.mat holds no 'R'; it holds P, Q"]),
        (["--matrix", "A.npy:A", "--rhs", "b.npy"], ["'--matrix'", "holds one array without a name"]),
        (["--matrix", "head.csv", "--rhs", "b.npy"], ["'--matrix'", "'x' in line 1, column 2 is not a number"]),
        (["--matrix", "ragged.csv", "--rhs", "b.npy"], ["'--matrix'", "line 3 has 1 entries, line 1 has 2"]),
        (["--matrix", "empty.csv", "--rhs", "b.npy"], ["'--matrix'", "empty.csv is empty"]),
        (["--matrix", "A.npy", "--rhs", "nan.csv"], ["'--rhs'", "nan.csv holds NaN or infinity"]),
        (["--matrix", "complex.npy", "--rhs", "b.npy"], ["'--matrix'", "complex128, not real numbers"]),
        (["--matrix", "A.npy", "--rhs", "words.npy"], ["'--rhs'", "not real numbers"]),
        (["--matrix", "objects.npy", "--rhs", "b.npy"], ["'--matrix'", "objects.npy cannot be read as .npy"]),
        (["--matrix", "broken.mat", "--rhs", "b.npy"], ["'--matrix'", "broken.mat cannot be read as .mat"]),
        (["--matrix", "broken.mtx", "--rhs", "b.npy"], ["'--matrix'", "broken.mtx cannot be read as .mtx"]),
        (["--matrix", "A.npy", "--rhs", "b.npy", "--n", 9], ["'--n'", "random problem"]),
        (["--matrix", "A.npy", "--rhs", "b.npy", "--truth", "gaussian"], ["'--truth'", "random problem"]),
        (["--matrix", "A.npy", "--rhs", "b.npy", "--direction", "b.npy"], ["'--direction'", "4 entries", "has 9"]),
        (["--matrix", "A.npy", "--rhs", "b.npy", "--direction", "minus.npy"], ["'--direction'", "positive"]),
        (["--direction", "nowhere.npy"], ["'--direction'", "no file 'nowhere.npy'"]),
        (["--law", "cubic"], ["'--law'", "constant, harmonic or power:K"]),
        (["--truth", "sparse", "--n", 5], ["'--s'", "10", "5"]),
        (["--ratio", 0], ["'--ratio'", "a finite number above 0"]),
        (["--threshold", -1], ["'--threshold'", "a finite number of at least 0"]),
        (["--algorithm", "deep"], ["'--algorithm'", "'plain', 'wn'"]),
        (["--output", "x.txt"], ["'--output'", ".npz, .npy, .csv"]),
        (["--output", "nowhere/x.npz"], ["'--output'", "no folder 'nowhere'"]),
    ],
)
def test_wrong_input_ends_with_2(arguments, parts, data, tmp_path, monkeypatch):
    A, b = data
    monkeypatch.chdir(tmp_path)
    np.save("A.npy", A)
    np.save("b.npy", b)
    np.save("short.npy", b[:3])
    np.save("minus.npy", -np.ones(9))
    np.save("complex.npy", 1j * A)
    np.save("words.npy", np.array(["a", "b", "c", "d"]))
    np.save("objects.npy", np.array([[None]]), allow_pickle=True)
    np.savez("two.npz", P=A, Q=A)
    io.savemat("two.mat", {"P": A, "Q": A})
    for name, text in [
        ("text.txt", "1"), ("head.csv", "1,x\n2,3\n"), ("ragged.csv", "1,2\n3,4\n5\n"), ("empty.csv", "\n"),
        ("nan.csv", "1\nnan\n2\n3\n"), ("broken.mat", "MATLAB 5.0 no"), ("broken.mtx", "1 2 3"),
    ]:  # fmt: skip
        (tmp_path / name).write_text(text)
    there = sorted(tmp_path.iterdir())
    message = " ".join(call("limit", *arguments, code=2).stderr.split())
    assert all(part in message for part in parts), message
    assert sorted(tmp_path.iterdir()) == there


def test_a_file_of_matlab_7_3_is_named(data, tmp_path, monkeypatch):
    def newer(path):
        raise NotImplementedError("Please use HDF reader for matlab v7.3 files")

    monkeypatch.setattr(io, "loadmat", newer)
    (tmp_path / "A.mat").write_text("")
    message = " ".join(call("limit", "--matrix", tmp_path / "A.mat", "--rhs", "b.npy", code=2).stderr.split())
    assert "in MATLAB, save it with -v7" in message
