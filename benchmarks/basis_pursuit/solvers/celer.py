import warnings

import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """celer's Lasso at a vanishing penalty, relative to the smallest one whose solution is 0."""

    name = "celer"
    sampling_strategy = "run_once"
    parameters = {"penalty": [1e-4, 1e-6, 1e-8]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A = A.tocsc() if hasattr(A, "tocsc") else np.asfortranarray(A)
        self.b, self.nonnegative = b, nonnegative

    def run(self, _):
        from celer import Lasso

        alpha = self.penalty * np.abs(self.A.T @ self.b).max() / self.b.size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = Lasso(alpha=alpha, fit_intercept=False, positive=self.nonnegative, tol=1e-12, max_iter=1000)
            self.x = model.fit(self.A, self.b).coef_

    def get_result(self):
        return {"x": self.x}
