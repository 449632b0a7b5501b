"""Tasks as futures of Dask: on processes of this machine, or on the workers of a scheduler."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from uuid import uuid4

from polarbias.descent.device import use_device
from polarbias.descent.gradient_descent import DescentProgress
from polarbias.errors import ClusterError
from polarbias.experiments.engine.compute import TaskResult, compute_task, environment
from polarbias.experiments.engine.runner import Observer
from polarbias.experiments.engine.spec import Profile, Task
from polarbias.runtime.extras import require

try:
    from dask.system import CPU_COUNT
    from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, get_worker
except ModuleNotFoundError:
    require("distributed", "dask", "DaskBackend")
    raise

logger = logging.getLogger(__name__)

MAX_SUBMITTED = 2000
"""Tasks submitted at a time: enough for hundreds of workers, and the scheduler's memory does not grow beyond them."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
"""Environment variables for the number of threads of BLAS libraries and, the last one, of XLA's CPU client."""


class DaskBackend:
    """Workers of Dask; only this process stores their results.

    Parameters
    ----------
    address
        ``local`` for one process per core, ``local:N``, or a scheduler's address ``tcp://HOST:PORT``.
    timeout
        Seconds to wait for a scheduler and its first worker, and seconds without events until workers are counted.
    device
        ``cpu``, or ``gpu`` for workers with one GPU each.
    """

    def __init__(self, address: str, timeout: float = 30.0, device: str = "cpu") -> None:
        """Set the address."""
        self._address, self._timeout, self._device = address, timeout, device

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute the tasks, and yield them in the order in which they finish.

        A task whose worker dies starts again on another one, as often as the scheduler allows (by default three times);
        the other tasks continue. `ClusterError` is raised if no scheduler or worker answers, the scheduler is lost, or
        a task's workers died too often.
        """
        if not tasks:
            return
        # Without this filter the client logs a page when its scheduler is lost; ClusterError is enough.
        log = logging.getLogger("distributed.client")
        log.addFilter(_is_critical)
        try:
            with _client(self._address, self._timeout) as client:
                futures = _Futures(client, self._address, profile, observer, self._device)
                yield from futures.results(tasks, self._timeout)
        finally:
            log.removeFilter(_is_critical)


def _is_critical(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL


class _Futures:
    """Submitted tasks of one client."""

    def __init__(self, client: Client, address: str, profile: Profile, observer: Observer, device: str) -> None:
        self._client, self._address, self._profile, self._observer = client, address, profile, observer
        self._device, self._topic = device, f"polarbias-{uuid4().hex}"
        self._submitted: dict[str, tuple[Task, Future[TaskResult]]] = {}
        self._started: set[str] = set()
        self._known_versions = [environment()["versions"]]
        # The client's threads fill the queue and this thread reads it: observer and store are not thread-safe.
        self._events: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def results(self, tasks: Sequence[Task], timeout: float) -> Generator[TaskResult]:
        waiting, failed = iter(tasks), []
        self._client.subscribe_topic(self._topic, lambda event: self._events.put(("started", event[1])))
        try:
            while True:
                for task in islice(waiting, MAX_SUBMITTED - len(self._submitted)):
                    self._submit(task)
                if not self._submitted:
                    break
                event, key = self._next(timeout)
                if key not in self._submitted:
                    continue  # start and completion events use different channels, so a start may arrive late
                if event == "started" or key not in self._started:
                    self._start(key)
                if event == "started":
                    continue
                try:
                    yield self._result(key)
                except KilledWorker as reason:
                    failed.append((key, reason))
        finally:
            if self._submitted and self._client.status == "running":
                self._client.cancel([future for _, future in self._submitted.values()], force=True)
        if failed:
            raise _workers_died(failed)

    def _submit(self, task: Task) -> None:
        name = f"{self._topic}-{task.key}"
        arguments = (task, self._profile, self._device, self._topic, name)
        future = self._client.submit(_compute, *arguments, key=name, pure=False)
        self._submitted[task.key] = task, future
        future.add_done_callback(lambda _: self._events.put(("done", task.key)))

    def _next(self, timeout: float) -> tuple[str, str]:
        """Return the next event; warn every ``timeout`` seconds without workers."""
        while True:
            try:
                return self._events.get(timeout=timeout)
            except Empty:
                if self._client.status == "running" and not self._client.scheduler_info(n_workers=1)["workers"]:
                    logger.warning("the scheduler at %s has no workers; waiting for one", self._address)

    def _start(self, key: str) -> None:
        if key in self._started:
            logger.warning("%s starts again: its worker died", key)
        self._started.add(key)
        self._observer.started(self._submitted[key][0])

    def _result(self, key: str) -> TaskResult:
        _, future = self._submitted.pop(key)
        try:
            result: TaskResult = future.result()
        except KilledWorker:
            raise
        except Exception as reason:
            if self._client.status == "running" and not future.cancelled():
                raise  # an exception of the task itself
            raise ClusterError(
                f"the Dask scheduler at {self._address} is lost; finished tasks are stored. Start it again, then repeat"
                " the command to continue."
            ) from reason
        host, versions = result.made_by["host"], result.made_by["versions"]
        if versions not in self._known_versions:
            self._known_versions.append(versions)
            text = "%s computes with other versions than this process, and its results may differ: %s"
            logger.warning(text, host, versions)
        return result


def _workers_died(failed: Sequence[tuple[str, KilledWorker]]) -> ClusterError:
    key, reason = failed[0]
    deaths = reason.allowed_failures + 1
    workers = f"{deaths} workers died while they" if deaths > 1 else "1 worker died while it"
    more = f" (and likewise {len(failed) - 1} other tasks)" if len(failed) > 1 else ""
    return ClusterError(
        f"{workers} computed {key}{more}; the last was {reason.last_worker.address}. A frequent cause is too little"
        " memory: see the workers' logs. All other tasks are stored, and the same command tries again."
    )


def _compute(task: Task, profile: Profile, device: str, topic: str, name: str) -> TaskResult:
    """Return the result of a task on a worker, which ends a cancelled task; Dask alone would compute it to its end."""
    worker = get_worker()

    def progress(task: Task, state: DescentProgress) -> None:
        future = worker.state.tasks.get(name)
        if future is None or future.state == "cancelled":
            raise ClusterError(f"{task.key} was cancelled.")

    worker.log_event(topic, task.key)
    with use_device(device):
        return compute_task(task, profile, progress)


@contextmanager
def _client(address: str, timeout: float) -> Iterator[Client]:
    """Connect to a scheduler, or start one with workers for the duration of the block."""
    if address.startswith("local"):
        with _local_cluster(int(address.partition(":")[2] or CPU_COUNT)) as cluster, Client(cluster) as client:
            client.register_plugin(_IgnoreSigint())
            yield client
        return
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as reason:
        raise ClusterError(
            f"no Dask scheduler answers at {address} within {timeout:g} s; start one with `dask scheduler`, or use"
            " --dask local."
        ) from reason
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as reason:
            raise ClusterError(
                f"the Dask scheduler at {address} got no worker within {timeout:g} s; start one with"
                f" `dask worker {address}`."
            ) from reason
        yield client


@contextmanager
def _local_cluster(count: int) -> Iterator[LocalCluster]:
    before = dict(os.environ)
    share = max(1, CPU_COUNT // count)
    for name in THREAD_VARIABLES:
        given = before.get(name, "")
        # A smaller number of the user's takes precedence.
        os.environ[name] = str(min(share, int(given)) if given.isdigit() and int(given) else share)
    try:
        # A replacement of a dead worker reads the environment as well.
        with LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # Dask starts a server anyway: on any port
            silence_logs=logging.ERROR,  # workers warn of every cancelled task
        ) as cluster:
            yield cluster
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


class _IgnoreSigint(WorkerPlugin):  # type: ignore[misc]
    """Plugin that makes workers ignore Ctrl-C, which a terminal sends to all processes; this process ends them."""

    def setup(self, worker: Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
