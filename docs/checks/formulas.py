"""Formulas of arXiv:2305.05448v1 that the checks of several pages use, and the comparison with docs/errata.md.

Nothing here imports polarbias; the flows come from `flow_oracle`.
"""

import re
from decimal import Decimal

import numpy as np
from scipy.optimize import linprog

from flow_oracle import SQUARE, constant, integrate
from repository import ROOT

UNIFORM, U, SKEW = np.array([1.0, 1.0]) / np.sqrt(2), np.array([0.6, 0.8]), np.sqrt([0.1, 0.9])


def minimal_l1(A, b, weights=None, signed=False):
    A = np.atleast_2d(A).astype(float)
    w = np.ones(A.shape[1]) if weights is None else weights
    A, w = (np.hstack([A, -A]), np.tile(w, 2)) if signed else (A, w)
    return linprog(w, A_eq=A, b_eq=np.atleast_1d(b)).fun


def epsilon(depth, Q, beta1, beta_min):
    """Return (16), also for parameters that do not meet its hypothesis."""
    if depth == 2:
        return np.log(beta1 / beta_min) / np.log(Q / beta1)
    gamma = 1 - 2 / depth
    return depth * (beta1**gamma - beta_min**gamma) / (2 * Q**gamma - depth * beta1**gamma)


def limit(A, b, depth, ratio, r0, u0):
    run = integrate(A, b, depth, SQUARE[0] if ratio is None else constant(ratio)[0], r0, u0)
    assert run.solved
    return run.X[-1], run.r[-1]


def wn(A, b, depth, r0, u0, eta=1.0, **options):
    return integrate(A, b, depth, constant(eta)[0], r0, u0, **options)


def magnification(r0, r_inf, ratio):
    """Return (17) with r_inf the limit of r."""
    return r0 / r_inf * np.exp((r_inf**2 - r0**2) / (2 * ratio))


def off_rows(A):
    A = np.atleast_2d(A).astype(float)
    return np.eye(A.shape[1]) - np.linalg.pinv(A) @ A


PARTS = re.split(r"^## (E\d+)\. ", (ROOT / "docs" / "errata.md").read_text(), flags=re.MULTILINE)
ENTRIES = dict(zip(PARTS[1::2], PARTS[2::2], strict=True))


def assert_rounds_to(value, digits):
    unit = Decimal(10) ** Decimal(digits).as_tuple().exponent
    tol = 1e-9 * max(1, abs(float(digits))) if "." not in digits and "e" not in digits else 0.5001 * float(unit)
    assert abs(float(value) - float(digits)) <= tol, f"{digits} in the page, {value} computed"


def assert_entry_prints(name, computed):
    """Compare the block of an entry of docs/errata.md with computed numbers."""
    assert all(f"- **{field}.** " in ENTRIES[name] for field in ("Where", "Printed", "Right", "Why", "Example"))
    [block] = re.findall(r"^```\n(.*?)^```$", ENTRIES[name], flags=re.MULTILINE | re.DOTALL)
    printed = dict(line.split(" = ") for line in block.strip().splitlines())
    assert printed.keys() == computed.keys()
    for key, text in printed.items():
        values = np.ravel(np.asarray(computed[key], float))
        for value, digits in zip(values, text.replace(",", " ").split(), strict=True):
            assert_rounds_to(value, digits)


def random_start(rng, m=None, n=None, centred=False):
    """Return A, a b = A z with z > 0, and a unit direction with entries of different sizes."""
    n = n or rng.integers(2, 6)
    A = rng.standard_normal((m or rng.integers(1, n), n))
    if centred:
        A -= A.mean(axis=1, keepdims=True)
    u0 = np.exp(rng.uniform(-1.5, 0, n))
    return A, A @ np.exp(rng.uniform(-2, 1, n)), u0 / np.linalg.norm(u0)


def mirror(depth, log_v):
    return log_v if depth == 2 else np.exp((2 - depth) * log_v)
