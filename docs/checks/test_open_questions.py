"""Checks of docs/open_questions.md: its tables, the integrals behind them, and the proof that no flow diverges."""

import re
import sys

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import polarbias as pb
from polarbias import theory
from repository import ROOT

sys.path.append(str(ROOT / "benchmarks" / "open_questions"))

import convergence
import rates
import ratio_laws
from other_losses import integrate, other_losses
from step_sizes import step_sizes

QUESTIONS = [other_losses, convergence.convergence, rates.rates, ratio_laws.ratio_laws, step_sizes]
PAGE = (ROOT / "docs" / "open_questions.md").read_text()


NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")


@pytest.mark.parametrize("number", range(1, 6))
def test_page_quotes_the_table(number):
    answer = QUESTIONS[number - 1]()
    assert answer.as_proved
    [quoted] = re.findall(rf"^```\n({number}\. .*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    texts = quoted, str(answer)
    words, new_words = (re.sub(r"\s+", " ", NUMBER.sub("#", text)) for text in texts)
    assert words == new_words
    # Last digits differ between machines, and numbers at rounding level entirely.
    values, new_values = ([float(found.replace(",", "")) for found in NUMBER.findall(text)] for text in texts)
    np.testing.assert_allclose(new_values, values, rtol=0.02, atol=2e-7)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("wn", [False, True])
def test_flow_of_a_loss_agrees_with_its_equations(depth, wn):
    rng = np.random.default_rng(depth)
    A, b = rng.standard_normal((2, 4)), np.array([0.7, -0.3])
    r0, u0, eta = 0.9, np.array([0.5, 0.1, 0.7, 0.5]), 0.4
    u0 /= np.linalg.norm(u0)

    def gradient(x):  # of sum cosh(A X - b)
        return depth * A.T @ np.sinh(A @ x**depth - b) * x ** (depth - 1)

    def velocity(_, y):
        if not wn:
            return -gradient(y)
        r, u = y[0], y[1:]
        g = gradient(r * u / np.linalg.norm(u))
        return np.append(-eta * (u @ g) / np.linalg.norm(u), -r / np.linalg.norm(u) * (g - u * (u @ g) / (u @ u)))

    start = np.append(r0, u0) if wn else r0 * u0
    y = solve_ivp(velocity, (0, 0.8), start, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    x = y[0] * y[1:] / np.linalg.norm(y[1:]) if wn else y
    network = pb.HadamardPower(depth)
    network = pb.WeightNormalization(network, eta) if wn else network
    theta0 = network.init(r0, u0)
    found = integrate(lambda p: (np.e ** (p - b) + np.e ** (b - p)).sum() / 2, A, network, theta0, (0.3, 0.8))
    assert len(found) == 2
    np.testing.assert_allclose(found[1], x**depth, rtol=1e-7)


def test_flow_of_a_loss_stops_at_the_event():
    network, A = pb.HadamardPower(2), np.array([[1.0, 2.0]])
    theta0 = network.init(0.3, [1.0, 1.0])
    [x] = integrate(lambda p: ((p - 1) ** 2).sum(), A, network, theta0, (1e3,), lambda x: 0.5 - float((A @ x)[0]))
    np.testing.assert_allclose(A @ x, 0.5, rtol=1e-6)


@pytest.mark.parametrize("k", [2.5, 3, 4])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_laws_with_a_bounded_antiderivative_do_not_diverge(depth, k):
    rng = np.random.default_rng([depth, int(10 * k)])
    for _ in range(3):
        A = rng.standard_normal((2, 5))
        b = A @ np.abs(rng.standard_normal(5))
        u0 = np.abs(rng.standard_normal(5)) + 0.05
        u0 /= np.linalg.norm(u0)

        def velocity(_, y, A=A, b=b):
            r, u = y[0], y[1:]
            g = A.T @ (A @ (r * u) ** depth - b) * (r * u) ** (depth - 1)
            return np.append(-(r**k) * (u @ g), -r * (g - u * (u @ g)))

        def solved(_, y, A=A, b=b):
            return np.linalg.norm(A @ (y[0] * y[1:]) ** depth - b) - 1e-6 * np.linalg.norm(b)

        solved.terminal = True
        r0 = 10 ** rng.uniform(-0.3, 0.5)
        flow = solve_ivp(velocity, (0, 1e6), np.append(r0, u0), method="LSODA", rtol=1e-9, atol=1e-12, events=solved)
        assert flow.status == 1
        network = pb.WeightNormalization(pb.HadamardPower(depth), pb.PowerRatio(1.0, k))
        limit = pb.flow_limit(pb.LinearProblem(A, b), network, network.init(r0, u0))
        assert limit.converged
        assert np.abs((flow.y[0, -1] * flow.y[1:, -1]) ** depth - limit.x).max() < 1e-4 * limit.x.max()


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_conserved_sum_excludes_divergence(depth):
    # A w = 0, w >= 0: the conserved sum is at least its value at E = E(r0), and would be smaller at a larger E.
    rng = np.random.default_rng(depth)
    for _ in range(200):
        w, u0 = rng.random(6) * (rng.random(6) < 0.7) + 1e-12, rng.random(6) ** 3 + 1e-6
        u, u0 = w / np.linalg.norm(w), u0 / np.linalg.norm(u0)
        if depth == 2:
            assert (u**2 * np.log(u**2 / u0**2)).sum() >= -1e-12
        else:
            assert (u**depth * u0 ** (2.0 - depth)).sum() >= 1 - 1e-12


def test_integrated_rate_is_exact_for_one_entry():
    problem = pb.LinearProblem([[1.0]], [4.0])
    network = pb.HadamardPower(2)
    flow = pb.gradient_flow(problem, network, network.init(1.0, [1.0]), tol=1e-12, accuracy=1e-12)
    t = rates.fine_times(flow)
    loss = flow.trajectory.evaluate(t).loss
    exact = np.log(loss[0] / loss[-1]) / t[-1]
    assert rates.integrated_rate(problem, network, flow, t) == pytest.approx(exact, rel=1e-5)
    assert theory.loss_rate(problem, network, flow.trajectory.evaluate(t).theta).value < exact


def test_limit_of_a_time_dependent_law_is_on_the_curve():
    problem = pb.gaussian_problem(0, 2, 4)
    direction = pb.folded_gaussian_direction(0, 4)
    x, log_rho = ratio_laws.scheduled_limit(problem, direction)
    assert ratio_laws.distance_from_curve(problem, x, np.exp(-log_rho), direction) < 1e-5
    assert ratio_laws.distance_from_curve(problem, x, 1.1 * np.exp(-log_rho), direction) > 1e-4


def test_comparison_with_integrated_flows_detects_contradictions():
    problem, network, _ = run = convergence.random_run(np.random.default_rng(0), "harmonic", 3)
    assert convergence.compare(pb.flow_limit(*run), *run) == "agree"
    other = pb.flow_limit(problem, network, network.init(9.0, np.arange(1.0, problem.n + 1)))
    assert convergence.compare(other, *run) == "differ"
    problem, start = pb.LinearProblem([[1.0, -1.0]], [1.0]), (0.5, np.sqrt([0.1, 0.9]))
    collapses, safe = (pb.WeightNormalization(pb.HadamardPower(2), law) for law in (1.0, pb.HarmonicRatio(1.0)))
    limits = [pb.flow_limit(problem, network, network.init(*start)) for network in (collapses, safe)]
    assert convergence.compare(limits[1], problem, collapses, collapses.init(*start)) == "differ"
    assert convergence.compare(limits[0], problem, safe, safe.init(*start)) == "differ"
