"""Tasks on workers of Dask: the same tables as in this process, also if workers or the scheduler are killed."""

import io
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import psutil
import pytest
from rich.console import Console

from commands import call
from polarbias.errors import ClusterError
from polarbias.experiments import FIGURES, reproduce
from polarbias.experiments.engine.cluster import THREAD_VARIABLES, DaskBackend
from polarbias.experiments.engine.progress import LineObserver
from polarbias.experiments.engine.runner import run_tasks
from polarbias.experiments.engine.store import Store
from reproductions import assert_same_tables, command_script, quiet, share_programs, small, stored

PROFILE = small(trials=2, max_steps=20_000, tol=0.0)
TASKS = FIGURES[4].tasks(PROFILE)
pytestmark = pytest.mark.usefixtures("no_logging_set_up", "no_drawings")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    reproduce(PROFILE, folder, [4], observe=quiet)
    return folder


class Cluster:
    """Scheduler and workers, each a process that a test can kill."""

    def __init__(self, folder):
        self._folder, self.processes = folder, {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def backend(self, *workers, allowed_failures=3, timeout=600):
        """Return a backend with these workers and no others, which start slowly."""
        for name in self.processes.keys() - {"scheduler", *workers}:
            self.kill(name)
        if not self._runs("scheduler") or allowed_failures != 3:
            self.close()
            self._start("scheduler", "scheduler", "--host", self.address, allowed_failures=allowed_failures)
            host, port = self.address.removeprefix("tcp://").split(":")
            while True:
                with suppress(OSError):
                    socket.create_connection((host, int(port))).close()
                    break
                assert self._runs("scheduler"), "the scheduler ended"
                time.sleep(0.05)
        for name in workers:
            if not self._runs(name):
                options = ["--nthreads", "1", "--no-nanny", "--local-directory", self._folder, "--name", name]
                self._start(name, "worker", self.address, *options)
        return DaskBackend(self.address, timeout=timeout)

    def _runs(self, name):
        return name in self.processes and self.processes[name].poll() is None

    def _start(self, name, *arguments, allowed_failures=3):
        code = "from dask.__main__ import main; main()"
        command = [sys.executable, "-c", code, *arguments, "--no-dashboard"]
        allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
        with open(self._folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                list(map(str, command)), stdout=log, stderr=log, env={**os.environ, **allowed}
            )

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    def close(self):
        for name in self.processes:
            self.kill(name)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    with pytest.MonkeyPatch.context() as patch:
        share_programs(patch, tmp_path_factory.mktemp("programs"))
        yield made
    made.close()


class Acting(LineObserver):
    """Observer that runs an action when a number of tasks have started."""

    def __init__(self, count, action):
        super().__init__(Console(file=io.StringIO()), TASKS)
        self.begun, self.ended, self._count, self._action = [], [], count, action

    def started(self, task):
        super().started(task)
        self.begun.append(task.key)
        if len(self.begun) == self._count:
            self._action()

    def finished(self, task, runs, seconds):
        super().finished(task, runs, seconds)
        self.ended.append(task.key)

    @contextmanager
    def observe(self, tasks):
        yield self


def test_no_scheduler_and_no_worker(tmp_path, cluster):
    for backend, message in (
        (DaskBackend("tcp://127.0.0.1:1", timeout=1), "no Dask scheduler answers .* within 1 s; start .* `dask sch"),
        (cluster.backend(allowed_failures=0, timeout=5), "got no worker within 5 s; start one with `dask worker"),
    ):
        with pytest.raises(ClusterError, match=message):
            reproduce(PROFILE, tmp_path / "out", [4], observe=quiet, backend=backend)
    assert not stored(tmp_path / "out")


def test_a_task_whose_workers_die_is_given_up_and_explained(tmp_path, reference, cluster):
    observer = Acting(3, lambda: cluster.kill("first"))
    both = cluster.backend("first", "second", allowed_failures=0)
    with pytest.raises(ClusterError, match=r"^1 worker died while it computed figure4-.*was tcp://.*memory") as error:
        reproduce(PROFILE, tmp_path, [4], observe=observer.observe, backend=both)
    cluster.close()
    # Lost are the tasks on their way to the worker and the results on their way from it.
    lost = len(TASKS) - len(stored(tmp_path))
    likewise = re.search(r"likewise (\d)", str(error.value))
    assert 1 <= lost == 1 + int(likewise[1] if likewise else 0) < len(TASKS)
    assert reproduce(PROFILE, tmp_path, [4], observe=quiet).totals.computed == lost
    assert_same_tables(tmp_path, reference)


def test_a_cancelled_task_ends_on_its_worker(tmp_path, cluster):
    endless = replace(PROFILE, max_steps=10**12)

    def interrupt():
        raise KeyboardInterrupt

    both = cluster.backend("first", "second")
    with pytest.raises(KeyboardInterrupt):
        run_tasks(TASKS[:2], endless, Store(tmp_path / "out", {}), Acting(2, interrupt).observe, both)
    # Each worker has one thread, and this run ends only if both are free again.
    run_tasks(TASKS[:2], PROFILE, Store(tmp_path / "next", {}), quiet, both)


def test_a_killed_worker_costs_nothing_but_time(tmp_path, reference, cluster, caplog, monkeypatch):
    monkeypatch.setattr(
        "polarbias.experiments.engine.cluster.environment", lambda: {"versions": {"polarbias": "0.0.1"}}
    )
    observer = Acting(3, lambda: cluster.kill("first"))
    reproduce(PROFILE, tmp_path, [4], observe=observer.observe, backend=cluster.backend("first", "second"))
    assert_same_tables(tmp_path, reference)
    assert sorted(observer.ended) == sorted(task.key for task in TASKS)
    again = len(observer.begun) - len(TASKS)
    assert again == caplog.text.count("starts again: its worker died") <= 1
    assert caplog.text.count("computes with other versions than this process") == 1


def test_a_scheduler_that_goes_away_ends_the_run_with_what_is_finished(tmp_path, reference, cluster, caplog):
    backend = cluster.backend("second")
    observer = Acting(3, lambda: cluster.kill("scheduler"))
    with pytest.raises(ClusterError, match=rf"^the Dask scheduler at {cluster.address} is lost; finished tasks are st"):
        reproduce(PROFILE, tmp_path, [4], observe=observer.observe, backend=backend)
    done = stored(tmp_path)
    assert done == set(observer.ended)
    assert 0 < len(done) < len(TASKS)
    assert not caplog.records
    assert reproduce(PROFILE, tmp_path, [4], observe=quiet).totals.found == len(done)
    assert_same_tables(tmp_path, reference)


def test_local_workers_compute_the_same_tables_on_their_share_of_the_cores(tmp_path, reference, monkeypatch):
    monkeypatch.setenv("NPROC", "64")  # more than there are
    before = dict(os.environ)
    seen = {}

    def look():
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.ZombieProcess):  # a worker of another test
                if "spawn_main" in " ".join(child.cmdline()):
                    seen[child.pid] = [child.environ()[name] for name in THREAD_VARIABLES]

    observer = Acting(2, look)
    totals = reproduce(PROFILE, tmp_path, [4], observe=observer.observe, backend=DaskBackend("local:2")).totals
    assert (totals.computed, totals.found) == (len(TASKS), 0)
    assert_same_tables(tmp_path, reference)
    assert sorted(observer.begun) == sorted(observer.ended) == sorted(task.key for task in TASKS)
    assert list(seen.values()) == [["1", "1", "1", str(max(1, len(os.sched_getaffinity(0)) // 2))]] * 2
    assert dict(os.environ) == before
    # With nothing to do no cluster is started.
    nowhere = DaskBackend("tcp://127.0.0.1:1")
    assert reproduce(PROFILE, tmp_path, [4], observe=quiet, backend=nowhere).totals.computed == 0


def test_ctrl_c_leaves_finished_tasks_and_no_process(tmp_path, reference):
    # A terminal sends the signal to the whole process group, workers included.
    (tmp_path / "driver.py").write_text(command_script(PROFILE, 2, "os.killpg(0, signal.SIGINT)"))
    out = tmp_path / "out"
    options = ["--figure", "4", "--dask", "local:1", "--output", out]
    command = [sys.executable, tmp_path / "driver.py", "reproduce", *options]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        errors = run.stderr.read()
    assert run.returncode == 130, errors
    assert errors.endswith("polarbias: interrupted; finished tasks are kept, the same command resumes.\n")
    assert "Traceback" not in errors
    assert psutil.wait_procs(processes_of_session(run.pid), timeout=600)[1] == []
    assert 0 < len(stored(out)) < len(TASKS)
    reproduce(PROFILE, out, [4], observe=quiet)
    assert_same_tables(out, reference)


def processes_of_session(session):
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == session:
                found.append(process)
    return found


def test_a_missing_dask_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "polarbias.experiments.engine.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    message = call("reproduce", "--dask", "local:2", "--output", tmp_path / "out", code=1).stderr
    assert message == "polarbias: DaskBackend needs Dask: pip install 'polarbias[dask]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["", "local:0", "local:x", "remote", "tcp://host", "http://host:1", "tcp://:1"])
def test_wrong_clusters_are_refused(value, tmp_path):
    message = call("reproduce", "--dask", value, "--output", tmp_path / "out", code=2).stderr
    allowed = "give local, local:N for N processes, or a scheduler as tcp://HOST:PORT"
    assert f"'{value}' is not allowed; {allowed}" in message
