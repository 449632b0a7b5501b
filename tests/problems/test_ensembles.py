"""Random problems: their formulas, their streams, and the numbers that a seed stands for."""

from functools import partial

import numpy as np
import pytest
from numpy.random import PCG64, Generator, SeedSequence

import polarbias as pb
from polarbias.problems.ensembles import center_rows, gaussian_truth, signed_truth, sparse_truth

MATRIX, TRUTH, SUPPORT, START = range(4)
KEY = {"experiment": 2, "trial": 3}


def stream(purpose, seed=5, experiment=2, trial=3, **options):
    """The documented rule, written anew."""
    return Generator(PCG64(SeedSequence(seed, spawn_key=(purpose, experiment, trial), **options)))


def test_matrices_and_starts():
    np.testing.assert_array_equal(pb.gaussian_matrix(5, 4, 6, **KEY), stream(MATRIX).standard_normal((4, 6)) / 2)
    g = stream(START).standard_normal(30)
    start = pb.folded_gaussian_direction(5, 30, **KEY)
    np.testing.assert_allclose(start, abs(g) / np.linalg.norm(g), rtol=1e-15)
    np.testing.assert_allclose(pb.uniform_direction(30), np.full(30, 30**-0.5), rtol=1e-15)


def test_truths():
    np.testing.assert_array_equal(gaussian_truth(5, 30, **KEY), abs(stream(TRUTH).standard_normal(30)))
    support, values = stream(SUPPORT).choice(30, size=4, replace=False), stream(TRUTH).standard_normal(4)
    signed = signed_truth(5, 30, s=4, **KEY)
    np.testing.assert_allclose(signed[support], 4 * values / abs(values).sum(), rtol=1e-15)
    assert np.count_nonzero(signed) == 4
    np.testing.assert_array_equal(sparse_truth(5, 30, s=4, **KEY), abs(signed))


@pytest.mark.parametrize("truth", ["gaussian", "sparse", "signed"])
@pytest.mark.parametrize("centered", [False, True])
def test_a_problem_is_made_of_its_parts(truth, centered):
    problem = pb.gaussian_problem(5, 4, 30, truth, s=6, center_rows=centered, **KEY)
    A = pb.gaussian_matrix(5, 4, 30, **KEY)
    np.testing.assert_array_equal(problem.A, center_rows(A) if centered else A)
    samplers = {"gaussian": gaussian_truth, "sparse": partial(sparse_truth, s=6), "signed": partial(signed_truth, s=6)}
    expected = samplers[truth](5, 30, **KEY)
    np.testing.assert_array_equal(problem.x_true, expected)
    np.testing.assert_array_equal(problem.b, problem.A @ expected)  # b after centring: x_true stays a solution


def test_center_rows_of_a_batch():
    A = np.random.default_rng(0).standard_normal((2, 3, 50)) + 1e6
    centred = center_rows(A)
    assert abs(centred.sum(axis=-1)).max() < 1e-12
    np.testing.assert_allclose(centred, A - A.mean(axis=-1, keepdims=True), atol=1e-9)


def test_golden_values():
    """Seeds keep their meaning: these numbers may change with a major version only."""
    problem = pb.gaussian_problem(0, 3, 5, "sparse", s=2)
    for found, expected in (
        (problem.A[0, :3], [-0.86872324134508, -0.32871064945036654, -0.8498453881183341]),
        (problem.x_true, [0, 0.9873084260245659, 0, 0, 1.012691573975434]),
        (pb.folded_gaussian_direction(0, 5)[:2], [0.38761404317230835, 0.5627727843790686]),
        (signed_truth(2, 3, s=3, experiment=1), [-1.8055588014168225, -0.42611923562020076, 0.7683219629629767]),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    support = [56, 127, 484, 490, 508, 542, 648, 866, 914, 983]
    assert np.flatnonzero(sparse_truth(1, 1000, s=10)).tolist() == support


def test_a_seed_sequence_is_a_prefix_and_is_not_changed():
    for seed in (np.int64(5), SeedSequence(5)):
        np.testing.assert_array_equal(gaussian_truth(seed, 3), gaussian_truth(5, 3))
    parent = SeedSequence(5, spawn_key=(8, 9))
    A = pb.gaussian_problem(parent, 2, 12, "sparse", trial=1).A
    assert (parent.spawn_key, parent.n_children_spawned) == ((8, 9), 0)
    child = SeedSequence(5, spawn_key=(8, 9, MATRIX, 0, 1))
    np.testing.assert_array_equal(A, Generator(PCG64(child)).standard_normal((2, 12)) / np.sqrt(2))
    expected = abs(stream(TRUTH, [1, 2, 3], 0, 0, pool_size=8).standard_normal(5))
    np.testing.assert_array_equal(gaussian_truth(SeedSequence([1, 2, 3], pool_size=8), 5), expected)


CALLS = {
    "matrix": partial(pb.gaussian_matrix, m=2, n=12),
    "truth": partial(gaussian_truth, n=12),
    "sparse": partial(sparse_truth, n=12),
    "signed": partial(signed_truth, n=12),
    "problem": partial(pb.gaussian_problem, m=2, n=12),
    "start": partial(pb.folded_gaussian_direction, n=12),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        *(("seed", seed, "seed must be an integer of at least 0, got ") for seed in (-1, 1.0, None, True, [1, 2])),
        ("experiment", -1, "experiment must be an integer of at least 0, got -1"),
        ("trial", True, "trial must be an integer of at least 0, got True"),
        ("n", 0, "n must be an integer from 1 to 1e.09, got 0"),
        ("n", 10**400, "n must be an integer from 1 to 1e.09, got"),
        ("n", 2.0, "n must be an integer from 1 to 1e.09, got 2.0"),
    ],
)
def test_invalid_streams_and_sizes(name, option, value, message):
    with pytest.raises(pb.InvalidInput, match=message):
        CALLS[name](**{"seed": 0, option: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pb.uniform_direction(0), "n must be an integer from 1 to 1e.09, got 0"),
        (lambda: pb.uniform_direction(10**400), "n must be an integer from 1 to 1e.09, got"),
        (lambda: pb.gaussian_problem(0, 10**400, 5), "m must be an integer from 1 to 1e.09, got"),
        *((partial(pb.gaussian_problem, 0, 2, 5, s=s), "s must be an integer from 1") for s in (0, 2.5, "a", True)),
        (lambda: pb.gaussian_problem(0, 1.5, 5), "m must be an integer from 1 to 1e.09, got 1.5"),
        (lambda: sparse_truth(0, 5, s=0), "s must be an integer"),
        (lambda: pb.gaussian_problem(0, 2, 5, "signed", s=6), "s must be at most n = 5.* got 6"),
        (lambda: pb.gaussian_problem(0, 2, 5, "Gaussian"), "truth must be one of 'gaussian', 'sparse', 'signed', got "),
        (lambda: pb.gaussian_problem(0, 2, 5, center_rows=1), "center_rows must be True or False"),
        *((partial(center_rows, A), "^A ") for A in ([1.0, 2.0], np.zeros((2, 0)), [[1.0, np.nan]], [[1j, 2.0]])),
    ],
)
def test_invalid_arguments(call, message):
    with pytest.raises(pb.InvalidInput, match=message):
        call()
