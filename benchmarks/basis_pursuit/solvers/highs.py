import numpy as np
from benchopt import BaseSolver
from scipy.sparse import csc_array, hstack


class Solver(BaseSolver):
    """HiGHS through highspy, simplex or interior point with crossover."""

    name = "HiGHS"
    sampling_strategy = "run_once"
    parameters = {"method": ["simplex", "ipm"]}

    def skip(self, A, b, nonnegative):
        return not (hasattr(A, "toarray") or isinstance(A, np.ndarray)), "needs a matrix"

    def set_objective(self, A, b, nonnegative):
        self.A, self.b, self.nonnegative = A, b, nonnegative

    def run(self, _):
        import highspy

        A = csc_array(self.A)
        both = A if self.nonnegative else hstack([A, -A], format="csc")
        n = both.shape[1]
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n, both.shape[0]
        lp.col_cost_ = np.ones(n)
        lp.col_lower_, lp.col_upper_ = np.zeros(n), np.full(n, highspy.kHighsInf)
        lp.row_lower_ = lp.row_upper_ = self.b
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = both.indptr, both.indices, both.data
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("solver", self.method)
        solver.passModel(lp)
        solver.run()
        x = np.array(solver.getSolution().col_value)
        self.x = x if self.nonnegative else x[: n // 2] - x[n // 2 :]

    def get_result(self):
        return {"x": self.x}
