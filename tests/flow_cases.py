"""Random problems, and integrated flows with minima by HiGHS, for the tests of flows, bounds and rates."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

import polarbias as pb
from flow_oracle import Run, constant, harmonic, integrate, linear, square

M, N = 3, 7


def random_problem(seed, signed=False):
    """Return a problem of 3 x 7 with a solution, and a positive direction."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    truth = rng.standard_normal(N) if signed else np.abs(rng.standard_normal(N))
    direction = np.abs(rng.standard_normal(2 * N if signed else N)) + 0.05
    return pb.LinearProblem(A, A @ truth), direction


LAWS = {"constant": constant, "square": square, "harmonic": harmonic, "linear": linear}
RATIOS = {"constant": pb.ConstantRatio, "harmonic": pb.HarmonicRatio}
RATIOS |= {name: partial(pb.PowerRatio, k=k) for name, k in (("linear", 1), ("square", 2))}


def flow(A, b, depth, law, r0, u0):
    """Integrate in the paper's time to a residual of 1e-11 or r < 1e-4; ``law`` is None or a name and its parameter."""
    f = None if law is None else LAWS[law[0]](law[1])[0]
    return integrate(A, b, depth, f, r0, u0, paper_time=True, end=1e9, goal=1e-11, smallest=np.log(1e-4 / r0))


class Case(NamedTuple):
    problem: pb.LinearProblem
    network: pb.Network
    theta0: object
    path: Run
    z: np.ndarray
    law: object
    w: np.ndarray
    Q: float
    best: np.ndarray
    Q1: float
    best1: np.ndarray

    @property
    def run(self):
        return self.problem, self.network, self.theta0

    @property
    def excess(self):
        return (self.w @ self.path.x - self.Q) / self.Q

    @property
    def excess1(self):
        return (self.path.x.sum() - self.Q1) / self.Q1


def minimal(A, b, w):
    found = linprog(w / w.max(), A_eq=A, b_eq=b)
    assert found.status == 0
    return w.max() * found.fun, found.x


def network_of(depth, law):
    inner = pb.HadamardPower(depth)
    return inner if law is None else pb.WeightNormalization(inner, RATIOS[law[0]](law[1]))


def make(A, z, depth, law, r0, u0):
    A, u0 = np.asarray(A, float), np.asarray(u0) / np.linalg.norm(u0)
    b = A @ z
    network = network_of(depth, law)
    path = flow(A, b, depth, law, r0, u0)
    w = (r0 * u0) ** (2.0 - depth)
    return Case(
        pb.LinearProblem(A, b), network, network.init(r0, u0), path, np.asarray(z), law, w,
        *minimal(A, b, w), *minimal(A, b, np.ones(len(w))),
    )  # fmt: skip


@cache
def converged_cases():
    """Random problems, M 1 to 4, N up to 8, a third with zero row sums, some starts uniform; flows that converge."""
    rng = np.random.default_rng(20261)
    found = []
    for depth in (2, 3, 6):
        for law in (None, *LAWS):
            for _ in range(2):
                m = rng.integers(1, 5)
                n = rng.integers(m + 1, 9)
                A = rng.standard_normal((m, n))
                if rng.random() < 0.33 and n > m + 1:
                    A -= A.mean(axis=1, keepdims=True)
                u0 = np.ones(n) if rng.random() < 0.25 else 0.05 + np.abs(rng.standard_normal(n))
                c, r0 = 10 ** rng.uniform(-1, 0.5), 10 ** rng.uniform(-1, 0.5)
                case = make(A, np.abs(rng.standard_normal(n)), depth, law and (law, c), r0, u0)
                if case.path.residual_norm[-1] < 1e-10 * np.linalg.norm(case.problem.b):
                    found.append(case)
    assert len(found) > 20
    return tuple(found)


def naive_rho(case):
    if case.law is None:
        return 1.0
    E = LAWS[case.law[0]](case.law[1])[1]
    r0, r = case.path.r[[0, -1]]
    return r0 / r * np.exp(E(r) - E(r0))
