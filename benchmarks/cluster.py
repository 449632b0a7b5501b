"""Time of a small reproduction on one and on two workers, and the overhead of a task.

    python benchmarks/cluster.py [--workers 1 2] [--trials 6] [--max-steps 20000] [--tiny 300]

First Figure 4 of the quick profile (150 x 1000) in this process and with ``local:N``, each in its own folder; the
tables must be the same, bit for bit. Times exclude the start of the workers and include the compilation of
their programs. Then many tasks of exact limits of a tiny problem, whose time is scheduling, transport and storing.
"""

import argparse
import io
import os
import platform
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pandas as pd
from rich.console import Console

from polarbias.experiments import FIGURES, QUICK
from polarbias.experiments.engine.cluster import DaskBackend
from polarbias.experiments.engine.progress import LineObserver
from polarbias.experiments.engine.runner import LocalBackend, run_tasks
from polarbias.experiments.engine.spec import LIMIT, RunConfiguration, Task
from polarbias.experiments.engine.store import Store


class Clock(LineObserver):
    """Observer that records the start of the first task and the seconds inside tasks."""

    def __init__(self, tasks):
        super().__init__(Console(file=io.StringIO()), tasks)
        self.began, self.inside = None, 0.0

    def started(self, task):
        super().started(task)
        self.began = self.began or perf_counter()

    def finished(self, task, runs, seconds):
        super().finished(task, runs, seconds)
        self.inside += seconds


def timed(tasks, profile, folder, backend):
    clock = Clock(tasks)

    @contextmanager
    def observe(_):
        yield clock

    called = perf_counter()
    run_tasks(tasks, profile, Store(folder, {"kind": "benchmark"}), observe, backend)
    return perf_counter() - clock.began, clock.inside, clock.began - called


def same(first, second):
    for path in first.glob("*/*.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(path), pd.read_parquet(second / path.relative_to(first)), check_exact=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--max-steps", type=int, default=20_000)
    parser.add_argument("--tiny", type=int, default=300)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    backends = {"this process": LocalBackend()}
    backends |= {f"local:{count}": DaskBackend(f"local:{count}") for count in options.workers}

    profile = replace(QUICK, trials=options.trials, max_steps=options.max_steps)
    tasks = FIGURES[4].tasks(profile)
    tiny = replace(QUICK, name="tiny", m=5, n=10, s=1)
    smallest = [
        Task(0, trial, "wn", "sparse", (RunConfiguration(1.0, 0.1, 0),), step=LIMIT) for trial in range(options.tiny)
    ]
    with tempfile.TemporaryDirectory(prefix="polarbias-cluster-") as name:
        folders = {where: Path(name) / where.replace(":", "") for where in backends}
        for where, backend in backends.items():
            wall, inside, start = timed(tasks, profile, folders[where], backend)
            print(f"{where}: {len(tasks)} tasks in {wall:.1f} s, {inside:.1f} s inside tasks; {start:.1f} s to start")
            same(folders["this process"], folders[where])
        print("tables are the same")
        for where, backend in backends.items():
            wall, inside, _ = timed(smallest, tiny, folders[where] / "tiny", backend)
            print(
                f"{where}: {1e3 * wall / len(smallest):.1f} ms for each of {len(smallest)} tiny tasks,"
                f" {1e3 * inside / len(smallest):.1f} ms of it inside the task"
            )


if __name__ == "__main__":
    main()
