"""Growth of the time of an exact limit with the problem's size, dense and matrix-free, and of the operator's memory.

    python benchmarks/limit_scaling.py scaling.png [--seed 0] [--repetitions 3] [--largest 18]

Depth 2, eta = 0.1, r0 = 1, sparse truths with s = M / 15, one BLAS thread, the median of the repetitions after a warm
call. Three series: N from 250 to 4000 at M = 0.15 N; M from 25 to 400 at N = 2000; and a partial discrete cosine
transform as a SciPy LinearOperator, M = N / 8, N = 2^10 up to 2^18, without any entry formed. The exponents are
slopes of least-squares lines through the logarithms. tracemalloc measures peak memory during one call.
"""

import argparse
import os
import platform
import tracemalloc
from statistics import median
from time import perf_counter

for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
from scipy.fft import dct, idct  # noqa: E402
from scipy.sparse.linalg import LinearOperator  # noqa: E402

import polarbias as pb  # noqa: E402

ETA, R0 = 0.1, 1.0


def dense(seed, m, n):
    return pb.gaussian_problem(seed, m, n, truth="sparse", s=max(1, m // 15))


def partial_dct(seed, m, n):
    """M random rows of the orthogonal cosine transform, scaled to columns of norm about 1; sparse truth."""
    rng = np.random.default_rng([seed, n])
    rows = np.sort(rng.permutation(n)[:m])
    scale = np.sqrt(n / m)

    def matvec(x):
        return scale * dct(np.ravel(x), norm="ortho")[rows]

    def rmatvec(y):
        full = np.zeros(n)
        full[rows] = scale * np.ravel(y)
        return idct(full, norm="ortho")

    A = LinearOperator((m, n), matvec=matvec, rmatvec=rmatvec, dtype=np.float64)
    truth = np.zeros(n)
    truth[rng.permutation(n)[: max(1, m // 15)]] = 1.0
    return pb.LinearProblem(A, matvec(truth), truth)


def start(seed, n):
    network = pb.WeightNormalization(pb.HadamardPower(2), ETA)
    return network, network.init(R0, pb.folded_gaussian_direction(seed, n))


def measured(problem, seed, repetitions, memory=False):
    network, theta0 = start(seed, problem.n)
    times, peak = [], np.nan
    for repetition in range(repetitions + 1):
        began = perf_counter()
        solution = pb.flow_limit(problem, network, theta0)
        if repetition:
            times.append(perf_counter() - began)
    if memory:
        tracemalloc.start()
        pb.flow_limit(problem, network, theta0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    off = float(solution.residual) / np.linalg.norm(problem.b)
    return median(times), peak, off, int(solution.steps), solution.message


def series(name, sizes, make, seed, repetitions, memory=False):
    """Print a table; return sizes, seconds and bytes."""
    print(
        f"\n{name}\n{'M':>8}{'N':>8}{'ms':>12}{'residual':>10}{'steps':>7}" + ("   MiB   bytes/(M+N)" if memory else "")
    )
    rows = []
    for m, n in sizes:
        seconds, peak, off, steps, message = measured(make(seed, m, n), seed, repetitions, memory)
        rows.append((seconds, peak))
        tail = f"{peak / 2**20:8.1f}{peak / (m + n):10.0f}" if memory else ""
        print(f"{m:>8}{n:>8}{1e3 * seconds:>12.1f}{off:>10.0e}{steps:>7}{tail}  {message}", flush=True)
    return np.array(rows).T


def exponent(sizes, values):
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--largest", type=int, default=18, help="log2 of the largest N of the operator series")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread")
    common = {"seed": options.seed, "repetitions": options.repetitions}
    by_n = np.array([250, 500, 1000, 2000, 4000])
    by_m = np.array([25, 50, 100, 200, 400])
    free = 2 ** np.arange(10, options.largest + 1, 2)
    curves = {
        "dense, N at M = 0.15 N": (by_n, *series("dense", [(3 * n // 20, n) for n in by_n], dense, **common)),
        "dense, M at N = 2000": (by_m, *series("dense", [(m, 2000) for m in by_m], dense, **common)),
        "partial DCT, N at M = N / 8": (
            free,
            *series("partial DCT", [(n // 8, n) for n in free], partial_dct, memory=True, **common),
        ),
    }
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    print()
    for name, (sizes, seconds, _) in curves.items():
        slope = exponent(sizes, seconds)
        print(f"{name:32} time ~ size^{slope:.2f}")
        left.loglog(sizes, seconds, "o-", label=f"{name}: exponent {slope:.2f}")
    sizes, _, peak = curves["partial DCT, N at M = N / 8"]
    slope = exponent(sizes, peak)
    print(f"{'operator, peak memory':32} ~ N^{slope:.2f}")
    right.loglog(sizes, peak / 2**20, "o-", label=f"exponent {slope:.2f}")
    left.set(xlabel="N or M", ylabel="seconds for one limit")
    right.set(xlabel="N", ylabel="peak MiB, operator")
    left.legend()
    right.legend()
    figure.savefig(options.output, dpi=150)
    print(f"plot: {options.output}")


if __name__ == "__main__":
    main()
