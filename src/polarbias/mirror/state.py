r"""Where a run is when its mirror variable has moved: radius, direction, signal and residual, from logarithms.

Along every flow in polar form the mirror map of the signal moves along the rows of A only. With E the antiderivative
of r / f and :math:`v = u^{\odot 2} e^{2 (E(r) - E(r_0))}`,

.. math:: \log v = \log u_0^{\odot 2} + A^\top \nu \quad (L = 2), \qquad
          v^{\odot (2 - L) / 2} = u_0^{\odot (2 - L)} - (L - 2) A^\top \nu \quad (L > 2),

and because u has norm 1, the sum of v gives the radius and X = (r u)^L:

.. math:: 2 E(r) = 2 E(r_0) + \log \sum_n v_n, \qquad u^{\odot 2} = v / \textstyle\sum_n v_n .

>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
>>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=1.0)
>>> from polarbias.mirror.reduced_form import reduced_forms
>>> _, runs = reduced_forms(problem, network, network.init(1.0, [1.0, 1.0]))
>>> [(_, one, form)] = runs
>>> MirrorState.start(one, form).moved(np.zeros(1)).x
array([0.5, 0.5])
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks import HadamardDifference, HadamardPower, Polar
from polarbias.problems.linear import LinearProblem

LOWEST_LOG = -700.0
"""Logarithm of the smallest number that enters a sum; exponentials of less are denormal and slow."""


def log_sum_exp(values: np.ndarray) -> float:
    """Return the logarithm of the sum of exponentials; NaN or infinity pass through."""
    top = float(values.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.exp(np.maximum(values - top, LOWEST_LOG)).sum()))


class Radius:
    """The radius of one run as a function of E, on plain floats.

    Attributes
    ----------
    lowest, highest
        E of the radii 0 and infinity.
    """

    def __init__(self, form: ReducedForm) -> None:
        self.form = form
        self.lowest, self.highest = float(form.E(0.0)), float(form.E(np.inf))

    def __reduce__(self) -> tuple[type[Radius], tuple[ReducedForm]]:
        """Pickle and copy through the constructor: the closed forms are local functions."""
        return Radius, (self.form,)

    def squared(self, E: float) -> float:
        """Return s = r^2: 0 where E is at or below its lowest value, infinity where it is at or above its highest."""
        if self.lowest >= E:
            return 0.0
        return float(self.form.E_inverse(E)) if self.highest > E else np.nan if np.isnan(E) else np.inf

    def inertia(self, s: float) -> float:
        """Return f / s, the derivative of log s in 2 E; 1 without weight normalization."""
        if self.form.plain:
            return 1.0
        return float(self.form.f(s)) / s if s > 0 else np.inf


SMALLEST = np.finfo(float).tiny / np.finfo(float).eps
"""Least entry of parameters, as `polarbias.networks.base.above_underflow` has it."""


@dataclass(frozen=True, eq=False)
class MirrorState:
    r"""A run at one value of its mirror variable; `start` makes the first, `moved` all others.

    Positions are kept relative to the state that was moved from, so that an entry of q or a radius that shrinks by
    many orders of magnitude, in small moves, keeps its relative accuracy.

    Attributes
    ----------
    problem, radius
        One problem, and the law of the radius of one run, depth 2 or above.
    nu
        Mirror variable, shape ``(M,)``, sum of all moves. At depth 2, log u^2 + 2 E has moved by :math:`A^\top \nu`;
        above, :math:`(u e^{E - E(r_0)})^{2 - L} / (2 - L)` has.
    log_v
        Logarithm of v, shape ``(n,)``; NaN where the move left the domain of the mirror map.
    total
        Logarithm of the sum of v, :math:`2 (E - E(r_0))`.
    E
        E of the radius; below E(0) where the signal is 0.
    s
        Square of the radius; 0 where E is at or below E(0).
    log_x
        Logarithm of the signal (of both halves of a signed one), shape ``(n,)``.
    x
        The signal, shape ``(N,)``.
    residual
        ``A x - b``, shape ``(M,)``.
    """

    problem: LinearProblem
    radius: Radius
    nu: np.ndarray
    log_v: np.ndarray
    total: float
    E: float
    s: float
    log_x: np.ndarray
    x: np.ndarray
    residual: np.ndarray

    @classmethod
    def start(cls, problem: LinearProblem, form: ReducedForm) -> MirrorState:
        """Return the state of the run at its start, nu = 0.

        Raises
        ------
        InvalidInput
            Depth 1, where the direction changes sign and has no logarithm.
        """
        if form.depth < 2:
            raise InvalidInput("the mirror variable in logarithms needs depth 2 or above.")
        log_v = 2 * form.log_u0
        s = form.r0**2
        return cls._of(problem, Radius(form), np.zeros(problem.m), log_v, 0.0, float(form.E(s)), s)

    @classmethod
    def _of(
        cls,
        problem: LinearProblem,
        radius: Radius,
        nu: np.ndarray,
        log_v: np.ndarray,
        total: float,
        E: float,
        s: float,
    ) -> MirrorState:
        form = radius.form
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            log_x = form.depth / 2 * (np.log(s) + log_v - total)
            size = np.where(log_x <= LOWEST_LOG, 0.0, np.exp(np.maximum(log_x, LOWEST_LOG)))
            x = size[: problem.n] - size[problem.n :] if form.signed else size
            residual = problem.A @ x - problem.b
        return cls(problem, radius, nu, log_v, total, E, s, log_x, x, residual)

    def moved(self, step: np.ndarray) -> MirrorState:
        """Return the state whose mirror variable is ``nu + step``; not `inside` where there is none."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            change = self.log_change(step)
            log_v = self.log_v + change
            if np.abs(change).max() < 0.5:  # the sum changes little: keep the digits of its change
                moved = float(np.log1p(np.exp(self.log_v - self.total) @ np.expm1(change)))
                total = self.total + moved
            else:
                total = log_sum_exp(log_v)
                moved = total - self.total
        E = self.E + moved / 2
        return MirrorState._of(self.problem, self.radius, self.nu + step, log_v, total, E, self.radius.squared(E))

    def log_change(self, step: np.ndarray) -> np.ndarray:
        """Return the change of ``log_v`` by a move, shape ``(n,)``; NaN where it leaves the domain."""
        along = self.spread(self.problem.A.T @ step)
        if self.form.depth == 2:
            return along
        power = (self.form.depth - 2) / 2
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(np.log1p(-2 * power * along * np.exp(power * self.log_v)) / -power)

    def spread(self, along: np.ndarray) -> np.ndarray:
        """Return values per unknown, shape ``(N,)``, for every entry of the direction; halves get opposite signs."""
        return np.concatenate([along, -along]) if self.form.signed else along

    @property
    def form(self) -> ReducedForm:
        """Polar form of the run."""
        return self.radius.form

    @property
    def inside(self) -> bool:
        """Whether the mirror map takes this value, with a finite signal."""
        return bool(np.isfinite(self.residual).all())

    @property
    def r(self) -> float:
        """Radius."""
        return sqrt(self.s)

    @property
    def log_pi(self) -> np.ndarray:
        """Logarithm of u^2, shape ``(n,)``."""
        return self.log_v - self.total

    @property
    def loss(self) -> float:
        """``||residual||^2 / (2 L)``."""
        return float(self.residual @ self.residual) / (2 * self.form.depth)

    def parameters(self, length: float) -> Any:
        """Return the network's own parameters; under weight normalization, u of this length.

        Entries that underflow are lifted: 0 is no point of the network, as an entry there never moves.
        """
        unit = np.maximum(np.exp(self.log_pi / 2), SMALLEST)
        if not self.form.plain:
            return Polar(np.asarray(self.r), length * unit)
        inner = HadamardDifference if self.form.signed else HadamardPower
        return inner(self.form.depth).from_factor(self.r * unit)
