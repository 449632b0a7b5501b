"""Verifications of true flows and limits hold, and every row sees a solution that is corrupted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import polarbias as pb
from polarbias.theory.verdict import Verdict

LAWS = {
    "constant": 0.4,
    "square": pb.PowerRatio(1.0, 2),
    "harmonic": pb.HarmonicRatio(0.5),
    "linear": pb.PowerRatio(0.7, 1),
    "plain": None,
}


def network_of(depth, law, signed=False):
    inner = pb.HadamardDifference(depth) if signed else pb.HadamardPower(depth)
    return inner if LAWS[law] is None else pb.WeightNormalization(inner, LAWS[law])


def run(seed, m, n, depth, law, signed=False, centred=False, r0=0.8):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    A = A - A.mean(1, keepdims=True) if centred else A
    truth = rng.standard_normal(n)
    network = network_of(depth, law, signed)
    direction = np.abs(rng.standard_normal(n * (1 + signed))) + 0.1
    return pb.LinearProblem(A, A @ (truth if signed else np.abs(truth))), network, network.init(r0, direction)


class Altered:
    """A trajectory with some quantities replaced; each replacement maps the true value and the time."""

    def __init__(self, path, stretch=1.0, **changes):
        self.path, self.stretch, self.changes = path, stretch, changes
        self.time = path.time * stretch

    def evaluate(self, t):
        t = np.asarray(t) / self.stretch
        states = self.path.evaluate(np.minimum(t, self.path.time[-1]))
        return states._replace(**{name: change(getattr(states, name), t) for name, change in self.changes.items()})


@st.composite
def configurations(draw):
    depth = draw(st.sampled_from([1, 2, 2, 3, 4]))
    m = draw(st.integers(1, 4))
    signed = draw(st.booleans())
    return run(
        draw(st.integers(0, 10**6)), m, m + draw(st.integers(1, 6)), depth, draw(st.sampled_from(sorted(LAWS))),
        signed, draw(st.booleans()), draw(st.sampled_from([0.1, 0.8, 2.0])),
    )  # fmt: skip


@settings(max_examples=10)
@given(configurations())
def test_true_flows_and_limits_violate_nothing(given_chain):
    limit = pb.flow_limit(*given_chain)
    for solution in (limit, pb.gradient_flow(*given_chain)):
        table = pb.verify(*given_chain, solution)
        assert not table.violated, str(table)
        assert sum(table.counts.values()) == len(table)
        if solution.status == pb.Status.CONVERGED:
            assert table.counts["holds"] >= (4 if solution is limit else 10)


WN2 = (3, 3, 7, 2, "constant")
WN3 = (4, 2, 6, 3, "constant")
SQUARE = (5, 3, 7, 2, "square")
PLAIN = (6, 3, 7, 2, "plain")
CENTRED = (7, 3, 7, 2, "constant", False, True)
WN1 = (8, 3, 7, 1, "constant")


@pytest.fixture(scope="module")
def flows():
    found = {}

    def of(key):
        if key not in found:
            given_chain = run(*key)
            found[key] = (given_chain, pb.gradient_flow(*given_chain), pb.flow_limit(*given_chain))
        return found[key]

    return of


def times(factor):
    return lambda value, t: value * factor


def grown(value, t):
    return value * (1 + 0.01 * np.minimum(t, 1.0)).reshape(np.shape(t) + (1,) * (np.ndim(value) - np.ndim(t)))


def first_entry(factor):
    def change(value, t):
        value = np.array(value)
        value[..., 0] *= factor
        return value

    return change


def first_log(shift):
    def change(value, t):
        value = np.array(value)
        value[..., 0] += shift * (np.asarray(t) > 0)
        return value

    return change


def rising(value, t):
    return value + 0.01 * t


def moved_theta(value, t):
    return value._replace(**{value._fields[-1]: first_entry(1.01)(value[-1], t)})


FLOWS = {
    "(1), (9)": (WN2, {"r": times(1.01)}),
    "(12), (13)": (WN2, {"theta": lambda value, t: value._replace(r=grown(value.r, t))}),
    "(10)": (PLAIN, {"theta": lambda value, t: value._replace(x=grown(value.x, t))}),
    "Lemma 3.2": (WN2, {"u": grown}),
    "Lemma 3.3": (WN2, {"x": first_entry(-1.0)}),
    "Lemma 3.4": (WN2, {"loss": rising}),
    "Lemma 3.5, (31) corrected": (WN2, {"loss": lambda value, t: value * 0 + 1.0}),
    "Lemma 3.6, (32)": (PLAIN, {"log_x": first_log(0.01)}),
    "Lemma 3.7, (33)": (WN2, {"r": times(1.01)}),
    "Lemma 3.9 corrected": (CENTRED, {"log_x": first_log(0.01)}),
    "Lemma 3.11, (50) corrected": (WN2, {"r": times(30.0)}),
    "Lemma 3.13, (53) corrected": (WN2, {"r": times(1.01)}),
    "Corollary 3.14, (54)": (SQUARE, {"r": times(1.01)}),
    "Theorem 3.12, (51)": (WN2, {"loss": lambda value, t: 0.9 * value[..., :1] + 0.1 * value}),
    "Theorem 3.12, (52)": (WN2, {"loss": lambda value, t: 0.9 * value[..., :1] + 0.1 * value}),
    "Lemma 3.17, (56)": (SQUARE, {"loss": times(1.01)}),
    "(56), any ratio law": (WN2, {"log_x": first_log(0.1)}),
    "Theorem 2.1(1) corrected": (WN2, {"loss": lambda value, t: value * 0 + 1.0}),
    "local rate": ((9, 1, 4, 2, "constant"), {"stretch": 1.5}),
    "band for r^2": (WN2, {"r": times(3.0)}),
}


@pytest.mark.parametrize("row", FLOWS)
def test_rows_see_a_corrupted_trajectory(flows, row):
    key, changes = FLOWS[row]
    given_chain, flow, _ = flows(key)
    assert pb.verify(*given_chain, flow)[row].verdict == Verdict.HOLDS
    corrupted = replace(flow, trajectory=Altered(flow.trajectory, **changes))
    assert pb.verify(*given_chain, corrupted)[row].verdict == Verdict.VIOLATED


def elsewhere(given_chain, other):
    """The limit of another start on the same problem."""
    problem, network, _ = given_chain
    n = problem.n * (2 if network.signed else 1)
    return pb.flow_limit(problem, network, network.init(other, np.linspace(0.2, 3.0, n)))


def largest(problem):
    """The point of S+ of largest l1 norm in a random direction: no limit is near it."""
    from scipy.optimize import linprog

    cost = np.ones(problem.n)
    found = linprog(-cost, A_eq=problem.A, b_eq=problem.b, bounds=(0, 20.0))
    assert found.status == 0
    return found.x + 1e-300


def at(solution, x, depth, r=None):
    log_x = np.log(x)
    r = np.sqrt(np.exp(2 / depth * log_x).sum()) if r is None else r
    return replace(solution, x=x, log_x=log_x, r=r)


LIMITS = {
    "Lemma 3.1": (WN2, lambda given_chain, limit: elsewhere(given_chain, 0.8)),
    "Lemma 3.8, (40)": (WN2, lambda given_chain, limit: replace(limit, r=limit.r * 1.01)),
    "Lemma 3.8, (42) corrected": (WN3, lambda given_chain, limit: replace(limit, r=limit.r * 1.01)),
    "Lemma 3.10": (WN2, lambda given_chain, limit: elsewhere(given_chain, 0.8)),
    "Lemma 3.16": (WN2, lambda given_chain, limit: replace(limit, x=first_entry(-1.0)(limit.x, 0))),
    "Lemma 3.18 corrected": (SQUARE, lambda given_chain, limit: replace(limit, x=limit.x * 1.01)),
    "Theorem 2.1(1) corrected": (WN2, lambda given_chain, limit: replace(limit, x=first_entry(1.01)(limit.x, 0))),
    "Theorem 2.1(2) corrected, (19)": (WN2, lambda c, limit: at(limit, largest(c[0]), 2, limit.r)),
    "Theorem 2.3(2) corrected, (16)": (
        (5, 3, 7, 2, "square", False, False, 0.1), lambda c, limit: at(limit, largest(c[0]), 2),
    ),
    "Theorem 2.1 of [7] corrected, (14)-(16)": (
        (6, 3, 7, 2, "plain", False, False, 0.1), lambda c, limit: at(limit, largest(c[0]), 2),
    ),
    "(16), sharper": ((4, 2, 6, 3, "plain", False, False, 0.1), lambda c, limit: at(limit, largest(c[0]), 3)),
    "Theorem 2.2 corrected": (WN2, lambda given_chain, limit: elsewhere(given_chain, 0.8)),
    "Theorem 2.3(1)": (SQUARE, lambda given_chain, limit: elsewhere(given_chain, 0.8)),
    "dichotomy": (WN2, lambda given_chain, limit: elsewhere(given_chain, 0.8)),
    "(17) corrected": (WN2, lambda given_chain, limit: replace(limit, r=limit.r * 1.01)),
    "(17), reported": (WN2, lambda given_chain, limit: replace(limit, log_rho=limit.log_rho + 0.01)),
    "(20)": (WN2, lambda given_chain, limit: replace(limit, log_rho=np.float64(-0.5))),
    "exact range of r0": (WN2, lambda given_chain, limit: replace(limit, log_rho=np.float64(-0.5))),
    "(21) corrected": (WN2, lambda given_chain, limit: replace(limit, r=limit.r * 0.5)),
    "radial bound": (WN2, lambda given_chain, limit: at(limit, largest(given_chain[0]), 2)),
    "certificate": (WN2, lambda given_chain, limit: replace(limit, dual=limit.dual * 1.01)),
}  # fmt: skip


@pytest.mark.parametrize("row", LIMITS)
def test_rows_see_a_corrupted_limit(flows, row):
    key, corrupt = LIMITS[row]
    given_chain, _, limit = flows(key)
    assert pb.verify(*given_chain, limit)[row].verdict == Verdict.HOLDS
    assert pb.verify(*given_chain, corrupt(given_chain, limit))[row].verdict == Verdict.VIOLATED


def test_the_bound_for_uniform_starts_sees_a_corrupted_limit():
    problem, network, _ = run(6, 3, 7, 2, "plain")
    theta0 = network.init(0.1, np.ones(7))
    limit = pb.flow_limit(problem, network, theta0)
    row = "(7), (8) corrected"
    assert pb.verify(problem, network, theta0, limit)[row].verdict == Verdict.HOLDS
    wrong = at(limit, largest(problem), 2)
    assert pb.verify(problem, network, theta0, wrong)[row].verdict == Verdict.VIOLATED


def test_every_row_has_a_corruption():
    table = pb.verify(*run(*PLAIN), pb.flow_limit(*run(*PLAIN)))
    names = {row.statement for row in table} | {"(12), (13)", "Lemma 3.8, (42) corrected"}
    assert names - {"Lemma 3.8, (40)"} <= set(FLOWS) | set(LIMITS) | {"(7), (8) corrected"}


def test_a_wrong_ratio_is_seen(flows):
    (problem, _, theta0), flow, limit = flows(WN2)
    other = pb.WeightNormalization(pb.HadamardPower(2), 0.404)
    seen = {row.statement for row in pb.verify(problem, other, theta0, flow).violated}
    assert {"(12), (13)", "Lemma 3.7, (33)", "Lemma 3.8, (40)", "Lemma 3.10", "(17) corrected"} <= seen
    assert "Lemma 3.7, (33)" in {row.statement for row in pb.verify(problem, other, theta0, limit).violated}


@pytest.mark.parametrize("key", [WN1, (8, 3, 7, 1, "plain")])
def test_depth_1(flows, key):
    given_chain, flow, limit = flows(key)
    row = "Lemma 3.6, (32)" if key[4] == "plain" else "Lemma 3.7, (33)"
    for solution in (flow, limit):
        assert pb.verify(*given_chain, solution)[row].verdict == Verdict.HOLDS
    corrupted = replace(flow, trajectory=Altered(flow.trajectory, log_x=first_log(0.01)))
    assert pb.verify(*given_chain, corrupted)[row].verdict == Verdict.VIOLATED


def test_collapse():
    """A = [1, -1], b = 1, u0^2 = (.1, .9): r tends to 0 from r0 = .5 at eta = 1."""
    problem = pb.LinearProblem([[1.0, -1.0]], [1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), 1.0)
    theta0 = network.init(0.5, np.sqrt([0.1, 0.9]))
    flow = pb.gradient_flow(problem, network, theta0)
    for solution in (flow, pb.flow_limit(problem, network, theta0)):
        table = pb.verify(problem, network, theta0, solution)
        assert not table.violated, str(table)
        assert table["dichotomy"].verdict == Verdict.HOLDS
        for row in ("Theorem 2.1(1) corrected", "(17) corrected", "(21) corrected", "radial bound"):
            assert table[row].verdict == Verdict.NOT_MET
            assert "r_inf > 0" in {one.name for one in table[row].unmet}
    # The flow from a start that converges, said to be this one's.
    other = pb.gradient_flow(problem, network, network.init(1.0, np.sqrt([0.1, 0.9])))
    assert pb.verify(problem, network, theta0, other)["dichotomy"].verdict == Verdict.VIOLATED


def test_what_is_missing_is_undecided(flows):
    given_chain, _, limit = flows(WN2)
    table = pb.verify(*given_chain, limit)
    for row in ("(12), (13)", "Lemma 3.5, (31) corrected", "Theorem 3.12, (51)", "(56), any ratio law", "local rate"):
        assert table[row].verdict == Verdict.UNDECIDED
        assert table[row].observed == "the solution has no trajectory"
    early = pb.verify(*given_chain, pb.gradient_flow(*given_chain, t_end=0.5, tol=0))
    assert not early.violated
    for row in ("Lemma 3.8, (40)", "Theorem 2.1(1) corrected", "dichotomy", "(17) corrected", "radial bound"):
        assert early[row].verdict == Verdict.UNDECIDED
    for row in ("Lemma 3.6, (32)", "Corollary 3.14, (54)", "Lemma 3.17, (56)", "Theorem 2.3(1)", "Lemma 3.9 corrected"):
        assert early[row].verdict == Verdict.NOT_MET


@pytest.mark.parametrize("keep_x", [False, True])
def test_descent_is_held_to_what_is_exact_for_it(flows, keep_x):
    given_chain = flows(WN2)[0]
    run = pb.gradient_descent(*given_chain, step=pb.ConstantStep(0.01), max_steps=2000, keep_x=keep_x)
    table = pb.verify(*given_chain, run)
    assert not table.violated
    for row in ("Lemma 3.2 (descent)", "Lemma 3.3 (descent)", "Lemma 3.4 (descent)", "(1), (9)"):
        assert table[row].verdict == Verdict.HOLDS
    assert table["Lemma 3.7, (33)"].verdict == Verdict.UNDECIDED
    assert "drift" in table["Lemma 3.7, (33)"].observed
    path, theta = run.trajectory, run.theta
    for row, wrong in {
        "(1), (9)": replace(run, loss=run.loss * 1.5 + 1e-6),
        "Lemma 3.2 (descent)": replace(run, theta=theta._replace(u=theta.u * 0.99)),
        "Lemma 3.3 (descent)": replace(run, theta=theta._replace(u=-theta.u)),
        "Lemma 3.4 (descent)": replace(run, trajectory=replace(path, loss=path.loss[::-1])),
    }.items():
        assert pb.verify(*given_chain, wrong)[row].verdict == Verdict.VIOLATED


def test_the_table(flows):
    given_chain, flow, limit = flows(WN2)
    table = pb.verify(*given_chain, flow)
    lines = str(table).splitlines()
    assert [cell.strip() for cell in lines[0].split(" | ")] == [
        "statement", "hypotheses", "predicted", "observed", "verdict",
    ]  # fmt: skip
    assert len(lines) == len(table) + 2
    assert len({tuple(i for i in range(len(line)) if line[i : i + 3] == " | ")[:4] for line in lines[2:]}) == 1
    assert table[0] == table["(1), (9)"] == next(iter(table))
    assert len(table[:3]) == 3
    assert table.counts["holds"] == sum(row.verdict == Verdict.HOLDS for row in table)
    with pytest.raises(KeyError, match="Lemma 4"):
        table["Lemma 4"]
    least = pb.minimal_l1(given_chain[0])
    assert str(pb.verify(*given_chain, limit, minimum=least)) == str(pb.verify(*given_chain, limit))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solution": 3}, "Solution"),
        ({"minimum": 3.0}, "Minimum"),
        ({"accuracy": 0.0}, "accuracy"),
        ({"problem": pb.LinearProblem([[1.0, 2.0]], [1.0])}, "unknowns"),
    ],
)
def test_bad_input(flows, change, message):
    (problem, network, theta0), flow, _ = flows(WN2)
    arguments = {"problem": problem, "network": network, "theta0": theta0, "solution": flow} | change
    with pytest.raises(pb.InvalidInput, match=message):
        pb.verify(**arguments)


def test_batches_are_refused(flows):
    problem, network, theta0 = flows(WN2)[0]
    starts = network.init([0.5, 0.8], theta0.u)
    with pytest.raises(pb.InvalidInput, match="one run"):
        pb.verify(problem, network, starts, pb.flow_limit(problem, network, starts))
    with pytest.raises(pb.InvalidInput, match="batch"):
        pb.verify(problem, network, theta0, pb.flow_limit(problem, network, starts))


def test_a_collapse_that_cannot_be_is_seen(flows):
    given_chain, _, limit = flows(WN2)
    zero = replace(
        limit, status=np.asarray(int(pb.Status.COLLAPSED)), x=0 * limit.x, log_x=limit.log_x - np.inf, r=np.float64(0.0)
    )
    assert pb.verify(*given_chain, zero)["dichotomy"].verdict == Verdict.VIOLATED


def test_a_rate_that_is_too_fast_is_seen(flows):
    given_chain, flow, _ = flows((9, 1, 4, 2, "constant"))
    corrupted = replace(flow, trajectory=Altered(flow.trajectory, stretch=0.6))
    assert pb.verify(*given_chain, corrupted)["local rate"].verdict == Verdict.VIOLATED


@pytest.mark.parametrize("law", [0.5, pb.PowerRatio(1.0, 2)])
def test_a_flow_that_was_stopped_early_contradicts_nothing(law):
    problem = pb.gaussian_problem(seed=0, m=3, n=7)
    network = pb.WeightNormalization(pb.HadamardPower(2), law)
    theta0 = network.init(1.0, pb.folded_gaussian_direction(seed=0, n=7))
    flow = pb.gradient_flow(problem, network, theta0, tol=1e-3)
    assert flow.converged
    table = pb.verify(problem, network, theta0, flow)
    assert not table.violated, str(table)
    row = "Theorem 2.3(1)" if isinstance(law, pb.PowerRatio) else "Theorem 2.1(1) corrected"
    assert table[row].verdict == Verdict.UNDECIDED


def test_the_norm_of_a_direction_may_be_rounded():
    problem, network = (
        pb.LinearProblem([[1.0, 2.0]], [1.0]),
        pb.WeightNormalization(pb.HadamardPower(2), pb.PowerRatio(1.0, 2)),
    )
    theta0 = network.init(0.1, [1.0, 1.0])  # of norm 1 up to rounding
    assert np.linalg.norm(theta0.u) != 1
    rows = pb.verify(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    assert rows["Theorem 2.3(1)"].verdict == "holds"
