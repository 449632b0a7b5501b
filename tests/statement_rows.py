"""Helpers for tests of statements: rows of invented runs, and the verdict on them."""

import numpy as np
import pandas as pd

from polarbias.experiments import QUICK
from polarbias.experiments.engine.results import Results
from polarbias.experiments.paper import statements

SQRT10 = 10**0.5
R0 = (0.01, 0.1, 1.0, SQRT10, 10.0)
ETA4 = (10.0, 1.0, 0.3, 0.1)
NORM = 50.0  # minimal l1 norm: the start r0 = 10 is above the limit's radius

OPEN = {"status": "max_steps"}
FAR = {"status": "max_steps", "loss": 0.011}
LOST = {"status": "collapsed", "loss": 1.0, "eps1_cert": 0.0}


def cases(**groups):
    """Return the rows of a table of cases, each with the verdict of its group as last entry."""
    return [(*case, verdict.replace("_", " ")) for verdict, group in groups.items() for case in group]


def row(figure, algorithm, r0, ratio=0.1, **values):
    base = {
        "figure": figure, "trial": 0, "algorithm": algorithm, "truth": "gaussian", "depth": 2, "step_rule": "armijo",
        "centred": False, "start": 0, "ratio": np.nan if algorithm == "plain" else ratio, "r0": r0, "steps": 100,
        "loss": 1e-13, "loss_start": 1.0, "minimal_l1": NORM, "eps1_cert": 1.0, "eps2": 1.0, "status": "converged",
    }  # fmt: skip
    assert values.keys() <= base.keys()
    return {**base, **values}


def check(number, rows, trajectories=(), limits=()):
    """Return the verdict on a statement."""
    results = Results(QUICK, pd.DataFrame(rows), pd.DataFrame(list(trajectories)), pd.DataFrame(list(limits)))
    measured, verdict = statements._STATEMENTS[number - 1].check(results)
    assert measured
    return str(verdict).removesuffix(" at this budget")
