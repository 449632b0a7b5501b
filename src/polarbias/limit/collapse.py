r"""Collapse of gradient flow: decide between r -> 0 and the limit of the convex dual.

The flow either converges to the minimiser of the Bregman divergence, or r goes to zero with the loss at or above that
of X = 0 for all time. A convex solve alone does not decide. The decision is a proof or, if none applies, an integration
of :math:`\nu' = b - A X(\nu)`, which follows the curve of the flow in a time in which a collapse takes finitely long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from polarbias.linalg.normal_equations import NormalEquations, SignedMatrix
from polarbias.mirror.map import MirrorMap, exp
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem
from polarbias.solution import CollapseStatus


@dataclass(frozen=True)
class Options:
    """Constants of the decision."""

    rtol: float = 1e-10
    """Relative tolerance of the integration: starts within 1e-3 of the threshold in r0^2 are decided rightly."""

    vanished_threshold: float = 1e-8
    """Share of E(r0) - E(0) below which the radius has vanished."""

    max_evaluations: int = 20_000
    """Evaluations of the flow after which the integration ends undecided."""

    margin: float = 1e-8
    """Relative distance from the border between two outcomes below which neither is proved."""

    max_kernel_steps: int = 300
    """Newton steps of `kernel_point`."""


OPTIONS = Options()

KernelPoint = tuple[float, np.ndarray, np.ndarray]


def kernel_point(op: NormalEquations, form: ReducedForm) -> KernelPoint | None:
    r"""Minimise 2 (E - E0) over the mirror variable; return the minimum, nu, and log u^2 there.

    At depth 2 the minimum is :math:`-\min \{ KL(w \| u_0^2) : A w = 0, w \ge 0, \sum w = 1 \}`. None if the kernel of
    A has no positive vector: the infimum is then minus infinity, or is not attained.
    """
    start, half = MirrorMap(form.depth, 2 * form.log_u0), form.depth / 2
    nu, norms = np.zeros(op.m), op.column_norms()
    for _ in range(OPTIONS.max_kernel_steps):
        at, total = start.moved(op.adjoint(nu))
        if not at.inside or total < -600:
            return None
        x = exp(half * (at.log_w - at.log_w.max()))
        mean = op.apply(x)
        if np.linalg.norm(mean) <= 1e-13 * float(x @ norms):
            return total, nu, at.log_share
        rate = 1.0 if form.depth == 2 else form.depth * at.rate  # of log X in A^T nu, up to a factor that cancels
        dnu = -op.normal(x * rate)(mean)
        if op.adjoint(dnu).max() < 0:
            return None
        slope, t = abs(float(mean @ dnu)), 1.0

        def rises(t: float, dnu: np.ndarray = dnu, nu: np.ndarray = nu, slope: float = slope) -> bool:
            trial, _ = start.moved(op.adjoint(nu + t * dnu))
            if not trial.inside:
                return True
            return bool(op.apply(exp(half * (trial.log_w - trial.log_w.max()))) @ dnu > 0.5 * slope)

        while t > 1e-12 and rises(t):
            t *= 0.5
        nu = nu + t * dnu
    return None


class CollapseTest:
    """Decision on collapse for the runs of one problem, direction and depth."""

    def __init__(self, problem: LinearProblem, op: NormalEquations) -> None:
        self._problem, self._op = problem, op
        self._kernel: tuple[KernelPoint | None] | None = None

    def kernel(self, form: ReducedForm) -> KernelPoint | None:
        """Return `kernel_point`, computed once: it depends on neither the law nor the radius."""
        if self._kernel is None:
            self._kernel = (kernel_point(self._op, form),)
        return self._kernel[0]

    def status(self, form: ReducedForm) -> CollapseStatus:
        """Return the decision for one run of depth 2 or above, b != 0."""
        lowest, start = form.lowest, float(form.E(form.r0**2))
        if lowest == -np.inf:
            return CollapseStatus.LAW
        matrix = SignedMatrix.of(self._problem, form.signed)  # losses compare in the rows as they are
        if _relative_rise(matrix, matrix.apply(np.exp(form.log_start))) < -OPTIONS.margin:
            return CollapseStatus.LOSS
        kernel = self.kernel(form)
        if kernel is not None and start + kernel[0] / 2 - lowest > OPTIONS.margin * (start - lowest):
            return CollapseStatus.KERNEL
        return _integrated(matrix, form, start)


def _relative_rise(matrix: SignedMatrix, image: np.ndarray) -> float:
    """Return (||A X - b||^2 - ||b||^2) / (||A X|| ||b||) without its cancellation."""
    size, other = float(np.linalg.norm(matrix.b)), float(np.linalg.norm(image))
    return other / size - 2 * float(image @ matrix.b) / max(other * size, 1e-300)


class _TooLong(Exception):
    """The integration takes too many evaluations."""


def _integrated(matrix: SignedMatrix, form: ReducedForm, start: float) -> CollapseStatus:
    r"""Integrate the flow until the loss is below that of X = 0, or r is as good as 0.

    Its time is that of :math:`\nu' = -h R`, where h, the remaining share of E(r0) - E(0), goes to zero with r: a
    collapse takes forever, as in the flow itself, and no step jumps over a close escape.
    """
    origin, span, b = MirrorMap(form.depth, 2 * form.log_u0), start - form.lowest, matrix.b
    evaluations = 0

    def share_and_image(nu: np.ndarray) -> tuple[float, np.ndarray]:
        """Return h and A X, the latter up to a factor if h is not positive."""
        at, total = origin.moved(matrix.adjoint(nu), least=1e-15)
        h = 1 + total / 2 / span
        s = float(form.E_inverse(form.lowest + h * span)) if h > 0 else 1.0
        return h, matrix.apply(s ** (form.depth / 2) * exp(form.depth / 2 * at.log_share))

    def rhs(_: float, nu: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        if evaluations > OPTIONS.max_evaluations:
            raise _TooLong
        h, image = share_and_image(nu)
        return np.asarray(h * (b - image)) if h > 0 else np.zeros_like(nu)

    def vanishes(_: float, nu: np.ndarray) -> float:
        return share_and_image(nu)[0] - OPTIONS.vanished_threshold

    def descends(_: float, nu: np.ndarray) -> float:
        h, image = share_and_image(nu)
        return _relative_rise(matrix, image) + OPTIONS.margin if h > 0 else 1.0

    vanishes.terminal = descends.terminal = True  # type: ignore[attr-defined]
    vanishes.direction = descends.direction = -1  # type: ignore[attr-defined]
    # In this time A^T nu is of order 1 after 1 / max |A^T b|.
    unit = 1 / max(float(np.abs(matrix.adjoint(b)).max()), 1e-300)
    try:
        found = solve_ivp(
            rhs,
            (0.0, 1e30 * unit),
            np.zeros(matrix.m),
            method="LSODA",
            events=(vanishes, descends),
            rtol=OPTIONS.rtol,
            atol=1e-13 * unit * float(np.linalg.norm(b)),
        )
    except _TooLong:
        return CollapseStatus.UNDECIDED
    if found.status != 1:
        return CollapseStatus.UNDECIDED
    if found.t_events[1].size:
        return CollapseStatus.INTEGRATED
    _, image = share_and_image(found.y_events[0][0])
    # Near r = 0 the direction is constant, and the radius decreases if and only if <A X, b> < 0.
    cosine = float(image @ b) / max(float(np.linalg.norm(image) * np.linalg.norm(b)), 1e-300)
    return CollapseStatus.COLLAPSES if cosine < -OPTIONS.margin else CollapseStatus.UNDECIDED
