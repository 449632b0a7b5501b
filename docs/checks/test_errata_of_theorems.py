"""Errata of sections 1 and 2, E1 to E14 of docs/errata.md, at their smallest examples.

Each function returns the numbers of its entry's block. The printed form fails there, the corrected form holds.
"""

import re

import numpy as np
import pytest
from formulas import (
    SKEW,
    UNIFORM,
    U,
    assert_entry_prints,
    assert_rounds_to,
    epsilon,
    limit,
    magnification,
    minimal_l1,
    wn,
)


def e1_prefactors():
    """Compare d/dx of c (x^L - b)^2 at A = [1], b = 0, x = 1 with (23), which is 1."""
    h, found = 1e-6, {}
    for depth in (2, 3):
        slope = ((1 + h) ** (2 * depth) - (1 - h) ** (2 * depth)) / (2 * h)
        found[f"L{depth}"] = [slope / 2, slope, slope / (2 * depth)]
        assert min(found[f"L{depth}"][:2]) > 1.5
        assert found[f"L{depth}"][2] == pytest.approx(1, abs=1e-9)
    return found


def e2_minimum_over_nonnegative_solutions():
    A, b, excess = [1, -2], 1, []
    printed, right = minimal_l1(A, b, signed=True), minimal_l1(A, b)
    for alpha in (1e-2, 1e-4):
        X, _ = limit(A, b, 2, None, alpha, UNIFORM)
        excess.append(X.sum() / printed - 1)
        assert excess[-1] >= 1 - 1e-9  # the printed bound tends to 0 with alpha
        assert X.sum() - right <= epsilon(2, right, alpha**2, alpha**2 / 2) * right
    return {"minimum_signed": printed, "minimum_nonnegative": right, "relative_excess": excess}


def e3_weights_above_depth_2():
    A, b, u0 = [1, 2], 1, np.array([2.0, 1.0]) / np.sqrt(5)
    least, norms, weighted = minimal_l1(A, b), [], []
    for alpha in (1e-1, 1e-2):
        X, _ = limit(A, b, 4, None, alpha, u0)
        w = (alpha * u0) ** -2
        Q = minimal_l1(A, b, weights=w)
        norms.append(X.sum())
        weighted.append(w @ X / Q - 1)
        assert 4 * alpha**2 < Q
        assert weighted[-1] <= epsilon(4, Q, alpha**2, (alpha * u0).min() ** 2)
    assert norms[-1] > 1.99 * least
    return {"minimum": least, "norms": norms, "weighted_excess": weighted}


def e4_rho_is_not_monotone_in_the_start():
    r0 = np.array([0.1, 0.3, 1.0])
    rho = magnification(r0, np.array([limit([1, -1], 1, 2, 1.0, r, UNIFORM)[1] for r in r0]), 1.0)
    assert rho[1] > rho[0]  # printed: decreasing in r0
    assert rho[0] < 1  # printed: at least 1
    assert (np.diff(r0 / rho) > 0).all()
    return {"r0": r0, "rho": rho, "r0_over_rho": r0 / rho}


def e5_hypothesis_of_the_plain_bound():
    A, x0 = [1, 1], np.array([2.0, 1.0])
    w, beta1, found = x0**-2, 5.0, {"beta1": 5}
    for b in (40, 100):
        X, _ = limit(A, b, 4, None, np.sqrt(5), x0 / np.sqrt(5))
        Q = minimal_l1(A, b, weights=w)
        bound, excess = epsilon(4, Q, beta1, 1.0), w @ X / Q - 1
        assert 4 * beta1**0.5 < Q  # the printed hypothesis
        assert (4 * beta1 < Q) == (excess <= bound) == (b == 100)
        found[f"b{b}"] = [Q, excess, bound]
    return found


def e6_missing_hypothesis():
    found = {}
    for name, r0 in (("outside", 2.0), ("inside", 0.5)):
        X, r = limit([1, -1], 1, 2, 1.0, r0, U)
        rho = magnification(r0, r, 1.0)
        bound = epsilon(2, 1.0, (r0 / rho) ** 2, 0.36 * (r0 / rho) ** 2)
        assert (rho**2 > r0**2) == (X.sum() - 1 <= bound) == (name == "inside")
        found[name] = [r0, rho, X.sum() - 1, bound]
    return found


def e7_the_radius_is_the_norm_of_the_factor():
    A, b = [1, 2], 4
    X, r = limit(A, b, 2, 2.0, 1.0, U)
    printed = np.linalg.norm(X)
    same, other = (limit(A, b, 2, None, 1 / magnification(1.0, radius, 2.0), U)[0] for radius in (r, printed))
    assert r == pytest.approx(np.sqrt(X.sum()), rel=1e-9)
    np.testing.assert_allclose(same, X, rtol=1e-8)
    assert np.abs(other - X).max() > 0.01
    return {"r_inf": r, "norm_of_X": printed, "X": X, "plain_right": same, "plain_printed": other}


def e8_collapse():
    threshold = np.log(1 / (2 * np.sqrt((SKEW**2).prod())))
    low, high = wn([1, -1], 1.0, 2, 0.5, SKEW), wn([1, -1], 1.0, 2, 1.0, SKEW)
    assert 0.25 < threshold < 1
    assert low.collapsed
    assert (low.loss >= 1 / 4).all()
    assert high.solved
    later = wn([1, -1], 1.0, 2, 0.5, SKEW, end=20.0, smallest=-np.inf)
    return {"threshold": threshold, "r_at_20": later.r[-1], "loss_at_20": later.loss[-1], "X_from_1": high.X[-1]}


