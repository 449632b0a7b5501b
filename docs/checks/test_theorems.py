"""Every numbered statement of arXiv:2305.05448v1 on random problems, in the form of docs/errata.md.

Flows are integrated in log r and log u (`flow_oracle`) or as (12)-(13) stand; divergences and bounds are their
formulas; minima come from HiGHS. Nothing here imports polarbias.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from formulas import epsilon, magnification, minimal_l1, mirror, off_rows, random_start
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.optimize import linprog

from flow_oracle import SQUARE, constant, integrate


@cache
def case(seed):
    """Return a start at depth 2 to 4 with its flows, for a constant ratio and for eta_r = r^2; odd row sums are 0."""
    rng = np.random.default_rng([3, seed])
    depth, m = 2 + seed // 2 % 3, rng.integers(1, 5)
    A, b, u0 = random_start(rng, m, m + rng.integers(2, 7), centred=bool(seed % 2))
    A, b = A / np.sqrt(m), b / np.sqrt(m)
    r0, eta = np.exp(rng.uniform(-1, 0.7)), np.exp(rng.uniform(-1.2, 1))
    start = A, b, depth
    wn, plain = (integrate(*start, law, r0, u0) for law in (constant(eta)[0], SQUARE[0]))
    return SimpleNamespace(
        A=A, b=b, depth=depth, r0=r0, u0=u0, eta=eta, P=off_rows(A), wn=wn, plain=plain, w=(r0 * u0) ** (2.0 - depth)
    )


@pytest.fixture(params=range(24))
def c(request):
    return case(request.param)


def gradient(c, x):
    """Return (23)."""
    return (c.A.T @ (c.A @ x**c.depth - c.b)) * x ** (c.depth - 1)


def velocity(c, y, eta_r, eta_u=1.0):
    """Return the right-hand sides of (12) and (13) with (24) and (25), for u of any norm."""
    r, u = y[0], y[1:]
    length = np.linalg.norm(u)
    g = gradient(c, r * u / length)
    radial = u @ g / length
    return np.concatenate([[-eta_r * radial], -eta_u * r / length * (g - u * radial / length)])


def loss(c, y):
    x = y[0] / np.linalg.norm(y[1:]) * y[1:]
    return ((c.A @ x**c.depth - c.b) ** 2).sum() / (2 * c.depth)


def raw(c, length=1.0, eta_u=1.0):
    """Integrate (12) and (13) for a constant ratio from a direction of any norm."""
    run = solve_ivp(
        lambda _, y: velocity(c, y, c.eta, eta_u), (0, 3.0), [c.r0, *(length * c.u0)],
        t_eval=np.linspace(0, 3, 40), method="LSODA", rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    assert run.success
    return run.t, run.y.T


def test_lemma_3_1(c):
    (_, y), (_, other) = raw(c), raw(c, 3.0, 9.0)
    np.testing.assert_allclose(other[:, 0], y[:, 0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other[:, 1:], 3 * y[:, 1:], rtol=1e-6, atol=3e-8)


def test_lemmas_3_2_to_3_5(c):
    t, y = raw(c, 0.6)
    losses = np.array([loss(c, state) for state in y])
    np.testing.assert_allclose(np.linalg.norm(y[:, 1:], axis=1), 0.6, rtol=1e-8)
    assert (y > 0).all()
    assert (np.diff(losses) <= 1e-9 * losses[0]).all()
    assert losses[-1] < losses[0]
    least = (y[:, :1] * y[:, 1:] / 0.6).min(0)
    order, rates = np.argsort(-least), []
    for k in range(len(c.b), len(least) + 1):  # (31), for ||u|| = 0.6
        sizes = np.linalg.svd(c.A[:, order[:k]], compute_uv=False)
        c_x, sigma = least[order[k - 1]], sizes[-1] if sizes[-1] > 1e-10 * sizes[0] else 0.0
        rates.append(min(c.eta, c_x**2 * k / 0.36) * 2 * c.depth * c_x ** (2 * c.depth - 2) * sigma**2)
    assert max(rates) > 0
    assert (losses <= losses[0] * np.exp(-0.99 * max(rates) * t) + 1e-16 * losses[0]).all()


def test_lemmas_3_6_to_3_8(c):
    x = c.plain.log_r[:, None] + c.plain.log_u
    kept = mirror(c.depth, x)
    assert np.abs((kept - kept[0]) @ c.P).max() < 1e-8 * np.abs(kept).max()
    values = mirror(c.depth, c.wn.log_u + ((c.wn.r**2 - c.r0**2) / (2 * c.eta))[:, None])
    # Entries of v^(2-L) can grow without bound in a collapse.
    assert (np.abs((values - values[0]) @ c.P).max(1) < 1e-8 * np.maximum(np.abs(values).max(1), 1)).all()
    if c.wn.solved:  # (40), and (42) with x_0 for its printed power
        rho = magnification(c.r0, c.wn.r[-1], c.eta)
        ends = (mirror(c.depth, log_x) for log_x in (c.wn.log_r[-1] + c.wn.log_u[-1], np.log(c.r0 * c.u0 / rho)))
        first, second = ends
        assert np.abs((first - second) @ c.P).max() < 1e-7 * max(np.abs(first).max(), np.abs(second).max())


@pytest.mark.parametrize("seed", range(1, 24, 2))
def test_lemma_3_9(seed):
    c = case(seed)
    v = c.wn.log_u + ((c.wn.r**2 - c.r0**2) / (2 * c.eta))[:, None]
    kept = mirror(c.depth, v).sum(1)
    np.testing.assert_allclose(kept, kept[0], rtol=1e-7, atol=1e-7)
    floor = kept[0] - (len(c.u0) - 1) * v.max(1) if c.depth == 2 else np.log(kept[0]) / (2 - c.depth)
    assert (v.min(1) >= floor - 1e-6).all()


def test_lemma_3_10(c):
    """Newton's method from a random point finds the limit of the flow from its image and invariant."""
    assert c.plain.solved
    X = c.plain.X[-1]
    z = X * np.exp(0.1 * np.random.default_rng(0).uniform(-1, 1, len(X)))
    kernel = np.linalg.svd(c.A)[2][np.linalg.matrix_rank(c.A) :]
    invariant = mirror(c.depth, np.log(c.r0 * c.u0))
    for _ in range(60):
        values = mirror(c.depth, np.log(z) / c.depth)
        F = np.concatenate([c.A @ z - c.b, kernel @ (values - invariant)])
        slope = np.ones(len(z)) if c.depth == 2 else (2 - c.depth) * values
        step = np.linalg.lstsq(np.vstack([c.A * z, kernel * (slope / c.depth)]), -F, rcond=None)[0]
        z = z * np.exp(step * min(1.0, 0.5 / max(np.abs(step).max(), 1e-300)))
    np.testing.assert_allclose(z, X, rtol=1e-4, atol=1e-6 * X.max())


