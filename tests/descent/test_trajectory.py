"""What a run leaves behind: thinned trajectories, padding, and how solutions are indexed."""

import numpy as np
import pytest

import polarbias as pb
from polarbias import Status

M, N = 3, 6


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((2, M, N)) / np.sqrt(M)
    return pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, np.abs(rng.standard_normal((2, N)))))


@pytest.fixture(scope="module")
def network():
    return pb.WeightNormalization(pb.HadamardPower(2), [0.1, 0.5, 2.0])


@pytest.fixture(scope="module")
def run(problems, network):
    """Six runs that end at very different steps, one of them at once."""
    directions = np.abs(np.random.default_rng(3).standard_normal((2, 3, N))) + 0.1
    step = pb.ConstantStep([[0.005, 0.05, 0.01], [1e-5, 50.0, 0.02]])
    theta = network.init(0.9, directions)
    return pb.gradient_descent(problems, network, theta, step=step, max_steps=40_000, tol=1e-9, keep_x=True)


@pytest.fixture(scope="module")
def searched(problems, network):
    theta = network.init(0.9, np.ones((2, 3, N)))
    return pb.gradient_descent(problems, network, theta, max_steps=20_000, tol=0.0)


def configurations(solution):
    return [(index, solution[index]) for index in np.ndindex(solution.batch_shape)]


def test_the_cases_that_these_tests_need(run):
    assert {Status.CONVERGED, Status.MAX_STEPS, Status.UNSTABLE} == set(run.status.ravel())
    assert len(np.unique(run.steps)) >= 5
    assert run.steps[1, 1] == 0


def test_records_are_few_and_increase_from_the_start_to_the_end(run, searched):
    for solution in (run, searched):
        assert len(solution.trajectory) <= 1000
        for _, item in configurations(solution):
            steps = item.trajectory.step
            assert steps[0] == 0
            assert steps[-1] == item.steps
            assert (np.diff(steps) > 0).all()
            assert steps.dtype.kind == "i"


def test_records_are_spaced_like_the_logarithm(run):
    """From 100 steps on, gaps grow with the step and stay within a few per cent of it; before, few are missing."""
    steps = run.trajectory[1, 0].step
    assert steps[-1] == 40_000
    assert len(steps) > 500
    late = steps[(steps >= 100) & (steps < 40_000)]
    assert (np.diff(late) <= 0.03 * late[:-1]).all()
    assert (steps <= 50).sum() >= 48


def test_a_chain_that_ends_soon_in_a_long_batch_keeps_its_own_records(run):
    for _, item in configurations(run):
        assert len(item.trajectory) >= min(int(item.steps) + 1, 100)


def test_padding_is_minus_one_and_nan(run):
    record = run.trajectory
    padded = record.step == -1
    assert padded.any()
    assert not padded[..., 0].any()
    assert (np.diff(padded.astype(int), axis=-1) >= 0).all()  # only at the end
    for values in (record.loss, record.r, record.l1, record.x[..., 0]):
        np.testing.assert_array_equal(np.isnan(values), padded)


def test_records_agree_with_their_signals(run, problems):
    for (t, c), item in configurations(run):
        record = item.trajectory
        residual = record.x @ problems.A[t].T - problems.b[t]
        np.testing.assert_allclose(record.loss, (residual**2).sum(-1) / 4, rtol=1e-6, atol=1e-25, err_msg=str((t, c)))
        np.testing.assert_allclose(record.l1, np.abs(record.x).sum(-1), rtol=1e-13)
        np.testing.assert_allclose(record.r, np.sqrt(record.x.sum(-1)), rtol=1e-13)  # depth 2: r^2 = ||X||_1
        np.testing.assert_allclose(record.x[-1], item.x, rtol=1e-13)
        np.testing.assert_allclose(record.loss[-1], item.loss, rtol=1e-6)
        np.testing.assert_allclose(record.r[-1], item.theta.r, rtol=1e-13)


def test_signals_are_kept_on_request_only(searched):
    assert searched.trajectory.x is None
    assert searched[0].trajectory.x is None


def test_the_line_search_takes_few_trials(searched):
    assert (searched.stats["trials"] >= searched.steps).all()
    at_rounding = 101  # a failed search ends a run after as many halvings
    assert (searched.stats["trials"] - at_rounding <= 1.6 * searched.steps).all()
    assert (np.nan_to_num(np.diff(searched.trajectory.loss, axis=-1), nan=-1.0) < 0).all()


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (0, (3,)),
        (-1, (3,)),
        ((1, 2), ()),
        ((slice(None), 1), (2,)),
        ((slice(None), [0, 2]), (2, 2)),
        (slice(0, 1), (1, 3)),
        (np.array([[True, False, True], [False, False, True]]), (3,)),
        (..., (2, 3)),
        ((..., 0), (2,)),
    ],
    ids=str,
)
def test_indexing_selects_chains_in_every_field(run, index, shape):
    part = run[index]
    assert part.batch_shape == shape
    for name in ("loss", "residual", "steps", "status", "converged"):
        np.testing.assert_array_equal(getattr(part, name), getattr(run, name)[index])
    np.testing.assert_array_equal(part.stats["trials"], run.stats["trials"][index])
    np.testing.assert_array_equal(part.theta.r, run.theta.r[index])
    numbers = np.arange(6).reshape(2, 3)[index]
    np.testing.assert_array_equal(part.x, run.x.reshape(6, N)[numbers])
    np.testing.assert_array_equal(part.theta.u, run.theta.u.reshape(6, N)[numbers])
    assert isinstance(part.theta, pb.Polar)
    length = len(part.trajectory)
    for name in ("step", "loss", "r", "l1", "x"):
        whole = getattr(run.trajectory, name)
        flat = whole.reshape((6, *whole.shape[2:]))[numbers]
        kept = flat if shape else flat[:length]
        np.testing.assert_array_equal(getattr(part.trajectory, name), kept)


def test_one_chain_has_no_padding_and_no_batch(run):
    item = run[0][1]
    assert item.batch_shape == ()
    assert len(item.trajectory) == (run.trajectory.step[0, 1] >= 0).sum()
    assert item.x.shape == (N,)
    with pytest.raises(pb.InvalidInput, match="nothing to index"):
        run[0]
    with pytest.raises(pb.InvalidInput, match="nothing to index"):
        item.trajectory[0]


def test_summaries(run):
    assert run.message == "; ".join(
        f"{(run.status == status).sum()} x {Status(status).name.lower()}" for status in np.unique(run.status)
    )
    assert repr(run) == f"Solution(batch_shape=(2, 3), {run.message})"
    item = run[1, 1]
    assert repr(item) == f"Solution(unstable, loss={float(item.loss):.3g}, steps=0)"
    assert item.message == Status.UNSTABLE.message
