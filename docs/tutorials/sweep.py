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
# stores every result atomically, and resumes after an interruption. This page runs a small sweep from beginning to end;
# [sweeps](../sweep.md) lists all keys, and [many tasks on many cores](../scaling.md) is about several machines.
#
# The page calls the commands from Python, so that it can be run as a whole; in practice, use a terminal:

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
    """Run `polarbias ...` as in a terminal; return its output, or its errors if the exit code is not 0."""
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
# one file. `--dry-run` checks the file, prints the plan and bounds the time, without writing any file:

# %%
print(polarbias("sweep", "grid.toml", "--output", "results", "--dry-run"))
assert not (folder / "results").exists()

# %% [markdown]
# Errors in the file are reported before any work:

# %%
with open(folder / "wrong.toml", "w") as file:
    print(grid.replace("algorithm", "algorithms"), file=file)
refusal = polarbias("sweep", "wrong.toml", "--output", "results", "--dry-run", code=2)
print(refusal)
assert "did you mean 'algorithm'" in refusal

# %% [markdown]
# ## An interruption
#
# Without `--dask` the sweep runs in one process, with one task per core at a time. We start it, wait for the first
# result, and press Ctrl-C:


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
print(f"{stored()} of 40 tasks are stored")
assert process.returncode == 130
assert 1 <= stored() < 40

# %% [markdown]
# All finished tasks are stored, and descent in progress has left checkpoints. Each finished task is a file with a
# digest, written under another name and renamed when complete. The same command computes the missing tasks, also on
# more cores or on other machines. The numbers are the same, because every task has its own random streams.
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
# `found` counts the tasks that were stored before.
#
# A grid may grow: more values on an axis, or more trials, add tasks to the folder. Other values of scale, ratio,
# max_steps, tol or seed are refused, because they give other numbers under the same names.
#
# On one machine a sweep without Dask is preferable: each worker of Dask compiles its own programs, which takes longer
# than most tasks here, and only the calling process writes checkpoints of tasks in progress. Dask is for several
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
# Check the status first: more steps would change the error of a run that used up its steps:

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
# Plain descent has no ratio, so its rows have NaN. Errors of limits below $10^{-12}$ are rounding and drawn at
# $10^{-12}$. We plot `eps2`, because the $l_1$ norm of a run that has not reached $A X = b$ can be below the minimum.


# %%
def labelled(table):
    """Return the table with a column for the curve of each row."""
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
# truth's $l_1$ norm is its number of nonzeros, so the radius grows more from the same start, and the magnification
# with it: the ratio of the start's to the solution's size matters. The errors of descent are larger than those of the
# limits, because its steps have finite length and most runs used them up before their loss was small.
