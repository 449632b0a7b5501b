"""Time, memory, compilation and idle slots of a whole reproduction, against the time of its products with A.

    python benchmarks/full_run.py [OPTIONS OF polarbias reproduce, such as --profile paper --output DIR]

The script runs the command and counts trials and slots at each call of the compiled loop, for every shape of A. The
floor is the time of the products with A: one per trial and a second one per accepted step, at the best speed of the
bare products of 34 runs on one problem per core (see `descent_step.py`), measured before and after the run. The same
floor applies to workers of few runs, whose products are slower. Tasks that the folder already holds are not counted.
After Ctrl-C or SIGTERM the report covers the work done so far.
"""

import json
import os
import resource
import signal
import sys
from collections import Counter
from threading import Lock
from time import perf_counter, process_time

import jax
import numpy as np
from descent_step import products_jax

from polarbias.cli import main as command
from polarbias.descent import compiled_loop
from polarbias.descent.options import CORES

RUNS = 34

COMPILED = "/jax/core/compile/backend_compile_duration"
TRACED = "/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/jaxpr_to_mlir_module_duration"


class Counts:
    """Work of the compiled loop per shape of A: trials, accepted steps, and slots times turns."""

    def __init__(self):
        self.lock, self.loop = Lock(), compiled_loop.advance
        self.trials, self.steps, self.slots, self.seconds = Counter(), Counter(), Counter(), Counter()

    def advance(self, inputs, turns, target, state):
        before = np.sum(state.trials), np.sum(state.steps)
        made, after = self.loop(inputs, turns, target, state)
        done = np.sum(after.trials) - before[0], np.sum(after.steps) - before[1]
        shape = inputs.problem.A.shape[-2:]
        with self.lock:
            self.trials[shape] += int(done[0])
            self.steps[shape] += int(done[1])
            self.slots[shape] += int(made) * state.trials.size
        return made, after

    def compiled(self, event, seconds, **_):
        with self.lock:
            self.seconds["compilation" if event == COMPILED else "tracing" if event in TRACED else "other"] += seconds


def product_seconds(shapes):
    """Return seconds per run of A X and A^T R, all cores busy."""
    rng = np.random.default_rng(0)
    found = {}
    for m, n in shapes:
        run = products_jax(rng.standard_normal((CORES, m, n)), rng.random((CORES, RUNS, n)), CORES)
        found[m, n] = min(run(500) for _ in range(9)) / (CORES * RUNS)
    return found


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    counts = Counts()
    compiled_loop.advance = counts.advance
    jax.monitoring.register_event_duration_secs_listener(counts.compiled)
    signal.signal(signal.SIGTERM, interrupt)
    before = product_seconds([(150, 1000)])
    began, busy = perf_counter(), process_time()
    try:
        command(["reproduce", *sys.argv[1:]])
    except SystemExit as end:
        print(f"the command ended with {end.code}")
    wall, cpu = perf_counter() - began, process_time() - busy
    after = product_seconds(counts.trials)
    floors = {
        name: sum(times.get(s, after[s]) * (counts.trials[s] + counts.steps[s]) / 2 for s in counts.trials)
        for name, times in {"before": before, "after": after}.items()
    }
    report = {
        "cores": os.cpu_count(),
        "wall_s": wall,
        "cpu_s": cpu,
        "trials": counts.trials.total(),
        "accepted": counts.steps.total(),
        "slots_at_work": counts.trials.total() / max(counts.slots.total(), 1),
        "floor_s": floors,
        "wall_over_floor": {name: wall / floor for name, floor in floors.items() if floor},
        "cpu_over_floor": {name: cpu / (CORES * floor) for name, floor in floors.items() if floor},
        **{f"{name}_s": seconds for name, seconds in counts.seconds.items()},
        "peak_memory_GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
