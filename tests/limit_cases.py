"""Networks, random data and the check of a limit that several tests of limits share."""

import numpy as np

import polarbias as pb
from polarbias.solution import Status


def wn(depth=2, ratio=0.5, signed=False):
    inner = pb.HadamardDifference(depth) if signed else pb.HadamardPower(depth)
    return pb.WeightNormalization(inner, ratio)


def random_data(seed, m=4, n=10):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    return A, A @ np.abs(rng.standard_normal(n)), np.abs(rng.standard_normal(n)) + 0.1


def limit(A, b, direction, network=None, scale=1.0):
    network = network or wn()
    return pb.flow_limit(pb.LinearProblem(A, b), network, network.init(scale, direction))


def assert_solves(solution, A, b, rtol=1e-10):
    """The residual is small against b or, for signals far larger than b, of the size that rounding X makes."""
    assert solution.status == Status.CONVERGED, solution.message
    rounding = 50 * np.finfo(float).eps * np.linalg.norm(np.abs(A) @ np.abs(solution.x))
    assert np.linalg.norm(A @ solution.x - b) <= max(rtol * np.linalg.norm(b), rounding)
