"""Every entry of docs/errata.md at its smallest example: the printed form fails there, the right one holds.

Each check returns the numbers of its entry's block in the document. The flows are integrated by an oracle of the tests,
so nothing here depends on polarbias.
"""

import re
from decimal import Decimal

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import linprog, minimize_scalar

from flow_oracle import SQUARE, constant, integrate
from repository import ROOT

DOCUMENT = ROOT / "docs" / "errata.md"
CHECKS = {}
UNIFORM = np.array([1.0, 1.0]) / np.sqrt(2)
U = np.array([0.6, 0.8])
SKEW = np.sqrt([0.1, 0.9])


def erratum(function):
    CHECKS["E" + function.__name__.partition("_")[0].removeprefix("e")] = function
    return function


def minimal_l1(A, b, weights=None, signed=False):
    A, b = np.atleast_2d(A).astype(float), np.atleast_1d(b)
    w = np.ones(A.shape[1]) if weights is None else weights
    if signed:
        A, w = np.hstack([A, -A]), np.tile(w, 2)
    answer = linprog(w, A_eq=A, b_eq=b)
    assert answer.success
    return answer.fun


def epsilon(depth, Q, beta1, beta_min):
    """(16), also where its hypothesis does not hold."""
    if depth == 2:
        return np.log(beta1 / beta_min) / np.log(Q / beta1)
    gamma = 1 - 2 / depth
    return depth * (beta1**gamma - beta_min**gamma) / (2 * Q**gamma - depth * beta1**gamma)


def limit(A, b, depth, ratio, r0, u0):
    run = integrate(A, b, depth, SQUARE[0] if ratio is None else constant(ratio)[0], r0, u0)
    assert run.solved, "the flow did not reach its limit"
    return run.X[-1], run.r[-1]


def magnification(r0, r_inf, ratio):
    """(17) with r_inf the limit of r."""
    return r0 / r_inf * np.exp((r_inf**2 - r0**2) / (2 * ratio))


def off_rows(A):
    A = np.atleast_2d(A).astype(float)
    return np.eye(A.shape[1]) - np.linalg.pinv(A) @ A


@erratum
def e1_prefactors():
    """d/dx of c (x^L - b)^2 at A = [1], b = 0, x = 1, against (23)."""
    h, found = 1e-6, {}
    for depth in (2, 3):
        x, gradient = 1.0, 1.0  # (23): A^T (A x^L - b) x^(L-1)
        slope = ((x + h) ** (2 * depth) - (x - h) ** (2 * depth)) / (2 * h)
        printed = [slope / 2, slope]
        assert min(abs(value - gradient) for value in printed) > 0.5
        assert slope / (2 * depth) == pytest.approx(gradient, abs=1e-9)
        found[f"L{depth}"] = [*printed, slope / (2 * depth)]
    return found


@erratum
def e2_minimum_over_nonnegative_solutions():
    A, b = [1, -2], 1
    excess = []
    for alpha in (1e-2, 1e-4):
        X, _ = limit(A, b, 2, None, alpha, UNIFORM)
        printed, right = minimal_l1(A, b, signed=True), minimal_l1(A, b)
        excess.append(X.sum() / printed - 1)
        assert excess[-1] >= 1 - 1e-9  # the printed bound tends to 0 with alpha
        assert X.sum() - right <= epsilon(2, right, alpha**2, alpha**2 / 2) * right
    return {"minimum_signed": printed, "minimum_nonnegative": right, "relative_excess": excess}


@erratum
def e3_weights_above_depth_2():
    A, b, u0 = [1, 2], 1, np.array([2.0, 1.0]) / np.sqrt(5)
    least = minimal_l1(A, b)
    norms, weighted = [], []
    for alpha in (1e-1, 1e-2):
        X, _ = limit(A, b, 4, None, alpha, u0)
        w = (alpha * u0) ** -2
        Q = minimal_l1(A, b, weights=w)
        assert 4 * alpha**2 < Q
        norms.append(X.sum())
        weighted.append(w @ X / Q - 1)
        assert weighted[-1] <= epsilon(4, Q, alpha**2, (alpha * u0).min() ** 2)
    assert norms[-1] > 1.99 * least
    return {"minimum": least, "norms": norms, "weighted_excess": weighted}


