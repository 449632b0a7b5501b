"""Helpers for tests of drawn panels."""

from dataclasses import replace
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from polarbias.experiments import FIGURES, QUICK
from polarbias.experiments.engine.results import Results
from polarbias.plotting.panels import STYLE

PROFILE = replace(QUICK, trials=4, starts=2, max_steps=1000, limit_trials=5, map_size=(5, 4))
PANELS = [(number, panel.letter) for number, figure in FIGURES.items() for panel in figure.panels]


def invented(profile):
    """Return results of random numbers that differ from run to run."""
    rng = np.random.default_rng(1)
    runs, records, limits = [], [], []
    for figure in FIGURES.values():
        for task in figure.tasks(profile):
            for run in task.runs:
                named = {
                    "figure": task.figure, "trial": task.trial, "algorithm": task.algorithm, "truth": task.truth,
                    "step_rule": task.step, "centred": task.centred, "start": run.start, "r0": run.r0,
                    "depth": task.depth, "law": task.law, "part": task.part, "c": run.c,
                    "ratio": np.nan if task.algorithm == "plain" else run.ratio,
                }  # fmt: skip
                steps = int(rng.integers(50, 900))
                row = {"steps": steps, "loss": 1e-13, "loss_start": 1.0, "minimal_l1": 40.0, "status": "converged"}
                row |= {"eps1_cert": float(rng.lognormal()), "eps2": float(rng.lognormal())}
                if task.is_limit:
                    limits.append(named | row | {"log_rho": float(rng.standard_normal())})
                    continue
                runs.append(named | row)
                records += [{**named, "step": step, "loss": 10.0**-k} for k, step in enumerate((0, 1, 10, steps))]
    return Results(profile, pd.DataFrame(runs), pd.DataFrame(records), pd.DataFrame(limits))


RESULTS = invented(PROFILE)


def changed(change, **where):
    """Return the results with changed values of the runs that have the given ones."""
    runs = RESULTS.runs.copy()
    mask = np.logical_and.reduce([runs[name] == value for name, value in where.items()])
    assert mask.any()
    runs.loc[mask, list(change)] = list(change.values())
    return replace(RESULTS, runs=runs)


@cache
def drawn(number, letter):
    """Return the axes of a panel, drawn once."""
    return draw(number, letter, RESULTS)


def draw(number, letter, results):
    """Return the axes of a panel for other results."""
    panel = next(panel for panel in FIGURES[number].panels if panel.letter == letter)
    with mpl.rc_context(STYLE):
        ax = Figure(layout="constrained").add_subplot()
        panel.draw(ax, results)
        ax.figure.draw_without_rendering()
    return ax


def lines(ax, label):
    return [line for line in ax.get_lines() if line.get_label() == label]


def matches_means(line, table, x, y):
    """Check that a line has the means of a column for each value of another."""
    means = table.groupby(x)[y].mean()
    np.testing.assert_allclose(line.get_xydata(), np.column_stack([means.index, means]))


def hollow(ax):
    return [line for line in ax.get_lines() if line.get_markerfacecolor() == "white" and line.get_xdata().size]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]
