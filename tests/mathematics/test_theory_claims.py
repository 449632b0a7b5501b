"""What the library rests on and the paper does not contain, checked on random problems by integrated flows alone.

Notation: X = (r u)^L, R = A X - b, loss = ||R||^2 / (2L), s = r^2, p = u^2, eta_r = f(r), E' = r / f, eta_u = 1.
Nothing here uses the library: flows come from the tests' integrator, divergences from their formulas, linear programs
from HiGHS.
"""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq, linprog, minimize, minimize_scalar
from scipy.special import lambertw

from flow_oracle import SQUARE, constant, harmonic, integrate, square

DEPTHS = (2, 3, 4, 6)
PAIR = np.array([[1.0, -1.0]])


def random_problem(rng, m, n):
    """A with a reachable b, and a start direction with entries of different sizes."""
    A = rng.standard_normal((m, n))
    u0 = np.exp(rng.uniform(-1.5, 0, n))
    return A, A @ np.exp(rng.uniform(-2, 1, n)), u0 / np.linalg.norm(u0)


def divergence(z, depth, E, r0, u0):
    """D_F(z, X0) up to a constant, for the law with the given E (r^2 / (2 eta), log r, ...)."""
    s, s0 = (z ** (2 / depth)).sum(), r0**2
    if depth == 2:
        F = (z @ np.log(z / s)) / 2 + quad(lambda t: E(np.sqrt(t)), s0, s, epsabs=1e-13, epsrel=1e-12)[0]
        return F - (np.log(u0) + E(r0)) @ z

    def h(t):  # over h's factor at r0, to which the mirror variable is scaled as well
        return t ** (depth / 2 - 1) * np.exp((2 - depth) * (E(np.sqrt(t)) - E(r0)))

    F = -depth / (2 * (depth - 2)) * quad(h, s0, s, epsabs=1e-13, epsrel=1e-12)[0]
    return F - (u0 ** (2 - depth) / (2 - depth)) @ z


def is_projection(run, E):
    """Whether no other point of S+ has a smaller divergence: along edges to vertices, and near the limit."""
    rng, X = np.random.default_rng(0), run.X[-1]
    r0, u0 = run.r[0], run.u[0]
    here = divergence(X, run.depth, E, r0, u0)
    scale = 1e-9 * (1 + abs(here))
    ends = [linprog(rng.exponential(size=X.size), A_eq=run.A, b_eq=run.b) for _ in range(3)]
    assert all(end.success for end in ends)
    tops = [np.maximum(end.x, 0) for end in ends]
    moves = [z - X for z in tops if np.abs(z - X).max() > 1e-6]
    for move in moves:
        for t in (0.9, 0.3, 1e-2, 1e-3):
            if divergence(X + t * move, run.depth, E, r0, u0) < here - scale:
                return False
    return True


# The dichotomy: the flow converges to the projection, or collapses.


@pytest.mark.parametrize("depth", DEPTHS)
def test_dichotomy_on_random_problems(depth):
    rng, collapsed = np.random.default_rng(depth), 0
    for _ in range(25):
        n = rng.integers(2, 6)
        A, b, u0 = random_problem(rng, rng.integers(1, n), n)
        eta, r0 = 10 ** rng.uniform(-0.7, 1), 10 ** rng.uniform(-2, 0.4)
        f, E = constant(eta)
        run = integrate(A, b, depth, f, r0, u0)
        assert run.solved != run.collapsed
        assert (np.diff(run.loss) <= 1e-12 * run.loss[0]).all()
        collapsed += run.collapsed
        if run.collapsed:
            assert (run.loss >= b @ b / (2 * depth) * (1 - 1e-12)).all()
        else:
            assert is_projection(run, E)
    assert 0 < collapsed < 15