@erratum
def e4_rho_is_not_monotone_in_the_start():
    r0 = np.array([0.1, 0.3, 1.0])
    radii = np.array([limit([1, -1], 1, 2, 1.0, r, UNIFORM)[1] for r in r0])
    rho = magnification(r0, radii, 1.0)
    assert (np.diff(rho[:2]) > 0).all()  # printed: decreasing in r0
    assert rho[0] < 1  # printed: at least 1
    assert (np.diff(r0 / rho) > 0).all()
    return {"r0": r0, "rho": rho, "r0_over_rho": r0 / rho}


@erratum
def e5_hypothesis_of_the_plain_bound():
    A, u0 = [1, 1], np.array([2.0, 1.0]) / np.sqrt(5)
    x0 = np.array([2.0, 1.0])
    beta1, found = (x0**2).sum(), {"beta1": 5}
    for b in (40, 100):
        X, _ = limit(A, b, 4, None, np.sqrt(5), u0)
        w = x0**-2
        Q = minimal_l1(A, b, weights=w)
        bound, excess = epsilon(4, Q, beta1, 1.0), w @ X / Q - 1
        assert 4 * beta1**0.5 < Q  # the printed hypothesis
        assert (4 * beta1 < Q) == (b == 100)
        assert (excess <= bound) == (b == 100)
        found[f"b{b}"] = [Q, excess, bound]
    return found


@erratum
def e6_missing_hypothesis():
    found = {}
    for name, r0 in (("outside", 2.0), ("inside", 0.5)):
        X, r = limit([1, -1], 1, 2, 1.0, r0, U)
        rho = magnification(r0, r, 1.0)
        bound = epsilon(2, 1.0, (r0 / rho) ** 2, 0.36 * (r0 / rho) ** 2)
        assert (rho**2 > r0**2) == (name == "inside")
        assert (X.sum() - 1 <= bound) == (name == "inside")
        found[name] = [r0, rho, X.sum() - 1, bound]
    return found


@erratum
def e7_the_radius_is_the_norm_of_the_factor():
    A, b = [1, 2], 4
    X, r = limit(A, b, 2, 2.0, 1.0, U)
    printed = np.linalg.norm(X)
    assert r == pytest.approx(np.sqrt(X.sum()), rel=1e-9)
    same, _ = limit(A, b, 2, None, 1 / magnification(1.0, r, 2.0), U)
    other, _ = limit(A, b, 2, None, 1 / magnification(1.0, printed, 2.0), U)
    np.testing.assert_allclose(same, X, rtol=1e-8)
    assert np.abs(other - X).max() > 0.01
    return {"r_inf": r, "norm_of_X": printed, "X": X, "plain_right": same, "plain_printed": other}


@erratum
def e8_collapse():
    p, b, eta = SKEW**2, 1.0, 1.0
    threshold = eta * np.log(1 / (2 * np.sqrt(p.prod())))
    low = integrate([1, -1], b, 2, constant(eta)[0], 0.5, SKEW)
    high = integrate([1, -1], b, 2, constant(eta)[0], 1.0, SKEW)
    assert 0.25 < threshold < 1
    assert low.collapsed
    assert (low.loss >= b**2 / 4).all()
    assert high.solved
    later = integrate([1, -1], b, 2, constant(eta)[0], 0.5, SKEW, end=20.0, smallest=-np.inf)
    return {"threshold": threshold, "r_at_20": later.r[-1], "loss_at_20": later.loss[-1], "X_from_1": high.X[-1]}


