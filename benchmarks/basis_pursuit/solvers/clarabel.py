import numpy as np
from benchopt import BaseSolver
from scipy.sparse import csc_array, csc_matrix, eye_array, hstack, vstack


class Solver(BaseSolver):
    name = "Clarabel"
    sampling_strategy = "run_once"
    parameters = {"tol": [1e-8, 1e-10]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A, self.b, self.nonnegative = A, b, nonnegative

    def run(self, _):
        import clarabel

        A = csc_array(self.A)
        both = A if self.nonnegative else hstack([A, -A])
        m, n = both.shape
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = self.tol
        solver = clarabel.DefaultSolver(
            csc_matrix((n, n)),
            np.ones(n),
            csc_matrix(vstack([both, -eye_array(n)])),
            np.concatenate([self.b, np.zeros(n)]),
            [clarabel.ZeroConeT(m), clarabel.NonnegativeConeT(n)],
            settings,
        )
        x = np.array(solver.solve().x)
        self.x = x if self.nonnegative else x[: n // 2] - x[n // 2 :]

    def get_result(self):
        return {"x": self.x}
