"""Runs workers on as many threads as there are cores, and listens for callbacks and Ctrl-C meanwhile."""

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

from polarbias.descent.batching import BatchWorker, Ended, Job, Snapshot
from polarbias.descent.checkpoint import Checkpoint
from polarbias.descent.compiled_loop import RUNNING
from polarbias.descent.device import default_device
from polarbias.runtime.interrupts import noticing_interrupts

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CALLBACKS = 0.4

Progress = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
"""Called with steps, losses and status of all runs, shape ``(runs,)``; a true value ends the run."""


class _News(NamedTuple):
    """What a worker tells of its runs after a call of the compiled loop; see `Snapshot.told`."""

    rows: list[tuple[int, int, float, int, int]]
    heard: Event


class _Watch:
    """Where workers, each in its thread, tell the caller's thread how far they are, and learn that it is enough."""

    def __init__(self, runs: int, progress: Progress | None) -> None:
        self.enough = Event()
        self.turns = 0
        self._progress = progress
        self._called = -np.inf
        self._news: SimpleQueue[_News | None] = SimpleQueue()  # None: a worker has come to its end
        self._steps, self._loss = np.zeros(runs, np.int64), np.full(runs, np.nan)
        self._status = np.full(runs, RUNNING)

    @property
    def running(self) -> int:
        """Number of runs that have not ended, as far as is known."""
        return int((self._status == RUNNING).sum())

    def tell(self, worker: Snapshot) -> None:
        """Tell the state of a worker; if somebody listens, wait: who ends the run has then seen its last state."""
        news = _News(worker.told(), Event())
        self._news.put(news)
        while self._progress is not None and not (news.heard.wait(0.1) or self.enough.is_set()):
            pass

    def listen(self, futures: Sequence[Future[Any]], interrupted: Callable[[], bool]) -> None:
        """Return when all workers have come to their ends, one has failed, or the caller has seen enough."""
        for future in futures:
            future.add_done_callback(lambda _: self._news.put(None))
        while not (all(future.done() for future in futures) and self._news.empty()):
            if interrupted():
                raise KeyboardInterrupt
            if any(future.done() and future.exception() for future in futures):
                return
            with suppress(Empty):
                news = self._news.get(timeout=0.2)
                if news is not None and self._note(news):
                    return

    def _note(self, news: _News) -> bool:
        """Take over the news and now and then call the callback; return whether that has seen enough."""
        runs, steps, loss, status, trials = map(list, zip(*news.rows, strict=True))
        self._steps[runs], self._loss[runs], self._status[runs] = steps, loss, status
        self.turns = max(self.turns, *trials)
        logger.debug(
            "turn %d: %d runs run, largest loss %.3g", self.turns, self.running, np.nanmax(self._loss, initial=0)
        )
        enough: object = False
        due = not self.running or monotonic() - self._called > SECONDS_BETWEEN_CALLBACKS
        if self._progress is not None and due:
            self._called = monotonic()
            enough = self._progress(self._steps.copy(), self._loss.copy(), self._status.copy())
        news.heard.set()
        return bool(enough)


def run_workers(
    job: Job, workers: Sequence[tuple[int, np.ndarray]], progress: Progress | None, kept: Checkpoint | None
) -> dict[int, Ended]:
    """Run all workers; return how each run ended, or, after an interruption, where it was, with status running.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C when no run is left whose status could tell the caller.
    """
    watch = _Watch(sum(len(own) for _, own in workers), progress)
    device = default_device()

    def one(index: int) -> dict[int, Ended]:
        name = f"worker{index:04d}"

        def after_call(worker: Snapshot) -> None:
            if kept is not None:
                kept.save(name, worker, last=worker.over, now=watch.enough.is_set())
            watch.tell(worker)

        with jax.enable_x64(True), jax.default_device(device), jax.default_matmul_precision("highest"):
            worker = BatchWorker(job, *workers[index])
            end = worker.run(None if kept is None else kept.load(name), after_call, watch.enough.is_set)
            logger.debug("worker %d: runs used %d of %d turns of its slots", index, end.worked, end.offered)
            return worker.ends(end)

    pool = ThreadPoolExecutor(min(job.threads, len(workers)), thread_name_prefix="worker")
    try:
        with noticing_interrupts() as interrupted:
            futures = [pool.submit(one, index) for index in range(len(workers))]
            try:
                watch.listen(futures, interrupted)
            except KeyboardInterrupt:
                if not watch.running:
                    raise
                logger.warning("interrupted at turn %d; returning the state so far", watch.turns)
            finally:
                watch.enough.set()
            return {run: end for future in futures for run, end in future.result().items()}
    finally:
        watch.enough.set()
        pool.shutdown(cancel_futures=True)