@erratum
def e9_no_exponential_rate_at_b_zero():
    run = integrate([1, -1], 0.0, 2, constant(1.0)[0], 0.5, SKEW, end=1e4, smallest=-np.inf)
    sizes = []
    for time in (1e2, 1e3, 1e4):
        loss = np.exp(np.interp(np.log(time), np.log(run.clock[1:]), np.log(run.loss[1:])))
        sizes.append([time, -np.log(loss / run.loss[0]) / time, time**2 * loss])
    rates, scaled = np.array(sizes)[:, 1], np.array(sizes)[:, 2]
    assert (rates[1:] < 0.2 * rates[:-1]).all()  # printed: bounded below by c > 0
    gap = np.sqrt(1 - 4 * 0.09 * np.exp(0.5))  # p2 - p1 at r = 0, where p1 p2 = p1 p2 (0) e^(2 r0^2 / eta)
    assert scaled[-1] == pytest.approx(1 / (16 * gap**2), rel=0.01)
    return {"rates": rates, "t2_loss_limit": 1 / (16 * gap**2)}


@erratum
def e10_the_limit_need_not_solve():
    """The limit exists in both cases of E8; at r0 = 0.5 it is a stationary point that is no solution."""
    low = integrate([1, -1], 1, 2, constant(1.0)[0], 0.5, SKEW, smallest=-30.0)
    assert low.X[-1].max() < 1e-20
    assert low.loss[-1] == pytest.approx(0.25)
    assert np.abs(np.diff(low.u[-20:], axis=0)).max() < 1e-9  # so (r, u) converges
    assert low.u[-1].min() > 0.3  # Lemma 3.11's hypothesis, and its conclusion
    high = integrate([1, -1], 1, 2, constant(1.0)[0], 1.0, SKEW)
    assert high.solved
    return {"u_limit": low.u[-1], "loss_limit": low.loss[-1]}


@erratum
def e11_lower_bound_of_the_radius():
    bound = np.sqrt(minimal_l1([1, -1], 1))
    low = integrate([1, -1], 1, 2, constant(1.0)[0], 0.5, SKEW)
    assert bound > 0.5
    assert low.r[-1] < 1e-6 < bound
    X, r = limit([1, -1], 1, 2, 1.0, 1.0, SKEW)
    assert r >= bound
    assert r**2 == pytest.approx(X.sum(), rel=1e-9)
    return {"bound": bound, "r_limit_from_1": r}


@erratum
def e12_size_of_the_bound():
    """A = [1, 1], b = 4: r_inf = 2 at depth 2. A = identity, b = (1, 1): r_inf = sqrt(2) at depth 4."""

    def bound(depth, r0, eta):
        Q, r_inf = (4.0, 2.0) if depth == 2 else (((r0 * U) ** -2).sum(), np.sqrt(2))
        shrunk = magnification(r0, r_inf, eta) ** -depth * r0**2
        return epsilon(depth, Q, shrunk, 0.36 * shrunk)

    assert limit([1, 1], 4, 2, 0.5, 1.0, U)[1] == pytest.approx(2)
    assert limit(np.eye(2), [1, 1], 4, 0.5, 1.0, U)[1] == pytest.approx(np.sqrt(2))
    halving = np.array([bound(2, 1.0, eta) for eta in (0.4, 0.2, 0.1)])
    np.testing.assert_allclose(halving[:-1] / halving[1:], 2, rtol=1e-12)
    np.testing.assert_allclose(halving[0], 0.4 * np.log(1 / 0.36) / 3, rtol=1e-12)
    small = np.array([bound(2, r0, 1.0) for r0 in (1.0, 0.1, 1e-6)])
    assert (np.diff(small) < 0).all()
    assert small[-1] == pytest.approx(np.log(1 / 0.36) / 4, rel=1e-9)  # does not tend to 0
    plain = np.array([epsilon(2, 4.0, r0**2, 0.36 * r0**2) for r0 in (1e-2, 1e-4)])
    assert plain[0] / plain[1] < 2  # logarithmic in r0, not polynomial
    deep = np.array([bound(4, 1.0, eta) for eta in (0.2, 0.1)])
    assert np.log(deep[1]) / np.log(deep[0]) > 1.8
    return {"halving_eta": halving, "shrinking_r0": small, "plain": plain, "depth_4": deep}


