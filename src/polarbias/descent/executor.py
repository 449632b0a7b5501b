"""Execution of batch workers on as many threads as cores, with callbacks and Ctrl-C in the calling thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any

import jax
import numpy as np

from polarbias.descent.batching import BatchWorker, DescentBatch
from polarbias.descent.checkpoint import Checkpoint
from polarbias.descent.compiled_loop import RUNNING
from polarbias.descent.device import default_device
from polarbias.runtime.interrupts import interrupt_flag

logger = logging.getLogger(__name__)

Progress = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
"""Callback of steps, losses and status of all runs, shape ``(runs,)``; a true return value ends the call."""


class _ProgressMonitor:
    """Connection of the workers' threads to the calling thread, which calls the callback."""

    def __init__(self, batch: DescentBatch, callback: Progress | None) -> None:
        self.stop = Event()
        self.state = batch.state
        self._callback, self._seconds, self._called = callback, batch.options.seconds_between_callbacks, -np.inf
        self._reports: SimpleQueue[Event | None] = SimpleQueue()  # None: a worker has ended

    def report(self) -> None:
        """Report progress; with a callback wait for it, so that it has received the last state."""
        handled = Event()
        self._reports.put(handled)
        while self._callback is not None and not (handled.wait(0.1) or self.stop.is_set()):
            pass

    def wait(self, futures: Sequence[Future[Any]], interrupted: Callable[[], bool]) -> None:
        """Return when all workers have ended, one has failed, or the callback has returned a true value."""
        for future in futures:
            future.add_done_callback(lambda _: self._reports.put(None))
        while not (all(future.done() for future in futures) and self._reports.empty()):
            if interrupted():
                raise KeyboardInterrupt
            if any(future.done() and future.exception() for future in futures):
                return
            with suppress(Empty):
                handled = self._reports.get(timeout=0.2)
                if handled is not None:
                    if self._call():
                        return
                    handled.set()

    def _call(self) -> bool:
        """Call the callback if it is due, once after the last run; return True if that returns a true value."""
        status, steps, loss = (  # workers write the status last
            values.copy() for values in (self.state.status, self.state.steps, self.state.loss)
        )
        running = int((status == RUNNING).sum())
        logger.debug("turn %d: %d runs, largest loss %.3g", self.state.trials.max(), running, np.nanmax(loss))
        if self._callback is None or monotonic() - self._called < (self._seconds if running else 0):
            return False
        self._called = monotonic() if running else np.inf
        return bool(self._callback(steps, loss, status))


def run_workers(
    batch: DescentBatch,
    workers: Sequence[tuple[int, np.ndarray]],
    callback: Progress | None,
    checkpoint: Checkpoint | None,
) -> None:
    """Run all workers, which write the batch's state; after an interruption some runs have status running.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C after the last run has ended, so that no status could report it.
    """
    monitor = _ProgressMonitor(batch, callback)
    device = default_device()

    def run_worker(index: int) -> None:
        name = f"worker{index:04d}"
        with jax.enable_x64(True), jax.default_device(device), jax.default_matmul_precision("highest"):
            worker = BatchWorker(batch, *workers[index])

            def after_call() -> None:
                if checkpoint is not None:
                    ended, now = not worker.running.size, monitor.stop.is_set()
                    checkpoint.save(name, worker.to_arrays, last=ended, now=now)
                monitor.report()

            stored = None if checkpoint is None else checkpoint.load(name)
            if stored is not None:
                worker.restore(stored)
            worker.run(after_call, monitor.stop.is_set)
        logger.debug("worker %d: %d trials in %d turns of its slots", index, worker.trials, worker.capacity)

    pool = ThreadPoolExecutor(min(batch.threads, len(workers)), thread_name_prefix="worker")
    try:
        with interrupt_flag() as interrupted:
            futures = [pool.submit(run_worker, index) for index in range(len(workers))]
            try:
                monitor.wait(futures, interrupted)
            except KeyboardInterrupt:
                if (batch.state.status != RUNNING).all():
                    raise
                logger.info("interrupted at turn %d; returning the state so far", batch.state.trials.max())
            finally:
                monitor.stop.set()
            for future in futures:
                future.result()
    finally:
        monitor.stop.set()
        pool.shutdown(cancel_futures=True)
