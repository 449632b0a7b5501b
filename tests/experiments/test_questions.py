"""The open questions: their tables, the flow of a user's loss, and the document that quotes them."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import polarbias as pb
from commands import call
from polarbias.experiments import questions
from polarbias.experiments.questions import laws, losses, outcomes, speed
from polarbias.solution import Status
from polarbias.theory.rates import loss_rate
from repository import ROOT

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

DOCUMENT = ROOT / "docs" / "open_questions.md"


@pytest.fixture(scope="module")
def answers():
    return {number: question(quick=True) for number, question in questions.QUESTIONS.items()}


def column(answer, name):
    return [row[answer.columns.index(name)] for row in answer.rows]


@pytest.mark.parametrize("number", range(1, 6))
def test_tables_are_as_proved(number, answers):
    answer = answers[number]
    assert answer.number == number
    assert answer.held, str(answer)
    assert all(len(row) == len(answer.columns) for row in answer.rows)
    assert max(map(len, str(answer).splitlines())) <= 110


def test_every_loss_ends_at_one_limit(answers):
    table = [row for row in answers[1].rows if row[0] != "logistic"]
    assert [row[:2] for row in table] == [(name, kind) for name in ("Huber 0.1", "Cauchy") for kind in ("plain", "wn")]
    assert all(float(row[-1]) < 1e-6 for row in table)
    assert all(float(wn[3]) < 0.1 * float(plain[3]) for plain, wn in zip(table[::2], table[1::2], strict=True))


def test_counts_add_up(answers):
    for row in answers[2].rows:
        assert sum(map(int, row[3:7])) == int(row[2])
    assert set(column(answers[2], "collapse")[3:]) == {"0"}


def test_rates_are_ordered(answers):
    printed, integrated, mean, final, local = (
        np.array(column(answers[3], name), float) for name in answers[3].columns[1:6]
    )
    assert (printed < integrated).all()
    assert (integrated < mean).all()
    np.testing.assert_allclose(final, local, rtol=0.01)


def test_laws_of_one_magnification_have_one_limit(answers):
    rho = dict(zip(column(answers[4], "law"), column(answers[4], "log10 rho"), strict=True))
    excess = dict(zip(column(answers[4], "law"), column(answers[4], "l1 excess"), strict=True))
    same = [name for name in rho if rho[name] == rho["constant 0.1"]]
    assert len(same) == 3
    assert len({excess[name] for name in same}) == 1
    assert float(rho["r^2 (Theorem 2.3)"]) == 0


def test_euler_drifts_and_mirror_descent_does_not(answers):
    table = answers[5]
    distance, norm = (np.array(column(table, name), float) for name in ("distance", "||u||^2"))
    method = np.array(column(table, "method"))
    assert (distance[method == "mirror"] < 1e-5).all()
    euler = distance[method == "Euler"]
    assert (euler[:-1] > 3.5 * euler[1:]).all()
    assert (np.diff(norm[method == "Euler"]) < 0).all()


def test_answers_say_when_they_do_not_hold():
    answer = questions.Answer(3, "Q", ("a",), (("1",),), "it is", False)
    assert str(answer).endswith("NOT as proved: it is.")


# The flow of a user's loss


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("wn", [False, True])
def test_flow_of_a_loss_against_the_equations_written_out(depth, wn):
    rng = np.random.default_rng(depth)
    A, b = rng.standard_normal((2, 4)), np.array([0.7, -0.3])
    r0, u0, eta = 0.9, np.array([0.5, 0.1, 0.7, 0.5]), 0.4
    u0 /= np.linalg.norm(u0)

    def slope(x):  # of sum cosh(A X - b)
        return depth * A.T @ np.sinh(A @ x**depth - b) * x ** (depth - 1)

    def rhs(_, y):
        if not wn:
            return -slope(y)
        r, u = y[0], y[1:]
        g = slope(r * u / np.linalg.norm(u))
        radial = u @ g / np.linalg.norm(u)
        return np.append(-eta * radial, -r / np.linalg.norm(u) * (g - u * (u @ g) / (u @ u)))

    start = np.append(r0, u0) if wn else r0 * u0
    y = solve_ivp(rhs, (0, 0.8), start, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    x = y[0] * y[1:] / np.linalg.norm(y[1:]) if wn else y
    network = pb.HadamardPower(depth)
    network = pb.WeightNormalization(network, eta) if wn else network
    found = losses.integrate(lambda p: jnp.cosh(p - b).sum(), A, network, network.init(r0, u0), (0.3, 0.8))
    assert len(found) == 2
    np.testing.assert_allclose(found[1], x**depth, rtol=1e-7)


def test_flow_of_a_loss_stops_where_asked():
    network = pb.HadamardPower(2)
    A = np.array([[1.0, 2.0]])
    [x] = losses.integrate(
        lambda p: ((p - 1) ** 2).sum(), A, network, network.init(0.3, [1.0, 1.0]), (1e3,),
        lambda x: 0.5 - float((A @ x)[0]),
    )  # fmt: skip
    np.testing.assert_allclose(A @ x, 0.5, rtol=1e-6)


# No flow diverges, whatever the law


@pytest.mark.parametrize("k", [2.5, 3, 4])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_laws_with_a_bounded_antiderivative_do_not_diverge(depth, k):
    rng = np.random.default_rng([depth, int(10 * k)])
    for _ in range(3):
        A = rng.standard_normal((2, 5))
        b = A @ np.abs(rng.standard_normal(5))
        u0 = np.abs(rng.standard_normal(5)) + 0.05
        u0 /= np.linalg.norm(u0)

        def rhs(_, y, A=A, b=b):
            r, u = y[0], y[1:]
            g = A.T @ (A @ (r * u) ** depth - b) * (r * u) ** (depth - 1)
            return np.append(-(r**k) * (u @ g), -r * (g - u * (u @ g)))

        def solved(_, y, A=A, b=b):
            return np.linalg.norm(A @ (y[0] * y[1:]) ** depth - b) - 1e-6 * np.linalg.norm(b)

        solved.terminal = True
        r0 = 10 ** rng.uniform(-0.3, 0.5)
        flow = solve_ivp(rhs, (0, 1e6), np.append(r0, u0), method="LSODA", rtol=1e-9, atol=1e-12, events=solved)
        assert flow.status == 1
        network = pb.WeightNormalization(pb.HadamardPower(depth), pb.PowerRatio(1.0, k))
        limit = pb.flow_limit(pb.LinearProblem(A, b), network, network.init(r0, u0))
        assert limit.converged
        end = (flow.y[0, -1] * flow.y[1:, -1]) ** depth
        assert np.abs(end - limit.x).max() < 1e-4 * limit.x.max()


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_quantity_that_excludes_divergence(depth):
    # A w = 0, w >= 0: what is conserved is at least its value at E = E(r0), and would be below it at a larger E.
    rng = np.random.default_rng(depth)
    for _ in range(200):
        w, u0 = rng.random(6) * (rng.random(6) < 0.7) + 1e-12, rng.random(6) ** 3 + 1e-6
        u0 /= np.linalg.norm(u0)
        u = w / np.linalg.norm(w)
        if depth == 2:
            assert (u**2 * np.log(u**2 / u0**2)).sum() >= -1e-12
        else:
            assert (u**depth * u0 ** (2.0 - depth)).sum() >= 1 - 1e-12


def test_integrated_rate_is_one_for_a_known_flow():
    # One entry, X' = -2 X R: min(r^2, f) and the Gram matrix are explicit, and the bound is attained.
    problem = pb.LinearProblem([[1.0]], [4.0])
    network = pb.HadamardPower(2)
    flow = pb.gradient_flow(problem, network, network.init(1.0, [1.0]), tol=1e-12, accuracy=1e-12)
    t = speed._times(flow)
    loss = flow.trajectory.evaluate(t).loss
    exact = np.log(loss[0] / loss[-1]) / t[-1]
    assert speed._integrated(problem, network, flow, t) == pytest.approx(exact, rel=1e-5)
    assert loss_rate(problem, network, flow.trajectory.evaluate(t).theta).value < exact


def test_time_dependent_law_lands_on_the_curve():
    problem = pb.gaussian_problem(0, 2, 4)
    direction = pb.folded_gaussian_direction(0, 4)
    x, log_rho = laws._scheduled(problem, direction)
    assert laws._off_curve(problem, x, np.exp(-log_rho), direction) < 1e-5
    assert laws._off_curve(problem, x, 1.1 * np.exp(-log_rho), direction) > 1e-4


def test_an_integrated_flow_that_contradicts_a_limit_is_seen():
    rng = np.random.default_rng(0)
    problem, network, theta0 = outcomes._random(rng, "harmonic", 3)
    limit = pb.flow_limit(problem, network, theta0)
    assert outcomes._compared(problem, limit, network, theta0) == "agree"
    other = pb.flow_limit(problem, network, network.init(9.0, np.arange(1.0, problem.n + 1)))
    assert outcomes._compared(problem, other, network, theta0) == "differ"
    zero = pb.Solution(0 * limit.x, None, limit.loss, limit.residual, limit.steps, np.array(Status.COLLAPSED))
    assert outcomes._compared(problem, zero, network, theta0) == "differ"
    # And a flow that collapses, where the limit does not.
    problem, start = pb.LinearProblem([[1.0, -1.0]], [1.0]), (0.5, np.sqrt([0.1, 0.9]))
    network, safe = (pb.WeightNormalization(pb.HadamardPower(2), law) for law in (1.0, pb.HarmonicRatio(1.0)))
    limit = pb.flow_limit(problem, safe, safe.init(*start))
    assert outcomes._compared(problem, limit, network, network.init(*start)) == "differ"


# Command and document


def test_the_command_prints_the_answers(answers, monkeypatch):
    monkeypatch.setattr(questions, "QUESTIONS", {n: lambda quick, n=n: answers[n] for n in answers})
    assert call("questions", "--quick").stdout == "".join(f"{answers[n]}\n\n" for n in range(1, 6))
    assert call("questions", "--question", 4, "--question", 2).stdout == f"{answers[2]}\n\n{answers[4]}\n\n"
    wrong = questions.Answer(2, "Q", ("a",), (("1",),), "it is", False)
    monkeypatch.setitem(questions.QUESTIONS, 2, lambda quick: wrong)
    failed = call("questions", code=1)
    assert failed.stderr == "polarbias: not as proved: question 2.\n"


def test_the_sizes_are_passed_on(monkeypatch):
    seen = []
    answer = questions.Answer(1, "Q", ("a",), (("1",),), "it is", True)
    monkeypatch.setattr(questions, "QUESTIONS", {1: lambda quick: seen.append(quick) or answer})
    call("questions", "--question", 1)
    call("questions", "--question", 1, "--quick")
    assert seen == [False, True]


def tables_in_the_document():
    blocks = re.findall(r"^```\n(\d\. .*?)\n```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return {int(block[0]): block for block in blocks}


def test_the_document_quotes_a_table_per_question(answers):
    quoted = tables_in_the_document()
    assert quoted.keys() == questions.QUESTIONS.keys()
    for number, block in quoted.items():
        lines = block.splitlines()
        assert re.split(" {2,}", lines[2].strip())[0] == answers[number].columns[0]
        assert "\nAs proved: " in block


@pytest.mark.full
@pytest.mark.parametrize("number", range(1, 6))
def test_the_document_quotes_what_the_command_prints(number):
    assert tables_in_the_document()[number] == str(questions.QUESTIONS[number]())