@erratum
def e13_rho_at_small_ratio():
    eta = np.array([10.0, 1.0, 0.1])
    rho = magnification(2.0, limit([1], 1, 2, 1.0, 2.0, [1.0])[1], eta)
    assert (np.diff(rho) < 0).all()  # printed: maximal at 0
    below = magnification(0.5, 1.0, eta)
    assert (np.diff(below) > 0).all()
    return {"eta": eta, "rho_from_2": rho, "rho_from_half": below}


@erratum
def e14_signed_limits_are_unique():
    """Plain pair at A = [1], b = 1 from u0 = v0 = 1/2: u v is kept."""
    X, _ = limit([1, -1], 1, 2, None, np.sqrt(0.5), UNIFORM)
    root = (1 + np.sqrt(1 + 4 / 16)) / 2
    np.testing.assert_allclose(X, [root, root - 1], rtol=1e-9)
    shifted = (X[0] + 0.1) * (X[1] + 0.1)
    assert abs(shifted - 1 / 16) > 0.1  # the shift by zeta leaves the invariant's level set
    return {"X": X, "product": X.prod(), "product_shifted": shifted}


@erratum
def e15_power_in_the_rate():
    eta, depth, b, c_x, T = 0.01, 3, 5e-4, 0.1, 1e5
    run = solve_ivp(lambda _, x: -eta * x**2 * (x**3 - b), (0, T), [0.2], method="LSODA", rtol=1e-12, atol=1e-15)
    start, end = (0.2**3 - b) ** 2, (run.y[0, -1] ** 3 - b) ** 2
    assert run.y[0].min() >= c_x
    least = min(eta, c_x**2) * 2 * depth
    printed, right = np.exp(-least * c_x**2 * T), np.exp(-least * c_x**4 * T)
    assert printed < end / start <= right
    return {"x_end": run.y[0, -1], "loss_ratio": end / start, "printed": printed, "right": right}


@erratum
def e16_full_row_rank():
    A, b, x = np.array([[1.0], [1.0]]), np.array([2.0, 0.0]), 1.0
    R = A[:, 0] * x**2 - b
    assert A[:, 0] @ R * x == 0  # the gradient (23): the flow rests
    loss = R @ R / 4
    sigma = np.linalg.svd(A, compute_uv=False)[-1]
    printed = loss * np.exp(-min(1, 1) * 4 * sigma**2)
    row_sigma = np.sqrt(max(np.linalg.eigvalsh(A @ A.T)[0], 0))
    right = loss * np.exp(-min(1, 1) * 4 * row_sigma**2)
    assert printed < loss
    assert right == pytest.approx(loss, rel=1e-12)
    return {"loss": loss, "printed_at_1": printed, "sigma_of_rows": round(row_sigma, 9)}


@erratum
def e17_range_of_times():
    def loss(t):
        return (1 / (1 - 0.75 * np.exp(-2 * t)) - 1) ** 2 / 4

    run = integrate([1], 1, 2, constant(1.0)[0], 2.0, [1.0], end=3.0)
    np.testing.assert_allclose(loss(run.clock), run.loss, rtol=1e-7, atol=1e-14)
    t0, rate = 0.5, 4.0  # c_r = c_u = c_x = |I| = sigma = 1
    assert loss(0) > loss(t0) * np.exp(-rate * (0 - t0))
    times = np.linspace(t0, 3, 50)
    assert (loss(times) <= loss(t0) * np.exp(-rate * (times - t0))).all()
    return {"loss_0": loss(0.0), "bound_0": loss(t0) * np.exp(rate * t0)}


