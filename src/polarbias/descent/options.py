"""Tuning constants of gradient descent, each with its measurement or reason."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from threading import BoundedSemaphore

import numpy as np

CORES = int(os.environ.get("NPROC", 0)) or (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
"""Cores of this process.

The variable NPROC also sets the threads of XLA's own pool, without which workers would wait for one another.
"""


@dataclass(frozen=True)
class DeviceShape:
    """Sizes and number of batch workers, see `polarbias.descent.batching`, on one kind of device."""

    kind: str  # "cpu" or "gpu"; any accelerator counts as a GPU
    sizes: tuple[int, ...]  # numbers of slots of a worker, ascending: few, because each one costs a compilation
    workers: int  # that the runs of all problems are split into, if there are enough runs
    concurrent: int  # workers that run at the same time, over all calls in this process
    work: float  # floating-point operations of one call of the compiled loop, about half a second's
    overhead: float  # cost of a turn of a tiny worker in the same unit
    permits: BoundedSemaphore = field(init=False, repr=False, compare=False)  # of the concurrent workers

    def __post_init__(self) -> None:
        """Create the semaphore."""
        object.__setattr__(self, "permits", BoundedSemaphore(self.concurrent))

    @property
    def slots(self) -> int:
        """Largest number of slots of a worker."""
        return self.sizes[-1]

    def size_for(self, runs: int) -> int:
        """Return the smallest size of at least ``runs`` slots, or the largest size."""
        return next((size for size in self.sizes if size >= runs), self.slots)

    def turns(self, m: int, n: int, size: int) -> int:
        """Return the number of turns of one call of the compiled loop: a power of two that depends on sizes only."""
        return int(2 ** max(0, round(np.log2(self.work / (4 * m * n * size + self.overhead)))))


@dataclass(frozen=True)
class DescentOptions:
    """Tuning constants of `gradient_descent`."""

    cpu: DeviceShape = DeviceShape(
        kind="cpu",
        # 20 x 1000 entries stay in the cache of a core; workers of 12 to 40 runs took the same time per run. For every
        # number of runs, at least 4 of 5 slots of its size hold one.
        sizes=(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20),
        workers=8,
        concurrent=CORES,  # XLA runs elementwise passes on one thread; only products could use more
        work=2e10,  # 0.5 s at 40 GFLOP/s, the measured speed of the products
        overhead=1.5e6,
    )
    # Reasoned from kernel launch times and arithmetic, not measured: a turn is about thirty kernels, whose launches
    # cost more than their work below some hundred runs.
    gpu: DeviceShape = DeviceShape(
        kind="gpu",
        sizes=(8, 32, 128, 512),
        workers=1,
        concurrent=2,  # the host inspects one worker while another runs
        work=5e12,
        overhead=1.5e9,
    )
    # A smaller worker costs a compilation of about 2 s (150 x 1000), as long as four calls of the loop.
    calls_before_shrinking: int = 4
    # Share of slots that must be running while other runs wait: 94% of the slots worked in a whole reproduction.
    refill_share: float = 0.8
    # Log-spaced records of a run in which each turn is a step; rejected trials add about a hundred.
    records: int = 900
    # Record arrays have a multiple of this length, so that most changes of max_steps need no new compilation.
    records_multiple: int = 256
    # A run collapses if r is at or below this fraction of its start. At A = [1, -1], b = 1, a start 1e-3 beside the
    # boundary of collapse still returns from 0.03, one 1e-4 beside it reaches 6e-6 within a million steps.
    collapse_threshold: float = 1e-10
    # With a line search also at this fraction, if the search fails at the loss of X = 0: X then changes the loss by
    # less than rounding, in the same example at r from 1e-9 to 8e-9, 7e-6 of a start of 1e-3.
    stalled_threshold: float = 1e-3
    # Rounding of a residual's norm, in units of eps sqrt(M) times its largest product: of long runs at the rounding
    # level (3 x 6, 50,000 steps), 0.1 ends some as unstable and 0.3 none.
    rounding_units: float = 4.0
    # First trial step of a line search: the loss would fall by this share at its initial rate.
    initial_decrease: float = 0.1
    # Rejections in a row after which a line search fails: halvings to 1e-30 of the step, below the spacing of floats.
    max_rejections: int = 100
    # About twice a second: often enough for a progress bar.
    seconds_between_callbacks: float = 0.4
    # A killed run loses at most this time of work, and one call of the compiled loop.
    seconds_between_checkpoints: float = 15.0


OPTIONS = DescentOptions()
