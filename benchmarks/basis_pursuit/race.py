"""Times basis pursuit solvers on all families and prints one table; `make race` sets up what it needs.

    python benchmarks/basis_pursuit/race.py [--sizes 150x1000 ...] [--operators 2000x16000 ...] [--limit 60]
        [--threads 1 0] [--out race.jsonl] [--plot race.png]

Solvers and data sets are files of `solvers/` and `families.py` in benchopt's form. A process of its own builds each
problem for each solver and calls it up to three times. A call that takes longer than the limit ends it, and so does one
that takes longer than 2 s and 30 times polarbias, whose turn is first. What is reported are the shortest and the first
time and the error: the larger of | ||x||_1 - optimum | / optimum and ||A x - b|| / ||b||. The optimum is certified to
1e-9. Of a solver with settings the fastest that reaches an accuracy counts; a setting that was too slow once is not
tried again on other seeds and larger sizes of a family, and a solver that misses 1e-6 once not on the other seeds.
Three seeds, medians; threads 0 leaves BLAS its default. With --out, records that the file holds are not computed again.
"""

import argparse
import importlib.util
import itertools
import json
import os
import signal
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
IDENTITY = ("family", "m", "n", "seed", "solver", "setting", "threads")
REPEATS = 3
ENOUGH = 2.0
"""Seconds after which a call is not repeated."""
HOPELESS = 2.0, 30.0
"""Seconds and multiple of our own time after which a peer's call is ended."""


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
    """Run a solver's settings on one problem in this process and print what came out of each."""
    sys.path.insert(0, str(HERE))
    from families import FAMILIES, optimum

    A, b, nonnegative = FAMILIES[job["family"]](np.random.default_rng(job["seed"]), job["m"], job["n"])
    if job["solver"] is None:
        print(json.dumps({"optimum": optimum(A, b, nonnegative)}))
        return
    kind = solver_class(job["solver"])
    for setting in job["settings"]:
        solver = kind()
        for name, value in setting.items():
            setattr(solver, name, value)
        skipped, reason = kind.skip(solver, A, b, nonnegative) if "skip" in vars(kind) else (False, "")
        if skipped:
            print(json.dumps({"skipped": reason}), flush=True)
            continue
        solver.set_objective(A, b, nonnegative)
        times = []
        while len(times) < REPEATS and sum(times) < ENOUGH:
            signal.setitimer(signal.ITIMER_REAL, job["limit"])  # ends the process, inside compiled code as well
            began = perf_counter()
            solver.run(1)
            times.append(perf_counter() - began)
            signal.setitimer(signal.ITIMER_REAL, 0)
        x = np.asarray(solver.get_result()["x"], float).ravel()
        error = max(
            abs(np.abs(x).sum() - job["optimum"]) / job["optimum"],
            np.linalg.norm(A @ x - b) / np.linalg.norm(b),
            max(0.0, -x.min()) * x.size / job["optimum"] if nonnegative else 0.0,
        )
        print(json.dumps({"first": times[0], "seconds": min(times), "error": float(error)}), flush=True)


