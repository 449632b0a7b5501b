import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """SPGL1; x >= 0 by its projection for nonnegative signals."""

    name = "spgl1"
    sampling_strategy = "run_once"
    parameters = {"tol": [1e-6, 1e-8, 1e-10]}

    def set_objective(self, A, b, nonnegative):
        self.A, self.b, self.nonnegative = A, b, nonnegative

    def run(self, _):
        import spgl1

        options = {"iter_lim": 100_000, "verbosity": 0, "opt_tol": self.tol, "bp_tol": self.tol, "ls_tol": self.tol}
        if self.nonnegative:
            options |= {"project": _project, "primal_norm": _norm, "dual_norm": _dual}
        self.x = spgl1.spg_bp(self.A, self.b, **options)[0]

    def get_result(self):
        return {"x": np.asarray(self.x)}


def _norm(x, weights):
    return np.linalg.norm(x, 1)


def _dual(z, weights):
    return max(0.0, float(np.max(z)))


def _project(x, weights, tau):
    """Return the nearest point with x >= 0 and sum at most tau."""
    x = np.maximum(x, 0)
    if x.sum() <= tau:
        return x
    falling = np.sort(x)[::-1]
    excess = (np.cumsum(falling) - tau) / np.arange(1, x.size + 1)
    return np.maximum(x - excess[np.flatnonzero(falling > excess)[-1]], 0)
