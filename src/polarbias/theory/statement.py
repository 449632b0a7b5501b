"""Bounds and their hypotheses as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np

from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem


class _Record:
    """Equality by fields, where NaN equals NaN."""

    def _key(self) -> tuple[Any, ...]:
        return type(self), *(None if value != value else value for value in vars(self).values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@dataclass(frozen=True, eq=False)
class Hypothesis(_Record):
    """One hypothesis of a statement, ``name`` in words or symbols; ``held`` is True if it is met.

    ``lhs`` and ``rhs`` are the sides of an inequality as written in the name, NaN for other hypotheses.

    >>> Hypothesis.at_most("r0 <= 1", 0.5, 1.0)
    Hypothesis(name='r0 <= 1', held=True, lhs=0.5, rhs=1.0)
    """

    name: str
    held: bool
    lhs: float = nan
    rhs: float = nan

    @classmethod
    def at_most(cls, name: str, lhs: float, rhs: float) -> Hypothesis:
        """Return the hypothesis lhs <= rhs."""
        return cls(name, bool(lhs <= rhs), float(lhs), float(rhs))

    @classmethod
    def above(cls, name: str, lhs: float, rhs: float) -> Hypothesis:
        """Return the hypothesis lhs > rhs."""
        return cls(name, bool(lhs > rhs), float(lhs), float(rhs))


@dataclass(frozen=True, eq=False)
class Bound(_Record):
    """A proved bound ``value`` on a ``quantity``, which shows the direction of the inequality.

    The value is NaN unless all ``hypotheses`` are met. ``source`` is the equation or theorem of arXiv:2305.05448v1, or
    the proof in a few words.

    >>> bound = Bound.concluded("rho >= value", "(20)", [Hypothesis.at_most("r0 <= 1", 2.0, 1.0)], lambda: 1.0)
    >>> bound.applies, bound.value
    (False, nan)
    """

    quantity: str
    value: float
    hypotheses: tuple[Hypothesis, ...]
    source: str

    @classmethod
    def concluded(
        cls, quantity: str, source: str, hypotheses: Sequence[Hypothesis], value: Callable[[], float]
    ) -> Bound:
        """Return the bound; ``value`` is called only if all hypotheses are met."""
        met = all(hypothesis.held for hypothesis in hypotheses)
        return cls(quantity, float(value()) if met else nan, tuple(hypotheses), source)

    @property
    def applies(self) -> bool:
        """True if all hypotheses are met."""
        return all(hypothesis.held for hypothesis in self.hypotheses)


def depth_at_least(form: ReducedForm, least: int) -> Hypothesis:
    """Return the hypothesis L >= least."""
    return Hypothesis.at_most(f"{least} <= L", least, form.depth)


def depth_two(form: ReducedForm) -> Hypothesis:
    """Return the hypothesis L = 2."""
    return Hypothesis("L = 2", form.depth == 2, form.depth, 2)


def weight_normalized(form: ReducedForm) -> Hypothesis:
    """Return the hypothesis that the factor has a radius and a direction."""
    return Hypothesis("with weight normalization", not form.plain)


def plain_network(form: ReducedForm) -> Hypothesis:
    """Return the hypothesis that the network trains the factor itself."""
    return Hypothesis("without weight normalization", form.plain)


def constant_ratio(form: ReducedForm) -> tuple[float, Hypothesis]:
    """Return eta for a unit direction that moves at rate 1, and the hypothesis that the law is constant."""
    constant = not form.plain and form.law.power is not None and form.law.power[1] == 0
    return float(form.f(1.0)) if constant else nan, Hypothesis("the learning-rate ratio is constant", constant)


def square_law(form: ReducedForm) -> Hypothesis:
    """Return the hypothesis that the ratio law is r^2."""
    return Hypothesis("(eta_r, eta_u) = (r^2, 1)", form.square and not form.plain)


def no_collapse(problem: LinearProblem, form: ReducedForm) -> Hypothesis:
    """Return a sufficient condition against collapse that needs no limit."""
    if form.depth == 1 or float(form.E(0.0)) == -inf:
        return Hypothesis("no collapse: E(0) = -inf, or depth 1", True)
    start, zero = np.linalg.norm(problem.residual(form.signal(form.log_start))), np.linalg.norm(problem.b)
    return Hypothesis("no collapse: ||A X0 - b|| < ||b||", bool(start < zero), float(start), float(zero))