@pytest.mark.parametrize("seed", [k for k in range(24) if k // 2 % 3 == 0])
def test_lemma_3_11(seed):
    """The inequality of the proof holds along the flow, with the corrected (50)."""
    c = case(seed)
    run, s, E = c.wn, c.wn.r**2, c.wn.r**2 / (2 * c.eta)
    image = max(np.abs(x - x @ c.P).max() for x in run.X)
    kept = np.abs((np.log(c.u0) + E[0]) @ c.P).max()
    phi, entropy = run.log_u + E[:, None], (run.u**2 * run.log_u).sum(1)
    bound = image * np.abs(phi - phi @ c.P).sum(1) + kept * s
    assert (entropy >= -len(c.u0) / (2 * np.e)).all()
    assert (s * (E + entropy) <= bound + 1e-7 * s.max() * (1 + E.max())).all()


def test_hypotheses_of_theorem_3_12(c):
    delta = 2 * np.sqrt(c.eta) / (1 + c.eta)
    for y in raw(c)[1][:14]:
        v = velocity(c, y, c.eta)
        speed = np.linalg.norm(v)
        slope = np.linalg.norm(v / np.append(c.eta, np.ones(len(c.u0))))
        step = 1e-6 * v / max(speed, 1e-9)
        fall = (loss(c, y - step) - loss(c, y + step)) / 2e-6 * speed
        assert fall >= delta * slope * speed * (1 - 1e-5) - 1e-8 * speed
        assert speed**2 <= max(c.eta, 1) * fall * (1 + 1e-5) + 1e-8 * speed


def test_lemma_3_13_and_corollary_3_14(c):
    x, g = c.r0 * c.u0, gradient(c, c.r0 * c.u0)
    P = np.outer(x, x) / (x @ x)
    corrected = -(c.eta * P + (x @ x) * (np.eye(len(x)) - P)) @ g
    y = np.concatenate([[c.r0], c.u0])
    for eta_r, expected in ((c.eta, corrected), (c.r0**2, -(x @ x) * g)):
        size = 1e-5 / (1 + np.linalg.norm(expected))
        ends = [y + sign * size * velocity(c, y, eta_r) for sign in (1, -1)]
        ahead, behind = (end[0] * end[1:] / np.linalg.norm(end[1:]) for end in ends)
        np.testing.assert_allclose((ahead - behind) / (2 * size), expected, atol=1e-6 * (1 + np.linalg.norm(expected)))


def divergence(depth, z, X):
    """Return (55) of (57), as printed in the proof of Lemma 3.18; z may have zeros, X has a row per time."""
    if depth == 2:
        entropy = np.where(z > 0, z * np.log(np.where(z > 0, z, 1) / X), 0.0)
        return (entropy - z + X).sum(-1) / 2
    L = depth
    return (L / (2 * (2 - L)) * z ** (2 / L) + X ** (2 / L) / 2 - X ** (2 / L - 1) * z / (2 - L)).sum(-1)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_lemma_3_16(depth):
    for p, other, q in np.exp(np.random.default_rng(depth).uniform(-6, 2, (200, 3, 5))):
        D = [divergence(depth, z, q) for z in (p, other, (p + other) / 2)]
        assert min(D) >= 0
        assert D[2] < (D[0] + D[1]) / 2
        assert abs(divergence(depth, q, q)) <= 1e-12 * q.sum()


def test_lemma_3_17(c):
    """D_F(z, X) falls at the rate 2 L r^2 loss for a minimal l1 solution z and for the limit."""
    run = c.plain
    rate = 2 * c.depth * run.r**2 * run.loss / run.r ** (c.depth - 2)  # per unit of the oracle's clock
    fall = CubicSpline(run.time, rate).antiderivative()(run.time)
    for z in (linprog(np.ones(len(c.u0)), A_eq=c.A, b_eq=c.b).x, run.X[-1]):
        D = divergence(c.depth, z, run.X)
        np.testing.assert_allclose(D[0] - D, fall, rtol=1e-4, atol=1e-6 * (1 + np.abs(D[0])))


def weighted_excess(c, run):
    Q = minimal_l1(c.A, c.b, c.w / c.w.max()) * c.w.max()
    return (c.w @ run.X[-1] - Q) / Q, Q


def test_lemma_3_18_and_theorem_2_3(c):
    assert c.plain.solved
    excess, Q = weighted_excess(c, c.plain)
    threshold = 1 if c.depth == 2 else (c.depth / 2) ** (c.depth / (c.depth - 2))
    if threshold * c.r0**2 < Q:
        assert excess <= epsilon(c.depth, Q, c.r0**2, c.r0**2 * (c.u0**2).min()) + 1e-7


def test_theorem_2_1(c):
    run, eta, r0 = c.wn, c.eta, c.r0
    assert run.solved != run.collapsed
    if run.collapsed:  # excluded in the corrected form
        assert (run.loss >= c.b @ c.b / (2 * c.depth) * (1 - 1e-9)).all()
        return
    X, r = run.X[-1], run.r[-1]
    rho = magnification(r0, r, eta)
    plain = integrate(c.A, c.b, c.depth, SQUARE[0], r0 / rho, c.u0)
    np.testing.assert_allclose(plain.X[-1], X, rtol=1e-5, atol=1e-7 * X.max())
    excess, Q = weighted_excess(c, run)
    beta1 = rho**-c.depth * r0**2
    if beta1 * (1 if c.depth == 2 else (c.depth / 2) ** (c.depth / (c.depth - 2))) < Q:
        assert excess <= epsilon(c.depth, Q, beta1, beta1 * (c.u0**2).min()) + 1e-7
    if min(eta, r**2) <= r0**2 <= max(eta, r**2):  # (20)
        assert rho >= 1 - 1e-9
    assert r**2 >= minimal_l1(c.A, c.b) ** (2 / c.depth) * (1 - 1e-7)  # (21)
