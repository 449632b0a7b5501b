"""Minimal l1 norm subject to A x = b (and x >= 0): how far from optimal, and from feasible, an answer is."""

import numpy as np
from benchopt import BaseObjective


class Objective(BaseObjective):
    name = "basis pursuit"
    min_benchopt_version = "1.6"

    def set_data(self, A, b, nonnegative, optimum):
        """Take a problem; ``optimum`` is a lower bound of the norm that is known or certified."""
        self.A, self.b, self.nonnegative, self.optimum = A, b, nonnegative, optimum

    def get_objective(self):
        return {"A": self.A, "b": self.b, "nonnegative": self.nonnegative}

    def evaluate_result(self, x):
        gap = abs(np.abs(x).sum() - self.optimum) / self.optimum
        residual = np.linalg.norm(self.A @ x - self.b) / np.linalg.norm(self.b)
        wrong = max(0.0, -float(x.min())) * x.size / self.optimum if self.nonnegative else 0.0
        return {"value": max(gap, residual, wrong), "gap": gap, "residual": residual}

    def get_one_result(self):
        return {"x": np.zeros(self.A.shape[1])}
