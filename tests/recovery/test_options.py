"""Counts of steps on fixed problems: they change if a parameter changes that matters.

The counts stay the same when b changes by rounding errors.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import sparse

import polarbias as pb
from polarbias.recovery import greedy, interior_point, presolve, proximal, stages
from polarbias.recovery.options import PursuitOptions
from pursuit_problems import assert_infeasible, assert_optimal, cosine_transform, gaussian, linear_program


def signal(rng, n, s, values):
    """Return n entries, s of them nonzero."""
    x = np.zeros(n)
    x[rng.permutation(n)[:s]] = values
    return x


def problems():
    """Name, data, options, and the expected counts of factorizations and of iterates."""
    for name, seed, m, s, nonnegative, counts in (
        ("sparse", 0, 60, 8, False, (7, 1)),
        ("violated bounds", 0, 60, 12, False, (16, 9)),
        ("middling", 1, 60, 16, False, (14, 5)),
        ("dense", 2, 60, 240, False, (17, 8)),
        ("nonnegative", 3, 60, 20, True, (16, 9)),
        ("nonnegative dense", 4, 60, 240, True, (17, 9)),
    ):
        A, _, b = gaussian(seed, m, 240, s, nonnegative)
        yield name, A, b, {"nonnegative": nonnegative}, counts
    A, _, b = gaussian(5, 60, 240, 240)
    yield "weights", A, b, {"weights": 10 ** np.random.default_rng(0).uniform(-2, 2, 240)}, (18, 8)
    rng = np.random.default_rng(6)
    A = rng.standard_normal((100, 800))
    x = signal(rng, 800, 20, rng.standard_normal(20) * 10.0 ** rng.uniform(-6, 0, 20))
    yield "six decades", A, A @ x, {}, (27, 41)
    A, x, b = gaussian(7, 60, 240, 8)
    noise = np.random.default_rng(1).standard_normal(60)
    noise *= 0.05 / np.linalg.norm(noise)
    yield "noise", A, b + noise, {"sigma": 0.05}, (8, 13)
    yield "nonnegative noise", A, A @ np.abs(x) + noise, {"sigma": 0.02, "nonnegative": True}, (8, 10)
    rng = np.random.default_rng(8)
    A = sparse.random(80, 7000, 0.03, random_state=rng, data_rvs=rng.standard_normal)
    yield "sparse matrix", A, A @ signal(rng, 7000, 40, rng.standard_normal(40)), {}, (12, 13)
    for name, n, m, counts in (("operator", 1000, 300, (9, 2)), ("dense signal, operator", 256, 80, (75, 68))):
        rng = np.random.default_rng(9)
        A, _ = cosine_transform(n, m, rng)
        x = signal(rng, n, 30, rng.uniform(0.5, 2, 30) * rng.choice([-1, 1], 30))
        yield name, A, A @ x, {}, counts
    yield "noise, operator", A, A @ x + 0.01 * rng.standard_normal(80), {"sigma": 0.08}, (58, 64)
    A, _, b = gaussian(12, 40, 100, 5)
    yield "infeasible", np.abs(A), -b, {"nonnegative": True}, (25, 21)


EXPECTED = {name: expected for name, *_, expected in problems()}


def counts(check=lambda *_, **options: None):
    found = {}
    for name, A, b, options, _ in problems():
        one = pb.basis_pursuit(A, b, **options)
        check(A @ np.eye(A.shape[1]), b, one, **options)
        found[name] = one.steps, len(one.history)
    return found


def check(A, b, found, sigma=0.0, **options):
    """Check the certificate and, without noise, the value by HiGHS."""
    status, value = linear_program(A, b, **options)
    if sigma:
        assert_optimal(A, b, found, sigma=sigma, **options)
    elif status == 0:
        assert_optimal(A, b, found, **options)
        assert found.value == pytest.approx(value, rel=1e-6)
    else:
        assert_infeasible(A, b, found, **options)


def test_counts_of_steps_and_iterates():
    assert counts(check) == EXPECTED


ELSEWHERE = ("sparse_entries", "sparse_share", "newton_steps")  # in test_presolve, test_stages
FACTORS = {
    "boundary_share": (0.99 / 0.995, 1.003),
    "vertex_share": (0.55, 1.075),
    "refined_gap": (10,),
    "greedy_residual": (0.01, 10),
    "held_correlation": (0.95, 1.03),
    "negligible_weight": (10,),
}


@pytest.mark.full
@pytest.mark.parametrize("name", [f.name for f in fields(PursuitOptions) if f.name not in ELSEWHERE])
def test_the_counts_depend_on_each_parameter(monkeypatch, name):
    usual = PursuitOptions()
    value = getattr(usual, name)
    for factor in FACTORS.get(name, (0.5, 2)):
        changed = replace(usual, **{name: type(value)(value * factor)})
        for module in (greedy, interior_point, presolve, proximal, stages):
            monkeypatch.setattr(module, "OPTIONS", changed)
        if counts() != EXPECTED:
            return
    raise AssertionError(name)
