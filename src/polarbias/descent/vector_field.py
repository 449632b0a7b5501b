"""The vector field of gradient flow and descent on any network."""

from __future__ import annotations

import polarbias.descent.extra  # noqa: F401

# isort: split
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
        """Return ``A x - b``, shape ``(..., M)``."""
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


class Field(NamedTuple):
    """The vector field at theta, and the rate at which the loss falls along it: the sum of rates |grad|^2."""

    direction: Any
    slope: jax.Array


def field(network: Network, theta: Any, cotangent: jax.Array, product: jax.Array | None = None) -> Field:
    """Return the vector field at theta.

    ``cotangent`` is A^T R, shape ``(..., N)``, and ``product`` its inner product with the signal if that is known.
    """
    batch_ndim = cotangent.ndim - 1
    cotangent, rates = cotangent / network.degree, network.rates(theta)
    if product is None:
        gradient = network.pullback(theta, cotangent)
    else:
        gradient = network.pullback_given(theta, cotangent, product / network.degree)

    def scale(rate: Any, subtree: Any) -> Any:
        return jax.tree.map(lambda leaf: -trailing(rate, leaf, batch_ndim) * leaf, subtree)

    def fall(rate: Any, subtree: Any) -> jax.Array:
        # The rate after the sum: one array of the size of theta less is formed. Without a start value, which would
        # be float64, the sum of float32 leaves stays float32.
        leaves = jax.tree.leaves(subtree)
        sums = (jnp.square(leaf).sum(tuple(range(batch_ndim, leaf.ndim))) for leaf in leaves)
        return jnp.multiply(rate, reduce(jnp.add, sums))

    falls = jax.tree.leaves(jax.tree.map(fall, rates, gradient))
    return Field(jax.tree.map(scale, rates, gradient), reduce(jnp.add, falls))


def vector_field(problem: LinearProblem, network: Network, theta: Any) -> Any:
    r"""Return :math:`-\mathrm{rates} \cdot \nabla_\theta \mathcal L` of any network at theta, in theta's own shape.

    The batch axes of theta's leaves begin with those of the problem. Shapes that do not fit and parameters that the
    network does not allow raise `InvalidInput`.

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
