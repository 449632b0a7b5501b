from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "polarbias"
    sampling_strategy = "run_once"
    parameters = {"tol": [1e-9]}

    def set_objective(self, A, b, nonnegative):
        from polarbias import basis_pursuit

        self.A, self.b, self.nonnegative, self.solve = A, b, nonnegative, basis_pursuit

    def run(self, _):
        self.x = self.solve(self.A, self.b, nonnegative=self.nonnegative, tol=self.tol).x

    def get_result(self):
        return {"x": self.x}
