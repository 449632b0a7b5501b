import warnings

import numpy as np
from benchopt import BaseSolver


class Solver(BaseSolver):
    """scikit-learn's LassoLars, followed to the penalty 0."""

    name = "LassoLars"
    sampling_strategy = "run_once"
    parameters = {"gram": [True, False]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A = A.toarray() if hasattr(A, "toarray") else A
        self.b, self.nonnegative = b, nonnegative

    def run(self, _):
        from sklearn.linear_model import LassoLars

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LassoLars(
                alpha=0.0,
                fit_intercept=False,
                positive=self.nonnegative,
                precompute=self.gram,
                max_iter=20 * self.b.size,
                fit_path=False,
            )
            self.x = model.fit(self.A, self.b).coef_

    def get_result(self):
        return {"x": self.x}
