"""Option checks: accepted values, refused values, messages."""

import numpy as np
import pytest

from polarbias.errors import InvalidInput
from polarbias.runtime.options import (
    MAX_STEPS,
    choice,
    flag,
    number,
    optional_callback,
    positive_number,
    step_limit,
    tolerance,
    whole_number,
)

NOT_NUMBERS = [True, np.True_, "1", None, [1.0], np.nan, np.inf, -np.inf, 1j]


@pytest.mark.parametrize("value", [0.5, 2, np.float32(0.5), np.int64(2)])
def test_numbers_become_floats(value):
    for check in (number, positive_number, tolerance):
        result = check("t", value)
        assert type(result) is float
        assert result == value


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
@pytest.mark.parametrize("check", [number, positive_number, tolerance])
def test_everything_else_is_no_number(check, value):
    with pytest.raises(InvalidInput, match=r"^t must be a finite number.*, got "):
        check("t", value)


def test_bounds_of_numbers():
    assert tolerance("t", 0) == 0
    assert positive_number("t", 1.0, most=1.0) == 1.0
    assert number("t", 2, least=2, most=3) == 2
    for refused, message in (
        (lambda: tolerance("t", -1e-300), "t must be a finite number of at least 0, got -1e-300."),
        (lambda: positive_number("t", 0), "t must be a finite number above 0, got 0."),
        (lambda: positive_number("t", 2.0, most=1), "t must be a finite number above 0 and of at most 1, got 2.0."),
        (lambda: number("t", 1, least=2, most=3), "t must be a finite number from 2 to 3, got 1."),
        (lambda: number("t", 1, most=0), "t must be a finite number of at most 0, got 1."),
    ):
        with pytest.raises(InvalidInput) as error:
            refused()
        assert str(error.value) == message


@pytest.mark.parametrize("value", [1, np.int64(1), np.array(1)])
def test_whole_numbers(value):
    assert type(whole_number("m", value)) is int


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 1.0, 0, -1], ids=repr)
def test_no_whole_numbers(value):
    with pytest.raises(InvalidInput, match=r"^m must be an integer of at least 1, got "):
        whole_number("m", value)


def test_step_limits():
    assert step_limit("max_steps", MAX_STEPS) == MAX_STEPS
    for value in (0, MAX_STEPS + 1, 2.7, True):
        with pytest.raises(InvalidInput, match=r"^max_steps must be an integer from 1 to 1e.15, got "):
            step_limit("max_steps", value)


def test_flags_callbacks_and_choices():
    assert flag("f", np.False_) is False
    assert optional_callback("c", None) is None
    assert optional_callback("c", print) is print
    assert choice("k", "a", ("a", "b")) == "a"
    with pytest.raises(InvalidInput, match=r"^f must be True or False, got 'no'"):
        flag("f", "no")
    with pytest.raises(InvalidInput, match=r"^f must be True or False, got 1"):
        flag("f", 1)
    with pytest.raises(InvalidInput, match=r"^c must be a function of one argument or None, got 5"):
        optional_callback("c", 5)
    for value in ("c", None, 1):
        with pytest.raises(InvalidInput, match=r"^k must be one of 'a', 'b', got "):
            choice("k", value, ("a", "b"))
