"""Option checks: accepted values, refused values, messages."""

import re

import numpy as np
import pytest

from polarbias.errors import InvalidInput
from polarbias.runtime.options import (
    MAX_STEPS,
    choice,
    depth_number,
    flag,
    number,
    optional_callback,
    positive_number,
    step_limit,
    tolerance,
    whole_number,
)

NOT_NUMBERS = [True, np.True_, "1", None, [1.0], np.nan, np.inf, -np.inf, 1j, 10**400]


@pytest.mark.parametrize("check", [number, positive_number, tolerance])
def test_numbers(check):
    for value in (0.5, 2, np.float32(0.5), np.int64(2)):
        result = check("t", value)
        assert type(result) is float
        assert result == value
    for value in NOT_NUMBERS:
        with pytest.raises(InvalidInput, match=r"^t must be a finite number.*, got "):
            check("t", value)


def test_values_at_their_bounds():
    assert tolerance("t", 0) == 0
    assert positive_number("t", 1.0, most=1.0) == 1.0
    assert number("t", 2, least=2, most=3) == 2
    assert [type(whole_number("m", value)) for value in (1, np.int64(1), np.array(1))] == [int] * 3
    assert step_limit("max_steps", MAX_STEPS) == MAX_STEPS
    assert flag("f", np.False_) is False
    assert [optional_callback("c", value) for value in (None, print)] == [None, print]
    assert choice("k", "a", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("check", "values", "message"),
    [
        (lambda value: tolerance("t", value), [-1e-300], "t must be a finite number of at least 0"),
        (lambda value: positive_number("t", value), [0], "t must be a finite number above 0"),
        (lambda value: positive_number("t", value, 1), [2.0], "t must be a finite number above 0 and of at most 1"),
        (lambda value: number("t", value, least=2, most=3), [1], "t must be a finite number from 2 to 3"),
        (lambda value: number("t", value, most=0), [1], "t must be a finite number of at most 0"),
        (lambda value: whole_number("m", value), [*NOT_NUMBERS[:-1], 1.0, 0, -1], "m must be an integer of at least 1"),
        (depth_number, [0, 1001, 2.0], "depth must be an integer from 1 to 1000"),
        (lambda value: step_limit("m", value), [0, MAX_STEPS + 1, 2.7, True], "m must be an integer from 1 to 1e+15"),
        (lambda value: flag("f", value), ["no", 1, None], "f must be True or False"),
        (lambda value: optional_callback("c", value), [5], "c must be a function of one argument or None"),
        (lambda value: choice("k", value, ("a", "b")), ["c", None, 1], "k must be one of 'a', 'b'"),
    ],
)
def test_refused_values(check, values, message):
    for value in values:
        with pytest.raises(InvalidInput, match="^" + re.escape(f"{message}, got {value!r}.")):
            check(value)
