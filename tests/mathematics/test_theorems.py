"""Every numbered statement of arXiv:2305.05448v1, on fresh random problems at several sizes and depths.

Nothing of the library is used here: flows are integrated in log r and log u (`flow_oracle`) or as (12)-(13) stand,
divergences and bounds are their formulas, minima come from HiGHS. Which test is about which statement, in the form of
docs/errata.md (tests in other modules hold the library's own functions to them):

=========================  ==========================================================================================
Lemma 3.1                  test_lemma_3_1; test_lemmas.py
Lemmas 3.2, 3.3, 3.4       test_lemmas_3_2_to_3_4; test_lemmas.py (descent)
Lemma 3.5, (31)            test_lemma_3_5; test_rates.py, test_printed_forms.py
Lemma 3.6                  test_lemma_3_6; test_invariants.py
Lemmas 3.7, 3.8            test_lemmas_3_7_and_3_8; test_invariants.py
Lemma 3.9                  test_lemma_3_9
Lemma 3.10                 test_lemma_3_10
Lemma 3.11, (50)           test_lemma_3_11
Theorem 3.12, (51), (52)   test_hypotheses_of_theorem_3_12
Lemma 3.13, Cor. 3.14      test_lemma_3_13_and_corollary_3_14
Lemma 3.16                 test_lemma_3_16; test_potential.py
Lemma 3.17                 test_lemma_3_17; test_theory_claims.py (any ratio law)
Lemma 3.18, Theorem 2.3    test_lemma_3_18_and_theorem_2_3
Theorem 2.1, (17)-(20)     test_theorem_2_1; test_bounds.py, test_magnification.py
Theorem 2.2                test_theorem_2_2; test_theory_claims.py (the dichotomy)
(21)                       test_theorem_2_1; test_magnification.py
=========================  ==========================================================================================
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

from flow_oracle import SQUARE, constant, integrate

DEPTHS = st.sampled_from([2, 3, 4])
FEW = settings(max_examples=20)


@st.composite
def starts(draw, depths=DEPTHS, largest=4, centred=None):
    """A, b = A z with z > 0, depth, r0, a unit u0 > 0, eta."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m = draw(st.integers(1, largest))
    n = m + draw(st.integers(1, 5)) + 1
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    if draw(st.booleans()) if centred is None else centred:
        A -= A.mean(axis=1, keepdims=True)
    u0 = np.exp(rng.uniform(-1.5, 0, n))
    r0, eta = np.exp(rng.uniform(-1, 0.7)), np.exp(rng.uniform(-1.2, 1))
    return A, A @ np.exp(rng.uniform(-1, 0.5, n)), draw(depths), r0, u0 / np.linalg.norm(u0), eta


def off_rows(A):
    return np.eye(A.shape[1]) - np.linalg.pinv(A) @ A


def gradient(A, b, depth, x):
    return (A.T @ (A @ x**depth - b)) * x ** (depth - 1)


def polar_field(A, b, depth, eta_r, eta_u):
    """(12) and (13) with (24) and (25), for u of any norm."""

    def field(_, y):
        r, u = y[0], y[1:]
        length = np.linalg.norm(u)
        g = gradient(A, b, depth, r * u / length)
        radial = u @ g / length
        return np.concatenate([[-eta_r(r) * radial], -eta_u * r / length * (g - u * radial / length)])

    return field


def raw(A, b, depth, r0, u0, eta_r, eta_u=1.0, end=3.0):
    times = np.linspace(0, end, 40)
    run = solve_ivp(
        polar_field(A, b, depth, eta_r, eta_u),
        (0, end),
        [r0, *u0],
        t_eval=times,
        method="LSODA",
        rtol=1e-11,
        atol=1e-13,
    )
    assert run.success
    return times, run.y[0], run.y[1:].T


def losses(A, b, depth, r, u):
    x = (r / np.linalg.norm(u, axis=1))[:, None] * u
    return (((x**depth) @ A.T - b) ** 2).sum(1) / (2 * depth)


def mirror(depth, log_v):
    return log_v if depth == 2 else np.exp((2 - depth) * log_v)


def plain_divergence(depth, z, X):
    """(55) of (57), as printed in the proof of Lemma 3.18; z may have zeros."""
    if depth == 2:
        entropy = np.where(z > 0, z * np.log(np.where(z > 0, z, 1) / X), 0.0)
        return (entropy - z + X).sum() / 2
    L = depth
    return (L / (2 * (2 - L)) * z ** (2 / L) + X ** (2 / L) / 2 - X ** (2 / L - 1) * z / (2 - L)).sum()


