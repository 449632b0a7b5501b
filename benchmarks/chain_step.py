"""Time per chain-step of descent over the time of the two products with A that it needs, in one run.

    python benchmarks/chain_step.py [--trials 10] [--repetitions 7]

The batch is the paper's: 10 trials x 34 chains (17 r0, plain and with weight normalization), M = 150, N = 1000,
float64. The floor is the faster of NumPy's and JAX's time for X -> A X -> A^T (A X) on the whole batch. Steps are
timed as the difference of a long and a short run, which removes compilation and set-up; with Armijo steps a trial
costs what a step costs, so time per trial is reported. Repetitions of all parts alternate, and medians are reported,
because machines are shared and noisy.
"""

import argparse
import os
import platform
from statistics import median
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import polarbias as pb

M, N = 150, 1000
SCALES = np.logspace(-2, 2, 17)
STEPS = (20, 220)


def batch(trials):
    problem = pb.stack([pb.gaussian_problem(0, M, N, trial=trial) for trial in range(trials)])
    directions = np.stack([pb.folded_gaussian_direction(0, N, trial=trial) for trial in range(trials)])
    return problem, directions[:, None, :]


def bare_numpy(A, x, repetitions):
    transposed = np.swapaxes(A, -1, -2)
    began = perf_counter()
    for _ in range(repetitions):
        (x @ transposed) @ A
    return (perf_counter() - began) / repetitions


@jax.jit
def _products(A, transposed, x, count):
    def once(_, x):
        r = jnp.einsum("tcn,tnm->tcm", x, transposed)
        return 0.5 * x + 1e-6 * jnp.einsum("tcm,tmn->tcn", r, A)

    return lax.fori_loop(0, count, once, x)


def bare_jax(A, x, repetitions):
    with jax.enable_x64(True):
        arrays = jnp.asarray(A), jnp.asarray(np.ascontiguousarray(np.swapaxes(A, -1, -2))), jnp.asarray(x)
        _products(*arrays, 1).block_until_ready()
        began = perf_counter()
        _products(*arrays, repetitions).block_until_ready()
        return (perf_counter() - began) / repetitions


def descent(problem, network, theta0, step):
    """Return seconds per turn (one trial of every chain)."""
    times = []
    for steps in STEPS:
        began = perf_counter()
        run = pb.gradient_descent(problem, network, theta0, step=step, max_steps=steps, tol=0)
        times.append((perf_counter() - began, run.stats["trials"].max()))
    (short, few), (long, many) = times
    return (long - short) / (many - few)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    problem, directions = batch(options.trials)
    networks = {"plain": pb.HadamardPower(2), "wn": pb.WeightNormalization(pb.HadamardPower(2), 0.1)}
    starts = {
        name: network.init(np.tile(SCALES, (options.trials, 1)), np.tile(directions, (1, len(SCALES), 1)))
        for name, network in networks.items()
    }
    # A step so short that no chain ends or rejects: the cost of a step does not depend on its length.
    steps = {"constant": pb.ConstantStep(1e-12), "armijo": pb.Armijo()}
    x = np.random.default_rng(0).random((options.trials, 2 * len(SCALES), N))
    chains = options.trials * 2 * len(SCALES)

    samples = {key: [] for key in ("numpy", "jax", *steps)}
    for repetition in range(options.repetitions + 1):
        row = {
            "numpy": bare_numpy(problem.A, x, 20),
            "jax": bare_jax(problem.A, x, 100),
            **{
                rule: sum(descent(problem, networks[name], starts[name], step) for name in networks)
                for rule, step in steps.items()
            },
        }
        if repetition:  # the first repetition compiles
            for key, value in row.items():
                samples[key].append(value)

    medians = {key: median(values) for key, values in samples.items()}
    floor = min(medians["numpy"], medians["jax"])
    flops = 4 * M * N * chains
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {options.trials} trials x {2 * len(SCALES)} chains, {M} x {N}"
    )
    print(f"floor: {flops / 1e6:.0f} MFLOP a turn, {flops / floor / 1e9:.0f} GFLOP/s")
    print("part                     us per chain   over floor (median; min .. max of paired ratios)")
    floors = [min(a, b) for a, b in zip(samples["numpy"], samples["jax"], strict=True)]
    for key, values in samples.items():
        ratios = [value / low for value, low in zip(values, floors, strict=True)]
        print(
            f"{key:24} {1e6 * medians[key] / chains:10.2f} "
            f"{median(ratios):12.2f}; {min(ratios):.2f} .. {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
