"""Exact residuals against rational arithmetic."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbias.linalg.exact import powers, residual, summed

numbers = st.floats(-1e10, 1e10).filter(lambda v: v == 0 or abs(v) > 1e-10)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), numbers)
def test_residual_is_rounded_once(pairs, w):
    columns, nu = np.array([[a for a, _ in pairs]]), np.array([v for _, v in pairs])
    exact = Fraction(w) - sum(Fraction(a) * Fraction(v) for a, v in pairs)
    found = residual(np.array([[w], [0.0], [0.0]]), columns, [nu])
    assert found[0] == float(exact)


@given(st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=8))
def test_sums_keep_their_value(terms):
    parts = summed([np.array(term) for term in terms])
    for entry in range(2):
        exact = sum(Fraction(term[entry]) for term in terms)
        error = abs(sum(Fraction(float(part[entry])) for part in parts) - exact)
        assert error <= abs(exact) * Fraction(2) ** -150


@pytest.mark.parametrize(("base", "exponent"), [(0.1, -4.0), (3.0, -1.0), (0.7, -0.5), (1.0, -3.0), (1e-20, -4.0)])
def test_powers_have_48_digits(base, exponent):
    with mp.workdps(70):
        exact = mp.mpf(base) ** mp.mpf(exponent)
        found = mp.fsum(mp.mpf(float(part)) for part in powers(np.array([base]), exponent)[:, 0])
        assert abs(found / exact - 1) < mp.mpf(10) ** -47