@pytest.mark.parametrize("depth", DEPTHS)
def test_limits_on_a_segment_are_minimisers(depth):
    """One dimension is left in S+, where the divergence is minimised by other means."""
    rng, found = np.random.default_rng(20 + depth), 0
    for law in (constant(2.0), SQUARE, square(0.8), harmonic(0.7)):
        for n in (2, 3, 4):
            A, b, u0 = random_problem(rng, n - 1, n)
            r0 = 10 ** rng.uniform(-0.5, 0.3)
            run = integrate(A, b, depth, law[0], r0, u0)
            if run.collapsed:
                continue
            assert run.solved
            X, kernel = run.X[-1], np.linalg.svd(A)[2][-1]
            steps = -X / kernel
            low, high = max(steps[kernel > 0], default=-X.max()), min(steps[kernel < 0], default=X.max())
            low, high = max(low, -X.max()), min(high, X.max())
            best = minimize_scalar(
                lambda t, X=X, k=kernel, E=law[1], r0=r0, u0=u0: divergence(
                    np.maximum(X + t * k, 1e-300), depth, E, r0, u0
                ),
                bounds=(low, high), method="bounded", options={"xatol": 1e-10},
            )  # fmt: skip
            assert abs(best.x) <= 1e-5 * (high - low)
            found += 1
    assert found >= 10


def test_the_divergence_falls_at_the_same_rate_from_every_solution():
    """Twice D_F(z, X(t)) is ||z||_1 KL(z/||z||_1 || u^2) + (||z||_1 - s)^2 / (2 eta); its slope is -2 s ||R||^2."""
    rng = np.random.default_rng(15)
    for _ in range(6):
        A, b, u0 = random_problem(rng, 2, 4)
        eta = 10 ** rng.uniform(-0.3, 0.7)
        run = integrate(A, b, 2, constant(eta)[0], 10 ** rng.uniform(-1, 0.3), u0)
        s = run.r**2
        fall = CubicSpline(run.clock, 2 * s * (run.residual**2).sum(axis=1)).antiderivative()(run.clock)
        for _ in range(3):
            z = linprog(rng.exponential(size=4), A_eq=A, b_eq=b).x
            size, on = z.sum(), z > 0
            entropy = (z[on] * (np.log(z[on] / size) - 2 * run.log_u[:, on])).sum(axis=1)
            twice = entropy + (size - s) ** 2 / (2 * eta)
            np.testing.assert_allclose(twice - twice[0], -fall, rtol=1e-5, atol=1e-7 * (1 + twice[0]))


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_row_sums_are_needed_to_stay_bounded_and_unreachable_data_are_approached(depth):
    """b = (2, 0) at A = [[1, 1], [1, 1]]: the limit is the projection on the nonnegative least-squares set."""
    A, u0, r0 = np.ones((2, 2)), np.array([0.6, 0.8]), 0.9
    f, E = constant(1.0)
    run = integrate(A, [2.0, 0.0], depth, f, r0, u0, end=200.0)
    X = run.X[-1]
    assert X.sum() == pytest.approx(1, abs=1e-9)
    best = minimize_scalar(
        lambda t: divergence(np.array([t, 1 - t]), depth, E, r0, u0),
        bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-11},
    )  # fmt: skip
    assert X[0] == pytest.approx(best.x, abs=1e-5)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "law", [SQUARE, square(0.5), harmonic(0.3), harmonic(5.0)], ids=["plain", "power", "h.3", "h5"]
)
def test_no_collapse_where_e_is_unbounded_at_zero(depth, law):
    for p1, r0, b in ((0.1, 0.5, 1.0), (0.02, 0.1, 0.3), (0.3, 0.2, 2.0)):
        run = integrate(PAIR, b, depth, law[0], r0, np.sqrt([p1, 1 - p1]))
        assert run.solved
        assert is_projection(run, law[1])


# Collapse: the family A = [1, -1], and what excludes it.


