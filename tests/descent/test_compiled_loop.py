"""Whole trajectories of the compiled loop against loops over one run, written from the paper's formulas."""

import numpy as np
import pytest

import polarbias as pb

M, N = 3, 6
STEPS = 120
SEARCHES = 30  # far enough from the rounding level, where accepting a trial is a matter of the last bit


def matrix_and_rhs(signed):
    rng = np.random.default_rng(5)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    truth = rng.standard_normal(N) if signed else np.abs(rng.standard_normal(N))
    return A, A @ truth


class NaiveModel:
    """One run of depth L whose state is a list of blocks, one or two: [r, u] under a ratio law, else [x]."""

    def __init__(self, A, b, depth, law=None, halves=1, direction_rate=1.0, renormalize=False):
        self.A, self.b, self.depth, self.law, self.halves = A, b, depth, law, halves
        self.direction_rate, self.renormalize = direction_rate, renormalize

    def factors(self, state):
        return [r * u / np.sqrt(u @ u) for r, u in state] if self.law else [x for (x,) in state]

    def signal(self, state):
        x = np.concatenate(self.factors(state)) ** self.depth
        return x if x.size == self.A.shape[1] else x[: x.size // 2] - x[x.size // 2 :]

    def loss(self, state):
        R = self.A @ self.signal(state) - self.b
        return R @ R / (2 * self.depth)

    def field(self, state):
        back = self.A.T @ (self.A @ self.signal(state) - self.b)
        x = np.concatenate(self.factors(state))
        # [A, -A]^T R: the second half of the factor enters with the opposite sign.
        back = back if x.size == back.size else np.concatenate([back, -back])
        grads = np.split(back * x ** (self.depth - 1), self.halves)
        moves, slope = [], 0.0
        for block, grad in zip(state, grads, strict=True):
            if not self.law:
                moves.append([-grad])
                slope += grad @ grad
                continue
            r, u = block
            length = np.sqrt(u @ u)
            d_r = u @ grad / length
            d_u = r / length * (grad - u * (u @ grad) / length**2)
            moves.append([-self.law(r) * d_r, -self.direction_rate * d_u])
            slope += self.law(r) * d_r**2 + self.direction_rate * (d_u @ d_u)
        return moves, slope

    def moved(self, state, dt):
        moves, _ = self.field(state)
        new = [
            [part + dt * move for part, move in zip(block, directions, strict=True)]
            for block, directions in zip(state, moves, strict=True)
        ]
        if self.law and self.renormalize:
            new = [[r, u * np.sqrt(old @ old) / np.sqrt(u @ u)] for (r, u), (_, old) in zip(new, state, strict=True)]
        return new

    def positive(self, state):
        return self.depth == 1 or all(np.all(part > 0) for block in state for part in block)


def constant_steps(model, state, dt, steps):
    """Explicit Euler; nothing in these runs is rejected."""
    states = [state]
    for _ in range(steps):
        states.append(model.moved(states[-1], dt))
    return states, steps


def armijo_steps(model, state, steps, *, tol=0.0, c1=1e-4, initial=None, growth=1.05, shrink=0.5):
    """Backtracking from the last accepted step, grown."""
    states, dt, trials = [state], initial or 0.1 * model.loss(state) / model.field(state)[1], 0
    while len(states) <= steps and model.loss(states[-1]) >= tol:
        loss, slope = model.loss(states[-1]), model.field(states[-1])[1]
        for _ in range(200):
            trials += 1
            trial = model.moved(states[-1], dt)
            if model.positive(trial) and model.loss(trial) <= loss - c1 * dt * slope:
                break
            dt *= shrink
        else:
            raise AssertionError("the naive line search failed")
        states.append(trial)
        dt *= growth
    return states, trials


def start(direction, scale, halves, polar, direction_norm=1.0):
    x0 = scale * direction / np.sqrt(direction @ direction)
    blocks = []
    for x in np.split(x0, halves):
        r = np.sqrt(x @ x)
        blocks.append([r, direction_norm * x / r] if polar else [x])
    return blocks


def flat(theta):
    """Leaves of a theta or of a naive state, in the same order."""
    return [theta] if isinstance(theta, np.ndarray | float) else [leaf for part in theta for leaf in flat(part)]


def check(network, model, *, armijo=None, direction_norm=1.0):
    """Compare a run with the loop of its model; ``armijo`` is True or the options of a line search."""
    A, b, scale, dt, steps = model.A, model.b, 1.5, 1e-2, SEARCHES if armijo else STEPS
    search = armijo if isinstance(armijo, dict) else {}
    n = 2 * N if network.signed and model.depth > 1 else N
    rng = np.random.default_rng(11)
    direction = np.abs(rng.standard_normal(n)) + 0.1
    if model.depth == 1:
        direction *= rng.choice([-1.0, 1.0], n)
    state = start(direction, scale, model.halves, model.law is not None, direction_norm)
    options = {} if direction_norm == 1.0 else {"direction_norm": direction_norm}
    run = pb.gradient_descent(
        pb.LinearProblem(A, b),
        network,
        network.init(scale, direction, **options),
        step=pb.Armijo(**search) if armijo else pb.ConstantStep(dt),
        max_steps=steps,
        tol=0.0,
        keep_x=True,
    )
    states, trials = armijo_steps(model, state, steps, **search) if armijo else constant_steps(model, state, dt, steps)
    tolerance = {"rtol": 1e-7, "atol": 1e-9} if armijo else {"rtol": 1e-11, "atol": 1e-13}
    assert run.status == pb.Status.MAX_STEPS
    assert run.steps == steps
    assert run.stats["trials"] == trials
    record = run.trajectory
    assert len(record) > steps // 2
    assert model.loss(states[-1]) < 0.9 * model.loss(states[0])
    at = [states[k] for k in record.step]
    np.testing.assert_allclose(record.x, [model.signal(s) for s in at], **tolerance)
    np.testing.assert_allclose(record.loss, [model.loss(s) for s in at], **tolerance)
    np.testing.assert_allclose(record.r, [np.linalg.norm(np.concatenate(model.factors(s))) for s in at], **tolerance)
    for leaf, naive in zip(flat(run.theta), flat(states[-1]), strict=True):
        np.testing.assert_allclose(leaf, naive, **tolerance)


P, D, WN = pb.HadamardPower, pb.HadamardDifference, pb.WeightNormalization
CONSTANT = {"law": lambda r: 0.3}
POWER, HARMONIC = pb.PowerRatio(c=0.4, k=-0.5), pb.HarmonicRatio(0.7)


@pytest.mark.parametrize(
    ("network", "options", "check_options"),
    [
        (P(1), {}, {}),
        (P(2), {}, {"armijo": True}),
        (P(4), {}, {}),
        (WN(P(1), 0.3), CONSTANT, {"armijo": True}),
        (WN(P(2), 0.3), CONSTANT, {}),
        (WN(P(3), 0.3), CONSTANT, {"armijo": True}),
        (D(3), {"halves": 2}, {}),
        (WN(D(2), 0.3), CONSTANT, {"armijo": True}),
        (WN(D(4), 0.3), CONSTANT, {}),
        (pb.Difference(WN(P(3), 0.3)), CONSTANT | {"halves": 2}, {}),
        (pb.Difference(WN(P(2), 0.3)), CONSTANT | {"halves": 2}, {"armijo": True}),
        (WN(P(2), pb.PowerRatio(c=0.4, k=2)), {"law": lambda r: 0.4 * r**2}, {}),
        (WN(P(2), POWER), {"law": lambda r: 0.4 / np.sqrt(r)}, {}),
        (WN(P(2), HARMONIC), {"law": lambda r: 1 / (1 / r**2 + 1 / 0.7)}, {"armijo": True}),
        (WN(P(2), 0.3, direction_rate=2.5), CONSTANT | {"direction_rate": 2.5}, {"direction_norm": 1.7}),
        (WN(P(2), 0.3, renormalize=True), CONSTANT | {"renormalize": True}, {}),
        (pb.Difference(WN(P(2), 0.3, renormalize=True)), CONSTANT | {"renormalize": True, "halves": 2}, {}),
        # The demanded decrease is so large that most trials are rejected for it.
        (WN(P(2), 0.3), CONSTANT, {"armijo": {"c1": 0.7, "initial": 3.0, "growth": 1.6, "shrink": 0.3}}),
    ],
    ids=repr,
)
def test_trajectories(network, options, check_options):
    check(network, NaiveModel(*matrix_and_rhs(network.signed), network.degree, **options), **check_options)


@pytest.mark.skipif(np.finfo(np.longdouble).tiny == np.finfo(float).tiny, reason="no extended precision here")
@pytest.mark.parametrize("polar", [False, True])
def test_entries_at_the_edge_of_float64_change_nothing(polar):
    """An entry that has shrunk to the edge of float64 neither ends a run nor changes the other entries.

    The oracle computes in extended precision, whose exponents reach far below that edge.
    """
    A, b = np.array([[1.0, 2.0, 1.0]]), np.array([0.25])
    network = WN(P(2), 0.1) if polar else P(2)
    theta0 = network.init(2.0, np.array([1.0, 0.5, 1.0]))
    theta0[-1][-1] = 1.08 * np.finfo(float).tiny
    run = pb.gradient_descent(pb.LinearProblem(A, b), network, theta0, max_steps=2000, tol=1e-20)
    assert run.status == pb.Status.CONVERGED
    assert 0 < run.theta[-1][-1] < 1e-290

    wide = np.longdouble
    model = NaiveModel(A.astype(wide), b.astype(wide), 2, (lambda r: wide(0.1)) if polar else None)
    states, trials = armijo_steps(model, [[wide(leaf) for leaf in theta0]], 2000, tol=1e-20)
    assert run.steps == len(states) - 1
    assert run.stats["trials"] == trials
    np.testing.assert_allclose(run.x[:2], np.asarray(model.signal(states[-1])[:2], float), rtol=1e-9)
    assert run.x[2] == 0
