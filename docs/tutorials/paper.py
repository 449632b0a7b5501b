# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The paper in ten minutes
#
# A system $A X = b$ with fewer equations than unknowns has many solutions. Which one does gradient descent find? That
# depends on how $X$ is written. If $X = x^2$, entry by entry, and descent runs on $x$ from a tiny start, it finds a
# sparse solution; from a large start it does not. The paper (arXiv:2305.05448v1) shows that polar coordinates,
# $x = r\, u / \lVert u \rVert$, known as weight normalization, repair this: descent on $(r, u)$ finds sparse solutions
# from large starts as well. This page shows the effect, its exact form, and what it depends on.

# %% [markdown]
# ## The problem
#
# A Gaussian matrix, and a truth with few positive entries that sum to their number $s$. A linear program finds a
# solution with entries $\ge 0$ and the smallest possible $l_1$ norm, independently of everything else on this page.
# Here it is the truth.

# %%
import matplotlib.pyplot as plt
import numpy as np

import polarbias as pb
from polarbias.theory.invariants import drift

problem = pb.gaussian_problem(seed=0, m=50, n=250, truth="sparse", s=5)
best = pb.minimal_l1(problem, nonnegative=True)

missed = np.abs(best.x - problem.x_true).sum()
print(problem)
print(f"minimal l1 norm {best.value:.6f}; its minimiser is {missed:.1e} from the truth")
assert missed < 1e-9

# %% [markdown]
# ## Descent, plain and in polar coordinates
#
# Both networks start at the same point, $x_0 = r_0 u_0$ with $r_0 = 1$ and a random direction $u_0$ with positive
# entries. Every entry of $X$ is small then, but their sum is $r_0^2 = 1$, which is not small beside the norm of the
# truth. `ratio` is the learning-rate ratio $\eta$: the radius moves $\eta$ times as fast as the direction.

# %%
direction = pb.folded_gaussian_direction(seed=1, n=problem.n)
networks = {
    "plain": pb.HadamardPower(depth=2),
    "weight normalization": pb.WeightNormalization(pb.HadamardPower(depth=2), ratio=0.1),
}
colors = {"plain": "#c1440e", "weight normalization": "#1f5fa8"}
starts = {name: network.init(scale=1.0, direction=direction) for name, network in networks.items()}

runs = {
    name: pb.gradient_descent(problem, network, starts[name], max_steps=50_000, keep_x=True)
    for name, network in networks.items()
}
error = {name: np.abs(run.x - problem.x_true).sum() for name, run in runs.items()}
for name, run in runs.items():
    print(f"{name:20}  {run}  l1 error {error[name]:.2g}")
assert error["plain"] > 1
assert error["weight normalization"] < 1e-3
assert runs["plain"].converged
assert runs["plain"].steps < runs["weight normalization"].steps

# %% [markdown]
# Armijo's line search chooses the steps, as in the paper. Both runs make the loss small, so both end near a solution of
# $A X = b$, and only one of them is near the truth. The trajectories:

