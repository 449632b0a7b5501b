"""Time of the gradient flow to loss 1e-12 at paper size, against descent and SciPy's other stiff integrators.

    python benchmarks/flow.py [--repetitions 5]

The problem is `gaussian_problem(0, 150, 1000)`, the start has r0 = 1, the ratios are 10, 1 and .1; float64, one BLAS
thread. `gradient_flow` keeps its trajectory. BDF and Radau run on a plain transcription of the 150 equations for the
mirror variable at depth 2 with their exact Jacobian, tolerances 1e-8, no dense output, and stop after 20,000 steps.
Descent with Armijo steps runs to the same loss from the same start, after a call that compiles it; `flow_limit`
computes the limit only. The first call of `gradient_flow` in the process has its own line; times are medians.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
from statistics import median
from time import perf_counter

import numpy as np
from scipy.integrate import BDF, Radau

import polarbias as pb

M, N = 150, 1000
RATIOS = (10.0, 1.0, 0.1)
TOL = 1e-12
MOST_STEPS = 20_000


def timed_flow(problem, direction, eta):
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta0 = network.init(1.0, direction)
    began = perf_counter()
    flow = pb.gradient_flow(problem, network, theta0, tol=TOL)
    return perf_counter() - began, int(flow.steps), flow


def timed_limit(problem, direction, eta):
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta0 = network.init(1.0, direction)
    began = perf_counter()
    limit = pb.flow_limit(problem, network, theta0)
    return perf_counter() - began, int(limit.steps)


def timed_descent(problem, direction, eta):
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta0 = network.init(1.0, direction)
    pb.gradient_descent(problem, network, theta0, max_steps=10**7, tol=1.0)
    began = perf_counter()
    run = pb.gradient_descent(problem, network, theta0, max_steps=10**7, tol=TOL)
    return (perf_counter() - began if run.converged else np.inf), int(run.steps)


def timed_scipy(method, problem, direction, eta):
    A, b = problem.A, problem.b
    log_u0 = 2 * np.log(direction / np.linalg.norm(direction))

    def position(nu):
        log_v = log_u0 + nu @ A
        top = log_v.max()
        v = np.exp(np.maximum(log_v - top, -700.0))
        return 1.0 + eta * (top + np.log(v.sum())), v / v.sum()

    def rhs(t, nu):
        s, pi = position(nu)
        return -2 * s * (s * (A @ pi) - b)

    def jacobian(t, nu):
        s, pi = position(nu)
        product = A @ pi
        kept = pi > 1e-17 * pi.max()
        hessian = s * (A[:, kept] * pi[kept]) @ A[:, kept].T + (eta - s) * np.outer(product, product)
        return -2 * (s * hessian + eta * np.outer(s * product - b, product))

    began = perf_counter()
    solver = method(rhs, 0.0, np.zeros(M), 1e12, rtol=1e-8, atol=1e-8, jac=jacobian)
    for steps in range(1, MOST_STEPS + 1):
        solver.step()
        s, pi = position(solver.y)
        R = s * (A @ pi) - b
        if R @ R / 4 < TOL:
            return perf_counter() - began, steps
    return np.inf, MOST_STEPS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    problem = pb.gaussian_problem(0, M, N)
    direction = pb.folded_gaussian_direction(0, N)
    first, _, _ = timed_flow(problem, direction, RATIOS[0])
    print(f"{platform.machine()}, {os.cpu_count()} cores; first call {first:.2f} s")
    print("ratio   method          seconds (median; min .. max)    steps")
    for eta in RATIOS:
        rows = {"gradient_flow": [timed_flow(problem, direction, eta)[:2] for _ in range(options.repetitions)]}
        rows["flow_limit"] = [timed_limit(problem, direction, eta) for _ in range(options.repetitions + 1)][1:]
        if not options.no_peers:
            rows["Armijo descent"] = [timed_descent(problem, direction, eta)]
            for method in (BDF, Radau):
                rows[method.__name__] = [timed_scipy(method, problem, direction, eta)]
        for name, row in rows.items():
            times = [time for time, _ in row]
            print(f"{eta:5}   {name:15} {median(times):7.3f}; {min(times):.3f} .. {max(times):.3f} {row[0][1]:12}")


if __name__ == "__main__":
    main()
