"""Runs lanes on as many threads as there are cores, and listens for callbacks and Ctrl-C meanwhile."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, current_thread, main_thread
from time import monotonic
from typing import Any, NamedTuple

import jax
import numpy as np

from polarbias.checkpoint import Checkpoint
from polarbias.descent_loop import RUNNING
from polarbias.lanes import CORES, Ended, Job, Lane, Snapshot

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CALLBACKS = 0.4

Progress = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
"""Called with steps, losses and status of all chains, shape ``(chains,)``; a true value ends the run."""


class _News(NamedTuple):
    """What a lane tells of its chains after a call of the compiled loop."""

    chains: list[int]
    steps: list[int]
    loss: list[float]
    status: list[int]
    turns: int
    heard: Event


def _news(lane: Snapshot) -> _News:
    told = {**lane.ended, **lane.held()}
    ends = told.values()
    return _News(
        list(told),
        [end.steps for end in ends],
        [end.loss for end in ends],
        [end.status for end in ends],
        max(end.trials for end in ends),
        Event(),
    )


def run_lanes(
    job: Job, lanes: Sequence[tuple[int, np.ndarray]], progress: Progress | None, kept: Checkpoint | None
) -> dict[int, Ended]:
    """Run all lanes; return how each chain ended, or, after an interruption, where it was, with status running.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C when no chain is left whose status could tell the caller.
    """
    chains = sum(len(own) for _, own in lanes)
    steps, loss, status = np.zeros(chains, np.int64), np.full(chains, np.nan), np.full(chains, RUNNING)
    events: SimpleQueue[_News | None] = SimpleQueue()  # None: a lane has come to its end
    enough = Event()
    device = jax.config.values["jax_default_device"]  # a thread of its own would not inherit it

    def one(index: int) -> dict[int, Ended]:
        name = f"lane{index:04d}"

        def after_call(snapshot: Snapshot) -> None:
            if kept is not None:
                kept.save(name, snapshot, now=snapshot.over or enough.is_set())
            news = _news(snapshot)
            events.put(news)
            # A callback that ends the run has seen its last state.
            while progress is not None and not (news.heard.wait(0.1) or enough.is_set()):
                pass

        with jax.enable_x64(True), jax.default_device(device):
            lane = Lane(job, *lanes[index])
            end = lane.run(None if kept is None else kept.load(name), after_call, enough.is_set)
            return lane.ends(end)

    pool = ThreadPoolExecutor(min(CORES, len(lanes)), thread_name_prefix="lane")
    try:
        with _noticing_interrupts() as interrupted:
            futures = [pool.submit(one, index) for index in range(len(lanes))]
            for future in futures:
                future.add_done_callback(lambda _: events.put(None))
            called, turns = -np.inf, 0
            try:
                while not (all(future.done() for future in futures) and events.empty()):
                    if interrupted():
                        raise KeyboardInterrupt
                    if any(future.done() and future.exception() for future in futures):
                        break
                    try:
                        news = events.get(timeout=0.2)
                    except Empty:
                        continue
                    if news is None:
                        continue
                    steps[news.chains], loss[news.chains], status[news.chains] = news[1:4]
                    turns = max(turns, news.turns)
                    running = int((status == RUNNING).sum())
                    logger.debug("turn %d: %d chains run, largest loss %.3g", turns, running, np.nanmax(loss))
                    over = (status != RUNNING).all()
                    if progress is not None and (over or monotonic() - called > SECONDS_BETWEEN_CALLBACKS):
                        called = monotonic()
                        if progress(steps.copy(), loss.copy(), status.copy()):
                            break
                    news.heard.set()
            except KeyboardInterrupt:
                if (status != RUNNING).all():
                    raise
                logger.warning("interrupted at turn %d; returning the state so far", turns)
            finally:
                enough.set()
            return {chain: end for future in futures for chain, end in future.result().items()}
    finally:
        enough.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed.

    It raises KeyboardInterrupt as always; but Python drops an exception that comes up in a destructor or a callback of
    its garbage collector, and a run of days should end at the first Ctrl-C.
    """
    pressed = False

    def handler(signum: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(signum, frame)

    ours = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
