"""A bound with its hypotheses as data: what is claimed, of what, and whether it may be claimed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis of a statement, and whether it is met.

    Attributes
    ----------
    name
        The hypothesis in words or symbols; where it is an inequality, ``lhs`` and ``rhs`` are its sides as written.
    held
        Whether it is met.
    lhs, rhs
        The two sides; NaN for a hypothesis that compares no numbers.

    Examples
    --------
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


@dataclass(frozen=True)
class Bound:
    """A proved bound, with what it needs.

    Attributes
    ----------
    quantity
        What is bounded, with the direction of the inequality.
    value
        The bound; NaN where a hypothesis is not met, because then nothing is claimed.
    hypotheses
        All hypotheses, met or not.
    source
        Equation or theorem of arXiv:2305.05448v1, or the proof in a few words.

    Examples
    --------
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
        """Return the bound; ``value`` is called only where all hypotheses are met."""
        met = all(hypothesis.held for hypothesis in hypotheses)
        return cls(quantity, float(value()) if met else nan, tuple(hypotheses), source)

    @property
    def applies(self) -> bool:
        """Whether all hypotheses are met."""
        return all(hypothesis.held for hypothesis in self.hypotheses)