def minimal(A, b, w):
    found = linprog(w / w.max(), A_eq=A, b_eq=b, method="highs")
    assert found.status == 0
    return found.fun * w.max(), found.x


def epsilon(depth, Q, beta1, beta_min):
    """(16), and whether Q > c_L beta1."""
    if depth == 2:
        return np.log(beta1 / beta_min) / np.log(Q / beta1), beta1 < Q
    g, c = 1 - 2 / depth, (depth / 2) ** (depth / (depth - 2))
    return depth * (beta1**g - beta_min**g) / (2 * Q**g - depth * beta1**g), c * beta1 < Q


@FEW
@given(starts(), st.floats(0.2, 5))
def test_lemma_3_1(start, a):
    A, b, depth, r0, u0, eta = start
    _, r, u = raw(A, b, depth, r0, u0, lambda r: eta)
    _, other_r, other_u = raw(A, b, depth, r0, a * u0, lambda r: eta, a**2)
    np.testing.assert_allclose(other_r, r, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other_u, a * u, rtol=1e-6, atol=1e-8 * a)


@FEW
@given(starts(), st.floats(0.3, 3))
def test_lemmas_3_2_to_3_4(start, length):
    A, b, depth, r0, u0, eta = start
    _, r, u = raw(A, b, depth, r0, length * u0, lambda r: eta)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), length, rtol=1e-8)
    assert (r > 0).all()
    assert (u > 0).all()
    loss = losses(A, b, depth, r, u)
    assert (np.diff(loss) <= 1e-9 * loss[0]).all()
    assert loss[-1] < loss[0]


@FEW
@given(starts())
def test_lemma_3_5(start):
    A, b, depth, r0, u0, eta = start
    times, r, u = raw(A, b, depth, r0, u0, lambda r: eta)
    x = r[:, None] * u
    order = np.argsort(-x.min(0))
    applied = 0
    for k in range(len(b), len(u0) + 1):
        kept = order[:k]
        sizes = np.linalg.svd(A[:, kept], compute_uv=False)
        c_x, smallest = x[:, kept].min(), sizes[-1] if sizes[-1] > 1e-10 * sizes[0] else 0.0
        rate = min(eta, c_x**2 * k) * 2 * depth * c_x ** (2 * depth - 2) * smallest**2
        loss = losses(A, b, depth, r, u)
        assert (loss <= loss[0] * np.exp(-0.99 * rate * times) + 1e-16 * loss[0]).all()
        applied += rate > 0
    assert applied


@FEW
@given(starts())
def test_lemma_3_6(start):
    A, b, depth, r0, u0, _ = start
    run = solve_ivp(lambda _, x: -gradient(A, b, depth, x), (0, 5), r0 * u0, method="LSODA", rtol=1e-11, atol=1e-13)
    kept = mirror(depth, np.log(run.y.T)) @ off_rows(A)
    np.testing.assert_allclose(
        kept, np.broadcast_to(kept[0], kept.shape), atol=1e-6 * np.abs(mirror(depth, np.log(run.y))).max()
    )


@FEW
@given(starts())
def test_lemmas_3_7_and_3_8(start):
    A, b, depth, r0, u0, eta = start
    run = integrate(A, b, depth, constant(eta)[0], r0, u0)
    v = run.log_u + ((run.r**2 - r0**2) / (2 * eta))[:, None]
    values = mirror(depth, v)
    # A collapse may let entries of v^(2-L) grow without end.
    size = np.maximum(np.abs(values).max(1), np.abs(values[0]).max())
    drift = np.abs((values - values[0]) @ off_rows(A)).max(1) / size
    assert drift.max() < 1e-8
    if run.solved:  # (40), and (42) with x_0 for its printed power
        gamma = run.r[-1] / r0 * np.exp((r0**2 - run.r[-1] ** 2) / (2 * eta))
        x0, x = np.log(gamma * r0 * u0), np.log(run.r[-1]) + run.log_u[-1]
        ends = mirror(depth, x), mirror(depth, x0)
        assert np.abs((ends[0] - ends[1]) @ off_rows(A)).max() < 1e-7 * max(np.abs(end).max() for end in ends)


@FEW
@given(starts(centred=True))
def test_lemma_3_9(start):
    A, b, depth, r0, u0, eta = start
    run = integrate(A, b, depth, constant(eta)[0], r0, u0)
    v = run.log_u + ((run.r**2 - r0**2) / (2 * eta))[:, None]
    kept = mirror(depth, v).sum(1)
    np.testing.assert_allclose(kept, kept[0], rtol=1e-7, atol=1e-7)
    floor = kept[0] - (len(u0) - 1) * v.max(1) if depth == 2 else np.log(kept[0]) / (2 - depth)
    assert (v.min(1) >= floor - 1e-6).all()


