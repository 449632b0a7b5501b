"""Time of exact limits at the paper's size, against HiGHS in the same run.

    python benchmarks/limit.py [--seed 0] [--repetitions 5]

M = 150, N = 1000, constant ratio, Gaussian and sparse truths, all pairs of r0 in {.1, 1, 3, 10} and eta in
{10, 1, .1, .01}: the median of the repetitions after one warm call, one BLAS thread. HiGHS solves the minimal l1
problem of the same data, linprog(method="highs") with defaults, once per repetition, alternating with the limits.
The grid is 17 r0 from .01 to 100 by 7 eta from 10 to .01, in one batched call.
"""

import argparse
import os
import platform
import sys
from statistics import median
from time import perf_counter

for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
from scipy.optimize import linprog  # noqa: E402

import polarbias as pb  # noqa: E402

M, N = 150, 1000
SCALES, RATIOS = (0.1, 1.0, 3.0, 10.0), (10.0, 1.0, 0.1, 0.01)
GRID = np.logspace(-2, 2, 17), np.array([10, 3, 1, 0.3, 0.1, 0.03, 0.01])


def timed(call, *arguments):
    began = perf_counter()
    result = call(*arguments)
    return perf_counter() - began, result


def highs(problem):
    return linprog(np.ones(N), A_eq=problem.A, b_eq=problem.b, method="highs")


def limits(problem, direction, repetitions):
    """Return seconds of each pair, seconds of HiGHS, and the last solution of each pair."""
    samples, peer, solutions = {}, [], {}
    inputs = {}
    for eta in RATIOS:
        network = pb.WeightNormalization(pb.HadamardPower(2), eta)
        for r0 in SCALES:
            inputs[r0, eta] = problem, network, network.init(r0, direction)
    for repetition in range(repetitions + 1):
        seconds, _ = timed(highs, problem)
        if repetition:
            peer.append(seconds)
        for pair, arguments in inputs.items():
            seconds, solutions[pair] = timed(pb.flow_limit, *arguments)
            if repetition:  # the first call is the warm-up
                samples.setdefault(pair, []).append(seconds)
    return {pair: median(times) for pair, times in samples.items()}, median(peer), solutions


def grid(problem, direction, repetitions):
    scales, ratios = np.meshgrid(*GRID)
    network = pb.WeightNormalization(pb.HadamardPower(2), ratios)
    theta0 = network.init(scales, np.broadcast_to(direction, (*scales.shape, N)))
    runs = [timed(pb.flow_limit, problem, network, theta0) for _ in range(repetitions + 1)]
    return median(seconds for seconds, _ in runs[1:]), runs[-1][1]


def relative(problem, solution):
    return solution.residual / np.linalg.norm(problem.b)


def report(truth, problem, direction, repetitions):
    times, peer, solutions = limits(problem, direction, repetitions)
    print(f"\n{truth} truth; ms (relative residual), Newton steps")
    print("r0 \\ eta" + "".join(f"{eta:>26g}" for eta in RATIOS))
    for r0 in SCALES:
        row = ""
        for eta in RATIOS:
            solution = solutions[r0, eta]
            mark = "" if solution.converged else f" {pb.Status(int(solution.status)).name.lower()}"
            row += (
                f"{1e3 * times[r0, eta]:>9.1f} ({relative(problem, solution):.0e}) {int(solution.steps):>4d}{mark:>6}"
            )
        print(f"{r0:<8g}{row}")
    seconds, batch = grid(problem, direction, repetitions)
    middle, worst = median(times.values()), max(times.values())
    # A limit that is X = 0, because the flow collapses there, has the residual 1.
    pairs_off = max(relative(problem, s) for s in solutions.values() if s.status != pb.Status.COLLAPSED)
    live = batch.status != pb.Status.COLLAPSED
    grid_off = relative(problem, batch)[live].max()
    table = [
        ("median over pairs", 1e3 * middle, "ms", 25.0),
        ("worst pair", 1e3 * worst, "ms", 100.0),
        ("HiGHS, median", 1e3 * peer, "ms", None),
        ("median over HiGHS", middle / peer, "", 0.25),
        ("worst relative residual", pairs_off, "", 1e-10),
        ("17 x 7 grid, one call", seconds, "s", 1.0),
        ("worst relative residual in the grid", grid_off, "", 1e-10),
    ]
    met = True
    for name, value, unit, target in table:
        verdict = ""
        if target is not None:
            met &= value <= target
            verdict = f"target {target:g}: {'met' if value <= target else 'MISSED'}"
        print(f"{name:36} {value:10.3g} {unit:3} {verdict}")
    for where, statuses in (("pairs", [s.status for s in solutions.values()]), ("grid", batch.status)):
        values, counts = np.unique(statuses, return_counts=True)
        print(where, ", ".join(f"{n} {pb.Status(int(v)).name.lower()}" for v, n in zip(values, counts, strict=True)))
    return met


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread; {M} x {N}; median of {options.repetitions}")
    direction = pb.folded_gaussian_direction(options.seed, N)
    met = [
        report(truth, pb.gaussian_problem(options.seed, M, N, truth=truth), direction, options.repetitions)
        for truth in ("gaussian", "sparse")
    ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
