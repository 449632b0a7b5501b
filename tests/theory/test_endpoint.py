"""Limits given as solutions, signals or radii, and minimal norms that are given or computed."""

import numpy as np
import pytest

import polarbias as pb
from polarbias.errors import InvalidInput
from polarbias.theory import endpoint

PROBLEM = pb.LinearProblem([[1.0, 2.0]], [5.0])
NETWORK = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
FORM = endpoint.reduced_form(PROBLEM, NETWORK, NETWORK.init(0.5, [1.0, 1.0]))
SIGNED = pb.HadamardDifference(2)
SIGNED_FORM = endpoint.reduced_form(PROBLEM, SIGNED, SIGNED.init(0.5, np.ones(4)))
X = np.array([1.0, 2.0])


def solution(x, theta=None, **fields):
    zero = np.asarray(0.0)
    return pb.Solution(np.asarray(x), theta, zero, zero, zero, zero, **fields)


@pytest.mark.parametrize(
    "limit",
    [
        X,
        solution(X),
        solution(X, log_x=np.log(X)),
        solution(X, theta=NETWORK.from_factor(np.sqrt(X))),
        solution(X, log_x=np.log(X), r=np.sqrt(3.0)),
    ],
)
def test_limits(limit):
    found = endpoint.endpoint(NETWORK, FORM, limit)
    np.testing.assert_allclose(found.x, X)
    np.testing.assert_allclose(found.log_x, np.log(X), rtol=1e-14, atol=1e-15)
    assert found.r == pytest.approx(np.sqrt(3.0), rel=1e-14)
    assert endpoint.limit_radius(NETWORK, FORM, limit) == found.r
    assert endpoint.solves(PROBLEM, found).held
    assert not endpoint.solves(PROBLEM, found._replace(x=X * 1.00001)).held


def test_reported_radii_and_small_entries():
    assert endpoint.endpoint(NETWORK, FORM, solution(X, r=np.asarray(-2.0))).r == 2.0
    assert endpoint.limit_radius(NETWORK, FORM, 2.0) == 2.0
    tiny = solution([0.0, 2.5], log_x=np.array([-2000.0, np.log(2.5)]))
    assert endpoint.endpoint(NETWORK, FORM, tiny).log_x[0] == -2000.0


def test_halves():
    parts = np.array([1.0, 0.0, 0.5, 2.0])
    np.testing.assert_array_equal(endpoint.signal(parts, SIGNED_FORM), [0.5, -2.0])
    np.testing.assert_array_equal(endpoint.halves(np.array([0.5, -2.0]), SIGNED_FORM), [0.5, 0.0, 0.0, 2.0])
    assert endpoint.halves(parts, SIGNED_FORM) is parts
    assert endpoint.halves(X, FORM) is endpoint.signal(X, FORM) is X


@pytest.mark.parametrize("depth", [2, 3])
def test_minima(depth):
    network = pb.HadamardPower(depth)
    form = endpoint.reduced_form(PROBLEM, network, network.init(1e-100, [1.0, 3.0]))
    log_w = endpoint.log_weights(form)
    np.testing.assert_allclose(log_w, (2 - depth) * (np.log(1e-100) + np.log([1.0, 3.0]) - np.log(10) / 2))
    log_q, reachable = endpoint.log_minimum(PROBLEM, form, log_w, None)
    assert reachable.held
    assert log_q == pytest.approx(log_w[1] + np.log(2.5), rel=1e-12)
    unweighted = pb.minimal_l1(PROBLEM, nonnegative=True)
    for given in (unweighted, 2.5):
        assert endpoint.log_minimum(PROBLEM, form, log_w, given)[0] == pytest.approx(np.log(2.5))
    infeasible = pb.LinearProblem([[1.0, 2.0]], [-1.0])
    assert not endpoint.log_minimum(infeasible, form, 0 * log_w, None)[1].held


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (endpoint.endpoint, (NETWORK, FORM, [0.5, 0.5, 0.5]), "shape"),
        (endpoint.endpoint, (NETWORK, FORM, [1.5, -0.5]), "negative"),
        (endpoint.endpoint, (NETWORK, FORM, solution([X, X])), "batch"),
        (endpoint.endpoint, (SIGNED, SIGNED_FORM, solution(X)), "halves"),
        (endpoint.limit_radius, (NETWORK, FORM, -1.0), "negative"),
        (endpoint.limit_radius, (NETWORK, FORM, np.nan), "NaN"),
        (endpoint.log_minimum, (PROBLEM, FORM, np.zeros(2), -1.0), "minimum"),
        (endpoint.log_minimum, (PROBLEM, FORM, np.zeros(2), [1.0, 2.0]), "minimum"),
        (endpoint.reduced_form, (PROBLEM, NETWORK, NETWORK.init([0.5, 0.6], [1.0, 1.0])), "one run"),
    ],
)
def test_bad_input(function, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        function(*arguments)
