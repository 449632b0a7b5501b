"""Tasks as futures of Dask distributed: on processes of this machine, or on the workers of a scheduler."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from uuid import uuid4

from polarbias.descent.device import on
from polarbias.descent.gradient_descent import DescentProgress
from polarbias.errors import ClusterError
from polarbias.experiments.engine.runner import Observer, TaskResult, compute_task, environment
from polarbias.experiments.engine.spec import Profile, Task

try:
    from dask.system import CPU_COUNT
    from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, get_worker
except ModuleNotFoundError as missing:
    raise ClusterError(
        "tasks on several workers need Dask's package distributed; install it with: pip install 'polarbias[dask]'"
    ) from missing

logger = logging.getLogger(__name__)

OUTSTANDING = 2000
"""Tasks that the scheduler holds at a time: enough for hundreds of workers, few enough to forget a million tasks."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
"""What BLAS libraries and, the last one, XLA's CPU client take their number of threads from, when they start."""


class DaskBackend:
    """Tasks on workers; only this process stores what they find.

    Parameters
    ----------
    where
        ``local``, for as many processes as there are cores; ``local:N``; or a scheduler's address ``tcp://HOST:PORT``.
    patience
        Seconds to wait for a scheduler and its first worker, and seconds without news until workers are counted.
    device
        ``cpu``, or ``gpu`` for workers that have one each.
    """

    def __init__(self, where: str, patience: float = 30.0, device: str = "cpu") -> None:
        """Remember the address."""
        self._where, self._patience, self._device = where, patience, device

    def results(self, tasks: Sequence[Task], profile: Profile, observer: Observer) -> Generator[TaskResult]:
        """Compute the tasks, in whatever order their workers finish.

        A task whose worker dies begins anew on another one, as often as the scheduler allows (three times unless it is
        configured otherwise); the others go on meanwhile.

        Raises
        ------
        ClusterError
            No scheduler or no worker answers, the scheduler goes away, or a task's workers died again and again.
        """
        if not tasks:
            return
        with _connected(self._where, self._patience) as client:
            futures = _Tasks(client, self._where, profile, observer, self._device)
            yield from futures.results(tasks, self._patience)


class _Tasks:
    """Tasks on their way through one client."""

    def __init__(self, client: Client, where: str, profile: Profile, observer: Observer, device: str) -> None:
        self._client, self._where, self._profile, self._watcher = client, where, profile, observer
        self._device = device
        self._outstanding: dict[str, tuple[Task, Future[TaskResult]]] = {}
        self._begun: set[str] = set()
        self._alike = {str(environment()["versions"])}
        # Filled by the client's threads and emptied by ours: the observer and the store know one thread only.
        self._news: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._run = f"polarbias-{uuid4().hex}"

    def results(self, tasks: Sequence[Task], patience: float) -> Generator[TaskResult]:
        waiting, given_up = iter(tasks), []
        self._client.subscribe_topic(self._run, lambda event: self._news.put(("begun", event[1])))
        try:
            while True:
                for task in islice(waiting, OUTSTANDING - len(self._outstanding)):
                    self._submit(task)
                if not self._outstanding:
                    break
                event, key = self._next(patience)
                if key not in self._outstanding:
                    continue  # of a begin, Dask tells on another way than of an end, and it may be the longer one
                if event == "begun":
                    self._begin(key)
                    continue
                try:
                    yield self._result(key)
                except KilledWorker as reason:
                    given_up.append((key, reason))
        finally:
            self._abandon()
        if given_up:
            raise _dead(given_up)

    def _submit(self, task: Task) -> None:
        name = f"{self._run}-{task.key}"
        future = self._client.submit(_task, task, self._profile, self._device, self._run, name, key=name, pure=False)
        self._outstanding[task.key] = task, future
        future.add_done_callback(lambda _: self._news.put(("done", task.key)))

    def _next(self, patience: float) -> tuple[str, str]:
        """Wait for news; without any for long, and without workers, say so and wait on."""
        while True:
            try:
                return self._news.get(timeout=patience)
            except Empty:
                if self._client.status == "running" and not self._client.scheduler_info(n_workers=1)["workers"]:
                    logger.warning("the scheduler at %s has no workers; waiting for one", self._where)

    def _begin(self, key: str) -> None:
        if key in self._begun:
            logger.warning("%s begins anew: its worker died", key)
        self._begun.add(key)
        self._watcher.started(self._outstanding[key][0])

    def _result(self, key: str) -> TaskResult:
        if key not in self._begun:
            self._begin(key)
        _, future = self._outstanding.pop(key)
        try:
            result: TaskResult = future.result()
        except KilledWorker:
            raise
        except Exception as reason:
            if self._client.status == "running" and not future.cancelled():
                raise  # the task's own
            raise ClusterError(
                f"the Dask scheduler at {self._where} is gone; finished tasks are stored. Start it again, and the same"
                " command goes on."
            ) from reason
        self._compare(result)
        return result

    def _compare(self, result: TaskResult) -> None:
        """Warn of versions that are not ours, once for each: they may round differently."""
        versions = str(result.made_by["versions"])
        if versions not in self._alike:
            self._alike.add(versions)
            logger.warning(
                "%s computes with other versions than this process, whose results may differ: %s",
                result.made_by["host"],
                versions,
            )

    def _abandon(self) -> None:
        """Cancel what is left; workers notice it while they run."""
        if self._outstanding and self._client.status == "running":
            self._client.cancel([future for _, future in self._outstanding.values()], force=True)


