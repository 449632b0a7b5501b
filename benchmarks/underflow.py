"""Time of a step early and late in a long run, after most entries of the signal have underflowed.

    python benchmarks/underflow.py [--steps 200000]

The problem has a sparse truth and the paper's size; 17 runs use weight normalization. Entries off the support
decrease throughout a run: their squares become denormal numbers, with which processors can be many times slower, and
then zero. The last lines time the same steps with all entries of X but a hundred normal, denormal and zero.
"""

import argparse
from statistics import median
from time import perf_counter

import numpy as np

import polarbias as pb

M, N, RUNS = 150, 1000, 17
TINY = np.finfo(float).tiny


def per_step(problem, network, theta, step, steps=2000):
    """Return microseconds per run-step: the median of three differences of a long and a short run."""
    times = []
    for _ in range(4):
        seconds, tried = [], []
        for count in (100, steps):
            began = perf_counter()
            run = pb.gradient_descent(problem, network, theta, step=step, max_steps=count, tol=0)
            seconds.append(perf_counter() - began)
            tried.append(run.stats["trials"].sum())
        times.append(1e6 * (seconds[1] - seconds[0]) / (tried[1] - tried[0]))
    return median(times[1:])  # the first one compiles


def describe(theta):
    X = np.asarray(theta.u) ** 2
    denormal, zero = np.mean((X > 0) & (X < TINY)), np.mean(X == 0)
    return f"smallest u {theta.u.min():.1e}, X denormal in {denormal:.1%} of the entries, zero in {zero:.1%}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    options = parser.parse_args()
    problem = pb.gaussian_problem(0, M, N, truth="sparse", s=10)
    direction = pb.folded_gaussian_direction(0, N)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    theta = network.init(np.geomspace(0.3, 30, RUNS), direction)

    print("early:", f"{per_step(problem, network, theta, pb.Armijo()):.2f} us a run;", describe(theta))
    late = pb.gradient_descent(problem, network, theta, max_steps=options.steps, tol=1e-20)
    print(f"after {late.steps.min():,} to {late.steps.max():,} steps:")
    constant = pb.ConstantStep(1e-12)
    print("late:", f"{per_step(problem, network, late.theta, constant):.2f} us a run;", describe(late.theta))
    for size in (1e-80, 1e-158, 1e-161, 1e-300):
        u = np.tile(direction, (RUNS, 1))
        u[:, 100:] = size
        start = pb.Polar(theta.r, u)
        print(f"u = {size:.0e}:", f"{per_step(problem, network, start, constant):.2f} us a run;", describe(start))


if __name__ == "__main__":
    main()
