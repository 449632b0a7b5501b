"""Hypotheses and bounds as data."""

import math
import pickle

import numpy as np
import pytest

import polarbias as pb
from polarbias.theory import statement
from polarbias.theory.endpoint import reduced_form
from polarbias.theory.statement import Bound, Hypothesis
from verification import LAWS

PROBLEM = pb.LinearProblem([[1.0, -1.0]], [1.0])


def form(law, depth=2, p1=0.1, r0=0.5):
    network = pb.HadamardPower(depth)
    network = network if law is None else pb.WeightNormalization(network, law)
    return reduced_form(PROBLEM, network, network.init(r0, np.sqrt([p1, 1 - p1])))


def test_inequalities_and_bounds():
    hypotheses = [Hypothesis.at_most("", 1.0, 1.0), Hypothesis.above("", 1.0, 1.0)]
    assert [one.held for one in (*hypotheses, Hypothesis.at_most("", math.nan, 1.0))] == [True, False, False]
    bound = Bound.concluded("x <= value", "source", hypotheses, lambda: 1 / 0)
    assert not bound.applies
    assert math.isnan(bound.value)
    assert Bound.concluded("x <= value", "source", hypotheses[:1], lambda: 2).value == 2.0


def test_copies_are_equal_in_spite_of_nan():
    bound = Bound("x <= value", math.nan, (Hypothesis("convex", False),), "source")
    copy = pickle.loads(pickle.dumps(bound))
    assert copy == bound != Bound("x <= value", 1.0, bound.hypotheses, "source")
    assert hash(copy) == hash(bound)
    assert bound.hypotheses[0] != Hypothesis("convex", False, 1.0)


def test_hypotheses_about_runs():
    for name, law in LAWS.items():
        one = form(law)
        assert statement.weight_normalized(one).held == (name != "plain")
        eta, constant = statement.constant_ratio(one)
        assert constant.held == (name == "constant")
        assert eta == pytest.approx(0.4 if constant.held else math.nan, nan_ok=True)
        assert statement.square_law(one).held == (name == "square")
    assert [statement.depth_at_least(form(0.4, depth), 2).held for depth in (1, 2, 3)] == [False, True, True]
    assert [statement.depth_two(form(0.4, depth)).held for depth in (1, 2, 3)] == [False, True, False]


def test_no_collapse():
    """A loss below that of X = 0, E(0) = -inf, or depth 1 exclude it."""
    assert not statement.no_collapse(PROBLEM, form(1.0)).held
    below = statement.no_collapse(PROBLEM, form(1.0, p1=0.9))
    assert below.held
    assert (below.lhs, below.rhs) == (pytest.approx(1 - 0.25 * 0.8), 1.0)
    assert statement.no_collapse(PROBLEM, form(pb.HarmonicRatio(1.0))).held
    assert statement.no_collapse(PROBLEM, form(1.0, depth=1)).held
