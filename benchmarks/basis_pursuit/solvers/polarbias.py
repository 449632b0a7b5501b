from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "polarbias"
    sampling_strategy = "run_once"
    parameters = {"tol": [1e-9]}

    def set_objective(self, A, b, nonnegative):
        self.A, self.b, self.nonnegative = A, b, nonnegative

    def run(self, _):
        import polarbias as pb

        self.x = pb.basis_pursuit(self.A, self.b, nonnegative=self.nonnegative, tol=self.tol).x

    def get_result(self):
        return {"x": self.x}