# %%
panels = {
    r"loss $\|AX-b\|^2/4$": lambda path: path.loss,
    r"radius $r = \|x\|_2$": lambda path: path.r,
    r"$l_1$ error $\|X - X^*\|_1$": lambda path: np.abs(path.x - problem.x_true).sum(-1),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    for name, run in runs.items():
        path = run.trajectory
        ax.plot(path.step[1:], values(path)[1:], color=colors[name], label=name)
    ax.set(title=title, xlabel="accepted step", xscale="log")
    ax.grid(alpha=0.25)
axes[0].set_yscale("log")
axes[2].set_yscale("log")
axes[1].axhline(np.sqrt(best.value), color="0.4", linestyle=":", label=r"$\sqrt{\mathrm{minimal}\ l_1\ \mathrm{norm}}$")
legend = axes[1].legend()

# %% [markdown]
# With a small ratio the radius grows slowly while the direction turns, and the loss converges to 0 only when both fit.
# By then the direction has its weight on few entries. The cost is steps: plain descent has converged long before the
# run with weight normalization.

# %% [markdown]
# ## The exact limit
#
# The limit of gradient flow, descent with infinitely small steps, is the solution of one convex problem: the solution
# of $A X = b$ nearest to the start in a certain divergence. `flow_limit` computes it in milliseconds. `gap` is a
# certified bound for the relative distance of its norm from the minimal $l_1$ norm.

# %%
limits = {name: pb.flow_limit(problem, network, starts[name]) for name, network in networks.items()}
for name, limit in limits.items():
    excess, descended = (1 - best.value / np.abs(x).sum() for x in (limit.x, runs[name].x))
    print(f"{name:20}  above the minimal norm: limit {excess:.1e}, certified to be at most {limit.gap:.1e};")
    print(f"{'':20}  descent {descended:.1e}; log10 of the magnification rho {limit.log_rho / np.log(10):.1f}")
    assert limit.converged
    assert excess <= limit.gap + 1e-12
assert np.abs(limits["weight normalization"].x - problem.x_true).sum() < 1e-9

# %% [markdown]
# The last number explains the effect. With weight normalization the flow from $x_0$ has the limit of the *plain* flow
# from $x_0 / \rho$, with the magnification
#
# $$\rho = \frac{r_0}{r_\infty}\, e^{(r_\infty^2 - r_0^2) / (2 \eta)} .$$
#
# So a start of norm 1 acts like one that is smaller by many orders of magnitude, from which plain descent would hardly
# move. A check of the two limits:

# %%
limit = limits["weight normalization"]
shrunk = networks["plain"].init(scale=float(np.exp(-limit.log_rho)), direction=direction)
same = pb.flow_limit(problem, networks["plain"], shrunk)
print("largest difference of the two limits", np.abs(same.x - limit.x).max())
assert np.abs(same.x - limit.x).max() < 1e-10

# %% [markdown]
# ## The invariant, and its drift in finite steps
#
# The limit is known because the flow has an invariant: the part of $\log u + r^2 / (2 \eta)$ that is orthogonal to the
# rows of $A$. The start determines it, and $A X = b$ determines the rest. `drift` measures its relative change, which
# is rounding along the integrated flow:

# %%
network, theta0 = networks["weight normalization"], starts["weight normalization"]
flow = pb.gradient_flow(problem, network, theta0)
times = flow.trajectory.time
along_flow = drift(problem, network, flow.trajectory.evaluate(times).theta)
print(f"flow, {len(times)} times: largest drift {along_flow.max():.1e}")
assert along_flow.max() < 1e-10

# %% [markdown]
# Steps of finite length change it. The exact limit *from the state after k steps* shows the effect, which later steps
# cannot undo. `mirror_descent` takes its steps in variables in which the invariant is linear, and preserves it for
# steps of any length.

# %%
for k in (10, 100, 1000, 10_000):
    state = pb.gradient_descent(problem, network, theta0, max_steps=k).theta
    kept = np.abs(pb.flow_limit(problem, network, state).x).sum() - best.value
    moved = drift(problem, network, [theta0, state])[-1]
    print(f"descent, {k:6,} steps: drift {moved:.1e}; the flow from there ends {kept:.1e} above the minimal norm")
assert moved > 1e-3
assert 10 * (np.abs(limit.x).sum() - best.value) < kept < 1e-6

mirror = pb.mirror_descent(problem, network, theta0, max_steps=50_000)
print(f"mirror descent, {mirror.steps:,} steps: drift {drift(problem, network, [theta0, mirror.theta])[-1]:.1e}")
assert drift(problem, network, [theta0, mirror.theta])[-1] < 1e-10

# %% [markdown]
# The line search takes its longest steps first, and loses the bias in them. The drift is large because such a step
# brings entries of $u$ close to 0, which changes their logarithms a lot; off the support of the solution they converge
# to 0 in any case, and the limit changes little. The rest of the distance between the last iterate and the exact limit,
# here nearly all of it, is due to the remaining loss.

# %%
descended = np.abs(runs["weight normalization"].x).sum() - best.value
print(f"descent ended {descended:.1e} from the minimal norm; {kept:.1e} of it is lost bias")
assert abs(descended) > 10 * kept

# %% [markdown]
# ## Dependence on the start and the ratio
#
# The two parameters are the start's norm $r_0$ and the ratio $\eta$. As a limit takes milliseconds, we compute the
# whole plane. Arrays of starts and ratios make a batch; the arrays of its solution have the batch's axes first.

# %%
r0 = np.geomspace(0.01, 10, 13)
eta = np.array([0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
batch = pb.WeightNormalization(pb.HadamardPower(depth=2), ratio=eta[:, None])
grid = pb.flow_limit(problem, batch, batch.init(scale=np.tile(r0, (len(eta), 1)), direction=direction))
plain = pb.flow_limit(problem, networks["plain"], networks["plain"].init(scale=r0, direction=direction))
print(grid)

FLOOR = 1e-12  # differences below this are rounding
excess = np.maximum(np.abs(grid.x).sum(-1) - best.value, FLOOR)
excess_plain = np.maximum(np.abs(plain.x).sum(-1) - best.value, FLOOR)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
drawn = left.pcolormesh(r0, eta, excess, norm="log", shading="nearest", cmap="viridis")
left.contour(r0, eta, grid.log_rho, levels=[0.0], colors="white")
left.set(title=r"WN: excess of the limit's $l_1$ norm; white: $\rho = 1$", ylabel=r"ratio $\eta$", yscale="log")
bar = figure.colorbar(drawn, ax=left)
right.plot(r0, excess_plain, color=colors["plain"], marker="s", markersize=4, label="plain")
for k, shade in ((1, 1.0), (3, 0.65), (5, 0.35)):
    label = rf"WN, $\eta$ = {eta[k]:g}"
    right.plot(r0, excess[k], color=colors["weight normalization"], alpha=shade, marker="o", markersize=4, label=label)
right.set(title="the same along $r_0$", yscale="log", ylabel=r"$\|X\|_1$ - minimum")
right.grid(alpha=0.25)
for ax in (left, right):
    ax.axvline(np.sqrt(best.value), color="0.4", linestyle=":", label=r"$r_0^2$ = minimal $l_1$ norm")
    ax.set(xlabel="$r_0$", xscale="log")
legend = right.legend(loc="center left", bbox_to_anchor=(0.02, 0.4), fontsize=8)

# %% [markdown]
# Left of the dotted line, where the start is smaller than the solution, the excess falls exponentially with $1 / \eta$,
# down to rounding (drawn at $10^{-12}$), and hardly depends on $r_0$. This is the robustness in the paper's title. It
# has two bounds. For large $r_0$ the radius has to shrink, and polar coordinates do not help. For small $r_0$ and a
# large ratio, $\rho$ is below 1 and the plain flow is better: weight normalization makes the start act like a larger
# one. The limits of both flows lie on one curve, so weight normalization has the smaller excess exactly if $\rho > 1$.

# %%
measurable = (excess > 10 * FLOOR) & (np.abs(grid.log_rho) > 1e-3)
assert ((excess < excess_plain) == (grid.log_rho > 0))[measurable].all()
assert (excess[eta <= 0.1][:, r0 < 1.5] < 1e-10).all()
flat = excess[:, r0 < 0.5]
assert (flat.max(-1) < 2 * flat.min(-1)).all()

# %% [markdown]
# ## Every statement at once
#
# `pb.verify` checks all lemmas, bounds and theorems of the paper for one solution, with their hypotheses. *Corrected*
# marks changed statements; [errata](../errata.md) has counterexamples to the printed forms.

# %%
table = pb.verify(problem, network, theta0, flow)
print(table.counts)
for row in table:
    if row.verdict.value == "holds":
        print(f"{row.statement:32} {row.predicted}: {row.observed}")
assert not table.violated

# %% [markdown]
# A row can fail. Here the limit is checked for another start:

# %%
other = network.init(scale=2.0, direction=direction)
for row in pb.verify(problem, network, other, limit).violated:
    print(f"{row.statement:32} {row.predicted}: {row.observed}")
assert pb.verify(problem, network, other, limit).violated

# %% [markdown]
# On the command line the same is `polarbias verify --m 30 --n 80 --solution flow`.

# %% [markdown]
# ## All figures
#
# The figures and claims of the paper, at the paper's size, are one command:
#
# ```sh
# polarbias reproduce                       # quick profile, minutes
# polarbias reproduce --profile paper       # all trials and grids, hours; resumes after an interruption
# polarbias reproduce --figure 4            # one figure
# ```
#
# It stores tables, draws the figures and writes a report with a verdict on every claim;
# [the paper at full length](../paper.md) shows the results, with the reasons for failed claims. How to run a grid of
# your own is shown in [a sweep](sweep.py), how to change the network in [your own network](network.py).
