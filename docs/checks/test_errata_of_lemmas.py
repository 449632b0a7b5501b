"""Errata of sections 3 and 4, E15 to E32 of docs/errata.md, at their smallest examples.

Each function returns the numbers of its entry's block. The printed form fails there, the corrected form holds.
"""

import re

import mpmath
import numpy as np
import pytest
from formulas import (
    ENTRIES,
    UNIFORM,
    U,
    assert_entry_prints,
    epsilon,
    limit,
    magnification,
    off_rows,
    wn,
)
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize_scalar

from flow_oracle import SQUARE, integrate


def e15_power_in_the_rate():
    eta, depth, b, c_x, T = 0.01, 3, 5e-4, 0.1, 1e5
    run = solve_ivp(lambda _, x: -eta * x**2 * (x**3 - b), (0, T), [0.2], method="LSODA", rtol=1e-12, atol=1e-15)
    ratio = (run.y[0, -1] ** 3 - b) ** 2 / (0.2**3 - b) ** 2
    least = min(eta, c_x**2) * 2 * depth
    printed, right = np.exp(-least * c_x**2 * T), np.exp(-least * c_x**4 * T)
    assert run.y[0].min() >= c_x
    assert printed < ratio <= right
    return {"x_end": run.y[0, -1], "loss_ratio": ratio, "printed": printed, "right": right}


def e16_full_row_rank():
    A, b, x = np.array([[1.0], [1.0]]), np.array([2.0, 0.0]), 1.0
    R = A[:, 0] * x**2 - b
    assert A[:, 0] @ R * x == 0  # the gradient (23) vanishes
    loss, row_sigma = R @ R / 4, np.sqrt(max(np.linalg.eigvalsh(A @ A.T)[0], 0))
    printed, right = (loss * np.exp(-4 * sigma**2) for sigma in (np.linalg.svd(A, compute_uv=False)[-1], row_sigma))
    assert printed < loss
    assert right == pytest.approx(loss, rel=1e-12)
    return {"loss": loss, "printed_at_1": printed, "sigma_of_rows": round(row_sigma, 9)}


def e17_range_of_times():
    def loss(t):
        return (1 / (1 - 0.75 * np.exp(-2 * t)) - 1) ** 2 / 4

    run = wn([1], 1, 2, 2.0, [1.0], end=3.0)
    np.testing.assert_allclose(loss(run.time), run.loss, rtol=1e-7, atol=1e-14)
    t0, rate = 0.5, 4.0  # c_r = c_u = c_x = |I| = sigma = 1
    assert loss(0) > loss(t0) * np.exp(rate * t0)
    times = np.linspace(t0, 3, 50)
    assert (loss(times) <= loss(t0) * np.exp(-rate * (times - t0))).all()
    return {"loss_0": loss(0.0), "bound_0": loss(t0) * np.exp(rate * t0)}


def e18_dependent_rows():
    A = np.array([[1.0, -1.0], [1.0, -1.0]])
    sigma = np.linalg.svd(A, compute_uv=False)
    run = wn(A, np.ones(2), 2, 1.0, U)
    c_x = (run.r[:, None] * run.u).min()
    rate = min(1.0, 2 * c_x**2) * 4 * c_x**2 * sigma[0] ** 2
    assert sigma[-1] < 1e-15
    assert (run.loss <= run.loss[0] * np.exp(-rate * run.time) + 1e-26).all()
    return {"sigma": np.round(sigma, 12), "c_x": c_x, "rate": rate}


def e19_logarithm_of_a_signed_vector():
    run = wn([1, 1], 2, 3, 1.0, U)
    vectors = run.u**-1.0 @ off_rows([1, 1])
    assert vectors[0].min() < 0  # no logarithm
    solution = vectors[0] * np.exp((run.r**2 - 1) / 2)[:, None]  # of the linear equation, (38)
    np.testing.assert_allclose(vectors, solution, rtol=1e-8)
    return {"vector": vectors[0]}


