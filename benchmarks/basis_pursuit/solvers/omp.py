import warnings

import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """Orthogonal matching pursuit, stopped by the residual: a greedy method, right where the truth is sparse enough."""

    name = "OMP"
    sampling_strategy = "run_once"

    def skip(self, A, b, nonnegative):
        return nonnegative or not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix, and signs"

    def set_objective(self, A, b, nonnegative):
        self.A = A.toarray() if hasattr(A, "toarray") else A
        self.norms = np.linalg.norm(self.A, axis=0)
        self.norms[self.norms == 0] = 1
        self.b = b

    def run(self, _):
        from sklearn.linear_model import orthogonal_mp

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = orthogonal_mp(self.A / self.norms, self.b, tol=1e-18 * float(self.b @ self.b))
        self.x = found / self.norms

    def get_result(self):
        return {"x": self.x}
