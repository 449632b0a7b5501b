"""Execution of batch workers on as many threads as cores, with callbacks and Ctrl-C in the calling thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

import jax
import numpy as np

from polarbias.descent.batching import BatchWorker, DescentBatch
from polarbias.descent.checkpoint import Checkpoint
from polarbias.descent.compiled_loop import RUNNING
from polarbias.descent.device import default_device
from polarbias.descent.worker_state import RunState, WorkerState
from polarbias.runtime.interrupts import interrupt_flag

logger = logging.getLogger(__name__)

Progress = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
"""Callback of steps, losses and status of all runs, shape ``(runs,)``; a true return value ends the call."""


class _Report(NamedTuple):
    """Progress of a worker's runs after a call of the compiled loop, see `WorkerState.progress`."""

    rows: list[tuple[int, int, float, int, int]]
    handled: Event


class _ProgressMonitor:
    """Progress of all runs: workers report from their threads, and the calling thread calls the callback."""

    def __init__(self, runs: int, callback: Progress | None, seconds: float) -> None:
        self.stop = Event()
        self.turns = 0
        self._callback, self._seconds = callback, seconds
        self._called = -np.inf
        self._reports: SimpleQueue[_Report | None] = SimpleQueue()  # None: a worker has ended
        self._steps, self._loss = np.zeros(runs, np.int64), np.full(runs, np.nan)
        self._status = np.full(runs, RUNNING)

    @property
    def running(self) -> int:
        """Number of runs not reported as ended."""
        return int((self._status == RUNNING).sum())

    def report(self, worker: WorkerState) -> None:
        """Report a worker's progress; with a callback wait for it, so that it has received the last state."""
        report = _Report(worker.progress(), Event())
        self._reports.put(report)
        while self._callback is not None and not (report.handled.wait(0.1) or self.stop.is_set()):
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
                report = self._reports.get(timeout=0.2)
                if report is not None and self._handle(report):
                    return

    def _handle(self, report: _Report) -> bool:
        """Store a report and call the callback if it is due; return True if that returns a true value."""
        runs, steps, loss, status, trials = map(list, zip(*report.rows, strict=True))
        self._steps[runs], self._loss[runs], self._status[runs] = steps, loss, status
        self.turns = max(self.turns, *trials)
        logger.debug("turn %d: %d runs, largest loss %.3g", self.turns, self.running, np.nanmax(self._loss, initial=0))
        stop: object = False
        due = not self.running or monotonic() - self._called > self._seconds
        if self._callback is not None and due:
            self._called = monotonic()
            stop = self._callback(self._steps.copy(), self._loss.copy(), self._status.copy())
        report.handled.set()
        return bool(stop)


def _restored(worker: BatchWorker, checkpoint: Checkpoint | None, name: str) -> WorkerState | None:
    arrays = None if checkpoint is None else checkpoint.load(name)
    if arrays is None:
        return None
    try:
        return worker.restore(arrays)
    except ValueError as reason:
        logger.warning("checkpoint %s is not used: %s", name, reason)
        return None


def run_workers(
    batch: DescentBatch,
    workers: Sequence[tuple[int, np.ndarray]],
    callback: Progress | None,
    checkpoint: Checkpoint | None,
) -> dict[int, RunState]:
    """Run all workers and return the final state of each run; after an interruption some have status running.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C after the last run has ended, so that no status could report it.
    """
    monitor = _ProgressMonitor(sum(len(own) for _, own in workers), callback, batch.options.seconds_between_callbacks)
    device = default_device()

    def run_worker(index: int) -> dict[int, RunState]:
        name = f"worker{index:04d}"

        def after_call(state: WorkerState) -> None:
            if checkpoint is not None:
                checkpoint.save(name, state.to_arrays, last=state.finished, now=monitor.stop.is_set())
            monitor.report(state)

        with jax.enable_x64(True), jax.default_device(device), jax.default_matmul_precision("highest"):
            worker = BatchWorker(batch, *workers[index])
            end = worker.run(_restored(worker, checkpoint, name), after_call, monitor.stop.is_set)
            logger.debug("worker %d: %d trials in %d turns of its slots", index, end.trials, end.capacity)
            return worker.final_states(end)

    pool = ThreadPoolExecutor(min(batch.threads, len(workers)), thread_name_prefix="worker")
    try:
        with interrupt_flag() as interrupted:
            futures = [pool.submit(run_worker, index) for index in range(len(workers))]
            try:
                monitor.wait(futures, interrupted)
            except KeyboardInterrupt:
                if not monitor.running:
                    raise
                logger.warning("interrupted at turn %d; returning the state so far", monitor.turns)
            finally:
                monitor.stop.set()
            return {run: end for future in futures for run, end in future.result().items()}
    finally:
        monitor.stop.set()
        pool.shutdown(cancel_futures=True)
