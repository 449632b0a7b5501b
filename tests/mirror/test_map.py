"""The mirror map in logarithms against its definition in mpmath."""

import mpmath as mp
import numpy as np
import pytest

from polarbias.mirror.map import LOWEST_LOG, MirrorMap, exp, mirror_powers, normalized


def definition(depth, log_w, move):
    """Return log w after a move, and the logarithm of its sum."""
    with mp.workdps(40):
        if depth == 2:
            moved = [mp.mpf(float(a)) + mp.mpf(float(m)) for a, m in zip(log_w, move, strict=True)]
        else:
            q = [mp.exp(mp.mpf(2 - depth) / 2 * a) - (depth - 2) * m for a, m in zip(log_w, move, strict=True)]
            moved = [mp.mpf(2) / (2 - depth) * mp.log(entry) for entry in q]
        return np.array(list(map(float, moved))), float(mp.log(mp.fsum(map(mp.exp, moved))))


@pytest.mark.parametrize("size", [1e-12, 1e-3, 0.3])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_moves(depth, size):
    rng = np.random.default_rng(depth)
    log_w = rng.normal(-2, 1, 6)
    start = MirrorMap(depth, log_w, normalized(log_w)[1])
    move = size * rng.uniform(-1, 1, 6)
    moved, rise = start.moved(move)
    expected, total = definition(depth, log_w, move)
    np.testing.assert_allclose(moved.log_w, expected, rtol=1e-13)
    np.testing.assert_allclose(moved.total, total, rtol=1e-13)
    assert rise == pytest.approx(total - start.total, rel=1e-3 if size < 1e-9 else 1e-9)
    np.testing.assert_allclose(moved.share.sum(), 1, rtol=1e-12)
    assert moved.inside


def test_small_moves_keep_their_digits():
    """The sum of .1 e^nu + .9 e^-nu changes by -.8 nu, and its logarithm too."""
    _, rise = MirrorMap(2, np.log([0.1, 0.9])).moved(np.array([3e-19, -3e-19]))
    assert rise == pytest.approx(-2.4e-19, rel=1e-12, abs=0)


def test_the_domain():
    start = MirrorMap(3, np.array([0.0, -1.0]))  # q = 1 and e^.5
    with np.errstate(all="ignore"):
        assert [start.moved(np.array([move, 0.0]))[0].inside for move in (0.999, 1.0, 1.5)] == [True, False, False]
        clipped = start.moved(np.array([1.5, 0.0]), least=1e-3)[0]
    np.testing.assert_allclose(clipped.log_w, [-2 * np.log(1e-3), -1])


def test_units():
    move = np.array([0.1, 0.2])
    plain, _ = MirrorMap(4, np.array([-3.0, -1.0])).moved(move)
    scaled, _ = MirrorMap(4, np.array([-3.0, -1.0]), log_unit=5.0).moved(move * np.exp(-5.0))
    np.testing.assert_allclose(scaled.log_w, plain.log_w, rtol=1e-13)


def test_exponentials_are_never_denormal():
    values = exp(np.array([LOWEST_LOG - 1, LOWEST_LOG, -np.inf, 0.0, np.nan]))
    np.testing.assert_array_equal(values, [0, np.exp(LOWEST_LOG), 0, 1, np.nan])
    shares, total = normalized(np.array([-1e5, -1e5, -2e5]))
    np.testing.assert_array_equal(shares, [0.5, 0.5, 0])
    assert total == -1e5 + np.log(2)
    assert normalized(np.array([0.0, np.inf]))[1] == np.inf


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_powers_beyond_the_range_of_floats(depth):
    log_v = np.array([[-2000.0, -2001.0], [3000.0, 2999.0]])
    values, log_scale = mirror_powers(depth, log_v)
    expected = log_v if depth == 2 else (2 - depth) * log_v
    with np.errstate(divide="ignore"):
        got = values if depth == 2 else np.log(values)
    np.testing.assert_allclose(got + log_scale[:, None], expected, rtol=1e-12)