@pytest.mark.parametrize("p1", [0.1, 0.3, 0.01, 0.45])
@pytest.mark.parametrize("eta", [0.1, 1.0, 7.0])
def test_threshold_of_the_smallest_example_is_sharp(p1, eta):
    p = np.array([p1, 1 - p1])
    threshold = eta * np.log(1 / (2 * np.sqrt(p.prod())))
    for b in (0.2, 1.0, 3.0):
        for factor in (0.5, 0.99, 0.9999):
            assert integrate(PAIR, b, 2, constant(eta)[0], np.sqrt(factor * threshold), np.sqrt(p)).collapsed
        for factor in (1.0001, 1.01, 2.0):
            assert integrate(PAIR, b, 2, constant(eta)[0], np.sqrt(factor * threshold), np.sqrt(p)).solved


def test_the_direction_towards_the_solution_never_collapses():
    for r0 in (1e-3, 0.1, 1.0):
        assert integrate(PAIR, 1.0, 2, constant(1.0)[0], r0, np.sqrt([0.9, 0.1])).solved


def l_of(nu, A, p0):
    return np.logaddexp.reduce(A.T @ nu + np.log(p0))


def l_slope(nu, A, p0):
    return A @ np.exp(A.T @ nu + np.log(p0) - l_of(nu, A, p0))


def kernel_entropy(A, p0):
    """K0 = min KL(w || p0) over w >= 0 with A w = 0 and sum 1, by convex minimisation over the simplex; inf if none."""
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
    """Return min of -b^T nu over l(nu) <= -bound (s <= 0), inf if that set is empty, nan if the solver failed."""
    low = minimize(l_of, np.zeros(len(A)), (A, p0), jac=l_slope, method="L-BFGS-B", bounds=[(-100, 100)] * len(A))
    if low.fun > -bound:
        return np.inf
    answer = minimize(
        lambda nu: -b @ nu, low.x, jac=lambda nu: -b, method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
        constraints={
            "type": "ineq", "fun": lambda nu: -bound - l_of(nu, A, p0), "jac": lambda nu: -l_slope(nu, A, p0),
        },
    )  # fmt: skip
    return answer.fun if answer.success and l_of(answer.x, A, p0) <= -bound + 1e-9 else np.nan


def test_sufficient_conditions_at_depth_2_are_never_contradicted():
    rng = np.random.default_rng(5)
    held, collapsed = np.zeros(3, int), 0
    for _ in range(200):
        n = rng.integers(2, 5)
        A, b, u0 = random_problem(rng, rng.integers(1, min(n, 3)), n)
        if rng.random() < 0.4:
            A -= A.mean(axis=1, keepdims=True)
            b = A @ rng.exponential(size=n)
        eta, r0 = 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-1.5, 0.3)
        run = integrate(A, b, 2, constant(eta)[0], r0, u0)
        entropy, _ = kernel_entropy(A, u0**2)
        radial = least_psi_at_zero_radius(A, b, u0**2, r0**2 / eta)
        conditions = np.array(
            [(run.loss < b @ b / 4 * (1 - 1e-9)).any(), r0**2 > eta * entropy + 1e-7, radial > r0**4 / (2 * eta) + 1e-7]
        )
        assert run.solved != run.collapsed
        assert not (run.collapsed and conditions.any())
        if np.isfinite(entropy):
            assert (run.r**2 >= r0**2 - eta * entropy - 1e-7).all()
        held += conditions
        collapsed += run.collapsed
    assert (held > 20).all()
    assert collapsed > 20


def test_the_entropy_condition_is_sharp_over_b():
    """Just below the threshold some b collapses: one that points the other way from A p where l is least."""
    rng, seen = np.random.default_rng(6), 0
    for _ in range(12):
        n, eta = rng.integers(2, 5), 10 ** rng.uniform(-1, 1)
        A = rng.standard_normal((1, n))
        p0 = rng.dirichlet(np.ones(n))
        entropy, _ = kernel_entropy(A, p0)
        if not 0.02 < entropy < np.inf:
            continue
        low = minimize_scalar(lambda t, A=A, p0=p0: l_of(np.array([t]), A, p0))
        assert -low.fun == pytest.approx(entropy, rel=1e-5)
        b = -np.sign((A @ p0)[0])
        assert integrate(A, b, 2, constant(eta)[0], np.sqrt(0.999 * eta * entropy), np.sqrt(p0)).collapsed
        assert integrate(A, b, 2, constant(eta)[0], np.sqrt(1.001 * eta * entropy), np.sqrt(p0)).solved
        seen += 1
    assert seen >= 5