@erratum
def e18_dependent_rows():
    A, b = np.array([[1.0, -1.0], [1.0, -1.0]]), np.array([1.0, 1.0])
    sigma = np.linalg.svd(A, compute_uv=False)
    assert sigma[-1] < 1e-15
    run = integrate(A, b, 2, constant(1.0)[0], 1.0, U)
    x = run.r[:, None] * run.u
    c_x = x.min()
    rate = min(1.0, 2 * c_x**2) * 4 * c_x**2
    assert (run.loss <= run.loss[0] * np.exp(-rate * sigma[0] ** 2 * run.clock) + 1e-26).all()
    return {"sigma": np.round(sigma, 12), "c_x": c_x, "rate": rate * sigma[0] ** 2}


@erratum
def e19_logarithm_of_a_signed_vector():
    run = integrate([1, 1], 2, 3, constant(1.0)[0], 1.0, U)
    vectors = (off_rows([1, 1]) @ (run.u**-1.0).T).T
    assert vectors[0].min() < 0  # no logarithm
    np.testing.assert_allclose(
        vectors, vectors[0] * np.exp((run.r**2 - 1) / 2)[:, None], rtol=1e-8
    )  # the linear equation's solution, (38)
    return {"vector": vectors[0]}


@erratum
def e20_start_in_42():
    run = integrate([1, 1], 2, 3, constant(1.0)[0], 0.9, U)
    r, x0 = run.r[-1], 0.9 * U
    P = off_rows([1, 1])
    gamma = 1 / magnification(0.9, r, 1.0)
    left = P @ (1 / (r * run.u[-1]))
    right, printed = P @ (1 / (gamma * x0)), P @ (1 / (gamma * x0**3))
    np.testing.assert_allclose(left, right, rtol=1e-8)
    assert np.abs(left - printed).max() > 0.1
    return {"left": left[0], "right": right[0], "printed": printed[0]}


@erratum
def e21_sum_in_lemma_39():
    run = integrate([1, -1], 4, 3, SQUARE[0], np.sqrt(2), UNIFORM)
    x = run.r[:, None] * run.u
    printed, right = (x ** (2 / 3 - 1)).sum(axis=1), (x**-1).sum(axis=1)
    np.testing.assert_allclose(right, 2, rtol=1e-9)
    assert abs(printed[-1] - 2) > 0.01
    return {"x_limit": x[-1], "printed": printed[-1], "right": right[-1]}


@erratum
def e22_lemma_39_at_depth_1():
    """x1 + x2 is kept, and x1 - x2 = 4 (1 - e^(-2t)) from x0 = (1, 1), b = 4."""
    A = np.array([[1.0, -1.0]])
    run = solve_ivp(lambda _, x: -A.T @ (A @ x - 4), (0, 20), [1.0, 1.0], rtol=1e-10, atol=1e-12, dense_output=True)
    crossing = np.log(2) / 2
    assert run.sol(crossing)[1] == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(run.y[:, -1], [3, -1], atol=1e-8)
    return {"crossing": crossing, "x_limit": [3, -1]}


@erratum
def e23_second_derivative():
    mpmath.mp.dps = 30

    def second(r, eta):
        return float(mpmath.diff(lambda s: mpmath.exp(s**2 / (2 * eta)) / s, r, 2))

    true = second(1.0, 1.0)
    assert true == pytest.approx(2 * np.exp(0.5), rel=1e-12)
    printed = 3 * np.exp(0.5)
    assert abs(printed - true) > 1
    for r, eta in ((0.3, 2.0), (2.0, 0.7), (1.0, 2.0)):
        right = (2 / r**3 - 1 / (eta * r) + r / eta**2) * np.exp(r**2 / (2 * eta))
        assert second(r, eta) == pytest.approx(right, rel=1e-12)
        assert right > 0
    return {"true": true, "printed": printed}


@erratum
def e24_small_gamma_is_stronger():
    excess = np.array([limit([1, 2], 1, 2, None, g * 0.5, UNIFORM)[0].sum() - 0.5 for g in (2.0, 1.0, 0.5)])
    assert (np.diff(excess) < 0).all()
    return {"gamma": [2.0, 1.0, 0.5], "excess": excess}


