"""Random problems: their formulas, their streams, and the numbers that a seed stands for."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import PCG64, Generator, SeedSequence

import polarbias as pb
from polarbias.problems.ensembles import center_rows, gaussian_truth, signed_truth, sparse_truth

MATRIX, TRUTH, SUPPORT, START = range(4)


def stream(purpose, seed, experiment=0, trial=0):
    """The documented rule, written anew."""
    return Generator(PCG64(SeedSequence(seed, spawn_key=(purpose, experiment, trial))))


STREAMS = {
    "matrix": lambda seed, **key: pb.gaussian_matrix(seed, 1, 64, **key)[0],
    "truth": lambda seed, **key: gaussian_truth(seed, 64, **key),
    "support": lambda seed, **key: (sparse_truth(seed, 64, s=32, **key) > 0).astype(float),
    "values": lambda seed, **key: signed_truth(seed, 32, s=32, **key),
    "start": lambda seed, **key: pb.folded_gaussian_direction(seed, 64, **key),
}


class TestFormulas:
    def test_matrix(self):
        G = stream(MATRIX, 5, 2, 3).standard_normal((4, 6))
        np.testing.assert_array_equal(pb.gaussian_matrix(5, 4, 6, experiment=2, trial=3), G / np.sqrt(4))

    def test_truths(self):
        z = stream(TRUTH, 5, 2, 3).standard_normal(30)
        key = {"experiment": 2, "trial": 3}
        np.testing.assert_array_equal(gaussian_truth(5, 30, **key), abs(z))
        support = stream(SUPPORT, 5, 2, 3).choice(30, size=4, replace=False)
        values = stream(TRUTH, 5, 2, 3).standard_normal(4)
        signed = signed_truth(5, 30, s=4, **key)
        np.testing.assert_allclose(signed[support], 4 * values / abs(values).sum(), rtol=1e-15)
        assert np.count_nonzero(signed) == 4
        np.testing.assert_array_equal(sparse_truth(5, 30, s=4, **key), abs(signed))

    def test_starts(self):
        g = stream(START, 5, 2, 3).standard_normal(30)
        start = pb.folded_gaussian_direction(5, 30, experiment=2, trial=3)
        np.testing.assert_allclose(start, abs(g) / np.linalg.norm(g), rtol=1e-15)
        np.testing.assert_allclose(pb.uniform_direction(30), np.full(30, 30**-0.5), rtol=1e-15)

    @given(st.integers(0, 2**64), st.integers(1, 12), st.integers(1, 12), st.sampled_from(["sparse", "signed"]))
    def test_truths_have_the_norm_they_promise(self, seed, m, n, truth):
        s = min(3, n)
        problem = pb.gaussian_problem(seed, m, n, truth, s=s)
        assert np.abs(problem.x_true).sum() == pytest.approx(s, rel=1e-14)
        assert np.count_nonzero(problem.x_true) == s
        assert truth == "signed" or (problem.x_true >= 0).all()

    @pytest.mark.parametrize("truth", ["gaussian", "sparse", "signed"])
    @pytest.mark.parametrize("centered", [False, True])
    def test_problem_is_made_of_its_parts(self, truth, centered):
        problem = pb.gaussian_problem(5, 4, 30, truth, s=6, center_rows=centered, experiment=1, trial=2)
        key = {"experiment": 1, "trial": 2}
        A = pb.gaussian_matrix(5, 4, 30, **key)
        if centered:
            A = center_rows(A)
            assert abs(problem.A.sum(axis=1)).max() < 1e-14
        np.testing.assert_array_equal(problem.A, A)
        expected = {"gaussian": gaussian_truth, "sparse": partial(sparse_truth, s=6)}.get(
            truth, partial(signed_truth, s=6)
        )(5, 30, **key)
        np.testing.assert_array_equal(problem.x_true, expected)
        np.testing.assert_array_equal(problem.b, A @ expected)  # b after centring: x_true stays a solution

    def test_center_rows_of_a_batch(self):
        A = np.random.default_rng(0).standard_normal((2, 3, 50)) + 1e6
        centred = center_rows(A)
        assert abs(centred.sum(axis=-1)).max() < 1e-12
        np.testing.assert_allclose(centred, A - A.mean(axis=-1, keepdims=True), atol=1e-9)

    def test_laws_of_the_entries(self):
        G = pb.gaussian_matrix(0, 150, 1000) * np.sqrt(150)
        assert abs(G.mean()) < 4 / np.sqrt(G.size)
        assert G.var() == pytest.approx(1, abs=4 * np.sqrt(2 / G.size))
        supports = sum((sparse_truth(0, 20, s=5, trial=t) > 0).astype(int) for t in range(400))
        assert abs(supports - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


class TestStreams:
    def test_golden_values(self):
        """Seeds keep their meaning: these numbers may change with a major version only."""
        problem = pb.gaussian_problem(0, 3, 5, "sparse", s=2)
        np.testing.assert_allclose(
            problem.A,
            [
                [-0.86872324134508, -0.32871064945036654, -0.8498453881183341, 0.9704846833319577, 0.0411341999379464],
                [-0.195985585031157, -0.7446383694071151, -0.04125831055532, -0.067556785440334, -0.60942089895968],
                [0.579655897183754, 0.409054029144682, -0.9306861307734148, -0.39973946116717085, -1.1661345005868922],
            ],
            rtol=1e-14,
        )  # fmt: skip
        np.testing.assert_allclose(problem.x_true, [0, 0.9873084260245659, 0, 0, 1.012691573975434], rtol=1e-14)
        np.testing.assert_allclose(
            pb.folded_gaussian_direction(0, 5),
            [0.38761404317230835, 0.5627727843790686, 0.201785686309681, 0.11333430566656148, 0.6924449571319411],
            rtol=1e-14,
        )
        np.testing.assert_allclose(
            pb.gaussian_matrix(123456789, 1, 2, experiment=3, trial=7),
            [[-0.2581516746098921, -1.8267201718085169]],
            rtol=1e-14,
        )
        np.testing.assert_allclose(
            gaussian_truth(1, 3, trial=9), [1.7522225311451114, 0.5217098297774695, 0.4547024068675291], rtol=1e-14
        )
        np.testing.assert_allclose(
            signed_truth(2, 3, s=3, experiment=1),
            [-1.8055588014168225, -0.42611923562020076, 0.7683219629629767],
            rtol=1e-14,
        )
        support = [56, 127, 484, 490, 508, 542, 648, 866, 914, 983]
        assert np.flatnonzero(sparse_truth(1, 1000, s=10)).tolist() == support

    @pytest.mark.parametrize("name", STREAMS)
    def test_reproducible_alone(self, name):
        np.random.seed(0)  # noqa: NPY002 -- the global state must be neither used nor moved
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        first = STREAMS[name](7, experiment=1, trial=4)
        for trial in range(4):
            STREAMS[name](7, experiment=1, trial=trial)
        np.testing.assert_array_equal(STREAMS[name](7, experiment=1, trial=4), first)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    @pytest.mark.parametrize("name", STREAMS)
    def test_seed_experiment_and_trial_all_matter(self, name):
        keys = [(s, e, t) for s in (0, 1) for e in (0, 1, 2) for t in (0, 1, 2)]
        draws = {tuple(STREAMS[name](s, experiment=e, trial=t)) for s, e, t in keys}
        assert len(draws) == len(keys)

    def test_purposes_never_share_numbers(self):
        """Equal seeds: matrix, truth and start are different numbers, and uncorrelated ones."""
        n = 20_000
        draws = np.array(
            [
                abs(pb.gaussian_matrix(3, 1, n)[0]),
                gaussian_truth(3, n),
                abs(signed_truth(3, n, s=n)),
                pb.folded_gaussian_direction(3, n),
            ]
        )
        assert abs(np.corrcoef(draws) - np.eye(4)).max() < 5 / np.sqrt(n)

    def test_trials_are_uncorrelated(self):
        draws = np.array([pb.gaussian_matrix(3, 1, 20_000, trial=trial)[0] for trial in range(4)])
        assert abs(np.corrcoef(draws) - np.eye(4)).max() < 5 / np.sqrt(20_000)

    def test_another_truth_or_size_of_support_leaves_the_matrix(self):
        reference = pb.gaussian_problem(3, 4, 30).A
        for truth, s in (("sparse", 3), ("sparse", 5), ("signed", 3)):
            np.testing.assert_array_equal(pb.gaussian_problem(3, 4, 30, truth, s=s).A, reference)

    def test_equal_integer_and_sequence(self):
        for seed in (5, np.int64(5), SeedSequence(5)):
            np.testing.assert_array_equal(gaussian_truth(seed, 3), gaussian_truth(5, 3))

    def test_sequence_is_a_prefix_and_is_not_changed(self):
        parent = SeedSequence(5, spawn_key=(8, 9))
        first = pb.gaussian_problem(parent, 2, 12, "sparse", trial=1)
        assert (parent.spawn_key, parent.n_children_spawned) == ((8, 9), 0)
        np.testing.assert_array_equal(pb.gaussian_problem(parent, 2, 12, "sparse", trial=1).A, first.A)
        child = SeedSequence(5, spawn_key=(8, 9, MATRIX, 0, 1))
        np.testing.assert_array_equal(first.A, Generator(PCG64(child)).standard_normal((2, 12)) / np.sqrt(2))
        others = [pb.gaussian_matrix(seed, 2, 12, trial=1) for seed in (SeedSequence(5), *SeedSequence(5).spawn(2))]
        assert len({A.tobytes() for A in (first.A, *others)}) == 4

    def test_sequence_keeps_entropy_lists_and_pool_size(self):
        parent = SeedSequence([1, 2, 3], pool_size=8)
        child = SeedSequence([1, 2, 3], spawn_key=(TRUTH, 0, 0), pool_size=8)
        np.testing.assert_array_equal(gaussian_truth(parent, 5), abs(Generator(PCG64(child)).standard_normal(5)))


CALLS = {
    "matrix": partial(pb.gaussian_matrix, m=2, n=12),
    "truth": partial(gaussian_truth, n=12),
    "sparse": partial(sparse_truth, n=12),
    "signed": partial(signed_truth, n=12),
    "problem": partial(pb.gaussian_problem, m=2, n=12),
    "start": partial(pb.folded_gaussian_direction, n=12),
}


class TestBadInput:
    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("seed", [-1, 0.5, 1.0, "1", None, True, [1, 2]])
    def test_seed(self, name, seed):
        with pytest.raises(pb.InvalidInput, match="seed must be an integer of at least 0, got "):
            CALLS[name](seed=seed)

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("option", ["experiment", "trial"])
    @pytest.mark.parametrize("value", [-1, 1.0, None, True])
    def test_key(self, name, option, value):
        with pytest.raises(pb.InvalidInput, match=f"{option} must be an integer of at least 0, got {value}"):
            CALLS[name](seed=0, **{option: value})

    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("n", [0, -3, 2.0, "2"])
    def test_n(self, name, n):
        with pytest.raises(pb.InvalidInput, match=f"n must be an integer of at least 1, got {n!r}"):
            CALLS[name](seed=0, n=n)
        with pytest.raises(pb.InvalidInput, match="n must be"):
            pb.uniform_direction(n)

    @pytest.mark.parametrize("m", [0, 1.5])
    def test_m(self, m):
        with pytest.raises(pb.InvalidInput, match=f"m must be an integer of at least 1, got {m}"):
            pb.gaussian_problem(0, m, 5)

    @pytest.mark.parametrize("truth", ["sparse", "signed"])
    @pytest.mark.parametrize(("s", "message"), [(0, "s must be an integer"), (6, "at most n = 5.* got 6")])
    def test_s(self, truth, s, message):
        with pytest.raises(pb.InvalidInput, match=message):
            pb.gaussian_problem(0, 2, 5, truth, s=s)

    def test_s_does_not_matter_to_a_gaussian_truth(self):
        assert pb.gaussian_problem(0, 2, 5).n == 5

    @pytest.mark.parametrize("truth", ["Gaussian", "", None, 1])
    def test_truth(self, truth):
        with pytest.raises(pb.InvalidInput, match="truth must be one of 'gaussian', 'sparse', 'signed', got "):
            pb.gaussian_problem(0, 2, 5, truth)

    @pytest.mark.parametrize("A", [[1.0, 2.0], np.zeros((2, 0)), [[1.0, np.nan]], [[1j, 2.0]]])
    def test_center_rows(self, A):
        with pytest.raises(pb.InvalidInput, match=r"^A "):
            center_rows(A)