def test_uniform_starts_of_zero_row_sums_never_shrink():
    rng = np.random.default_rng(7)
    for _ in range(15):
        A = rng.standard_normal((2, 3))
        A = np.hstack([A, -A])
        run = integrate(A, A @ rng.exponential(size=6), 2, constant(0.5)[0], 10 ** rng.uniform(-2, 0), np.ones(6))
        assert run.solved
        assert (run.log_r >= run.log_r[0] - 1e-9).all()


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_the_lower_bound_of_the_radius_above_depth_2(depth):
    rng, informative = np.random.default_rng(30 + depth), 0
    for _ in range(40):
        n = rng.integers(2, 5)
        A, b, u0 = random_problem(rng, 1, n)
        eta, r0 = 10 ** rng.uniform(-1, 0.7), 10 ** rng.uniform(-0.7, 0.3)
        _, w = kernel_entropy(A, u0**2)
        if w is None:
            continue
        run = integrate(A, b, depth, constant(eta)[0], r0, u0)
        norm = (depth / 2) * np.log((w ** (2 / depth)).sum())
        bound = norm - np.log(w @ u0 ** (2.0 - depth))
        assert ((depth - 2) * (run.r**2 - r0**2) / (2 * eta) >= bound - 1e-8).all()
        safe = bound > -(depth - 2) * r0**2 / (2 * eta)
        informative += safe
        assert not (safe and run.collapsed)
    assert informative > 5


def test_vanishing_starts_collapse_as_the_first_slope_says():
    rng, outcomes = np.random.default_rng(8), []
    for _ in range(60):
        A, b, u0 = random_problem(rng, 2, 4)
        slope = (A @ u0**2) @ b
        if abs(slope) < 0.05 * np.linalg.norm(A @ u0**2) * np.linalg.norm(b):
            continue
        run = integrate(A, b, 2, constant(1.0)[0], 1e-3, u0)
        assert run.collapsed == (slope < 0)
        outcomes.append(run.collapsed)
    assert 3 < sum(outcomes) < len(outcomes) - 3


def test_the_flow_converges_where_the_dual_has_no_minimiser():
    """No z > 0 has A z = (1, 0): nu runs away in its second entry, and X converges, but like 1/t only."""
    A = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    run = integrate(A, [1.0, 0.0], 2, constant(1.0)[0], 1.0, [0.6, 0.8, 1.0, 0.5], end=1e5)
    np.testing.assert_allclose(run.X[-1], [0.36, 0.64, 0, 0], atol=1e-5)
    late = run.clock > 1e4
    np.testing.assert_allclose(2 * run.clock[late] * run.residual[late, 1], 1, rtol=1e-2)


# Magnification for every law.


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "law",
    [constant(0.5), constant(5.0), square(0.4), square(3.0), harmonic(0.6), (lambda r: 0.3 * r, lambda r: r / 0.3)],
    ids=["c.5", "c5", "p.4", "p3", "h.6", "linear"],
)
def test_the_limit_is_the_plain_limit_from_a_magnified_start(depth, law):
    rng, found = np.random.default_rng(40 + depth), 0
    f, E = law
    for _ in range(5):
        n = rng.integers(2, 6)
        A, b, u0 = random_problem(rng, rng.integers(1, n), n)
        r0 = 10 ** rng.uniform(-0.3, 0.3)
        run = integrate(A, b, depth, f, r0, u0)
        if run.collapsed:
            continue
        radius = run.r[-1]
        rho = r0 / radius * np.exp(E(radius) - E(r0))
        plain = integrate(A, b, depth, SQUARE[0], r0 / rho, u0)
        assert run.solved
        assert plain.solved
        np.testing.assert_allclose(plain.X[-1], run.X[-1], rtol=2e-7, atol=1e-9 * run.X[-1].max())
        found += 1
    assert found >= 3


