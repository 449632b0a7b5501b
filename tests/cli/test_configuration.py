"""Options of a configuration: the problem, network and start that they describe."""

import click
import numpy as np
import pytest
from scipy import sparse

import polarbias as pb
from commands import call
from polarbias.cli import configuration
from polarbias.networks.configuration import ALGORITHMS

WN, POWER = pb.WeightNormalization, pb.HadamardPower


def read(arguments):
    """Return the problem, the configuration and the description that the options give."""
    seen = []

    @click.command()
    @configuration.configuration_options
    def command(**options):
        problem, chosen = configuration.read_configuration(options)
        seen.append((problem, chosen, configuration.describe(options, problem)))

    command.main(arguments.split(), standalone_mode=False)
    return seen[0]


@pytest.mark.parametrize(
    ("arguments", "truth", "network"),
    [
        ("", "gaussian", WN(POWER(2), 0.1)),
        ("--algorithm plain --ratio 7", "gaussian", POWER(2)),
        ("--depth 3 --ratio 0.5", "gaussian", WN(POWER(3), 0.5)),
        ("--law harmonic --scale 0.01 --direction uniform", "gaussian", WN(POWER(2), pb.HarmonicRatio(0.1))),
        ("--law power:2 --truth sparse", "sparse", WN(POWER(2), pb.PowerRatio(0.1, 2))),
        ("--truth signed", "signed", WN(pb.HadamardDifference(2), 0.1)),
        ("--signed", "gaussian", WN(pb.HadamardDifference(2), 0.1)),
    ],
)
def test_random_problems(arguments, truth, network):
    problem, chosen, description = read(f"--m 6 --n 15 --s 2 --seed 3 {arguments}")
    wanted = pb.gaussian_problem(3, 6, 15, truth, s=2)
    np.testing.assert_array_equal(problem.A, wanted.A)
    np.testing.assert_array_equal(problem.b, wanted.b)
    assert repr(chosen.network()) == repr(network)
    length = 15 * (1 + chosen.signed)
    uniform = "uniform" in arguments
    direction = pb.uniform_direction(length) if uniform else pb.folded_gaussian_direction(3, length)
    theta0 = network.init(0.01 if uniform else 1.0, direction)
    np.testing.assert_array_equal(chosen.network().signal(chosen.theta0(15)), network.signal(theta0))
    assert description == f"6 x 15, {truth} truth, seed 3"


def test_algorithms_and_centered_rows():
    assert all(read(f"--signed --algorithm {name}")[1].algorithm == name for name in ALGORITHMS)
    np.testing.assert_allclose(read("--m 6 --n 15 --center-rows")[0].A.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_problems_and_directions_from_files(signed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    A, u = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]), np.arange(1.0, 4 + 3 * signed)
    sparse.save_npz("A.npz", sparse.csr_array(A))
    np.save("b.npy", [1.0, 1.0])
    np.savetxt("u.csv", u)
    problem, chosen, description = read(
        f"--matrix A.npz --rhs b.npy --direction u.csv --scale 2 {'--signed' if signed else ''}"
    )
    np.testing.assert_array_equal(problem.A.toarray(), A)
    assert description == "2 x 3, sparse, A.npz"
    inner = pb.HadamardDifference(2) if signed else POWER(2)
    wanted = inner.signal(inner.init(2.0, u))
    np.testing.assert_allclose(chosen.network().signal(chosen.theta0(3)), wanted, rtol=1e-14)


@pytest.mark.parametrize("command", ["run", "limit", "verify"])
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("--matrix A.npy", ["'--matrix'", "needs --rhs"]),
        ("--rhs b.npy", ["'--rhs'", "needs --matrix"]),
        ("--matrix none.npy --rhs b.npy", ["'--matrix'", "no file 'none.npy'"]),
        ("--matrix A.npy --rhs A.npy", ["'--rhs'", "shape 4 x 9, not a vector"]),
        ("--matrix A.npy --rhs short.npy", ["'--rhs'", "3 entries", "A has 4 rows"]),
        ("--matrix A.npy --rhs b.npy --n 9", ["'--n'", "random problem"]),
        ("--matrix A.npy --rhs b.npy --center-rows", ["'--center-rows'", "random problem"]),
        ("--matrix A.npy --rhs b.npy --direction b.npy", ["'--direction'", "4 entries", "has 9"]),
        ("--matrix A.npy --rhs b.npy --direction minus.npy", ["'--direction'", "positive"]),
        ("--direction nowhere.npy", ["'--direction'", "no file 'nowhere.npy'"]),
        ("--law cubic", ["'--law'", "constant, harmonic or power:K"]),
        ("--truth sparse --n 5", ["'--s'", "10", "5"]),
        ("--algorithm wn-separate", ["'--algorithm'", "--signed"]),
        ("--m 1000000000 --n 1000000000", ["a matrix of --m 1000000000 rows", "GB of memory"]),
    ],
)
def test_wrong_input_is_named_before_any_work(command, arguments, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"A": np.ones((4, 9)), "b": np.ones(4), "short": np.ones(3), "minus": -np.ones(9)}
    for name, array in arrays.items():
        np.save(name, array)
    message = call(command, *arguments.split(), code=2).stderr
    assert all(part in message for part in parts), message
    assert message.count("\n") == 1
    assert {path.stem for path in tmp_path.iterdir()} == arrays.keys()
