r"""Limit of gradient flow, by one convex solve.

The flow of a diagonal network is a mirror flow, so its limit is the solution of A X = b that is nearest to the start in
the Bregman divergence of its potential: at depth 2 and with a constant ratio eta, for example, the minimiser over
:math:`S_+ = \{z \ge 0 : A z = b\}` of

.. math:: \lVert z \rVert_1\, \mathrm{KL}\!\left( \tfrac{z}{\lVert z \rVert_1} \,\Big\|\, u_0^{\odot 2} \right)
          + \frac{(\lVert z \rVert_1 - r_0^2)^2}{2 \eta} .

The dual of that problem has M variables; `flow_limit` solves it by Newton's method, in logarithms, for every depth and
ratio law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polarbias.limit.collapse import CollapseTest, kernel_point
from polarbias.limit.depth_one import linear_limit
from polarbias.limit.forced_zeros import forced_zeros
from polarbias.limit.limit_curve import CurvePoint, LimitCurve
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.linalg.normal_equations import InfeasibleSystem, NormalEquations, normal_equations
from polarbias.mirror.map import LOWEST_LOG
from polarbias.mirror.reduced_form import ReducedForm, reduced_forms
from polarbias.networks import Factor, Pair, Polar, WeightNormalization
from polarbias.networks.base import scaled_norm
from polarbias.problems.certificate import best_dual, farkas_certificate, power_of_two
from polarbias.problems.linear import LinearProblem, borrowed, is_operator
from polarbias.solution import CollapseStatus, Solution, Status

TINY = np.finfo(float).tiny


@dataclass
class _Limit:
    """Limit of one run; dual variables are in the rows of the problem."""

    form: ReducedForm
    log_x: np.ndarray
    r: float
    nu: np.ndarray
    dual: np.ndarray
    status: Status
    collapse_status: CollapseStatus
    steps: int
    sign: np.ndarray | None = None  # at depth 1
    farkas: np.ndarray | None = None
    gap: float = np.nan
    log_rho: float = np.nan


def flow_limit(problem: LinearProblem, network: Any, theta0: Any) -> Solution:
    r"""Return the limit of the gradient flow from ``theta0``, for every run of a batch.

    Parameters
    ----------
    problem
        One problem, or a batch of shape ``(T,)``; A may be dense, sparse, or a linear operator.
    network
        `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them, of any depth and ratio law.
    theta0
        Start, as from ``network.init``; the batch axes of its leaves begin with those of the problem. Runs that
        share problem and direction, such as a grid over r0 and ratios, share most of the work.

    Returns
    -------
    Solution
        Its fields beside ``x``, ``theta``, ``loss`` and ``residual``:

        ``log_x``
            accurate also where ``x`` underflows.
        ``mirror_dual``
            nu: at depth 2, :math:`\log u^2 + 2 E(r)` has moved by :math:`A^\top \nu`; above,
            :math:`(u e^{E(r) - E(r_0)})^{2 - L} / (2 - L)` has. NaN at depth 1.
        ``dual``, ``gap``
            a feasible dual point of the minimal l1 problem (depth L > 2: with weights :math:`x_0^{2 - L}`; depth 1:
            none, NaN), and the certified distance from its minimum relative to the norm of x.
        ``r``, ``log_rho``
            radius and logarithm of the magnification factor (17).
        ``collapse_status``
            proof that the flow does not collapse, or that it does.
        ``steps``
            factorizations spent.
        ``status``
            converged; collapsed (the flow goes to X = 0, which is then ``x``); undecided (x is the limit unless the
            flow collapses); inaccurate (``x`` is 0 and ``gap`` NaN if nothing was found at all, as may happen from
            directions that spread over 20 decades and more); or infeasible (no signal of the network's kind solves
            A X = b: ``x`` is NaN).
        ``farkas``
            proof of infeasibility y, shape ``(..., M)``, NaN in other runs; None if no run is infeasible.

    Raises
    ------
    InvalidInput
        A network without an explicit limit; shapes that do not fit; a start that the network does not allow.

    Notes
    -----
    Entries that A X = b forces to 0 are 0 in ``x`` if A is an array; ``mirror_dual`` is NaN then. Entries of
    ``theta`` below the smallest normal number are lifted to it, so that theta can start another run.

    References
    ----------
    arXiv:2305.05448v1, Theorems 2.1 to 2.3 and equations (17), (32), (33).

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.gaussian_problem(seed=0, m=15, n=40, truth="sparse", s=3)
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), ratio=0.1)
    >>> limit = pb.flow_limit(problem, network, network.init(1.0, pb.uniform_direction(40)))
    >>> bool(limit.converged), bool(limit.residual < 1e-12)
    (True, True)
    """
    batch_shape, runs = reduced_forms(problem, network, theta0)
    solver = _Solver()
    found = np.empty(batch_shape, dtype=object)
    with limit_blas_threads(problem.m), np.errstate(all="ignore"):  # statuses report divergence and lost accuracy
        for at, one, form in runs:
            found[at] = solver.solve(at[: len(problem.batch_shape)], one, form)
        return _assembled(problem, network, theta0, found)


@dataclass(frozen=True)
class _Units:
    """A problem with entries and solutions of moderate size: A is divided by ``matrix``, radii are by 2^exponent.

    All units are powers of two, so that nothing is rounded.
    """

    problem: LinearProblem
    matrix: float
    exponent: int

    @classmethod
    def of(cls, problem: LinearProblem, depth: int) -> _Units:
        largest = 1.0 if is_operator(problem.A) else float(abs(problem.A).max())
        matrix = 1.0 if 1e-6 < largest < 1e6 else float(power_of_two(largest))
        size = float(np.abs(problem.b).max(initial=0.0))
        exponent = int(np.clip(np.round(np.log2(size / largest) / depth), -500, 500)) if size and largest else 0
        A = problem.A if matrix == 1 else problem.A * (1 / matrix)
        return cls(borrowed(A, np.ldexp(problem.b / matrix, -depth * exponent)), matrix, exponent)

    def scaled(self, form: ReducedForm) -> ReducedForm:
        """Return the start in these units."""
        return replace(form, r0=np.ldexp(form.r0, -self.exponent), squared_unit=np.ldexp(1.0, 2 * self.exponent))

    def unscaled(self, found: _Limit, form: ReducedForm) -> _Limit:
        """Return the limit in the units of the data."""
        weights, own = _weights(form), _weights(found.form)
        ratio = float(weights.max() / own[weights.argmax()])
        return replace(
            found,
            form=form,
            log_x=found.log_x + form.depth * self.exponent * np.log(2.0),
            r=float(np.ldexp(found.r, self.exponent)),
            nu=found.nu / self.matrix,
            dual=found.dual * (ratio / self.matrix),
            gap=_gap(self.problem, found),
            log_rho=_log_rho(found),
        )


class _Solver:
    """Solver of runs one after the other; runs of one problem and direction share operators and curves."""

    def __init__(self) -> None:
        self._units: dict[tuple[int, ...], _Units] = {}
        self._operators: dict[tuple[Any, ...], NormalEquations] = {}
        self._curves: dict[tuple[Any, ...], tuple[LimitCurve, CollapseTest]] = {}

    def solve(self, problem_at: tuple[int, ...], problem: LinearProblem, form: ReducedForm) -> _Limit:
        """Return the limit of one run."""
        if problem_at not in self._units:
            self._units[problem_at] = _Units.of(problem, form.depth)
        units = self._units[problem_at]
        problem, scaled = units.problem, units.scaled(form)
        try:
            found = self._solve(problem_at, problem, scaled)
        except InfeasibleSystem as reason:
            found = _without_solution(problem, scaled, reason.direction)
        return units.unscaled(found, form)

    def _solve(self, problem_at: tuple[int, ...], problem: LinearProblem, form: ReducedForm) -> _Limit:
        if form.depth == 1:
            return self._linear(problem, form)
        key: tuple[Any, ...] = (problem_at, form.signed)
        if key not in self._operators:
            self._operators[key] = normal_equations(problem, form.signed)
        op = self._operators[key]
        if not op.m or not op.b.any():
            return self._homogeneous(problem, op, form)
        key = (*key, form.depth, form.log_u0.tobytes())
        if key not in self._curves:
            self._curves[key] = LimitCurve(op, form.log_u0, form.direction, form.depth), CollapseTest(problem, op)
        curve, collapse = self._curves[key]
        point = curve.solve(form)
        if not point.converged:
            y = farkas_certificate(problem, not form.signed)
            if y is not None:
                return _without_solution(problem, form, y)
            zero = forced_zeros(problem) if not form.signed else np.zeros(0, bool)
            if zero.any():
                return self._on_support(problem_at, problem, form, zero)
        known = collapse.status(form)
        if known == CollapseStatus.COLLAPSES:
            return _zero(problem, form, Status.COLLAPSED, known, point.steps)
        if not (np.isfinite(point.log_x).all() and point.log_x.max() < -LOWEST_LOG):
            return _zero(problem, form, Status.INACCURATE, known, point.steps)
        accurate = Status.CONVERGED if known.safe else Status.UNDECIDED
        return _Limit(
            form=form,
            log_x=point.log_x,
            r=float(np.sqrt(point.s)),
            nu=op.rows(_mirror_dual(curve, point, form)),
            dual=_dual(problem, curve, point, form),
            status=accurate if point.converged else Status.INACCURATE,
            collapse_status=known,
            steps=point.steps,
        )

    def _on_support(
        self, problem_at: tuple[int, ...], problem: LinearProblem, form: ReducedForm, zero: np.ndarray
    ) -> _Limit:
        """Return the limit of a problem whose equations force some entries to 0, from that of the other columns."""
        assert isinstance(problem.A, np.ndarray)
        kept = ~zero
        part = replace(form, log_u0=form.log_u0[kept], direction=form.direction[kept], sign=form.sign[kept])
        found = self._solve((*problem_at, -1), LinearProblem(problem.A[:, kept], problem.b), part)
        log_x = np.full(form.n, -np.inf)
        log_x[kept] = found.log_x
        missing = np.full(problem.m, np.nan)  # the mirror variable is infinite
        dual = best_dual(problem, [found.dual], _weights(form))
        return replace(found, form=form, log_x=log_x, nu=missing, dual=dual)

    def _homogeneous(self, problem: LinearProblem, op: NormalEquations, form: ReducedForm) -> _Limit:
        """Return the limit for b = 0, in the cone of the nonnegative kernel of A."""
        zero = np.zeros(problem.m)
        kernel = kernel_point(op, form) if op.m else (0.0, np.zeros(0), 2 * form.log_u0)
        E = -np.inf if kernel is None else float(form.E(form.r0**2)) + kernel[0] / 2
        if kernel is None or not float(form.E(0.0)) < E:
            return _zero(problem, form, Status.CONVERGED, CollapseStatus.LOSS, 0)
        s = float(form.E_inverse(E))
        log_x = form.depth / 2 * (np.log(s) + kernel[2])
        nu = op.rows(kernel[1]) if op.m else zero
        return _Limit(form, log_x, float(np.sqrt(s)), nu, zero, Status.CONVERGED, CollapseStatus.KERNEL, 0)

    def _linear(self, problem: LinearProblem, form: ReducedForm) -> _Limit:
        x, r, known = linear_limit(problem, form)
        if known == CollapseStatus.COLLAPSES:
            return _zero(problem, form, Status.COLLAPSED, known, 0)
        missing = np.full(problem.m, np.nan)
        status = Status.CONVERGED if known.safe else Status.UNDECIDED
        return _Limit(form, np.log(np.abs(x)), r, missing, missing, status, known, 0, np.sign(x))


def _mirror_dual(curve: LimitCurve, point: CurvePoint, form: ReducedForm) -> np.ndarray:
    """Return nu in the units of the start: above depth 2 the curve counts A^T nu (L - 2) in median weights."""
    if form.depth == 2:
        return point.nu
    return np.asarray(point.nu * (np.exp(curve.log_unit) / (form.depth - 2)))


def _weights(form: ReducedForm) -> np.ndarray:
    """Return the weights x0^(2 - L) of the l1 norm that the flow prefers, shape ``(n,)``.

    In units of the largest one, if they leave the range of floats.
    """
    logarithms = (2 - form.depth) * (form.log_u0 + np.log(form.r0))
    excess = np.maximum(logarithms.max() + LOWEST_LOG, 0.0)
    return np.asarray(np.exp(logarithms - excess))


def _dual(problem: LinearProblem, curve: LimitCurve, point: CurvePoint, form: ReducedForm) -> np.ndarray:
    """Return the best feasible dual of the minimal l1 problem among the candidates of the curve."""
    op = curve.op
    weights = _weights(form)
    if form.depth > 2:
        scale = weights[0] / curve.weights[0]
        return best_dual(problem, [op.rows(point.nu) * scale], weights)
    # The tangent is exponentially close to a dual optimum near the end of the curve, nu / tau only in proportion.
    candidates = [op.rows(point.slope)]
    if point.tau < 0:
        y = point.nu / -point.tau
        # Where fewer than M entries are left, the tangent is not unique; nu / tau, made tight on them, is near it.
        large = (point.log_x > point.log_x.max() - 20).astype(np.float64)
        tight = op.normal(large)(op.apply(large * (1 - op.adjoint(y))))
        candidates += [op.rows(y), op.rows(y + tight)]
    return best_dual(problem, candidates, weights)


def _zero(problem: LinearProblem, form: ReducedForm, status: Status, known: CollapseStatus, steps: int) -> _Limit:
    missing = np.full(problem.m, np.nan)
    return _Limit(form, np.full(form.n, -np.inf), 0.0, missing, np.zeros(problem.m), status, known, steps)


def _without_solution(problem: LinearProblem, form: ReducedForm, direction: np.ndarray) -> _Limit:
    """Return the result of a problem that seems infeasible: inaccurate if no Farkas certificate is verified."""
    missing, nothing, known = np.full(problem.m, np.nan), np.full(form.n, np.nan), CollapseStatus.UNDECIDED
    y = farkas_certificate(problem, not form.signed and form.depth > 1, direction=direction)
    if y is None:
        return _zero(problem, form, Status.INACCURATE, known, 0)
    return _Limit(form, nothing, np.nan, missing, missing, Status.INFEASIBLE, known, 0, np.ones(form.n), farkas=y)


def _gap(problem: LinearProblem, found: _Limit) -> float:
    """Return (value - <b, y>) / value with value = <w, |X|>."""
    form = found.form
    if form.depth == 1 or not found.r > 0 or found.status == Status.COLLAPSED:
        return 0.0 if found.status == Status.CONVERGED and form.depth > 1 else np.nan
    weights, x = _weights(form), form.signal(found.log_x)
    parts = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)]) if form.signed else x
    value = float(parts @ weights)
    return (value - float(problem.b @ found.dual)) / value if value else 0.0


def _residual_norm(problem: LinearProblem, x: np.ndarray) -> float:
    if not np.isfinite(x).all():
        return np.nan
    difference = problem.apply(x) - problem.b
    return float(scaled_norm(difference)) if difference.any() else 0.0


def _log_rho(found: _Limit) -> float:
    """Return log r0 - log r + E(r) - E(r0) in the time of the unit direction."""
    form = found.form
    if not found.r > 0:
        return np.nan
    return float(np.log(form.r0 / found.r) + form.E(found.r**2) - form.E(form.r0**2))


def _assembled(problem: LinearProblem, network: Any, theta0: Any, found: np.ndarray) -> Solution:
    """Return the limits of all runs as one solution."""

    def every(value: Callable[[tuple[int, ...]], Any]) -> np.ndarray:
        values = [np.asarray(value(at)) for at in np.ndindex(found.shape)]
        return np.reshape(np.stack(values), (*found.shape, *values[0].shape))

    def one(at: tuple[int, ...]) -> LinearProblem:
        return problem[at[: len(problem.batch_shape)]] if problem.batch_shape else problem

    signs = every(lambda at: found[at].form.sign if found[at].sign is None else found[at].sign)
    log_x = every(lambda at: found[at].log_x)
    parts = signs * np.exp(log_x)
    x = parts[..., : problem.n] - parts[..., problem.n :] if found.flat[0].form.signed else parts
    r = every(lambda at: found[at].r)
    residual = every(lambda at: _residual_norm(one(at), x[at]))
    return Solution(
        method="flow_limit",
        x=x,
        theta=_theta(network, theta0, signs, log_x, r, found.flat[0].form),
        loss=residual**2 / (2 * network.degree),
        residual=residual,
        steps=every(lambda at: found[at].steps),
        status=every(lambda at: int(found[at].status)),
        log_x=log_x,
        mirror_dual=every(lambda at: found[at].nu),
        dual=every(lambda at: found[at].dual),
        gap=every(lambda at: found[at].gap),
        r=r,
        log_rho=every(lambda at: found[at].log_rho),
        collapse_status=every(lambda at: int(found[at].collapse_status)),
        farkas=_stacked_farkas(problem, found),
    )


def _stacked_farkas(problem: LinearProblem, found: np.ndarray) -> np.ndarray | None:
    if all(one.farkas is None for one in found.flat):
        return None
    rows = [np.full(problem.m, np.nan) if one.farkas is None else one.farkas for one in found.flat]
    return np.reshape(np.stack(rows), (*found.shape, problem.m))


def _theta(network: Any, theta0: Any, signs: np.ndarray, log_x: np.ndarray, r: np.ndarray, form: ReducedForm) -> Any:
    """Return the parameters of the limits, in the network's own structure and with the start's ||u||."""
    factor = signs * np.maximum(np.exp(log_x / form.depth), TINY)
    if isinstance(network, WeightNormalization):
        unit = signs * np.maximum(np.exp(log_x / form.depth - np.log(r)[..., None]), TINY)
        length = np.linalg.norm(np.asarray(theta0.u, np.float64), axis=-1)
        # After a collapse the direction is not known from X = 0.
        return Polar(r, np.where(r[..., None] > 0, unit * length[..., None], np.nan))
    if form.signed:
        plus, minus = np.split(factor, 2, axis=-1)
        return Pair(Factor(plus), Factor(minus))
    return Factor(factor)
