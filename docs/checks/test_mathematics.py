"""Results of docs/mathematics.md beyond the paper, on random problems by integrated flows.

Notation: X = (r u)^L, R = A X - b, loss = ||R||^2 / (2L), s = r^2, eta_r = f(r), E' = r / f, eta_u = 1. Flows come from
`flow_oracle`, divergences from their formulas, linear programs from HiGHS. Nothing here imports polarbias; its own
tests compare limits, bounds, rates, sensitivities and depth 1 with the same flows.
"""

import numpy as np
import pytest
from formulas import off_rows, random_start, wn
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from scipy.optimize import linprog, minimize, minimize_scalar

from flow_oracle import SQUARE, constant, harmonic, integrate, square

DEPTHS = (2, 3, 4, 6)
PAIR = np.array([[1.0, -1.0]])


def divergence(z, depth, E, r0, u0):
    """Return D_F(z, X0) up to a constant, for the law with the given E."""
    s, s0 = (z ** (2 / depth)).sum(), r0**2
    if depth == 2:
        F = (z @ np.log(z / s)) / 2 + quad(lambda t: E(np.sqrt(t)), s0, s, epsabs=1e-13, epsrel=1e-12)[0]
        return F - (np.log(u0) + E(r0)) @ z

    def h(t):  # divided by its factor at r0, like the mirror variable
        return t ** (depth / 2 - 1) * np.exp((2 - depth) * (E(np.sqrt(t)) - E(r0)))

    F = -depth / (2 * (depth - 2)) * quad(h, s0, s, epsabs=1e-13, epsrel=1e-12)[0]
    return F - (u0 ** (2 - depth) / (2 - depth)) @ z


def is_projection(run, E):
    """Compare the divergence of the limit with that of points towards vertices of S+."""
    rng, X, start = np.random.default_rng(0), run.X[-1], (run.depth, E, run.r[0], run.u[0])
    here = divergence(X, *start)
    for _ in range(3):
        vertex = np.maximum(linprog(rng.exponential(size=X.size), A_eq=run.A, b_eq=run.b).x, 0)
        points = [X + t * (vertex - X) for t in (0.9, 0.3, 1e-2, 1e-3)]
        if min(divergence(z, *start) for z in points) < here - 1e-9 * (1 + abs(here)):
            return False
    return True


# Theorems 7 and 8: the flow converges to the projection, or collapses.


@pytest.mark.parametrize("depth", DEPTHS)
def test_flows_converge_to_the_projection_or_collapse(depth):
    rng, collapsed = np.random.default_rng(depth), 0
    for _ in range(25):
        A, b, u0 = random_start(rng)
        f, E = constant(10 ** rng.uniform(-0.7, 1))
        run = integrate(A, b, depth, f, 10 ** rng.uniform(-2, 0.4), u0)
        assert run.solved != run.collapsed
        assert (np.diff(run.loss) <= 1e-12 * run.loss[0]).all()
        collapsed += run.collapsed
        zero_loss = b @ b / (2 * depth)
        assert (run.loss >= zero_loss * (1 - 1e-12)).all() if run.collapsed else is_projection(run, E)
    assert 0 < collapsed < 15


@pytest.mark.parametrize("depth", DEPTHS)
def test_limits_on_a_segment_minimise_the_divergence(depth):
    rng, found = np.random.default_rng(20 + depth), 0
    for f, E in (constant(2.0), SQUARE, square(0.8), harmonic(0.7)):
        for n in (2, 3, 4):
            A, b, u0 = random_start(rng, n - 1, n)
            run = integrate(A, b, depth, f, 10 ** rng.uniform(-0.5, 0.3), u0)
            if run.collapsed:
                continue
            X, kernel = run.X[-1], np.linalg.svd(A)[2][-1]
            steps = -X / kernel
            low = max([*steps[kernel > 0], -X.max()])
            high = min([*steps[kernel < 0], X.max()])
            best = minimize_scalar(
                lambda t, X=X, k=kernel, E=E, r0=run.r[0], u0=u0: divergence(
                    np.maximum(X + t * k, 1e-300), depth, E, r0, u0
                ),
                bounds=(low, high), method="bounded", options={"xatol": 1e-10},
            )  # fmt: skip
            assert abs(best.x) <= 1e-5 * (high - low)
            found += 1
    assert found >= 10


