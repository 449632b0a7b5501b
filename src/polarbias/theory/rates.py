r"""Rates of convergence: a bound along a whole trajectory, and the exact rate near the limit."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orth

from polarbias.errors import InvalidInput
from polarbias.mirror.reduced_form import ReducedForm
from polarbias.networks.base import norm
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.pytree import tree_map
from polarbias.solution import Solution
from polarbias.theory.endpoint import endpoint, reduced_form
from polarbias.theory.invariants import along
from polarbias.theory.statement import Bound, Hypothesis

_CANDIDATES = 32
"""Index sets that `loss_rate` compares, one singular value decomposition each."""


@dataclass(frozen=True, eq=False)
class LocalRate:
    """Linearization of the flow at its limit, R' = -K R.

    K is symmetric, positive semidefinite, of shape ``(M, M)``. ``rate`` is its smallest eigenvalue on the range of A:
    ``||R||`` falls like ``exp(-rate t)`` near the limit. ``fastest`` is the largest eigenvalue; ``fastest / rate`` is
    the stiffness, and explicit Euler is stable up to the step ``2 / fastest``.
    """

    K: np.ndarray
    rate: float
    fastest: float


def local_rate(problem: LinearProblem, network: Any, theta0: Any, limit: Solution | ArrayLike) -> LocalRate:
    r"""Return the rate of convergence near a limit X, s = r^2, with :math:`A X = b`.

    .. math:: R' = -K R, \qquad K = L \Big( s\, A\, \mathrm{diag}(X^{2 - 2/L})\, A^\top
              - \Big(1 - \frac{f}{s}\Big) b b^\top \Big) .

    The plain flow has :math:`K = L A\, \mathrm{diag}(X^{2-2/L}) A^\top`. Time is that of the network's own equations.

    Parameters
    ----------
    problem, network, theta0
        One run, as for `l1_bound`.
    limit
        The limit, a `Solution` or X as for `l1_bound`; one of radius 0 raises `InvalidInput`, like A that is not dense.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> round(local_rate(problem, network, network.init(1.0, [1.0, 1.0]), [0.2, 0.4]).rate, 6)
    3.6
    """
    form = reduced_form(problem, network, theta0)
    last = endpoint(network, form, limit)
    if not last.r > 0:
        raise InvalidInput("the limit has radius 0: there is no solution to converge to.")
    A = _matrix(problem, form, "local_rate")
    K = form.depth * (A * np.exp((2 - 2 / form.depth) * last.log_x)) @ A.T
    if not form.plain:
        s, f, b = last.r**2, float(form.f(last.r**2)), np.asarray(problem.b, np.float64)
        # form.f is the law for a direction that moves at rate 1.
        K = form.time_scale * (s * K - form.depth * (1 - f / s) * np.outer(b, b))
    basis = orth(A, max(A.shape) * np.finfo(np.float64).eps)
    eigenvalues = np.linalg.eigvalsh(basis.T @ K @ basis)
    return LocalRate(K, float(eigenvalues[0]), float(eigenvalues[-1]))


def loss_rate(problem: LinearProblem, network: Any, thetas: Any, support: ArrayLike | None = None) -> Bound:
    r"""Return a lower bound c on the rate of decrease of the loss along a trajectory.

    .. math:: \mathcal L(t) \le \mathcal L(t_0)\, e^{-c (t - t_0)}, \qquad
              c = \min(c_r, c_u c_x^2 |I|)\; 2 L\, c_x^{2L-2}\, \sigma_{\min}(A_I^\top)^2 ,

    where :math:`c_r \le \eta_r`, :math:`c_u \le \eta_u / \lVert u \rVert^2` and :math:`c_x \le |x_n|`, n in I, all
    along the given part of a trajectory. Without weight normalization the first factor is 1. This is (31), Lemma 3.5
    of arXiv:2305.05448v1, with two corrections: the power of :math:`c_x` is 2L - 2, as in its proof, and :math:`A_I`
    needs full row rank. With the whole trajectory it is (18): such c > 0 exists if the flow does not collapse and no
    entry of a set I of full row rank vanishes.

    The hypotheses are that :math:`A_I` has full row rank and that the entries of I stay away from 0. More than one
    run, a support that is empty or out of range, and A not dense raise `InvalidInput`.

    Parameters
    ----------
    problem, network
        One problem and a network as for `l1_bound`.
    thetas
        Points of a trajectory of one run: a sequence of parameters, or parameters with one leading axis for time.
        The bound assumes that r and the entries stay above their least sampled values in between.
    support
        The index set I, integers; N counts both halves of a signed network. By default the best of up to 32
        sets, those of the k entries that stay largest for k from M to N.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.HadamardPower(2)
    >>> bound = loss_rate(problem, network, [pb.Factor([0.6, 0.8]), pb.Factor([0.5, 0.6])])
    >>> round(bound.value, 6)
    5.76
    """
    points = along(problem, network, thetas)
    form = reduced_form(problem, network, tree_map(itemgetter(0), points))
    least = np.abs(network.factor(points)).min(0)
    A = _matrix(problem, form, "loss_rate")
    if support is not None:
        indices = np.unique(np.asarray(support))
        if indices.ndim != 1 or not indices.size or indices.dtype.kind not in "iu":
            raise InvalidInput(f"support must be a nonempty list of integers, got {support!r}.")
        if indices[0] < 0 or indices[-1] >= least.size:
            raise InvalidInput(f"support must hold indices from 0 to {least.size - 1}, got {support!r}.")
        candidates = [indices]
    else:
        order = np.argsort(-least, kind="stable")
        sizes = np.unique(np.geomspace(min(A.shape), order.size, _CANDIDATES).round().astype(int))
        candidates = [order[:k] for k in sizes]
    c_r = c_u = 0.0
    if not form.plain:
        c_r = float(np.min(network.ratio.f(np.abs(points.r))))
        c_u = float(np.min(network.direction_rate / norm(points.u) ** 2))
    depth = form.depth

    def rate_of(indices: np.ndarray) -> tuple[float, float, float]:
        c_x = float(least[indices].min())
        sizes = np.linalg.svd(A[:, indices], compute_uv=False)
        rounding = max(problem.m, indices.size) * np.finfo(np.float64).eps * sizes[0]
        smallest = float(sizes[-1]) if indices.size >= problem.m and sizes[-1] > rounding else 0.0
        factor = 1.0 if form.plain else min(c_r, c_u * c_x**2 * indices.size)
        return factor * 2 * depth * c_x ** (2 * depth - 2) * smallest**2, c_x, smallest

    rate, c_x, smallest = max(map(rate_of, candidates))
    hypotheses = [
        Hypothesis.above("sigma_min(A_I^T) > 0: A_I has full row rank", smallest, 0.0),
        Hypothesis.above("c_x > 0: the entries of I stay away from 0", c_x, 0.0),
    ]
    return Bound.concluded(
        "L(t) <= L(t0) exp(-value (t - t0))", "(18), (31) of arXiv:2305.05448v1", hypotheses, lambda: rate
    )


def _matrix(problem: LinearProblem, form: ReducedForm, purpose: str) -> np.ndarray:
    """Return A, or [A, -A] for a signed network, in float64."""
    require_dense(problem, purpose)
    return np.asarray((problem.signed() if form.signed else problem).A, np.float64)