def test_magnification_of_the_power_and_harmonic_laws():
    for r0, radius in ((0.3, 1.7), (2.0, 0.9)):
        for c in (0.4, 3.0):
            E = square(c)[1]
            assert r0 / radius * np.exp(E(radius) - E(r0)) == pytest.approx((radius / r0) ** (1 / c - 1))
        E = harmonic(0.8)[1]
        rho = r0 / radius * np.exp(E(radius) - E(r0))
        assert rho == pytest.approx(np.exp((radius**2 - r0**2) / 1.6))
        assert (rho >= 1) == (radius >= r0)


# Sensitivities of the limit at depth 2, constant ratio.


def sensitivities(A, b, X, r0, eta):
    """Slopes of X and s along sigma = r0^2, and dsigma per unit of eta."""
    s = X.sum()
    theta = np.linalg.solve(A @ (X[:, None] * A.T), b)
    g = b @ theta
    slope = s * X * (1 - A.T @ theta) / (s * (s - g) + eta * g)
    dnu = -s * theta / (s**2 - (s - eta) * g)
    return slope, dnu, s * (s - g) / (s * (s - g) + eta * g), (s - r0**2) / eta, theta, g


def nu_of(A, X, u0):
    """nu of log(X / s) = log u0^2 + A^T nu - l."""
    design = np.vstack([A, -np.ones(A.shape[1])]).T
    answer, miss, *_ = np.linalg.lstsq(design, np.log(X / X.sum()) - np.log(u0**2))
    assert (miss < 1e-12).all()
    return answer[:-1]


def test_sensitivities_are_those_of_integrated_limits():
    rng, found = np.random.default_rng(9), 0
    while found < 8:
        n = rng.integers(3, 6)
        A, b, u0 = random_problem(rng, rng.integers(1, n - 1), n)
        sigma, eta, h = 10 ** rng.uniform(-0.6, 0.4), 10 ** rng.uniform(-0.3, 0.6), 1e-4

        def limit(sigma, eta, A=A, b=b, u0=u0):
            return integrate(A, b, 2, constant(eta)[0], np.sqrt(sigma), u0)

        here = limit(sigma, eta)
        if here.collapsed:
            continue
        slope, dnu, ds, per_eta, theta, g = sensitivities(A, b, here.X[-1], np.sqrt(sigma), eta)
        assert 0 <= ds < 1
        for (up, down), factor in (
            ((limit(sigma + h, eta), limit(sigma - h, eta)), 1.0),
            ((limit(sigma, eta + h), limit(sigma, eta - h)), per_eta),
        ):
            above, below = up.X[-1], down.X[-1]
            size = 1e-5 * (1 + np.abs(slope * factor).max())
            np.testing.assert_allclose((above - below) / (2 * h), slope * factor, rtol=1e-4, atol=size)
            assert (above.sum() - below.sum()) / (2 * h) == pytest.approx(ds * factor, rel=1e-4, abs=size)
            nu_slope = (nu_of(A, above, u0) - nu_of(A, below, u0)) / (2 * h)
            np.testing.assert_allclose(nu_slope, dnu * factor, rtol=1e-3, atol=1e-4 * np.abs(dnu * factor).max())
        s = here.X[-1].sum()
        dl = l_of(nu_of(A, limit(sigma + h, eta).X[-1], u0), A, u0**2)
        dl -= l_of(nu_of(A, limit(sigma - h, eta).X[-1], u0), A, u0**2)
        np.testing.assert_allclose(dnu * 2 * h / dl, s * theta / g, rtol=1e-3, atol=1e-4 * np.abs(theta).max())
        found += 1