def _dead(given_up: Sequence[tuple[str, KilledWorker]]) -> ClusterError:
    key, reason = given_up[0]
    deaths = reason.allowed_failures + 1
    who = f"{deaths} workers died while they" if deaths > 1 else "1 worker died while it"
    more = f" (and likewise {len(given_up) - 1} other tasks)" if len(given_up) > 1 else ""
    return ClusterError(
        f"{who} computed {key}{more}; the last was {reason.last_worker.address}. Often it is memory that they lack: see"
        " their logs. All other tasks are stored, and the same command tries again."
    )


class _CancellationObserver:
    """Ends a task on its worker when nobody waits for it any more; Dask alone would let it run to its end."""

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker, self._name = worker, name

    def progress(self, task: Task, state: DescentProgress) -> None:
        future = self._worker.state.tasks.get(self._name)
        if future is None or future.state == "cancelled":
            raise ClusterError(f"{task.key} was cancelled.")


def _task(task: Task, profile: Profile, device: str, run: str, name: str) -> TaskResult:
    worker = get_worker()
    worker.log_event(run, task.key)
    with on(device):
        return compute_task(task, profile, _CancellationObserver(worker, name))


@contextmanager
def _connected(where: str, patience: float) -> Iterator[Client]:
    """Connect to a scheduler, or start one with workers and end them with the block."""
    # What the client has to say when its scheduler dies is a page long, and the error that we raise says it.
    with _at_level("distributed.client", logging.CRITICAL), _client(where, patience) as client:
        yield client


@contextmanager
def _client(where: str, patience: float) -> Iterator[Client]:
    if where.startswith("local"):
        with _local_cluster(int(where.partition(":")[2] or CPU_COUNT)) as cluster, Client(cluster) as client:
            client.register_plugin(_Deaf())
            yield client
        return
    try:
        client = Client(where, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as reason:
        raise ClusterError(
            f"no Dask scheduler answers at {where} within {patience:g} s; start one with `dask scheduler`, or use"
            " --dask local."
        ) from reason
    with client:
        try:
            client.wait_for_workers(1, timeout=patience)
        except TimeoutError as reason:
            raise ClusterError(
                f"the Dask scheduler at {where} got no worker within {patience:g} s; start one with"
                f" `dask worker {where}`."
            ) from reason
        yield client


@contextmanager
def _at_level(name: str, level: int) -> Iterator[None]:
    chosen = logging.getLogger(name)
    before = chosen.level
    chosen.setLevel(level)
    try:
        yield
    finally:
        chosen.setLevel(before)


@contextmanager
def _local_cluster(count: int) -> Iterator[LocalCluster]:
    before = dict(os.environ)
    share = max(1, CPU_COUNT // count)
    for name in THREADS:
        given = before.get(name, "")
        # A user's own smaller number holds.
        os.environ[name] = str(min(share, int(given)) if given.isdigit() and int(given) else share)
    try:
        # The environment is kept for as long as workers may have to be replaced.
        with LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a server is started all the same: on any port
            silence_logs=logging.ERROR,  # workers warn of every task that Ctrl-C takes from them
        ) as cluster:
            yield cluster
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


class _Deaf(WorkerPlugin):  # type: ignore[misc]
    """Keeps a worker from hearing Ctrl-C, which a terminal sends to all processes: this one ends the workers."""

    def setup(self, worker: Worker) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
