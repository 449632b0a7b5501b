# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Custom networks
#
# A network is a map from parameters to a signal $X$. It determines to which of the many solutions of $A X = b$ gradient
# descent converges. This page covers depths and signs of the built-in networks, a custom ratio law and custom networks,
# and checks each against a known result.

# %%
from dataclasses import field
from typing import Any, NamedTuple

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import brentq

import polarbias as pb

problem = pb.gaussian_problem(seed=0, m=40, n=100, truth="sparse", s=4)
best = pb.minimal_l1(problem, nonnegative=True)
uniform = pb.uniform_direction(problem.n)
print(problem, best)

# %% [markdown]
# ## Depth
#
# `HadamardPower(L)` is $X = x^L$, entrywise. From depth 2 on, small initializations lead to sparse solutions; deeper
# networks reach them from larger ones. `flow_limit` computes the limit of gradient flow without taking a step:


# %%
def excess(x):
    """Return the excess of the l1 norm of x over the minimal one."""
    return np.abs(x).sum(-1) - best.value


reached = []
for depth in (1, 2, 3, 4):
    network = pb.HadamardPower(depth)
    limits = pb.flow_limit(problem, network, network.init(scale=np.array([0.1, 1.0]), direction=uniform))
    reached.append(excess(limits.x))
    print(f"depth {depth}: from r0 = 0.1 {reached[-1][0]:.1e} above the minimal norm, from r0 = 1 {reached[-1][1]:.1e}")
assert (np.diff(reached, axis=0) < 0).all()

# %% [markdown]
# Depth 1 is linear regression, without such a preference: its limit is the solution nearest to the initialization.
#
# Above depth 2, small initializations minimize a *weighted* norm, with weights $u_0^{2 - L}$ from the initial
# direction $u_0$. The uniform direction above makes them equal. A random direction makes entries with small $u_0$
# expensive, and the solution is sparse in another sense:

# %%
direction = pb.folded_gaussian_direction(seed=1, n=problem.n)
network = pb.HadamardPower(4)
limit = pb.flow_limit(problem, network, network.init(scale=0.1, direction=direction))
weights = direction ** (2.0 - 4)
weighted = pb.minimal_l1(problem, nonnegative=True, weights=weights / weights.min())
print(f"largest distance from the minimum of the weighted norm {np.abs(limit.x - weighted.x).max():.1e}")
print(f"above the minimum of the plain norm {excess(limit.x):.1f}")
assert np.abs(limit.x - weighted.x).max() < 1e-5
assert excess(limit.x) > 1

# %% [markdown]
# ## Signs
#
# A power is never negative. `HadamardDifference(L)` is $X = u^L - v^L$; its initialization has twice as many entries,
# first $u$, then $v$. Equal halves give $X = 0$. `WeightNormalization` uses one radius for both halves.

# %%
signed = pb.gaussian_problem(seed=0, m=40, n=100, truth="signed", s=4)
both_halves = pb.uniform_direction(2 * signed.n)
for network in (pb.HadamardDifference(2), pb.WeightNormalization(pb.HadamardDifference(2), ratio=0.1)):
    limit = pb.flow_limit(signed, network, network.init(scale=1.0, direction=both_halves))
    error = np.abs(limit.x - signed.x_true).sum()
    print(f"{type(network).__name__:20} l1 error {error:.1e}, signs {np.sign(limit.x[signed.x_true != 0])}")
assert error < 1e-6

# %% [markdown]
# ## A custom ratio law
#
# Under weight normalization the radius moves $f(r)$ times as fast as the direction. A law defines three functions:
#
# - $f(r) > 0$,
# - $E(r)$ with $E'(r) = r / f(r)$, which alone determines the limit,
# - the inverse of $E$.
#
# Here the radius is slow while it is small, as long as the direction still turns, and faster afterwards:
# $f(r) = \eta \sqrt{1 + r^2}$. Then $E(r) = (\sqrt{1 + r^2} - 1) / \eta$, up to a constant. `self.cast(r)` returns the
# array library of `r`, NumPy or JAX, so that the same code serves `flow_limit` and compiled descent.


