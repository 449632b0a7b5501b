"""Logarithms of integrals against closed forms."""

import mpmath as mp
import numpy as np
import pytest

from polarbias.linalg.quadrature import log_integral


def test_exponentials_of_all_sizes():
    rates = np.array([3.0, -3.0, 2000.0, -2000.0, 1e-3])
    ends = np.array([2.0, -2.0, 5.0, 700.0, -4.0])
    got = log_integral(lambda owner, t: rates[owner] * t, ends, np.zeros(5))
    with mp.workdps(30):
        exact = [float(mp.log(abs(mp.expm1(mp.mpf(r) * e) / r))) for r, e in zip(rates, ends, strict=True)]
    np.testing.assert_allclose(got, exact, rtol=1e-14, atol=1e-13)


def test_narrow_peaks():
    """A Gaussian peak of width 1e-3 inside a length of 300."""
    got = log_integral(lambda owner, t: -(((t - 123.4) / 1e-3) ** 2) / 2, np.array([300.0]), np.zeros(1))
    assert got[0] == pytest.approx(np.log(np.sqrt(2 * np.pi) * 1e-3), abs=1e-12)


def test_infinite_tails():
    got = log_integral(lambda owner, t: t / 2 - np.exp(t), np.array([-np.inf]), np.zeros(1))
    with mp.workdps(30):
        assert got[0] == pytest.approx(float(mp.log(mp.gammainc(0.5, 0, 1))), abs=1e-13)
    got = log_integral(lambda owner, t: 0.01 * t, np.array([-np.inf]), np.zeros(1))
    assert got[0] == pytest.approx(np.log(100), abs=1e-12)
    assert log_integral(lambda owner, t: 0 * t, np.array([-np.inf, 0.0]), np.zeros(2)).tolist() == [np.inf, -np.inf]


def test_the_number_of_evaluations():
    """Fixed integrands: more panels, wider tails or another tolerance change the count."""
    count = 0

    def peak(owner, t):
        nonlocal count
        count += t.size
        return -(((t - 1.234) / 1e-2) ** 2) / 2

    log_integral(peak, np.array([10.0, -np.inf]), np.array([0.0, 1e-10]))
    assert count == 2754
