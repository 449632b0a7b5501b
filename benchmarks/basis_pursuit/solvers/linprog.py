import numpy as np
from benchopt import BaseSolver
from scipy.optimize import linprog


class Solver(BaseSolver):
    """HiGHS as SciPy calls it, simplex or interior point with crossover."""

    name = "linprog"
    sampling_strategy = "run_once"
    parameters = {"method": ["highs-ds", "highs-ipm"]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A, self.b, self.nonnegative = A, b, nonnegative

    def run(self, _):
        from scipy.sparse import hstack

        if self.nonnegative:
            both = self.A
        elif isinstance(self.A, np.ndarray):
            both = np.hstack([self.A, -self.A])
        else:
            both = hstack([self.A, -self.A], format="csc")
        x = linprog(np.ones(both.shape[1]), A_eq=both, b_eq=self.b, bounds=(0, None), method=self.method).x
        if x is None:
            raise RuntimeError("no solution")
        self.x = x if self.nonnegative else x[: x.size // 2] - x[x.size // 2 :]

    def get_result(self):
        return {"x": self.x}
