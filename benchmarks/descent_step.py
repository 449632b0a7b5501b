"""Time of a step of descent, relative to its products with A and to hand-written loops.

    python benchmarks/descent_step.py [--trials 10] [--repetitions 5]

The batch is the paper's: 10 trials x 34 runs (17 r0, plain and with weight normalization), M = 150, N = 1000,
float64. The floor of a step is X -> A X -> A^T (A X) for the whole batch, by the fastest of NumPy, JAX on all problems
at once, and JAX on one problem per thread and core. A constant step makes two products, a line search one more per
rejected trial, counted from accepted steps and trials; its runs start from 34 r0 up to 1, all with weight
normalization, because others would converge too soon. The time of a step is the difference of a long and a short run,
which removes compilation and set-up.

The loops run one run with weight normalization and a constant step: NumPy with preallocated arrays, the faster of one
and two BLAS threads and of both forms of the second product; PyTorch with autograd, if it is installed. Repetitions of
all parts alternate, and medians are reported, because machines are shared and noisy.
"""

import argparse
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from threadpoolctl import threadpool_limits

import polarbias as pb

M, N = 150, 1000
SCALES = np.logspace(-2, 2, 17)
STEPS, SEARCHED_STEPS = (100, 1100), (500, 3500)
ETA, DT = 0.1, 1e-9  # a step so short that no run ends or rejects: what a step costs does not depend on its length


def batch(trials):
    problem = pb.stack([pb.gaussian_problem(0, M, N, trial=trial) for trial in range(trials)])
    directions = np.stack([pb.folded_gaussian_direction(0, N, trial=trial) for trial in range(trials)])
    return problem, directions[:, None, :]


def products_numpy(A, x):
    transposed = np.swapaxes(A, -1, -2)

    def run(count=20):
        began = perf_counter()
        for _ in range(count):
            (x @ transposed) @ A
        return (perf_counter() - began) / count

    return run


@jax.jit
def _products(A, transposed, x, count):
    def once(_, x):
        return 0.5 * x + 1e-6 * ((x @ transposed) @ A)

    return lax.fori_loop(0, count, once, x)


def products_jax(A, x, threads):
    """Return a function that times all problems in one call, or with ``threads`` one problem per call and thread."""
    with jax.enable_x64(True):
        whole = [jnp.asarray(part) for part in (A, np.ascontiguousarray(np.swapaxes(A, -1, -2)), x)]
        parts = [[array[t] for array in whole] for t in range(len(A))] if threads else [whole]

    def run(count=100):
        def one(arrays):
            with jax.enable_x64(True):
                _products(*arrays, count).block_until_ready()

        one(parts[0])
        with ThreadPoolExecutor(threads or 1) as pool:
            began = perf_counter()
            list(pool.map(one, parts))
            return (perf_counter() - began) / count

    return run


def descent(problem, network, theta0, step, lengths=STEPS):
    """Return seconds, accepted steps and trials of all runs between a short and a long run."""
    found = []
    for steps in lengths:
        began = perf_counter()
        run = pb.gradient_descent(problem, network, theta0, step=step, max_steps=steps, tol=0)
        found.append((perf_counter() - began, run.steps.sum(), run.stats["trials"].sum()))
    return np.subtract(found[1], found[0])


def loop_numpy(A, b, u, steps, row_form):
    """One run of (12)-(13) with nothing allocated in the loop, seconds per step."""
    r, u, X, R, h = 1.0, u.copy(), np.empty(N), np.empty(M), np.empty(N)
    transposed = A.T
    began = perf_counter()
    for _ in range(steps):
        length = np.sqrt(u @ u)
        ratio = r / length
        np.multiply(u, u, out=X)
        X *= ratio * ratio
        np.dot(A, X, out=R)
        R -= b
        if row_form:
            np.dot(R, A, out=h)
        else:
            np.dot(transposed, R, out=h)
        h *= u
        radial = ratio * (u @ h) / length
        # du = -ratio (ratio u h - u radial / length), in place.
        h *= -DT * ratio * ratio
        np.multiply(u, DT * ratio * radial / length, out=X)
        u += h
        u += X
        r -= DT * ETA * radial
    return (perf_counter() - began) / steps


