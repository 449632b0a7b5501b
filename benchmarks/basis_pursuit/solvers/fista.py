import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """PyLops' FISTA at a vanishing penalty."""

    name = "FISTA"
    sampling_strategy = "run_once"
    parameters = {"penalty, steps": [(1e-3, 2000), (1e-5, 20_000)]}

    def skip(self, A, b, nonnegative):
        return nonnegative, "has no x >= 0"

    def set_objective(self, A, b, nonnegative):
        import pylops

        self.A = pylops.LinearOperator(A) if not isinstance(A, np.ndarray) else pylops.MatrixMult(A)
        self.b = b

    def run(self, _):
        import pylops

        largest = float(np.abs(self.A.H @ self.b).max())
        self.x = pylops.optimization.sparsity.fista(
            self.A, self.b, niter=self.steps, eps=self.penalty * largest, tol=1e-14
        )[0]

    def get_result(self):
        return {"x": self.x}
