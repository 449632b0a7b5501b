"""Times basis pursuit solvers on all families and prints one table; `make race` sets up what it needs.

    python benchmarks/basis_pursuit/race.py [--sizes 150x1000 500x5000] [--limit 60] [--threads 1 0]

Solvers and data sets are files of `solvers/` and `families.py` in benchopt's form. Every run has a process of its own,
which is ended at the time limit, builds the problem, calls the solver twice and reports both times and the errors: the
larger of | ||x||_1 - optimum | / optimum and ||A x - b|| / ||b||. The optimum is certified to 1e-9. Of a solver with
settings the fastest that reaches an accuracy counts. Three seeds, medians; threads 0 leaves BLAS its default.
"""

import argparse
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter

import numpy as np

HERE = Path(__file__).parent
ACCURACIES = (1e-6, 1e-9)
OURS = "polarbias"
OPERATORS = ("partial DCT",)


def solver_class(name):
    spec = importlib.util.spec_from_file_location(f"solver_{name}", HERE / "solvers" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver


def settings(solver):
    """Return the grid of a solver's parameters."""
    grid = getattr(solver, "parameters", {})
    names = list(grid)
    for values in itertools.product(*(grid[name] for name in names)):
        chosen = {}
        for name, value in zip(names, values, strict=True):
            chosen.update(zip(map(str.strip, name.split(",")), value if "," in name else (value,), strict=True))
        yield chosen


def one(job):
    """Run one solver on one problem in this process and print what came out."""
    sys.path.insert(0, str(HERE))
    from families import FAMILIES

    A, b, nonnegative = FAMILIES[job["family"]](np.random.default_rng(job["seed"]), job["m"], job["n"])
    if job["solver"] is None:
        from families import optimum

        began = perf_counter()
        print(json.dumps({"optimum": optimum(A, b, nonnegative), "seconds": perf_counter() - began}))
        return
    kind = solver_class(job["solver"])
    solver = kind()
    for name, value in job["setting"].items():
        setattr(solver, name, value)
    skipped, reason = kind.skip(solver, A, b, nonnegative) if "skip" in vars(kind) else (False, "")
    if skipped:
        print(json.dumps({"skipped": reason}))
        return
    solver.set_objective(A, b, nonnegative)
    times = []
    for _ in range(job["repeats"]):
        began = perf_counter()
        solver.run(1)
        times.append(perf_counter() - began)
    x = np.asarray(solver.get_result()["x"], float).ravel()
    error = max(
        abs(np.abs(x).sum() - job["optimum"]) / job["optimum"],
        np.linalg.norm(A @ x - b) / np.linalg.norm(b),
        max(0.0, -x.min()) * x.size / job["optimum"] if nonnegative else 0.0,
    )
    print(json.dumps({"first": times[0], "seconds": min(times), "error": float(error)}))


def run(job, limit, threads):
    environment = dict(os.environ)
    if threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {limit:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1][:80]}
    return json.loads(lines[-1])


def race(families, sizes, seeds, solvers, limit, threads):
    """Yield what every run gave."""
    for family, (m, n), seed in itertools.product(families, sizes, seeds):
        problem = {"family": family, "m": m, "n": n, "seed": seed}
        known = run({**problem, "solver": None}, 10 * limit, threads[0])
        if not known.get("optimum"):
            yield {**problem, "solver": OURS, "failed": f"no certified optimum: {known}"}
            continue
        for name in solvers:
            for setting, count in itertools.product(settings(solver_class(name)), threads):
                job = {**problem, "solver": name, "setting": setting, "optimum": known["optimum"], "repeats": 3}
                yield {**job, "threads": count, **run(job, limit, count)}


def times_of(records, accuracy):
    """Return, per family, size, seed and solver, the shortest time of a run that reaches an accuracy."""
    best = {}
    for record in records:
        if record.get("error", np.inf) <= accuracy:
            key = record["family"], f"{record['m']}x{record['n']}", record["seed"], record["solver"]
            best[key] = min(best.get(key, np.inf), record["seconds"])
    return best


def table(records, solvers):
    failed = {(r["family"], f"{r['m']}x{r['n']}", r["solver"]): r["failed"] for r in records if "failed" in r}
    print(
        f"\n{'family':18} {'size':>11} {'accuracy':>8} " + " ".join(f"{name:>10}" for name in solvers) + "   ours/best"
    )
    overall = {accuracy: [] for accuracy in ACCURACIES}
    for accuracy in ACCURACIES:
        best = times_of(records, accuracy)
        groups = dict.fromkeys((r["family"], f"{r['m']}x{r['n']}") for r in records)
        for family, size in groups:
            seeds = sorted({key[2] for key in best if key[:2] == (family, size)})
            cells, medians = [], {}
            for name in solvers:
                found = [best[family, size, seed, name] for seed in seeds if (family, size, seed, name) in best]
                if found and len(found) == len(seeds):
                    medians[name] = median(found)
                    cells.append(f"{1e3 * medians[name]:8.1f}ms")
                else:
                    cells.append(f"{'time' if 'over' in failed.get((family, size, name), '') else '-':>10}")
            peers = [value for name, value in medians.items() if name != OURS]
            ratio = medians[OURS] / min(peers) if peers and OURS in medians else None
            if ratio is not None:
                overall[accuracy].append(ratio)
            print(
                f"{family:18} {size:>11} {accuracy:8.0e} "
                + " ".join(f"{cell:>10}" for cell in cells)
                + ("" if ratio is None else f"   {ratio:9.2f}")
            )
    for accuracy, ratios in overall.items():
        if ratios:
            mean, worst = geometric_mean(ratios), max(ratios)
            print(f"time over the fastest peer's at {accuracy:.0e}: geometric mean {mean:.2f}, worst {worst:.2f}")
    starts = [r["first"] - r["seconds"] for r in records if r["solver"] == OURS and "first" in r]
    if starts:
        print(f"polarbias: first calls take at most {1e3 * max(starts):.0f} ms longer than later ones")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="+", default=["150x1000"])
    parser.add_argument("--families", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--solvers", nargs="+")
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, help="JSON lines, one per run")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(json.loads(given.one))
        return
    sys.path.insert(0, str(HERE))
    from families import FAMILIES

    solvers = given.solvers or sorted((path.stem for path in (HERE / "solvers").glob("*.py")), key=lambda s: s != OURS)
    sizes = [tuple(map(int, size.split("x"))) for size in given.sizes]
    records = []
    for record in race(given.families or FAMILIES, sizes, range(given.seeds), solvers, given.limit, given.threads):
        records.append(record)
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
        told = (
            record.get("failed") or record.get("skipped") or f"{record['seconds']:.4f} s, error {record['error']:.1e}"
        )
        print(
            record["family"],
            record["m"],
            record["n"],
            record["seed"],
            record["solver"],
            record.get("setting"),
            told,
            flush=True,
        )
    table(records, solvers)


if __name__ == "__main__":
    main()