def best_numpy(A, b, u, steps=2000):
    times = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            times += [loop_numpy(A, b, u, steps, row_form) for row_form in (False, True)]
    return min(times)


def loop_torch(A, b, u, steps=500):
    import torch

    A, b = torch.tensor(A), torch.tensor(b)
    u = torch.tensor(u, requires_grad=True)
    r = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    began = perf_counter()
    for _ in range(steps):
        x = r * u / torch.linalg.vector_norm(u)
        loss = ((A @ x**2 - b) ** 2).sum() / 4
        loss.backward()
        with torch.no_grad():
            r -= DT * ETA * r.grad
            u -= DT * u.grad
        r.grad, u.grad = None, None
    return (perf_counter() - began) / steps


def parts(problem, directions, trials):
    """Return functions that measure seconds per run-step, and for descent also products per step."""
    networks = {"plain": pb.HadamardPower(2), "wn": pb.WeightNormalization(pb.HadamardPower(2), ETA)}
    starts = {
        name: network.init(np.tile(SCALES, (trials, 1)), np.tile(directions, (1, len(SCALES), 1)))
        for name, network in networks.items()
    }
    x = np.random.default_rng(0).random((trials, 2 * len(SCALES), N))
    runs, cores = trials * 2 * len(SCALES), len(os.sched_getaffinity(0))

    def constant():
        step = pb.ConstantStep(DT)
        seconds, steps, tried = sum(descent(problem, networks[name], starts[name], step) for name in networks)
        return seconds / tried, (steps + tried) / tried

    slow = networks["wn"].init(np.tile(np.geomspace(0.01, 1, 34), (trials, 1)), np.tile(directions, (1, 34, 1)))

    def searched():
        seconds, steps, tried = descent(problem, networks["wn"], slow, pb.Armijo(), SEARCHED_STEPS)
        return seconds / tried, (steps + tried) / tried

    one = problem[0]
    u = directions[0, 0] / np.linalg.norm(directions[0, 0])
    alone = networks["wn"].init(1.0, u)

    def single():
        seconds, steps, _ = descent(one, networks["wn"], alone, pb.ConstantStep(DT))
        return seconds / steps, 2.0

    def floor(run):
        return lambda: (run() / runs, 2.0)

    measured = {
        "products, NumPy": floor(products_numpy(problem.A, x)),
        "products, JAX, one call": floor(products_jax(problem.A, x, 0)),
        "products, JAX, a problem per core": floor(products_jax(problem.A, x, cores)),
        "constant step": constant,
        "Armijo trial": searched,
        "constant step, one run alone": single,
        "hand-written NumPy loop": lambda: (best_numpy(one.A, one.b, u), 2.0),
    }
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        print("PyTorch is not installed and not measured")
    else:
        measured["hand-written PyTorch loop"] = lambda: (loop_torch(one.A, one.b, u), 2.0)
    return measured


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    measured = parts(*batch(options.trials), options.trials)
    samples = {key: [] for key in measured}
    for repetition in range(options.repetitions + 1):
        for key, run in measured.items():
            value = run()
            if repetition:  # the first repetition compiles
                samples[key].append(value)

    floors = np.array([[value[0] for value in samples[key]] for key in samples if key.startswith("products")]).min(0)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {options.trials} trials x 34 runs, {M} x {N}")
    print(f"floor: {4 * M * N / median(floors) / 1e9:.0f} GFLOP/s")
    print("part                              us per run   over its products (median; range)   constant step = 1")
    reference = np.array([value[0] for value in samples["constant step"]])
    for key, values in samples.items():
        times, products = np.array(values).T
        ratios, against = times / (floors * products / 2), times / reference
        print(
            f"{key:34} {1e6 * median(times):11.2f} {median(ratios):12.2f}; {min(ratios):.2f} .. {max(ratios):.2f}"
            f" {median(against):22.2f}"
        )


if __name__ == "__main__":
    main()
