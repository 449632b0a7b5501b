r"""The vector field of gradient flow and descent on any network.

.. math:: \theta' = -\mathrm{rates}(\theta)\, \nabla_\theta \frac{1}{2L} \lVert A X(\theta) - b \rVert_2^2 .

With `WeightNormalization` these are equations (12) and (13) of arXiv:2305.05448v1, without it (10).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from polarbias.networks import Network
from polarbias.networks.parameters import check_parameters
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.runtime.batch_axes import over_runs


class JaxProblem(NamedTuple):
    """T problems, flat, as JAX arrays."""

    A: jax.Array  # (T, M, N)
    A_transposed: jax.Array  # (T, N, M), contiguous: the faster operand of A X for several runs
    b: jax.Array  # problem batch, then 1 for every extra axis of the runs, then M

    def image(self, x: jax.Array) -> jax.Array:
        """Return ``A x``, shape ``(..., M)``, for signals of shape ``(..., N)``."""
        problems, m, n = self.A.shape
        runs = prod(x.shape[:-1]) // problems
        flat = x.reshape((problems, runs, n))
        if runs == 1:  # a matrix-vector product reads A fastest row by row
            product = jnp.einsum("tcn,tmn->tcm", flat, self.A)
        else:
            product = jnp.einsum("tcn,tnm->tcm", flat, self.A_transposed)
        return product.reshape((*x.shape[:-1], m))

    def residual(self, x: jax.Array) -> jax.Array:
        """Return ``A x - b``, shape ``(..., M)``, for signals of shape ``(..., N)``."""
        return self.image(x) - self.b

    def adjoint(self, r: jax.Array) -> jax.Array:
        """Return ``A^T r``, shape ``(..., N)``, for residuals of shape ``(..., M)``."""
        problems, m, n = self.A.shape
        flat = r.reshape((problems, prod(r.shape[:-1]) // problems, m))
        return jnp.einsum("tcm,tmn->tcn", flat, self.A).reshape((*r.shape[:-1], n))


def jax_problem(problem: LinearProblem, batch_shape: tuple[int, ...], dtype: np.dtype[Any]) -> JaxProblem:
    """Convert the problem for runs of ``batch_shape``."""
    A = np.asarray(problem.A, dtype).reshape((-1, problem.m, problem.n))
    problem_ndim = len(problem.batch_shape)
    b = over_runs(np.asarray(problem.b, dtype), problem_ndim, len(batch_shape) - problem_ndim)
    return JaxProblem(jnp.asarray(A), jnp.asarray(np.ascontiguousarray(np.swapaxes(A, -1, -2))), jnp.asarray(b))


def sharded_problem(problem: LinearProblem, dtype: np.dtype[Any], devices: Sequence[jax.Device]) -> JaxProblem:
    """Convert one problem for runs of shape ``(C,)`` with its rows sharded over devices.

    Rows of zeros, which change nothing, make their number a multiple of that of the devices.
    """
    A = np.asarray(problem.A, dtype)
    lacking = -len(A) % len(devices)
    A, b = np.pad(A, ((0, lacking), (0, 0))), np.pad(np.asarray(problem.b, dtype), (0, lacking))
    mesh = Mesh(np.array(devices), ("rows",))

    def put(values: np.ndarray, *axes: str | None) -> jax.Array:
        placed: jax.Array = jax.device_put(values, NamedSharding(mesh, PartitionSpec(*axes)))
        return placed

    return JaxProblem(
        put(A[None], None, "rows", None),
        put(np.ascontiguousarray(A.T)[None], None, None, "rows"),
        put(b[None], None, "rows"),
    )


def trailing(values: Any, leaf: jax.Array, batch_ndim: int) -> Any:
    """Append axes to per-run ``values`` so that they broadcast against a leaf of theta."""
    if jnp.ndim(values) == 0:
        return values
    return jnp.reshape(values, jnp.shape(values) + (1,) * (leaf.ndim - batch_ndim))


def per_run_sum(tree: Any, batch_ndim: int) -> jax.Array:
    """Sum all leaves over the axes that follow the batch axes."""
    # No start value: a float64 zero would turn the sum of float32 leaves into float64.
    sums = (leaf.sum(tuple(range(batch_ndim, leaf.ndim))) for leaf in jax.tree.leaves(tree))
    total: jax.Array = reduce(jnp.add, sums)
    return total


class Field(NamedTuple):
    """The vector field at theta and the rate at which the loss falls along it."""

    direction: Any  # of theta's structure
    slope: jax.Array  # sum of rates |grad|^2


def field(network: Network, theta: Any, cotangent: jax.Array, product: jax.Array | None = None) -> Field:
    """Return the vector field at theta.

    ``cotangent`` is A^T R, shape ``(..., N)``, and ``product`` its inner product with the signal if that is known.
    """
    batch_ndim = cotangent.ndim - 1
    if product is None:
        gradient = network.pullback(theta, cotangent / network.degree)
    else:
        gradient = network.pullback_given(theta, cotangent / network.degree, product / network.degree)
    rates = network.rates(theta)

    def scale(rate: Any, subtree: Any) -> Any:
        return jax.tree.map(lambda leaf: -trailing(rate, leaf, batch_ndim) * leaf, subtree)

    def fall(rate: Any, subtree: Any) -> jax.Array:
        # The rate after the sum: one array of the size of theta less is formed.
        return jnp.multiply(rate, per_run_sum(jax.tree.map(jnp.square, subtree), batch_ndim))

    falls = jax.tree.leaves(jax.tree.map(fall, rates, gradient))
    return Field(jax.tree.map(scale, rates, gradient), reduce(jnp.add, falls))


def vector_field(problem: LinearProblem, network: Network, theta: Any) -> Any:
    r"""Return :math:`-\mathrm{rates} \cdot \nabla_\theta \mathcal L` at theta, in theta's own shape.

    Parameters
    ----------
    problem
        One problem, or a batch of shape ``(T,)``.
    network
        Any `Network`.
    theta
        Parameters; the batch axes of their leaves begin with those of the problem.

    Raises
    ------
    InvalidInput
        Shapes that do not fit, parameters that the network does not allow.

    References
    ----------
    arXiv:2305.05448v1, equations (10), (12), (13), (23)-(25).

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> pb.vector_field(problem, pb.HadamardPower(2), pb.Factor([1.0, 1.0])).x
    array([-2., -4.])
    """
    theta, batch_shape = check_parameters(problem, network, theta, np.dtype(np.float64))
    require_dense(problem, "vector_field")
    with jax.enable_x64(True):
        converted = jax_problem(problem, batch_shape, np.dtype(np.float64))
        traced = jax.tree.map(jnp.asarray, theta)
        residual = converted.residual(network.signal(traced))
        return jax.tree.map(np.asarray, field(network, traced, converted.adjoint(residual)).direction)