@FEW
@given(starts(), st.integers(0, 2**32 - 1))
def test_lemma_3_10(start, seed):
    """Newton's method from random points finds one point of the same image and invariant: that of the flow."""
    A, b, depth, r0, u0, _ = start
    run = integrate(A, b, depth, SQUARE[0], r0, u0)
    assert run.solved
    x0, limit = r0 * u0, run.X[-1]
    z = limit * np.exp(0.1 * np.random.default_rng(seed).uniform(-1, 1, len(u0)))
    rows = np.linalg.svd(A)[2]
    kernel = rows[np.linalg.matrix_rank(A) :]
    for _ in range(60):
        log_x = np.log(z) / depth
        F = np.concatenate([A @ z - b, kernel @ (mirror(depth, log_x) - mirror(depth, np.log(x0)))])
        slope = np.ones(len(z)) if depth == 2 else (2 - depth) * mirror(depth, log_x)
        step = np.linalg.lstsq(np.vstack([A * z, kernel * (slope / depth)]), -F, rcond=None)[0]
        z = z * np.exp(step * min(1.0, 0.5 / max(np.abs(step).max(), 1e-300)))
    np.testing.assert_allclose(z, limit, rtol=1e-4, atol=1e-6 * limit.max())


@FEW
@given(starts(depths=st.just(2)))
def test_lemma_3_11(start):
    """The inequality of the proof, with (50) as it should be, along the flow."""
    A, b, depth, r0, u0, eta = start
    run = integrate(A, b, depth, constant(eta)[0], r0, u0)
    s, E = run.r**2, run.r**2 / (2 * eta)
    P = off_rows(A)
    image = max(np.abs(x - x @ P).max() for x in run.X)
    kept = np.abs((np.log(u0) + E[0]) @ P).max()
    phi = run.log_u + E[:, None]
    entropy = (run.u**2 * run.log_u).sum(1)
    assert (entropy >= -len(u0) / (2 * np.e)).all()
    assert (s * (E + entropy) <= image * np.abs(phi - phi @ P).sum(1) + kept * s + 1e-7 * s.max() * (1 + E.max())).all()


@FEW
@given(starts())
def test_hypotheses_of_theorem_3_12(start):
    A, b, depth, r0, u0, eta = start
    _, r, u = raw(A, b, depth, r0, u0, lambda r: eta, end=1.0)
    field = polar_field(A, b, depth, lambda r: eta, 1.0)
    delta = 2 * np.sqrt(eta) / (1 + eta)
    for y in np.column_stack([r, u]):
        velocity = field(0, y)
        slope = velocity / np.concatenate([[-eta], -np.ones(len(u0))])
        step = 1e-6 * velocity / max(np.linalg.norm(velocity), 1e-9)
        sides = [losses(A, b, depth, np.array([(y + s * step)[0]]), (y + s * step)[None, 1:])[0] for s in (1, -1)]
        fall = (sides[1] - sides[0]) / 2e-6 * np.linalg.norm(velocity)
        noise = 1e-8 * np.linalg.norm(velocity)
        assert fall >= delta * np.linalg.norm(slope) * np.linalg.norm(velocity) * (1 - 1e-5) - noise
        assert velocity @ velocity <= max(eta, 1) * fall * (1 + 1e-5) + noise


@FEW
@given(starts())
def test_lemma_3_13_and_corollary_3_14(start):
    A, b, depth, r0, u0, eta = start
    x, g = r0 * u0, gradient(A, b, depth, r0 * u0)
    P = np.outer(x, x) / (x @ x)
    for rate, expected in (
        (lambda r: eta, -(eta * P + (x @ x) * (np.eye(len(x)) - P)) @ g),
        (lambda r: r**2, -(x @ x) * g),
    ):
        size = 1e-5 / (1 + np.linalg.norm(expected))
        field = polar_field(A, b, depth, rate, 1.0)
        y = np.concatenate([[r0], u0])
        ahead, behind = (y + sign * size * field(0, y) for sign in (1, -1))
        moved = ahead[0] * ahead[1:] / np.linalg.norm(ahead[1:]) - behind[0] * behind[1:] / np.linalg.norm(behind[1:])
        np.testing.assert_allclose(moved / (2 * size), expected, atol=1e-6 * (1 + np.linalg.norm(expected)))


