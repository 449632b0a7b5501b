"""Shapes of batch workers."""

import pytest

from polarbias.descent.options import OPTIONS


@pytest.mark.parametrize("shape", [OPTIONS.cpu, OPTIONS.gpu])
def test_sizes(shape):
    assert [shape.size_for(size) for size in shape.sizes] == list(shape.sizes)
    assert shape.size_for(1) == shape.sizes[0]
    assert shape.size_for(10**6) == shape.slots == shape.sizes[-1]


def test_four_of_five_slots_of_a_core_hold_a_run():
    for runs in range(1, OPTIONS.cpu.slots + 1):
        assert 0.8 * OPTIONS.cpu.size_for(runs) <= runs <= OPTIONS.cpu.size_for(runs)


def test_turns_are_powers_of_two_that_keep_the_work_of_a_call():
    assert [OPTIONS.cpu.turns(150, 1000, size) for size in (1, 8, 20)] == [8192, 4096, 2048]
    assert OPTIONS.cpu.turns(1, 1, 1) == 16384
    assert OPTIONS.cpu.turns(10**5, 10**6, 20) == 1
    assert OPTIONS.gpu.turns(150, 1000, 512) == 2048