def test_divergence_falls_at_one_rate_from_every_solution():
    """2 D_F(z, X) = ||z||_1 KL(z/||z||_1 || u^2) + (||z||_1 - s)^2 / (2 eta) falls at the rate 2 s ||R||^2."""
    rng = np.random.default_rng(15)
    for _ in range(6):
        A, b, u0 = random_start(rng, 2, 4)
        eta = 10 ** rng.uniform(-0.3, 0.7)
        run = wn(A, b, 2, 10 ** rng.uniform(-1, 0.3), u0, eta)
        s = run.r**2
        fall = CubicSpline(run.time, 2 * s * (run.residual**2).sum(axis=1)).antiderivative()(run.time)
        for _ in range(3):
            z = linprog(rng.exponential(size=4), A_eq=A, b_eq=b).x
            size, on = z.sum(), z > 0
            twice = (z[on] * (np.log(z[on] / size) - 2 * run.log_u[:, on])).sum(axis=1) + (size - s) ** 2 / (2 * eta)
            np.testing.assert_allclose(twice - twice[0], -fall, rtol=1e-5, atol=1e-7 * (1 + twice[0]))


@pytest.mark.parametrize("depth", DEPTHS)
def test_unreachable_data_end_at_the_projection_on_least_squares(depth):
    """b = (2, 0) at A = [[1, 1], [1, 1]], whose rows do not sum to 0."""
    f, E = constant(1.0)
    run = integrate(np.ones((2, 2)), [2.0, 0.0], depth, f, 0.9, [0.6, 0.8], end=200.0)
    best = minimize_scalar(
        lambda t: divergence(np.array([t, 1 - t]), depth, E, 0.9, np.array([0.6, 0.8])),
        bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-11},
    )  # fmt: skip
    assert run.X[-1] == pytest.approx([best.x, 1 - best.x], abs=1e-5)


def test_flow_converges_without_a_minimiser_of_the_dual():
    """No z > 0 has A z = (1, 0): the second entry of nu diverges, and X converges like 1/t."""
    A = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    run = wn(A, [1.0, 0.0], 2, 1.0, [0.6, 0.8, 1.0, 0.5], end=1e5)
    late = run.time > 1e4
    np.testing.assert_allclose(run.X[-1], [0.36, 0.64, 0, 0], atol=1e-5)
    np.testing.assert_allclose(2 * run.time[late] * run.residual[late, 1], 1, rtol=1e-2)


# Theorem 9: one curve.


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "law",
    [constant(0.5), constant(5.0), square(0.4), square(3.0), harmonic(0.6), (lambda r: 0.3 * r, lambda r: r / 0.3)],
    ids=["c.5", "c5", "p.4", "p3", "h.6", "linear"],
)
def test_limit_is_the_plain_limit_from_the_magnified_start(depth, law):
    rng, found, (f, E) = np.random.default_rng(40 + depth), 0, law
    for _ in range(5):
        A, b, u0 = random_start(rng)
        r0 = 10 ** rng.uniform(-0.3, 0.3)
        run = integrate(A, b, depth, f, r0, u0)
        if run.collapsed:
            continue
        plain = integrate(A, b, depth, SQUARE[0], run.r[-1] * np.exp(E(r0) - E(run.r[-1])), u0)
        np.testing.assert_allclose(plain.X[-1], run.X[-1], rtol=2e-7, atol=1e-9 * run.X[-1].max())
        found += 1
    assert found >= 3


# Propositions 15 and 16: collapse.


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("law", [SQUARE, square(0.5), harmonic(0.3), harmonic(5.0)], ids=["plain", "p.5", "h.3", "h5"])
def test_no_collapse_if_e_is_unbounded_at_zero(depth, law):
    for p1, r0, b in ((0.1, 0.5, 1.0), (0.02, 0.1, 0.3), (0.3, 0.2, 2.0)):
        run = integrate(PAIR, b, depth, law[0], r0, np.sqrt([p1, 1 - p1]))
        assert run.solved
        assert is_projection(run, law[1])


@pytest.mark.parametrize("p1", [0.1, 0.3, 0.01, 0.45])
@pytest.mark.parametrize("eta", [0.1, 1.0, 7.0])
def test_threshold_of_the_smallest_example_is_sharp(p1, eta):
    p = np.array([p1, 1 - p1])
    threshold = eta * np.log(1 / (2 * np.sqrt(p.prod())))
    for b in (0.2, 1.0, 3.0):
        for factor in (0.5, 0.99, 0.9999):
            assert wn(PAIR, b, 2, np.sqrt(factor * threshold), np.sqrt(p), eta).collapsed
            assert wn(PAIR, b, 2, np.sqrt(threshold / factor), np.sqrt(p), eta).solved
            assert wn(PAIR, b, 2, np.sqrt(factor * threshold), np.sqrt(p[::-1]), eta).solved