# %%
class RisingRatio(pb.RatioLaw):
    eta: Any

    def f(self, r):
        xp, law, r = self.cast(r)
        return law.eta * xp.sqrt(1 + r**2)

    def E(self, r):
        xp, law, r = self.cast(r)
        return r**2 / (1 + xp.sqrt(1 + r**2)) / law.eta  # (sqrt(1 + r^2) - 1) / eta without cancellation

    def E_inverse(self, E):
        xp, law, E = self.cast(E)
        return xp.sqrt(law.eta * E * (2 + law.eta * E))


# %% [markdown]
# polarbias does not check the three functions against each other, and a wrong $E$ gives wrong limits without an error.
# Compare $E'$ with finite differences, and check the inverse:

# %%
law, r, h = RisingRatio(0.3), np.geomspace(0.01, 30, 200), 1e-4
slope = (law.E(r * (1 + h)) - law.E(r * (1 - h))) / (2 * h * r)
print("relative error of E'      ", np.abs(slope / (r / law.f(r)) - 1).max())
print("relative error of E_inverse", np.abs(law.E_inverse(law.E(r)) / r - 1).max())
assert np.allclose(slope, r / law.f(r), rtol=1e-6)
assert np.allclose(law.E_inverse(law.E(r)), r, rtol=1e-12)

# %% [markdown]
# For every law, the flow from $x_0$ converges to the limit of the plain flow from $x_0 / \rho$; the law only affects
# the magnification $\rho$. All limits therefore lie on one curve, independent of the law. This is a strong test of a
# custom law:

# %%
eta = np.geomspace(0.1, 10, 9)
laws = {"constant": pb.ConstantRatio(eta), "rising": RisingRatio(eta), "harmonic": pb.HarmonicRatio(eta)}
plain = pb.HadamardPower(2)
scale = np.geomspace(1e-6, 2, 60)
curve = pb.flow_limit(problem, plain, plain.init(scale=scale, direction=uniform))

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
ax.plot(scale, excess(curve.x), color="0.6", label="plain, from $r_0$")
for (name, law), marker in zip(laws.items(), "os^", strict=True):
    network = pb.WeightNormalization(plain, law)
    limits = pb.flow_limit(problem, network, network.init(scale=np.full(len(eta), 0.3), direction=uniform))
    shrunk = 0.3 / limits.rho
    same = pb.flow_limit(problem, plain, plain.init(scale=shrunk, direction=uniform))
    print(f"{name:8}  off the curve {np.abs(same.x - limits.x).max():.1e}")
    assert np.abs(same.x - limits.x).max() < 1e-9
    ax.plot(shrunk, excess(limits.x), marker, markersize=5, fillstyle="none", label=f"{name} law, from 0.3")
ax.set(xscale="log", yscale="log", xlabel=r"$r_0 / \rho$", ylabel="excess of the $l_1$ norm", xlim=(1e-6, 3))
ax.set(ylim=(1e-9, 30), title="Limits of all laws lie on one curve")
ax.grid(alpha=0.25)
legend = ax.legend(loc="lower right")

# %% [markdown]
# So no law leads to better limits; laws differ in speed. For a fair comparison, choose the coefficient with which the
# new law has the same limit as the constant one, and run descent to the same loss:


# %%
def network_with(law):
    return pb.WeightNormalization(plain, law)


def log_rho(law):
    return float(pb.flow_limit(problem, network_with(law), network_with(law).init(0.3, uniform)).log_rho)


