"""Indices into batch axes."""

import numpy as np
import pytest

from polarbias.errors import InvalidInput
from polarbias.runtime.batch_axes import selector


@pytest.mark.parametrize(
    "index", [0, -1, (1, 2), slice(1, None), (slice(None), 0), ..., np.array([True, False])], ids=repr
)
def test_an_index_applies_to_batch_axes_only(index):
    array = np.arange(2 * 4 * 7).reshape(2, 4, 7)
    numbers = np.arange(8).reshape(2, 4)[index]
    np.testing.assert_array_equal(selector((2, 4), index)(array), array.reshape(8, 7)[numbers])
    np.testing.assert_array_equal(selector((2, 4), index)(array[..., 0]), array[..., 0].reshape(8)[numbers])


def test_wrong_indices():
    with pytest.raises(InvalidInput, match="single item"):
        selector((), 0)
    for index in (2, (0, 4), (0, 0, 0)):
        with pytest.raises(IndexError):
            selector((2, 4), index)
