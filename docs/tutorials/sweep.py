# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A sweep on a local cluster
#
# Questions such as "how does the error depend on the number of nonzeros, with and without weight normalization?" need a
# grid of experiments. `polarbias sweep` reads the grid from a TOML file, computes it on all cores or on a Dask cluster,
# stores every result whole or not at all, and goes on after an interruption. This page runs a small one from beginning
# to end; [sweeps](../sweep.md) lists all keys, and [many tasks on many cores](../scaling.md) is about several machines.
#
# The commands belong in a terminal. Here they are called from Python, so that the page can be run as a whole:

# %%
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

place = tempfile.TemporaryDirectory()
folder = Path(place.name)


def polarbias(*words, code=0):
    """Run a command as in a terminal, `polarbias ...`; return what it prints, or what it says if it is to fail."""
    done = subprocess.run([sys.executable, "-m", "polarbias", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


# %% [markdown]
# ## The grid
#
# Keys with a list are axes, and the grid is their product. Here: truths with more and more nonzeros; plain descent and
# weight normalization, the latter with two ratios; descent itself (`armijo`) and the exact limit of the flow (`limit`);
# two random problems for each.

# %%
grid = """\
truth = "sparse"
m = 40
n = 100
s = [2, 4, 6, 8, 10]
algorithm = ["plain", "wn"]
ratio = [1.0, 0.1]      # of wn only
scale = 1.0             # norm of the start
step = ["limit", "armijo"]
trials = 2
max_steps = 2000
tol = 1e-10
"""
with open(folder / "grid.toml", "w") as file:
    print(grid, file=file)

# %% [markdown]
# A *task* is one combination of all axes but ratio and scale, and of the trial: its runs run as one batch and go into
# one file. `--dry-run` checks the file, says what would be computed, and bounds the time, without writing anything:

# %%
print(polarbias("sweep", "grid.toml", "--output", "results", "--dry-run"))
assert not (folder / "results").exists()

# %% [markdown]
# A mistake is found before anything runs, and named:

# %%
with open(folder / "wrong.toml", "w") as file:
    print(grid.replace("algorithm", "algorithms"), file=file)
refusal = polarbias("sweep", "wrong.toml", "--output", "results", "--dry-run", code=2)
print(refusal)
assert "did you mean 'algorithm'" in refusal

# %% [markdown]
# ## An interruption
#
# Without `--dask` the sweep runs in one process, with as many tasks at a time as there are cores. We start it like
# this, wait for the first result, and press Ctrl-C:


# %%
def stored():
    """Count the finished tasks; files in progress have names that begin with a dot."""
    return sum(1 for kind in ("runs", "limits") for _ in folder.glob(f"results/{kind}/sweep-*.parquet"))


command = [sys.executable, "-m", "polarbias", "sweep", "grid.toml", "--output", "results"]
process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
while process.poll() is None and not stored():
    time.sleep(0.05)
process.send_signal(signal.SIGINT)  # Ctrl-C
_, errors = process.communicate()
print(errors.splitlines()[-1])
print(f"{stored()} of 40 tasks are there")
assert process.returncode == 130
assert 1 <= stored() < 40

# %% [markdown]
# Nothing that was finished is lost, and of descent in progress there are checkpoints. Each finished task is a file,
# written under another name first and renamed when it is complete, with a digest. The same command computes what is
# missing. It may run differently: on more cores, on other machines. The numbers are the same, because every task has
# its own random streams.
#
# ## On a Dask cluster
#
# `--dask local:2` starts two worker processes on this machine; `--dask tcp://HOST:8786` would send tasks to a
# scheduler whose workers may be anywhere. Only the calling process writes to the folder.

# %%
before = stored()
printed = polarbias("sweep", "grid.toml", "--output", "results", "--dask", "local:2")
print(printed)
assert f"found: {before};" in printed
assert stored() == 40

# %% [markdown]
# `found` counts the tasks that were there already. Once more, and nothing would be left to compute.
#
# A grid may grow: more values on an axis, or more trials, add tasks to the folder. Other values of scale, ratio,
# max_steps, tol or seed would make other numbers under the same names, and are refused.
#
# Which way is better on one machine? The one without Dask. Each worker compiles the programs for itself, which takes
# longer than most tasks here, and tasks in progress leave checkpoints only in the calling process. Dask is for several
# machines.

# %% [markdown]
# ## Reading the tables
#
# A folder of Parquet files is one table, with a row for each run. Descent and limits are in two of them, with the
# same columns; `eps1` is $\lVert X \rVert_1$ minus its minimum, `eps2` the $l_1$ distance from the truth.

# %%
runs = pd.read_parquet(folder / "results" / "runs")
limits = pd.read_parquet(folder / "results" / "limits")
print(f"{len(runs)} runs of descent, {len(limits)} limits")
columns = ["algorithm", "s", "trial", "ratio", "steps", "loss", "eps1", "eps2", "status"]
print(runs[columns].head(6).round(6).to_string(index=False))
assert len(runs) == len(limits) == 5 * 2 * (1 + 2)

# %% [markdown]
# Look at the status before anything else. A run that used up its steps has an error that more steps would change:

# %%
print(pd.crosstab(runs["algorithm"], runs["status"]))
assert (limits["status"] == "converged").all()

# %% [markdown]
# Trajectories are a third table, with a row for each record of each run:

# %%
paths = pd.read_parquet(folder / "results" / "trajectories")
print(f"{len(paths):,} records; columns {', '.join(paths.columns)}")

# %% [markdown]
# ## Plotting
#
# Plain descent has no ratio, and its rows have none (NaN). Errors of limits below $10^{-12}$ are rounding, and are
# drawn there. We plot `eps2`: the $l_1$ norm of a run that has not reached $A X = b$ may lie below the minimum, so that
# its `eps1` says little.


# %%
def labelled(table):
    """Add a column that says which curve a row belongs to."""
    ratio = table["ratio"].map("wn, ratio {:g}".format)
    return table.assign(curve=ratio.where(table["algorithm"] == "wn", "plain"))


ends, flow, paths = labelled(runs), labelled(limits), labelled(paths)
print(flow.pivot_table(index="s", columns="curve", values="eps2", aggfunc="mean").map("{:.1e}".format).to_string())

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for curve, color in zip(sorted(ends["curve"].unique()), ("#c1440e", "#1f5fa8", "#2a9d62"), strict=True):
    mean = flow[flow["curve"] == curve].groupby("s")["eps2"].mean().clip(lower=1e-12)
    left.plot(mean.index, mean, "--", color=color, linewidth=1)
    mean = ends[ends["curve"] == curve].groupby("s")["eps2"].mean()
    left.plot(mean.index, mean, "o-", color=color, label=curve)
    one = paths[(paths["curve"] == curve) & (paths["s"] == 6) & (paths["trial"] == 0) & (paths["step"] > 0)]
    right.plot(one["step"], one["loss"], color=color)
dashed = left.plot([], [], "--", color="0.4", linewidth=1, label="exact limit of the flow")
left.set(title="$l_1$ distance from the truth", xlabel="nonzeros s of the truth", ylabel="mean of two problems")
right.set(title="loss of one problem, s = 6", xlabel="accepted step", xscale="log")
for ax in (left, right):
    ax.set_yscale("log")
    ax.grid(alpha=0.25)
legend = figure.legend(loc="outside lower center", ncols=4, fontsize=8)

# %%
means = flow.groupby(["s", "curve"])["eps2"].mean().unstack()
small, large = "wn, ratio 0.1", "wn, ratio 1"
assert (means[small] < means[large]).all()
assert (means[large] < means["plain"]).all()
assert means[small].iloc[-1] < means[small].iloc[0]
assert means["plain"].iloc[-1] > means["plain"].iloc[0]
place.cleanup()

# %% [markdown]
# With the small ratio the error of the limit *falls* as nonzeros are added, while that of the plain limit rises. The
# truth's $l_1$ norm is its number of nonzeros, so the radius has farther to go from the same start, and the
# magnification grows with it: what matters is how large the start is beside the solution. Descent follows the limits
# only at a distance. Its steps are of finite length, and most runs used them up before their loss was small.