constant = pb.ConstantRatio(0.3)
coefficient = brentq(lambda eta: log_rho(RisingRatio(eta)) - log_rho(constant), 0.01, 3)
steps = {}
for law in (constant, RisingRatio(coefficient)):
    run = pb.gradient_descent(problem, network_with(law), network_with(law).init(0.3, uniform), tol=1e-9)
    limit = pb.flow_limit(problem, network_with(law), network_with(law).init(0.3, uniform))
    steps[type(law).__name__] = int(run.steps)
    print(f"{type(law).__name__:14} eta {float(law.eta):.3f}: limit {excess(limit.x):.3e}, descent {excess(run.x):.1e}")
    print(f"{'':14} {run}")
    assert run.converged
    assert excess(run.x) > excess(limit.x)
assert steps["RisingRatio"] < steps["ConstantRatio"]

# %% [markdown]
# The new law needs fewer steps, though not many fewer. Descent ends above both limits; [the paper](paper.py) explains
# the effect of finite steps.

# %% [markdown]
# ## A custom network
#
# Any smooth map defines a network. A subclass of `Network` implements `signal` in `jax.numpy`; JAX computes the
# gradients. `degree` is the $L$ in the loss $\lVert A X - b \rVert^2 / (2 L)$ and scales time only. Parameters are an
# array or a named tuple of arrays.
#
# A product of two vectors, $X = u\, v$, has both signs without a difference:


# %%
class Two(NamedTuple):
    u: Any
    v: Any


class Product(pb.Network):
    @property
    def degree(self):
        return 2

    def signal(self, theta):
        return theta.u * theta.v


start = Two(np.full(signed.n, 0.01), np.zeros(signed.n))
run = pb.gradient_descent(signed, Product(), start, max_steps=20_000)
flow = pb.gradient_flow(signed, Product(), start)
print("descent", run, f"l1 error {np.abs(run.x - signed.x_true).sum():.3f}")
print("flow   ", flow, f"l1 error {np.abs(flow.x - signed.x_true).sum():.3f}")
assert flow.converged

# %% [markdown]
# Descent and flow converge to different solutions, as explained below. `gradient_flow` integrates any network.
# `flow_limit` does not support this one, but its limit is known: since $u v = ((u + v) / 2)^2 - ((u - v) / 2)^2$, it is
# `HadamardDifference(2)` in other coordinates and at another speed, and both flows have the same limit.

# %%
difference = pb.HadamardDifference(2)
halves = np.concatenate([(start.u + start.v) / 2, (start.u - start.v) / 2])
limit = pb.flow_limit(signed, difference, difference.init(scale=np.linalg.norm(halves), direction=halves))
print(f"the flow ends {np.abs(flow.x - limit.x).max():.1e} from the limit of HadamardDifference")
assert np.abs(flow.x - limit.x).max() < 1e-4

# %% [markdown]
# ## A structural prior
#
# A custom network can encode structure. Suppose that entries form groups of five, and few groups are active. In
# $X_g = s_g^2\, v_g$, a scalar times a vector for each group, one small scalar makes the whole group small. The depth
# of the scalar favors few groups.


# %%
class Groups(NamedTuple):
    scale: Any  # one for each group
    direction: Any  # one for each entry


class GroupNetwork(pb.Network):
    size: int = field(metadata={"static": True})

    @property
    def degree(self):
        return 3

    def signal(self, theta):
        return jnp.repeat(theta.scale**2, self.size, axis=-1) * theta.direction


rng = np.random.default_rng(0)
size, groups = 5, 40
truth = np.zeros((groups, size))
active = rng.permutation(groups)[:3]
truth[active] = rng.standard_normal((3, size))
A = pb.gaussian_matrix(seed=3, m=60, n=groups * size)
grouped = pb.LinearProblem(A, A @ truth.ravel(), truth.ravel())

network = GroupNetwork(size)
start = Groups(np.full(groups, 0.01), np.zeros(groups * size))
found = {
    "minimal l1 norm": pb.basis_pursuit(grouped.A, grouped.b).x,
    "group network, flow": pb.gradient_flow(grouped, network, start, tol=1e-8).x,
    "group network, short steps": pb.gradient_descent(
        grouped, network, start, step=pb.ConstantStep(0.05), tol=1e-8, max_steps=20_000
    ).x,
    "group network, line search": pb.gradient_descent(grouped, network, start, tol=1e-8, max_steps=20_000).x,
}
error = {name: np.linalg.norm(x - grouped.x_true) / np.linalg.norm(grouped.x_true) for name, x in found.items()}
for name, value in error.items():
    print(f"{name:27} relative error {value:.1e}")
