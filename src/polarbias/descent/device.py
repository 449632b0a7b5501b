"""How many runs a processor likes to be given at a time, and which JAX device ``cpu`` and ``gpu`` are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any

import jax
import numpy as np

from polarbias.errors import InvalidInput

CORES = int(os.environ.get("NPROC", 0)) or len(os.sched_getaffinity(0))
"""Cores of this process.

The variable NPROC also sets the threads of XLA's own pool, without which workers would wait for one another.
"""


@dataclass(frozen=True)
class Processor:
    """The shape of workers, see `polarbias.descent.batching`, on one kind of processor.

    Attributes
    ----------
    kind
        ``cpu`` or ``gpu``; what else JAX runs on is taken for a GPU.
    sizes
        Numbers of slots that a worker can have, ascending: few, because each is compiled for.
    workers
        Workers that the runs of all problems are split into, if there are enough of them.
    at_a_time
        Workers that run at a time, of all calls in this process.
    work
        Floating-point operations between two returns from the compiled loop, about half a second's.
    overhead
        Cost of a turn of a tiny worker in the same unit.
    permits
        What the ``at_a_time`` workers hold.
    """

    kind: str
    sizes: tuple[int, ...]
    workers: int
    at_a_time: int
    work: float
    overhead: float
    permits: BoundedSemaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the permits."""
        object.__setattr__(self, "permits", BoundedSemaphore(self.at_a_time))

    @property
    def slots(self) -> int:
        """Most slots of a worker."""
        return self.sizes[-1]

    def size_for(self, runs: int) -> int:
        """Return the smallest number of slots that holds ``runs``, or the largest that there is."""
        return next((size for size in self.sizes if size >= runs), self.slots)

    def turns(self, m: int, n: int, size: int) -> int:
        """Return the turns of a call of the compiled loop: a power of two, from the sizes alone."""
        return int(2 ** max(0, round(np.log2(self.work / (4 * m * n * size + self.overhead)))))


CPU = Processor(
    kind="cpu",
    # More than 20 slots leave the cache of a core at the paper's size; 4 of 5 slots are at work in each of the sizes.
    sizes=(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20),
    workers=8,
    at_a_time=CORES,  # passes over arrays run on one thread, only products could use more
    work=2e10,
    overhead=1.5e6,
)

GPU = Processor(
    kind="gpu",
    # A turn is some thirty kernels, whose launches cost more than what they do for fewer runs than hundreds.
    sizes=(8, 32, 128, 512),
    workers=1,
    at_a_time=2,  # one worker is looked at by the host while the other runs
    work=5e12,
    overhead=1.5e9,
)
"""Reasoned from launch times and arithmetic, not measured: no GPU was at hand."""


def default_device() -> Any:
    """Return this thread's default JAX device, for threads that it starts: they would not inherit it; None: JAX's."""
    return jax.config.values["jax_default_device"]


def processor(device: Any = None) -> Processor:
    """Return the processor that a JAX device belongs to, by default that of `default_device`."""
    device = device or default_device()
    kind = getattr(device, "platform", device) or jax.default_backend()
    return CPU if kind == "cpu" else GPU


@contextmanager
def on(kind: str) -> Iterator[None]:
    """Let JAX work on the first device of a kind, ``cpu`` or ``gpu``, in this thread and for the block's time.

    Raises
    ------
    InvalidInput
        JAX has no such device.
    """
    try:
        device = jax.devices(kind)[0]
    except RuntimeError as reason:
        raise InvalidInput(
            f"JAX finds no {kind.upper()} here. A GPU needs its driver and JAX's package for it, for example"
            " pip install 'jax[cuda13]'; jax.devices() must show it."
        ) from reason
    with jax.default_device(device):
        yield
