"""All families at all sizes, as data sets of benchopt."""

import sys
from pathlib import Path

import numpy as np
from benchopt import BaseDataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from families import FAMILIES, optimum


class Dataset(BaseDataset):
    name = "families"
    parameters = {
        "family": list(FAMILIES),
        "m, n": [(150, 1000)],
        "seed": [0, 1, 2],
    }

    def get_data(self):
        A, b, nonnegative = FAMILIES[self.family](np.random.default_rng(self.seed), self.m, self.n)
        return {"A": A, "b": b, "nonnegative": nonnegative, "optimum": optimum(A, b, nonnegative)}
