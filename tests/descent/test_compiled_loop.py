"""Whole trajectories of the compiled loop against loops over one run, written from the paper's formulas."""

import jax
import numpy as np
import pytest

import polarbias as pb

M, N = 3, 6


class NaiveModel:
    """One run of depth L whose state is a list of blocks, one or two: [r, u] under a ratio law, else [x]."""

    def __init__(self, A, b, depth, law=None, direction_rate=1.0, renormalize=False):
        self.A, self.b, self.depth, self.law = A, b, depth, law
        self.direction_rate, self.renormalize = direction_rate, renormalize

    def start(self, theta):
        leaves, size = jax.tree.leaves(theta), 2 if self.law else 1
        return [leaves[k : k + size] for k in range(0, len(leaves), size)]

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
        grads = np.split(back * x ** (self.depth - 1), len(state))
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


def line_search(model, state, steps, c1=1e-4, initial=None, growth=1.05, shrink=0.5):
    """Backtracking from the last accepted step, grown; return the states and the number of trials."""
    states, dt, trials = [state], initial or 0.1 * model.loss(state) / model.field(state)[1], 0
    for _ in range(steps):
        loss, slope = model.loss(states[-1]), model.field(states[-1])[1]
        trial, trials = model.moved(states[-1], dt), trials + 1
        while not (model.positive(trial) and model.loss(trial) <= loss - c1 * dt * slope):
            dt *= shrink
            trial, trials = model.moved(states[-1], dt), trials + 1
        states.append(trial)
        dt *= growth
    return states, trials


P, D, WN = pb.HadamardPower, pb.HadamardDifference, pb.WeightNormalization
CONSTANT = {"law": lambda r: 0.3}


@pytest.mark.parametrize(
    ("network", "model", "search"),
    [
        (P(1), {}, None),
        (P(2), {}, {}),
        (WN(P(1), 0.3), CONSTANT, {}),
        (WN(P(3), 0.3), CONSTANT, {}),
        (D(3), {}, None),
        (WN(D(4), 0.3), CONSTANT, {}),
        (pb.Difference(WN(P(2), 0.3)), CONSTANT, {}),
        (WN(P(2), pb.PowerRatio(c=0.4, k=2)), {"law": lambda r: 0.4 * r**2}, None),
        (WN(P(2), pb.PowerRatio(c=0.4, k=-0.5)), {"law": lambda r: 0.4 / np.sqrt(r)}, None),
        (WN(P(2), pb.HarmonicRatio(0.7)), {"law": lambda r: 1 / (1 / r**2 + 1 / 0.7)}, {}),
        (WN(P(2), 0.3, direction_rate=2.5), CONSTANT | {"direction_rate": 2.5}, None),
        (WN(P(2), 0.3, renormalize=True), CONSTANT | {"renormalize": True}, None),
        (pb.Difference(WN(P(3), 0.3, renormalize=True)), CONSTANT | {"renormalize": True}, None),
        # The demanded decrease is so large that most trials are rejected for it.
        (WN(P(2), 0.3), CONSTANT, {"c1": 0.7, "initial": 3.0, "growth": 1.6, "shrink": 0.3}),
    ],
)
def test_trajectories(network, model, search):
    """``search`` holds the options of a line search, None for constant steps."""
    rng = np.random.default_rng(5)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    b = A @ (rng.standard_normal(N) if network.signed else np.abs(rng.standard_normal(N)))
    model = NaiveModel(A, b, network.degree, **model)
    direction = np.abs(rng.standard_normal(2 * N if network.signed and model.depth > 1 else N)) + 0.1
    if model.depth == 1:
        direction *= rng.choice([-1.0, 1.0], N)
    options = {"direction_norm": 1.7} if model.direction_rate != 1 else {}
    theta0 = network.init(1.5, direction, **options)
    if search is None:
        step, steps, rtol, search = pb.ConstantStep(1e-2), 120, 1e-11, {"initial": 1e-2, "growth": 1.0, "c1": 0.0}
    else:  # fewer steps, because near the rounding level the last bit decides on a trial
        step, steps, rtol = pb.Armijo(**search), 30, 1e-7
    run = pb.gradient_descent(pb.LinearProblem(A, b), network, theta0, step=step, max_steps=steps, tol=0.0, keep_x=True)
    states, trials = line_search(model, model.start(theta0), steps, **search)
    assert run.status == pb.Status.MAX_STEPS
    assert run.steps == steps
    assert run.stats["trials"] == trials
    record = run.trajectory
    assert len(record) > steps // 2
    assert model.loss(states[-1]) < 0.9 * model.loss(states[0])
    at = [states[k] for k in record.step]
    for found, expected in (
        (record.x, [model.signal(s) for s in at]),
        (record.loss, [model.loss(s) for s in at]),
        (record.r, [np.linalg.norm(np.concatenate(model.factors(s))) for s in at]),
        *zip(jax.tree.leaves(run.theta), jax.tree.leaves(states[-1]), strict=True),
    ):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol / 100)


@pytest.mark.parametrize("polar", [False, True])
def test_entries_at_the_edge_of_float64_change_nothing(polar):
    """Compare with the run without the entry, which has shrunk to the edge of float64."""
    A, network = np.array([[1.0, 2.0, 1.0]]), WN(P(2), 0.1) if polar else P(2)
    theta0 = network.init(2.0, np.array([1.0, 0.5, 1.0]))
    theta0[-1][-1] = 1.08 * np.finfo(float).tiny
    without = theta0._replace(**{theta0._fields[-1]: theta0[-1][:2]})
    run, expected = (
        pb.gradient_descent(pb.LinearProblem(A[:, :n], [0.25]), network, start, max_steps=2000, tol=1e-20)
        for n, start in ((3, theta0), (2, without))
    )
    assert run.status == pb.Status.CONVERGED
    assert 0 < run.theta[-1][-1] < 1e-290
    assert run.steps == expected.steps
    assert run.stats["trials"] == expected.stats["trials"]
    np.testing.assert_allclose(run.x, [*expected.x, 0], rtol=1e-9)
