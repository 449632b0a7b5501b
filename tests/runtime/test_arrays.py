"""Checks of array data."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from polarbias.errors import InvalidInput, InvalidProblem
from polarbias.runtime.arrays import positive_array, real_array


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], "float64"),
        (True, "float64"),
        (np.ones(2, np.float32), "float32"),
        (np.ones(2, np.float16), "float64"),
        (np.ones(2, np.longdouble), "float64"),
    ],
)
def test_precision(value, dtype):
    array = real_array(value, "x")
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "x must be a dense array of real numbers, got NoneType"),
        (csr_array([[1.0]]), "x must be a dense array of real numbers, got csr_array"),
        (np.ma.masked_invalid([1.0, np.nan]), "x has masked entries"),
        ([[1.0], [1.0, 2.0]], "x must be a rectangular array"),
        (1j, "x must hold real numbers, got dtype complex128"),
        ("a", "x must hold real numbers"),
        ([None], "x must hold real numbers, got dtype object"),
        ([1.0, np.inf], "x holds NaN or infinity"),
    ],
)
def test_refused_values(value, message):
    with pytest.raises(InvalidInput, match=message):
        real_array(value, "x")
    with pytest.raises(InvalidProblem):
        real_array(value, "x", InvalidProblem)


def test_positive_arrays():
    given = np.array([1.0, 2.0], np.float32)
    array = positive_array(given, "x")
    assert array.dtype == np.float64
    assert not array.flags.writeable
    assert given.flags.writeable
    for value, message in (([1.0, -2.0], "positive, got -2"), ([], "a positive number"), ([True], "a positive number")):
        with pytest.raises(InvalidInput, match=f"x must be {message}"):
            positive_array(value, "x")
