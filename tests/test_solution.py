"""Statuses, trajectories and solutions: indexing, immutability, copies."""

import copy
import dataclasses
import pickle
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

import polarbias as pb
from polarbias.runtime.pytree import PyTree
from polarbias.solution import CollapseStatus


class Halves(NamedTuple):
    r: np.ndarray
    u: np.ndarray


class Both(NamedTuple):
    plus: Halves
    minus: Halves


# Shapes after the batch axes.
LIMIT = {"log_x": (8,), "mirror_dual": (3,), "dual": (3,), "gap": (), "r": (), "log_rho": (), "collapse_status": ()}
SHAPES = {"x": (4,), "loss": (), "residual": (), **LIMIT}


def solution(*shape, n=4, records=6):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, records + 1, shape)
    step = np.where(np.arange(records) < lengths[..., None], np.arange(records), -1)
    padded = np.where(step < 0, np.nan, rng.random(step.shape))
    signals = np.where(step[..., None] < 0, np.nan, rng.random((*step.shape, n)))
    half = Halves(rng.random(shape), rng.random((*shape, n)))
    return pb.Solution(
        theta=Both(half, half),
        steps=lengths,
        status=rng.integers(0, 10, shape),
        stats={"trials": 2 * lengths},
        trajectory=pb.Trajectory(step, padded, 2 * padded, 3 * padded, signals),
        **{name: rng.random((*shape, *more)) for name, more in SHAPES.items()},
    )


@pytest.mark.parametrize(("kind", "count"), [(pb.Status, 10), (CollapseStatus, 6)])
def test_every_status_has_a_number_and_a_message_and_copies_are_the_same_object(kind, count):
    assert [int(status) for status in kind] == list(range(count))
    assert len({status.message for status in kind}) == count
    for status in kind:
        assert kind(int(status)) is pickle.loads(pickle.dumps(status)) is copy.deepcopy(status) is status
        assert ([status] == np.array([int(status)])).all()


def test_safe_is_what_the_message_says():
    assert all(status.safe == status.message.startswith("safe: ") for status in CollapseStatus)
    assert [status.name for status in CollapseStatus if not status.safe] == ["COLLAPSES", "UNDECIDED"]


@pytest.mark.parametrize("index", [0, (1, 2), (slice(None), 0), ..., np.array([True, False])], ids=repr)
def test_an_index_applies_to_leading_axes_only(index):
    whole = solution(2, 3)
    part = whole[index]
    numbers = np.arange(6).reshape(2, 3)[index]

    def expected(leaf):
        return leaf.reshape(6, *leaf.shape[2:])[numbers]

    assert part.batch_shape == numbers.shape
    for name in ("steps", "status", *SHAPES):
        np.testing.assert_array_equal(getattr(part, name), expected(getattr(whole, name)))
    np.testing.assert_array_equal(part.stats["trials"], expected(whole.stats["trials"]))
    assert (type(part.theta), type(part.theta.plus)) == (Both, Halves)
    np.testing.assert_array_equal(part.theta.minus.u, expected(whole.theta.minus.u))


def test_one_run_has_no_padding():
    whole = solution(2, 3)
    for index in np.ndindex(2, 3):
        trajectory = whole[index].trajectory
        length = int(whole.steps[index])
        assert len(trajectory) == length
        assert trajectory.step.tolist() == list(range(length))
        for name in ("loss", "r", "l1", "x"):
            leaf = getattr(trajectory, name)
            np.testing.assert_array_equal(leaf, getattr(whole.trajectory, name)[index][:length])
            assert np.isfinite(leaf).all()
    assert len(whole[0].trajectory) == 6
    assert whole[0][1].trajectory.step.tolist() == whole[0, 1].trajectory.step.tolist()


def test_one_run_is_not_a_batch():
    full = solution(2).trajectory
    light = pb.Trajectory(full.step, full.loss, full.r, full.l1)
    assert light[0].x is None
    for one in (light[0], solution(2)[0]):
        with pytest.raises(pb.InvalidInput, match="single item"):
            one[0]
    with pytest.raises(IndexError):
        solution(2)[2]


def test_optional_parts():
    whole = solution(2)
    bare = pb.Solution(whole.x, whole.theta, whole.loss, whole.residual, whole.steps, whole.status)
    assert (bare[1].trajectory, bare[1].stats) == (None, {})
    for name in LIMIT:
        assert getattr(bare, name) is getattr(bare[1], name) is None
        assert np.shape(getattr(whole[1], name)) == np.shape(getattr(whole, name))[1:]


def test_messages():
    whole = solution(2, 3)
    one = whole[0, 0]
    assert one.message == pb.Status(int(whole.status[0, 0])).message
    assert repr(one).startswith(f"Solution({pb.Status(int(one.status)).name.lower()}, loss=")
    counts = {name: int(count) for count, name in (part.split(" x ") for part in whole.message.split("; "))}
    assert counts == Counter(pb.Status(int(status)).name.lower() for status in whole.status.ravel())
    assert repr(whole) == f"Solution(batch_shape=(2, 3), {whole.message})"
    np.testing.assert_array_equal(whole.converged, whole.status == 0)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda whole: pickle.loads(pickle.dumps(whole))])
def test_copies(again):
    whole = solution(2, 3)
    other = again(whole)
    for name in ("x", *LIMIT):
        np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
    np.testing.assert_array_equal(other.theta.plus.u, whole.theta.plus.u)
    np.testing.assert_array_equal(other.trajectory.loss, whole.trajectory.loss)
    for one, name in ((other, "loss"), (other.trajectory, "step")):
        with pytest.raises(AttributeError):
            setattr(one, name, None)


def test_parameters_are_any_pytree():
    class Weights(PyTree):
        w: np.ndarray

    whole = solution(3)
    other = dataclasses.replace(whole, theta={"a": [Weights(np.ones((3, 9)))]})
    assert other[1].theta["a"][0].w.shape == (9,)
    assert dataclasses.replace(whole, method="flow_limit", farkas=np.ones((3, 2)))[0].method == "flow_limit"
