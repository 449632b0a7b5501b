r"""State of a flow in polar form at one value of its mirror variable.

>>> import polarbias as pb
>>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
>>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=1.0)
>>> from polarbias.mirror.reduced_form import reduced_forms
>>> _, [(_, one, form)] = reduced_forms(problem, network, network.init(1.0, [1.0, 1.0]))
>>> MirrorState.start(one, form).moved(np.zeros(1)).x
array([0.5, 0.5])
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.linalg.normal_equations import SignedMatrix
from polarbias.mirror.map import MirrorMap, exp
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks import HadamardDifference, HadamardPower, Polar
from polarbias.problems.linear import LinearProblem

SMALLEST = np.finfo(float).tiny / np.finfo(float).eps
"""Least entry of parameters, as in `polarbias.networks.base.clip_underflow`."""


@dataclass(frozen=True, eq=False)
class MirrorState:
    r"""A run at one value of its mirror variable; `start` makes the first state, `moved` all others.

    Attributes
    ----------
    matrix, form
        A and b, and the reduced form of one run, depth 2 or above.
    nu
        Mirror variable, shape ``(M,)``, sum of all moves. At depth 2, log u^2 + 2 E has moved by :math:`A^\top \nu`;
        above, :math:`(u e^{E - E(r_0)})^{2 - L} / (2 - L)` has.
    map
        Mirror map at this state; its entries are NaN where the move left the domain.
    E, s
        E of the radius and its square; E is below E(0), and s is 0, where the signal is 0.
    log_x, x
        Logarithm of the signal (of both halves of a signed one), shape ``(n,)``, and the signal, shape ``(N,)``.
    residual
        ``A x - b``, shape ``(M,)``.
    """

    matrix: SignedMatrix
    form: ReducedForm
    nu: np.ndarray
    map: MirrorMap
    E: float
    s: float
    log_x: np.ndarray
    x: np.ndarray
    residual: np.ndarray

    @classmethod
    def start(cls, problem: LinearProblem, form: ReducedForm) -> MirrorState:
        """Return the state at nu = 0; depth 1, where the direction may change sign, raises `InvalidInput`."""
        if form.depth < 2:
            raise InvalidInput("the mirror variable in logarithms needs depth 2 or above.")
        matrix, s = SignedMatrix.of(problem, form.signed), form.r0**2
        return cls._of(matrix, form, np.zeros(problem.m), MirrorMap(form.depth, 2 * form.log_u0), float(form.E(s)), s)

    @classmethod
    def _of(
        cls, matrix: SignedMatrix, form: ReducedForm, nu: np.ndarray, mirror_map: MirrorMap, E: float, s: float
    ) -> MirrorState:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            log_x = form.depth / 2 * (np.log(s) + mirror_map.log_share)
            x = matrix.folded(exp(log_x), -1.0)
            residual = matrix.columns.apply(x) - matrix.b
        return cls(matrix, form, nu, mirror_map, E, s, log_x, x, residual)

    def moved(self, step: np.ndarray) -> MirrorState:
        """Return the state whose mirror variable is ``nu + step``; not `inside` if there is none."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            mirror_map, rise = self.map.moved(self.matrix.adjoint(step))
            E = self.E + rise / 2
        return MirrorState._of(self.matrix, self.form, self.nu + step, mirror_map, E, self.form.squared_radius(E))

    @property
    def inside(self) -> bool:
        """True if the mirror map takes this value, with a finite signal."""
        return bool(np.isfinite(self.residual).all())

    @property
    def r(self) -> float:
        """Radius."""
        return sqrt(self.s)

    @property
    def loss(self) -> float:
        """``||residual||^2 / (2 L)``."""
        return float(self.residual @ self.residual) / (2 * self.form.depth)

    def parameters(self, length: float) -> Any:
        """Return the network's own parameters; under weight normalization, u of this length.

        Entries that underflow are lifted: 0 is no point of the network, as an entry there never moves.
        """
        unit = np.maximum(np.exp(self.map.log_share / 2), SMALLEST)
        if not self.form.plain:
            return Polar(np.asarray(self.r), length * unit)
        inner = HadamardDifference if self.form.signed else HadamardPower
        return inner(self.form.depth).from_factor(self.r * unit)