def e20_start_in_42():
    run = wn([1, 1], 2, 3, 0.9, U)
    r, x0, P = run.r[-1], 0.9 * U, off_rows([1, 1])
    gamma = 1 / magnification(0.9, r, 1.0)
    left, right, printed = (P @ (1 / x) for x in (r * run.u[-1], gamma * x0, gamma * x0**3))
    np.testing.assert_allclose(left, right, rtol=1e-8)
    assert np.abs(left - printed).max() > 0.1
    return {"left": left[0], "right": right[0], "printed": printed[0]}


def e21_sum_in_lemma_39():
    run = integrate([1, -1], 4, 3, SQUARE[0], np.sqrt(2), UNIFORM)
    x = run.r[:, None] * run.u
    printed, right = (x ** (2 / 3 - 1)).sum(axis=1), (x**-1).sum(axis=1)
    np.testing.assert_allclose(right, 2, rtol=1e-9)
    assert abs(printed[-1] - 2) > 0.01
    return {"x_limit": x[-1], "printed": printed[-1], "right": right[-1]}


def e22_lemma_39_at_depth_1():
    """From x0 = (1, 1) at b = 4 the flow keeps x1 + x2, and x1 - x2 = 4 (1 - e^(-2t))."""
    A = np.array([[1.0, -1.0]])
    run = solve_ivp(lambda _, x: -A.T @ (A @ x - 4), (0, 20), [1.0, 1.0], rtol=1e-10, atol=1e-12, dense_output=True)
    crossing = np.log(2) / 2
    assert run.sol(crossing)[1] == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(run.y[:, -1], [3, -1], atol=1e-8)
    return {"crossing": crossing, "x_limit": [3, -1]}


def e23_second_derivative():
    mpmath.mp.dps = 30
    for r, eta in ((1.0, 1.0), (0.3, 2.0), (2.0, 0.7), (1.0, 2.0)):
        true = float(mpmath.diff(lambda s, eta=eta: mpmath.exp(s**2 / (2 * eta)) / s, r, 2))
        right = (2 / r**3 - 1 / (eta * r) + r / eta**2) * np.exp(r**2 / (2 * eta))
        assert true == pytest.approx(right, rel=1e-12)
        assert right > 0
    return {"true": 2 * np.exp(0.5), "printed": 3 * np.exp(0.5)}  # at r = eta = 1


def e24_small_gamma_is_stronger():
    gamma = [2.0, 1.0, 0.5]
    excess = np.array([limit([1, 2], 1, 2, None, g * 0.5, UNIFORM)[0].sum() - 0.5 for g in gamma])
    assert (np.diff(excess) < 0).all()
    return {"gamma": gamma, "excess": excess}


def e25_the_bound_is_not_scaled():
    """beta1 = 1, beta_min = 0.36; Q = 4 at depth 2, 100 at depth 4."""
    found = {}
    for depth, Q in ((2, 4.0), (4, 100.0)):
        for gamma in (0.1, 0.001):
            factor = epsilon(depth, Q, gamma**depth, 0.36 * gamma**depth) / epsilon(depth, Q, 1.0, 0.36)
            # At depth 4 the argument's power times 1 - 2/L.
            expected = np.log(4) / (np.log(4) - 2 * np.log(gamma)) if depth == 2 else gamma ** (depth - 2) * 0.8
            assert factor == pytest.approx(expected, rel=1e-12 if depth == 2 else 0.02)
            assert factor > 10 * gamma**depth
            found[f"L{depth}_{gamma}"] = [factor, gamma**depth]
    return found


def e26_constant_in_50():
    xi = np.linspace(1e-6, 3, 100_001)
    least = (xi**2 * np.log(xi)).min()
    assert least == pytest.approx(-1 / (2 * np.e), abs=1e-9)
    return {"least": least, "printed": -np.e / 2}  # true, with e^2 times the constant