def test_the_l1_norm_of_the_limit_is_monotone():
    rng, signs = np.random.default_rng(10), []
    for _ in range(8):
        A, b, u0 = random_problem(rng, 2, 4)
        in_r0 = [integrate(A, b, 2, constant(1.0)[0], r0, u0) for r0 in (0.6, 1.0, 1.6, 2.5)]
        norms = [run.X[-1].sum() for run in in_r0 if run.solved]
        assert (np.diff(norms) >= -1e-10).all()
        r0 = rng.choice([0.8, 3.0])
        runs = [integrate(A, b, 2, constant(eta)[0], r0, u0) for eta in (0.3, 1.0, 1.01)]
        if not all(run.solved for run in runs):
            continue
        small, left, right = (run.X[-1].sum() for run in runs)
        outward = left >= r0**2
        assert (right - left) * (1 if outward else -1) >= -1e-10
        assert (left - small) * (1 if outward else -1) >= -1e-10
        signs.append(outward)
    assert len(set(signs)) == 2


# The discrete scheme nu+ = nu - h R.


def dual_state(nu, A, u0, r0, eta):
    log_p = np.log(u0**2) + A.T @ nu
    s = r0**2 + eta * np.logaddexp.reduce(log_p)
    return s, max(s, 0) * np.exp(log_p - np.logaddexp.reduce(log_p))


def psi(nu, b, s, eta):
    return max(s, 0) ** 2 / (2 * eta) - b @ nu


def rule(A, R, s, eta):
    a = R @ R / np.abs(A.T @ R).max() ** 2
    m, top = max((-A.T @ R).max(), 0), max(s, 0)
    return min(a / eta, 2 * a / (top + np.sqrt(top**2 + 4 * eta * m * a)))


def test_the_rule_decreases_psi_everywhere():
    rng, below, across = np.random.default_rng(11), 0, 0
    for _ in range(3000):
        n = rng.integers(1, 7)
        A, b, u0 = random_problem(rng, rng.integers(1, 4), n)
        A, b = A * 10 ** rng.uniform(-2, 2), b * 10 ** rng.uniform(-2, 2)
        eta, r0 = 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(-2, 1)
        nu = rng.standard_normal(len(A)) * 10 ** rng.uniform(-2, 1) / np.abs(A).max()
        s, X = dual_state(nu, A, u0, r0, eta)
        R = A @ X - b
        if not R.any():
            continue
        h = rule(A, R, s, eta)
        after = nu - h * R
        s_after, _ = dual_state(after, A, u0, r0, eta)
        fall = psi(nu, b, s, eta) - psi(after, b, s_after, eta)
        size = abs(psi(nu, b, s, eta)) + abs(b @ nu)
        assert fall >= h / 2 * (R @ R) - 1e-12 * size
        below += s < 0
        across += s * s_after < 0
    assert below > 100
    assert across > 20


def test_the_scheme_keeps_the_invariant_and_ends_at_the_flows_limit():
    rng, found = np.random.default_rng(12), 0
    for _ in range(10):
        A, b, u0 = random_problem(rng, 2, 5)
        eta, r0 = 10 ** rng.uniform(-0.3, 0.7), 10 ** rng.uniform(-0.3, 0.3)
        run = integrate(A, b, 2, constant(eta)[0], r0, u0)
        if run.collapsed:
            continue
        off = np.eye(5) - np.linalg.pinv(A) @ A
        nu, kept = np.zeros(2), off @ (np.log(u0) + r0**2 / (2 * eta))
        for _ in range(20_000):
            s, X = dual_state(nu, A, u0, r0, eta)
            R = A @ X - b
            if s > 0:
                np.testing.assert_allclose(off @ (np.log(X / s) / 2 + s / (2 * eta)), kept, atol=1e-9)
            if np.abs(R).max() < 1e-12 * np.abs(b).max():
                break
            nu = nu - rule(A, R, s, eta) * R
        else:
            continue
        np.testing.assert_allclose(X, run.X[-1], rtol=1e-7, atol=1e-10)
        found += 1
    assert found >= 4


# Depth 1.


