"""Runs with true and corrupted solutions, for the tests of the rows of a verification."""

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.optimize import linprog

import polarbias as pb
from polarbias.theory.endpoint import reduced_form
from polarbias.theory.evidence import Evidence
from polarbias.theory.verdict import Verdict

LAWS = {
    "constant": 0.4,
    "square": pb.PowerRatio(1.0, 2),
    "harmonic": pb.HarmonicRatio(0.5),
    "linear": pb.PowerRatio(0.7, 1),
    "plain": None,
}
# Arguments of `make_run`.
WN2, WN3, WN1 = (3, 3, 7, 2, "constant"), (4, 2, 6, 3, "constant"), (8, 3, 7, 1, "constant")
SQUARE, PLAIN = (5, 3, 7, 2, "square"), (6, 3, 7, 2, "plain")
CENTRED = (7, 3, 7, 2, "constant", False, True)


def make_run(seed, m, n, depth, law, signed=False, centred=False, r0=0.8):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    A = A - A.mean(1, keepdims=True) if centred else A
    truth = rng.standard_normal(n)
    inner = pb.HadamardDifference(depth) if signed else pb.HadamardPower(depth)
    network = inner if LAWS[law] is None else pb.WeightNormalization(inner, LAWS[law])
    direction = np.abs(rng.standard_normal(n * (1 + signed))) + 0.1
    return pb.LinearProblem(A, A @ (truth if signed else np.abs(truth))), network, network.init(r0, direction)


@cache
def solved(key):
    """Return a run with its flow and its limit."""
    run = make_run(*key)
    return run, pb.gradient_flow(*run), pb.flow_limit(*run)


def evidence(run, solution, accuracy=1e-6):
    return Evidence(*run, solution, reduced_form(*run), accuracy)


class Altered:
    """A trajectory with some quantities replaced; each replacement maps the true value and the time."""

    def __init__(self, path, stretch=1.0, **changes):
        self.path, self.stretch, self.changes = path, stretch, changes
        self.time = path.time * stretch

    def evaluate(self, t):
        t = np.asarray(t) / self.stretch
        states = self.path.evaluate(np.minimum(t, self.path.time[-1]))
        return states._replace(**{name: change(getattr(states, name), t) for name, change in self.changes.items()})


def assert_detects(row, run, true, corrupted):
    assert row(evidence(run, true)).verdict == Verdict.HOLDS
    assert row(evidence(run, corrupted)).verdict == Verdict.VIOLATED


def assert_detects_trajectory(row, key, **changes):
    run, flow, _ = solved(key)
    assert_detects(row, run, flow, replace(flow, trajectory=Altered(flow.trajectory, **changes)))


def assert_detects_limit(row, key, corrupt):
    """``corrupt`` maps run and limit to a wrong limit, or is a dictionary of factors of its fields."""
    run, _, limit = solved(key)
    if isinstance(corrupt, dict):
        wrong = replace(limit, **{name: getattr(limit, name) * factor for name, factor in corrupt.items()})
    else:
        wrong = corrupt(run, limit)
    assert_detects(row, run, limit, wrong)


# Corruptions.


def times(factor):
    return lambda value, t: value * factor


def grown(value, t):
    """Increase by up to 1 % over time."""
    return value * (1 + 0.01 * np.minimum(t, 1.0)).reshape(np.shape(t) + (1,) * (np.ndim(value) - np.ndim(t)))


def first_entry(factor):
    return lambda value, t: np.concatenate([np.asarray(value)[..., :1] * factor, np.asarray(value)[..., 1:]], axis=-1)


def first_log(shift):
    """Shift the first entry after the start."""

    def change(value, t):
        value = np.array(value)
        value[..., 0] += shift * (np.asarray(t) > 0)
        return value

    return change


def other_start(run, limit):
    """Return the limit of another start on the same problem."""
    problem, network, _ = run
    return pb.flow_limit(problem, network, network.init(0.8, np.linspace(0.2, 3.0, problem.n)))


def largest(keep_radius):
    """Replace X by the point of S+ of largest l1 norm."""

    def corrupt(run, limit):
        problem, network, _ = run
        x = linprog(-np.ones(problem.n), A_eq=problem.A, b_eq=problem.b, bounds=(0, 20.0)).x + 1e-300
        r = limit.r if keep_radius else np.sqrt((x ** (2 / network.degree)).sum())
        return replace(limit, x=x, log_x=np.log(x), r=r)

    return corrupt
