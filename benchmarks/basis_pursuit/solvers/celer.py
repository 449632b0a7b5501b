import warnings

import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """celer's Lasso down a path to a vanishing penalty, relative to the smallest one whose solution is 0."""

    name = "celer"
    sampling_strategy = "run_once"
    parameters = {"penalty, tol": [(1e-7, 1e-12), (1e-8, 1e-13), (1e-9, 1e-14)]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A = A.tocsc() if hasattr(A, "tocsc") else np.asfortranarray(A)
        self.b, self.nonnegative = b, nonnegative

    def run(self, _):
        from celer import celer_path

        largest = np.abs(self.A.T @ self.b).max() / self.b.size
        steps = 1 + 3 * round(-np.log10(self.penalty))  # three a decade, each from the one before
        penalties = largest * np.geomspace(1, self.penalty, steps)[1:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = celer_path(
                self.A, self.b, "lasso", alphas=penalties, tol=self.tol, positive=self.nonnegative, max_epochs=5000
            )
            self.x = found[1][:, -1]

    def get_result(self):
        return {"x": self.x}