def e27_plus_in_53():
    A, b, x, eta, h = np.array([[1.0, 1.0]]), 2.0, np.array([1.0, 2.0]), 0.5, 1e-6
    g = (A.T @ (A @ x**2 - b)) * x
    outer, square = np.outer(x, x), x @ x
    right = -(eta * outer / square + (square * np.eye(2) - outer)) @ g
    printed = -(eta * outer / square @ (square * np.eye(2) - outer)) @ g
    r, u = np.sqrt(square), x / np.sqrt(square)
    euler = (r - h * eta * (u @ g)) * (u - h * r * (g - u * (u @ g)))  # a step of (12)-(13)
    np.testing.assert_allclose((euler - x) / h, right, rtol=1e-4)
    assert np.abs(printed).max() < 1e-12
    return {"right": right, "printed": np.round(printed, 9) + 0.0}


def e28_row_sums():
    """Depth 2, ratio 1: the limit at A = [1, 2], b = 1 minimises the divergence over z = (1 - 2t, t)."""

    def divergence(t, r0=0.7):
        z = np.array([1 - 2 * t, t])
        return z @ np.log(z / z.sum() / U**2) + (z.sum() - r0**2) ** 2 / 2

    X, _ = limit([1, 2], 1, 2, 1.0, 0.7, U)
    best = minimize_scalar(divergence, bounds=(1e-9, 0.5 - 1e-9), method="bounded", options={"xatol": 1e-12}).x
    assert X[1] == pytest.approx(best, abs=1e-6)
    gaussian = np.random.default_rng(0).standard_normal((150, 1000)) / np.sqrt(150)
    assert np.abs(gaussian.sum(axis=1)).max() > 1
    slow = wn(np.eye(2), [1, 0], 2, 1.0, U, end=1e5)
    late = slow.time > 1e4
    np.testing.assert_allclose(slow.time[late] ** 2 * slow.loss[late], 1 / 16, rtol=1e-2)  # no exponential rate
    return {"X": X, "t2_loss_limit": 1 / 16}


def e29_gradient_at_the_boundary():
    q = 10.0 ** -np.array([1, 10, 100])
    divergence = 0.5 * (q - 1) - 0.5 * np.log(q)  # of 1 from q; F' = log(q) / 2 in (57), depth 2
    assert quad(lambda s: np.log(s) / 2 - np.log(0.1) / 2, 0.1, 1.0)[0] == pytest.approx(divergence[0], abs=1e-9)
    assert (np.diff(divergence) > 1).all()  # no finite value at q = 0
    return {"q": q, "divergence": divergence}


def e30_positive_directions():
    """From u(0) = (0, 1) the first entry stays 0, and x2' = -x2^3 (x2^2 + 1)."""

    def velocity(_, x):
        return -(x @ x) * np.array([1.0, -1.0]) * (x[0] ** 2 - x[1] ** 2 - 1) * x

    run = solve_ivp(velocity, (0, 200), [0.0, 1.0], rtol=1e-10, atol=1e-14, method="LSODA")
    loss = (run.y[0] ** 2 - run.y[1] ** 2 - 1) ** 2 / 4
    assert (run.y[0] == 0).all()
    assert (loss >= 0.25).all()
    X, _ = limit([1, -1], 1, 2, None, 1.0, [0.01, 1.0])
    return {"x2_at_200": run.y[1, -1], "least_loss": loss.min(), "X_from_positive": X}


def e31_terms_of_the_divergence():
    """z = (1, 0), X = (s, s): as s tends to 0, the sum of all terms but the last tends to F(z)."""
    others, lasts = zip(*((0.5 * (2 * s - 1), -0.5 * np.log(s)) for s in (1e-1, 1e-9)), strict=True)
    assert others[-1] == pytest.approx(-0.5)
    assert lasts[-1] > 10
    return {"others": others, "last": lasts}


def e32_ranges_of_section_42():
    _, r = limit([1], 10, 2, 0.1, 1.0, [1.0])
    assert np.sqrt(10) <= r * (1 + 1e-9) < 10  # printed: s <= r_inf
    return {"r_inf": r}


CHECKS = {name.partition("_")[0].upper(): check for name, check in globals().items() if re.match(r"e\d+_", name)}


@pytest.mark.parametrize("name", CHECKS)
def test_entry(name):
    assert_entry_prints(name, CHECKS[name]())


def test_every_entry_has_a_check():
    assert list(ENTRIES) == [f"E{k}" for k in range(1, 15)] + list(CHECKS)