assert error["group network, flow"] < 1e-3
assert error["group network, short steps"] < 1e-3
assert error["minimal l1 norm"] > 0.1
assert error["group network, line search"] > 0.1

# %%
shown = ("minimal l1 norm", "group network, short steps", "group network, line search")
figure, axes = plt.subplots(3, 1, figsize=(9, 5.4), sharex=True, sharey=True, layout="constrained")
for ax, name in zip(axes, shown, strict=True):
    ax.plot(grouped.x_true, color="0.75", linewidth=4, label="truth")
    ax.plot(found[name], color="#1f5fa8", linewidth=1, label="found")
    ax.set(title=name, ylabel="$X_n$")
    ax.grid(alpha=0.25)
legend = axes[0].legend(loc="upper right", ncols=2)
label = axes[-1].set_xlabel("entry $n$")

# %% [markdown]
# The group network recovers the signal from measurements that are too few for the $l_1$ norm, but only by the flow or
# by steps that are short enough to follow it. Armijo's line search starts with the longest step that decreases the
# loss, and such steps leave the neighborhood of 0 in which the network prefers few groups. If the bias matters,
# compare with short steps or with `gradient_flow` before relying on a line search.

# %% [markdown]
# ## Weight normalization of a custom network
#
# Polar coordinates need a network that depends on its parameters through one vector, the factor. Such a network is a
# subclass of `FactorNetwork`, which also defines the signal of a factor, its transposed derivative, the relation of
# factor and parameters, and the signs. It inherits `init` and works inside `WeightNormalization`. A power with a
# noninteger exponent, $X = x^p$, has a depth between two integers:


# %%
class RealPower(pb.FactorNetwork):
    p: float

    signed = False  # whether X can have negative entries
    positive = True  # whether the flow keeps positive factors positive, which needs p >= 2

    @property
    def degree(self):
        return 2

    def signal_of(self, x):
        return x**self.p

    def pullback_of(self, x, cotangent):
        return self.p * x ** (self.p - 1) * cotangent

    def factor(self, theta):
        return theta.x

    def from_factor(self, x):
        return pb.Factor(x)

    def speed(self, theta, r):
        return np.ones_like(r)


ends = {}
for p in (2.0, 2.5, 3.0):
    network = pb.WeightNormalization(RealPower(p), ratio=1.0)
    ends[p] = pb.gradient_flow(problem, network, network.init(scale=1.0, direction=uniform), tol=1e-10)
    print(f"p = {p}: {ends[p]}, above the minimal norm {excess(ends[p].x):.1e}")
assert excess(ends[2.0].x) > excess(ends[2.5].x) > excess(ends[3.0].x)

network = pb.WeightNormalization(RealPower(2.5), ratio=1.0)
run = pb.gradient_descent(problem, network, network.init(scale=1.0, direction=uniform), tol=1e-7)
print(f"descent, p = 2.5: {run}, above the minimal norm {excess(run.x):.1e}")
assert run.converged

# %% [markdown]
# For integer exponents the limits are known, which checks the class:

# %%
for depth in (2, 3):
    network = pb.WeightNormalization(pb.HadamardPower(depth), ratio=1.0)
    limit = pb.flow_limit(problem, network, network.init(scale=1.0, direction=uniform))
    print(f"p = {depth}: the flow ends {np.abs(ends[depth].x - limit.x).max():.1e} from the exact limit")
    assert np.abs(ends[depth].x - limit.x).max() < 1e-3

# %% [markdown]
# Below $p = 2$, entries of the factor can reach 0 in finite time. Then `positive` would be false, and the theory, which
# assumes depth 2 or more, does not apply.