def log_partition(nu, A, p0):
    return np.logaddexp.reduce(A.T @ nu + np.log(p0))


def partition_slope(nu, A, p0):
    return A @ np.exp(A.T @ nu + np.log(p0) - log_partition(nu, A, p0))


def kernel_entropy(A, p0):
    """Return min KL(w || p0) over w >= 0 with A w = 0 and sum 1, and its minimiser; inf if there is no such w."""
    n = A.shape[1]
    rows, right = np.vstack([A, np.ones(n)]), np.append(np.zeros(len(A)), 1.0)
    start = linprog(np.zeros(n), A_eq=rows, b_eq=right)
    if not start.success:
        return np.inf, None
    answer = minimize(
        lambda w: (w * np.log(np.maximum(w, 1e-300) / p0)).sum(), np.maximum(start.x, 1e-3),
        jac=lambda w: np.log(np.maximum(w, 1e-300) / p0) + 1, bounds=[(0, 1)] * n, method="SLSQP",
        constraints={"type": "eq", "fun": lambda w: rows @ w - right, "jac": lambda w: rows},
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    assert np.abs(rows @ answer.x - right).max() < 1e-8
    return answer.fun, np.maximum(answer.x, 0)


def least_psi_at_zero_radius(A, b, p0, bound):
    """Return min of -b^T nu over l(nu) <= -bound (s <= 0); inf if that set is empty, NaN if the solver failed."""
    start = np.zeros(len(A))
    low = minimize(log_partition, start, (A, p0), jac=partition_slope, method="L-BFGS-B", bounds=[(-100, 100)] * len(A))
    if low.fun > -bound:
        return np.inf
    inside = {
        "type": "ineq",
        "fun": lambda nu: -bound - log_partition(nu, A, p0),
        "jac": lambda nu: -partition_slope(nu, A, p0),
    }
    options = {"ftol": 1e-12, "maxiter": 500}
    answer = minimize(lambda nu: -b @ nu, low.x, jac=lambda nu: -b, method="SLSQP", options=options, constraints=inside)
    return answer.fun if answer.success and inside["fun"](answer.x) >= -1e-9 else np.nan


def test_sufficient_conditions_at_depth_2_are_never_contradicted():
    rng, held, collapsed = np.random.default_rng(5), np.zeros(3, int), 0
    for _ in range(200):
        n = rng.integers(2, 5)
        A, b, u0 = random_start(rng, rng.integers(1, min(n, 3)), n, centred=rng.random() < 0.4)
        eta, r0 = 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-1.5, 0.3)
        run = wn(A, b, 2, r0, u0, eta)
        entropy, _ = kernel_entropy(A, u0**2)
        radial = least_psi_at_zero_radius(A, b, u0**2, r0**2 / eta)
        conditions = np.array(
            [(run.loss < b @ b / 4 * (1 - 1e-9)).any(), r0**2 > eta * entropy + 1e-7, radial > r0**4 / (2 * eta) + 1e-7]
        )
        assert run.solved != run.collapsed
        assert not (run.collapsed and conditions.any())
        assert np.isinf(entropy) or (run.r**2 >= r0**2 - eta * entropy - 1e-7).all()
        held += conditions
        collapsed += run.collapsed
    assert (held > 20).all()
    assert collapsed > 20


def test_entropy_condition_is_sharp_over_b():
    """Below the threshold some b collapses: the one opposite to A p at the minimum of l."""
    rng, found = np.random.default_rng(6), 0
    for _ in range(12):
        n, eta = rng.integers(2, 5), 10 ** rng.uniform(-1, 1)
        A, p0 = rng.standard_normal((1, n)), rng.dirichlet(np.ones(n))
        entropy, _ = kernel_entropy(A, p0)
        if not 0.02 < entropy < np.inf:
            continue
        low = minimize_scalar(lambda t, A=A, p0=p0: log_partition(np.array([t]), A, p0))
        assert -low.fun == pytest.approx(entropy, rel=1e-5)
        b = -np.sign((A @ p0)[0])
        assert wn(A, b, 2, np.sqrt(0.999 * eta * entropy), np.sqrt(p0), eta).collapsed
        assert wn(A, b, 2, np.sqrt(1.001 * eta * entropy), np.sqrt(p0), eta).solved
        found += 1
    assert found >= 5