@erratum
def e25_the_bound_is_not_scaled():
    """beta1 = 1, beta_min = 0.36; Q = 4 at depth 2, 100 at depth 4; gamma = 0.1 and 0.001."""
    found = {}
    for depth, Q in ((2, 4.0), (4, 100.0)):
        for gamma in (0.1, 0.001):
            factor = epsilon(depth, Q, gamma**depth, 0.36 * gamma**depth) / epsilon(depth, Q, 1.0, 0.36)
            assert factor > 10 * gamma**depth
            if depth == 4:  # the argument's power times 1 - 2/L
                assert factor == pytest.approx(gamma ** (depth - 2) * 0.8, rel=0.02)
            else:
                assert factor == pytest.approx(np.log(4) / (np.log(4) - 2 * np.log(gamma)), rel=1e-12)
            found[f"L{depth}_{gamma}"] = [factor, gamma**depth]
    return found


@erratum
def e26_constant_in_50():
    xi = np.linspace(1e-6, 3, 100_001)
    least = (xi**2 * np.log(xi)).min()
    assert least == pytest.approx(-1 / (2 * np.e), abs=1e-9)
    assert -np.e / 2 < least  # true, with e^2 times the constant
    return {"least": least, "printed": -np.e / 2}


@erratum
def e27_plus_in_53():
    A, b, x, eta = np.array([[1.0, 1.0]]), 2.0, np.array([1.0, 2.0]), 0.5
    g = (A.T @ (A @ x**2 - b)) * x
    outer, square = np.outer(x, x), x @ x
    right = -(eta * outer / square + (square * np.eye(2) - outer)) @ g
    printed = -(eta * outer / square @ (square * np.eye(2) - outer)) @ g
    h = 1e-6  # one Euler step of (12)-(13), from r = sqrt(5), u = x / sqrt(5)
    r, u = np.sqrt(square), x / np.sqrt(square)
    step = (r - h * eta * (u @ g)) * (u - h * r * (g - u * (u @ g)))
    np.testing.assert_allclose((step - x) / h, right, rtol=1e-4)
    assert np.abs(printed).max() < 1e-12
    return {"right": right, "printed": np.round(printed, 9) + 0.0}


@erratum
def e28_row_sums():
    """Depth 2, ratio 1: the limit at A = [1, 2], b = 1 minimises the divergence over z = (1 - 2t, t)."""
    A, eta, r0 = [1, 2], 1.0, 0.7

    def divergence(t):
        z = np.array([1 - 2 * t, t])
        size = z.sum()
        return z @ np.log(z / size / U**2) + (size - r0**2) ** 2 / (2 * eta)

    X, _ = limit(A, 1, 2, eta, r0, U)
    best = minimize_scalar(divergence, bounds=(1e-9, 0.5 - 1e-9), method="bounded", options={"xatol": 1e-12}).x
    assert X[1] == pytest.approx(best, abs=1e-6)
    gaussian = np.random.default_rng(0).standard_normal((150, 1000)) / np.sqrt(150)
    assert np.abs(gaussian.sum(axis=1)).max() > 1
    slow = integrate(np.eye(2), [1, 0], 2, constant(1.0)[0], 1.0, U, end=1e5)
    late = slow.clock > 1e4
    np.testing.assert_allclose(slow.clock[late] ** 2 * slow.loss[late], 1 / 16, rtol=1e-2)  # no exponential rate
    return {"X": X, "t2_loss_limit": 1 / 16}


@erratum
def e29_gradient_at_the_boundary():
    def slope(q):
        return np.log(q) / 2  # F' of (57), depth 2

    def divergence(p, q):
        return quad(lambda s: slope(s) - slope(q), q, p)[0]

    q = 10.0 ** -np.array([1, 10, 100])
    printed = np.array([0.5 * (q_ - 1) - 0.5 * np.log(q_) for q_ in q])
    assert divergence(1.0, 0.1) == pytest.approx(printed[0], abs=1e-9)
    assert (np.diff(printed) > 1).all()  # no finite value at q = 0
    return {"q": q, "divergence": printed}


