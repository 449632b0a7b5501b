r"""What the flow keeps: the invariants (32) and (33) for every depth and ratio law, the norm of u, and all signs.

With :math:`P_A = A^\dagger A`, :math:`E'(r) = r / f(r)` and a unit direction u, the plain flow keeps

.. math:: (I - P_A) \log x \quad (L = 2), \qquad (I - P_A)\, x^{2-L} \quad (L \ne 2),

and the flow with weight normalization the same of :math:`u\, e^{E(r)}` in the place of x.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from polarbias.errors import InvalidInput
from polarbias.flow.trajectory import FlowTrajectory
from polarbias.networks import HadamardDifference, WeightNormalization
from polarbias.networks.base import norm
from polarbias.networks.hadamard import is_power
from polarbias.networks.parameters import admitted
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.arrays import real_array
from polarbias.runtime.pytree import tree_leaves, tree_map


class Invariant(NamedTuple):
    """A conserved vector as ``value * exp(log_scale)``.

    ``value`` has shape ``(..., n)``, n = 2 N for a signed network, ``log_scale`` shape ``(...)``. At depth 2 log_scale
    is 0; at other depths it is the logarithm of the largest entry of the vector before the projection, so that value
    neither overflows nor vanishes.
    """

    value: np.ndarray
    log_scale: np.ndarray


def invariant(problem: LinearProblem, network: Any, theta: Any) -> Invariant:
    r"""Return the invariant of the flow at theta.

    Parameters
    ----------
    problem
        One problem, or a batch of shape ``(T,)``.
    network
        `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of these, any ratio law.
    theta
        Parameters, with leading batch axes that begin with those of the problem.

    Returns
    -------
    Invariant
        For a signed network, of the joint vector of both halves and the matrix [A, -A].

    Raises
    ------
    InvalidInput
        Another network; parameters that the network does not allow or that do not fit the problem; A is not dense.

    References
    ----------
    arXiv:2305.05448v1, equations (32) and (33), Lemmas 3.6 and 3.7.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> invariant(problem, network, network.init(1.0, [1.0, 2.0])).value
    array([-0.34657359,  0.34657359])
    """
    theta, _ = admitted(problem, network, theta, np.dtype(np.float64))
    mirror, log_scale = _mirror_of(network, theta)
    return Invariant(_off_rows(problem, network, mirror), log_scale)


def drift(problem: LinearProblem, network: Any, thetas: Any) -> np.ndarray:
    r"""Return how far the invariant has moved since the first point of a trajectory, relative to its size.

    Parameters
    ----------
    problem, network
        As for `invariant`.
    thetas
        The trajectory: a sequence of K parameters, or parameters with one more leading axis, of length K.

    Returns
    -------
    array
        Shape ``(K, ...)``: the norm of the change of the invariant over the larger of its norm at the first point and
        the norm of the change before the projection on the complement of the rows of A. 0 for an exact flow.

    Raises
    ------
    InvalidInput
        As for `invariant`; no point.

    References
    ----------
    arXiv:2305.05448v1, Lemmas 3.6 and 3.7.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0]], [1.0])
    >>> network = pb.HadamardPower(2)
    >>> path = pb.Factor([[1.0, 2.0], [0.5, 1.0], [0.5, 0.9]])  # a common factor is a move along the row of A
    >>> drift(problem, network, path).round(6)
    array([0.      , 0.      , 0.070458])
    """
    points = along(problem, network, thetas)
    return moved_off_rows(problem, network, *_mirror_of(network, points))


def flow_drift(problem: LinearProblem, network: Any, trajectory: FlowTrajectory, t: ArrayLike) -> np.ndarray:
    r"""Return how far the invariant of one flow has moved since the first of the times t, relative to its size.

    This is `drift` from the logarithms of X, and stays accurate where entries of the parameters underflow.

    Parameters
    ----------
    problem, network
        As for `invariant`, depth 2 and above.
    trajectory
        Of one run of `gradient_flow`.
    t
        Times, shape ``(K,)``.

    Returns
    -------
    array
        Shape ``(K,)``.

    Raises
    ------
    InvalidInput
        Another network or a batch; times outside the flow.

    References
    ----------
    arXiv:2305.05448v1, Lemmas 3.6 and 3.7.

    Examples
    --------
    >>> import numpy as np
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> flow = pb.gradient_flow(problem, network, network.init(0.5, [1.0, 1.0]))
    >>> bool(flow_drift(problem, network, flow.trajectory, np.array([0.0, 1.0, 10.0])).max() < 1e-9)
    True
    """
    inner = _inner(network)
    if trajectory.batch_shape or inner.degree < 2:
        raise InvalidInput("flow_drift takes one run of depth 2 or more; index the trajectory of a batch.")
    states = trajectory.evaluate(t)
    log_factor = states.log_x / inner.degree
    if inner is network:
        return moved_off_rows(problem, network, *_powers(inner.degree, log_factor, np.ones_like(log_factor)))
    log_u = log_factor - np.log(states.r)[:, None]
    rise = _pace(network, _length(states.theta.u[0])) * network.ratio.E(states.r)
    return moved_off_rows(problem, network, *_powers(inner.degree, log_u + rise[:, None], np.ones_like(log_u)))


def moved_off_rows(problem: LinearProblem, network: Any, mirror: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
    """Return the drift of the vectors ``mirror * exp(log_scale)``, whose first axis is time, as `drift` defines it."""
    # The axes of a batch of problems must come first for the projection, so time goes last.
    mirror, log_scale = np.moveaxis(mirror, 0, -2), np.moveaxis(log_scale, 0, -1)
    # One scale for both points of each comparison, the larger, so that neither overflows.
    scale = np.maximum(log_scale, log_scale[..., :1])
    before = mirror[..., :1, :] * np.exp(log_scale[..., :1] - scale)[..., None]
    change = mirror * np.exp(log_scale - scale)[..., None] - before
    moved = norm(_off_rows(problem, network, change))
    size = np.maximum(norm(_off_rows(problem, network, before)), norm(change))
    return np.moveaxis(np.divide(moved, size, out=np.zeros_like(moved), where=size > 0), -1, 0)


def direction_norm(problem: LinearProblem, network: Any, theta: Any) -> np.ndarray:
    r"""Return :math:`\lVert u \rVert_2`, which the flow keeps, shape ``(...)``.

    Parameters and errors are those of `invariant`, for `WeightNormalization`.

    References
    ----------
    arXiv:2305.05448v1, Lemma 3.2.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> float(direction_norm(problem, network, pb.Polar(1.0, [3.0, 4.0])))
    5.0
    """
    _require_direction(network)
    theta, _ = admitted(problem, network, theta, np.dtype(np.float64))
    return np.asarray(_length(theta.u))


def norm_drift(problem: LinearProblem, network: Any, thetas: Any) -> np.ndarray:
    r"""Return :math:`\lVert u \rVert_2` along a trajectory, relative to its first value, minus 1, shape ``(K, ...)``.

    Parameters and errors are those of `drift`, for `WeightNormalization`.

    References
    ----------
    arXiv:2305.05448v1, Lemma 3.2.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 1.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    >>> norm_drift(problem, network, pb.Polar([1.0, 1.0], [[3.0, 4.0], [6.0, 8.0]]))
    array([0., 1.])
    """
    _require_direction(network)
    lengths = _length(along(problem, network, thetas).u)
    return np.asarray(lengths / lengths[0] - 1)


def signs_kept(thetas: Any) -> np.ndarray:
    """Return whether every parameter keeps the sign that it has at the first point, shape ``(K,)``.

    Parameters
    ----------
    thetas
        As for `drift`, of any network; an entry that is 0 has not kept its sign.

    Raises
    ------
    InvalidInput
        No point, or leaves that are not real numbers.

    References
    ----------
    arXiv:2305.05448v1, Lemma 3.3, for depth 2 and above. At depth 1, r and entries of x can cross 0.

    Examples
    --------
    >>> import polarbias as pb
    >>> signs_kept(pb.Factor([[1.0, 2.0], [0.5, 1.0], [0.1, -0.1]]))
    array([ True,  True, False])
    """
    kept = [
        (np.sign(leaf) * np.sign(leaf[:1]) > 0).reshape(len(leaf), -1).all(-1) for leaf in tree_leaves(_stacked(thetas))
    ]
    return np.asarray(np.all(kept, axis=0))


def along(problem: LinearProblem, network: Any, thetas: Any) -> Any:
    """Return a trajectory as parameters whose leaves begin with the axis of time, once all is found to fit."""
    stacked = _stacked(thetas)
    admitted(problem, network, tree_map(operator.itemgetter(0), stacked), np.dtype(np.float64))
    network.validate(stacked)
    return stacked


def _stacked(thetas: Any) -> Any:
    if isinstance(thetas, Sequence) and not hasattr(thetas, "_fields"):
        if not thetas:
            raise InvalidInput("thetas holds no point.")
        points = [_arrays(theta) for theta in thetas]
        kinds = {repr(tree_map(np.shape, point)) for point in points}
        if len(kinds) > 1:
            raise InvalidInput("thetas must hold parameters of one kind and shape.")
        return tree_map(lambda *leaves: np.stack(leaves), *points)
    stacked = _arrays(thetas)
    lengths = {leaf.shape[:1] for leaf in tree_leaves(stacked)}
    if len(lengths) != 1 or () in lengths or (0,) in lengths:
        raise InvalidInput("thetas must be a sequence of parameters, or parameters with one leading axis for time.")
    return stacked


def _arrays(theta: Any) -> Any:
    """Return theta with NumPy leaves; lists, which are no parameters of the networks here, count as arrays."""

    def array(leaf: Any) -> np.ndarray:
        return real_array(leaf, "thetas").astype(np.float64)

    return tree_map(array, theta, is_leaf=lambda node: isinstance(node, list))


def _require_direction(network: Any) -> None:
    if not isinstance(network, WeightNormalization):
        raise InvalidInput(f"network must be WeightNormalization, which alone has a direction u, got {network!r}.")


def _inner(network: Any) -> Any:
    """Return the plain network of a run whose invariant is known."""
    inner = network.inner if isinstance(network, WeightNormalization) else network
    if not is_power(inner):
        raise InvalidInput(
            "invariants are known for HadamardPower, HadamardDifference, and WeightNormalization around one of them,"
            f" got {network!r}."
        )
    return inner


def _pace(network: WeightNormalization, length: Any) -> Any:
    """Return what E is multiplied by for a direction of another norm or rate than 1 (Lemma 3.1)."""
    return np.asarray(network.direction_rate) / length**2


def _powers(depth: int, log_x: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log x, or x^(2 - L) up to the factor exp(log_scale), and log_scale."""
    if depth == 2:
        return log_x, np.zeros(log_x.shape[:-1])
    exponents = (2 - depth) * log_x
    log_scale = exponents.max(-1)
    return sign * np.exp(exponents - log_scale[..., None]), log_scale


def _mirror_of(network: Any, theta: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the vector before the projection, up to the factor exp(log_scale), and log_scale."""
    inner = _inner(network)
    polar = inner is not network
    x = np.asarray(theta.u if polar else network.factor(theta))
    log_x = np.log(np.abs(x))
    if polar:
        length = _length(x)
        log_x = log_x + (_pace(network, length) * network.ratio.E(np.abs(theta.r)) - np.log(length))[..., None]
    return _powers(inner.degree, log_x, np.sign(x))


def _length(u: np.ndarray) -> np.ndarray:
    """Return the norm of u, whatever the size of its entries."""
    size = np.abs(u).max(-1)
    return np.asarray(size * norm(u / size[..., None]))


def _off_rows(problem: LinearProblem, network: Any, vectors: np.ndarray) -> np.ndarray:
    """Return (I - P) v, P the projection on the rows of A, or of [A, -A] for a signed network."""
    inner = network.inner if isinstance(network, WeightNormalization) else network
    if isinstance(inner, HadamardDifference):
        plus, minus = np.split(vectors, 2, axis=-1)
        half = (plus - minus) / 2
        along_rows = half - _project_out(problem, half)
        return np.concatenate([plus - along_rows, minus + along_rows], axis=-1)
    return _project_out(problem, vectors)


def _project_out(problem: LinearProblem, vectors: np.ndarray) -> np.ndarray:
    require_dense(problem, "the projection on the rows of A")
    out = np.empty_like(vectors)
    for at in np.ndindex(problem.batch_shape):
        A = np.asarray(problem.A[at], np.float64)
        _, sizes, rows = np.linalg.svd(A, full_matrices=False)
        rows = rows[sizes > max(A.shape) * np.finfo(np.float64).eps * sizes[0]]
        kept = vectors[at]
        for _ in range(2):  # the second pass removes what rounding left of the first
            kept = kept - (kept @ rows.T) @ rows
        out[at] = kept
    return out