def test_uniform_starts_of_zero_row_sums_never_shrink():
    rng = np.random.default_rng(7)
    for _ in range(15):
        A = rng.standard_normal((2, 3))
        A = np.hstack([A, -A])
        run = wn(A, A @ rng.exponential(size=6), 2, 10 ** rng.uniform(-2, 0), np.ones(6), 0.5)
        assert run.solved
        assert (run.log_r >= run.log_r[0] - 1e-9).all()


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_lower_bound_of_the_radius_above_depth_2(depth):
    rng, informative = np.random.default_rng(30 + depth), 0
    for _ in range(40):
        A, b, u0 = random_start(rng, 1, rng.integers(2, 5))
        eta, r0 = 10 ** rng.uniform(-1, 0.7), 10 ** rng.uniform(-0.7, 0.3)
        _, w = kernel_entropy(A, u0**2)
        if w is None:
            continue
        run = wn(A, b, depth, r0, u0, eta)
        bound = (depth / 2) * np.log((w ** (2 / depth)).sum()) - np.log(w @ u0 ** (2.0 - depth))
        safe = bound > -(depth - 2) * r0**2 / (2 * eta)
        assert ((depth - 2) * (run.r**2 - r0**2) / (2 * eta) >= bound - 1e-8).all()
        assert not (safe and run.collapsed)
        informative += safe
    assert informative > 5


def test_small_starts_collapse_by_the_sign_of_the_first_slope():
    rng, outcomes = np.random.default_rng(8), []
    for _ in range(60):
        A, b, u0 = random_start(rng, 2, 4)
        slope = (A @ u0**2) @ b
        if abs(slope) >= 0.05 * np.linalg.norm(A @ u0**2) * np.linalg.norm(b):
            outcomes.append(wn(A, b, 2, 1e-3, u0).collapsed)
            assert outcomes[-1] == (slope < 0)
    assert 3 < sum(outcomes) < len(outcomes) - 3


# Mirror descent, nu+ = nu - h R, with the step rule of section 10.


def dual_state(nu, A, u0, r0, eta):
    log_p = np.log(u0**2) + A.T @ nu
    s = r0**2 + eta * np.logaddexp.reduce(log_p)
    return s, max(s, 0) * np.exp(log_p - np.logaddexp.reduce(log_p))


def rule(A, R, s, eta):
    a = R @ R / np.abs(A.T @ R).max() ** 2
    m, top = max((-A.T @ R).max(), 0), max(s, 0)
    return min(a / eta, 2 * a / (top + np.sqrt(top**2 + 4 * eta * m * a)))


def test_step_rule_decreases_psi():
    rng, below, across = np.random.default_rng(11), 0, 0
    for _ in range(3000):
        n = rng.integers(1, 7)
        A, b, u0 = random_start(rng, rng.integers(1, 4), n)
        A, b = A * 10 ** rng.uniform(-2, 2), b * 10 ** rng.uniform(-2, 2)
        eta, r0 = 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(-2, 1)
        nu = rng.standard_normal(len(A)) * 10 ** rng.uniform(-2, 1) / np.abs(A).max()
        s, X = dual_state(nu, A, u0, r0, eta)
        R = A @ X - b
        h = rule(A, R, s, eta)
        s_after, _ = dual_state(nu - h * R, A, u0, r0, eta)
        psi, psi_after = max(s, 0) ** 2 / (2 * eta) - b @ nu, max(s_after, 0) ** 2 / (2 * eta) - b @ (nu - h * R)
        assert psi - psi_after >= h / 2 * (R @ R) - 1e-12 * (abs(psi) + abs(b @ nu))
        below += s < 0
        across += s * s_after < 0
    assert below > 100
    assert across > 20


def test_mirror_descent_keeps_the_invariant_and_ends_at_the_limit():
    rng, found = np.random.default_rng(12), 0
    for _ in range(10):
        A, b, u0 = random_start(rng, 2, 5)
        eta, r0 = 10 ** rng.uniform(-0.3, 0.7), 10 ** rng.uniform(-0.3, 0.3)
        run, nu, P = wn(A, b, 2, r0, u0, eta), np.zeros(2), off_rows(A)
        for _ in range(0 if run.collapsed else 20_000):
            s, X = dual_state(nu, A, u0, r0, eta)
            R = A @ X - b
            if s > 0:
                kept = P @ (np.log(X / s) / 2 + s / (2 * eta) - np.log(u0) - r0**2 / (2 * eta))
                assert np.abs(kept).max() < 1e-9
            if np.abs(R).max() < 1e-12 * np.abs(b).max():
                np.testing.assert_allclose(X, run.X[-1], rtol=1e-7, atol=1e-10)
                found += 1
                break
            nu = nu - rule(A, R, s, eta) * R
    assert found >= 4
