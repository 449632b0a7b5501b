r"""Whether the flow of a run collapses, r -> 0, or converges to the limit that convex duality finds.

The flow either converges to the minimiser of the Bregman divergence, or r goes to zero with the loss at or above that
of X = 0 for all time. A convex solve alone cannot tell which; these are the proofs and, where none applies, the
integration of the gradient flow :math:`\nu' = b - A X(\nu)`, which traces the same curve in a time in which a collapse
is over after finitely long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from polarbias.mirror.reduced_form import ReducedForm
from polarbias.problems.linear import LinearProblem
from polarbias.solution import CollapseStatus

TIGHT = 1e-10
"""Relative tolerance of the integration."""

VANISHED = 1e-8
"""Share of E(r0) - E(0) at which the radius counts as vanished."""

MOST_EVALUATIONS = 20_000
"""Evaluations of the flow after which nothing is decided."""

MARGIN = 1e-8
"""What is closer than this to the border between two outcomes, relative to its size, decides nothing."""


class _Undecided(Exception):
    """The integration takes too long."""


class Shares:
    r"""Radius and direction of a run as functions of its mirror variable.

    .. math:: v = u_0^{2} e^{A^\top \nu} \quad (L = 2), \qquad
              v = (u_0^{2 - L} - (L - 2) A^\top \nu)^{-2 / (L - 2)} \quad (L > 2),

    2 (E(r) - E(r0)) is the logarithm of the sum of v, u^2 the shares in it.
    """

    def __init__(self, op: Any, form: ReducedForm) -> None:
        """Keep operator and start."""
        self.op, self.form = op, form
        self._start = np.exp(2 * form.log_u0)

    def at(self, nu: np.ndarray, *, clipped: bool = False) -> tuple[float, np.ndarray] | None:
        """Return 2 (E - E0) and log u^2; where v does not exist, None, or values from beyond its end if ``clipped``."""
        along = self.op.adjoint(nu)
        L = self.form.depth
        if L == 2:
            change = along
        else:
            inner = -(L - 2) * along * np.exp((L - 2) * self.form.log_u0)
            if not inner.min() > -1:
                if not clipped:
                    return None
                inner = np.maximum(inner, -1 + 1e-15)
            change = np.log1p(inner) * (2 / (2 - L))
        if np.abs(change).max() < 0.5:  # keep the digits of a small change
            total = float(np.log1p(self._start @ np.expm1(change)))
        else:
            log_v = 2 * self.form.log_u0 + change
            top = float(log_v.max())
            total = top + float(np.log(np.exp(np.maximum(log_v - top, -745.0)).sum()))
        return total, 2 * self.form.log_u0 + change - total


def kernel_point(op: Any, form: ReducedForm, max_steps: int = 300) -> tuple[float, np.ndarray, np.ndarray] | None:
    r"""Minimise 2 (E - E0) over the mirror variable; return the minimum, nu, and log u^2 there.

    At depth 2 the minimum is :math:`-\min \{ KL(w \| u_0^2) : A w = 0, w \ge 0, \sum w = 1 \}`. None if the kernel of
    A holds no positive vector: the infimum is then minus infinity, or is not attained.
    """
    shares, L = Shares(op, form), form.depth
    nu = np.zeros(op.m)
    norms = op.column_norms()
    for _ in range(max_steps):
        found = shares.at(nu)
        if found is None or found[0] < -600:
            return None
        total, log_pi = found
        x = np.exp(np.maximum(L / 2 * (log_pi - log_pi.max()), -745.0))
        mean = op.forward(x)
        if np.linalg.norm(mean) <= 1e-13 * float(x @ norms):
            return total, nu, log_pi
        # d log X / d (A^T nu) is 1 at depth 2, L / q above, up to a factor that cancels.
        rate = 1.0 if L == 2 else np.exp(np.maximum((L - 2) / 2 * (log_pi + total), -600.0)) * L
        dnu = -op.normal(x * rate)(mean)
        along = op.adjoint(dnu)
        if along.max() < 0:
            return None
        slope, t = abs(float(mean @ dnu)), 1.0

        def rises(t: float, dnu: np.ndarray = dnu, nu: np.ndarray = nu, scale: float = slope) -> bool:
            there = shares.at(nu + t * dnu)
            if there is None:
                return True
            image = op.forward(np.exp(np.maximum(L / 2 * (there[1] - there[1].max()), -745.0)))
            return bool(image @ dnu > 0.5 * scale)

        while t > 1e-12 and rises(t):
            t *= 0.5
        nu = nu + t * dnu
    return None


class Products:
    """Products with the matrix of a problem, for entries that may be halves of signed signals."""

    def __init__(self, problem: LinearProblem, signed: bool) -> None:
        """Keep the matrix."""
        self._A = problem.A.astype(np.float64, copy=False) if problem.is_dense else problem.A
        self._signed = signed
        self.b = np.asarray(problem.b, np.float64)
        self.m = problem.m

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape ``(M,)``, for x of shape ``(n,)``."""
        half = x.size // 2
        return np.asarray(self._A @ (x[:half] - x[half:] if self._signed else x))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """Return A^T y, shape ``(n,)``."""
        z = np.asarray(self._A.T @ y)
        return np.concatenate([z, -z]) if self._signed else z