def e9_no_exponential_rate_at_b_zero():
    run = wn([1, -1], 0.0, 2, 0.5, SKEW, end=1e4, smallest=-np.inf)
    times = np.array([1e2, 1e3, 1e4])
    loss = np.exp(np.interp(np.log(times), np.log(run.time[1:]), np.log(run.loss[1:])))
    rates = -np.log(loss / run.loss[0]) / times
    gap = np.sqrt(1 - 4 * 0.09 * np.exp(0.5))  # p2 - p1 at r = 0, where p1 p2 = p1 p2 (0) e^(2 r0^2 / eta)
    assert (rates[1:] < 0.2 * rates[:-1]).all()  # printed: bounded below by c > 0
    assert times[-1] ** 2 * loss[-1] == pytest.approx(1 / (16 * gap**2), rel=0.01)
    return {"rates": rates, "t2_loss_limit": 1 / (16 * gap**2)}


def e10_the_limit_need_not_solve():
    """The limit exists in both cases of E8; at r0 = 0.5 it is a stationary point and no solution."""
    low = wn([1, -1], 1, 2, 0.5, SKEW, smallest=-30.0)
    assert low.X[-1].max() < 1e-20
    assert low.loss[-1] == pytest.approx(0.25)
    assert np.abs(np.diff(low.u[-20:], axis=0)).max() < 1e-9  # so (r, u) converges
    assert low.u[-1].min() > 0.3  # Lemma 3.11's hypothesis, and its conclusion
    assert wn([1, -1], 1, 2, 1.0, SKEW).solved
    return {"u_limit": low.u[-1], "loss_limit": low.loss[-1]}


def e11_lower_bound_of_the_radius():
    bound = np.sqrt(minimal_l1([1, -1], 1))
    X, r = limit([1, -1], 1, 2, 1.0, 1.0, SKEW)
    assert wn([1, -1], 1, 2, 0.5, SKEW).r[-1] < 1e-6
    assert r >= bound > 0.5
    assert r**2 == pytest.approx(X.sum(), rel=1e-9)
    return {"bound": bound, "r_limit_from_1": r}


def e12_size_of_the_bound():
    """A = [1, 1], b = 4: r_inf = 2 at depth 2. A = identity, b = (1, 1): r_inf = sqrt(2) at depth 4."""

    def bound(depth, r0, eta):
        Q, r_inf = (4.0, 2.0) if depth == 2 else (((r0 * U) ** -2).sum(), np.sqrt(2))
        shrunk = magnification(r0, r_inf, eta) ** -depth * r0**2
        return epsilon(depth, Q, shrunk, 0.36 * shrunk)

    assert limit([1, 1], 4, 2, 0.5, 1.0, U)[1] == pytest.approx(2)
    assert limit(np.eye(2), [1, 1], 4, 0.5, 1.0, U)[1] == pytest.approx(np.sqrt(2))
    halving = np.array([bound(2, 1.0, eta) for eta in (0.4, 0.2, 0.1)])
    np.testing.assert_allclose(halving, np.array([0.4, 0.2, 0.1]) * np.log(1 / 0.36) / 3, rtol=1e-12)
    small = np.array([bound(2, r0, 1.0) for r0 in (1.0, 0.1, 1e-6)])
    assert (np.diff(small) < 0).all()
    assert small[-1] == pytest.approx(np.log(1 / 0.36) / 4, rel=1e-9)  # does not tend to 0
    plain = np.array([epsilon(2, 4.0, r0**2, 0.36 * r0**2) for r0 in (1e-2, 1e-4)])
    assert plain[0] / plain[1] < 2  # logarithmic in r0, not polynomial
    deep = np.array([bound(4, 1.0, eta) for eta in (0.2, 0.1)])
    assert np.log(deep[1]) / np.log(deep[0]) > 1.8
    return {"halving_eta": halving, "shrinking_r0": small, "plain": plain, "depth_4": deep}


def e13_rho_at_small_ratio():
    eta = np.array([10.0, 1.0, 0.1])
    rho, below = magnification(2.0, limit([1], 1, 2, 1.0, 2.0, [1.0])[1], eta), magnification(0.5, 1.0, eta)
    assert (np.diff(rho) < 0).all()  # printed: maximal at 0
    assert (np.diff(below) > 0).all()
    return {"eta": eta, "rho_from_2": rho, "rho_from_half": below}


def e14_signed_limits_are_unique():
    """The plain pair at A = [1], b = 1 from u0 = v0 = 1/2 keeps u v."""
    X, _ = limit([1, -1], 1, 2, None, np.sqrt(0.5), UNIFORM)
    root = (1 + np.sqrt(1 + 4 / 16)) / 2
    np.testing.assert_allclose(X, [root, root - 1], rtol=1e-9)
    shifted = (X + 0.1).prod()
    assert abs(shifted - 1 / 16) > 0.1  # the shift by zeta leaves the invariant's level set
    return {"X": X, "product": X.prod(), "product_shifted": shifted}


CHECKS = {name.partition("_")[0].upper(): check for name, check in globals().items() if re.match(r"e\d+_", name)}


@pytest.mark.parametrize("name", CHECKS)
def test_entry(name):
    assert_entry_prints(name, CHECKS[name]())


@pytest.mark.parametrize(("value", "digits"), [(1.3, "1"), (0.1236, "0.123"), (2.6e-4, "2.5e-4"), (-1.0, "1.0")])
def test_other_numbers_are_rejected(value, digits):
    with pytest.raises(AssertionError):
        assert_rounds_to(value, digits)