@erratum
def e30_positive_directions():
    """u(0) = (0, 1): the first entry stays 0, and x2' = -x2^3 (x2^2 + 1)."""

    def slope(_, x):
        return -(x @ x) * np.array([1.0, -1.0]) * (x[0] ** 2 - x[1] ** 2 - 1) * x

    run = solve_ivp(slope, (0, 200), [0.0, 1.0], rtol=1e-10, atol=1e-14, method="LSODA")
    R = run.y[0] ** 2 - run.y[1] ** 2 - 1
    assert (run.y[0] == 0).all()
    assert (R**2 / 4 >= 0.25).all()
    X, _ = limit([1, -1], 1, 2, None, 1.0, [0.01, 1.0])
    return {"x2_at_200": run.y[1, -1], "least_loss": (R**2 / 4).min(), "X_from_positive": X}


@erratum
def e31_terms_of_the_divergence():
    """z = (1, 0), X = (s, s): all terms but the last, as s tends to 0, tend to F(z)."""
    others = [0.5 * (0 - 1 + 2 * s) for s in (1e-1, 1e-9)]
    lasts = [-0.5 * np.log(s) for s in (1e-1, 1e-9)]
    assert others[-1] == pytest.approx(-0.5)
    assert lasts[-1] > 10
    return {"others": others, "last": lasts}


@erratum
def e32_ranges_of_section_42():
    _, r = limit([1], 10, 2, 0.1, 1.0, [1.0])
    assert not r >= 10  # printed: s <= r_inf
    assert np.sqrt(10) <= r * (1 + 1e-9)
    return {"r_inf": r}


def sections():
    """Return the document's entries: id to text."""
    parts = re.split(r"^## (E\d+)\. ", DOCUMENT.read_text(), flags=re.MULTILINE)
    identifiers = parts[1::2]
    assert len(set(identifiers)) == len(identifiers), "an id occurs twice"
    return dict(zip(identifiers, parts[2::2], strict=True))


def printed_numbers(text):
    """Return the lines name = numbers of an entry's block."""
    (block,) = re.findall(r"^```\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = dict(line.split(" = ") for line in block.strip().splitlines())
    return {name: value.replace(",", " ").split() for name, value in lines.items()}


def assert_rounds_to(value, digits):
    unit = Decimal(10) ** Decimal(digits).as_tuple().exponent
    slack = 1e-9 * max(1, abs(float(digits))) if "." not in digits and "e" not in digits else 0.5001 * float(unit)
    assert abs(float(value) - float(digits)) <= slack, f"{digits} in the document, {value} computed"


def test_document_and_checks_name_the_same_entries():
    names = [f"E{k}" for k in range(1, len(CHECKS) + 1)]
    assert list(sections()) == names
    assert sorted(CHECKS, key=lambda name: int(name[1:])) == names


@pytest.mark.parametrize("name", CHECKS)
def test_entry(name):
    text = sections()[name]
    for field in ("Where", "Printed", "Right", "Why", "Example"):
        assert f"- **{field}.** " in text
    found = {key: np.atleast_1d(np.asarray(value, float)).ravel() for key, value in CHECKS[name]().items()}
    written = printed_numbers(text)
    assert written.keys() == found.keys()
    for key, digits in written.items():
        assert len(digits) == len(found[key])
        for value, figure in zip(found[key], digits, strict=True):
            assert_rounds_to(value, figure)


@pytest.mark.parametrize(("value", "digits"), [(1.3, "1"), (0.1236, "0.123"), (2.6e-4, "2.5e-4"), (-1.0, "1.0")])
def test_other_numbers_are_seen(value, digits):
    with pytest.raises(AssertionError):
        assert_rounds_to(value, digits)
