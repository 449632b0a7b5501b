r"""Question 1: how the bias carries over to other losses.

The flow is that of :math:`h(A X)` for a function h of the predictions, differentiated automatically in the network's
own parameters (r, u) or x, so nothing here uses the closed forms of the squared loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import linprog

from polarbias.experiments.questions.answer import Answer
from polarbias.limit.flow_limit import flow_limit
from polarbias.networks import FactorNetwork, HadamardPower, WeightNormalization
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem
from polarbias.problems.reference import minimal_l1

SOLVED = 1e-8
"""Relative residual at which a flow has arrived."""

SCALE, RATIO = 1.0, 0.1

LOSSES: dict[str, Callable[[Any], Any]] = {
    "squared": lambda R: (R**2).sum() / 2,
    "Huber 0.1": lambda R: jnp.where(jnp.abs(R) < 0.1, R**2 / 2, 0.1 * jnp.abs(R) - 0.005).sum(),
    "log cosh": lambda R: (jnp.logaddexp(R, -R) - jnp.log(2.0)).sum(),
    "Cauchy": lambda R: jnp.log1p(R**2).sum() / 2,
}
"""Functions of A X - b; the last one is not convex."""


def integrate(
    h: Callable[[Any], Any],
    A: np.ndarray,
    network: FactorNetwork,
    theta0: Any,
    times: tuple[float, ...],
    stop: Callable[[np.ndarray], float] | None = None,
) -> list[np.ndarray]:
    """Return the signals X of the flow of ``h(A X)`` at the times, or with ``stop`` the one at its end.

    Parameters
    ----------
    h
        Function of the predictions A X, shape ``(M,)``, to a number; written in `jax.numpy`.
    A
        Matrix, shape ``(M, N)``.
    network, theta0
        Any network with a factor, and its start.
    times
        Increasing, positive; the last one ends the flow.
    stop
        Function of X; the flow ends where it falls below 0.
    """
    with jax.enable_x64(True):
        leaves, treedef = jax.tree.flatten(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), theta0))
        ends = np.cumsum([leaf.size for leaf in leaves])
        matrix = jnp.asarray(A, jnp.float64)

        def theta(flat: Any) -> Any:
            parts = zip(leaves, ends, strict=True)
            return jax.tree.unflatten(treedef, [flat[end - leaf.size : end].reshape(leaf.shape) for leaf, end in parts])

        def velocity(flat: Any) -> Any:
            here = theta(flat)
            gradient = jax.grad(lambda parameters: h(matrix @ network.signal(parameters)))(here)
            moved = jax.tree.map(
                lambda rate, slope: -rate * slope, jax.tree.broadcast(network.rates(here), here), gradient
            )
            return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved)])

        compiled, jacobian = jax.jit(velocity), jax.jit(jax.jacfwd(velocity))
        signal = jax.jit(lambda flat: network.signal(theta(flat)))
        events = None
        if stop is not None:

            def events(_: float, flat: np.ndarray) -> float:
                return stop(np.asarray(signal(flat)))

            events.terminal, events.direction = True, -1  # type: ignore[attr-defined]
        found = solve_ivp(
            lambda _, flat: np.asarray(compiled(flat)),
            (0.0, times[-1]),
            np.concatenate([np.ravel(leaf) for leaf in leaves]),
            method="LSODA",
            jac=lambda _, flat: np.asarray(jacobian(flat)),
            t_eval=times if stop is None else None,
            events=events,
            rtol=1e-9,
            atol=1e-13,
        )
        states = found.y.T if stop is None else found.y.T[-1:]
        return [np.asarray(signal(state)) for state in states]


def other_losses(quick: bool = False) -> Answer:
    """Return where flows of several losses end, against the exact limit for the squared loss.

    Parameters
    ----------
    quick
        A smaller problem, two losses, and a shorter logistic flow.
    """
    m, n, s = (6, 15, 2) if quick else (20, 60, 3)
    problem = gaussian_problem(0, m, n, "sparse", s=s)
    A, b = np.asarray(problem.A), np.asarray(problem.b)
    size = minimal_l1(problem).value
    direction = folded_gaussian_direction(0, n)
    inner = HadamardPower(2)
    rows: list[tuple[str, ...]] = []
    errors, better = [], True
    for name in ("Huber 0.1", "Cauchy") if quick else LOSSES:
        loss = LOSSES[name]
        excess = []
        for algorithm, network in (("plain", inner), ("wn", WeightNormalization(inner, RATIO))):
            theta0 = network.init(SCALE, direction)
            x = integrate(partial(_of_residual, loss, b), A, network, theta0, (1e6,), partial(_missed, A, b))[-1]
            limit = flow_limit(problem, network, theta0).x
            errors.append(float(np.abs(x - limit).max() / np.abs(limit).max()))
            excess.append(float(np.abs(x).sum() / size - 1))
            rows.append((name, algorithm, _residual(A, b, x), f"{excess[-1]:.1e}", f"{errors[-1]:.0e}"))
        better = better and excess[1] < 0.1 * excess[0]
    shares, nearer = _logistic(A, b, quick)
    return Answer(
        1,
        "Other losses h(A X) from r0 = 1, eta = 0.1: where do their flows end?",
        ("loss", "flow", "||AX-b||/||b||", "l1 excess", "distance to the squared loss's limit"),
        tuple(rows + shares),
        f"every loss ends at the limit of the squared loss (largest distance {max(errors):.0e}); the logistic loss"
        " has no limit, and its direction approaches maximal l1 margin, sooner with weight normalization",
        max(errors) < 1e-5 and better and nearer,
    )


def _of_residual(loss: Callable[[Any], Any], b: np.ndarray, predictions: Any) -> Any:
    return loss(predictions - b)


def _missed(A: np.ndarray, b: np.ndarray, x: np.ndarray) -> float:
    return float(np.linalg.norm(A @ x - b) / np.linalg.norm(b)) - SOLVED


def _residual(A: np.ndarray, b: np.ndarray, x: np.ndarray) -> str:
    return f"{np.linalg.norm(A @ x - b) / np.linalg.norm(b):.0e}"


def _logistic(A: np.ndarray, b: np.ndarray, quick: bool) -> tuple[list[tuple[str, ...]], bool]:
    """Return the margins of the logistic flow, divided by ||X||_1 and the largest possible, and if wn is nearer."""
    labels = np.sign(b)
    rows = labels[:, None] * A
    best = 1 / linprog(np.ones(A.shape[1]), A_ub=-rows, b_ub=-np.ones(labels.size)).fun
    inner = HadamardPower(2)
    times = (1e1, 1e3) if quick else (1e1, 1e3, 1e5)
    table: list[tuple[str, ...]] = []
    reached = []
    for algorithm, network in (("plain", inner), ("wn", WeightNormalization(inner, RATIO))):
        theta0 = network.init(SCALE, folded_gaussian_direction(0, A.shape[1]))
        signals = integrate(lambda p: jnp.logaddexp(0.0, -labels * p).sum(), A, network, theta0, times)
        reached.append([float((rows @ x).min() / (x.sum() * best)) for x in signals])
        table += [
            ("logistic", algorithm, f"t = {t:.0e}", f"||X||_1 = {x.sum():.3g}", f"margin {share:.4f} of the largest")
            for t, x, share in zip(times, signals, reached[-1], strict=True)
        ]
    return table, reached[1][-1] > max(reached[0][-1], 0.0 if quick else 0.9)