def run(job, threads):
    """Return what each of a job's settings gave."""
    environment, results = dict(os.environ), []
    if threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    while len(results) < len(job["settings"]):
        left = {**job, "settings": job["settings"][len(results) :]}
        command = [sys.executable, __file__, "--one", json.dumps(left)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        results += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode:
            slow = done.returncode == -signal.SIGALRM
            last = (done.stderr.strip().splitlines() or ["no output"])[-1][:80]
            results.append({"failed": f"over {job['limit']:g} s" if slow else last})
    return results


def race(problems, solvers, limit, threads, known):
    """Yield what every run gave; ``known`` records are not run again."""
    slow, out = set(), set()
    for family, (m, n), seed in problems:
        problem = {"family": family, "m": m, "n": n, "seed": seed}
        optimum, ours = None, limit
        for name, count in itertools.product(solvers, threads):
            base, cell = {**problem, "solver": name, "threads": count}, (family, m, n, name)
            records = []
            for setting in settings(solver_class(name)):
                record = {name: {**base, "setting": setting}[name] for name in IDENTITY}
                found = known.get(json.dumps(record))
                if found is None and cell in out:
                    found = {"failed": f"misses {ACCURACIES[0]:g} before"}
                if found is None and (family, name, json.dumps(setting)) in slow:
                    found = {"failed": "over the limit before"}
                records.append({**record, **(found or {})})
            wanted = [r for r in records if len(r) == len(IDENTITY)]
            if wanted:
                if optimum is None:
                    (answer,) = run({**problem, "solver": None, "settings": [None], "limit": 10 * limit}, threads[0])
                    optimum = answer.get("optimum") or np.nan
                within = limit if name == OURS else min(limit, max(HOPELESS[0], HOPELESS[1] * ours))
                job = {**base, "settings": [r["setting"] for r in wanted], "optimum": optimum, "limit": within}
                for record, result in zip(wanted, run(job, count), strict=True):
                    record |= result
            for record in records:
                if record.get("failed", "").startswith("over"):
                    slow.add((family, name, json.dumps(record["setting"])))
                if name == OURS:
                    ours = record.get("seconds", limit)
            if not any(r.get("error", np.inf) <= ACCURACIES[0] for r in records):
                out.add(cell)
            yield from records


def medians(records, accuracy):
    """Return, per family, size and solver, the median over seeds of the shortest time that reaches an accuracy."""
    best, seeds = {}, {}
    for r in records:
        cell = r["family"], r["m"], r["n"]
        seeds.setdefault(cell, set()).add(r["seed"])
        if r.get("error", np.inf) <= accuracy:
            times = best.setdefault((*cell, r["solver"]), {})
            times[r["seed"]] = min(times.get(r["seed"], np.inf), r["seconds"])
    return {key: median(times.values()) for key, times in best.items() if set(times) == seeds[key[:3]]}


def shortfall(records, cell, solver, accuracy):
    """Say how a solver failed on a cell: the accuracy that it reached, or what ended it."""
    mine = [r for r in records if (r["family"], r["m"], r["n"]) == cell and r["solver"] == solver]
    if any("skipped" in r for r in mine):
        return "-"
    errors = {}
    for r in mine:
        if "error" in r:
            errors[r["seed"]] = min(errors.get(r["seed"], np.inf), r["error"])
    if errors and max(errors.values()) > accuracy:
        return f"({max(errors.values()):.0e})"
    return "time" if any("over" in r.get("failed", "") for r in mine) else "failed"


def table(records, solvers):
    cells = list(dict.fromkeys((r["family"], r["m"], r["n"]) for r in records))
    for accuracy in ACCURACIES:
        found, ratios = medians(records, accuracy), {}
        print(f"\nmedian seconds to {accuracy:g}; in brackets the accuracy that was reached instead; -: does not apply")
        print("| family | size | " + " | ".join(solvers) + " | ours / fastest peer |")
        print("|---|---|" + "---|" * (len(solvers) + 1))
        for family, m, n in cells:
            times = {name: found[family, m, n, name] for name in solvers if (family, m, n, name) in found}
            peers = [value for name, value in times.items() if name != OURS]
            ratio = times[OURS] / min(peers) if peers and OURS in times else None
            if ratio is not None:
                ratios.setdefault(family, []).append(ratio)
            shown = [
                f"{times[name]:.2g}" if name in times else shortfall(records, (family, m, n), name, accuracy)
                for name in solvers
            ]
            last = "no peer" if not peers else "-" if ratio is None else f"{ratio:.2f}"
            print(f"| {family} | {m} x {n} | " + " | ".join(shown) + f" | {last} |")
        if ratios:
            per_family = {family: geometric_mean(values) for family, values in ratios.items()}
            worst = max(per_family, key=per_family.get)
            print(
                f"time over the fastest peer's: geometric mean {geometric_mean(itertools.run(*ratios.values())):.2f};"
                f" worst family {worst}, {per_family[worst]:.2f}; worst cell {max(max(v) for v in ratios.values()):.2f}"
            )
    ours = [r for r in records if r["solver"] == OURS]
    starts = [r["first"] - r["seconds"] for r in ours if r.get("seconds", 1) < 1]
    if starts:
        right = sum(r.get("error", np.inf) <= ACCURACIES[-1] for r in ours)
        print(
            f"polarbias: {right} of {len(ours)} runs within {ACCURACIES[-1]:g}; of runs below a second the first",
            end=" ",
        )
        print(f"call took at most {1e3 * max(starts):.0f} ms longer than the shortest")


def plot(records, path):
    """Draw times to the first accuracy over N, dense Gaussian families and operators, with fitted exponents."""
    from matplotlib.figure import Figure

    found = medians(records, ACCURACIES[0])
    families = [name for name in ("gaussian .05", "gaussian .2", *OPERATORS) if any(key[0] == name for key in found)]
    figure = Figure(figsize=(4.2 * len(families), 4.8), layout="constrained")
    axes = figure.subplots(1, len(families), squeeze=False)[0]
    solvers = sorted({key[3] for key in found}, key=lambda name: (name != OURS, name))
    for ax, family in zip(axes, families, strict=True):
        for index, name in enumerate(solvers):
            points = sorted((key[2], time) for key, time in found.items() if key[0] == family and key[3] == name)
            if not points:
                continue
            n, times = np.array(points).T
            label = name
            if len(points) > 1:
                label += f", N^{np.polyfit(np.log(n), np.log(times), 1)[0]:.1f}"
            ax.loglog(n, times, "o-", color=f"C{index}", lw=2.5 if name == OURS else 1.2, label=label)
        ax.set(title=family, xlabel="N", ylabel=f"seconds to {ACCURACIES[0]:g}")
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.savefig(path, dpi=150)


def sizes(texts):
    return [tuple(map(int, text.split("x"))) for text in texts]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", nargs="*", default=["150x1000", "500x5000", "2000x20000"])
    parser.add_argument("--operators", nargs="*", default=["2000x16000", "16000x128000", "125000x1000000"])
    parser.add_argument("--families", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--solvers", nargs="+")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 0])
    parser.add_argument("--out", type=Path, help="JSON lines, one per run")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(json.loads(given.one))
        return
    sys.path.insert(0, str(HERE))
    from families import FAMILIES

    solvers = given.solvers or sorted((path.stem for path in (HERE / "solvers").glob("*.py")), key=lambda s: s != OURS)
    families = given.families or list(FAMILIES)
    problems = [
        *itertools.product([f for f in families if f not in OPERATORS], sizes(given.sizes), range(given.seeds)),
        *itertools.product([f for f in families if f in OPERATORS], sizes(given.operators), range(given.seeds)),
    ]
    problems.sort(key=lambda problem: problem[1][0] * problem[1][1])
    known = {}
    if given.out and given.out.exists():
        for line in given.out.read_text().splitlines():
            record = json.loads(line)
            known[json.dumps({name: record.pop(name) for name in IDENTITY})] = record
    records = []
    for record in race(problems, solvers, given.limit, given.threads, known):
        records.append(record)
        identity = {name: record[name] for name in IDENTITY}
        if json.dumps(identity) in known:
            continue
        if given.out:
            with given.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
        told = record.get("failed") or record.get("skipped")
        print(*identity.values(), told or f"{record['seconds']:.4f} s, error {record['error']:.1e}", flush=True)
    table(records, solvers)
    if given.plot:
        plot(records, given.plot)


if __name__ == "__main__":
    main()