def linear_limit(A, b, E, r0, u0, zero):
    """Return |c|, s and k of S (1 - k e^(-2E)) = ||pinv(A) b||^2, X = pinv(A) b + c (I - P_A) x0."""
    pseudo = np.linalg.pinv(A)
    off = u0 - pseudo @ (A @ u0)
    k = np.exp(2 * E(r0)) * (off @ off)

    def gap(s):
        return s * (1 - k * np.exp(-2 * E(np.sqrt(s)))) - (pseudo @ b) @ (pseudo @ b)

    grid = np.exp(np.linspace(-12, 8, 20_001))
    values = gap(grid)
    (roots,) = np.nonzero((values[:-1] < 0) & (values[1:] >= 0))
    assert len(roots) == 1
    s = brentq(gap, grid[roots[0]], grid[roots[0] + 1], xtol=1e-15, rtol=1e-15)
    safe = k >= np.exp(2 * zero) or ((A @ (r0 * u0) - b) ** 2).sum() < b @ b
    return pseudo @ b, off * np.sqrt(s) * np.exp(E(r0) - E(np.sqrt(s))), s, k, safe


def linear_flow(A, b, f, r0, u0, end=2e3):
    def slope(_, y):
        g = A.T @ (y[0] * (A @ y[1:]) - b)
        return np.concatenate([[-f(y[0]) * (y[1:] @ g)], -y[0] * (g - y[1:] * (y[1:] @ g))])

    def settled(_, y):
        return np.abs(y[0] * (A @ y[1:]) - b).max() - 1e-11

    settled.terminal = True
    run = solve_ivp(slope, (0, end), [r0, *u0], method="LSODA", rtol=1e-11, atol=1e-13, events=settled)
    return run.y[0, -1], run.y[0, -1] * run.y[1:, -1], run.status == 1


def test_the_sign_example_at_depth_1():
    A, b, u0 = np.array([[1.0, 0.0]]), np.array([-1.0]), np.ones(2) / np.sqrt(2)
    f, E = constant(2.0)
    r, X, settled = linear_flow(A, b, f, 1.0, u0)
    base, move, s, k, safe = linear_limit(A, b, E, 1.0, u0, 0.0)
    assert settled
    assert r == pytest.approx(-1.26, abs=0.005)
    assert s == pytest.approx(r**2, rel=1e-8)
    assert k < 1
    assert not safe
    np.testing.assert_allclose(X, base - move, atol=1e-8)


@pytest.mark.parametrize("name", ["constant", "harmonic"])
def test_limits_at_depth_1(name):
    rng, negative, safe_ones = np.random.default_rng(13), 0, 0
    for _ in range(60):
        n = rng.integers(2, 6)
        A, b, u0 = random_problem(rng, rng.integers(1, n), n)
        u0 = u0 * rng.choice([-1, 1], n)
        eta, r0 = 10 ** rng.uniform(-0.3, 0.7), 10 ** rng.uniform(-0.5, 0.5)
        f, E = constant(eta) if name == "constant" else harmonic(eta)
        r, X, settled = linear_flow(A, b, f, r0, u0)
        if not settled:
            continue
        base, move, s, _, safe = linear_limit(A, b, E, r0, u0, 0.0 if name == "constant" else -np.inf)
        assert s == pytest.approx(r**2, rel=1e-7)
        np.testing.assert_allclose(X, base + np.sign(r) * move, rtol=1e-6, atol=1e-7)
        assert not (safe and r < 0)
        negative += r < 0
        safe_ones += safe
    assert safe_ones > 20
    assert (negative > 0) == (name == "constant")


# Bounds and the local rate.