@FEW
@given(DEPTHS, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_lemma_3_16(depth, n, seed):
    p, other, q = np.exp(np.random.default_rng(seed).uniform(-6, 2, (3, n)))
    D = [plain_divergence(depth, z, q) for z in (p, other, (p + other) / 2)]
    assert min(D) >= 0
    assert D[2] < (D[0] + D[1]) / 2
    assert abs(plain_divergence(depth, q, q)) <= 1e-12 * q.sum()


@FEW
@given(starts())
def test_lemma_3_17(start):
    """The rate is the same for two points of S+: a minimal l1 solution, and the limit."""
    A, b, depth, r0, u0, _ = start
    run = integrate(A, b, depth, SQUARE[0], r0, u0)
    _, r, u = raw(A, b, depth, r0, u0, lambda r: r**2, end=2.0)
    X = (r[:, None] * u) ** depth
    fine = np.linspace(0, 2.0, 1601)
    run_fine = solve_ivp(
        polar_field(A, b, depth, lambda r: r**2, 1.0),
        (0, 2.0),
        [r0, *u0],
        t_eval=fine,
        method="LSODA",
        rtol=1e-11,
        atol=1e-13,
    )
    rate = 2 * depth * run_fine.y[0] ** 2 * losses(A, b, depth, run_fine.y[0], run_fine.y[1:].T)
    total = (rate[0] + 4 * rate[1::2].sum() + 2 * rate[2:-1:2].sum() + rate[-1]) * (fine[1] - fine[0]) / 3
    for z in (minimal(A, b, np.ones(len(u0)))[1], run.X[-1]):
        fall = plain_divergence(depth, z, X[0]) - plain_divergence(depth, z, X[-1])
        np.testing.assert_allclose(fall, total, rtol=2e-4)


@FEW
@given(starts())
def test_lemma_3_18_and_theorem_2_3(start):
    A, b, depth, r0, u0, _ = start
    run = integrate(A, b, depth, SQUARE[0], r0, u0)
    assert run.solved
    assert run.loss[-1] <= 1e-12 * (b @ b)
    w = (r0 * u0) ** (2.0 - depth)
    Q, _ = minimal(A, b, w)
    value, applies = epsilon(depth, Q, r0**2, r0**2 * (u0**2).min())
    if applies:
        assert (w @ run.X[-1] - Q) / Q <= value + 1e-7


@FEW
@given(starts())
def test_theorem_2_1(start):
    A, b, depth, r0, u0, eta = start
    run = integrate(A, b, depth, constant(eta)[0], r0, u0)
    if run.collapsed:  # excluded in the corrected form
        assert (run.loss >= b @ b / (2 * depth) * (1 - 1e-9)).all()
        return
    assert run.solved
    X, r = run.X[-1], run.r[-1]
    log_rho = np.log(r0 / r) + (r**2 - r0**2) / (2 * eta)
    plain = integrate(A, b, depth, SQUARE[0], r0 * np.exp(-log_rho), u0)
    np.testing.assert_allclose(plain.X[-1], X, rtol=1e-5, atol=1e-7 * X.max())
    w = (r0 * u0) ** (2.0 - depth)
    Q, _ = minimal(A, b, w)
    scale = np.exp(-depth * log_rho)
    value, applies = epsilon(depth, Q, scale * r0**2, scale * r0**2 * (u0**2).min())
    if applies:
        assert (w @ X - Q) / Q <= value + 1e-7
    if min(eta, r**2) <= r0**2 <= max(eta, r**2):  # (20)
        assert log_rho >= -1e-9
    assert r**2 >= minimal(A, b, np.ones(len(u0)))[0] ** (2 / depth) * (1 - 1e-7)  # (21)


@FEW
@given(starts(depths=st.just(2)))
def test_theorem_2_2(start):
    """The limit minimises KL and radial term over S+, seen by the sign of the slope towards vertices; or collapse."""
    A, b, depth, r0, u0, eta = start
    run = integrate(A, b, depth, constant(eta)[0], r0, u0)
    assert run.solved != run.collapsed
    if run.collapsed:
        return
    X, S = run.X[-1], run.r[-1] ** 2
    slope = np.log(X / S) - 2 * np.log(u0) + (S - r0**2) / eta
    for seed in range(4):
        vertex = linprog(np.random.default_rng(seed).exponential(size=len(u0)), A_eq=A, b_eq=b)
        assert vertex.status == 0
        assert slope @ (vertex.x - X) >= -1e-6 * (1 + np.abs(slope).max()) * (S + vertex.x.sum())