class CollapseTest:
    """Decides on collapse for the runs of one problem, direction and depth."""

    def __init__(self, problem: LinearProblem, op: Any) -> None:
        """Keep the problem, and the operator that solves with its rows scaled."""
        self._problem, self._op = problem, op
        self._kernel: tuple[tuple[float, np.ndarray, np.ndarray] | None] | None = None

    def kernel(self, form: ReducedForm) -> tuple[float, np.ndarray, np.ndarray] | None:
        """Return `kernel_point`, computed once: it depends on neither the law nor the radius."""
        if self._kernel is None:
            self._kernel = (kernel_point(self._op, form),)
        return self._kernel[0]

    def status(self, form: ReducedForm) -> CollapseStatus:
        """Return what is known about collapse for one run, depth 2 and above, b != 0."""
        lowest, start = float(form.E(0.0)), float(form.E(form.r0**2))
        if lowest == -np.inf:
            return CollapseStatus.LAW
        # Losses compare in the rows as they are.
        products = Products(self._problem, form.signed)
        if _rise(products, products.forward(np.exp(form.log_start))) < -MARGIN:
            return CollapseStatus.LOSS
        kernel = self.kernel(form)
        if kernel is not None and start + kernel[0] / 2 - lowest > MARGIN * (start - lowest):
            return CollapseStatus.KERNEL
        return _integrated(products, form, start, lowest)


def _rise(op: Any, image: np.ndarray) -> float:
    """Return (||A X - b||^2 - ||b||^2) / (||A X|| ||b||) without its cancellation."""
    size, other = float(np.linalg.norm(op.b)), float(np.linalg.norm(image))
    return other / size - 2 * float(image @ op.b) / max(other * size, 1e-300)


def _integrated(op: Any, form: ReducedForm, start: float, lowest: float) -> CollapseStatus:
    r"""Follow the flow until the loss is below that of X = 0, or r is as good as 0.

    The clock is that of :math:`\nu' = -h R`, where h, the share of E(r0) - E(0) that is left, goes to zero with r: a
    collapse takes forever, as in the flow itself, and a close escape is not stepped over.
    """
    shares, L = Shares(op, form), form.depth
    evaluations = 0

    def left(nu: np.ndarray) -> tuple[float, np.ndarray]:
        """Return h and A X, or A X up to a factor where h is not positive."""
        found = shares.at(nu, clipped=True)
        assert found is not None
        total, log_pi = found
        h = 1 + total / 2 / (start - lowest)
        s = float(form.E_inverse(lowest + h * (start - lowest))) if h > 0 else 1.0
        return h, op.forward(s ** (L / 2) * np.exp(np.maximum(L / 2 * log_pi, -745.0)))

    def rhs(_: float, nu: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        if evaluations > MOST_EVALUATIONS:
            raise _Undecided
        h, image = left(nu)
        return np.asarray(h * (op.b - image)) if h > 0 else np.zeros_like(nu)

    def vanishes(_: float, nu: np.ndarray) -> float:
        return left(nu)[0] - VANISHED

    def descends(_: float, nu: np.ndarray) -> float:
        h, image = left(nu)
        return _rise(op, image) + MARGIN if h > 0 else 1.0

    vanishes.terminal = descends.terminal = True  # type: ignore[attr-defined]
    vanishes.direction = descends.direction = -1  # type: ignore[attr-defined]
    # In this time A^T nu is of order 1 after 1 / max |A^T b|.
    unit = 1 / max(float(np.abs(op.adjoint(op.b)).max()), 1e-300)
    try:
        found = solve_ivp(
            rhs,
            (0.0, 1e30 * unit),
            np.zeros(op.m),
            method="LSODA",
            events=(vanishes, descends),
            rtol=TIGHT,
            atol=1e-13 * unit * float(np.linalg.norm(op.b)),
        )
    except _Undecided:
        return CollapseStatus.UNDECIDED
    if found.status != 1:
        return CollapseStatus.UNDECIDED
    if found.t_events[1].size:
        return CollapseStatus.INTEGRATED
    _, image = left(found.y_events[0][0])
    # Near r = 0 the direction rests, and the radius falls exactly where <A X, b> < 0.
    cosine = float(image @ op.b) / max(float(np.linalg.norm(image) * np.linalg.norm(op.b)), 1e-300)
    return CollapseStatus.COLLAPSES if cosine < -MARGIN else CollapseStatus.UNDECIDED