def test_the_l1_norm_at_depth_2_is_bounded_by_the_entropy():
    rng, found = np.random.default_rng(14), 0
    for _ in range(40):
        n = rng.integers(2, 6)
        A, b, u0 = random_problem(rng, rng.integers(1, n), n)
        eta, r0 = 10 ** rng.uniform(-1.3, 1), 10 ** rng.uniform(-1, 1)
        run = integrate(A, b, 2, constant(eta)[0], r0, u0)
        for cost in (np.ones(n), rng.exponential(size=n)):
            z = linprog(cost, A_eq=A, b_eq=b).x
            size = z.sum()
            part = z[z > 0] / size
            entropy = part @ np.log(part / (u0**2)[z > 0])
            spread = np.sqrt((size - r0**2) ** 2 + 2 * eta * size * entropy)
            assert (np.abs(run.r**2 - size) <= spread + 1e-7).all()
            if cost[0] == cost[-1] and run.solved:
                bound = (np.sqrt((size - r0**2) ** 2 + 4 * eta * size * entropy) - (size - r0**2)) / 2
                assert run.X[-1].sum() - size <= bound + 1e-7
                found += 1
    assert found > 20


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_the_sharper_bound_above_depth_2(depth):
    rng, found = np.random.default_rng(50 + depth), 0
    gamma = 1 - 2 / depth
    for _ in range(40):
        n = rng.integers(2, 5)
        A, b, u0 = random_problem(rng, rng.integers(1, n), n)
        eta, r0 = 10 ** rng.uniform(-0.3, 1), 10 ** rng.uniform(-0.7, 0.3)
        law = SQUARE if rng.random() < 0.5 else constant(eta)
        run = integrate(A, b, depth, law[0], r0, u0)
        rho = r0 / run.r[-1] * np.exp(law[1](run.r[-1]) - law[1](r0))
        w = (r0 * u0) ** (2.0 - depth)
        Q = linprog(w, A_eq=A, b_eq=b).fun
        beta1, least = rho**-depth * r0**2, rho**-depth * r0**2 * (u0**2).min()
        if run.collapsed or 1.001 * beta1 >= Q:
            continue
        bound = depth * (beta1**gamma - least**gamma) / (2 * (Q**gamma - beta1**gamma))
        assert w @ run.X[-1] / Q - 1 <= bound + 1e-8
        found += 1
        if 2 * Q**gamma > 1.001 * depth * beta1**gamma:  # (16), under its hypothesis
            printed = depth * (beta1**gamma - least**gamma) / (2 * Q**gamma - depth * beta1**gamma)
            assert bound < printed
    assert found >= 15


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_local_rate(depth):
    rng, found = np.random.default_rng(60 + depth), 0
    f, _ = constant(1.5)
    for _ in range(5):
        A, b, u0 = random_problem(rng, 2, 4)
        run = integrate(A, b, depth, f, 0.9, u0)
        if run.collapsed:
            continue
        s, X = run.X[-1].sum() if depth == 2 else run.r[-1] ** 2, run.X[-1]
        K = depth * (s * A @ np.diag(X ** (2 - 2 / depth)) @ A.T - (1 - f(s**0.5) / s) * np.outer(b, b))
        near = np.argmax(np.linalg.norm(run.residual, axis=1) < 1e-6 * np.linalg.norm(b))
        r, u, R = run.r[near], run.u[near], run.residual[near]
        g = (A.T @ R) * (r * u) ** (depth - 1)
        slope = -f(r) * (u @ g) * u - r**2 * (g - u * (u @ g))
        np.testing.assert_allclose(
            A @ (depth * (r * u) ** (depth - 1) * slope), -K @ R, rtol=0, atol=1e-3 * np.linalg.norm(K @ R)
        )
        found += 1
    assert found >= 2


@pytest.mark.parametrize(("radius", "eta"), [(1.0, 0.3), (1.0, 4.0), (2.5, 1.0), (0.4, 0.5)])
def test_the_exact_range_of_starts_that_are_magnified(radius, eta):
    y = radius**2 / eta
    other = np.sqrt(-eta * lambertw(-y * np.exp(-y), -1 if y < 1 else 0).real)
    low, high = sorted((other, radius))
    starts = np.array([0.99 * low, 1.01 * low, 0.99 * high, 1.01 * high])
    rho = starts / radius * np.exp((radius**2 - starts**2) / (2 * eta))
    assert (rho >= 1).tolist() == [False, True, True, False]
